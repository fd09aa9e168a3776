//! What is served first when not everything can be: what finishes work, then what stops it, then leases, then looking,
//! then new work. Subjects take their turns in that order, and what can be refused is refused from the other end.
//! Invariant: nothing starves. Each eighth turn goes to whoever waits longest, whatever it wants.

use std::collections::VecDeque;

use domain::ids::Millis;
use domain::job::command::JobCommand;

use crate::engine::core::message::{Command, Request};
use crate::engine::core::slot::{Origin, Waiting};

/// Turns by urgency between two turns by age.
const BY_AGE_EVERY: u32 = 8;
/// Waiting commands of a subject that are looked at for the most urgent one: a bound on the work of one look.
const LOOKED_MAX: usize = 64;

/// How urgent something is, the most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Reports and heartbeats: they finish or keep work, and make room.
    Report,
    /// Cancel, pause and the like, and what the engine owes itself: timers, grants.
    Cancel,
    /// Requests for work.
    Lease,
    /// Looking.
    Read,
    /// New jobs.
    Submit,
}

impl Urgency {
    /// All, the most urgent first.
    pub const ALL: [Self; 5] = [Self::Report, Self::Cancel, Self::Lease, Self::Read, Self::Submit];

    /// The word in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Report => "report",
            Self::Cancel => "cancel",
            Self::Lease => "lease",
            Self::Read => "read",
            Self::Submit => "submit",
        }
    }

    /// Of something that is asked.
    pub fn of(request: &Request) -> Self {
        match request {
            Request::Heartbeat { .. } => Self::Report,
            Request::Command { command, .. } => Self::of_command(command),
            // Not later than what asks for it: whoever asks waits 50 ms.
            Request::AskGrant { .. } | Request::Claimed { .. } => Self::Cancel,
            Request::Lease(_) | Request::NextWork { .. } => Self::Lease,
            Request::Read { .. }
            | Request::Queues { .. }
            | Request::Workers { .. }
            | Request::Inspect { .. } => Self::Read,
        }
    }

    /// Of something that waits for its subject.
    pub(super) fn of_waiting(waiting: &Waiting) -> Self {
        match waiting {
            Waiting::Heartbeat { .. } => Self::Report,
            Waiting::Read { .. } => Self::Read,
            Waiting::Command { origin: Origin::Lease { .. }, .. } => Self::Lease,
            Waiting::Command { command, .. } => Self::of_command(command),
        }
    }

    /// Of a subject: as urgent as the most urgent that waits for it.
    pub(super) fn of_queue(queue: &VecDeque<Waiting>) -> Self {
        let looked = queue.iter().take(LOOKED_MAX).map(Self::of_waiting);
        looked.min().unwrap_or(Self::Submit)
    }

    fn of_command(command: &Command) -> Self {
        match command {
            Command::Job(JobCommand::Report(_)) => Self::Report,
            Command::Job(JobCommand::Lease(_)) => Self::Lease,
            // Letting go of old jobs can wait as well as new ones can.
            Command::Job(JobCommand::Submit(_) | JobCommand::Delete { .. }) => Self::Submit,
            Command::Job(_) | Command::Environment(_) => Self::Cancel,
        }
    }
}

/// Subjects with something to decide, by number. One may stand here more than once: the first turn does everything.
#[derive(Debug, Default)]
pub(super) struct Runnable {
    waiting: [VecDeque<(u32, Millis)>; Urgency::ALL.len()],
    turns: u32,
}

impl Runnable {
    pub(super) fn push(&mut self, ix: u32, urgency: Urgency, now: Millis) {
        self.waiting[urgency as usize].push_back((ix, now));
    }

    /// Whose turn it is.
    pub(super) fn pop(&mut self) -> Option<u32> {
        self.turns = self.turns.wrapping_add(1);
        let next = if self.turns.is_multiple_of(BY_AGE_EVERY) {
            let heads = self.waiting.iter_mut().filter(|queue| !queue.is_empty());
            heads.min_by_key(|queue| queue.front().map(|(_, since)| *since))
        } else {
            self.waiting.iter_mut().find(|queue| !queue.is_empty())
        };
        next?.pop_front().map(|(ix, _)| ix)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.iter().all(VecDeque::is_empty)
    }

    /// Since when the one that waits longest does.
    pub(super) fn since(&self) -> Option<Millis> {
        self.waiting.iter().filter_map(|queue| queue.front()).map(|(_, since)| *since).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(runnable: &mut Runnable) -> Vec<u32> {
        std::iter::from_fn(|| runnable.pop()).collect()
    }

    #[test]
    fn what_finishes_work_has_its_turn_before_what_brings_new_work() {
        let mut runnable = Runnable::default();
        for (ix, urgency) in (0..).zip(Urgency::ALL.into_iter().rev()) {
            runnable.push(ix, urgency, 0);
        }
        assert_eq!(order(&mut runnable), [4, 3, 2, 1, 0]);
        assert!(runnable.is_empty() && runnable.since().is_none());
    }

    #[test]
    fn whoever_waits_longest_has_each_eighth_turn() {
        let mut runnable = Runnable::default();
        runnable.push(100, Urgency::Submit, 0);
        for ix in 0..20 {
            runnable.push(ix, Urgency::Report, 1);
        }
        assert_eq!(runnable.since(), Some(0));
        let order = order(&mut runnable);
        assert_eq!(order.iter().position(|ix| *ix == 100), Some(7), "{order:?}");
        assert_eq!(order.len(), 21);
    }
}
