//! The world of one run: time, what will happen when, the engines, the clients and the checker. Everything that takes
//! time is a `Happening` in one ordered queue; whoever is next is drawn from nothing but the seed.
//! Always holds: time never goes back; two runs of a seed do the same in the same order.

use std::collections::BTreeMap;

use domain::ids::{Millis, SubjectId};
use orrery::engine::core::message::{Announced, Input, Output, Request, Response, Ticket};
use orrery_testing::event_store::MemoryEventStore;
use orrery_testing::view::MemoryView;

use super::bugs::Bug;
use super::calls::Call;
use super::checker::Checker;
use super::dice::Dice;
use super::engines::Member;
use super::list_reader::Lister;
use super::network::Flight;
use super::operator::Errand;
use super::random_jobs::Order;
use super::run_settings::Mix;
use super::workers::{Held, Worker};
use crate::harness::jobs;

/// Something that will happen.
#[derive(Debug)]
pub(crate) enum Happening {
    /// A call reaches the storage. Without `replies` nobody hears of it.
    Storage {
        of: Whose,
        output: Output,
        replies: bool,
    },
    /// Something comes back to an engine.
    Back {
        of: Whose,
        input: Input,
    },
    /// What a client asks in one breath reaches an engine.
    Arrives {
        at: usize,
        requests: Vec<(Ticket, Request)>,
    },
    /// An engine's answer reaches a client.
    Heard {
        ticket: Ticket,
        response: Response,
    },
    /// A client waits no longer.
    GivesUp {
        ticket: Ticket,
    },
    /// A request between engines arrives.
    Forwarded {
        at: usize,
        ticket: Ticket,
        request: Request,
    },
    /// An answer between engines arrives.
    ForwardAnswered {
        ticket: Ticket,
        response: Response,
    },
    /// The asking engine waits no longer for the other.
    ForwardLost {
        ticket: Ticket,
    },
    /// An engine tells another one of work.
    Announced {
        at: usize,
        from: u32,
        queues: Vec<Announced>,
    },
    /// An engine renews the lease on its groups, and hears who lives.
    Renews {
        of: Whose,
    },
    /// An engine looks for what is due; `again`: and goes on doing so.
    Look {
        of: Whose,
        again: bool,
    },
    /// An engine comes back.
    Restarts {
        at: usize,
    },
    /// A frozen engine goes on.
    Thaws {
        of: Whose,
    },
    /// An engine hears who drives what.
    Routes {
        at: usize,
        drivers: Vec<Option<u32>>,
    },
    /// A fault of this kind is due, and the next one is drawn.
    Crash,
    Reroute,
    Freeze,
    ClockSteps,
    /// A worker asks for work.
    Polls {
        worker: usize,
    },
    /// Something is next with an attempt.
    Works {
        held: u64,
    },
    /// A job is submitted, for the first time or again.
    Submits {
        order: usize,
    },
    /// An operator does something.
    Operates,
    /// An errand of an operator is tried again.
    Again {
        errand: usize,
    },
    /// Somebody reads another page of the list.
    Lists,
}

/// One life of an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Whose {
    pub(crate) at: usize,
    pub(crate) life: u32,
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) mix: Mix,
    pub(crate) dice: Dice,
    pub(crate) now: Millis,
    /// What the wall clock is off by.
    pub(crate) wall: Millis,
    pub(crate) calm: bool,
    /// Every happening is printed.
    pub(crate) tells: bool,
    queue: BTreeMap<(Millis, u64), Happening>,
    order: u64,
    pub(crate) store: MemoryEventStore,
    pub(crate) view: MemoryView,
    pub(crate) members: Vec<Member>,
    pub(crate) drivers: Vec<Option<u32>>,
    pub(crate) next_ticket: Ticket,
    pub(crate) calls: BTreeMap<Ticket, Call>,
    /// Tickets of requests between engines, by the ticket that the asked engine knows.
    pub(crate) flights: BTreeMap<Ticket, Flight>,
    pub(crate) workers: Vec<Worker>,
    pub(crate) held: BTreeMap<u64, Held>,
    pub(crate) orders: Vec<Order>,
    pub(crate) errands: Vec<Errand>,
    pub(crate) lister: Lister,
    pub(crate) pool: SubjectId,
    pub(crate) checker: Checker,
    pub(crate) bug: Option<Bug>,
    /// Inputs handled by engines and actions of clients.
    pub(crate) steps: u64,
    /// Follows from everything that could be observed.
    trace: u64,
}

