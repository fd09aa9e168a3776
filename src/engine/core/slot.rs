//! One loaded subject with everything volatile about it: commands that wait, the append in flight, timers, lease
//! expiries, what it offers. All of it can be thrown away and made anew from the stream.
//! Invariant: at most one append in flight; while there is one, or a round is open (within a turn only), `entity` is
//! ahead of the committed state by it, and nobody is shown `entity`.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::sync::Arc;

use domain::ids::{Epoch, LeaseId, Millis, SubjectId};
use domain::job::command::JobCommand;
use domain::subject::answer::FirstAnswer;

use crate::engine::core::asks::Asks;
use crate::engine::core::claims::ClaimKey;
use crate::engine::core::committer::Round;
use crate::engine::core::dispatch::Entry;
use crate::engine::core::entity::{Entity, EntityEvent, EntityUndo};
use crate::engine::core::message::{Caller, Command, GrantRequest, Response, Ticket};
use crate::engine::core::pages::Pages;
use crate::engine::core::tenants::Counted;
use crate::event_store::contract::{AppendItem, ChainHash};

/// What a subject's timer is about: a node's position, or one of these.
pub(super) const JOB_TIMER: u32 = u32::MAX;
/// Ask the environment again.
pub(super) const ASK_TIMER: u32 = u32::MAX - 1;
/// Look whether every grant still has its job.
pub(super) const RECONCILE_TIMER: u32 = u32::MAX - 2;

/// Look whether others wrote to it.
pub(super) const LOOK_TIMER: u32 = u32::MAX - 3;

/// Where a command came from, and so what its answer is for.
#[derive(Debug, Clone)]
pub(super) enum Origin {
    /// Somebody waits for the answer.
    Asked(Ticket),
    /// A part of a lease request.
    Lease { request: u64, nodes: Vec<u32> },
    /// Timers and expiries: nobody waits.
    Clock,
    /// An environment's grant waits for the job's word.
    Grant { environment: SubjectId, run: u32, number: u64 },
    /// The environment decides whom to grant; on the outcome the ask is closed or asked again.
    Admission { ask: GrantRequest },
    /// A message to another subject.
    Message,
}

/// Something that waits for its turn.
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all are commands, and they are moved a few times only"
)]
#[derive(Debug)]
pub(super) enum Waiting {
    Command { origin: Origin, command: Command, caller: Caller, tries: u8 },
    Read { ticket: Ticket },
    Heartbeat { ticket: Ticket, lease: LeaseId },
}

impl Waiting {
    /// Whether the clock wants to end a lease.
    pub(super) fn is_expiry(&self) -> bool {
        matches!(
            self,
            Self::Command {
                origin: Origin::Clock,
                command: Command::Job(JobCommand::ExpireLease { .. }),
                ..
            }
        )
    }
}

/// What will be said when the append has committed.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) waiting: Waiting,
    pub(super) response: Response,
}

/// An append under way.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) item: AppendItem,
    pub(super) events: Vec<EntityEvent>,
    pub(super) undo: EntityUndo,
    pub(super) outcomes: Vec<Outcome>,
    /// Its outcome is unknown: the same record is written again then.
    pub(super) again_at: Option<Millis>,
    /// Its outcome was unknown once: heartbeats may have been held up meanwhile.
    pub(super) was_unknown: bool,
}

/// How far a slot is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
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

/// A running attempt's volatile expiry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LeaseTime {
    pub(super) epoch: Epoch,
    pub(super) expires_at: Millis,
    pub(super) lease_ms: u64,
}

