//! One loaded subject with everything volatile about it. All of it can be thrown away and made anew from the stream.

use std::sync::Arc;

use domain::ids::{Millis, SubjectId};
use domain::subject::answer::FirstAnswer;

use super::backlog::SlotQueue;
use super::reading::{Phase, Reading};
use super::timers::SlotTimers;
use crate::engine::core::commit::Stage;
use crate::engine::core::grants::GrantQueue;
use crate::engine::core::kinds::Entity;
use crate::engine::core::leases::{SlotHeard, SlotWork};
use crate::engine::core::peers::ForeignAppends;
use crate::engine::core::retry_counts::SlotRetries;
use crate::engine::core::shown::SlotView;
use crate::engine::core::tenants::SlotTenant;
use crate::event_store::contract::{ChainHash, WakeUp};

/// The wake-up of a subject as this engine knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct KnownWakeUp {
    /// Raised by each move: a move from another version holds nothing.
    version: u64,
    due: Millis,
}

/// One subject in memory: what several parts read, and of each part what it alone changes.
/// `entity` is ahead of the committed state (`seq`, `chain`) by what `stage` holds, and nobody is shown it meanwhile.
/// Legal: a transient subject has no timers, offers, leases or claims, is counted for no tenant and shown by nobody
/// here; a damaged one has nothing volatile either, and refuses what waits; a deleted one has no entity.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) subject: SubjectId,
    pub(crate) entity: Option<Entity>,
    pub(crate) seq: u64,
    pub(crate) chain: ChainHash,
    /// This engine does not drive it: nothing volatile is kept, and it goes when its commands are answered. Whatever is
    /// said about it rests on a read of its tail, since its driver writes to it meanwhile.
    pub(crate) transient: bool,
    /// What is stored cannot be read, and why.
    pub(crate) damaged: Option<String>,
    /// It was deleted, and this is what it still answers.
    pub(crate) deleted: Option<Arc<FirstAnswer>>,
    pub(crate) queue: SlotQueue,
    pub(crate) reading: Reading,
    pub(crate) stage: Stage,
    pub(crate) timers: SlotTimers,
    pub(crate) work: SlotWork,
    pub(crate) heard: SlotHeard,
    pub(crate) retries: SlotRetries,
    pub(crate) view: SlotView,
    pub(crate) foreign: ForeignAppends,
    pub(crate) asks: GrantQueue,
    pub(crate) tenant: SlotTenant,
    /// Its expressions are being evaluated beside the committer.
    pub(crate) evaluates: bool,
    /// None: it has no wake-up, because it is retired or does not exist yet.
    wake_up: Option<KnownWakeUp>,
}

impl Slot {
    pub(crate) fn new(subject: SubjectId, phase: Phase, chain: ChainHash, now: Millis) -> Self {
        Self {
            subject,
            entity: None,
            seq: 0,
            chain,
            transient: false,
            damaged: None,
            deleted: None,
            queue: SlotQueue::default(),
            reading: Reading::new(phase),
            stage: Stage::default(),
            timers: SlotTimers::default(),
            work: SlotWork::default(),
            heard: SlotHeard::default(),
            retries: SlotRetries::default(),
            view: SlotView::default(),
            foreign: ForeignAppends::new(now),
            asks: GrantQueue::default(),
            tenant: SlotTenant::default(),
            evaluates: false,
            wake_up: None,
        }
    }

    /// What waits can be decided now, on top of what was decided in this turn.
    pub(crate) fn may_decide(&self) -> bool {
        self.reading.is_ready() && self.stage.takes_more()
    }

    /// Its last event was its deletion, or only the tombstone is left.
    pub(crate) fn is_deleted(&self) -> bool {
        let removed_at = self.entity.as_ref().and_then(Entity::removed_at);
        self.deleted.is_some() || removed_at.is_some()
    }

    /// Nothing waits and nothing is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.stage.is_settled()
            && self.queue.is_empty()
            && self.reading.is_ready()
            && !self.work.has_reservations()
            && !self.evaluates
    }

    /// Nothing of it is owed any more: it is retired once the view shows it.
    pub(crate) fn is_over(&self) -> bool {
        self.entity.as_ref().is_some_and(Entity::is_over)
    }

    /// When it is due to be in memory, by its wake-up.
    pub(crate) fn wakes_at(&self) -> Option<Millis> {
        self.wake_up.map(|wake_up| wake_up.due)
    }

    /// Whether its wake-up is due: then its driver looks after it, and finds it again whatever becomes of this engine.
    pub(crate) fn is_awake(&self, now: Millis) -> bool {
        self.wake_up.is_some_and(|wake_up| wake_up.due <= now)
    }

    /// The version that a move of its wake-up expects; 0 where there is none.
    pub(crate) fn wake_up_version(&self) -> u64 {
        self.wake_up.map_or(0, |wake_up| wake_up.version)
    }

    /// Its wake-up as it was read.
    pub(crate) fn read_wake_up(&mut self, read: Option<&WakeUp>) {
        self.wake_up = read.map(|read| KnownWakeUp { version: read.number, due: read.due });
    }

    /// Its wake-up was moved from the version that was expected; none: it was taken away.
    pub(crate) fn moved_wake_up(&mut self, expected: u64, due: Option<Millis>) {
        self.wake_up = due.map(|due| KnownWakeUp { version: expected + 1, due });
    }

    /// Its stream began with this wake-up.
    pub(crate) fn first_wake_up(&mut self, due: Millis) {
        self.wake_up = Some(KnownWakeUp { version: 1, due });
    }
}
