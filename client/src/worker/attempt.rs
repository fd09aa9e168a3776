//! What a worker does with one attempt: the trait that commands, sleep runners and tests implement, and the words
//! that pass between them and the lease loop.
//!
//! Invariant: every attempt that was begun ends in exactly one [`AttemptOutcome`], also when it was told to stop; the
//! lease loop turns a panic into one. Absent: the network; an attempt never talks to the engine itself.

use std::future::Future;

use serde_json::value::RawValue;
use tokio::sync::watch;

use crate::api::shapes::{AttemptErrorShape, Lease, PreviousShape};

/// One execution of a node, as the engine handed it out.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The right to it, with its fencing token inside.
    pub lease: String,
    /// The job it belongs to.
    pub job_id: String,
    /// The node's key.
    pub node: String,
    /// Counted from 1.
    pub number: u64,
    /// Equal for every attempt of the node in one run of its job: what makes the effects of the work happen once.
    pub idempotency_key: String,
    /// Names this attempt alone, for logs and traces.
    pub key: String,
    /// `do`, or `undo` for a compensation.
    pub kind: String,
    /// What kind of work the caller named.
    pub action_type: Option<String>,
    /// The node's input; `null` when it has none.
    pub input: Box<RawValue>,
    /// What went wrong in the attempt before, if one failed.
    pub previous: Option<PreviousShape>,
    /// The number of the last attempt that the retry policy allows.
    pub max_attempts: Option<u64>,
    /// When it is over at the latest, RFC 3339.
    pub deadline: Option<String>,
    /// What was said of the node in a heartbeat before.
    pub details: Option<Box<RawValue>>,
    /// The W3C trace context of the attempt.
    pub trace: Option<String>,
}

impl From<Lease> for Attempt {
    fn from(lease: Lease) -> Self {
        Self {
            lease: lease.id,
            job_id: lease.job_id,
            node: lease.node,
            number: lease.attempt,
            idempotency_key: lease.idempotency_key,
            key: lease.attempt_key,
            kind: lease.kind,
            action_type: lease.action_type,
            input: lease.input.unwrap_or_else(|| RawValue::NULL.to_owned()),
            previous: lease.previous,
            max_attempts: lease.max_attempts,
            deadline: lease.deadline,
            details: lease.details,
            trace: lease.trace,
        }
    }
}

/// Why an attempt is to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// The engine wants it cancelled; it may still report within the engine's grace.
    Cancelled,
    /// The lease is another's now: nothing that is reported counts.
    Lost,
    /// The worker itself is going away; unfinished work is given back.
    Leaving,
}

/// Tells an attempt to stop.
#[derive(Debug, Clone)]
pub struct StopSignal(watch::Receiver<Option<StopReason>>);

impl StopSignal {
    /// A signal and the sender that raises it.
    pub fn pair() -> (watch::Sender<Option<StopReason>>, Self) {
        let (sender, receiver) = watch::channel(None);
        (sender, Self(receiver))
    }

    /// Waits until the attempt is to stop. Never ends when it is not.
    pub async fn requested(&mut self) -> StopReason {
        loop {
            if let Some(reason) = *self.0.borrow_and_update() {
                return reason;
            }
            if self.0.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

/// How an attempt ended.
#[derive(Debug)]
pub enum AttemptOutcome {
    Completed {
        /// What came of it.
        output: Box<RawValue>,
        /// The end of what a command wrote to standard error.
        stderr: Option<String>,
    },
    Failed(AttemptErrorShape),
    /// It was not finished: it is given back, not counted.
    Released,
    /// It cannot be done yet, by its own word: it is given back for a time, not counted.
    Postponed {
        after_ms: u64,
    },
    /// Its lease was lost: there is nothing to say.
    Abandoned,
    /// This host could not run it, for a reason that says nothing of the node: it is given back, not counted, and
    /// the worker rests before it takes more.
    HostFault(String),
}

impl AttemptOutcome {
    /// A success that has nothing to say beside its output.
    pub fn completed(output: Box<RawValue>) -> Self {
        Self::Completed { output, stderr: None }
    }

    /// The outcome of an attempt that was stopped before it came to an end of its own.
    pub fn of_stop(reason: StopReason) -> Self {
        match reason {
            StopReason::Leaving => Self::Released,
            StopReason::Lost => Self::Abandoned,
            StopReason::Cancelled => Self::Failed(AttemptErrorShape {
                kind: "cancelled".to_owned(),
                message: "stopped because the engine asked for it".to_owned(),
                class: "cancelled".to_owned(),
                ..AttemptErrorShape::default()
            }),
        }
    }
}

pub trait RunAttempt: Send + Sync + 'static {
    /// Runs one attempt to its end. When `stop` is raised it ends soon, leaving nothing running behind.
    fn run(
        &self,
        attempt: Attempt,
        stop: StopSignal,
    ) -> impl Future<Output = AttemptOutcome> + Send;
}
