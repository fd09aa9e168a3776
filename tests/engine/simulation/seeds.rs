//! Which seeds are run, and what is required of them.

#![expect(clippy::disallowed_methods, reason = "switches, and for how many minutes seeds are run")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::bugs::Bug;
use super::run::{Ran, command, run};

/// Seeds of every run of the tests: about 15 s in the profile of the tests on one core, on top of the planted bugs.
const FIXED: u64 = 150;
/// Each so many-th seed is run twice and must do the same.
const TWICE_EVERY: u64 = 100;
/// Seeds that failed once.
const FAILED_ONCE: [u64; 10] = [
    3_099,
    3_445,
    3_989,
    4_217,
    100_024,
    100_068,
    100_288,
    200_109,
    7_711_421_691_850_656_299,
    7_712_305_428_616_446_260,
];
/// A planted bug must be found within so many seeds.
const FOUND_WITHIN: u64 = 400;

/// A number from the environment.
pub(crate) fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

pub(crate) fn say(text: &str) {
    #[expect(clippy::print_stderr, reason = "what a person who runs it wants to see")]
    {
        eprintln!("{text}");
    }
}

/// Runs a seed that must hold.
fn holds(seed: u64) -> Ran {
    let ran = run(seed, None);
    if let Some(what) = failure(seed, &ran) {
        panic!("{what}");
    }
    if seed.is_multiple_of(TWICE_EVERY) {
        assert_eq!(ran, run(seed, None), "two runs of seed {seed} differ: {}", command(seed));
    }
    ran
}

/// What went wrong, with the command that runs it again.
fn failure(seed: u64, ran: &Ran) -> Option<String> {
    let broken = ran.broken.as_ref()?;
    Some(format!("seed {seed}, after {} steps: {broken}\nreplay: {}", ran.steps, command(seed)))
}

/// Runs many seeds from one on, and tells of all that fail.
fn runs_on(from: u64, many: u64) {
    let failed = (from..from + many).filter(|seed| {
        let told = failure(*seed, &run(*seed, None));
        if let Some(what) = &told {
            say(what);
        }
        told.is_some()
    });
    assert_eq!(failed.count(), 0, "failed of {many} seeds");
}

/// Seconds that this thread has computed for, by the system's own count: other work on the machine does not matter.
fn computed_s() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds: Option<f64> = text.split(' ').next().and_then(|word| word.parse().ok());
    nanoseconds.unwrap_or(0.0) / 1e9
}

/// Runs seeds until they are through, or `enough` says so, and tells how many and how fast.
fn runs(
    seeds: impl Iterator<Item = u64>,
    enough: impl Fn() -> bool,
) -> BTreeMap<&'static str, u64> {
    let before = computed_s();
    let (mut count, mut steps, mut tally) = (0_u64, 0, BTreeMap::new());
    for seed in seeds {
        let ran = holds(seed);
        (count, steps) = (count + 1, steps + ran.steps);
        for (what, times) in ran.tally {
            *tally.entry(what).or_insert(0_u64) += times;
        }
        if enough() {
            break;
        }
    }
    let seconds = computed_s() - before;
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a figure for people"
    )]
    let a_minute = (steps as f64 / seconds.max(0.001) * 60.0) as u64;
    say(&format!(
        "simulation: {count} seeds, {steps} steps in {seconds:.1} s of one core: {a_minute} steps a minute"
    ));
    say(&format!("{tally:?}"));
    tally
}

#[test]
fn every_seed_keeps_every_promise() {
    if let Some(seed) = variable("ORRERY_SIMULATION_SEED") {
        let many = variable("ORRERY_SIMULATION_SEEDS").unwrap_or(1);
        return runs_on(seed, many);
    }
    runs(FAILED_ONCE.into_iter().chain(0..FIXED), || false);
    if let Some(minutes) = variable("ORRERY_SIMULATION_MINUTES") {
        let started = Instant::now();
        // Fresh each time, and such that no two runs share seeds.
        let from = u64::from(started_at()) << 32;
        runs(from.., || started.elapsed() >= Duration::from_secs(60 * minutes));
    }
}

/// Seconds of the wall clock.
fn started_at() -> u32 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    u32::try_from(since.unwrap_or_default().as_secs()).unwrap_or(0)
}

#[test]
fn every_planted_bug_is_found() {
    let mut missed = Vec::new();
    for bug in Bug::FOUND {
        let found = (0..FOUND_WITHIN).find_map(|seed| {
            let ran = run(seed, Some(bug));
            Some((seed, ran.steps, ran.broken?))
        });
        match found {
            Some((seed, steps, broken)) => {
                say(&format!("{bug:?}: seed {seed}, {steps} steps: {broken}"));
            }
            None => missed.push(bug),
        }
    }
    assert!(missed.is_empty(), "not found: {missed:?}");
}

#[test]
fn a_clock_that_runs_ahead_costs_work_and_breaks_nothing() {
    for seed in 0..10 {
        let ran = run(seed, Some(Bug::SweeperAhead));
        assert_eq!(ran.broken, None, "seed {seed}");
    }
}
