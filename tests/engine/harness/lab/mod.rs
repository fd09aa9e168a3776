//! Engines as plain values: cores over one in-memory store, driven by hand. Outputs are carried out at once unless the
//! test holds them; time passes only in `advance`, from one due moment to the next.
//! Always holds: after every step the state of each subject in memory equals the replay of its stream, and no engine
//! wants a turn at a moment that is over (it would spin).

mod outputs;
mod requests;
mod stores;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use domain::ids::{GroupId, Millis, SubjectId};
use orrery::engine::core::kinds::Entity;
use orrery::engine::core::message::{ForwardTicket, Input, Output, Request, Response, Ticket};
use orrery::engine::core::{Core, CoreSettings};
use orrery::engine::loader;
use orrery::event_store::contract::EventStore;
use orrery_testing::event_store::MemoryEventStore;
use orrery_testing::view::MemoryView;

pub(crate) use self::requests::{heartbeat, recorded, replayed, report_of};
pub(crate) use self::stores::{carry, wait};
use super::{history, jobs};
use crate::harness::view_document::One as _;

/// How often an engine looks for what is due.
const LOOK_EVERY_MS: Millis = 5_000;
/// More turns than this at one moment are a spin.
const TURNS_MAX: usize = 20_000;

/// What becomes of requests between engines.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// They arrive, and so do the answers.
    Works,
    /// They do not arrive.
    Cut,
    /// They arrive, their answers do not.
    AnswersLost,
    /// They arrive when whoever asked has long decided by itself (`late_arrive`).
    Late,
}

struct Member {
    core: Core,
    look_at: Millis,
    drivers: Vec<Option<u32>>,
}

/// Engines over one store.
pub(crate) struct Lab {
    pub(crate) store: Arc<MemoryEventStore>,
    pub(crate) view: Arc<MemoryView>,
    pub(crate) now: Millis,
    pub(crate) settings: CoreSettings,
    pub(crate) way: Way,
    /// What is on its way to which engine, too late.
    late: Vec<(usize, Request)>,
    /// Appends wait in `held` until `release_appends`.
    pub(crate) holds_appends: bool,
    /// And so do flushes.
    pub(crate) holds_flushes: bool,
    /// Flushes answer with a failure.
    pub(crate) view_fails: bool,
    /// Which pages of whose nodes were flushed, in order.
    pub(crate) pages: Vec<(SubjectId, Vec<u32>)>,
    held: VecDeque<(usize, Output)>,
    members: Vec<Member>,
    answers: BTreeMap<Ticket, Response>,
    forwards: BTreeMap<Ticket, (usize, ForwardTicket)>,
    gone: BTreeSet<Ticket>,
    next_ticket: Ticket,
    /// The seq of each subject of each engine that was compared last.
    compared: BTreeMap<(usize, SubjectId), u64>,
    seeds: u64,
    engines: usize,
    /// Requests between engines.
    pub(crate) forwarded: u64,
    /// Times that an engine told others of work.
    pub(crate) announcements: u64,
    /// Turns taken, by which idleness is judged.
    pub(crate) turns: u64,
    pub(crate) subjects: BTreeSet<SubjectId>,
}

impl Lab {
    /// One engine that drives everything.
    pub(crate) fn new() -> Self {
        Self::of(1, CoreSettings::default())
    }

    /// `engines` engines; group g is driven by engine g modulo their number.
    pub(crate) fn of(engines: usize, settings: CoreSettings) -> Self {
        let mut lab = Self {
            store: Arc::new(MemoryEventStore::new("lab")),
            view: Arc::new(MemoryView::default()),
            now: jobs::START,
            settings,
            way: Way::Works,
            late: Vec::new(),
            holds_appends: false,
            holds_flushes: false,
            view_fails: false,
            pages: Vec::new(),
            held: VecDeque::new(),
            members: Vec::new(),
            answers: BTreeMap::new(),
            forwards: BTreeMap::new(),
            gone: BTreeSet::new(),
            next_ticket: 0,
            compared: BTreeMap::new(),
            seeds: 0,
            engines,
            forwarded: 0,
            announcements: 0,
            turns: 0,
            subjects: BTreeSet::new(),
        };
        for at in 0..engines {
            let drivers: Vec<_> = GroupId::all()
                .map(|group| u32::try_from(usize::from(group.index()) % engines).ok())
                .collect();
            let core = lab.core(at, &drivers);
            lab.members.push(Member { core, look_at: lab.now, drivers });
        }
        lab.settle();
        lab
    }

    fn core(&mut self, at: usize, drivers: &[Option<u32>]) -> Core {
        self.seeds += 1;
        let me = u32::try_from(at).expect("few engines");
        let incarnation = wait(self.store.info()).map_or(1, |info| info.incarnation);
        let settings = CoreSettings { alone: self.engines == 1, ..self.settings.clone() };
        let mut core = Core::new(settings, me, incarnation, self.seeds, self.now);
        core.handle(self.now, Input::Drives { until: Millis::MAX });
        let engines = (0..self.engines).filter_map(|at| u32::try_from(at).ok()).collect();
        core.handle(self.now, Input::Peers { engines });
        core.handle(self.now, Input::Routes { drivers: drivers.to_vec() });
        core
    }

