//! The shapes of an explanation, and what of them a job's state and story say.
//! Absent: what the engines add (`explain`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use domain::catalog::paused::PauseTarget;
use domain::ids::{GroupId, JobId, Millis, SubjectId};
use domain::job::detail::JobDetail;
use domain::job::due;
use domain::job::explain::{EndCode, Ended, EndsOn, Explanation, Wait, WaitCode};
use domain::job::status::JobStatus;
use domain::node::status::NodeStatus;
use domain::time_text::rfc3339;
use serde::Serialize;
use utoipa::ToSchema;

use crate::view::resources::job::JobErrorResource;
use crate::view::resources::pause::PauseResource;
use crate::view::resources::words::{
    EndCodeWord, EndsOnWord, JobStatusWord, NodeStatusWord, WaitCodeWord,
};

/// Why it does not go on, but for who drives it, which whoever shows it adds.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ExplanationFacts)]
pub struct Explained {
    #[schema(format = "uuid")]
    pub job_id: String,
    /// The version that is explained; null: it cannot be read.
    pub version: Option<u64>,
    #[schema(value_type = Option<JobStatusWord>)]
    pub status: Option<JobStatus>,
    /// The state to come.
    #[schema(value_type = Option<JobStatusWord>)]
    pub ending: Option<JobStatus>,
    /// The node that is explained; null: the job as a whole.
    pub node: Option<NodeStands>,
    /// What is waited for, at most 50: the job's own wait first. Empty when it has ended.
    pub waits: Vec<WaitAnswer>,
    /// How many waits there are.
    pub wait_count: usize,
    /// How it ended, when it has.
    pub ended: Option<EndedAnswer>,
    /// When something of the job is due by itself; null: only an event moves it.
    #[schema(format = "date-time")]
    pub next_due_at: Option<String>,
    /// When the job is over at the latest (timeout_ms).
    #[schema(format = "date-time")]
    pub deadline: Option<String>,
    #[schema(format = "date-time")]
    pub as_of: String,
    #[serde(skip)]
    pub group: GroupId,
    /// Where its driver has it.
    #[serde(skip)]
    pub memory: Memory,
}

/// Where a job's driver has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    Held,
    /// Its stream is being read.
    Loading,
    /// Dropped until it is due, or somebody asks something of it.
    Parked(Option<Millis>),
    /// Over, and shown: nothing is kept of it but its stream.
    Retired,
    /// Its stream cannot be read.
    Unreadable,
    /// Its driver does not say, or nobody drives it.
    Unknown,
}

/// The node that is explained.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ExplainedNode)]
pub struct NodeStands {
    pub key: String,
    #[schema(value_type = NodeStatusWord)]
    pub status: NodeStatus,
    /// Since when it stands there.
    #[schema(format = "date-time")]
    pub since: String,
    /// Counted attempts, the running one included.
    pub attempt: u32,
    /// Failure class of the newest failure.
    pub error_class: Option<String>,
    /// Why the newest failed attempt is followed by another one or not.
    pub verdict: Option<String>,
}

/// One thing that is waited for. Either `ends_on` names an event, or `wakes_at` the time.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Wait)]
pub struct WaitAnswer {
    #[schema(value_type = WaitCodeWord)]
    pub code: WaitCode,
    /// The reason in words, for people.
    pub message: String,
    /// Since when; of several nodes, the one that waits longest.
    #[schema(format = "date-time")]
    pub since: Option<String>,
    #[schema(value_type = EndsOnWord)]
    pub ends_on: EndsOn,
    /// When it ends by itself; of several nodes, the first.
    #[schema(format = "date-time")]
    pub wakes_at: Option<String>,
    /// When it is given up; of several nodes, the first.
    #[schema(format = "date-time")]
    pub times_out_at: Option<String>,
    /// Keys of the nodes that wait, at most 20; empty: the job as a whole.
    pub nodes: Vec<String>,
    /// How many do.
    pub node_count: usize,
    /// Keys of the nodes that it waits for or is kept by, at most 20, where one node is explained.
    pub waits_for: Vec<String>,
    /// How many they are.
    pub waits_for_count: usize,
    /// The running attempts of those nodes.
    pub attempts: Vec<AttemptRunning>,
    /// Of `worker`: who asks for work there.
    pub workers: Option<WorkersAnswer>,
    /// Of `grant`: how the environment stands.
    pub environment: Option<GrantAnswer>,
    /// Of `worker`: what an operator has paused, so that nothing of it is leased.
    pub paused: Vec<PauseResource>,
    #[serde(skip)]
    pub(super) of: Vec<u32>,
    /// What of it can be paused.
    #[serde(skip)]
    pub(super) may_be_paused: Vec<PauseTarget>,
}

