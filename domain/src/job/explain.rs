//! Why a job, or one node of it, does not go on: concrete waits, each with the event or the time that ends it, and how it
//! ended when it has. A pure function of the state.
//! Invariant: a job that is not over has a wait that is somebody's or the clock's to end, not only one for other nodes
//! (`every_step_of_a_random_tree_agrees_with_the_model`, and the simulation at every look).
//! Absent on purpose: what only an engine knows (who drives it, who polls, when leases run out) and any present time.

mod blocked;
mod ended;
mod waits;
mod words;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::{Millis, QueueName};
use crate::job::due;
use crate::job::outcome::JobError;
use crate::job::state::JobState;

/// Nodes that a wait names at most; it counts all.
pub const NODES_NAMED_MAX: usize = 20;
/// Waits that an explanation spells out at most; it counts all. Only a job with as many queues has more.
pub const WAITS_MAX: usize = 50;

/// Why something waits. A word is stable for ever; the order is that in which people want to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitCode {
    /// What is stored of the job cannot be read. Said by the engine, never by the state.
    Unreadable,
    /// The job starts at a time.
    ScheduledStart,
    /// The job starts when somebody says so.
    ManualStart,
    /// The job's environment has not granted what it asks for.
    Grant,
    /// The job is paused.
    Paused,
    /// The job's end is decided, and running attempts may still report.
    Ending,
    /// The outcome of an attempt of a node that runs at most once is unknown.
    OutcomeUnknown,
    /// Executions of a node are used up, and its policy leaves it to a person.
    Exhausted,
    Attempt,
    /// Nodes are offered, and no worker has leased them.
    Worker,
    /// Failed nodes are tried again at a time.
    Retry,
    /// Workers gave nodes back until a time.
    Delay,
    /// Nodes could start, and as many as may are ready or running (`max_parallel`).
    Place,
    /// What nodes read is being fetched, and their expressions evaluated.
    Evaluating,
    /// Nodes can no longer start by themselves, because of how others ended.
    Blocked,
    /// Nodes wait for others to end.
    Parents,
    /// Groups wait for their members.
    Members,
    /// Members wait for their group to start.
    Group,
    /// Cleanups wait for the end of their job.
    Cleanup,
}

/// What ends a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndsOn {
    /// The time `wakes_at`.
    Time,
    /// Somebody starts the job.
    Start,
    /// The environment grants.
    Grant,
    /// Somebody resumes the job.
    Resume,
    /// A worker reports, or its lease runs out.
    Report,
    /// A worker leases it.
    Lease,
    /// Another node of the job settles and leaves its place.
    Place,
    /// The nodes that come before have ended.
    Parents,
    /// The job ends.
    JobEnd,
    /// The stored stream is mended.
    Repair,
    /// The engine has evaluated the expressions.
    Evaluation,
    /// The members of the group have ended, or its condition is decided.
    Members,
    /// The group that it is a member of starts.
    Group,
}

/// One thing that is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    pub code: WaitCode,
    /// The reason in words, for people.
    pub message: String,
    /// Since when; of several nodes, the one that waits longest.
    pub since: Millis,
    /// The event that ends it.
    pub ends_on: EndsOn,
    /// When it ends by itself; of several nodes, the first.
    pub wakes_at: Option<Millis>,
    /// When it is given up; of several nodes, the first.
    pub times_out_at: Option<Millis>,
    /// Who waits, by position, the first [`NODES_NAMED_MAX`]; none: the job as a whole.
    pub nodes: Vec<u32>,
    /// How many do.
    pub node_count: usize,
    /// The nodes that it waits for or is kept by, the first [`NODES_NAMED_MAX`], where one node is explained.
    pub waits_for: Vec<u32>,
    /// How many they are.
    pub waits_for_count: usize,
    /// Where they are offered.
    pub queue: Option<QueueName>,
}

/// How something ended. A word is stable for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndCode {
    /// The job's success condition holds, or the node's outcome is recorded.
    Completed,
    /// A node that is not optional failed or timed out; or the node's last execution failed.
    Failed,
    /// The first failure of a node that is not optional ended the job.
    FailFast,
    /// No such node failed, and the success condition does not hold.
    ConditionNotMet,
    /// The job's deadline, or a time-out of the node, passed.
    TimedOut,
    /// By request; or, of a node, because its job ended.
    Cancelled,
    Aborted,
    /// The node never ran, because of how its parents ended.
    Skipped,
    /// The node never ran and is left behind by a job that is over.
    Blocked,
}

