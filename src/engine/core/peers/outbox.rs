//! What this engine itself asked other engines, and what for. Each question comes back exactly once, with an answer or
//! without; what an engine asks for somebody else does not stand here.

use std::collections::BTreeMap;

use domain::ids::SubjectId;

use crate::engine::core::leases::ClaimKey;
use crate::engine::core::message::{EngineId, LeaseRequest};
use crate::engine::core::waiting::Origin;

/// A part of a pending request for work that another engine was asked for.
#[derive(Debug)]
pub(crate) struct SentLease {
    /// Of the pending request.
    pub(crate) number: u64,
    pub(crate) to: EngineId,
    /// The number of the hint on which it was asked.
    pub(crate) hint: u64,
    pub(crate) request: LeaseRequest,
}

/// What this engine itself asked another one.
#[derive(Debug)]
pub(crate) enum Sent {
    /// To decide a command, whose answer matters here.
    Command { subject: SubjectId, origin: Origin },
    /// For a part of a pending request for work.
    Lease(SentLease),
    /// Whether it knows a claim.
    Claim { key: ClaimKey, to: EngineId },
    /// To note what a job asks its environment for. Lost, it is asked again.
    Grant,
}

/// Questions that have not come back, by number.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    sent: BTreeMap<u64, Sent>,
    last: u64,
}

impl Outbox {
    /// Takes note of a question; its number.
    pub(crate) fn send(&mut self, sent: Sent) -> u64 {
        self.last += 1;
        self.sent.insert(self.last, sent);
        self.last
    }

    /// The number of the newest question.
    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    /// A question came back; none: it is not known (any more).
    pub(crate) fn comes_back(&mut self, number: u64) -> Option<Sent> {
        self.sent.remove(&number)
    }

    pub(crate) fn len(&self) -> usize {
        self.sent.len()
    }
}
