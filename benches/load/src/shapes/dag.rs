//! `dag`: 200 jobs at a time of 10 nodes each: two diamonds, one after the other, and a chain of two.

use super::{Common, Variant};

/// Keys and parents.
const NODES: [(&str, &[&str]); 10] = [
    ("a", &[]),
    ("b", &["a"]),
    ("c", &["a"]),
    ("d", &["b", "c"]),
    ("e", &["d"]),
    ("f", &["e"]),
    ("g", &["e"]),
    ("h", &["f", "g"]),
    ("i", &["h"]),
    ("j", &["i"]),
];

pub(crate) fn dag(common: &Common) -> Vec<Variant> {
    let nodes = NODES.iter().map(|(key, parents)| {
        let parents: Vec<String> = parents.iter().map(|&parent| parent.to_owned()).collect();
        common.node(key, &parents)
    });
    vec![Variant {
        connections: 2,
        batch: 20,
        open_max: 200,
        workers: 4,
        lease_max: 100,
        ..Variant::plain(
            "dag",
            "200 jobs of 10".to_owned(),
            common.job("bench-dag", &nodes.collect::<Vec<_>>()),
        )
    }]
}

#[cfg(test)]
mod tests {
    use super::super::{graph, tests::common};
    use super::*;

    #[test]
    fn a_dag_is_two_diamonds_and_a_chain() {
        let graph = graph(&dag(&common())[0].job);
        let parents: Vec<usize> = graph.iter().map(|(_, parents)| parents.len()).collect();
        assert_eq!(parents, [0, 1, 1, 2, 1, 1, 1, 2, 1, 1]);
    }
}
