//! The check of changes of a node that has not run: what the request alone says before anything is decided, and what the
//! expressions of a new input may read once the job is at hand.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::value::RawValue;

use super::expressions::KnownInput;
use super::names::{Namer, NodeNames};
use super::{Check, CheckSettings};
use crate::bounds::{self, Bounds};
use crate::ids::{ActionType, Millis, QueueName};
use crate::job::plan::{NodeFlow, Plan};
use crate::job::repair::{NodePatch, NodePatchSpec, RepairedRetry};
use crate::payload::Payload;
use crate::refusal::FieldError;
use crate::retry::named::NamedPolicies;
use crate::retry::spec::RetrySpec;

/// The kept policies that changes name, by id or name.
pub fn node_patch_policies(spec: &NodePatchSpec) -> BTreeSet<&str> {
    spec.retry.iter().flatten().filter_map(RetrySpec::reference).collect()
}

/// Checks changes of a node as far as that needs no job. `reason`: for the history.
///
/// # Errors
/// Everything that is wrong, with a pointer into the request each.
pub fn check_node_patch(
    spec: NodePatchSpec,
    reason: Option<&str>,
    settings: &CheckSettings,
    named: &NamedPolicies,
) -> Result<NodePatch, Vec<FieldError>> {
    let mut check = Check::new(settings, None, named);
    if let Some(reason) = reason {
        check.text("/reason", reason, 0, bounds::REASON_CHARS_MAX);
    }
    let queue = spec.queue.and_then(|queue| match queue {
        None => Some(QueueName::default_queue()),
        Some(queue) => {
            let parsed = QueueName::parse_given(&queue);
            parsed.map_err(|e| check.errors.push(FieldError::id("/queue", &e))).ok()
        }
    });
    let action_type = spec.action_type.map(|action_type| {
        let parsed = action_type.as_deref().map(ActionType::parse).transpose();
        parsed.unwrap_or_else(|e| {
            check.errors.push(FieldError::id("/action_type", &e));
            None
        })
    });
    check.priority("/priority", spec.priority.flatten());
    let times = spec.timeouts;
    for (name, ms) in [
        ("queue_ms", times.queue_ms),
        ("attempt_ms", times.attempt_ms),
        ("total_ms", times.total_ms),
    ] {
        check.timeout(&format!("/timeouts/{name}"), ms.flatten());
    }
    let retry = spec.retry.map(|retry| retry.and_then(|retry| check.repaired_retry(retry)));
    let no_input = matches!(spec.input, Some(None));
    let input = spec.input.flatten();
    let most = settings.bounds.payload_bytes_max;
    if input.as_ref().is_some_and(|raw| raw.get().len() > most) {
        check.error("/input", "too_large", &format!("must be at most {most} bytes of JSON"));
    }
    if !check.errors.is_empty() {
        return Err(check.errors);
    }
    Ok(NodePatch {
        queue,
        action_type,
        priority: spec.priority,
        timeouts: times,
        retry,
        input,
        no_input,
        at_most_once: spec.at_most_once,
    })
}

impl Check<'_> {
    fn repaired_retry(&mut self, spec: RetrySpec) -> Option<RepairedRetry> {
        match spec {
            RetrySpec::Own(policy) => {
                self.errors.extend(policy.check("/retry"));
                Some(RepairedRetry::Own(Arc::from(policy)))
            }
            RetrySpec::Named(reference) => {
                let found = self.policies.find(&reference);
                if found.is_none() {
                    let message = format!("there is no retry policy {reference}");
                    self.error("/retry/policy_id", "unknown_policy", &message);
                }
                found.map(RepairedRetry::Named)
            }
        }
    }
}

/// A new input of a node, at this place of a plan, with what its expressions read beside what its `when` does.
///
/// # Errors
/// Everything that is wrong with its expressions, with a pointer into the request each.
pub(crate) fn checked_input(
    plan: &Plan,
    place: u32,
    raw: Box<RawValue>,
    now: Millis,
) -> Result<(Box<RawValue>, NodeFlow), Vec<FieldError>> {
    let before = plan.nodes[place as usize].flow.as_deref();
    let mut flow = NodeFlow::default();
    if let Some(before) = before.filter(|before| before.when.is_some()) {
        flow = before.clone();
        flow.computes_input = false;
        flow.reads.retain(|read| read.decides);
    }
    // Most have none, and then nobody needs to be named.
    if !raw.get().contains(crate::expression::OPENING) && !raw.get().contains("\\u") {
        return Ok((raw, flow));
    }
    let settings = CheckSettings { bounds: Bounds::default(), queue_timeout_ms: None, now };
    let named = NamedPolicies::default();
    let mut check = Check::new(&settings, None, &named);
    check.known = match &plan.input {
        None => KnownInput::of(None),
        Some(Payload::Inline(input)) => KnownInput::of(Some(input)),
        Some(Payload::Stored(_)) => KnownInput::absent(),
    };
    let mut names = NodeNames::of_plan(plan);
    let input = check.template("/input", raw, Namer::Node(place), &mut names, &mut flow);
    match input {
        Some(input) if check.errors.is_empty() => Ok((input, flow)),
        Some(_) | None => Err(check.errors),
    }
}
