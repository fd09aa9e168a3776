//! What goes wrong with engines: crashes that forget everything volatile, changes of driver of which engines hear at
//! different times (so that two believe they drive, or nobody does), freezes, steps of the wall clock.
//! Always holds: in the calm no fault is left and everybody agrees on who drives what.

use domain::ids::Millis;
use orrery::engine::core::message::Input;

use super::bugs::Bug;
use super::run_settings::Mix;
use super::world::{Happening, Whose, World};

const HOUR_MS: Millis = 3_600_000;

impl World {
    pub(crate) fn plan_faults(&mut self) {
        let faults = self.mix.engine.clone();
        self.plan(faults.crash_every_ms, Happening::Crash);
        self.plan(faults.reroute_every_ms, Happening::Reroute);
        self.plan(faults.freeze_every_ms, Happening::Freeze);
        let clock = if self.has(Bug::SweeperAhead) { 10_000 } else { faults.clock_every_ms };
        self.plan(clock, Happening::ClockSteps);
    }

    fn plan(&mut self, mean_ms: Millis, fault: Happening) {
        if mean_ms > 0 && !self.calm {
            let wait = self.dice.wait(1, 2 * mean_ms);
            self.after(wait, fault);
        }
    }

    pub(crate) fn crash_somebody(&mut self) {
        self.plan(self.mix.engine.crash_every_ms, Happening::Crash);
        if self.calm {
            return;
        }
        if self.dice.chance(100) {
            // Everybody at once; what comes back may have been restored meanwhile.
            for at in 0..self.members.len() {
                self.crashes(at);
            }
            if self.dice.chance(300) {
                self.store.raise_incarnation();
                self.checker.raise_incarnation();
            }
        } else {
            let at = self.dice.index(self.members.len());
            if self.dice.chance(200) {
                let of = self.life_of(at);
                self.give(of, Input::Leaving);
            }
            self.crashes(at);
        }
        if self.dice.chance(200) {
            self.view.lose_unsynced();
            self.checker.given.clear();
            // What is gone was not in the list all the time.
            self.lister = super::list_reader::Lister::default();
        }
    }

    /// Everything volatile is gone. What was on its way to the storage may still arrive, unless the engine is alone
    /// with its store and takes it along.
    pub(crate) fn crashes(&mut self, at: usize) {
        let of = self.life_of(at);
        self.count_conflicts(at);
        if self.members[at].core.take().is_none() {
            return;
        }
        self.members[at].turn_at = None;
        self.checker.count("fault: crash");
        let alone = self.mix.engines == 1;
        let under_way = self.take_out(
            |happening| matches!(happening, Happening::Storage { of: whose, .. } if *whose == of),
        );
        for (key, happening) in under_way {
            let lands = self.dice.chance(500);
            let Happening::Storage { output, .. } = happening else { continue };
            if lands && alone {
                self.reaches_storage(of, output, false);
            } else if lands {
                self.put_back(key, Happening::Storage { of, output, replies: false });
            }
        }
        let wait = self.dice.wait(1, 6_000);
        self.after(wait, Happening::Restarts { at });
    }

    /// Conflicts of a life that ends, or of one that is looked at for the last time.
    pub(crate) fn count_conflicts(&mut self, at: usize) {
        let counts = self.members[at].core.as_ref().map(orrery::engine::core::Core::counts);
        for _ in 0..counts.map_or(0, |counts| counts.conflicts) {
            self.checker.count("conflict");
        }
    }

    /// Some groups get another driver; engines hear of it one after the other.
    pub(crate) fn reroute(&mut self) {
        self.plan(self.mix.engine.reroute_every_ms, Happening::Reroute);
        if self.calm {
            return;
        }
        self.checker.count("fault: other drivers");
        let engines = self.members.len() as u64;
        let many = self.dice.pick(&[1_000, 300, 50]);
        for group in 0..self.drivers.len() {
            if self.dice.chance(many) {
                self.drivers[group] = u32::try_from(self.dice.below(engines)).ok();
            }
        }
        self.somebody_joins_anew();
        self.tells_drivers();
    }

