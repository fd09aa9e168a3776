//! Bugs that are planted to see that the simulation finds them: a mutation is worth more than a promise. Most are one
//! marked condition in the rules or the core (`domain::planted`), there only in test builds; the others are played by
//! the harness, which is where a store, a clock or a crash would do it.

use domain::planted::Planted;

/// A planted bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    /// A site in the rules or the core.
    Site(Planted),
    /// A record of unknown outcome is applied again although it landed.
    UnknownAppliedAgain,
    /// An engine says that something is durable before it is.
    AnswerBeforeAppend,
    /// An engine that rejoined tells of its work under its first number.
    OldNumber,
    /// The clock by which leases run out is ahead by hours. Costs work, and must break nothing.
    SweeperAhead,
}

impl Bug {
    /// All that must be found: the seven of `reliability.md` section 3, then four of our own, then what several engines
    /// can do wrong together, then what flow can do wrong in a tree.
    pub(crate) const FOUND: [Self; 24] = [
        Self::Site(Planted::CompletionNotFenced),
        Self::UnknownAppliedAgain,
        Self::Site(Planted::CancelLeavesReady),
        Self::Site(Planted::AttemptsNotCounted),
        Self::Site(Planted::WideJoinStays),
        Self::Site(Planted::LateCompletionCounts),
        Self::Site(Planted::EpochResetOnExpiry),
        Self::AnswerBeforeAppend,
        Self::Site(Planted::EffectForgottenAtLoad),
        Self::Site(Planted::EpochResetOnRequeue),
        Self::Site(Planted::StaleRefusal),
        Self::Site(Planted::SeqIgnored),
        Self::Site(Planted::HintTakenForTruth),
        Self::Site(Planted::GrantFreedBySilence),
        Self::Site(Planted::LateFlushResurrects),
        Self::Site(Planted::ForwardedTwice),
        Self::Site(Planted::NoticeClearedEarly),
        Self::Site(Planted::WakeUpLate),
        Self::OldNumber,
        Self::Site(Planted::BypassedCountsAsBad),
        Self::Site(Planted::MemberEvaluatedTwice),
        Self::Site(Planted::CleanupNotOffered),
        Self::Site(Planted::GroupNeverEnds),
        Self::Site(Planted::ExpansionInPart),
    ];

    pub(crate) fn site(self) -> Option<Planted> {
        match self {
            Self::Site(site) => Some(site),
            Self::UnknownAppliedAgain
            | Self::AnswerBeforeAppend
            | Self::OldNumber
            | Self::SweeperAhead => None,
        }
    }
}
