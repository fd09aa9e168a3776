//! Changing a node that has not run: where it is offered, what it gets, how long it may take, what judges its failures.
//! A ready node is offered where it belongs now; a wait for a retry goes on, and the new policy judges the next failure. A
//! change that changes nothing writes nothing.

use std::sync::Arc;

use serde_json::value::RawValue;

use crate::bounds;
use crate::expression::NodePart;
use crate::job::check::checked_input;
use crate::job::decide::decision::{JobDecision, wrong_state};
use crate::job::decide::draft::Draft;
use crate::job::fact::SteeringFact;
use crate::job::flow::EvaluatedAs;
use crate::job::plan::{NodeFlow, Plan, PlanNode};
use crate::job::repair::{NodeFields, NodePatch, NodeRepair, RepairedRetry, may_be_repaired};
use crate::job::state::JobState;
use crate::job::status::JobStatus;
use crate::node::hold::Hold;
use crate::node::spec::NodeType;
use crate::node::status::NodeStatus;
use crate::payload::{Payload, PayloadBytes};
use crate::refusal::{FieldError, Refusal};
use crate::subject::answer::Answer;
use crate::subject::context::Context;

/// States of a job in which a node may be changed: a failed one may be tried again.
const REPAIRABLE: [JobStatus; 9] = [
    JobStatus::Pending,
    JobStatus::Queued,
    JobStatus::Scheduled,
    JobStatus::Running,
    JobStatus::Paused,
    JobStatus::Failed,
    JobStatus::Timeout,
    JobStatus::Retrying,
    JobStatus::Recovering,
];

pub(super) fn repair(
    state: &JobState,
    path: &str,
    patch: &NodePatch,
    reason: Option<&str>,
    context: &Context,
) -> Result<JobDecision, Refusal> {
    let ix = state.plan.position(path).ok_or(Refusal::NodeNotFound)?;
    may_change(state, ix, path)?;
    let mut payloads = Vec::new();
    let repair = repair_of(state, ix, patch, context, &mut payloads)?;
    if repair.is == NodeFields::default() && context.command.is_none() {
        return Ok(JobDecision::unchanged(Answer::Done { seq: state.head.seq }));
    }
    let mut draft = Draft::new(state, context);
    draft.payloads = payloads;
    draft.repair(&repair);
    if repair.is.input.is_some() {
        prepare_anew(state, ix, &mut draft)?;
    }
    Ok(draft.into_decision(SteeringFact::NodePatched(Box::new(repair)), context, reason))
}

/// A node that runs, or is over, is what it is; so is one that never starts any more because its job ends.
fn may_change(state: &JobState, ix: u32, path: &str) -> Result<(), Refusal> {
    let (head, node) = (&state.head, &state.nodes[ix as usize]);
    let ends = head.ending.is_some() && state.plan.node(ix).cleanup().is_none();
    if ends || !REPAIRABLE.contains(&head.status) {
        return Err(wrong_state(state, "changed in a node", REPAIRABLE.to_vec()));
    }
    if may_be_repaired(node.status) {
        return Ok(());
    }
    Err(Refusal::NodeState {
        job: state.id,
        node: path.to_owned(),
        current: node.status,
        attempted: "changed".into(),
    })
}

