//! The rules of a catalog: a state, or its absence, and a command give an event and an answer, or a refusal.
//! Invariant: a name is one policy's, and there are never more policies and pauses, or bytes of policies, than may be.

use std::sync::Arc;

use crate::bounds;
use crate::catalog::command::CatalogCommand;
use crate::catalog::event::{CatalogEvent, CatalogFact};
use crate::catalog::paused::{PauseEnd, PauseTarget};
use crate::catalog::policy::{CatalogPolicy, CheckedDefinition};
use crate::catalog::state::CatalogState;
use crate::ids::{Millis, Namespace, PolicyId, PolicyName};
use crate::refusal::{FieldError, Quota, Refusal};
use crate::subject::answer::Answer;
use crate::subject::context::Context;
use crate::subject::decision::Decision;
use crate::subject::envelope::Envelope;
use crate::subject::remembered::{answered_before, may_remember};

/// Decides a command on a catalog; `state` is none when the stream does not exist.
pub fn decide(
    state: Option<&CatalogState>,
    command: &CatalogCommand,
    context: &Context,
) -> Result<Decision<CatalogEvent>, Refusal> {
    if let Some(seq) = state.map_or(Ok(None), |known| answered_before(&known.commands, context))? {
        return Ok(Decision::unchanged(Answer::Replayed { seq }));
    }
    match command {
        CatalogCommand::CreatePolicy { namespace, name, definition } => {
            create(state, namespace, name, definition, context)
        }
        CatalogCommand::ReplacePolicy { policy, definition } => {
            let (state, known) = found(state, *policy, context)?;
            replace(state, known, definition, context)
        }
        CatalogCommand::DeletePolicy { policy } => {
            let (state, known) = found(state, *policy, context)?;
            may_remember(&state.commands, context, &state.namespace)?;
            let fact = CatalogFact::PolicyDeleted { name: known.name.clone() };
            Ok(done(Some(state), fact, None, context))
        }
        CatalogCommand::Pause { namespace, target, until, reason } => {
            pause(state, namespace, target, *until, reason.as_deref(), context)
        }
        CatalogCommand::Resume { target, reason } => {
            resume(state, target, reason.as_deref(), context)
        }
    }
}

/// The policy that is to change, at the version that the caller expects.
fn found<'a>(
    state: Option<&'a CatalogState>,
    policy: PolicyId,
    context: &Context,
) -> Result<(&'a CatalogState, &'a CatalogPolicy), Refusal> {
    let found = state.and_then(|state| Some((state, state.policy(policy)?.as_ref())));
    let (state, known) = found.ok_or(Refusal::RetryPolicyNotFound)?;
    context.expects(known.version)?;
    Ok((state, known))
}

fn create(
    state: Option<&CatalogState>,
    namespace: &Namespace,
    name: &PolicyName,
    definition: &CheckedDefinition,
    context: &Context,
) -> Result<Decision<CatalogEvent>, Refusal> {
    if let Some(state) = state {
        if state.policies.contains_key(name) {
            return Err(Refusal::RetryPolicyExists);
        }
        may_remember(&state.commands, context, namespace)?;
        if entries(state, context.now) >= bounds::CATALOG_POLICIES_MAX {
            let max = bounds::CATALOG_POLICIES_MAX;
            return Err(Refusal::quota(Quota::RetryPolicies, max, Some(namespace)));
        }
        has_room(state, 0, definition)?;
    }
    let fact = CatalogFact::PolicyCreated {
        namespace: namespace.clone(),
        id: PolicyId::of_name(namespace, name),
        name: name.clone(),
        definition: Arc::clone(definition.shared()),
    };
    Ok(done(state, fact, None, context))
}

fn replace(
    state: &CatalogState,
    known: &CatalogPolicy,
    definition: &CheckedDefinition,
    context: &Context,
) -> Result<Decision<CatalogEvent>, Refusal> {
    // One that may come again is written all the same: else a late second one would undo what came between.
    if known.definition == *definition.shared() && context.command.is_none() {
        return Ok(Decision::unchanged(Answer::Done { seq: state.seq }));
    }
    may_remember(&state.commands, context, &state.namespace)?;
    has_room(state, known.bytes, definition)?;
    let definition = Arc::clone(definition.shared());
    Ok(done(
        Some(state),
        CatalogFact::PolicyReplaced { name: known.name.clone(), definition },
        None,
        context,
    ))
}

