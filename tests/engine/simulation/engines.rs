//! The engines of a run: their lives, their clocks, their turns, and where their outputs go. An engine's clock runs on
//! from where it was when the engine started; steps of the wall clock are seen by restarts only, and a start is never
//! before the newest event stored.
//! Always holds: a new life remembers nothing of the one before.

use domain::ids::{GroupId, Millis};
use orrery::engine::core::Core;
use orrery::engine::core::message::{Input, Output};
use orrery::event_store::contract::EventStore as _;

use super::bugs::Bug;
use super::world::{Happening, Whose, World};
use crate::harness::lab::wait;

/// How often an engine looks for what is due.
const LOOK_EVERY_MS: Millis = 5_000;
/// How often an engine renews the lease on its groups, and for how long it holds.
const RENEW_EVERY_MS: Millis = 3_000;
const GROUPS_HELD_MS: Millis = 10_000;
const YEAR_MS: Millis = 365 * 24 * 3_600_000;
/// More turns than this at one moment are a spin.
const TURNS_MAX: u32 = 5_000;

#[derive(Debug)]
pub(crate) struct Member {
    /// None while it is down.
    pub(crate) core: Option<Core>,
    pub(crate) life: u32,
    /// When it turns next.
    pub(crate) turn_at: Option<Millis>,
    /// It does nothing before that.
    pub(crate) frozen_until: Millis,
    pub(crate) frozen_since: Millis,
    /// By which the others know it.
    pub(crate) number: u32,
    /// Who drives what, as it was told.
    pub(crate) drivers: Vec<Option<u32>>,
    started: Millis,
    clock_then: Millis,
    /// In thousandths, faster or slower.
    drift: Millis,
    turned: (Millis, u32),
}

impl Member {
    /// What its clock shows.
    pub(crate) fn clock(&self, now: Millis) -> Millis {
        let passed = now - self.started;
        self.clock_then + passed + passed * self.drift / 1_000
    }

    /// When its clock will show this, or a little earlier.
    fn when(&self, now: Millis, shows: Millis) -> Millis {
        // What is due never is looked at again in a year.
        let left = shows.saturating_sub(self.clock(now)).min(YEAR_MS);
        if left <= 0 { now } else { now + (left * 1_000 / (1_000 + self.drift)).max(1) }
    }

    /// Puts the clock forward.
    pub(crate) fn set_clock(&mut self, now: Millis, to: Millis) {
        (self.clock_then, self.started, self.drift) = (to.max(self.clock(now)), now, 0);
    }

    pub(crate) fn drives(&self, at: usize, group: GroupId) -> bool {
        self.drivers[usize::from(group.index())] == u32::try_from(at).ok()
    }
}

impl World {
    pub(crate) fn found_engines(&mut self) {
        let engines = self.mix.engines;
        self.drivers = GroupId::all()
            .map(|group| u32::try_from(usize::from(group.index()) % engines).ok())
            .collect();
        for at in 0..engines {
            self.members.push(Member {
                core: None,
                life: 0,
                turn_at: None,
                frozen_until: 0,
                frozen_since: 0,
                number: u32::try_from(at).expect("few engines"),
                drivers: self.drivers.clone(),
                started: self.now,
                clock_then: self.now,
                drift: 0,
                turned: (0, 0),
            });
        }
        (0..engines).for_each(|at| self.restarts(at));
    }

    /// A new life begins with what is stored.
    pub(crate) fn restarts(&mut self, at: usize) {
        if self.members[at].core.is_some() {
            return;
        }
        let info = wait(self.store.info()).expect("the store's word on itself");
        let seed = self.dice.draw();
        let drift = self.mix.engine.drift;
        let drift = self.dice.wait(0, 2 * Millis::try_from(drift).expect("a small drift"))
            - Millis::try_from(drift).expect("a small drift");
        let settings = self.mix.settings.clone();
        let (now, wall) = (self.now, self.now + self.wall);
        let me = u32::try_from(at).expect("few engines");
        let drivers = self.drivers_for(at);
        let member = &mut self.members[at];
        member.life += 1;
        member.started = now;
        member.clock_then = wall.max(info.newest_at);
        member.drift = drift;
        let mut core = Core::new(settings, me, info.incarnation, seed, member.clock_then);
        core.handle(member.clock_then, Input::KnownAs { engine: member.number });
        core.handle(member.clock_then, Input::Routes { drivers });
        member.core = Some(core);
        member.turn_at = Some(now);
        member.frozen_until = 0;
        let life = member.life;
        self.after(0, Happening::Renews { of: Whose { at, life } });
        self.after(0, Happening::Look { of: Whose { at, life }, again: true });
        // Whoever lost an answer with the connection asks again as soon as anybody listens.
        for worker in self.workers_with_claims() {
            let soon = self.dice.wait(0, 3);
            self.after(soon, Happening::Polls { worker });
        }
    }