/// How something ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    pub code: EndCode,
    /// The reason in words, for people.
    pub message: String,
    pub at: Millis,
    /// What went wrong, of a job.
    pub error: Option<Arc<JobError>>,
    /// The nodes because of which, the first [`NODES_NAMED_MAX`].
    pub because_of: Vec<u32>,
    /// How many they are.
    pub because_of_count: usize,
}

/// Why a job or a node does not go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// What it waits for, at most [`WAITS_MAX`]; none when it has ended.
    pub waits: Vec<Wait>,
    /// How many waits there are.
    pub wait_count: usize,
    /// How it ended, when it has.
    pub ended: Option<Ended>,
}

/// Who brought a job to where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    pub at: Millis,
    pub actor: Arc<str>,
    /// Why, in words.
    pub reason: Option<String>,
}

impl JobState {
    /// Why the job does not go on. `turn`: who brought it to where it stands, when that is known.
    pub fn explain(&self, turn: Option<&Turn>) -> Explanation {
        if self.head.status.is_over() {
            return Explanation::of_end(ended::of_job(self, turn));
        }
        Explanation::of_waits(waits::of_job(self, turn))
    }

    /// Why one of its nodes does not go on: its own wait first, then, when it waits for others, theirs. None: there is no
    /// such node.
    pub fn explain_node(&self, ix: u32, turn: Option<&Turn>) -> Option<Explanation> {
        let node = self.nodes.get(ix as usize)?;
        if node.status.is_settled() || self.head.status.is_over() {
            return Some(Explanation::of_end(ended::of_node(self, ix)));
        }
        Some(Explanation::of_waits(waits::of_node(self, ix, turn)))
    }

    /// When the engine does something about the job by itself, at the latest; none: only an event moves it. Leases that
    /// run out are not known here.
    pub fn next_due(&self) -> Option<Millis> {
        let nodes = (0_u32..).take(self.nodes.len()).flat_map(|ix| due::node_dues(self, ix));
        let of_nodes = nodes.map(|(_, at)| at);
        of_nodes.chain(due::job_dues(self).earliest().map(|(_, at)| at)).min()
    }
}

impl Explanation {
    fn of_waits(mut waits: Vec<Wait>) -> Self {
        let wait_count = waits.len();
        waits.truncate(WAITS_MAX);
        Self { waits, wait_count, ended: None }
    }

    fn of_end(ended: Ended) -> Self {
        Self { waits: Vec::new(), wait_count: 0, ended: Some(ended) }
    }
}

impl Wait {
    /// Of nobody and for nothing yet.
    fn of(code: WaitCode, since: Millis) -> Self {
        Self {
            code,
            message: String::new(),
            since,
            ends_on: code.ends_on(),
            wakes_at: None,
            times_out_at: None,
            nodes: Vec::new(),
            node_count: 0,
            waits_for: Vec::new(),
            waits_for_count: 0,
            queue: None,
        }
    }
}

impl WaitCode {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::ScheduledStart => "scheduled_start",
            Self::ManualStart => "manual_start",
            Self::Grant => "grant",
            Self::Paused => "paused",
            Self::Ending => "ending",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::Exhausted => "exhausted",
            Self::Attempt => "attempt",
            Self::Worker => "worker",
            Self::Retry => "retry",
            Self::Delay => "delay",
            Self::Place => "place",
            Self::Blocked => "blocked",
            Self::Evaluating => "evaluating",
            Self::Parents => "parents",
            Self::Members => "members",
            Self::Group => "group",
            Self::Cleanup => "cleanup",
        }
    }

    /// The event that ends such a wait.
    pub fn ends_on(self) -> EndsOn {
        match self {
            Self::Unreadable => EndsOn::Repair,
            Self::ScheduledStart | Self::Retry | Self::Delay => EndsOn::Time,
            Self::ManualStart => EndsOn::Start,
            Self::Grant => EndsOn::Grant,
            Self::Paused | Self::OutcomeUnknown | Self::Exhausted => EndsOn::Resume,
            Self::Ending | Self::Attempt => EndsOn::Report,
            Self::Worker => EndsOn::Lease,
            Self::Place => EndsOn::Place,
            Self::Evaluating => EndsOn::Evaluation,
            Self::Members => EndsOn::Members,
            Self::Group => EndsOn::Group,
            Self::Blocked | Self::Cleanup => EndsOn::JobEnd,
            Self::Parents => EndsOn::Parents,
        }
    }

    /// Whether somebody outside, or the clock, ends it; else other nodes of the job do, which wait for something
    /// themselves.
    pub fn is_concrete(self) -> bool {
        !matches!(
            self,
            Self::Place
                | Self::Blocked
                | Self::Parents
                | Self::Members
                | Self::Group
                | Self::Cleanup
        )
    }
}
