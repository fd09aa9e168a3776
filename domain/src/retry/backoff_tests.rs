//! Each strategy by example, and bounds for every policy however wild.

use proptest::prelude::*;
use proptest::strategy::Strategy as _;

use super::*;
use crate::retry::policy::Strategy;

fn policy(strategy: Strategy, jitter: JitterMode) -> RetryPolicy {
    RetryPolicy { strategy, jitter, max_attempts: 100_000, ..RetryPolicy::default() }
}

fn waits(policy: &RetryPolicy, count: u32) -> Vec<u64> {
    (1..=count).map(|k| wait(policy, k, 0, 0.5)).collect()
}

#[test]
fn each_strategy_grows_as_its_closed_form_says() {
    let of = |strategy| policy(strategy, JitterMode::None);
    assert_eq!(waits(&of(Strategy::Immediate), 3), [0, 0, 0]);
    assert_eq!(waits(&of(Strategy::LinearBackoff), 3), [1_000, 2_000, 3_000]);
    let stepped = RetryPolicy { step_delay_ms: Some(250), ..of(Strategy::LinearBackoff) };
    assert_eq!(waits(&stepped, 3), [1_000, 1_250, 1_500]);
    let fixed = RetryPolicy { step_delay_ms: Some(0), ..of(Strategy::LinearBackoff) };
    assert_eq!(waits(&fixed, 3), [1_000, 1_000, 1_000]);
    assert_eq!(
        waits(&of(Strategy::ExponentialBackoff), 8),
        [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]
    );
    assert_eq!(
        waits(&of(Strategy::FibonacciBackoff), 6),
        [1_000, 1_000, 2_000, 3_000, 5_000, 8_000]
    );
    let falling = RetryPolicy { step_delay_ms: Some(-400), ..of(Strategy::LinearBackoff) };
    assert_eq!(waits(&falling, 5), [1_000, 600, 200, 0, 0]);
    let custom = RetryPolicy { delays_ms: vec![5, 70, 9], ..of(Strategy::CustomBackoff) };
    assert_eq!(waits(&custom, 5), [5, 70, 9, 9, 9]);
}

#[test]
fn a_product_that_should_be_whole_is_not_cut_below_it() {
    let of = |multiplier| RetryPolicy {
        multiplier,
        ..policy(Strategy::ExponentialBackoff, JitterMode::None)
    };
    assert_eq!(waits(&of(1.2), 4), [1_000, 1_200, 1_440, 1_728]);
    assert_eq!(waits(&of(1.1), 4), [1_000, 1_100, 1_210, 1_331]);
    assert_eq!(waits(&of(1.15), 3), [1_000, 1_150, 1_322]);
}

#[test]
fn jitter_spreads_what_the_cap_left() {
    let at = |jitter, k, draw| wait(&policy(Strategy::ExponentialBackoff, jitter), k, 0, draw);
    assert_eq!(at(JitterMode::Full, 1, 0.25), 250);
    assert_eq!(at(JitterMode::Full, 100_000, 0.25), 15_000);
    assert_eq!(at(JitterMode::Equal, 1, 0.0), 500);
    assert_eq!(at(JitterMode::Equal, 1, 0.5), 750);
    assert_eq!(at(JitterMode::Proportional, 1, 0.0), 900);
    assert_eq!(at(JitterMode::Proportional, 1, 0.5), 1_000);
    assert_eq!(at(JitterMode::Proportional, 9, 0.0), 54_000);
    let decorrelated = policy(Strategy::ExponentialBackoff, JitterMode::Decorrelated);
    assert_eq!(wait(&decorrelated, 1, 0, 0.5), 2_000);
    assert_eq!(wait(&decorrelated, 2, 2_000, 0.5), 3_500);
    assert_eq!(wait(&decorrelated, 9, 50_000, 0.5), 30_500);
}