    /// The lease on its groups is renewed, and it hears who lives; or the membership is out of reach this time.
    pub(crate) fn renews(&mut self, of: Whose) {
        if !self.lives(of) {
            return;
        }
        self.after(RENEW_EVERY_MS, Happening::Renews { of });
        let fails = self.mix.engine.unrenewed;
        if self.dice.chance(fails) {
            return self.checker.count("fault: not renewed");
        }
        let others = (0..).zip(&self.members).filter(|(at, _)| *at != of.at);
        let living = others.filter(|(_, member)| member.core.is_some());
        let engines = living.map(|(_, member)| member.number).collect();
        // Reckoned from before the renewal was sent; a frozen engine hears of it when it goes on.
        let until = self.members[of.at].clock(self.now) + GROUPS_HELD_MS;
        self.comes_back(of, Input::Drives { until });
        self.comes_back(of, Input::Peers { engines });
    }

    pub(crate) fn lives(&self, of: Whose) -> bool {
        self.members[of.at].life == of.life && self.members[of.at].core.is_some()
    }

    pub(crate) fn life_of(&self, at: usize) -> Whose {
        Whose { at, life: self.members[at].life }
    }

    /// Hands an input to a living engine; a frozen one gets it when it goes on.
    pub(crate) fn give(&mut self, of: Whose, input: Input) {
        if !self.lives(of) {
            return;
        }
        let frozen = self.members[of.at].frozen_until - self.now;
        if frozen > 0 {
            return self.after(frozen, Happening::Back { of, input });
        }
        // What is said of drivers while it cannot hear may come in any order; the last word counts.
        let input = match input {
            Input::Routes { .. } => Input::Routes { drivers: self.drivers_for(of.at) },
            input => input,
        };
        let touched = subjects_of(&input);
        self.steps += 1;
        let member = &mut self.members[of.at];
        let clock = member.clock(self.now);
        if let Some(core) = member.core.as_mut() {
            core.handle(clock, input);
            for subject in &touched {
                if let Some((seq, entity)) = core.committed_state(subject) {
                    self.checker.compare(subject, seq, entity);
                }
            }
        }
        let soon = self.now + self.dice.wait(0, 2);
        let member = &mut self.members[of.at];
        member.turn_at = Some(member.turn_at.map_or(soon, |at| at.min(soon)));
    }

    /// One turn, with everything that comes out of it.
    pub(crate) fn turn(&mut self, at: usize) {
        let of = self.life_of(at);
        let frozen = self.members[at].frozen_until;
        if frozen > self.now {
            self.members[at].turn_at = Some(frozen);
            return;
        }
        let now = self.now;
        let member = &mut self.members[at];
        let clock = member.clock(now);
        let Some(core) = member.core.as_mut() else {
            member.turn_at = None;
            return;
        };
        core.turn(clock);
        while let Some(output) = self.members[at].core.as_mut().and_then(Core::poll) {
            self.perform(of, output);
        }
        let member = &mut self.members[at];
        let Some(core) = member.core.as_ref() else { return };
        let due = core.next_due().map(|due| member.when(now, due));
        member.turned = if member.turned.0 == now { (now, member.turned.1 + 1) } else { (now, 1) };
        member.turn_at = due;
        let stalled = core.counts().stalled_queues;
        if member.turned.1 > TURNS_MAX {
            self.checker.break_at("29", &format!("engine {at} spins"));
        }
        if stalled > 0 {
            self.checker
                .break_at("15", &format!("engine {at}: work and pollers wait for each other"));
        }
    }

