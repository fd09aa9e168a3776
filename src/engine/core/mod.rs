//! The engine without IO: subjects in memory, what waits for them, what is offered, what is due. Inputs and time come
//! in, requests go out; the executor of the product and the simulation drive it the same way.
//! The parts own their fields: what a subject's slot, an append, a lease request or a claim may look like is decided in
//! the part's folder alone, and no part names `Core`. `steps` is what the engine does across them.
//! Invariant: an answer leaves only after the append that justifies it (`PromisedAnswer` is released by `committed`).
//! Absent on purpose: async, stores, clocks, and iteration over hashed maps.

mod commit;
mod counts;
mod grants;
pub mod kinds;
mod leases;
pub mod message;
mod pace;
mod peers;
pub mod request;
mod residency;
pub mod response;
mod retry_counts;
mod settings;
pub(in crate::engine) mod shown;
mod steps;
mod tenants;
pub mod urgency;
mod waiting;

use std::collections::VecDeque;

use domain::dice::SplitMix64;
use domain::ids::Millis;

use self::commit::Commits;
pub use self::counts::{AttemptCounts, CoreCounts};
use self::leases::{Claims, Dispatch, Pauses, Polls};
use self::message::{EngineId, Failure, Input, Output, Request, Response, Ticket};
use self::pace::Pace;
use self::peers::{KnownPeers, Outbox, Ownership, Routing};
use self::residency::{Backlog, Parking, Slots, Timers, Unread};
pub use self::retry_counts::{RetriesOfClass, RetryCounts};
pub use self::settings::CoreSettings;
use self::shown::Projection;
pub use self::steps::heartbeat_ms;
use self::tenants::Tenants;

/// The engine without IO.
#[derive(Debug)]
pub struct Core {
    settings: CoreSettings,
    incarnation: u32,
    now: Millis,
    dice: SplitMix64,
    slots: Slots,
    backlog: Backlog,
    timers: Timers,
    parking: Parking,
    unread: Unread,
    commits: Commits,
    pace: Pace,
    dispatch: Dispatch,
    polls: Polls,
    pauses: Pauses,
    claims: Claims,
    routing: Routing,
    ownership: Ownership,
    peers: KnownPeers,
    outbox: Outbox,
    tenants: Tenants,
    projection: Projection,
    outputs: VecDeque<Output>,
    counts: CoreCounts,
    /// Of what heartbeats said and no durable event has, over all slots.
    details_bytes: u64,
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
            ownership: Ownership::new(settings.alone),
            projection: Projection::new(settings.node_pages),
            settings,
            incarnation,
            now,
            dice: SplitMix64::new(seed),
            slots: Slots::default(),
            backlog: Backlog::default(),
            timers: Timers::default(),
            parking: Parking::default(),
            unread: Unread::default(),
            commits: Commits::default(),
            pace: Pace::default(),
            dispatch: Dispatch::default(),
            polls: Polls::default(),
            pauses: Pauses::default(),
            claims: Claims::default(),
            routing: Routing::new(me),
            peers: KnownPeers::new(now),
            outbox: Outbox::default(),
            tenants: Tenants::default(),
            outputs: VecDeque::new(),
            counts: CoreCounts::default(),
            details_bytes: 0,
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
            Input::Undelivered { granted } => self.polls.give_back(granted),
            Input::Appended { subjects, outcome } => self.appended(&subjects, outcome),
            Input::Loaded { subject, result } => self.loaded(&subject, result),
            Input::Tail { subject, after, result } => self.tail(&subject, after, result),
            Input::WakeUpsMoved { moves, result } => self.wake_ups_moved(&moves, result),
            Input::Removed { subject, result } => self.removed(&subject, result),
            Input::Evaluated { subject, result } => self.evaluated(&subject, result),
            Input::Due { marks, whole } => {
                self.due(marks);
                self.unread.looked(&whole);
            }
            Input::Notices { notices } => self.noticed(notices),
            Input::Flushed { shown, durable } => self.flushed(&shown, durable),
            Input::Routes { drivers } => self.routes(drivers),
            Input::Peers { engines } => self.peers_are(engines),
            Input::KnownAs { engine } => self.routing.is_known_as(engine),
            Input::Drives { until } => self.drives_until(until),
            Input::Stepped { by } => self.stepped(by),
            Input::FormerDrivers { until } => self.ownership.former_may_write(until),
            Input::Announced { from, queues } => self.announced(from, &queues),
            Input::CatalogRead { namespace, result } => self.catalog_read(&namespace, &result),
        }
        self.give_back_undelivered();
    }

    /// Does what time and inputs ask for: timers, decisions, batches, documents, leaving. Outputs follow.
    pub fn turn(&mut self, now: Millis) {
        self.now = self.now.max(now);
        self.fire_timers();
        self.watch_pauses();
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
        // What came in while outputs were carried out: the next turn decides it.
        let turns = self.has_to_decide() || self.parking.has_checks();
        let dues = [
            self.timers.next_due(),
            self.commits.next_due(),
            self.dispatch.next_due(),
            self.projection.next_due(self.settings.view_flush_ms),
            turns.then_some(self.now),
            self.looks_again(),
            self.announces_next(),
            self.serves_read_at(),
            self.claims.next_due(),
            self.pauses.next_due(),
        ];
        dues.into_iter().flatten().min()
    }

    /// An answer leaves. What waited for it alone goes on.
    fn answer(&mut self, ticket: Ticket, response: Response) {
        if let Some(lease) = self.polls.answered(ticket) {
            self.dispatch.waits_for_itself(lease);
        }
        if self.claim_answered(ticket, &response) {
            self.outputs.push_back(Output::Answer { ticket, response });
        }
    }

    fn fail(&mut self, ticket: Ticket, failure: Failure) {
        self.answer(ticket, Response::Failed(failure));
    }

    fn request(&mut self, ticket: Ticket, request: Request, forwarded: bool) {
        if let Some(refusal) = self.refusal(request.urgency()) {
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
}
