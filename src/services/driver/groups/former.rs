//! An engine that was started again where another life of it was: that life is over, whatever its tenure says, and what it
//! drove is taken over at once instead of after its tenure.
//! Always holds: a life is evicted only by a later one at the same address, and only when it is proven that what is meant
//! for it comes here (`docs/decisions/0027`); whoever is hung somewhere else is told by its next renewal, and can do no
//! harm until then: appends carry the version they expect, and a lease its epoch.

use super::{Groups, GroupsState};
use crate::membership::contract::{EngineId, EngineRecord, Life, MembershipResult, Roster};

impl Groups {
    /// Lives before this one at its address, as long as it is in its first life itself: of two engines that are told the
    /// same address by mistake the later one evicts the other once, and not each the other for ever.
    pub(super) fn former<'a>(
        &self,
        state: &GroupsState,
        roster: &'a Roster,
    ) -> impl Iterator<Item = &'a EngineRecord> {
        let (me, address) = (state.me, self.introduction.address.clone());
        let first = me == self.joined_as;
        roster.engines.iter().filter(move |record| {
            first && record.engine < me && record.address == address && !record.leaving
        })
    }

    /// Whether what is meant for an engine comes here.
    pub(super) fn has_arrived(&self, record: &EngineRecord) -> bool {
        self.peers.has_arrived(Life { engine: record.engine, started_at: record.started_at })
    }

    /// Lives before this one at its address, which nobody reaches there any more.
    pub(super) fn gone(&self, state: &GroupsState, roster: &Roster) -> Vec<EngineId> {
        let former = self.former(state, roster).filter(|record| self.has_arrived(record));
        former.map(|record| record.engine).collect()
    }

    /// Evicts lives before this one at its address at once, when it is proven that nobody else is reached there: something
    /// that was meant for them, and signed by an engine of this deployment, has come here. It asks them something itself,
    /// so that it comes. Answers who is evicted.
    pub(super) async fn evict_former(
        &self,
        state: &GroupsState,
        roster: &Roster,
    ) -> MembershipResult<Vec<EngineId>> {
        let mut evicted = Vec::new();
        for record in self.former(state, roster).filter(|record| record.lives) {
            if !self.has_arrived(record) {
                self.cluster.calls_on(record.engine).await;
            }
            if self.has_arrived(record)
                && self.membership.evict_at(record.engine, &record.address).await?
            {
                tracing::info!(
                    engine = record.engine,
                    address = record.address,
                    "this engine has come to the address of another life, which is over"
                );
                evicted.push(record.engine);
            }
        }
        Ok(evicted)
    }
}
