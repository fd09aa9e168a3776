//! Why a job or a node does not go on, as it is answered and as the document describes it: the texts are made by
//! `services::queries`, and a test over the running API holds the two together; who drives the job is added (`driving`).

use std::collections::BTreeMap;

use domain::job::explain::{EndCode, EndsOn, WaitCode};
use serde::Serialize;
use utoipa::ToSchema;

use super::driving::DrivingAnswer;
use super::job_answer::{ErrorAnswer, JobStatusWord};
use super::job_details::NodeStatusWord;
use crate::services::driver::Seen;
use crate::services::queries::Explained;

/// Why it does not go on.
#[derive(Debug, Serialize)]
pub struct ExplainedAnswer {
    #[serde(flatten)]
    explained: Explained,
    driving: DrivingAnswer,
}

impl ExplainedAnswer {
    /// With who drives it. `alone`: there are no other engines, and no lease counts.
    pub fn of(explained: Explained, seen: &Seen, alone: bool) -> Self {
        let driving = DrivingAnswer::of(explained.group, explained.memory, seen, alone);
        Self { explained, driving }
    }

    /// The version that is explained; none: it cannot be read.
    pub fn version(&self) -> Option<u64> {
        self.explained.version
    }
}

/// Why it does not go on, as the document describes it.
#[derive(Debug, ToSchema)]
#[schema(as = Explanation)]
pub struct ExplainedSchema {
    #[schema(format = "uuid")]
    pub job_id: String,
    /// The version that is explained; null: it cannot be read.
    pub version: Option<u64>,
    pub status: Option<JobStatusWord>,
    /// The state to come.
    pub ending: Option<JobStatusWord>,
    /// The node that is explained; null: the job as a whole.
    pub node: Option<NodeStandsSchema>,
    /// What is waited for, at most 50: the job's own wait first. Empty when it has ended.
    pub waits: Vec<WaitSchema>,
    /// How many waits there are.
    pub wait_count: usize,
    /// How it ended, when it has.
    pub ended: Option<EndedSchema>,
    /// When something of the job is due by itself; null: only an event moves it.
    #[schema(format = "date-time")]
    pub next_due_at: Option<String>,
    /// When the job is over at the latest (timeout_ms).
    #[schema(format = "date-time")]
    pub deadline: Option<String>,
    #[schema(format = "date-time")]
    pub as_of: String,
    pub driving: DrivingAnswer,
}

/// The node that is explained.
#[derive(Debug, ToSchema)]
#[schema(as = ExplainedNode)]
pub struct NodeStandsSchema {
    pub key: String,
    pub status: NodeStatusWord,
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
#[derive(Debug, ToSchema)]
#[schema(as = Wait)]
pub struct WaitSchema {
    #[schema(value_type = WaitCodeWord)]
    pub code: WaitCode,
    /// In words.
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
    pub attempts: Vec<AttemptRunningSchema>,
    /// Of `worker`: who asks for work there.
    pub workers: Option<WorkersSchema>,
    /// Of `grant`: how the environment stands.
    pub environment: Option<GrantSchema>,
}

/// Why something waits.
#[derive(Debug, ToSchema)]
#[schema(as = WaitCode, rename_all = "snake_case")]
pub enum WaitCodeWord {
    Unreadable,
    ScheduledStart,
    ManualStart,
    Grant,
    Paused,
    Ending,
    OutcomeUnknown,
    Attempt,
    Worker,
    Retry,
    Place,
    Blocked,
    Parents,
}

/// The event that ends a wait.
#[derive(Debug, ToSchema)]
#[schema(as = EndsOn, rename_all = "snake_case")]
pub enum EndsOnWord {
    Time,
    Start,
    Grant,
    Resume,
    Report,
    Lease,
    Place,
    Parents,
    JobEnd,
    Repair,
}

/// A running attempt.
#[derive(Debug, ToSchema)]
#[schema(as = RunningAttempt)]
pub struct AttemptRunningSchema {
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
}

/// A queue, as all living engines see it.
#[derive(Debug, ToSchema)]
#[schema(as = QueueNow)]
pub struct WorkersSchema {
    /// Its name.
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
#[derive(Debug, ToSchema)]
#[schema(as = GrantWait)]
pub struct GrantSchema {
    /// Its name.
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
    pub asks: Option<AsksSchema>,
}

/// Jobs that ask an environment.
#[derive(Debug, ToSchema)]
#[schema(as = GrantAsks)]
pub struct AsksSchema {
    /// How many.
    pub waiting: u64,
    /// How many of them are served before this one.
    pub before: Option<u64>,
}

/// How it ended.
#[derive(Debug, ToSchema)]
#[schema(as = ExplainedEnd)]
pub struct EndedSchema {
    #[schema(value_type = EndCodeWord)]
    pub code: EndCode,
    /// In words.
    pub message: String,
    #[schema(format = "date-time")]
    pub at: String,
    /// What went wrong, of a job.
    pub error: Option<ErrorAnswer>,
    /// Keys of the nodes because of which, at most 20.
    pub because_of: Vec<String>,
    /// How many they are.
    pub because_of_count: usize,
}

/// How something ended.
#[derive(Debug, ToSchema)]
#[schema(as = EndCode, rename_all = "snake_case")]
pub enum EndCodeWord {
    Completed,
    Failed,
    FailFast,
    ConditionNotMet,
    TimedOut,
    Cancelled,
    Aborted,
    Skipped,
    Blocked,
}