/// What is another one then, as it was and as it will be.
fn repair_of(
    state: &JobState,
    ix: u32,
    patch: &NodePatch,
    context: &Context,
    payloads: &mut Vec<PayloadBytes>,
) -> Result<NodeRepair, Refusal> {
    let plan = &state.plan;
    let node = plan.node(ix);
    let mut errors = not_its_own(node, patch);
    errors.extend(retry_errors(plan, patch));
    if !errors.is_empty() {
        return Err(Refusal::Invalid(errors));
    }
    let (mut was, mut is) = (NodeFields::default(), NodeFields::default());
    if let Some(queue) = patch.queue.as_ref().filter(|queue| **queue != node.queue) {
        (was.queue, is.queue) = (Some(node.queue.clone()), Some(queue.clone()));
    }
    if let Some(action_type) = patch.action_type.as_ref().filter(|of| **of != node.action_type) {
        was.action_type = Some(node.action_type.clone());
        is.action_type = Some(action_type.clone());
    }
    let more = node.more.as_deref();
    let priority = more.and_then(|more| more.priority);
    if let Some(new) = patch.priority.filter(|new| *new != priority) {
        (was.priority, is.priority) = (Some(priority), Some(new));
    }
    let timeouts = more.map(|more| more.timeouts).unwrap_or_default();
    let new = patch.timeouts.applied_to(timeouts);
    if new != timeouts {
        (was.timeouts, is.timeouts) = (Some(timeouts), Some(new));
    }
    let retry = own_retry(plan, node);
    if let Some(new) = patch.retry.as_ref().filter(|new| **new != retry) {
        (was.retry, is.retry) = (Some(retry), Some(new.clone()));
    }
    if let Some(new) = patch.at_most_once.filter(|new| *new != node.at_most_once) {
        (was.at_most_once, is.at_most_once) = (Some(node.at_most_once), Some(new));
    }
    let mut flow = None;
    if patch.input.is_some() || patch.no_input {
        let (input, reads) = new_input(state, ix, patch.input.clone(), context, payloads)?;
        let reads = (reads != NodeFlow::default()).then(|| Box::new(reads));
        if input != node.input || reads != node.flow {
            (was.input, is.input) = (Some(node.input.clone()), Some(input));
            flow = Some(reads);
        }
    }
    Ok(NodeRepair { node: ix, was, is, flow })
}

/// The policy that a node has itself.
fn own_retry(plan: &Plan, node: &PlanNode) -> Option<RepairedRetry> {
    let more = node.more.as_deref()?;
    if let Some(named) = more.retry_named {
        let named = plan.policies.get(named as usize)?;
        return Some(RepairedRetry::Named(Arc::clone(named)));
    }
    more.retry.clone().map(RepairedRetry::Own)
}

/// What nodes of its type do not have, as at a submission.
fn not_its_own(node: &PlanNode, patch: &NodePatch) -> Vec<FieldError> {
    const WORK: &[NodeType] = &[NodeType::Task, NodeType::Cleanup];
    const REPEATED: &[NodeType] =
        &[NodeType::Task, NodeType::Cleanup, NodeType::ParallelGroup, NodeType::SequentialGroup];
    let times = patch.timeouts;
    let fields = [
        ("queue", patch.queue.is_some(), WORK),
        ("action_type", patch.action_type.is_some(), WORK),
        ("input", patch.input.is_some() || patch.no_input, WORK),
        ("at_most_once", patch.at_most_once.is_some(), WORK),
        ("retry", patch.retry.is_some(), REPEATED),
        ("timeouts/queue_ms", times.queue_ms.is_some(), WORK),
        ("timeouts/attempt_ms", times.attempt_ms.is_some(), REPEATED),
        ("timeouts/total_ms", times.total_ms.is_some(), REPEATED),
    ];
    let word = node.node_type();
    let wrong = fields.into_iter().filter(|(_, given, types)| *given && !types.contains(&word));
    wrong
        .map(|(name, ..)| {
            let allowed: &[&str] = if REPEATED.contains(&word) {
                &["priority", "retry", "timeouts/attempt_ms", "timeouts/total_ms"]
            } else {
                &["priority"]
            };
            let message = format!(
                "a {} has no such field; what can be changed of one: {}",
                word.as_str(),
                allowed.join(", ")
            );
            FieldError::new(format!("/{name}"), "unknown_field", message)
        })
        .collect()
}

/// What of a policy does not fit this job.
fn retry_errors(plan: &Plan, patch: &NodePatch) -> Option<FieldError> {
    let retry = patch.retry.as_ref()?.as_ref()?;
    let at = if matches!(retry, RepairedRetry::Named(_)) { "/retry/policy_id" } else { "/retry" };
    // A policy is asked while a failure is decided, where nothing can be fetched.
    if retry.policy().reads_job_input() && matches!(plan.input, Some(Payload::Stored(_))) {
        let message = "an expression of it reads the job's input, which is too large to be at hand: it would have had to \
                       be named when the job was submitted";
        return Some(FieldError::new(at, "not_at_hand", message));
    }
    let RepairedRetry::Named(named) = retry else { return None };
    if plan.policies.iter().any(|kept| kept.id == named.id && kept.version == named.version) {
        return None;
    }
    let json = |named: &_| serde_json::to_vec(named).map_or(0, |json| json.len());
    let bytes = plan.policies.iter().map(json).sum::<usize>().saturating_add(json(named));
    let most = bounds::JOB_POLICIES_BYTES_MAX;
    (bytes > most).then(|| {
        let message = format!("the named policies of a job must be at most {most} bytes of JSON");
        FieldError::new(at, "too_large", message)
    })
}

