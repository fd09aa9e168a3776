//! Which subjects may leave memory, and the wake-ups that must be moved before they do.

use std::collections::BTreeSet;

use domain::ids::Millis;

use super::slot::Slot;
use crate::engine::core::message::Output;
use crate::event_store::contract::WakeUpMove;

/// Subjects that may have become idle, and moves of wake-ups that have gathered in this turn.
#[derive(Debug, Default)]
pub(crate) struct Parking {
    checks: BTreeSet<u32>,
    moves: Vec<WakeUpMove>,
}

impl Parking {
    /// The subject may leave by now: it is looked at at the end of a turn.
    pub(crate) fn check(&mut self, ix: u32) {
        self.checks.insert(ix);
    }

    /// The next one to look at.
    pub(crate) fn next(&mut self) -> Option<u32> {
        self.checks.pop_first()
    }

    pub(crate) fn has_checks(&self) -> bool {
        !self.checks.is_empty()
    }

    /// The number may be another subject's soon.
    pub(crate) fn forget(&mut self, ix: u32) {
        self.checks.remove(&ix);
    }

    /// Has a subject's wake-up moved; none: taken away. It holds only if nobody else has moved it meanwhile.
    pub(crate) fn move_wake_up(&mut self, slot: &Slot, due: Option<Millis>) {
        let expected = slot.wake_up_version();
        self.moves.push(WakeUpMove { subject: slot.subject.clone(), expected, due });
    }

    /// The moves that have gathered.
    pub(crate) fn take_moves(&mut self) -> Option<Output> {
        let moves = std::mem::take(&mut self.moves);
        (!moves.is_empty()).then_some(Output::MoveWakeUps { moves })
    }
}
