//! What may go wrong with the in-memory store, and how often. Drawn from a seed, so that a failing run is
//! repeated by its seed; single faults can also be laid down in advance for a test that needs just that one.
//! Always holds: with the default nothing goes wrong and nothing is delayed.
//! Absent: damage to what is stored. A committed record stays whole here (files are damaged from outside).

use std::collections::VecDeque;

use crate::chance::Chance;

/// What becomes of one append call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppendFault {
    /// None: the call goes through.
    Nothing,
    /// The call fails and nothing of it was written.
    FailsBefore,
    /// Everything was written as far as it could be; the reply is lost and the call fails.
    ReplyLost,
    /// The call fails when about half of the items have been written.
    LandsInPart,
    /// The call answers, but `Unknown` for each item, nothing written.
    UnknownBefore,
    /// The call answers, but `Unknown` for each item that was written.
    UnknownAfter,
    /// The call answers `Full` for each item that may not use the reserve.
    Full,
}

/// How often each fault happens, in thousandths of the calls; 0 by default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// Draws follow from it.
    pub seed: u64,
    /// A call gives way to other tasks up to so many times before it acts, and again before it answers.
    pub delay_turns_max: u32,
    /// Appends of which nothing lands.
    pub append_fails_per_mille: u16,
    /// Appends that land and whose reply is lost, or that land in part.
    pub append_reply_lost_per_mille: u16,
    /// Items before which the rival is asked to write first (`MemoryEventStore::set_rival`).
    pub rival_per_mille: u16,
    /// All other calls that answer `Unavailable`; those that write may have written.
    pub call_fails_per_mille: u16,
}

/// The faults with their dice and what was laid down in advance.
#[derive(Debug)]
pub(super) struct FaultSource {
    faults: Faults,
    chance: Chance,
    next_appends: VecDeque<AppendFault>,
}

impl FaultSource {
    pub(super) fn new(faults: Faults) -> Self {
        Self { faults, chance: Chance::new(faults.seed), next_appends: VecDeque::new() }
    }

    pub(super) fn lay_down(&mut self, faults: impl IntoIterator<Item = AppendFault>) {
        self.next_appends.extend(faults);
    }

    pub(super) fn append(&mut self) -> AppendFault {
        if let Some(fault) = self.next_appends.pop_front() {
            return fault;
        }
        let odd = |chance: &Chance| chance.draw() % 2 == 1;
        if self.chance.happens(self.faults.append_fails_per_mille) {
            return if odd(&self.chance) {
                AppendFault::FailsBefore
            } else {
                AppendFault::UnknownBefore
            };
        }
        if self.chance.happens(self.faults.append_reply_lost_per_mille) {
            return match self.chance.draw() % 3 {
                0 => AppendFault::ReplyLost,
                1 => AppendFault::LandsInPart,
                _ => AppendFault::UnknownAfter,
            };
        }
        AppendFault::Nothing
    }

    /// Whether this item of an append that lands in part is among those written.
    pub(super) fn lands(&mut self) -> bool {
        self.chance.draw() % 2 == 1
    }

    pub(super) fn rival_comes(&mut self) -> bool {
        self.chance.happens(self.faults.rival_per_mille)
    }

    /// Whether a call fails, and if so whether it acted before.
    pub(super) fn call(&mut self) -> Option<bool> {
        if self.chance.happens(self.faults.call_fails_per_mille) {
            Some(self.lands())
        } else {
            None
        }
    }

    pub(super) fn turns(&mut self) -> u32 {
        self.chance.turns(self.faults.delay_turns_max)
    }
}
