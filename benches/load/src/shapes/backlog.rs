//! `backlog`: many ready nodes that nobody takes, in jobs of 20,000, and how long a request for work takes then.

use serde_json::json;

use super::{Common, Variant};
use crate::wire::JobText;

/// The most nodes that the engine takes in one job by default.
const NODES_A_JOB_MAX: usize = 20_000;

/// The variant of `nodes` ready nodes, rounded up to whole jobs.
pub(crate) fn backlog(common: &Common, nodes: usize) -> Variant {
    let each = nodes.clamp(1, NODES_A_JOB_MAX);
    let jobs = nodes.div_ceil(each).max(1);
    let node = |position: usize| json!({ "key": format!("n{position}"), "queue": common.queue });
    let document = json!({
        "name": "bench-backlog", "job_type": "bench", "nodes": (0..each).map(node).collect::<Vec<_>>(),
    });
    Variant {
        open_max: jobs,
        ..Variant::plain("backlog", format!("{} ready nodes", jobs * each), JobText::of(&document))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::common;
    use super::*;

    #[test]
    fn a_million_nodes_are_fifty_jobs_and_fewer_than_a_job_are_one() {
        let table = [(1_000_000, 50, 20_000), (20_001, 2, 20_000), (300, 1, 300), (0, 1, 1)];
        for (nodes, jobs, each) in table {
            let variant = backlog(&common(), nodes);
            assert_eq!((variant.open_max, variant.job.steps()), (jobs, each), "{nodes}");
        }
    }
}
