//! The engine without IO: subjects in memory, what waits for them, what is offered, what is due. Inputs and time come
//! in, requests go out; the executor of the product and the simulation drive it the same way.
//! Invariant: an answer leaves only after the append that justifies it (`Outcome` is released by `committed`).
//! Absent on purpose: async, stores, clocks, and iteration over hashed maps.

mod announcing;
mod asking;
mod asks;
mod claim_index;
mod claims;
mod committer;
mod counts;
mod dispatch;
mod effects;
pub mod entity;
mod foreign_appends;
mod grants;
mod hints;
mod inspection;
mod leasing;
pub mod message;
mod outcomes;
mod pace;
pub(in crate::engine) mod pages;
pub(in crate::engine) mod projection;
pub mod request;
pub(in crate::engine) mod residency;
pub mod response;
mod routing;
mod silence;
mod slot;
mod slots;
mod tenants;
mod timers;
mod unread;
pub mod urgency;
mod validity;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use domain::bounds::Quotas;
use domain::dice::{GOLDEN, splitmix64};
use domain::ids::Millis;

use self::claims::{ClaimKey, PendingClaim};
pub use self::counts::{AttemptCounts, CoreCounts};
use self::dispatch::Dispatch;
use self::hints::Hints;
use self::leasing::PendingLease;
pub use self::leasing::heartbeat_ms;
use self::message::{
    EngineId, Failure, Granted, Input, LeaseRequest, Output, Request, Response, Ticket,
};
use self::pace::Pace;
use self::projection::Projection;
use self::routing::Sent;
use self::silence::Silence;
use self::slots::Slots;
use self::tenants::Tenants;
use self::unread::Unread;
use self::urgency::{Runnable, Urgency};
use crate::event_store::contract::{AppendItem, AppendNotice, WakeUpMove};

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
    /// The view's documents carry pages of their jobs' nodes: where people look into a database.
    pub node_pages: bool,
    /// What one tenant may take up, at this engine.
    pub quotas: Quotas,
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
            node_pages: false,
            quotas: Quotas::default(),
        }
    }
}

/// Tickets of what the core itself sends to other engines start here; those of askers stay below.
const SENT_FROM: Ticket = 1 << 63;

