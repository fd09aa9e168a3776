//! How the job ends with this event, if it does: because its end is decided and nothing runs any more, or because every
//! node has settled.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::value::RawValue;

use super::Draft;
use crate::ids::Millis;
use crate::job::outcome::{Ending, JobEnd, JobError};
use crate::job::spec::CompleteWhen;
use crate::job::state::SINK_BYTES_MAX;
use crate::job::status::JobStatus;
use crate::node::status::NodeStatus;
use crate::payload::Payload;
use crate::planted::{self, Planted};

impl Draft<'_> {
    /// Decides that the job ends: what has not started is cancelled, what runs may go on until the grace is over.
    pub(in crate::job::decide) fn decide_ending(&mut self, to: JobStatus, grace_ms: Millis) {
        for ix in (0u32..).take(self.state.nodes.len()) {
            let status = self.node_status(ix);
            if status == NodeStatus::Ready && planted::on(Planted::CancelLeavesReady) {
                continue;
            }
            if status != NodeStatus::Running && !status.is_settled() {
                self.move_node_alone(ix, NodeStatus::Cancelled);
            }
        }
        let until = match self.state.head.ending {
            Some(_) => self.state.head.ending_until,
            None => self.now.saturating_add(grace_ms),
        };
        self.ending = Some(Ending { to, until });
    }

    /// Fills places, and ends the job when it is settled or its ending has nothing left to wait for.
    pub(super) fn settle(&mut self) {
        self.fill_places();
        if let Some(to) = self.ending_to() {
            if self.running() == 0 {
                // The table has no row from paused to failed: the job goes back to where it was first.
                if let Some(back) =
                    self.state.head.paused_from.filter(|_| !self.status.may_become(to))
                {
                    self.move_job(back);
                }
                self.move_job(to);
                self.end = Some(end_of(self, to));
                self.ending = None;
            }
            return;
        }
        let at_work = [
            NodeStatus::Ready,
            NodeStatus::Running,
            NodeStatus::Waiting,
            NodeStatus::Retrying,
            NodeStatus::Compensating,
        ];
        let busy = at_work.into_iter().any(|status| self.count(status) > 0);
        let offers = matches!(self.status, JobStatus::Scheduled | JobStatus::Running);
        if !busy
            && offers
            && self.newly_held.is_empty()
            && self.state.held.len() == self.unheld.len()
        {
            let counts = Tally {
                total: self.state.nodes.len(),
                completed: self.count(NodeStatus::Completed) as usize,
                failed_required: self.failed_required as usize,
                left_pending: self.count(NodeStatus::Pending) as usize,
            };
            let to = if succeeds(self.state.plan.complete_when, &counts) {
                JobStatus::Completed
            } else {
                JobStatus::Failed
            };
            self.move_job(to);
            self.end = Some(end_of(self, to));
        }
    }

    /// The error that a time-out of one of these nodes gives the job.
    pub(in crate::job::decide) fn note_time_out(&mut self, nodes: &[u32], class: &str) {
        let timed_out = |ix: &&u32| {
            self.node_status(**ix) == NodeStatus::Timeout && self.state.is_required(**ix)
        };
        if let Some(first) = nodes.iter().filter(timed_out).min() {
            self.new_error = Some(JobError::time_out(&self.state.plan, *first, class));
        }
    }
}

/// What the success condition looks at.
#[derive(Debug, Clone, Copy)]
struct Tally {
    total: usize,
    completed: usize,
    failed_required: usize,
    left_pending: usize,
}

/// Whether a settled job completed.
fn succeeds(condition: CompleteWhen, tally: &Tally) -> bool {
    // Completed means that every node settled: one that is blocked for good makes the job fail.
    if tally.left_pending > 0 {
        return false;
    }
    match condition {
        CompleteWhen::All => tally.failed_required == 0,
        CompleteWhen::Any => tally.completed >= 1,
        CompleteWhen::AtLeast(least) => tally.completed >= least as usize,
        CompleteWhen::TolerateCount(most) => tally.failed_required <= most as usize,
        CompleteWhen::TolerateAtMostPercent(most) => {
            tally.failed_required * 100 <= usize::from(most) * tally.total
        }
    }
}

/// Output and error of a job that ends now.
fn end_of(draft: &mut Draft<'_>, to: JobStatus) -> JobEnd {
    match to {
        JobStatus::Completed => JobEnd { output: output_of(draft), error: None },
        JobStatus::Failed => {
            let state = draft.state;
            let error = state.head.first_error.clone().or_else(|| draft.new_error.clone());
            let unmet = || {
                error_of(
                    "condition",
                    "ConditionNotMet",
                    "the job's success condition does not hold",
                )
            };
            JobEnd { output: None, error: Some(error.unwrap_or_else(unmet)) }
        }
        JobStatus::Timeout => {
            let error = error_of("timeout.job", "JobTimeout", "the job's deadline passed");
            JobEnd { output: None, error: Some(error) }
        }
        JobStatus::Pending
        | JobStatus::Queued
        | JobStatus::Scheduled
        | JobStatus::Running
        | JobStatus::Paused
        | JobStatus::Cancelled
        | JobStatus::Retrying
        | JobStatus::Recovering
        | JobStatus::Aborted => JobEnd::default(),
    }
}

fn error_of(class: &str, error_type: &str, message: &str) -> Arc<JobError> {
    Arc::new(JobError {
        node: None,
        class: class.to_owned(),
        error_type: error_type.to_owned(),
        message: message.to_owned(),
    })
}

/// The declared output; else that of the one node without children, or of all of them by key when they are small.
fn output_of(draft: &mut Draft<'_>) -> Option<Payload> {
    let state = draft.state;
    if let Some(output) = &state.plan.output {
        return Some(output.clone());
    }
    let old = state.sinks.iter().map(|(node, output)| (*node, output.kept()));
    let new = draft.new_sink.as_ref().map(|(node, output)| (*node, Some(output)));
    let outputs: BTreeMap<u32, Option<&Payload>> = old.chain(new).collect();
    let nodes = &state.plan.nodes;
    let sinks =
        (0u32..).take(nodes.len()).filter(|ix| state.plan.graph.children(*ix).is_empty()).count();
    if sinks == 1 {
        return outputs.into_values().next().flatten().cloned();
    }
    let new_sink = draft.new_sink.as_ref();
    let bytes = new_sink
        .map_or(state.head.sink_bytes, |(node, output)| state.sink_bytes_with(*node, output.len()));
    if bytes > SINK_BYTES_MAX {
        return None;
    }
    let mut text = String::from("{");
    for (node, output) in outputs {
        let Some(Payload::Inline(raw)) = output else { return None };
        if text.len() > 1 {
            text.push(',');
        }
        // Keys are of an alphabet that needs no escaping.
        let _ = write!(text, "\"{}\":{}", nodes[node as usize].key, raw.get());
    }
    text.push('}');
    RawValue::from_string(text).ok().map(|raw| Payload::new(raw, &mut draft.payloads))
}
