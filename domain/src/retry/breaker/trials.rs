//! The trials of a half-open breaker: permits that are out, each until a time, and results.
//! Invariant: permits that are out and results are together never more than there are permits
//! (`permits_that_are_out_never_exceed_their_number`). A permit that nobody brings back is free again when it expires.
//! Absent: what the results decide (`machine`).

use std::collections::BTreeMap;

use super::window::{CallCounts, CallOutcome};
use crate::ids::Millis;

/// Names a permit among those of one breaker; none is given twice.
pub type PermitNumber = u64;

/// What is out and what came back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Trials {
    expiry_of: BTreeMap<PermitNumber, Millis>,
    results: CallCounts,
}

impl Trials {
    /// Frees the permits that have expired.
    pub fn expire(&mut self, now: Millis) {
        self.expiry_of.retain(|_, expiry| *expiry > now);
    }

    /// Gives this permit out until then, if there is one left of so many.
    pub fn give(&mut self, permits: u32, number: PermitNumber, expiry: Millis) -> bool {
        let given = self.has_room(permits);
        if given {
            self.expiry_of.insert(number, expiry);
        }
        given
    }

    /// Takes the result of a trial. Without its permit, which may have expired, it counts while its place is free. An
    /// ignored result gives the place back.
    pub fn take(&mut self, permits: u32, number: Option<PermitNumber>, outcome: CallOutcome) {
        let was_out = number.is_some_and(|number| self.expiry_of.remove(&number).is_some());
        if was_out || self.has_room(permits) {
            self.results.add(outcome);
        }
    }

    /// The results, when there are as many as permits.
    pub fn decision(&self, permits: u32) -> Option<CallCounts> {
        (self.results.calls >= permits).then_some(self.results)
    }

    /// Permits that are out.
    pub fn out(&self) -> usize {
        self.expiry_of.len()
    }

    fn has_room(&self, permits: u32) -> bool {
        let results = usize::try_from(self.results.calls).unwrap_or(usize::MAX);
        self.out().saturating_add(results) < usize::try_from(permits).unwrap_or(usize::MAX)
    }
}
