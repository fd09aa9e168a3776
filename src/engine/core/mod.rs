//! The engine without IO: subjects in memory, what waits for them, what is offered, what is due. Inputs and time come
//! in, requests go out; the executor of the product and the simulation drive it the same way.
//! Invariant: an answer leaves only after the append that justifies it (`Outcome` is released by `committed`).
//! Absent on purpose: async, stores, clocks, and iteration over hashed maps.

mod admission;
mod committer;
mod dispatch;
pub(in crate::engine) mod driver;
mod effects;
pub mod entity;
mod leasing;
pub mod message;
mod others;
mod outcomes;
mod pace;
pub(in crate::engine) mod projection;
pub mod response;
mod routing;
mod slot;
mod slots;
mod timers;
pub mod urgency;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use domain::ids::{Millis, SubjectId};

use self::dispatch::Dispatch;
use self::leasing::PendingLease;
use self::message::{EngineId, Failure, Input, LeaseRequest, Output, Request, Response, Ticket};
use self::pace::Pace;
use self::projection::Projection;
use self::slots::Slots;
use self::urgency::{Runnable, Urgency};
use crate::event_store::contract::{AppendItem, MarkMove, Nudge};

/// What an operator may set; see `config/default.toml` for the reasons.
#[derive(Debug, Clone)]
pub struct CoreSettings {
    /// How long running attempts may go on after an ending is decided, milliseconds.
    pub grace_ms: Millis,
    /// Appends on their way at once.
    pub appends_in_flight_max: usize,
    /// Events that close a batch.
    pub batch_events_max: usize,
    /// Bytes that close a batch.
    pub batch_bytes_max: usize,
    /// Commands that may wait: submissions are refused at half of it, requests for work and reads at all of it,
    /// what finishes or stops work at four times it.
    pub queue_max: usize,
    /// A submission that would wait longer than this for its append is refused, milliseconds; a request for work at
    /// eight times it.
    pub delay_max_ms: Millis,
    /// A subject that waits for something further away than this leaves memory, milliseconds.
    pub park_after_ms: Millis,
    /// A stream's state is kept beside it each time it has grown by so many events.
    pub snapshot_every_events: u64,
    /// How often documents are flushed, milliseconds.
    pub view_flush_ms: Millis,
    /// How far the view may be behind before submissions are refused, milliseconds.
    pub view_lag_max_ms: Millis,
    /// Nobody else writes to the store. Otherwise a refusal first reads the subject's tail: this engine may not drive
    /// it any more and not know it yet.
    pub alone: bool,
}

impl Default for CoreSettings {
    fn default() -> Self {
        Self {
            grace_ms: 30_000,
            appends_in_flight_max: 2,
            batch_events_max: 2_000,
            batch_bytes_max: 1_024 * 1_024,
            queue_max: 50_000,
            delay_max_ms: 500,
            park_after_ms: 60_000,
            snapshot_every_events: 10_000,
            view_flush_ms: 50,
            view_lag_max_ms: 5_000,
            alone: true,
        }
    }
}

/// Attempts by how they ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AttemptCounts {
    /// By a report of completion.
    pub completed: u64,
    /// By a report of failure.
    pub failed: u64,
    /// By a lease that ran out.
    pub expired: u64,
    /// By a time-out.
    pub timed_out: u64,
    /// Given back, not counted.
    pub released: u64,
}

/// Numbers for metrics and tests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CoreCounts {
    /// Subjects in memory.
    pub subjects: usize,
    /// Commands that wait.
    pub queued: usize,
    /// Appends on their way.
    pub appends_in_flight: usize,
    /// Appends answered.
    pub appends: u64,
    /// Events committed.
    pub events: u64,
    /// Conflicts with other writers.
    pub conflicts: u64,
    /// Attempts leased to workers.
    pub running_attempts: u64,
    /// Attempts that completed, failed by report, ran too long, and were given back.
    pub attempts: AttemptCounts,
    /// Leases that ran out.
    pub leases_expired: u64,
    /// Stale reports refused.
    pub stale_reports: u64,
    /// Environments asked to grant, by jobs next in order.
    pub grants_tried: u64,
    /// Scheduled starts that came due.
    pub starts_due: u64,
    /// Time-outs of jobs and nodes, and revocations, that came due.
    pub timeouts_due: u64,
    /// Retry waits that ended.
    pub retries_due: u64,
    /// Nodes offered.
    pub ready: u64,
    /// Requests for work that wait.
    pub waiting_polls: u64,
    /// Queues where work and somebody who wants it wait for each other: none, but inside a turn.
    pub stalled_queues: u64,
    /// How far the view is behind, milliseconds.
    pub view_lag_ms: Millis,
    /// Since when the oldest change waits that the view does not durably show; none: it shows everything.
    pub unshown_since: Option<Millis>,
}