/// The engine without IO.
#[derive(Debug)]
pub struct Core {
    settings: CoreSettings,
    me: EngineId,
    /// The number by which other engines know this one: another than `me` once it was evicted and rejoined.
    external_id: EngineId,
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
    polls: VecDeque<(Ticket, LeaseRequest)>,
    /// Reports that came with a request for work, by the last of their tickets.
    reports: BTreeMap<Ticket, leasing::Reports>,
    /// Those requests.
    follows: BTreeSet<Ticket>,
    tenants: Tenants,
    unread: Unread,
    claims: BTreeMap<ClaimKey, BTreeSet<(u32, u32)>>,
    /// Requests for work under a claim that are not answered yet.
    pending_claims: BTreeMap<ClaimKey, PendingClaim>,
    /// Which of them ask other engines once more, and when.
    claim_retries: BTreeSet<(Millis, ClaimKey)>,
    /// Theirs, by ticket.
    claim_of: BTreeMap<Ticket, ClaimKey>,
    /// Requests for work that another engine passed on: nobody else is asked for them, and they never wait.
    no_forward: BTreeSet<Ticket>,
    /// The other engines that live.
    peers: Vec<EngineId>,
    silence: Silence,
    hints: Hints,
    /// Leased for askers who are gone.
    undelivered: Vec<Granted>,
    /// Until when this engine's groups are its own.
    drives_until: Millis,
    /// Until when those from whom groups were taken may write to them unheard.
    former_until: Millis,
    swept_at: Millis,
    /// What other engines were asked by this one itself, and what for.
    sent: BTreeMap<Ticket, Sent>,
    next_sent: Ticket,
    armed: BTreeSet<(Millis, u32)>,
    batch: Vec<AppendItem>,
    batch_notices: Vec<AppendNotice>,
    batch_events: usize,
    batch_bytes: usize,
    in_flight: usize,
    unknown: BTreeSet<(Millis, u32)>,
    projection: Projection,
    leave_checks: BTreeSet<u32>,
    wake_up_moves: Vec<WakeUpMove>,
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
            external_id: me,
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
            polls: VecDeque::new(),
            reports: BTreeMap::new(),
            follows: BTreeSet::new(),
            tenants: Tenants::default(),
            unread: Unread::default(),
            claims: BTreeMap::new(),
            pending_claims: BTreeMap::new(),
            claim_retries: BTreeSet::new(),
            claim_of: BTreeMap::new(),
            no_forward: BTreeSet::new(),
            peers: Vec::new(),
            silence: Silence::default(),
            hints: Hints::default(),
            undelivered: Vec::new(),
            drives_until: Millis::MIN,
            former_until: Millis::MIN,
            swept_at: now,
            sent: BTreeMap::new(),
            next_sent: SENT_FROM,
            armed: BTreeSet::new(),
            batch: Vec::new(),
            batch_notices: Vec::new(),
            batch_events: 0,
            batch_bytes: 0,
            in_flight: 0,
            unknown: BTreeSet::new(),
            projection: Projection::default(),
            leave_checks: BTreeSet::new(),
            wake_up_moves: Vec::new(),
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
            Input::Gone { ticket } => self.gone(ticket),
            Input::Appended { subjects, outcome } => self.appended(&subjects, outcome),
            Input::Loaded { subject, result } => self.loaded(&subject, result),
            Input::Tail { subject, after, result } => self.tail(&subject, after, result),
            Input::MarksMoved { moves, result } => self.marks_moved(&moves, result),
            Input::Removed { subject, result } => self.removed(&subject, result),
            Input::Due { marks, whole } => {
                self.due(marks);
                self.unread.looked(&whole);
            }
            Input::Notices { notices } => self.noticed(notices),
            Input::Flushed { shown, durable } => self.flushed(&shown, durable),
            Input::Routes { drivers } => self.routes(drivers),
            Input::Peers { engines } => self.peers_are(engines),
            Input::KnownAs { engine } => self.external_id = engine,
            Input::Drives { until } => self.drives_until(until),
            Input::Stepped { by } => self.stepped(by),
            Input::FormerDrivers { until } => self.former_until = self.former_until.max(until),
            Input::Announced { from, queues } => self.announced(from, &queues),
        }
        self.give_back_undelivered();
    }

    /// Does what time and inputs ask for: timers, decisions, batches, documents, leaving. Outputs follow.
    pub fn turn(&mut self, now: Millis) {
        self.now = self.now.max(now);
        self.fire_timers();
        self.write_again();
        self.end_waits();
        self.serve_read();
        self.ask_claims_again();
        self.decide_runnable();
        self.give_back_undelivered();
        self.announce();
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
        let looks = self.looks_again();
        let tells = self.announces_next();
        let read = self.serves_read_at();
        let asks = self.asks_claims_at();
        [timer, again, wait, flush, now, looks, tells, read, asks].into_iter().flatten().min()
    }

    fn answer(&mut self, ticket: Ticket, response: Response) {
        if !self.reports.is_empty() {
            self.report_answered(ticket);
        }
        self.no_forward.remove(&ticket);
        if !self.claim_of.is_empty() && !self.claim_answered(ticket, &response) {
            return;
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
            Request::Lease(request) => self.poll_lease(ticket, request, forwarded),
            Request::Claimed { namespace, worker, claim, by } => {
                self.claimed(ticket, &(namespace, worker, claim), by);
            }
            Request::NextWork { request, reports } => self.next_work(ticket, request, reports),
            Request::Queues { namespace, part } => {
                let (facts, known) = self.dispatch.queue_facts(&namespace, &part);
                self.answer(ticket, Response::Queues { facts, known });
            }
            Request::Workers { namespace, part } => {
                let (facts, known) = self.dispatch.worker_facts(&namespace, &part);
                self.answer(ticket, Response::Workers { facts, known });
            }
            Request::Command { .. }
            | Request::Heartbeat { .. }
            | Request::Read { .. }
            | Request::AskGrant { .. }
            | Request::Inspect { .. } => {
                self.route(ticket, request, forwarded);
            }
        }
    }

    /// A number that depends only on the seed and the draws before it (splitmix64).
    fn draw(&mut self) -> u64 {
        let drawn = splitmix64(self.dice);
        self.dice = self.dice.wrapping_add(GOLDEN);
        drawn
    }
}
