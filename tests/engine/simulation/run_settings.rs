//! What a seed's run is made of: how many engines, workers and jobs, and which faults at what rate. Each seed draws
//! its own mix (swarm): some faults are off altogether, so that rare combinations get room, and some are frequent.
//! Always holds: `calm` has no fault left.

use domain::ids::Millis;
use orrery::engine::core::CoreSettings;

use super::dice::Dice;

/// How a run is drawn. Rates are in thousandths of the occasions.
#[derive(Debug, Clone)]
pub(crate) struct Mix {
    pub(crate) engines: usize,
    pub(crate) workers: usize,
    pub(crate) jobs: usize,
    /// Length of the phase with faults.
    pub(crate) safety_ms: Millis,
    pub(crate) settings: CoreSettings,
    pub(crate) storage: StorageFaults,
    pub(crate) network: NetworkFaults,
    pub(crate) engine: EngineFaults,
    pub(crate) worker: WorkerWays,
    pub(crate) operator_every_ms: Millis,
    pub(crate) jobs_in_environments: u64,
    /// In the calm all workers ask one engine: work comes there from everywhere, or stays.
    pub(crate) polled_at_one: bool,
    /// Jobs that are over and let go of, at each look of an operator.
    pub(crate) deletes: u64,
    /// Nothing is ever lost or late: what takes a look at every engine is seen by all of them.
    pub(crate) gentle: bool,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct StorageFaults {
    /// A call acts after up to so long, and answers after as long again.
    pub(crate) latency_ms: Millis,
    /// Appends that fail, land unknown, or land in part.
    pub(crate) appends: u64,
    /// Appends that answer `Full`.
    pub(crate) full: u64,
    /// Appends that act only after up to `slow_ms`, when their writer has long been told that nobody knows.
    pub(crate) slow: u64,
    pub(crate) slow_ms: Millis,
    /// Records for other engines' subjects that come long after the append notice that tells of them.
    pub(crate) apart: u64,
    /// Other calls that answer `Unavailable`, having acted or not.
    pub(crate) calls: u64,
    /// Flushes that land in part.
    pub(crate) flushes: u64,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct NetworkFaults {
    pub(crate) latency_ms: Millis,
    pub(crate) lost_requests: u64,
    pub(crate) lost_answers: u64,
    /// Requests that arrive twice.
    pub(crate) repeated: u64,
    /// Messages that take up to `late_ms`.
    pub(crate) late: u64,
    pub(crate) late_ms: Millis,
    /// Clients that go away and whose engine notices it.
    pub(crate) noticed: u64,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct EngineFaults {
    /// Mean time between crashes; 0: none.
    pub(crate) crash_every_ms: Millis,
    /// Mean time between changes of drivers.
    pub(crate) reroute_every_ms: Millis,
    /// Changes of drivers in which some engine was evicted and rejoins, under another number.
    pub(crate) joins_anew: u64,
    /// Mean time between freezes of an engine.
    pub(crate) freeze_every_ms: Millis,
    /// Mean time between steps of an hour of the wall clock, which restarts see.
    pub(crate) clock_every_ms: Millis,
    /// Renewals of the lease on groups that come to nothing.
    pub(crate) unrenewed: u64,
    /// Clocks run faster or slower by up to so much.
    pub(crate) drift: u64,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct WorkerWays {
    pub(crate) fails: u64,
    pub(crate) silent: u64,
    pub(crate) zombie: u64,
    pub(crate) repeats: u64,
    pub(crate) differs: u64,
    pub(crate) releases: u64,
    pub(crate) claims: u64,
    /// Reports that ask for the next work in the same breath.
    pub(crate) next: u64,
    /// An attempt takes up to so long.
    pub(crate) work_ms: Millis,
}

/// Off in half of the seeds, rare, or frequent.
fn rate(dice: &mut Dice, frequent: u64) -> u64 {
    match dice.below(6) {
        0..=2 => 0,
        3 | 4 => (frequent / 10).max(1),
        _ => frequent,
    }
}

fn every(dice: &mut Dice, often_ms: Millis) -> Millis {
    match dice.below(4) {
        0 | 1 => 0,
        2 => often_ms * 5,
        _ => often_ms,
    }
}

impl Mix {
    pub(crate) fn draw(dice: &mut Dice) -> Self {
        // What came later is drawn apart, so that it does not shift what seeds have always drawn.
        let mut more = Dice::new(dice.clone().draw());
        let engines = dice.pick(&[1, 2, 2, 3, 3, 3]);
        let mut storage = StorageFaults {
            latency_ms: dice.pick(&[1, 5, 40]),
            appends: rate(dice, 150),
            full: 0,
            slow: rate(dice, 60),
            slow_ms: dice.pick(&[300, 3_000, 20_000]),
            apart: more.pick(&[0, 100, 500]),
            calls: rate(dice, 100),
            flushes: rate(dice, 300),
        };
        if engines == 1 && dice.chance(300) {
            // No room is an answer of the embedded store, which carries out what it is given in order.
            storage.full = rate(dice, 200);
            storage.slow = 0;
        }
        let network = NetworkFaults {
            latency_ms: dice.pick(&[1, 10, 100]),
            lost_requests: rate(dice, 100),
            lost_answers: rate(dice, 150),
            repeated: rate(dice, 100),
            late: rate(dice, 100),
            late_ms: dice.pick(&[500, 5_000, 40_000]),
            noticed: dice.pick(&[0, 500, 1_000]),
        };
        let engine = EngineFaults {
            crash_every_ms: every(dice, 8_000),
            reroute_every_ms: if engines > 1 { every(dice, 8_000) } else { 0 },
            joins_anew: more.pick(&[0, 0, 300, 1_000]),
            freeze_every_ms: every(dice, 15_000),
            clock_every_ms: every(dice, 20_000),
            drift: dice.pick(&[0, 0, 90]),
            unrenewed: if engines > 1 { rate(dice, 600) } else { 0 },
        };
        let worker = WorkerWays {
            fails: dice.pick(&[0, 100, 400]),
            silent: rate(dice, 200),
            zombie: rate(dice, 200),
            repeats: rate(dice, 300),
            differs: rate(dice, 100),
            releases: rate(dice, 200),
            claims: dice.pick(&[0, 300, 900]),
            next: dice.pick(&[0, 300, 1_000]),
            work_ms: dice.pick(&[200, 3_000, 15_000]),
        };
        let mix = Self {
            engines,
            workers: dice.pick(&[1, 2, 4, 6]),
            jobs: dice.pick(&[4, 10, 20, 30]),
            safety_ms: dice.pick(&[20_000, 60_000, 120_000]),
            settings: settings(dice, engines),
            storage,
            network,
            engine,
            worker,
            operator_every_ms: dice.pick(&[300, 1_500, 10_000]),
            jobs_in_environments: dice.pick(&[0, 0, 300, 900]),
            polled_at_one: engines > 1 && dice.chance(500),
            deletes: dice.pick(&[0, 100, 400]),
            gentle: engines > 1 && dice.chance(80),
        };
        if mix.gentle { mix.gentle() } else { mix }
    }

    /// Several engines that hear each other at once and always, and workers who do as they please.
    fn gentle(self) -> Self {
        let storage = StorageFaults { latency_ms: 1, ..StorageFaults::default() };
        let network = NetworkFaults { latency_ms: 3, repeated: 300, ..NetworkFaults::default() };
        let engine = EngineFaults::default();
        let worker = WorkerWays { claims: 900, ..self.worker };
        let settings = CoreSettings { appends_in_flight_max: 4, ..self.settings };
        Self { settings, storage, network, engine, worker, ..self }
    }

    /// The same without faults: every message and call arrives, soon and once; workers do what they are given.
    pub(crate) fn calm(&self) -> Self {
        let storage = StorageFaults { latency_ms: 5, ..StorageFaults::default() };
        let network = NetworkFaults { latency_ms: 5, noticed: 1_000, ..NetworkFaults::default() };
        let worker = WorkerWays { work_ms: 100, ..WorkerWays::default() };
        let engine = EngineFaults::default();
        Self { storage, network, engine, worker, deletes: 100, ..self.clone() }
    }
}

fn settings(dice: &mut Dice, engines: usize) -> CoreSettings {
    CoreSettings {
        grace_ms: dice.pick(&[2_000, 30_000]),
        appends_in_flight_max: dice.pick(&[1, 2, 4]),
        batch_events_max: dice.pick(&[1, 20, 2_000]),
        queue_max: dice.pick(&[10, 50_000]),
        park_after_ms: dice.pick(&[2_000, 10_000, 60_000]),
        snapshot_every_events: dice.pick(&[2, 7, 10_000]),
        view_flush_ms: dice.pick(&[50, 1_000]),
        alone: engines == 1,
        ..CoreSettings::default()
    }
}