/// Tickets of what the core itself sends to other engines start here; those of askers stay below.
const SENT_FROM: Ticket = 1 << 63;

/// The engine without IO.
#[derive(Debug)]
pub struct Core {
    settings: CoreSettings,
    me: EngineId,
    incarnation: u32,
    dice: u64,
    now: Millis,
    drivers: Vec<Option<EngineId>>,
    slots: Slots,
    runnable: Runnable,
    pace: Pace,
    /// Slots with an open round.
    open: Vec<u32>,
    queued: usize,
    dispatch: Dispatch,
    pending_leases: BTreeMap<u64, PendingLease>,
    next_pending: u64,
    retries: Vec<(Ticket, LeaseRequest)>,
    /// Requests for work of this turn.
    wishes: VecDeque<(Ticket, LeaseRequest)>,
    /// Reports that came with a request for work, by the last of their tickets.
    reports: BTreeMap<Ticket, leasing::Reports>,
    /// Those requests.
    follows: BTreeSet<Ticket>,
    claims: BTreeMap<leasing::ClaimKey, BTreeSet<(u32, u32)>>,
    swept_at: Millis,
    /// Commands that other engines were asked to decide and whose answer matters here: for whom, and for what.
    sent: BTreeMap<Ticket, (SubjectId, slot::Origin)>,
    next_sent: Ticket,
    armed: BTreeSet<(Millis, u32)>,
    batch: Vec<AppendItem>,
    batch_nudges: Vec<Nudge>,
    batch_events: usize,
    batch_bytes: usize,
    in_flight: usize,
    unknown: BTreeSet<(Millis, u32)>,
    projection: Projection,
    leave_checks: BTreeSet<u32>,
    mark_moves: Vec<MarkMove>,
    outputs: VecDeque<Output>,
    counts: CoreCounts,
    /// Requests for work are not parked any more.
    leaving: bool,
}

impl Core {
    /// An engine that drives nothing yet. `seed` starts its dice.
    pub fn new(
        settings: CoreSettings,
        me: EngineId,
        incarnation: u32,
        seed: u64,
        now: Millis,
    ) -> Self {
        Self {
            settings,
            me,
            incarnation,
            dice: seed,
            now,
            drivers: vec![None; usize::from(domain::bounds::GROUPS)],
            slots: Slots::default(),
            runnable: Runnable::default(),
            pace: Pace::default(),
            open: Vec::new(),
            queued: 0,
            dispatch: Dispatch::default(),
            pending_leases: BTreeMap::new(),
            next_pending: 0,
            retries: Vec::new(),
            wishes: VecDeque::new(),
            reports: BTreeMap::new(),
            follows: BTreeSet::new(),
            claims: BTreeMap::new(),
            swept_at: now,
            sent: BTreeMap::new(),
            next_sent: SENT_FROM,
            armed: BTreeSet::new(),
            batch: Vec::new(),
            batch_nudges: Vec::new(),
            batch_events: 0,
            batch_bytes: 0,
            in_flight: 0,
            unknown: BTreeSet::new(),
            projection: Projection::default(),
            leave_checks: BTreeSet::new(),
            mark_moves: Vec::new(),
            outputs: VecDeque::new(),
            counts: CoreCounts::default(),
            leaving: false,
        }
    }

    /// Takes one input. Follow a batch of inputs with one `turn`.
    pub fn handle(&mut self, now: Millis, input: Input) {
        self.now = self.now.max(now);
        match input {
            Input::Request { ticket, request, forwarded } => {
                self.request(ticket, request, forwarded);
            }
            Input::Leaving => self.leaving = true,
            Input::Forwarded { ticket, response } => self.forwarded(ticket, response),
            Input::NotForwarded { ticket, request } => self.not_forwarded(ticket, request),
            Input::Gone { ticket } => {
                self.wishes.retain(|(wished, _)| *wished != ticket);
                _ = self.dispatch.unpark(ticket);
            }
            Input::Appended { subjects, outcome } => self.appended(&subjects, outcome),
            Input::Loaded { subject, result } => self.loaded(&subject, result),
            Input::Tail { subject, after, result } => self.tail(&subject, after, result),
            Input::MarksMoved { moves, result } => self.marks_moved(&moves, result),
            Input::Removed { subject, result } => self.removed(&subject, result),
            Input::Due { marks } => self.due(marks),
            Input::Nudged { nudges } => self.nudged(nudges),
            Input::Flushed { shown, durable } => self.flushed(&shown, durable),
            Input::Routes { drivers } => self.routes(drivers),
        }
    }

