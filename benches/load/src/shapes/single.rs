//! `single`: jobs of one node, submitted one by one on 64 connections, and in batches of 100.

use super::{Common, Variant};

/// The variants, the hardest first.
pub(crate) fn single(common: &Common) -> Vec<Variant> {
    let singly = Variant {
        connections: 64,
        open_max: 2_000,
        workers: 4,
        lease_max: 200,
        ..Variant::plain(
            "single",
            "singly, 64 connections".to_owned(),
            common.job("bench-single", &[common.node("a", &[])]),
        )
    };
    let batches = Variant {
        name: "batches of 100".to_owned(),
        connections: 4,
        batch: 100,
        open_max: 4_000,
        ..singly.clone()
    };
    vec![singly, batches]
}

#[cfg(test)]
mod tests {
    use super::super::{graph, tests::common};
    use super::*;

    #[test]
    fn a_single_is_one_node_and_comes_singly_first() {
        let variants = single(&common());
        let sizes: Vec<usize> = variants.iter().map(|variant| variant.batch).collect();
        assert_eq!(sizes, [1, 100]);
        assert_eq!(graph(&variants[0].job), [("a".to_owned(), Vec::new())]);
    }
}