/// A running attempt.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RunningAttempt)]
pub struct AttemptRunning {
    /// The node's key.
    pub node: String,
    /// Counted from 1.
    pub attempt: u32,
    /// Who has it.
    pub worker: String,
    #[schema(format = "date-time")]
    pub started_at: String,
    /// When its lease runs out, unless the worker keeps it; null: its driver did not say.
    #[schema(format = "date-time")]
    pub lease_expires_at: Option<String>,
    #[serde(skip)]
    pub(super) ix: u32,
}

/// A queue, as all living engines see it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = QueueNow)]
pub struct WorkersAnswer {
    pub queue: String,
    /// Lease requests that wait there now.
    pub waiting_polls: u64,
    /// When a worker asked there last.
    #[schema(format = "date-time")]
    pub last_poll_at: Option<String>,
    /// Nodes that are ready there, of all jobs.
    pub ready: u64,
    /// Attempts leased from it that run.
    pub running: u64,
    /// How many nodes of its driver are served before the first of these, 10,000 at most.
    pub before: Option<u64>,
    /// Living engines that did not say in time what they know of.
    pub silent_engines: Vec<u32>,
}

/// An environment that has not granted.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GrantWait)]
pub struct GrantAnswer {
    pub name: String,
    /// Whether there is such an environment.
    pub exists: bool,
    /// What the job asks for.
    pub asked: BTreeMap<String, u64>,
    /// How much there is of what.
    pub capacity: BTreeMap<String, u64>,
    /// How much of it is granted.
    pub used: BTreeMap<String, u64>,
    /// The job asks for more than there is: it waits until the capacity grows.
    pub hopeless: bool,
    /// The jobs that ask it; null: its driver did not say.
    pub asks: Option<AsksAnswer>,
}

/// Jobs that ask an environment.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GrantAsks)]
pub struct AsksAnswer {
    pub waiting: u64,
    /// How many of them are served before this one.
    pub before: Option<u64>,
}

/// How it ended.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ExplainedEnd)]
pub struct EndedAnswer {
    #[schema(value_type = EndCodeWord)]
    pub code: EndCode,
    /// The reason in words, for people.
    pub message: String,
    #[schema(format = "date-time")]
    pub at: String,
    /// What went wrong, of a job.
    pub error: Option<JobErrorResource>,
    /// Keys of the nodes because of which, at most 20.
    pub because_of: Vec<String>,
    /// How many they are.
    pub because_of_count: usize,
}

/// What a job's state says of it, and what it asks of its environment. None: there is no such node.
pub(super) fn explained(
    detail: &JobDetail,
    key: Option<&str>,
    now: Millis,
) -> Option<(Explained, BTreeMap<String, u64>)> {
    let (state, plan) = (&detail.state, &detail.state.plan);
    let (said, node) = match key {
        None => (state.explain(Some(&detail.turn)), None),
        Some(key) => {
            let ix = plan.position(key)?;
            (state.explain_node(ix, Some(&detail.turn))?, Some(stands(detail, ix)))
        }
    };
    let Explanation { waits, wait_count, ended } = said;
    let explained = Explained {
        job_id: state.id.to_string(),
        version: Some(detail.seq()),
        status: Some(state.head.status),
        ending: state.head.ending,
        node,
        waits: waits.into_iter().map(|wait| wait_answer(detail, wait)).collect(),
        wait_count,
        ended: ended.map(|ended| ended_answer(detail, ended)),
        next_due_at: state.next_due().map(rfc3339),
        deadline: due::deadline(state).filter(|_| !state.head.status.is_over()).map(rfc3339),
        as_of: rfc3339(now),
        group: state.subject().group(),
        memory: Memory::Unknown,
    };
    Some((explained, plan.resources.clone()))
}