    pub(crate) fn hears_routes(&mut self, at: usize, drivers: Vec<Option<u32>>) {
        self.members[at].drivers.clone_from(&drivers);
        let of = self.life_of(at);
        self.give(of, Input::Routes { drivers });
        self.after(0, Happening::Look { of, again: false });
    }

    pub(crate) fn freeze_somebody(&mut self) {
        self.plan(self.mix.engine.freeze_every_ms, Happening::Freeze);
        if self.calm {
            return;
        }
        self.checker.count("fault: freeze");
        let at = self.dice.index(self.members.len());
        let length = self.dice.pick(&[500, 5_000, 40_000]);
        let wait = self.dice.wait(1, length);
        let member = &mut self.members[at];
        if member.frozen_until <= self.now {
            member.frozen_since = self.now;
        }
        let until = member.frozen_until.max(self.now + wait);
        member.frozen_until = until;
        let of = self.life_of(at);
        self.after(until - self.now, Happening::Thaws { of });
    }

    /// What waited is heard before time is: the turn comes after the inputs.
    pub(crate) fn thaws(&mut self, of: Whose) {
        if self.lives(of) && self.members[of.at].frozen_until <= self.now {
            let now = self.now;
            let member = &mut self.members[of.at];
            member.turn_at = Some(now + 1);
            let (clock, away) = (member.clock(now), now - member.frozen_since);
            // It notices that it was away, as the product's executor does.
            if let Some(core) = member.core.as_mut() {
                core.record_stall(clock, away);
            }
        }
    }

    /// A freeze ends before its time: what waited for its end is heard now, in its order.
    fn goes_on(&mut self, at: usize) {
        let until = self.members[at].frozen_until;
        if until <= self.now {
            return;
        }
        let waiting = self.take_out(|happening| match happening {
            Happening::Back { of, .. } | Happening::Look { of, .. } => of.at == at,
            Happening::Arrives { at: to, .. } | Happening::Forwarded { at: to, .. } => *to == at,
            _ => false,
        });
        for (key, happening) in waiting {
            if key.0 == until {
                self.after(0, happening);
            } else {
                self.put_back(key, happening);
            }
        }
        self.take_out(|happening| matches!(happening, Happening::Thaws { of } if of.at == at));
        self.members[at].frozen_until = self.now;
        let of = self.life_of(at);
        self.thaws(of);
    }

    /// The wall clock is put forward or back. Engines that run do not see it; those that start do.
    pub(crate) fn step_clock(&mut self) {
        let again =
            if self.has(Bug::SweeperAhead) { 10_000 } else { self.mix.engine.clock_every_ms };
        self.plan(again, Happening::ClockSteps);
        if self.calm {
            return;
        }
        if self.has(Bug::SweeperAhead) {
            let at = self.dice.index(self.members.len());
            let ahead = self.members[at].clock(self.now) + HOUR_MS;
            self.members[at].set_clock(self.now, ahead);
            return self.checker.clocks_jump();
        }
        self.checker.count("fault: clock step");
        self.wall += self.dice.pick(&[-HOUR_MS, -HOUR_MS, HOUR_MS, -1_000, 90_000]);
    }

    /// The faults are over: everybody is up, agrees on the drivers, and on the time.
    pub(crate) fn calms_down(&mut self) {
        self.calm = true;
        self.mix = Mix::calm(&self.mix);
        for at in 0..self.members.len() {
            self.goes_on(at);
            self.restarts(at);
        }
        self.take_out(|happening| {
            matches!(happening, Happening::Routes { .. } | Happening::Restarts { .. })
        });
        for at in 0..self.members.len() {
            let drivers = self.drivers.clone();
            self.after(0, Happening::Routes { at, drivers });
        }
        let now = self.now;
        let latest = self.members.iter().map(|member| member.clock(now)).max().unwrap_or(now);
        for member in &mut self.members {
            member.set_clock(now, latest);
            member.turn_at = Some(now);
        }
        self.checker.clocks_jump();
        self.calm_clients();
    }
}
