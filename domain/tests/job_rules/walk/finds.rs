//! The walks themselves: flat jobs, trees, and rules with a bug planted, which a walk must find.
//! `ORRERY_WALK_STEPS=1000000 cargo test -p orrery-domain --test job_rules random_tree` walks on until so many events of trees were
//! held against the model; without it there are a few thousand.

#![expect(clippy::disallowed_methods, reason = "a switch of the test")]

use std::cell::Cell;

use domain::dice::SplitMix64;
use domain::job::spec::JobSpec;
use domain::planted::{Planted, plant};
use orrery_model::random_trees::plant_tree;
use proptest::prelude::*;
use proptest::test_runner::{TestError, TestRunner};

use super::Walk;
use super::commands::{Op, some_op};
use crate::build::{some_job, some_task, tree_job};

/// Events of trees that every run of the tests holds against the model.
const STEPS: u64 = 4_000;
/// Within so many jobs a walk must find a planted bug.
const FOUND_WITHIN: u32 = 3_000;

fn walk(spec: JobSpec, outputs: u64, ops: &[Op]) -> Result<u64, TestCaseError> {
    let mut walk = Walk::submit(spec, outputs)?;
    for op in ops {
        walk.step(op)?;
    }
    walk.finish()?;
    Ok(walk.steps)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn every_step_of_a_random_flat_job_agrees_with_the_model(
        spec in some_job(),
        ops in prop::collection::vec(some_op(), 1..70),
    ) {
        walk(spec, 0, &ops)?;
    }
}

/// A random tree of this seed.
fn tree(seed: u64) -> JobSpec {
    let mut dice = SplitMix64::new(seed);
    let mut job = tree_job(&mut dice);
    plant_tree(&mut dice, &mut job, &mut some_task);
    job
}

/// Trees and commands on them; `hears` of how many events each came to.
fn trees(config: ProptestConfig, hears: impl Fn(u64)) -> Result<(), String> {
    let strategy = (any::<u64>(), prop::collection::vec(some_op(), 1..70));
    let run = TestRunner::new(config).run(&strategy, |(seed, ops)| {
        hears(walk(tree(seed), seed, &ops)?);
        Ok(())
    });
    run.map_err(|error| match error {
        TestError::Fail(why, (seed, ops)) => format!("seed {seed}, {ops:?}: {why}"),
        TestError::Abort(why) => why.to_string(),
    })
}

#[test]
fn every_step_of_a_random_tree_agrees_with_the_model() {
    let wanted = std::env::var("ORRERY_WALK_STEPS").ok().and_then(|steps| steps.parse().ok());
    let (wanted, steps) = (wanted.unwrap_or(STEPS), Cell::new(0));
    while steps.get() < wanted {
        let config = ProptestConfig {
            cases: 20,
            failure_persistence: None,
            max_shrink_iters: 3_000,
            ..ProptestConfig::default()
        };
        let walked = trees(config, |more| steps.set(steps.get() + more));
        assert_eq!(walked, Ok(()));
    }
    #[expect(clippy::print_stderr, reason = "what a person who runs it wants to see")]
    {
        eprintln!("{} events of trees held against the model", steps.get());
    }
}

#[test]
fn a_walk_finds_every_planted_bug_of_flow() {
    let bugs = [
        Planted::BypassedCountsAsBad,
        Planted::MemberEvaluatedTwice,
        Planted::CleanupNotOffered,
        Planted::GroupNeverEnds,
        Planted::ExpansionInPart,
        Planted::WideJoinStays,
        Planted::CancelLeavesReady,
    ];
    for bug in bugs {
        plant(Some(bug));
        let config = ProptestConfig {
            cases: FOUND_WITHIN,
            failure_persistence: None,
            max_shrink_iters: 0,
            ..ProptestConfig::default()
        };
        let found = trees(config, |_| {});
        plant(None);
        assert!(found.is_err(), "{bug:?} is not found");
    }
}
