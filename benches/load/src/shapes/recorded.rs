//! `wfformat`: a recorded workflow, its workers sleeping as long as each task ran, scaled. What the engine adds shows
//! as the difference between the time of a job and its longest way, which is said in the variant's name.

use serde_json::json;

use super::{Common, Variant};
use crate::wfformat::ImportedJob;
use crate::wire::JobText;

/// A lease must outlive the longest sleep, since the bench sends no heartbeats.
const LEASE_MS_MIN: f64 = 30_000.0;
/// The longest lease there is.
const LEASE_MS_MAX: f64 = 3_600_000.0;

/// The variant of a recorded workflow that is run `jobs` at a time.
///
/// # Errors
/// When a sleep would outlast the longest lease, or the workflow cannot be written as JSON.
pub(crate) fn recorded(
    common: &Common,
    workflow: &ImportedJob,
    scale: f64,
    jobs: usize,
) -> Result<Variant, String> {
    let longest_ms = workflow.nodes.iter().map(|node| node.input.runtime_s).fold(0.0, f64::max)
        * scale
        * 1_000.0;
    if longest_ms > LEASE_MS_MAX - LEASE_MS_MIN {
        return Err(
            "the longest task would outlast the longest lease; take a smaller --scale".to_owned()
        );
    }
    let mut document = serde_json::to_value(workflow).map_err(|cause| cause.to_string())?;
    for node in document["nodes"].as_array_mut().into_iter().flatten() {
        node["input"]["job"] = JobText::number();
    }
    if common.fails {
        document["retry"] = json!({ "strategy": "immediate", "max_attempts": 1_000 });
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "within the bounds of a lease"
    )]
    let lease_ms = (longest_ms * 2.0).clamp(LEASE_MS_MIN, LEASE_MS_MAX) as u64;
    let way_ms = longest_way_s(workflow) * scale * 1_000.0;
    Ok(Variant {
        connections: jobs.min(4),
        open_max: jobs,
        workers: 2,
        lease_max: 1_000,
        sleep_scale: Some(scale),
        lease_ms: Some(lease_ms),
        ..Variant::plain(
            "wfformat",
            format!("{} x{scale}, longest way {way_ms:.0} ms, {jobs} at a time", workflow.name),
            JobText::of(&document),
        )
    })
}

/// Seconds of the longest way through the recorded runtimes.
fn longest_way_s(workflow: &ImportedJob) -> f64 {
    let position = |key: &String| key.strip_prefix('t').and_then(|text| text.parse::<usize>().ok());
    let count = workflow.nodes.len();
    let mut ends = vec![0.0_f64; count];
    // A task may stand before its parents in the file: passes until nothing grows, at most one a level.
    for _ in 0..=count {
        let mut grew = false;
        for (at, node) in workflow.nodes.iter().enumerate() {
            let parents = node.depends_on.iter().filter_map(position);
            let start =
                parents.filter_map(|parent| ends.get(parent)).fold(0.0, |a: f64, b| a.max(*b));
            let end = start + node.input.runtime_s;
            if end > ends[at] {
                ends[at] = end;
                grew = true;
            }
        }
        if !grew {
            break;
        }
    }
    ends.into_iter().fold(0.0, f64::max)
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test says what it expects")]
mod tests {
    use super::super::{graph, tests::common};
    use super::*;
    use crate::wfformat::job_of;

    fn workflow() -> ImportedJob {
        let document = json!({
            "name": "w", "schemaVersion": "1.5",
            "workflow": {
                "specification": { "tasks": [
                    { "id": "last", "parents": ["first", "side"] },
                    { "id": "first", "children": ["last"] },
                    { "id": "side", "children": ["last"] },
                ] },
                "execution": { "tasks": [
                    { "id": "first", "runtimeInSeconds": 3.0 },
                    { "id": "side", "runtimeInSeconds": 1.0 },
                    { "id": "last", "runtimeInSeconds": 2.0 },
                ] },
            },
        });
        job_of(document.to_string().as_bytes(), "bench-q").expect("a job")
    }

    #[test]
    fn the_longest_way_is_found_also_in_a_file_that_is_out_of_order() {
        assert!((longest_way_s(&workflow()) - 5.0).abs() < 1e-9);
        let variant = recorded(&common(), &workflow(), 0.01, 1).expect("a variant");
        assert!(variant.name.contains("longest way 50 ms"), "{}", variant.name);
        assert_eq!((variant.lease_ms, variant.job.steps()), (Some(30_000), 3));
        assert_eq!(graph(&variant.job)[0].1, ["t1", "t2"]);
    }

    #[test]
    fn a_sleep_that_no_lease_outlives_is_refused() {
        assert!(recorded(&common(), &workflow(), 2_000.0, 1).is_err());
    }
}
