//! The rules of an environment: a state, or its absence, and a command give an event and an answer, or a refusal.
//! A grant is numbered; the same job's run never holds two, and asking again gives the one it holds.
//! Invariant: nothing is granted beyond the capacity as it is at that moment.

use std::collections::BTreeMap;

use crate::environment::command::{Definition, EnvironmentCommand};
use crate::environment::event::{EnvironmentEvent, EnvironmentFact};
use crate::environment::state::EnvironmentState;
use crate::ids::{EnvironmentName, JobId};
use crate::refusal::Refusal;
use crate::subject::answer::Answer;
use crate::subject::context::Context;
use crate::subject::decision::Decision;
use crate::subject::envelope::Envelope;
use crate::subject::remembered::{answered_before, may_remember};

/// What a command to an environment comes to. `Done` for a grant that is held; `Nothing` for one that does not fit, which
/// is no refusal: the request waits at the environment's driver.
pub type EnvironmentDecision = Decision<EnvironmentEvent>;

/// Decides a command on an environment; `state` is none when the stream does not exist.
pub fn decide(
    state: Option<&EnvironmentState>,
    command: &EnvironmentCommand,
    context: &Context,
) -> Result<EnvironmentDecision, Refusal> {
    if let Some(seq) = state.map_or(Ok(None), |known| answered_before(&known.commands, context))? {
        return Ok(EnvironmentDecision::unchanged(Answer::Replayed { seq }));
    }
    if let EnvironmentCommand::Define { namespace, name, definition } = command {
        if *name == EnvironmentName::default_environment() {
            return Err(Refusal::EnvironmentFixed);
        }
        if state.is_some_and(|state| !state.deleted) {
            return Err(Refusal::EnvironmentExists);
        }
        let fact = EnvironmentFact::Defined {
            namespace: namespace.clone(),
            name: name.clone(),
            description: definition.description().map(str::to_owned),
            capacity: definition.capacity().clone(),
        };
        return Ok(done(state, fact, context));
    }
    let Some(state) = state else {
        return absent(command);
    };
    if let EnvironmentCommand::Release { job, run, number, .. } = command
        && state.grant_of(*job, *run).is_none_or(|grant| grant.number != *number)
    {
        return Ok(EnvironmentDecision::unchanged(Answer::Nothing));
    }
    if state.deleted {
        return absent(command);
    }
    context.expects(state.seq)?;
    may_remember(&state.commands, context, &state.namespace)?;
    match command {
        EnvironmentCommand::Define { .. } => Err(Refusal::EnvironmentExists),
        EnvironmentCommand::Update(definition) => Ok(update(state, definition, context)),
        EnvironmentCommand::Delete { waiting } => delete(state, *waiting, context),
        EnvironmentCommand::Grant { job, run, resources } => {
            Ok(grant(state, (*job, *run), resources, context))
        }
        EnvironmentCommand::Release { job, run, number, why } => {
            let fact =
                EnvironmentFact::Released { job: *job, run: *run, number: *number, why: *why };
            Ok(done(Some(state), fact, context))
        }
    }
}

/// What is not there holds nothing to give back; everything else needs it.
fn absent(command: &EnvironmentCommand) -> Result<EnvironmentDecision, Refusal> {
    match command {
        EnvironmentCommand::Release { .. } => Ok(EnvironmentDecision::unchanged(Answer::Nothing)),
        EnvironmentCommand::Define { .. }
        | EnvironmentCommand::Update(_)
        | EnvironmentCommand::Delete { .. }
        | EnvironmentCommand::Grant { .. } => Err(Refusal::EnvironmentNotFound),
    }
}

fn update(
    state: &EnvironmentState,
    definition: &Definition,
    context: &Context,
) -> EnvironmentDecision {
    let same = state.description.as_deref() == definition.description()
        && state.capacity == *definition.capacity();
    if same && context.command.is_none() {
        return EnvironmentDecision::unchanged(Answer::Done { seq: state.seq });
    }
    let fact = EnvironmentFact::Updated {
        description: definition.description().map(str::to_owned),
        capacity: definition.capacity().clone(),
    };
    done(Some(state), fact, context)
}

fn delete(
    state: &EnvironmentState,
    waiting: usize,
    context: &Context,
) -> Result<EnvironmentDecision, Refusal> {
    let jobs = state.grants.len().saturating_add(waiting);
    if jobs > 0 {
        return Err(Refusal::EnvironmentInUse { jobs });
    }
    Ok(done(Some(state), EnvironmentFact::Deleted, context))
}

fn grant(
    state: &EnvironmentState,
    (job, run): (JobId, u32),
    resources: &BTreeMap<String, u64>,
    context: &Context,
) -> EnvironmentDecision {
    if state.grant_of(job, run).is_some() {
        return EnvironmentDecision::unchanged(Answer::Done { seq: state.seq });
    }
    if state.shortage(resources).is_some() {
        return EnvironmentDecision::unchanged(Answer::Nothing);
    }
    let number = state.granted.saturating_add(1);
    let fact = EnvironmentFact::Granted { job, run, number, resources: resources.clone() };
    done(Some(state), fact, context)
}

fn done(
    state: Option<&EnvironmentState>,
    fact: EnvironmentFact,
    context: &Context,
) -> EnvironmentDecision {
    let (seq, newest_at) = state.map_or((0, context.now), |state| (state.seq, state.newest_at));
    // An event is never older than the one before it.
    let by = Envelope::of(context, context.now.max(newest_at), None);
    let answer = Answer::Done { seq: seq.saturating_add(1) };
    EnvironmentDecision { event: Some(EnvironmentEvent { by, fact }), payloads: Vec::new(), answer }
}
