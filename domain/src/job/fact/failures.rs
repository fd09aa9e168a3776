//! Facts of failures, however they were noticed, and of the waits that follow them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::{Epoch, Millis};
use crate::job::outcome::{JobError, PauseCause};
use crate::job::state::JobState;
use crate::job::story::{AttemptEnd, NodeStory};
use crate::job::undo::JobUndo;
use crate::node::attempt::{AttemptError, AttemptRef, ReportKind, RetryDue};
use crate::node::change::NodeChange;
use crate::node::status::NodeStatus;
use crate::payload::{Hash, Payload};
use crate::planted::{self, Planted};

/// What failed, and which waits for another attempt are over.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureFact {
    /// An attempt failed, by report.
    Failed(Box<AttemptFailure>),
    /// A lease ran out; the outcome is unknown.
    LeaseExpired(Box<AttemptFailure>),
    /// An attempt ran longer than it may.
    AttemptTimedOut(Box<AttemptFailure>),
    /// Retry waits are over.
    RetriesDue,
    /// Nodes waited too long for a worker, or passed their total time.
    NodesTimedOut {
        /// `timeout.queue` or `timeout.total`.
        class: String,
    },
}

/// A failed attempt, however it was noticed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AttemptFailure {
    /// The attempt that ended.
    pub attempt: AttemptRef,
    /// What went wrong.
    pub error: AttemptError,
    /// When it is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryDue>,
    /// Why it is tried again or not.
    pub verdict: String,
    /// Of the report, to know it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Hash>,
    /// The attempt may have had its effect and must not run again by itself: the node waits, the job is paused.
    #[serde(default, skip_serializing_if = "is_false")]
    pub outcome_unknown: bool,
    /// Its executions are used up, and its policy leaves it to a person: the node waits, the job is paused.
    #[serde(default, skip_serializing_if = "is_false")]
    pub exhausted: bool,
    /// There would have been another execution, had there been executions or time left; whatever follows from that.
    #[serde(default, skip_serializing_if = "is_false")]
    pub used_up: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_false(value: &bool) -> bool {
    !*value
}

impl FailureFact {
    /// The attempt that failed, if it is about one.
    pub fn failure(&self) -> Option<&AttemptFailure> {
        match self {
            Self::Failed(failure)
            | Self::LeaseExpired(failure)
            | Self::AttemptTimedOut(failure) => Some(failure),
            Self::RetriesDue | Self::NodesTimedOut { .. } => None,
        }
    }

    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Failed(_) => "node_failed",
            Self::LeaseExpired(_) => "lease_expired",
            Self::AttemptTimedOut(_) => "attempt_timed_out",
            Self::RetriesDue => "retries_due",
            Self::NodesTimedOut { .. } => "nodes_timed_out",
        }
    }

    pub(super) fn apply(&self, job: &mut JobState, nodes: &[NodeChange], undo: &mut JobUndo) {
        match self {
            Self::Failed(failure) => {
                if let Some(report) = failure.report {
                    job.mark_report(failure.attempt, ReportKind::Fail, report, undo);
                }
                fail(job, failure, undo);
            }
            Self::LeaseExpired(failure) | Self::AttemptTimedOut(failure) => {
                fail(job, failure, undo);
                if planted::on(Planted::EpochResetOnExpiry) {
                    job.node_mut(failure.attempt.node, undo).epoch = Epoch::default();
                }
            }
            Self::RetriesDue => {}
            Self::NodesTimedOut { class } => {
                for node in timed_out(nodes) {
                    let error = JobError::time_out(&job.plan, node, class);
                    job.note_failure(node, &error, undo);
                }
            }
        }
    }

    pub(super) fn tell(&self, stories: &mut [NodeStory], nodes: &[NodeChange], at: Millis) {
        match self {
            Self::Failed(failure) => tell_failure(stories, failure, at, "failed"),
            Self::LeaseExpired(failure) => tell_failure(stories, failure, at, "lease_expired"),
            Self::AttemptTimedOut(failure) => tell_failure(stories, failure, at, "timed_out"),
            Self::RetriesDue => {}
            Self::NodesTimedOut { class } => {
                // A node that waited too long has an error without an attempt.
                let error = Arc::new(AttemptError::time_out(class));
                for ix in timed_out(nodes) {
                    stories[ix as usize].error = Some(Arc::clone(&error));
                }
            }
        }
    }

    pub(super) fn about(&self) -> Option<(u32, Option<u32>)> {
        let attempt = self.failure()?.attempt;
        Some((attempt.node, Some(attempt.attempt)))
    }

    pub(super) fn refuses(&self, job: &JobState) -> Option<String> {
        let node = self.failure()?.attempt.node;
        let known = job.nodes.get(node as usize).is_some();
        (!known).then(|| format!("the job has no node {node}"))
    }

    pub(super) fn payloads<'a>(&'a self, named: &mut Vec<&'a Payload>) {
        named.extend(self.failure().and_then(|failure| failure.error.details.as_ref()));
    }
}

fn timed_out(nodes: &[NodeChange]) -> impl Iterator<Item = u32> + '_ {
    let changes = nodes.iter().filter(|change| change.to == NodeStatus::Timeout);
    changes.flat_map(|change| change.at.iter())
}

fn fail(job: &mut JobState, failure: &AttemptFailure, undo: &mut JobUndo) {
    let node = job.node_mut(failure.attempt.node, undo);
    // The next lease is another attempt. (A release gives the same one back, and goes on counting.)
    node.undelivered = 0;
    if failure.retry.is_some() || failure.outcome_unknown || failure.exhausted {
        job.hand_on_error(failure.attempt.node, &failure.error, undo);
    }
    let node = job.node_mut(failure.attempt.node, undo);
    match failure.retry {
        Some(retry) => {
            node.due = retry.due;
            node.last_wait_ms = u32::try_from(retry.wait_ms).unwrap_or(u32::MAX);
            job.head.retries += 1;
            if let Some(rule) = retry.rule {
                job.hand_on_rule(failure.attempt.node, rule, undo);
            }
        }
        None if failure.outcome_unknown => {
            job.head.pause_cause = Some(PauseCause::OutcomeUnknown);
        }
        None if failure.exhausted => {
            job.head.pause_cause = Some(PauseCause::RetriesExhausted);
            job.count_anew(failure.attempt.node, undo);
        }
        None => {
            let error = JobError::of_attempt(&job.plan, failure.attempt.node, &failure.error);
            job.note_failure(failure.attempt.node, &error, undo);
        }
    }
}

fn tell_failure(
    stories: &mut [NodeStory],
    failure: &AttemptFailure,
    at: Millis,
    outcome: &'static str,
) {
    let error = Arc::new(failure.error.clone());
    let story = &mut stories[failure.attempt.node as usize];
    story.error = Some(Arc::clone(&error));
    let end = AttemptEnd {
        at,
        outcome,
        error: Some(error),
        retry: failure.retry,
        verdict: Some(failure.verdict.clone()),
        outcome_unknown: failure.outcome_unknown,
    };
    story.end(failure.attempt, end);
}
