//! `many`: `single` one by one and `dag`, on an empty engine and beside many queues and environments that nobody
//! asks about. What they cost is to be the same.

use super::{Common, Variant, dag, single};

/// The variants, named after what they run beside.
pub(crate) fn many(common: &Common, beside: &str) -> Vec<Variant> {
    let singly = single(common).into_iter().take(1);
    let variants = singly.chain(dag(common)).map(|variant| Variant {
        name: format!("{} {}, {beside}", variant.shape, variant.name),
        shape: "many",
        ..variant
    });
    variants.collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::common;
    use super::*;

    #[test]
    fn the_same_is_run_beside_anything() {
        let [empty, beside] = ["empty", "beside"].map(|what| many(&common(), what));
        assert_eq!((empty.len(), beside.len()), (2, 2));
        assert!(empty[0].name.contains("single") && empty[1].name.contains("dag"));
        assert!(empty.iter().all(|variant| variant.shape == "many" && variant.every.is_none()));
    }
}
