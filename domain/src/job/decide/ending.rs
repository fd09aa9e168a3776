//! How jobs end: by request, by deadline, by the first failure, or settled. An ending gives way only to a stronger one.

use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::value::RawValue;

use crate::job::decide::Decision;
use crate::job::decide::admission::wrong_state;
use crate::job::decide::draft::Draft;
use crate::job::fact::EndingFact;
use crate::job::outcome::{EndingCause, JobEnd, JobError};
use crate::job::spec::CompleteWhen;
use crate::job::state::JobState;
use crate::job::status::JobStatus;
use crate::node::status::NodeStatus;
use crate::payload::Payload;
use crate::refusal::Refusal;
use crate::subject::answer::Answer;
use crate::subject::context::Context;

/// Cancel is recorded at once. Asked again it changes nothing.
pub(super) fn cancel(
    state: &JobState,
    reason: Option<&str>,
    context: &Context,
) -> Result<Decision, Refusal> {
    let status = state.head.status;
    if status == JobStatus::Cancelled || state.head.ending == Some(JobStatus::Cancelled) {
        return Ok(Decision::unchanged(Answer::Done { seq: state.head.seq }));
    }
    let weaker = state
        .head
        .ending
        .is_none_or(|to| to.ending_strength() < JobStatus::Cancelled.ending_strength());
    if !status.may_become(JobStatus::Cancelled) || !weaker {
        return Err(wrong_state(state, "cancelled", JobStatus::sources_of(JobStatus::Cancelled)));
    }
    let mut draft = Draft::new(state, context.now);
    draft.decide_ending(JobStatus::Cancelled, context.grace_ms);
    let fact = EndingFact::EndingDecided { why: EndingCause::Requested };
    let (event, _) = draft.into_event(fact, context, reason);
    Ok(Decision::done(state, event))
}

/// The job's deadline has passed.
pub(super) fn deadline_passed(state: &JobState, context: &Context) -> Decision {
    let mut draft = Draft::new(state, context.now);
    draft.decide_ending(JobStatus::Timeout, context.grace_ms);
    let fact = EndingFact::EndingDecided { why: EndingCause::Deadline };
    let (event, _) = draft.into_event(fact, context, None);
    Decision::done(state, event)
}

/// The grace is over: what still runs is revoked, its outcome unknown.
pub(super) fn revoke(state: &JobState, context: &Context) -> Decision {
    let mut draft = Draft::new(state, context.now);
    for ix in (0u32..).take(state.nodes.len()) {
        if draft.node_status(ix) == NodeStatus::Running {
            draft.move_node_alone(ix, NodeStatus::Cancelled);
        }
    }
    let (event, _) = draft.into_event(EndingFact::Revoked, context, None);
    Decision::done(state, event)
}

/// What the success condition looks at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tally {
    pub(super) total: usize,
    pub(super) completed: usize,
    pub(super) failed_required: usize,
    pub(super) left_pending: usize,
}

/// Whether a settled job completed.
pub(super) fn succeeds(condition: CompleteWhen, tally: &Tally) -> bool {
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
pub(super) fn end_of(draft: &mut Draft<'_>, to: JobStatus) -> JobEnd {
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
    let outputs: std::collections::BTreeMap<u32, Option<&Payload>> = old.chain(new).collect();
    let nodes = &state.plan.nodes;
    let sinks =
        (0u32..).take(nodes.len()).filter(|ix| state.plan.graph.children(*ix).is_empty()).count();
    if sinks == 1 {
        return outputs.into_values().next().flatten().cloned();
    }
    let new_sink = draft.new_sink.as_ref();
    let bytes = new_sink
        .map_or(state.head.sink_bytes, |(node, output)| state.sink_bytes_with(*node, output.len()));
    if bytes > crate::job::state::SINK_BYTES_MAX {
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