/// What a catalog keeps: policies, and pauses that hold.
fn entries(state: &CatalogState, now: Millis) -> usize {
    state.policies.len().saturating_add(state.paused_at(now).count())
}

fn pause(
    state: Option<&CatalogState>,
    namespace: &Namespace,
    target: &PauseTarget,
    until: Option<PauseEnd>,
    reason: Option<&str>,
    context: &Context,
) -> Result<Decision<CatalogEvent>, Refusal> {
    // An event is never older than the one before it, and its times count from it.
    let now = state.map_or(context.now, |state| context.now.max(state.newest_at));
    let until = match until {
        None => None,
        Some(PauseEnd::At(at)) => {
            let latest = now.saturating_add(bounds::PAUSE_AHEAD_MS_MAX);
            if at <= now || at > latest {
                let message = "must be a time to come, within a year".to_owned();
                let error = FieldError::new("/expires_at", "out_of_range", message);
                return Err(Refusal::Invalid(vec![error]));
            }
            Some(at)
        }
        Some(PauseEnd::After(ms)) => {
            Some(now.saturating_add(Millis::try_from(ms).unwrap_or(Millis::MAX)))
        }
    };
    let mut over = Vec::new();
    if let Some(state) = state {
        let known = state.pauses.get(target).filter(|pause| pause.holds_at(now));
        let same =
            known.is_some_and(|pause| pause.until == until && pause.reason.as_deref() == reason);
        // One that may come again is written all the same: else a late second one would undo what came between.
        if same && context.command.is_none() {
            return Ok(Decision::unchanged(Answer::Done { seq: state.seq }));
        }
        may_remember(&state.commands, context, namespace)?;
        if known.is_none() && entries(state, now) >= bounds::CATALOG_POLICIES_MAX {
            let max = bounds::CATALOG_POLICIES_MAX;
            return Err(Refusal::quota(Quota::CatalogEntries, max, Some(namespace)));
        }
        let ended = state.pauses.iter().filter(|(_, pause)| !pause.holds_at(now));
        over.extend(ended.map(|(target, _)| target.clone()));
    }
    let fact =
        CatalogFact::Paused { namespace: namespace.clone(), target: target.clone(), until, over };
    Ok(done(state, fact, reason, context))
}

fn resume(
    state: Option<&CatalogState>,
    target: &PauseTarget,
    reason: Option<&str>,
    context: &Context,
) -> Result<Decision<CatalogEvent>, Refusal> {
    // Where nothing was ever kept, nothing is paused.
    let Some(state) = state else { return Ok(Decision::unchanged(Answer::Done { seq: 0 })) };
    if !state.pauses.contains_key(target) && context.command.is_none() {
        return Ok(Decision::unchanged(Answer::Done { seq: state.seq }));
    }
    may_remember(&state.commands, context, &state.namespace)?;
    Ok(done(Some(state), CatalogFact::Resumed { target: target.clone() }, reason, context))
}

/// Whether a definition finds room, in place of one of so many bytes.
fn has_room(
    state: &CatalogState,
    instead_of: usize,
    definition: &CheckedDefinition,
) -> Result<(), Refusal> {
    let others = state.bytes().saturating_sub(instead_of);
    if others.saturating_add(definition.shared().bytes()) > bounds::CATALOG_BYTES_MAX {
        let max = bounds::CATALOG_BYTES_MAX;
        return Err(Refusal::quota(Quota::RetryPolicyBytes, max, Some(&state.namespace)));
    }
    Ok(())
}

fn done(
    state: Option<&CatalogState>,
    fact: CatalogFact,
    reason: Option<&str>,
    context: &Context,
) -> Decision<CatalogEvent> {
    let (seq, newest_at) = state.map_or((0, context.now), |state| (state.seq, state.newest_at));
    // An event is never older than the one before it.
    let by = Envelope::of(context, context.now.max(newest_at), reason);
    let answer = Answer::Done { seq: seq.saturating_add(1) };
    Decision { event: Some(CatalogEvent { by, fact }), payloads: Vec::new(), answer }
}
