//! How far a subject is read from the store, and which of those that wait for it may be decided on what was read.

/// How far a slot is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Its stream is being read; commands wait.
    Loading,
    /// Its tail is being read after a conflict or an append notice.
    Catching,
    /// Its wake-up is being moved to now, before it may append.
    Waking,
    /// Its wake-up is being moved away or later; it goes when that is done.
    Leaving,
    /// Ready to decide.
    Ready,
}

/// The phase of a subject and what its last read covers. Who asked before a read began may be refused on what it
/// found; who asked later may not, since somebody else can have written in between.
/// Legal: `read_for` counts while a read is under way (Loading, Catching); `covered` counts after it, until the round
/// that uses it is opened, and is 0 while one is under way; `stale` is set only for a transient subject.
#[derive(Debug)]
pub(crate) struct Reading {
    phase: Phase,
    /// How many of those that wait, from the front, came before the read under way began, or the newest one.
    read_for: usize,
    /// The same, of the read that came back last; decided before the others.
    covered: usize,
    /// A transient subject's state was read before something of what waits came: the tail is read before that is
    /// decided.
    stale: bool,
}

impl Reading {
    pub(crate) fn new(phase: Phase) -> Self {
        Self { phase, read_for: 0, covered: 0, stale: false }
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.phase == Phase::Ready
    }

    /// Changes the phase without a read: a wake-up is moved, or was.
    pub(crate) fn becomes(&mut self, phase: Phase) {
        self.phase = phase;
    }

    /// A read of what is stored begins, for so many who wait now.
    pub(crate) fn begins(&mut self, phase: Phase, waiting: usize) {
        (self.phase, self.read_for, self.covered) = (phase, waiting, 0);
    }

    /// Somebody waits for the read that has just been asked for on his account.
    pub(crate) fn waits_too(&mut self) {
        self.read_for += 1;
    }

    /// What was read is taken in; so many wait.
    pub(crate) fn is_through(&mut self, waiting: usize) {
        (self.phase, self.covered) = (Phase::Ready, self.read_for.min(waiting));
    }

    /// How many of those that wait the last read covers. They are decided in the round that asks, and nobody else is
    /// decided on that read.
    pub(crate) fn take_covered(&mut self) -> usize {
        std::mem::take(&mut self.covered)
    }

    /// Nobody waits any more.
    pub(crate) fn covers_nobody(&mut self) {
        (self.read_for, self.covered) = (0, 0);
    }

    pub(crate) fn is_stale(&self) -> bool {
        self.stale
    }

    pub(crate) fn set_stale(&mut self, stale: bool) {
        self.stale = stale;
    }
}
