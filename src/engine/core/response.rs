//! What the core answers: subjects as they are shown, granted leases, queues and workers, and why there is no answer.
//! Like what is asked, it has a JSON for the way from another engine.

use std::sync::Arc;

use domain::ids::{ActionType, LeaseId, Millis, Namespace, NodePath, QueueName, WorkerName};
use domain::node::attempt::{AttemptError, AttemptRef, Heard};
use domain::payload::Payload;
use domain::refusal::Refusal;
use domain::subject::answer::Answer;
use serde::{Deserialize, Serialize};

use crate::engine::core::kinds::{InTable, Shown};
use crate::membership::contract::EngineId;

/// A granted lease.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Granted {
    pub lease: LeaseId,
    pub namespace: Namespace,
    /// What is to be done.
    pub work: Work,
    /// Counted from 1.
    pub attempt: u32,
    /// The job's run, counted from 1: what the node does in it is done once, however many attempts it takes.
    pub run: u32,
    /// On the engine's clock.
    pub expires_at: Millis,
    /// Length in milliseconds.
    pub lease_ms: u64,
    /// W3C trace id of the job.
    pub trace_id: Arc<str>,
}

/// What a worker is told of a granted node. By itself: a job's plan may grow before the answer with the lease is written.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Work {
    /// Where the node stands in its job.
    pub node: NodePath,
    /// What kind of work it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action_type: Option<ActionType>,
    /// JSON text as it was received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Payload>,
    /// What went wrong in the newest attempt before this one, if one failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Arc<AttemptError>>,
    /// What the newest heartbeat said before this attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Payload>,
    /// The number of the last attempt that the policy of its failures allows.
    pub max_attempts: u32,
    /// When the attempt is over at the latest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Millis>,
}

impl Work {
    /// Bytes of JSON that it puts into an answer, about.
    pub(crate) fn bytes(&self) -> u64 {
        let payloads = [&self.input, &self.details].into_iter().flatten();
        payloads.map(Payload::len).sum::<u64>()
            + self.previous.as_ref().map_or(0, |error| error.bytes())
    }
}

/// A queue as its driver sees it. Volatile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueFacts {
    pub queue: QueueName,
    pub ready: u64,
    /// Attempts leased from it that run.
    pub running: u64,
    /// Since when the node that waits longest does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_ready_at: Option<Millis>,
    /// Requests parked at it.
    pub waiting_polls: u64,
    /// When a worker asked last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_poll_at: Option<Millis>,
}

/// A worker as its driver sees it. Volatile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerFacts {
    pub worker: WorkerName,
    /// Where it asked.
    pub queues: Vec<QueueName>,
    /// When it asked last.
    pub last_poll_at: Millis,
    /// Attempts it was given since this engine started.
    pub leased: u64,
}

/// What an engine keeps of a subject beside its state. Volatile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SubjectInspection {
    /// The engine that says so, under the number of its core.
    pub by: EngineId,
    /// It drives the subject: only then does the rest say more than nothing.
    pub drives: bool,
    /// Whether it is in memory.
    pub held: Held,
    /// When the leases of running nodes run out, by position, unless heartbeats push them on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leases: Vec<(u32, Millis)>,
    /// What running attempts said in heartbeats since the job's newest event.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub heard: Vec<Heard>,
    /// How many nodes are served before an offered one, by position.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<(u32, u64)>,
    /// Of an environment: who asks it for grants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asks: Option<Asks>,
}

/// Whether a subject is in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Held {
    /// It is not: it is parked, retired, or not known here.
    Absent,
    /// Its stream is being read.
    Loading,
    Whole,
    /// Its stream cannot be read.
    Damaged,
}

/// Who asks an environment for grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asks {
    /// How many jobs.
    pub waiting: u64,
    /// How many of them are served before the job in question; none: it does not ask, or has not yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// It is not known whether the change is durable; it will be settled.
    OutcomeUnknown,
    /// The store cannot be reached.
    Unavailable,
    /// There is no room for more.
    Full,
    /// Too much is waiting.
    Overloaded,
    /// The view is too far behind for new jobs.
    ViewBehind,
    /// What is stored of this subject cannot be read; it is parked with this reason.
    Damaged(String),
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Response {
    /// To a command; with the subject as that command left it, where somebody will show it.
    Command {
        /// What it came to.
        answer: Answer,
        /// The subject right after.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        shown: Option<Shown>,
    },
    /// The rules say no.
    Refused(Refusal),
    /// Attempts, perhaps none.
    Leases(Vec<Granted>),
    /// The attempt is kept.
    Heartbeat {
        expires_at: Millis,
        /// The next heartbeat is due after so many milliseconds.
        heartbeat_ms: u64,
        /// The worker should stop.
        cancel: bool,
    },
    /// The subject, if there is one.
    Read(Option<Shown>),
    /// A part of the queues of a namespace, by name.
    Queues {
        facts: Vec<QueueFacts>,
        /// How many there are at this engine.
        known: u64,
    },
    /// A part of the workers of a namespace, by name.
    Workers {
        facts: Vec<WorkerFacts>,
        /// How many there are at this engine.
        known: u64,
    },
    /// What is kept of a subject.
    Inspection(SubjectInspection),
    Failed(Failure),
}

impl Response {
    /// The subject right after a command, where it is shown and of this kind; the response itself otherwise.
    pub(in crate::engine) fn into_shown<K: InTable>(self) -> Result<K::Shown, Self> {
        if let Self::Command { answer, shown: Some(shown) } = self {
            K::from_shown(shown).ok_or(Self::Command { answer, shown: None })
        } else {
            Err(self)
        }
    }

    /// The attempts that a command leased; none where it leased nothing, or was none.
    pub(crate) fn into_leased(self) -> Vec<AttemptRef> {
        if let Self::Command { answer: Answer::Leased(attempts), .. } = self {
            attempts
        } else {
            Vec::new()
        }
    }
}