/// The input as the plan will have it, and what its expressions read.
fn new_input(
    state: &JobState,
    ix: u32,
    raw: Option<Box<RawValue>>,
    context: &Context,
    payloads: &mut Vec<PayloadBytes>,
) -> Result<(Option<Payload>, NodeFlow), Refusal> {
    let plan = &state.plan;
    let place = plan.place(ix).node;
    let raw = raw.unwrap_or_else(|| RawValue::NULL.to_owned());
    let (raw, flow) = checked_input(plan, place, raw, context.now).map_err(Refusal::Invalid)?;
    let lost = lost_reads(state, ix, &flow);
    if !lost.is_empty() {
        return Err(Refusal::Invalid(lost));
    }
    let input = (raw.get() != "null").then(|| Payload::new(raw, payloads));
    Ok((input, flow))
}

/// What would be read and was not kept, because nothing read it when it came.
fn lost_reads(state: &JobState, ix: u32, flow: &NodeFlow) -> Vec<FieldError> {
    let plan = &state.plan;
    let lost = flow.reads.iter().filter(|read| {
        let of = plan.seen_from(ix, read.node);
        let status = state.nodes[of as usize].status;
        match read.part {
            NodePart::Output if plan.reads_output(of) => false,
            NodePart::Output if plan.node(of).group().is_some() => state.groups.contains_key(&of),
            NodePart::Output => {
                status == NodeStatus::Completed
                    && state.outputs.get(&of).is_none_or(|output| output.kept().is_none())
            }
            NodePart::Error => {
                matches!(status, NodeStatus::Failed | NodeStatus::Timeout) && !plan.keeps_error(of)
            }
            NodePart::Status | NodePart::Attempts => false,
        }
    });
    lost.map(|read| {
        let message = format!(
            "{} has ended, and what it gave is not kept: nothing read it when it ended; give the value itself",
            read.key
        );
        FieldError::new("/input", "not_kept", message)
    })
    .collect()
}

/// A node that has passed the evaluation of its input needs the new one before it starts.
fn prepare_anew(state: &JobState, ix: u32, draft: &mut Draft<'_>) -> Result<(), Refusal> {
    let node = &state.nodes[ix as usize];
    let has_passed = match node.status {
        NodeStatus::Pending => node.marks.queued,
        NodeStatus::Waiting => node.hold != Some(Hold::Evaluating),
        NodeStatus::Ready | NodeStatus::Retrying => true,
        NodeStatus::Running
        | NodeStatus::Completed
        | NodeStatus::Failed
        | NodeStatus::Timeout
        | NodeStatus::Skipped
        | NodeStatus::Cancelled
        | NodeStatus::Compensating
        | NodeStatus::Compensated => false,
    };
    if !has_passed || !draft.computes_input(ix) {
        return Ok(());
    }
    match draft.evaluate(ix).map(|evaluated| evaluated.is) {
        Some(EvaluatedAs::Input(json)) => draft.gives_input(ix, json),
        Some(EvaluatedAs::Failed(error)) => {
            return Err(Refusal::Invalid(vec![FieldError::new(
                "/input",
                "expression",
                error.message,
            )]));
        }
        Some(
            EvaluatedAs::Bypassed
            | EvaluatedAs::Ready
            | EvaluatedAs::List { .. }
            | EvaluatedAs::Branch(_),
        ) => {}
        // It is evaluated when the wait is over.
        None if node.status == NodeStatus::Retrying => {}
        None if node.status == NodeStatus::Waiting => {
            let message = "its expressions read what is too large to be at hand while the node waits; give the value itself";
            return Err(Refusal::Invalid(vec![FieldError::new("/input", "not_at_hand", message)]));
        }
        None => draft.wait(ix, Hold::Evaluating),
    }
    Ok(())
}
