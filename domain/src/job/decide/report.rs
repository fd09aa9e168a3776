//! Reports of workers. A report counts only with the newest epoch of a running node, given in this incarnation; the
//! same report again gets the first answer again; the first stale one of an attempt is kept as evidence and changes
//! nothing else.

use crate::bounds;
use crate::ids::{Epoch, Millis};
use crate::job::apply::may_release_undelivered;
use crate::job::command::{Outcome, Report};
use crate::job::decide::decision::JobDecision;
use crate::job::decide::draft::Draft;
use crate::job::decide::failure::{self, Noticed};
use crate::job::decide::retrying::facts_of;
use crate::job::event::JobEvent;
use crate::job::fact::AttemptFact;
use crate::job::state::{JobState, NodeState, ReportMark};
use crate::node::attempt::AttemptRef;
use crate::node::hold::Hold;
use crate::node::status::NodeStatus;
use crate::payload::{Hash, Payload, PayloadBytes};
use crate::planted::{self, Planted};
use crate::refusal::Refusal;
use crate::subject::answer::Answer;
use crate::subject::context::Context;
use crate::subject::envelope::Envelope;

pub(super) fn report(
    state: &JobState,
    report: &Report,
    context: &Context,
) -> Result<JobDecision, Refusal> {
    let Some(node) = state.nodes.get(report.node as usize) else { return Err(Refusal::LeaseLost) };
    let fits = node.epoch == report.epoch || planted::on(Planted::CompletionNotFenced);
    let open = node.status == NodeStatus::Running
        || (node.status == NodeStatus::Cancelled
            && matches!(report.outcome, Outcome::Complete { .. })
            && planted::on(Planted::LateCompletionCounts));
    if open
        && fits
        && report.epoch != Epoch::default()
        && !report.epoch.is_void_in(context.incarnation)
    {
        return Ok(count(state, node, report, context));
    }
    let mark = ReportMark { kind: report.outcome.kind(), hash: report.hash.short() };
    match earlier_report(state, node, report) {
        Some(earlier) if earlier == mark => Ok(JobDecision::unchanged(Answer::RecordedBefore)),
        Some(_) => Err(Refusal::ReportedDifferently),
        None => stale(state, node, report, context),
    }
}

fn earlier_report(state: &JobState, node: &NodeState, report: &Report) -> Option<ReportMark> {
    if node.epoch == report.epoch {
        return node.report;
    }
    state.reports.get(&(report.node, report.epoch.0)).copied()
}

/// The first stale report of an attempt that was granted is written down; further ones are only refused.
fn stale(
    state: &JobState,
    node: &NodeState,
    report: &Report,
    context: &Context,
) -> Result<JobDecision, Refusal> {
    if !may_have_been_granted(state, report, node.epoch)
        || state.head.status.is_over()
        || state.late.contains(&(report.node, report.epoch.0))
    {
        return Err(Refusal::LeaseLost);
    }
    let fact = AttemptFact::LateReport {
        node: report.node,
        epoch: report.epoch,
        report: report.outcome.kind(),
        hash: report.hash,
    };
    let event = JobEvent::bare(Envelope::of(context, context.now, None), fact.into());
    Ok(JobDecision {
        event: Some(event),
        payloads: Vec::new(),
        answer: Answer::Refused(Refusal::LeaseLost),
    })
}

/// Epochs of one incarnation have no gaps, so those up to the newest were granted. Of an older incarnation nobody knows
/// (a restore may have forgotten some): a few are believed, so that made-up tokens cannot fill the stream.
fn may_have_been_granted(state: &JobState, report: &Report, newest: Epoch) -> bool {
    const OLDER_BELIEVED_MAX: usize = 16;
    let (incarnation, number) = (report.epoch.0 >> 32, report.epoch.0 & u64::from(u32::MAX));
    let newest_incarnation = newest.0 >> 32;
    if number == 0 || report.epoch > newest {
        return false;
    }
    incarnation == newest_incarnation || {
        let of_older = (report.node, 0)..(report.node, newest_incarnation << 32);
        state.late.range(of_older).count() < OLDER_BELIEVED_MAX
    }
}

