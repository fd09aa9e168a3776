//! One run of one seed: a phase with faults, in which nothing may ever be wrong, and a phase without, in which
//! everything must come to rest in bounded time. A run that fails says how to run it again.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use domain::ids::Millis;
use orrery::engine::core::Core;

use super::bugs::Bug;
use super::world::World;

/// Invariant 29: three leases of 30 s, the longest wait before a retry (20 s), the longest schedule ahead (90 s), the
/// grace (30 s), a forgotten append notice (60 s), and the work itself, node after node.
const QUIET_WITHIN_MS: Millis = 400_000;
/// Append notices without an append, claims and parked subjects are let go of within this.
const SETTLE_MS: Millis = 75_000;
/// Before it is judged in the calm what is overdue.
const BREATH_MS: Millis = 15_000;

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ran {
    pub(crate) steps: u64,
    /// How often what happened.
    pub(crate) tally: BTreeMap<&'static str, u64>,
    /// Follows from everything that could be observed.
    pub(crate) trace: u64,
    /// What was wrong, if anything was.
    pub(crate) broken: Option<String>,
}

/// Runs a seed, with a bug planted if one is given.
pub(crate) fn run(seed: u64, bug: Option<Bug>) -> Ran {
    domain::planted::plant(bug.and_then(Bug::site));
    let mut world = World::new(seed, bug);
    let outcome = catch_unwind(AssertUnwindSafe(|| phases(&mut world)));
    domain::planted::plant(None);
    if let Err(panic) = outcome {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        world.checker.break_at("0", &format!("a panic: {}", text.unwrap_or_default()));
    }
    for at in 0..world.members.len() {
        world.count_conflicts(at);
    }
    if world.tells {
        world.members.iter().for_each(|member| super::seeds::say(&format!("{:?}", member.core)));
    }
    Ran {
        steps: world.steps,
        tally: std::mem::take(&mut world.checker.tally),
        trace: world.trace(),
        broken: world.checker.broken.take(),
    }
}

fn phases(world: &mut World) {
    let until = world.now + world.mix.safety_ms;
    while world.now < until && world.checker.broken.is_none() {
        world.run_until((world.now + 1_000).min(until));
        world.check_gauges();
    }
    world.calms_down();
    let (began, limit) = (world.now, world.now + QUIET_WITHIN_MS);
    while world.checker.broken.is_none() && !world.is_quiet() {
        if world.now >= limit {
            let open = world.checker.open();
            return world
                .checker
                .break_at("29", &format!("no rest after {QUIET_WITHIN_MS} ms: {open}"));
        }
        world.run_until(world.now + 1_000);
        world.check_gauges();
        if world.now > began + BREATH_MS {
            world.check_overdue();
        }
    }
    world.mix.deletes = 0;
    world.run_until(world.now + SETTLE_MS);
    world.check_rest();
}

impl World {
    fn is_quiet(&self) -> bool {
        self.checker.all_over() && self.orders.iter().all(|order| order.acked || order.forgotten)
    }

    fn check_gauges(&mut self) {
        for (at, member) in self.members.iter().enumerate() {
            // A frozen engine has not heard what it drives.
            if let (Some(core), true) = (&member.core, member.frozen_until <= self.now) {
                self.checker.gauges(core, |subject| member.drives(at, subject.group()));
            }
        }
    }

    fn check_overdue(&mut self) {
        let now = self.now;
        let clock = self.members.iter().map(|member| member.clock(now)).max();
        self.checker.overdue(clock.unwrap_or(now));
    }

    fn check_rest(&mut self) {
        if self.checker.broken.is_none() {
            let cores: Vec<&Core> = self.members.iter().filter_map(|m| m.core.as_ref()).collect();
            self.checker.at_rest(&self.store, &self.view, &cores, &self.orders);
        }
    }
}

/// How a failed run is run again.
pub(crate) fn command(seed: u64) -> String {
    format!("ORRERY_SIMULATION_SEED={seed} cargo test --test engine simulation -- --nocapture")
}
