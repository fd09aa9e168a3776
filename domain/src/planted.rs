//! Bugs that the simulation plants to see itself find them. A site is one condition, `planted::on(Planted::X)`, which is
//! a constant `false` in every build but that of the tests (feature `proof`).
//! Always holds: without the feature no bug can be switched on, and no site costs anything.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planted {
    /// A completion counts whatever its epoch.
    CompletionNotFenced,
    /// A cancel leaves ready nodes as they are.
    CancelLeavesReady,
    /// A lease does not count the attempt.
    AttemptsNotCounted,
    /// A node with more than two parents is never released by them.
    WideJoinStays,
    /// A completion of a node that was cancelled meanwhile counts.
    LateCompletionCounts,
    /// A lease that runs out takes the node's epoch back.
    EpochResetOnExpiry,
    /// An attempt that is given back takes the node's epoch back.
    EpochResetOnRequeue,
    /// What a subject owes is not issued again when it is loaded.
    EffectForgottenAtLoad,
    /// A refusal is said without a look at what others wrote.
    StaleRefusal,
    /// An append is written whatever the head of its stream.
    SeqIgnored,
    /// A command that is passed on carries no id of its own.
    ForwardedTwice,
    /// What was offered is leased without a look at the node.
    HintTakenForTruth,
    /// A document is shown although a newer one, or a deletion, was.
    LateFlushResurrects,
    /// A job that does not answer in time loses its grant.
    GrantFreedBySilence,
    /// An append notice is cleared before what it tells of was read.
    NoticeClearedEarly,
    /// A request for work under a claim is served before everything is read that may hold its leases.
    ClaimBeforeRead,
    /// A parked job's wake-up is later than what it waits for.
    WakeUpLate,
    /// A node that an untaken branch names counts as one that failed.
    BypassedCountsAsBad,
    /// A member is evaluated again although it was before.
    MemberEvaluatedTwice,
    /// A cleanup is not offered at the end of its job.
    CleanupNotOffered,
    /// A group of more than one member never ends.
    GroupNeverEnds,
    /// Only a part of the members of an expansion come to be.
    ExpansionInPart,
    /// A node that was changed after it was chosen for a worker is leased all the same.
    RepairOvertaken,
    /// Work is leased before it is known what is paused.
    PausesUnread,
}

#[cfg(feature = "proof")]
mod switch {
    use std::cell::Cell;

    use super::Planted;

    thread_local! {
        static PLANTED: Cell<Option<Planted>> = const { Cell::new(None) };
    }

    /// Whether this bug is planted, in this thread.
    pub fn on(bug: Planted) -> bool {
        PLANTED.get() == Some(bug)
    }

    /// Plants a bug in this thread, or none.
    pub fn plant(bug: Option<Planted>) {
        PLANTED.set(bug);
    }
}

#[cfg(feature = "proof")]
pub use self::switch::{on, plant};

/// Whether this bug is planted: never in this build.
#[cfg(not(feature = "proof"))]
pub const fn on(_: Planted) -> bool {
    false
}
