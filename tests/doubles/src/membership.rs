//! The membership of tests: one set of records behind a lock, shared by several engines, on a clock of its own that
//! stands for the server's.
//! Always holds: what the contract says. A door may be shut, as a network is cut: then its engine gets no answer.
//! Absent: durability.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use domain::ids::{GroupId, Millis};
use futures_util::FutureExt as _;
use futures_util::future::{self, BoxFuture};

use orrery::environment::Clock;
use orrery::membership::contract::{
    EngineId, EngineRecord, GroupRecord, HandOver, Introduction, Membership, MembershipError,
    MembershipResult, Renewal, Roster, TENURE, Take,
};

#[derive(Debug, Default)]
struct Records {
    last: EngineId,
    /// With the end of the tenure; none once it is evicted.
    engines: BTreeMap<EngineId, Option<(EngineRecord, Millis)>>,
    groups: BTreeMap<u8, GroupRecord>,
}

/// One engine's door to the records.
#[derive(Debug, Clone)]
pub struct MemoryMembership {
    clock: Arc<dyn Clock>,
    records: Arc<Mutex<Records>>,
    shut: Arc<AtomicBool>,
}

impl MemoryMembership {
    /// No engine yet; `clock` is the store's.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, records: Arc::default(), shut: Arc::default() }
    }

    /// Another door to the same records.
    pub fn door(&self) -> Self {
        Self { shut: Arc::default(), ..self.clone() }
    }

    /// Whether this door answers.
    pub fn shut(&self, shut: bool) {
        self.shut.store(shut, Ordering::Relaxed);
    }

    fn act<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Records, Millis) -> T,
    ) -> BoxFuture<'static, MembershipResult<T>> {
        if self.shut.load(Ordering::Relaxed) {
            let silent = MembershipError::Unavailable("the door is shut".to_owned());
            return future::ready(Err(silent)).boxed();
        }
        let now = self.clock.now_ms();
        let done = act(&mut self.records.lock().unwrap_or_else(PoisonError::into_inner), now);
        future::ready(Ok(done)).boxed()
    }
}

fn tenure_from(now: Millis) -> Millis {
    now.saturating_add(Millis::try_from(TENURE.as_millis()).unwrap_or(Millis::MAX))
}

impl Records {
    fn group(&mut self, group: GroupId) -> &mut GroupRecord {
        self.groups.entry(group.index()).or_insert_with(|| GroupRecord::untouched(group))
    }
}

impl Membership for MemoryMembership {
    fn join<'a>(
        &'a self,
        introduction: &'a Introduction,
    ) -> BoxFuture<'a, MembershipResult<EngineId>> {
        self.act(|records, now| {
            records.last += 1;
            let engine = records.last;
            let record = EngineRecord {
                engine,
                name: introduction.name_of(engine),
                address: introduction.address.clone(),
                version: introduction.version.clone(),
                public_key: introduction.public_key.clone(),
                started_at: now,
                renewed_at: now,
                lives: true,
                leaving: false,
            };
            records.engines.insert(engine, Some((record, tenure_from(now))));
            engine
        })
    }

    fn renew(&self, me: EngineId, leaving: bool) -> BoxFuture<'_, MembershipResult<Renewal>> {
        self.act(|records, now| match records.engines.get_mut(&me) {
            Some(Some((record, until))) => {
                (record.renewed_at, record.leaving, *until) = (now, leaving, tenure_from(now));
                Renewal::Held { at: Some(now) }
            }
            Some(None) | None => Renewal::Evicted,
        })
    }

    fn look(&self) -> BoxFuture<'_, MembershipResult<Roster>> {
        self.act(|records, now| Roster {
            engines: records
                .engines
                .values()
                .flatten()
                .map(|(record, until)| EngineRecord { lives: *until >= now, ..record.clone() })
                .collect(),
            groups: GroupId::all().map(|group| *records.group(group)).collect(),
        })
    }

    fn evict(&self, engine: EngineId) -> BoxFuture<'_, MembershipResult<bool>> {
        self.act(|records, now| {
            let life = records.engines.entry(engine).or_default();
            if life.as_ref().is_some_and(|(_, until)| *until < now) {
                *life = None;
            }
            life.is_none()
        })
    }

    fn evict_at<'a>(
        &'a self,
        engine: EngineId,
        address: &'a str,
    ) -> BoxFuture<'a, MembershipResult<bool>> {
        self.act(|records, _| {
            let life = records.engines.entry(engine).or_default();
            let is_there = |record: &EngineRecord| record.address == address && !record.leaving;
            if life.as_ref().is_some_and(|(record, _)| is_there(record)) {
                *life = None;
            }
            life.is_none()
        })
    }

    fn take(&self, me: EngineId, takes: Vec<Take>) -> BoxFuture<'_, MembershipResult<()>> {
        self.act(|records, _| {
            for Take { group, fence } in takes {
                let record = records.group(group);
                if record.fence == fence {
                    *record = GroupRecord { group, driver: Some(me), fence: fence + 1, next: None };
                }
            }
        })
    }

    fn hand_over(
        &self,
        me: EngineId,
        groups: Vec<HandOver>,
    ) -> BoxFuture<'_, MembershipResult<()>> {
        self.act(|records, _| {
            for HandOver { group, fence, next } in groups {
                let record = records.group(group);
                if record.fence == fence && record.driver == Some(me) {
                    *record = GroupRecord { group, driver: None, fence: fence + 1, next };
                }
            }
        })
    }

    fn leave(&self, me: EngineId) -> BoxFuture<'_, MembershipResult<()>> {
        self.act(|records, _| {
            records.engines.insert(me, None);
        })
    }
}