fn any_policy() -> impl proptest::strategy::Strategy<Value = RetryPolicy> {
    let strategies = prop::sample::select(vec![
        Strategy::Immediate,
        Strategy::LinearBackoff,
        Strategy::ExponentialBackoff,
        Strategy::FibonacciBackoff,
        Strategy::CustomBackoff,
        Strategy::None,
    ]);
    let jitters = prop::sample::select(vec![
        JitterMode::None,
        JitterMode::Full,
        JitterMode::Equal,
        JitterMode::Decorrelated,
        JitterMode::Proportional,
    ]);
    let ms = || prop_oneof![0_u64..100_000, any::<u64>()];
    let delays = prop::collection::vec(ms(), 0..5);
    let steps = prop_oneof![-100_000_i64..100_000, any::<i64>()];
    let factors = (1.0_f64..20.0, 0.0_f64..=1.0);
    (strategies, jitters, ms(), ms(), prop::option::of(steps), delays, factors).prop_map(
        |(strategy, jitter, base, cap, step_delay_ms, delays_ms, (multiplier, jitter_range))| {
            RetryPolicy {
                strategy,
                jitter,
                base_delay_ms: base,
                max_delay_ms: cap,
                step_delay_ms,
                delays_ms,
                multiplier,
                jitter_range,
                ..RetryPolicy::default()
            }
        },
    )
}

/// Whatever is checked by `check` beforehand, and much that it refuses.
fn any_draw() -> impl proptest::strategy::Strategy<Value = f64> {
    prop_oneof![0.0_f64..1.0, Just(f64::NAN), Just(-1.0), Just(2.0), Just(f64::INFINITY)]
}

#[test]
fn a_wait_beyond_what_floats_hold_lies_in_its_range_too() {
    let policy = RetryPolicy {
        strategy: Strategy::LinearBackoff,
        base_delay_ms: 57_726_315_557_481_009,
        max_delay_ms: 519_536_840_017_329_120,
        jitter: JitterMode::Decorrelated,
        ..RetryPolicy::default()
    };
    let first = wait(&policy, 1, 0, 2.0);
    let second = wait(&policy, 2, first, 2.0);
    let (low, high) = range(&policy, 2);
    assert!((low..=high).contains(&second), "{second} not in {low}..={high}");
}

proptest! {
    #[test]
    fn every_wait_lies_in_its_range_and_below_the_cap(
        policy in any_policy(),
        k in prop_oneof![0_u32..20, 0_u32..=100_000, Just(u32::MAX)],
        draws in prop::collection::vec(any_draw(), 1..8),
    ) {
        let (low, high) = range(&policy, k);
        prop_assert!(low <= high && high <= policy.max_delay_ms);
        if policy.jitter != JitterMode::Decorrelated {
            for draw in &draws {
                let ms = wait(&policy, k, 17, *draw);
                prop_assert!((low..=high).contains(&ms), "{ms} not in {low}..={high}");
            }
        }
        let mut previous = 0;
        for (k, draw) in (1..).zip(&draws) {
            previous = wait(&policy, k, previous, *draw);
            let (low, high) = range(&policy, k);
            prop_assert!((low..=high).contains(&previous), "{previous} not in {low}..={high}");
        }
        prop_assert!(wait(&policy, k, u64::MAX, draws[0]) <= policy.max_delay_ms);
    }

    #[test]
    fn a_wait_without_jitter_never_shrinks_unless_its_list_does(policy in any_policy(), k in 1_u32..100_000) {
        let policy = RetryPolicy { jitter: JitterMode::None, ..policy };
        let falls = policy.step_delay_ms.is_some_and(|step| step < 0);
        if policy.strategy != Strategy::CustomBackoff && !falls {
            let next = k.saturating_add(1);
            prop_assert!(wait(&policy, k, 0, 0.0) <= wait(&policy, next, 0, 0.0));
        }
    }

    #[test]
    fn a_larger_draw_never_gives_a_shorter_wait(
        policy in any_policy(), k in 1_u32..50, previous in 0_u64..100_000, a in 0.0_f64..1.0, b in 0.0_f64..1.0,
    ) {
        let (less, more) = if a <= b { (a, b) } else { (b, a) };
        prop_assert!(wait(&policy, k, previous, less) <= wait(&policy, k, previous, more));
    }

    #[test]
    fn draws_at_the_cap_are_spread_and_not_bunched(k in 20_u32..100_000) {
        for jitter in [JitterMode::Full, JitterMode::Equal, JitterMode::Proportional] {
            let policy = policy(Strategy::ExponentialBackoff, jitter);
            let distinct: std::collections::BTreeSet<u64> =
                (0_u32..100).map(|i| wait(&policy, k, 0, f64::from(i) / 100.0)).collect();
            prop_assert_eq!(distinct.len(), 100);
        }
    }
}