fn count(state: &JobState, node: &NodeState, report: &Report, context: &Context) -> JobDecision {
    let attempt = AttemptRef { node: report.node, attempt: node.attempt, epoch: node.epoch };
    match &report.outcome {
        Outcome::Complete { output, warnings, artifacts } => {
            let mut draft = Draft::new(state, context);
            let output = output.clone().map(|raw| Payload::new(raw, &mut draft.payloads));
            if let Some(output) = &output {
                draft.gives(report.node, output);
            }
            draft.move_node(report.node, NodeStatus::Completed);
            let fact = AttemptFact::Completed {
                attempt,
                output,
                warnings: warnings.clone(),
                artifacts: artifacts.clone(),
                report: report.hash,
            };
            let (event, payloads) = draft.into_event(fact, context, None);
            JobDecision { event: Some(event), payloads, answer: Answer::Recorded }
        }
        Outcome::Fail { error, details } => {
            let mut payloads: Vec<PayloadBytes> = Vec::new();
            let mut error = error.clone();
            error.message = error.message.chars().take(bounds::ERROR_MESSAGE_CHARS_MAX).collect();
            if error.class.is_empty() {
                let class = facts_of(&error, true).known_class().to_owned();
                error.class = class;
            }
            error.details = details.clone().map(|raw| Payload::new(raw, &mut payloads));
            let mut decision =
                failure::fail(state, attempt, error, Noticed::Reported(report.hash), context);
            decision.payloads.append(&mut payloads);
            decision
        }
        Outcome::Release { undelivered } => {
            release(state, node, attempt, report, *undelivered, context)
        }
        Outcome::ReleaseFor { after_ms } => {
            release_for(state, attempt, report.hash, *after_ms, context)
        }
    }
}

/// Gives the attempt back. One that the engine gives back because its answer could not be written is given back a few
/// times only; after that the lease runs out and counts.
fn release(
    state: &JobState,
    node: &NodeState,
    attempt: AttemptRef,
    report: &Report,
    undelivered: bool,
    context: &Context,
) -> JobDecision {
    if undelivered && !may_release_undelivered(node) {
        return JobDecision::unchanged(Answer::Nothing);
    }
    let mut draft = Draft::new(state, context);
    let goes_on = state.may_start(attempt.node);
    let to = if goes_on { NodeStatus::Ready } else { NodeStatus::Cancelled };
    draft.move_node_alone(attempt.node, to);
    let fact = AttemptFact::Released { attempt, report: report.hash, undelivered, again_at: None };
    let (event, payloads) = draft.into_event(fact, context, None);
    JobDecision { event: Some(event), payloads, answer: Answer::Recorded }
}

/// Gives the attempt back, and its place: it asks for one again when its time has come.
fn release_for(
    state: &JobState,
    attempt: AttemptRef,
    report: Hash,
    after_ms: u64,
    context: &Context,
) -> JobDecision {
    let mut draft = Draft::new(state, context);
    let goes_on = state.may_start(attempt.node);
    let after_ms = after_ms.min(bounds::RELEASE_AFTER_MS_MAX);
    let again_at = goes_on
        .then(|| context.now.saturating_add(Millis::try_from(after_ms).unwrap_or(Millis::MAX)));
    if goes_on {
        draft.wait(attempt.node, Hold::Delay);
    } else {
        draft.move_node_alone(attempt.node, NodeStatus::Cancelled);
    }
    let fact = AttemptFact::Released { attempt, report, undelivered: false, again_at };
    let (event, payloads) = draft.into_event(fact, context, None);
    JobDecision { event: Some(event), payloads, answer: Answer::Recorded }
}
