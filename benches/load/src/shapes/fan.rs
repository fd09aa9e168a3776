//! `fan`: one node, then 1,000 that wait for it, then one that waits for all of them; one job at a time, and four.

use super::super::wire::JobText;
use super::{Common, Variant};

/// Nodes between the first and the last.
const WIDTH: usize = 1_000;

/// The variants, the hardest first.
pub(crate) fn fan(common: &Common) -> Vec<Variant> {
    let root = "root".to_owned();
    let keys: Vec<String> = (0..WIDTH).map(|position| format!("m{position}")).collect();
    let mut nodes = vec![common.node(&root, &[])];
    nodes.extend(keys.iter().map(|key| common.node(key, std::slice::from_ref(&root))));
    nodes.push(common.node("join", &keys));
    one_and_four("fan", "1-1000-1", common.job("bench-fan", &nodes))
}

/// One job at a time, and four: with so many nodes side by side that workers take many at once.
pub(super) fn one_and_four(shape: &'static str, of: &str, job: JobText) -> Vec<Variant> {
    let one = Variant {
        workers: 2,
        lease_max: 250,
        ..Variant::plain(shape, format!("1 job of {of}"), job)
    };
    let four = Variant {
        name: format!("4 jobs of {of}"),
        connections: 2,
        open_max: 4,
        workers: 4,
        ..one.clone()
    };
    vec![one, four]
}

#[cfg(test)]
mod tests {
    use super::super::{graph, tests::common};
    use super::*;

    #[test]
    fn a_fan_opens_from_one_node_and_closes_in_one() {
        let graph = graph(&fan(&common())[0].job);
        assert_eq!(graph.len(), 1_002);
        let middle = &graph[1..1_001];
        assert!(graph[0].1.is_empty() && middle.iter().all(|(_, parents)| parents == &["root"]));
        let keys: Vec<&String> = middle.iter().map(|(key, _)| key).collect();
        assert_eq!(graph[1_001].1.iter().collect::<Vec<_>>(), keys);
    }
}
