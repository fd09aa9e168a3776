//! The stories of nodes: what a job's state leaves out (attempts, outputs, errors, times), for people. Each fact tells
//! what it adds to them.
//! Absent on purpose: decisions. Nothing is decided from a story.

use std::sync::Arc;

use crate::exact_json::ExactJson;
use crate::ids::{ActionType, Epoch, Millis, WorkerName};
use crate::node::attempt::{AttemptError, AttemptRef, Heard, RetryDue};
use crate::payload::Payload;

/// What happened to one node.
#[derive(Debug, Clone, Default)]
pub struct NodeStory {
    /// In the order of their leases.
    pub attempts: Vec<AttemptStory>,
    /// What was evaluated for it.
    pub input: Option<Payload>,
    /// Of the completed attempt.
    pub output: Option<Payload>,
    /// What the worker wanted people to see.
    pub warnings: Vec<String>,
    /// What the worker left elsewhere.
    pub artifacts: Vec<ExactJson>,
    /// Of the newest attempt that failed, or of the node's own time-out.
    pub error: Option<Arc<AttemptError>>,
    /// When it settled, while it is.
    pub settled_at: Option<Millis>,
}

/// What happened to one attempt.
#[derive(Debug, Clone)]
pub struct AttemptStory {
    /// Counted from 1; one that is given back is not counted, and its number comes again.
    pub attempt: u32,
    /// The fencing token.
    pub epoch: Epoch,
    /// Who had it.
    pub worker: WorkerName,
    /// Length of its lease, milliseconds.
    pub lease_ms: u64,
    /// When it was leased.
    pub started_at: Millis,
    /// What its newest heartbeats said, as far as events have it.
    pub heard: Option<Box<Heard>>,
    /// How and when it ended.
    pub end: Option<AttemptEnd>,
    /// Reports that came too late, kept as evidence.
    pub late_reports: u32,
}

/// How an attempt ended.
#[derive(Debug, Clone)]
pub struct AttemptEnd {
    pub at: Millis,
    /// `completed`, `failed`, `lease_expired`, `timed_out`, `released` or `revoked`.
    pub outcome: &'static str,
    /// What went wrong.
    pub error: Option<Arc<AttemptError>>,
    /// When it is tried again.
    pub retry: Option<RetryDue>,
    /// Why it is tried again or not.
    pub verdict: Option<String>,
    /// It may have had its effect.
    pub outcome_unknown: bool,
}

/// A measured execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measured {
    /// Of what kind of work.
    pub action_type: Option<ActionType>,
    /// How long it took, milliseconds.
    pub duration_ms: u64,
}

impl NodeStory {
    /// Ends an attempt; answers when it had started.
    pub(crate) fn end(&mut self, of: AttemptRef, end: AttemptEnd) -> Option<Millis> {
        let attempt = self.attempts.iter_mut().rev().find(|attempt| attempt.epoch == of.epoch)?;
        attempt.end = Some(end);
        Some(attempt.started_at)
    }

    /// Heartbeats of an attempt said this.
    pub(crate) fn hear(&mut self, heard: &Heard) {
        let attempt = self.attempts.iter_mut().rev().find(|one| one.epoch == heard.epoch);
        let Some(attempt) = attempt else { return };
        match &mut attempt.heard {
            Some(before) => before.go_on_with(heard),
            none => *none = Some(Box::new(heard.clone())),
        }
    }

    /// The node is not running any more: an attempt without a report was revoked.
    pub(crate) fn end_open(&mut self, at: Millis) {
        if let Some(attempt) = self.attempts.last_mut().filter(|attempt| attempt.end.is_none()) {
            let end = AttemptEnd { outcome_unknown: true, ..AttemptEnd::plain(at, "revoked") };
            attempt.end = Some(end);
        }
    }
}

impl AttemptEnd {
    pub(crate) fn plain(at: Millis, outcome: &'static str) -> Self {
        Self { at, outcome, error: None, retry: None, verdict: None, outcome_unknown: false }
    }
}
