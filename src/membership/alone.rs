//! The membership of an engine that is alone: it drives every group from its first look on, whatever it does.
//! Always holds: nothing is stored; the lock of the data folder is what keeps a second engine away.

use std::sync::{Arc, Mutex, PoisonError};

use domain::ids::{GroupId, Millis};
use futures_util::FutureExt as _;
use futures_util::future::{self, BoxFuture};

use super::contract::{
    EngineId, EngineRecord, GroupRecord, HandOver, Introduction, Membership, MembershipResult,
    Renewal, Roster, Take,
};
use crate::environment::Clock;

/// The number of an engine that is alone.
pub const ME: EngineId = 1;

/// The only engine.
#[derive(Debug)]
pub struct Alone {
    clock: Arc<dyn Clock>,
    me: Mutex<Option<EngineRecord>>,
}

impl Alone {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, me: Mutex::default() }
    }

    fn change<T>(&self, change: impl FnOnce(&mut Option<EngineRecord>, Millis) -> T) -> T {
        let now = self.clock.now_ms();
        change(&mut self.me.lock().unwrap_or_else(PoisonError::into_inner), now)
    }
}

impl Membership for Alone {
    fn join<'a>(
        &'a self,
        introduction: &'a Introduction,
    ) -> BoxFuture<'a, MembershipResult<EngineId>> {
        self.change(|me, now| {
            *me = Some(EngineRecord {
                engine: ME,
                name: introduction.name_of(ME),
                address: introduction.address.clone(),
                version: introduction.version.clone(),
                public_key: introduction.public_key.clone(),
                started_at: now,
                renewed_at: now,
                lives: true,
                leaving: false,
            });
        });
        future::ready(Ok(ME)).boxed()
    }

    fn renew(&self, _me: EngineId, leaving: bool) -> BoxFuture<'_, MembershipResult<Renewal>> {
        self.change(|me, now| {
            if let Some(me) = me {
                (me.renewed_at, me.leaving) = (now, leaving);
            }
        });
        future::ready(Ok(Renewal::Held { at: None })).boxed()
    }

    fn look(&self) -> BoxFuture<'_, MembershipResult<Roster>> {
        let driven =
            |group| GroupRecord { driver: Some(ME), fence: 1, ..GroupRecord::untouched(group) };
        let engines = self.change(|me, _| me.iter().cloned().collect());
        let roster = Roster { engines, groups: GroupId::all().map(driven).collect() };
        future::ready(Ok(roster)).boxed()
    }

    fn evict(&self, engine: EngineId) -> BoxFuture<'_, MembershipResult<bool>> {
        future::ready(Ok(engine != ME)).boxed()
    }

    fn evict_at<'a>(
        &'a self,
        engine: EngineId,
        _address: &'a str,
    ) -> BoxFuture<'a, MembershipResult<bool>> {
        self.evict(engine)
    }

    fn take(&self, _me: EngineId, _takes: Vec<Take>) -> BoxFuture<'_, MembershipResult<()>> {
        future::ready(Ok(())).boxed()
    }

    fn hand_over(
        &self,
        _me: EngineId,
        _groups: Vec<HandOver>,
    ) -> BoxFuture<'_, MembershipResult<()>> {
        future::ready(Ok(())).boxed()
    }

    fn leave(&self, _me: EngineId) -> BoxFuture<'_, MembershipResult<()>> {
        self.change(|me, _| *me = None);
        future::ready(Ok(())).boxed()
    }
}
