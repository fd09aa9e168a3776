//! `aged`: jobs of one node on an engine as it is found, and again when it has stored many more. Submissions carry keys,
//! as those of a careful client do, so that ids say nothing about when a job came: what a store has to find its place for
//! among all others.

use super::{Common, Variant, single};

/// The variants on the engine as it is found, and when it has stored so many more.
pub(crate) fn aged(common: &Common, jobs: u64) -> Vec<Variant> {
    let mut later = keyed(common, &format!("{jobs} more stored"));
    if let Some(first) = later.first_mut() {
        first.stored_before = Some(jobs);
    }
    keyed(common, "as found").into_iter().chain(later).collect()
}

fn keyed(common: &Common, stored: &str) -> Vec<Variant> {
    let keyed = |variant: Variant| Variant {
        shape: "aged",
        name: format!("{stored}: {}", variant.name),
        keyed: true,
        ..variant
    };
    single(common).into_iter().map(keyed).collect()
}

/// What stores the jobs in between: batches, as fast as they go.
pub(crate) fn filling(common: &Common, jobs: u64) -> Option<Variant> {
    let batches = keyed(common, "").pop()?;
    Some(Variant { name: format!("storing {jobs} jobs"), ..batches })
}

#[cfg(test)]
mod tests {
    use super::super::tests::common;
    use super::*;

    #[test]
    fn an_aged_engine_is_measured_and_filled_with_jobs_under_keys() {
        let measured = aged(&common(), 7);
        assert!(measured.iter().all(|variant| variant.keyed && variant.shape == "aged"));
        let before: Vec<_> = measured.iter().map(|variant| variant.stored_before).collect();
        assert_eq!(before, [None, None, Some(7), None]);
        assert!(measured[0].name.starts_with("as found: singly"));
        assert!(measured[2].name.starts_with("7 more stored: singly"));
        let filling = filling(&common(), 7).map(|variant| (variant.batch, variant.keyed));
        assert_eq!(filling, Some((100, true)));
    }
}
