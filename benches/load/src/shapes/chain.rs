//! `chain`: jobs of 100 nodes, each waiting for the one before; one job at a time, and 50.

use super::super::wire::JobText;
use super::{Common, Variant};

/// Nodes of a chain.
const NODES: usize = 100;

/// The variants, the hardest first.
pub(crate) fn chain(common: &Common) -> Vec<Variant> {
    let key = |position: usize| format!("s{position}");
    let nodes = (0..NODES).map(|position| {
        let parent = position.checked_sub(1).map(key);
        common.node(&key(position), &Vec::from_iter(parent))
    });
    one_and_fifty("chain", common.job("bench-chain", &nodes.collect::<Vec<_>>()))
}

/// One job at a time, and 50: of 100 nodes one after the other.
pub(super) fn one_and_fifty(shape: &'static str, job: JobText) -> Vec<Variant> {
    let one = Variant::plain(shape, "1 job of 100".to_owned(), job);
    let fifty = Variant {
        name: "50 jobs of 100".to_owned(),
        connections: 4,
        open_max: 50,
        workers: 2,
        lease_max: 50,
        ..one.clone()
    };
    vec![one, fifty]
}

#[cfg(test)]
mod tests {
    use super::super::{graph, tests::common};
    use super::*;

    #[test]
    fn a_chain_has_one_way_through_all_its_nodes() {
        let variants = chain(&common());
        let open: Vec<usize> = variants.iter().map(|variant| variant.open_max).collect();
        assert_eq!(open, [1, 50]);
        let graph = graph(&variants[0].job);
        assert_eq!(graph.len(), 100);
        assert!(graph[0].1.is_empty());
        for pair in graph.windows(2) {
            assert_eq!(pair[1].1, [pair[0].0.clone()]);
        }
    }
}