    fn perform(&mut self, of: Whose, output: Output) {
        match output {
            Output::Append { .. } => self.sends_append(of, output),
            Output::Answer { ticket, response } => self.answered(of, ticket, response),
            Output::Forward { to, ticket, request, within_ms } => {
                self.forwards(of, to, (ticket, request), within_ms);
            }
            Output::Announce { to, queues } => self.announces(of, to, &queues),
            // Streams come back in an order of their own here anyway.
            Output::PrioritizeLoad { .. } => {}
            Output::Load { .. }
            | Output::LoadTail { .. }
            | Output::MoveWakeUps { .. }
            | Output::Remove { .. }
            | Output::Evaluate { .. }
            | Output::ReadCatalog { .. }
            | Output::ClearNotices { .. }
            | Output::Snapshot { .. }
            | Output::Flush { .. } => {
                let slow = matches!(output, Output::Flush { .. }) && {
                    let slow = self.mix.storage.slow;
                    self.dice.chance(slow)
                };
                let wait = if slow {
                    self.checker.count("fault: late flush");
                    self.dice.wait(1, self.mix.storage.slow_ms)
                } else {
                    self.storage_wait()
                };
                self.after(wait, Happening::Storage { of, output, replies: true });
            }
        }
    }

    /// Looks for subjects of driven groups that are due soon, and for what other engines wrote.
    pub(crate) fn look(&mut self, of: Whose, again: bool) {
        if !self.lives(of) {
            return;
        }
        let frozen = self.members[of.at].frozen_until - self.now;
        if frozen > 0 {
            return self.after(frozen, Happening::Look { of, again });
        }
        let until = self.members[of.at].clock(self.now) + LOOK_EVERY_MS + 1_000;
        let groups: Vec<GroupId> = self.checker.groups().into_iter().collect();
        // Nothing was ever written there.
        let whole = GroupId::all().filter(|group| !groups.contains(group)).collect();
        self.comes_back(of, Input::Due { marks: Vec::new(), whole });
        for group in groups {
            if !self.members[of.at].drives(of.at, group) {
                continue;
            }
            let fails = self.mix.storage.calls;
            let (marks, notices) = (!self.dice.chance(fails), !self.dice.chance(fails));
            let marks =
                marks.then(|| wait(self.store.live(group, until, None, 10_000)).ok()).flatten();
            let notices = notices.then(|| wait(self.store.notices(group)).ok()).flatten();
            let is_whole = marks.is_some() && notices.is_some();
            // They come in this order, one right after the other.
            let later = self.storage_wait();
            let mut comes = |input| self.after(later, Happening::Back { of, input });
            if let Some(marks) = marks.filter(|marks| !marks.is_empty()) {
                comes(Input::Due { marks, whole: Vec::new() });
            }
            if let Some(notices) = notices.filter(|notices| !notices.is_empty()) {
                comes(Input::Notices { notices });
            }
            if is_whole {
                comes(Input::Due { marks: Vec::new(), whole: vec![group] });
            }
        }
        if again {
            self.after(LOOK_EVERY_MS, Happening::Look { of, again });
        }
    }

    /// Something from the storage is on its way to an engine.
    pub(crate) fn comes_back(&mut self, of: Whose, input: Input) {
        let wait = self.storage_wait();
        self.after(wait, Happening::Back { of, input });
    }

    /// The bug that is planted in the harness, if it is this one.
    pub(crate) fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }
}

/// Whose committed state may have changed with an input.
fn subjects_of(input: &Input) -> Vec<domain::ids::SubjectId> {
    match input {
        Input::Appended { subjects, .. } => subjects.clone(),
        Input::Loaded { subject, .. } | Input::Tail { subject, .. } => vec![subject.clone()],
        Input::Leaving
        | Input::Request { .. }
        | Input::Gone { .. }
        | Input::Undelivered { .. }
        | Input::WakeUpsMoved { .. }
        | Input::Removed { .. }
        | Input::Evaluated { .. }
        | Input::CatalogRead { .. }
        | Input::Due { .. }
        | Input::Notices { .. }
        | Input::Flushed { .. }
        | Input::Routes { .. }
        | Input::Peers { .. }
        | Input::KnownAs { .. }
        | Input::Drives { .. }
        | Input::Stepped { .. }
        | Input::FormerDrivers { .. }
        | Input::Announced { .. }
        | Input::Forwarded { .. }
        | Input::NotForwarded { .. } => Vec::new(),
    }
}
