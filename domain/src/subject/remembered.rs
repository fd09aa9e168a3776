//! Which commands a subject remembers, so that one that comes again gets its first answer, and for how long: those with a
//! caller's key as long as is promised, those with a minted id while they may still be on their way.
//! Always holds: what made the subject is remembered for all its life; of commands with keys no more are remembered than
//! may be, since one more is refused before it is decided.

use std::collections::BTreeMap;

use crate::ids::{CommandId, Millis, Namespace};
use serde::{Deserialize, Serialize};

use crate::payload::Hash;
use crate::refusal::{Quota, Refusal};
use crate::subject::context::Context;
use crate::subject::undo_log::UndoLog;

/// How long a minted command id is remembered, in milliseconds: longer than any forward or retry of one.
const MINTED_KEPT_MS: Millis = 10 * 60 * 1_000;
/// How long a caller's key is remembered, in milliseconds: as promised.
const KEYED_KEPT_MS: Millis = 24 * 3_600 * 1_000;

/// A command that was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    /// Of the canonical body.
    pub body: Hash,
    /// The event that answered it: the state after it is the first answer.
    pub seq: u64,
    /// When it was answered.
    pub at: Millis,
    /// From a caller's key.
    pub keyed: bool,
}

fn is_kept(answered: &Answered, now: Millis) -> bool {
    let kept = if answered.keyed { KEYED_KEPT_MS } else { MINTED_KEPT_MS };
    answered.seq == 1 || answered.at >= now.saturating_sub(kept)
}

/// Which event answered this very command before. Refuses a command whose id comes with another body.
pub(crate) fn answered_before(
    commands: &BTreeMap<CommandId, Answered>,
    context: &Context,
) -> Result<Option<u64>, Refusal> {
    let Some(mark) = &context.command else { return Ok(None) };
    match commands.get(&mark.id) {
        None => Ok(None),
        Some(answered) if answered.body == mark.body => Ok(Some(answered.seq)),
        Some(_) => Err(Refusal::IdempotencyKeyReused),
    }
}

/// Remembers a command, and forgets those whose time is over. `log` can take both back.
pub(crate) fn remember<W>(
    commands: &mut BTreeMap<CommandId, Answered>,
    id: CommandId,
    answered: Answered,
    log: &mut UndoLog<W>,
    was: fn(CommandId, Option<Answered>) -> W,
) {
    let over = commands.iter().filter(|(_, known)| !is_kept(known, answered.at));
    let over: Vec<CommandId> = over.map(|(id, _)| id.clone()).collect();
    for id in &over {
        log.remove(commands, id, was);
    }
    log.insert(commands, id, answered, was);
}

/// Whether one more command with a caller's key may be remembered; one that carries none always may.
pub(crate) fn may_remember(
    commands: &BTreeMap<CommandId, Answered>,
    context: &Context,
    namespace: &Namespace,
) -> Result<(), Refusal> {
    let max = context.keyed_commands_max;
    let keyed = context.command.as_ref().is_some_and(|mark| mark.keyed);
    if !keyed || commands.len() < max {
        return Ok(());
    }
    let known = commands.values().filter(|known| known.keyed && is_kept(known, context.now));
    if known.count() < max {
        return Ok(());
    }
    Err(Refusal::quota(Quota::KeyedCommands, max, Some(namespace)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u64) -> CommandId {
        CommandId::parse(&format!("key-{number}")).unwrap_or_else(|error| panic!("{error}"))
    }

    fn answered(seq: u64, at: Millis, keyed: bool) -> Answered {
        Answered { body: Hash::of(b""), seq, at, keyed }
    }

    fn remember_in(commands: &mut BTreeMap<CommandId, Answered>, id: CommandId, one: Answered) {
        remember(commands, id, one, &mut UndoLog::none(), |_, _| ());
    }

    #[test]
    fn a_key_is_forgotten_after_a_day_and_what_made_the_subject_never() {
        let mut commands = BTreeMap::new();
        remember_in(&mut commands, id(1), answered(1, 0, true));
        remember_in(&mut commands, id(2), answered(2, 0, true));
        remember_in(&mut commands, id(3), answered(3, 0, false));
        remember_in(&mut commands, id(4), answered(4, KEYED_KEPT_MS, true));
        assert_eq!(commands.keys().cloned().collect::<Vec<_>>(), [id(1), id(2), id(4)]);
        remember_in(&mut commands, id(5), answered(5, KEYED_KEPT_MS + 1, true));
        assert_eq!(commands.keys().cloned().collect::<Vec<_>>(), [id(1), id(4), id(5)]);
    }
}