impl World {
    pub(crate) fn new(seed: u64, bug: Option<Bug>) -> Self {
        let mut dice = Dice::new(seed);
        let mix = Mix::draw(&mut dice);
        let pool = domain::ids::EnvironmentName::parse(super::random_jobs::POOL).expect("a name");
        let mut world = Self {
            dice,
            now: jobs::START,
            wall: 0,
            calm: false,
            tells: super::seeds::variable("ORRERY_SIMULATION_STORY").is_some(),
            queue: BTreeMap::new(),
            order: 0,
            store: MemoryEventStore::new("simulation"),
            view: MemoryView::default(),
            members: Vec::new(),
            drivers: Vec::new(),
            next_ticket: 0,
            calls: BTreeMap::new(),
            flights: BTreeMap::new(),
            workers: Vec::new(),
            held: BTreeMap::new(),
            orders: Vec::new(),
            errands: Vec::new(),
            lister: Lister::default(),
            pool: SubjectId::environment(jobs::namespace(), &pool),
            checker: Checker::default(),
            bug,
            steps: 0,
            trace: seed,
            mix,
        };
        world.checker.gentle = world.mix.gentle;
        world.checker.alone = world.mix.engines == 1;
        world.found_engines();
        world.found_clients();
        world.plan_faults();
        world
    }

    /// Puts something into the future.
    pub(crate) fn after(&mut self, wait: Millis, happening: Happening) {
        self.order += 1;
        self.queue.insert((self.now + wait, self.order), happening);
    }

    /// Takes out of the future what `wanted` says.
    pub(crate) fn take_out(
        &mut self,
        wanted: impl Fn(&Happening) -> bool,
    ) -> Vec<((Millis, u64), Happening)> {
        self.queue.extract_if(.., |_, happening| wanted(happening)).collect()
    }

    pub(crate) fn put_back(&mut self, key: (Millis, u64), happening: Happening) {
        self.queue.insert(key, happening);
    }

    /// Lets time pass until `until`, or until something is wrong.
    pub(crate) fn run_until(&mut self, until: Millis) {
        while self.checker.broken.is_none() {
            let turn = (0..self.members.len())
                .filter_map(|at| Some((self.members[at].turn_at?, at)))
                .min();
            let next = self.queue.first_key_value().map(|((at, _), _)| *at);
            match (turn, next) {
                (Some((due, at)), next) if next.is_none_or(|next| due < next) && due <= until => {
                    self.now = self.now.max(due);
                    self.turn(at);
                }
                (_, Some(next)) if next <= until => {
                    self.now = self.now.max(next);
                    if let Some((_, happening)) = self.queue.pop_first() {
                        self.happens(happening);
                    }
                }
                _ => {
                    self.now = until;
                    return;
                }
            }
        }
    }

    fn happens(&mut self, happening: Happening) {
        if self.tells {
            self.tell(&happening);
        }
        match happening {
            Happening::Storage { of, output, replies } => self.reaches_storage(of, output, replies),
            Happening::Back { of, input } => self.give(of, input),
            Happening::Arrives { at, requests } => self.arrives(at, requests),
            Happening::Heard { ticket, response } => self.heard(ticket, response),
            Happening::GivesUp { ticket } => self.gives_up(ticket),
            Happening::Forwarded { at, ticket, request } => self.forwarded(at, ticket, request),
            Happening::ForwardAnswered { ticket, response } => {
                self.forward_answered(ticket, response);
            }
            Happening::ForwardLost { ticket } => self.forward_lost(ticket),
            Happening::Announced { at, from, queues } => {
                let input = Input::Announced { from, queues };
                self.give(self.life_of(at), input);
            }
            Happening::Renews { of } => self.renews(of),
            Happening::Look { of, again } => self.look(of, again),
            Happening::Restarts { at } => self.restarts(at),
            Happening::Thaws { of } => self.thaws(of),
            Happening::Routes { at, drivers } => self.hears_routes(at, drivers),
            Happening::Crash => self.crash_somebody(),
            Happening::Reroute => self.reroute(),
            Happening::Freeze => self.freeze_somebody(),
            Happening::ClockSteps => self.step_clock(),
            Happening::Polls { worker } => self.polls(worker),
            Happening::Works { held } => self.works(held),
            Happening::Submits { order } => self.submits(order),
            Happening::Operates => self.operates(),
            Happening::Again { errand } => self.runs_errand(errand),
            Happening::Lists => self.lists(),
        }
    }

    /// For people who look for a cause: what happens, line by line.
    pub(crate) fn tell(&self, what: &dyn std::fmt::Debug) {
        let line: String = format!("{what:?}").chars().take(600).collect();
        super::seeds::say(&format!("{:>8} {line}", self.now - jobs::START));
    }

    /// Adds something observable to what two runs of a seed are compared by.
    pub(crate) fn note(&mut self, what: u64) {
        self.trace = (self.trace ^ what).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(29);
    }

    /// What could be observed so far.
    pub(crate) fn trace(&self) -> u64 {
        self.trace ^ self.checker.trace()
    }

    pub(crate) fn ticket(&mut self) -> Ticket {
        self.next_ticket += 1;
        self.next_ticket
    }
}
