//! What is due when: each subject has its own heap, with stale entries that the rules see through; one ordered set
//! holds the next time of each subject.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use domain::ids::Millis;

/// What a subject's timer is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TimerKind {
    /// A node: a retry, a time-out or the end of a lease.
    Node(u32),
    /// Look whether others wrote to it.
    Look,
    /// Look whether every grant still has its job.
    Reconcile,
    /// Ask the environment again.
    Ask,
    /// The job as a whole: a start, a deadline, a revocation; or that it looks again whether it may leave memory.
    Job,
}

/// The timers of one subject. `armed` is the time of the first of them, as it stands in [`Timers`].
#[derive(Debug, Default)]
pub(crate) struct SlotTimers {
    heap: BinaryHeap<Reverse<(Millis, TimerKind)>>,
    armed: Option<Millis>,
}

/// What is due of one subject.
#[derive(Debug, Default)]
pub(crate) struct Due {
    pub(crate) nodes: BTreeSet<u32>,
    pub(crate) look: bool,
    pub(crate) reconcile: bool,
    pub(crate) ask: bool,
    pub(crate) job: bool,
}

impl SlotTimers {
    /// Sets a timer; `Timers::rearm` must follow, or it does not fire.
    pub(crate) fn set(&mut self, at: Millis, what: TimerKind) {
        self.heap.push(Reverse((at, what)));
    }

    /// Lets go of all timers, to be set anew; `Timers::rearm` must follow.
    pub(crate) fn clear(&mut self) {
        self.heap.clear();
    }

    /// What is due now.
    pub(crate) fn take_due(&mut self, now: Millis) -> Due {
        let mut due = Due::default();
        while let Some(Reverse((_, what))) = self.heap.peek().filter(|next| next.0.0 <= now) {
            match *what {
                TimerKind::Node(node) => _ = due.nodes.insert(node),
                TimerKind::Look => due.look = true,
                TimerKind::Reconcile => due.reconcile = true,
                TimerKind::Ask => due.ask = true,
                TimerKind::Job => due.job = true,
            }
            self.heap.pop();
        }
        due
    }

    /// What was due is due again then.
    pub(crate) fn set_again(&mut self, due: Due, at: Millis) {
        for node in due.nodes {
            self.set(at, TimerKind::Node(node));
        }
        let kinds = [
            (due.look, TimerKind::Look),
            (due.reconcile, TimerKind::Reconcile),
            (due.ask, TimerKind::Ask),
            (due.job, TimerKind::Job),
        ];
        for (_, kind) in kinds.into_iter().filter(|(is_due, _)| *is_due) {
            self.set(at, kind);
        }
    }
}

/// The next time of each subject that has one.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    armed: BTreeSet<(Millis, u32)>,
}

impl Timers {
    /// Sets a timer of a subject.
    pub(crate) fn arm(&mut self, ix: u32, timers: &mut SlotTimers, at: Millis, what: TimerKind) {
        timers.set(at, what);
        self.rearm(ix, timers);
    }

    /// Sets a timer unless an earlier one of the same kind is set: for what comes again and again by itself.
    pub(crate) fn arm_once(
        &mut self,
        ix: u32,
        timers: &mut SlotTimers,
        at: Millis,
        what: TimerKind,
    ) {
        let there = timers.heap.iter().any(|Reverse((due, kind))| *kind == what && *due <= at);
        if !there {
            self.arm(ix, timers, at, what);
        }
    }

    /// Takes note of a subject's first timer.
    pub(crate) fn rearm(&mut self, ix: u32, timers: &mut SlotTimers) {
        let next = timers.heap.peek().map(|Reverse((at, _))| *at);
        if next == timers.armed {
            return;
        }
        if let Some(before) = timers.armed {
            self.armed.remove(&(before, ix));
        }
        if let Some(at) = next {
            self.armed.insert((at, ix));
        }
        timers.armed = next;
    }

    /// Lets go of all timers of a subject that leaves memory, or is not driven here any more.
    pub(crate) fn disarm(&mut self, ix: u32, timers: &mut SlotTimers) {
        if let Some(at) = timers.armed.take() {
            self.armed.remove(&(at, ix));
        }
        timers.clear();
    }

    /// The subject whose timer is due first, by now.
    pub(crate) fn first_due(&self, now: Millis) -> Option<u32> {
        self.armed.first().filter(|(at, _)| *at <= now).map(|(_, ix)| *ix)
    }

    /// There is no such subject any more.
    pub(crate) fn drop_first(&mut self) {
        self.armed.pop_first();
    }

    pub(crate) fn next_due(&self) -> Option<Millis> {
        self.armed.first().map(|(at, _)| *at)
    }

    pub(crate) fn len(&self) -> usize {
        self.armed.len()
    }
}