fn stands(detail: &JobDetail, ix: u32) -> NodeStands {
    let (node, story) = (&detail.state.nodes[ix as usize], &detail.nodes[ix as usize]);
    let last = story.attempts.iter().rev().find_map(|attempt| attempt.end.as_ref());
    NodeStands {
        key: detail.state.plan.path(ix),
        status: node.status,
        since: rfc3339(node.since),
        attempt: node.attempt,
        error_class: story.error.as_ref().map(|error| error.class.clone()),
        verdict: last.and_then(|end| end.verdict.clone()),
    }
}

fn keys(detail: &JobDetail, nodes: &[u32]) -> Vec<String> {
    nodes.iter().map(|ix| detail.state.plan.path(*ix)).collect()
}

fn wait_answer(detail: &JobDetail, wait: Wait) -> WaitAnswer {
    let runs = matches!(wait.code, WaitCode::Attempt | WaitCode::Ending);
    let attempts = wait.nodes.iter().filter(|_| runs).filter_map(|ix| {
        let attempt = detail.nodes[*ix as usize].attempts.last()?;
        Some(AttemptRunning {
            node: detail.state.plan.path(*ix),
            attempt: attempt.attempt,
            worker: attempt.worker.to_string(),
            started_at: rfc3339(attempt.started_at),
            lease_expires_at: None,
            ix: *ix,
        })
    });
    let may_be_paused = may_be_paused(detail, &wait);
    WaitAnswer {
        attempts: attempts.collect(),
        code: wait.code,
        message: wait.message,
        since: Some(rfc3339(wait.since)),
        ends_on: wait.ends_on,
        wakes_at: wait.wakes_at.map(rfc3339),
        times_out_at: wait.times_out_at.map(rfc3339),
        nodes: keys(detail, &wait.nodes),
        node_count: wait.node_count,
        waits_for: keys(detail, &wait.waits_for),
        waits_for_count: wait.waits_for_count,
        workers: wait.queue.map(|queue| WorkersAnswer {
            queue: queue.to_string(),
            waiting_polls: 0,
            last_poll_at: None,
            ready: 0,
            running: 0,
            before: None,
            silent_engines: Vec::new(),
        }),
        environment: None,
        paused: Vec::new(),
        of: wait.nodes,
        may_be_paused,
    }
}

/// Of nodes that wait for workers: their queue, their kinds of work, their job's type.
fn may_be_paused(detail: &JobDetail, wait: &Wait) -> Vec<PauseTarget> {
    let Some(queue) = &wait.queue else { return Vec::new() };
    let plan = &detail.state.plan;
    let kinds: BTreeSet<PauseTarget> = wait
        .nodes
        .iter()
        .filter_map(|ix| plan.node(*ix).action_type.clone())
        .map(PauseTarget::ActionType)
        .collect();
    let job_type = plan.job_type.as_deref().map(|text| PauseTarget::JobType(Arc::from(text)));
    std::iter::once(PauseTarget::Queue(queue.clone())).chain(kinds).chain(job_type).collect()
}

fn ended_answer(detail: &JobDetail, ended: Ended) -> EndedAnswer {
    EndedAnswer {
        code: ended.code,
        message: ended.message,
        at: rfc3339(ended.at),
        error: ended.error.as_deref().map(JobErrorResource::from),
        because_of: keys(detail, &ended.because_of),
        because_of_count: ended.because_of_count,
    }
}

/// Of a job whose stream cannot be read. Why is in the log, and not for callers.
pub(super) fn unreadable(subject: &SubjectId, now: Millis) -> Explained {
    let code = WaitCode::Unreadable;
    let message = "what is stored of this job cannot be read; the engine's log says why (and the \
                   collection `quarantine` of a MongoDB database). All others go on";
    let wait = WaitAnswer {
        code,
        message: message.to_owned(),
        since: None,
        ends_on: code.ends_on(),
        wakes_at: None,
        times_out_at: None,
        nodes: Vec::new(),
        node_count: 0,
        waits_for: Vec::new(),
        waits_for_count: 0,
        attempts: Vec::new(),
        workers: None,
        environment: None,
        paused: Vec::new(),
        of: Vec::new(),
        may_be_paused: Vec::new(),
    };
    Explained {
        job_id: JobId(subject.id).to_string(),
        version: None,
        status: None,
        ending: None,
        node: None,
        waits: vec![wait],
        wait_count: 1,
        ended: None,
        next_due_at: None,
        deadline: None,
        as_of: rfc3339(now),
        group: subject.group(),
        memory: Memory::Unreadable,
    }
}
