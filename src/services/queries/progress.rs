//! How far a job is, from its nodes and from how long work of the same action types took before.
//! Always holds: a job that is over has no estimated end. Absent: the arithmetic (`domain::job::progress`).

use std::collections::BTreeMap;

use domain::ids::{JobId, Millis, Namespace};
use domain::job::progress::{Expected, NodeOutlook, progress};
use domain::job::state::JobState;
use domain::job::status::JobStatus;
use domain::node::status::NodeStatus;
use domain::time_text::rfc3339;
use serde::Serialize;
use utoipa::ToSchema;

use super::Queries;
use super::durations::LearnedDurations;
use crate::engine::error::EngineError;
use crate::view::resources::words::JobStatusWord;

/// Keys of the critical path that an answer spells out: its beginning.
const PATH_SHOWN_MAX: usize = 1_000;

/// How far a job is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Progress)]
pub struct ProgressAnswer {
    #[schema(format = "uuid")]
    pub job_id: String,
    /// The job's version.
    pub version: u64,
    #[schema(value_type = JobStatusWord)]
    pub status: JobStatus,
    /// The state to come.
    #[schema(value_type = Option<JobStatusWord>)]
    pub ending: Option<JobStatus>,
    /// `total`, and nodes by state.
    #[schema(value_type = BTreeMap<String, u64>)]
    pub nodes: BTreeMap<&'static str, u64>,
    /// Weighted by expected durations.
    #[schema(minimum = 0, maximum = 100)]
    pub percent: f64,
    /// Keys on the longest way still to go; the first thousand.
    pub critical_path: Vec<String>,
    /// How long that way takes.
    pub critical_path_ms: u64,
    /// The most likely value.
    #[schema(format = "date-time")]
    pub estimated_end: Option<String>,
    /// About 19 of 20 ends lie within.
    pub estimated_end_spread: Option<SpreadAnswer>,
    #[schema(format = "date-time")]
    pub as_of: String,
}

/// A span of time.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Spread)]
pub struct SpreadAnswer {
    #[schema(format = "date-time")]
    pub low: String,
    #[schema(format = "date-time")]
    pub high: String,
}

impl Queries {
    /// How far a job is.
    ///
    /// # Errors
    /// `JobNotFound`, and what keeps the store from answering.
    pub async fn progress(
        &self,
        namespace: &Namespace,
        job: JobId,
    ) -> Result<ProgressAnswer, EngineError> {
        let now = self.clock.now_ms();
        let durations = &self.details.durations;
        self.details
            .with(namespace, job, |detail| answer(&detail.state, detail.seq(), durations, now))
            .await
    }
}

fn answer(
    state: &JobState,
    version: u64,
    durations: &LearnedDurations,
    now: Millis,
) -> ProgressAnswer {
    let plan = &state.plan;
    let graph = plan.work_graph(&state.groups);
    let found = progress(&graph, &outlooks(state, durations, now), plan.max_parallel, now);
    let end = found.end.filter(|_| !state.head.status.is_over());
    let mut nodes: BTreeMap<&'static str, u64> = NodeStatus::ALL
        .into_iter()
        .map(|status| (status.as_str(), u64::from(state.count(status))))
        .collect();
    nodes.insert("total", state.nodes.len() as u64);
    let path = found.path.nodes.iter().take(PATH_SHOWN_MAX);
    ProgressAnswer {
        job_id: state.id.to_string(),
        version,
        status: state.head.status,
        ending: state.head.ending,
        nodes,
        percent: found.percent,
        critical_path: path.map(|ix| plan.path(*ix)).collect(),
        critical_path_ms: found.path.ms,
        estimated_end: end.map(|end| rfc3339(end.at)),
        estimated_end_spread: end
            .map(|end| SpreadAnswer { low: rfc3339(end.low), high: rfc3339(end.high) }),
        as_of: rfc3339(now),
    }
}

/// What each node is like at this moment.
pub(super) fn outlooks(
    state: &JobState,
    durations: &LearnedDurations,
    now: Millis,
) -> Vec<NodeOutlook> {
    let specs = state.plan.positions().map(|ix| state.plan.node(ix));
    let history =
        durations.of(&state.namespace, specs.clone().map(|spec| spec.action_type.as_ref()));
    let since = |from: Millis, to: Millis| u64::try_from(to - from).unwrap_or(0);
    specs
        .zip(&state.nodes)
        .zip(&history)
        .map(|((spec, node), history)| {
            // What a group takes is what its members take.
            let own = spec.group().is_none();
            let estimate = spec.more.as_ref().and_then(|more| more.estimated_duration_ms);
            let running = node.status == NodeStatus::Running;
            let retrying = node.status == NodeStatus::Retrying;
            NodeOutlook {
                status: node.status,
                expected: if own {
                    Expected::of(estimate, history.as_ref())
                } else {
                    Expected { ms: 0, variance: 0.0 }
                },
                elapsed_ms: if running { since(node.started, now) } else { 0 },
                wait_ms: if retrying { since(now, node.due) } else { 0 },
            }
        })
        .collect()
}
