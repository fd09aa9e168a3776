//! What others may have written to a subject that is driven here: told by append notices, and looked for now and then
//! by the driver itself, since what an engine sent while it still held the group may land long after it lost it.

use domain::ids::Millis;

/// An append notice whose append never landed is forgotten after so long.
const NOTICES_KEPT_MS: Millis = 60_000;
/// A driver looks for what others wrote to a subject after so long without an append of its own, then after twice as
/// long, and so on, up to the last.
const LOOK_FIRST_MS: Millis = 5_000;
/// The last, and at once that of a stream which began here: an engine that may have lost its groups sends notices of what
/// it appends, so whoever drove the group before cannot have written to it unheard, but for one that is dead by its records
/// and may not know it (`Ownership::former_are_over`).
const LOOK_LAST_MS: Millis = 600_000;

/// Others told that this engine does not know all of a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Notice {
    /// Up to where its stream must be read.
    seq: u64,
    /// When that was first heard.
    since: Millis,
}

/// Of one subject, what others may have written to it.
#[derive(Debug)]
pub(crate) struct ForeignAppends {
    /// Cleared when the tail was read and the wake-up is right.
    notice: Option<Notice>,
    /// When an append or a read proved last that nobody else had written.
    proven_at: Millis,
    /// After so long without a proof the tail is read.
    look_after: Millis,
}

impl ForeignAppends {
    pub(crate) fn new(now: Millis) -> Self {
        Self { notice: None, proven_at: now, look_after: LOOK_FIRST_MS }
    }

    /// Others wrote up to this seq.
    pub(crate) fn are_told(&mut self, seq: u64, now: Millis) {
        // What tells of more has its own minute: the append before it may never come.
        if self.notice.is_none_or(|notice| notice.seq < seq) {
            self.notice = Some(Notice { seq, since: now });
        }
    }

    /// Whether a notice is not cleared yet.
    pub(crate) fn has_notice(&self) -> bool {
        self.notice.is_some()
    }

    /// Up to where others wrote, as far as that was told.
    pub(crate) fn noticed(&self) -> Option<u64> {
        self.notice.map(|notice| notice.seq)
    }

    /// When the notice is forgotten, whatever became of the append that it tells of.
    pub(crate) fn forgotten_at(&self) -> Option<Millis> {
        self.notice.map(|notice| notice.since.saturating_add(NOTICES_KEPT_MS))
    }

    /// The notice was taken note of.
    pub(crate) fn clear_notice(&mut self) {
        self.notice = None;
    }

    /// An append of this engine committed: nobody else has written up to it.
    pub(crate) fn are_disproven(&mut self, now: Millis) {
        self.proven_at = now;
    }

    /// The stream was read whole.
    pub(crate) fn were_read(&mut self, now: Millis) {
        (self.proven_at, self.look_after) = (now, LOOK_FIRST_MS);
    }

    /// The stream began here, and nobody who drove it before can write to it unheard.
    pub(crate) fn cannot_be_unheard(&mut self) {
        self.look_after = LOOK_LAST_MS;
    }

    /// When they are looked for next.
    pub(crate) fn looked_for_at(&self) -> Millis {
        self.proven_at.saturating_add(self.look_after)
    }

    /// Whether they were never looked for since the load.
    pub(crate) fn were_never_looked_for(&self) -> bool {
        self.look_after == LOOK_FIRST_MS
    }

    /// They are looked for now. `is_last`: a former driver cannot write to it unheard any more; as long as one may, no
    /// look is the last one before the subject may leave memory.
    pub(crate) fn are_looked_for(&mut self, now: Millis, is_last: bool) {
        self.proven_at = now;
        if is_last {
            self.look_after = self.look_after.saturating_mul(2).min(LOOK_LAST_MS);
        }
    }
}