/// One subject in memory.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) subject: SubjectId,
    pub(super) entity: Option<Entity>,
    pub(super) phase: Phase,
    pub(super) seq: u64,
    pub(super) chain: ChainHash,
    pub(super) queue: VecDeque<Waiting>,
    pub(super) in_flight: Option<Box<InFlight>>,
    /// What was decided in this turn and is not sent yet: more may be decided on top of it.
    pub(super) round: Option<Box<Round>>,
    /// Number and due time of the wake-up; number 0: there is none.
    pub(super) mark: (u64, Option<Millis>),
    /// This engine does not drive it: nothing volatile is kept, and it goes when its commands are answered.
    pub(super) transient: bool,
    pub(super) timers: BinaryHeap<Reverse<(Millis, u32)>>,
    pub(super) armed: Option<Millis>,
    pub(super) leases: BTreeMap<u32, LeaseTime>,
    /// The place of each node that lies in a queue.
    pub(super) offered: BTreeMap<u32, Entry>,
    /// Under which claim each running attempt was leased, as the index of claims has it.
    pub(super) claimed: BTreeMap<u32, ClaimKey>,
    /// Nodes handed to a lease request whose outcome is open.
    pub(super) reserved: BTreeSet<u32>,
    /// Since when the view shows less than the stream.
    pub(super) dirty_since: Option<Millis>,
    /// The seq the view shows durably.
    pub(super) shown: u64,
    /// The seq of the document that is being flushed or waits for it.
    pub(super) flushing: Option<u64>,
    /// Pages of its nodes that the view does not show as they are.
    pub(super) pages: Pages,
    /// Jobs that ask this environment.
    pub(super) asks: Asks,
    /// As what it counts among what its namespace takes up.
    pub(super) counted: Option<Counted>,
    /// An environment that was loaded grants nothing before this: those who hold grants are heard first.
    pub(super) grants_from: Millis,
    /// What is stored cannot be read.
    pub(super) damaged: Option<String>,
    /// It was deleted, and this is what it still answers.
    pub(super) deleted: Option<Arc<FirstAnswer>>,
    /// told by an append notice up to this seq, first noticed then; cleared when the tail was read and the mark is right.
    pub(super) noticed: Option<(u64, Millis)>,
    /// When an append or a read proved last that nobody else had written.
    pub(super) proven_at: Millis,
    /// After so long without a proof the tail is read.
    pub(super) look_after: Millis,
    /// A transient subject's state was read before something of what waits came: the tail is read before that is decided.
    pub(super) stale: bool,
    /// How many of those that wait, from the front, came before the read under way began, or the newest one: what was
    /// written since may matter to the others.
    pub(super) read_for: usize,
    /// The same, of the read that came back last; decided before the others.
    pub(super) covered: usize,
}

impl Slot {
    pub(super) fn new(subject: SubjectId, phase: Phase, chain: ChainHash, now: Millis) -> Self {
        Self {
            subject,
            entity: None,
            phase,
            seq: 0,
            chain,
            // One thing at a time waits for most subjects.
            queue: VecDeque::with_capacity(1),
            in_flight: None,
            round: None,
            mark: (0, None),
            transient: false,
            timers: BinaryHeap::new(),
            armed: None,
            leases: BTreeMap::new(),
            offered: BTreeMap::new(),
            claimed: BTreeMap::new(),
            reserved: BTreeSet::new(),
            dirty_since: None,
            shown: 0,
            flushing: None,
            pages: Pages::default(),
            asks: Asks::default(),
            counted: None,
            grants_from: now,
            damaged: None,
            deleted: None,
            noticed: None,
            proven_at: now,
            look_after: crate::engine::core::foreign_appends::LOOK_FIRST_MS,
            stale: false,
            read_for: 0,
            covered: 0,
        }
    }

    /// Nothing is under way: what `entity` shows is committed.
    pub(super) fn is_settled(&self) -> bool {
        self.in_flight.is_none() && self.round.is_none()
    }

    /// What waits can be decided now, on top of what was decided in this turn.
    pub(super) fn may_decide(&self) -> bool {
        let round_takes = self.round.as_ref().is_none_or(|round| round.takes_more());
        self.in_flight.is_none() && self.phase == Phase::Ready && round_takes
    }

    /// A read of what is stored begins, for those who wait now.
    pub(super) fn reads(&mut self, phase: Phase) {
        (self.phase, self.read_for, self.covered) = (phase, self.queue.len(), 0);
    }

    /// What was read is taken in.
    pub(super) fn has_read(&mut self) {
        (self.phase, self.covered) = (Phase::Ready, self.read_for.min(self.queue.len()));
    }

    /// Its last event was its deletion, or only the tombstone is left.
    pub(super) fn is_deleted(&self) -> bool {
        let job = self.entity.as_ref().and_then(Entity::job);
        self.deleted.is_some() || job.is_some_and(|job| job.head.deleted)
    }

    /// Nothing waits and nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.is_settled()
            && self.queue.is_empty()
            && self.phase == Phase::Ready
            && self.reserved.is_empty()
    }
}