    pub(crate) fn core_of(&self, at: usize) -> &Core {
        &self.members[at].core
    }

    /// The engine dies with everything that is not durable, and a new one takes its place.
    pub(crate) fn restart(&mut self, at: usize) {
        self.held.retain(|(of, _)| *of != at);
        self.forwards.retain(|_, (from, _)| *from != at);
        let drivers = self.members[at].drivers.clone();
        self.compared.clear();
        self.members[at].core = self.core(at, &drivers);
        self.members[at].look_at = self.now;
        self.settle();
    }

    /// Who drives what, as one engine sees it.
    pub(crate) fn route(&mut self, at: usize, drivers: Vec<Option<u32>>) {
        let input = Input::Routes { drivers: drivers.clone() };
        self.members[at].core.handle(self.now, input);
        self.members[at].drivers = drivers;
        self.members[at].look_at = self.now;
        self.settle();
    }

    /// The engine that drives a subject, as engine 0 sees it.
    pub(crate) fn driver_of(&self, subject: &SubjectId) -> usize {
        let driver = self.members[0].drivers[usize::from(subject.group().index())];
        usize::try_from(driver.expect("a driver")).expect("few engines")
    }

    /// Runs until nobody has anything to do at this moment.
    pub(crate) fn settle(&mut self) {
        for _ in 0..TURNS_MAX {
            let mut moved = false;
            for at in 0..self.members.len() {
                if self.members[at].look_at <= self.now {
                    self.members[at].look_at = self.now + LOOK_EVERY_MS;
                    self.look(at);
                }
                self.turns += 1;
                self.members[at].core.turn(self.now);
                while let Some(output) = self.members[at].core.poll() {
                    moved = true;
                    self.perform(at, output);
                }
                moved |= self.members[at].core.next_due().is_some_and(|due| due <= self.now);
            }
            if !moved {
                self.compare_with_replay();
                return;
            }
        }
        panic!("an engine spins at {}", self.now);
    }

    /// Lets time pass, stopping at every moment at which something is due.
    pub(crate) fn advance(&mut self, ms: Millis) {
        let until = self.now + ms;
        loop {
            let dues = self.members.iter().flat_map(|m| [m.core.next_due(), Some(m.look_at)]);
            let next = dues.flatten().min().expect("the next look");
            self.now = next.clamp(self.now, until);
            self.settle();
            if self.now == until {
                return;
            }
        }
    }

    fn compare_with_replay(&mut self) {
        for (at, member) in self.members.iter().enumerate() {
            for subject in &self.subjects {
                let Some((seq, live)) = member.core.committed_state(subject) else { continue };
                let large = live.job().is_some_and(|job| job.nodes.len() > 100) && seq % 100 != 0;
                let before = self.compared.insert((at, subject.clone()), seq);
                if before == Some(seq) || large {
                    continue;
                }
                let replayed = wait(loader::load_at(self.store.as_ref(), subject, seq));
                // The store may be out of reach by the test's will; what it answers must be the same.
                let Ok(replayed) = replayed else { continue };
                match (live, replayed) {
                    (Entity::Job(live), Some(Entity::Job(replayed))) => {
                        assert_eq!(live.digest(), replayed.digest(), "{subject} at {seq}");
                    }
                    (live, Some(replayed)) => assert_eq!(live, &replayed, "{subject} at {seq}"),
                    (_, None) => panic!("{subject}: live, but not replayed"),
                }
            }
        }
    }

    fn look(&mut self, at: usize) {
        let until = self.now + LOOK_EVERY_MS + 1_000;
        for group in GroupId::all() {
            let driver = self.members[at].drivers[usize::from(group.index())];
            if driver.is_none_or(|driver| usize::try_from(driver).ok() != Some(at)) {
                continue;
            }
            if let Ok(marks) = wait(self.store.live(group, until, None, 10_000)) {
                self.members[at].core.handle(self.now, Input::Due { marks, whole: Vec::new() });
                if let Ok(notices) = wait(self.store.notices(group)) {
                    self.members[at].core.handle(self.now, Input::Notices { notices });
                    let whole = vec![group];
                    self.members[at].core.handle(self.now, Input::Due { marks: Vec::new(), whole });
                }
            }
        }
    }

    /// Everything at rest: histories keep the promises, documents show the heads, nothing is kept for nobody.
    pub(crate) fn check_at_rest(&mut self) {
        self.advance(11_000);
        for subject in self.subjects.clone() {
            history::check(self.store.as_ref(), &subject);
            let stream = wait(loader::load(self.store.as_ref(), &subject)).expect("a stream");
            let document = wait(self.view.get(&subject)).expect("a view");
            assert_eq!(document.map(|document| document.seq), Some(stream.seq), "{subject}");
        }
        for at in 0..self.members.len() {
            let [pending, claims, _, sent] = self.core_of(at).kept();
            assert_eq!((pending, claims, sent), (0, 0, 0), "something is kept for nobody");
            assert_eq!(self.core_of(at).counts().queued, 0);
            assert_eq!(self.core_of(at).counts().appends_in_flight, 0);
        }
    }
}