    /// Does what time and inputs ask for: timers, decisions, batches, documents, leaving. Outputs follow.
    pub fn turn(&mut self, now: Millis) {
        self.now = self.now.max(now);
        self.fire_timers();
        self.write_again();
        self.end_waits();
        self.decide_runnable();
        self.flush_documents();
        self.sweep();
        self.leave();
    }

    /// The next request to the outside.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When `turn` has something to do even without input.
    pub fn next_due(&self) -> Option<Millis> {
        let timer = self.armed.first().map(|(at, _)| *at);
        let again = self.unknown.first().map(|(at, _)| *at);
        let wait = self.dispatch.next_due();
        let flush = self.projection.next_due(self.settings.view_flush_ms);
        // What came in while outputs were carried out: the next turn decides it.
        let turns = self.has_to_decide() || !self.leave_checks.is_empty();
        let now = turns.then_some(self.now);
        [timer, again, wait, flush, now, self.looks_again()].into_iter().flatten().min()
    }

    /// Numbers for metrics and tests.
    pub fn counts(&self) -> CoreCounts {
        CoreCounts {
            subjects: self.slots.len(),
            queued: self.queued,
            appends_in_flight: self.in_flight,
            view_lag_ms: self.projection.lag(self.now),
            unshown_since: self.projection.unshown_since(),
            ready: self.dispatch.ready(),
            waiting_polls: self.dispatch.waiting_polls(),
            running_attempts: self.dispatch.running(),
            stalled_queues: self.dispatch.stalled_queues(),
            ..self.counts
        }
    }

    /// A subject's state as this engine has it, with the seq it shows; none while an append of it is under way. For
    /// tests and checks: replay must give the same.
    pub fn committed_state(&self, subject: &SubjectId) -> Option<(u64, &entity::Entity)> {
        let slot = self.slots.find(subject).and_then(|ix| self.slots.get(ix))?;
        let entity = slot.entity.as_ref().filter(|_| slot.is_settled())?;
        Some((slot.seq, entity))
    }

    /// The sizes of what is kept for a while: lease requests under way, claims, timers, commands sent to other engines.
    pub fn kept(&self) -> [usize; 4] {
        let leases = self.pending_leases.len() + self.reports.len() + self.follows.len();
        [leases, self.claims.len(), self.armed.len(), self.sent.len()]
    }

    fn answer(&mut self, ticket: Ticket, response: Response) {
        if !self.reports.is_empty() {
            self.report_answered(ticket);
        }
        self.outputs.push_back(Output::Answer { ticket, response });
    }

    fn fail(&mut self, ticket: Ticket, failure: Failure) {
        self.answer(ticket, Response::Failed(failure));
    }

    fn request(&mut self, ticket: Ticket, request: Request, forwarded: bool) {
        if let Some(refusal) = self.refusal(Urgency::of(&request)) {
            return self.fail(ticket, refusal);
        }
        match request {
            Request::Lease(request) => self.lease_request(ticket, request),
            Request::NextWork { request, reports } => self.next_work(ticket, request, reports),
            Request::Queues { namespace } => {
                let facts = self.dispatch.queue_facts(&namespace);
                self.answer(ticket, Response::Queues(facts));
            }
            Request::Workers { namespace } => {
                let facts = self.dispatch.worker_facts(&namespace);
                self.answer(ticket, Response::Workers(facts));
            }
            Request::Command { .. }
            | Request::Heartbeat { .. }
            | Request::Read { .. }
            | Request::AskGrant { .. } => {
                self.route(ticket, request, forwarded);
            }
        }
    }

    /// A number that depends only on the seed and the draws before it (splitmix64).
    fn draw(&mut self) -> u64 {
        self.dice = self.dice.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.dice;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// In [0, 1).
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit a f64 exactly")]
    fn draw_unit(&mut self) -> f64 {
        (self.draw() >> 11) as f64 / (1_u64 << 53) as f64
    }
}
