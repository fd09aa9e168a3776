//! What holds of every breaker, whatever happens to it.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::retry::breaker::settings::WindowSpan;
use crate::retry::breaker::window::{CALLS_MAX, CallCounts};

#[test]
fn the_table_is_the_designs() {
    let table = CircuitState::ALL.map(|from| {
        let to: Vec<&str> = from.next().iter().map(|to| to.as_str()).collect();
        (from.as_str(), to.join(", "))
    });
    assert_eq!(
        table.map(|(from, to)| format!("{from} -> {to}")),
        [
            "closed -> open, forced_open, disabled",
            "open -> half_open, closed, forced_open, disabled",
            "half_open -> closed, open, forced_open, disabled",
            "forced_open -> closed, disabled",
            "disabled -> closed, forced_open",
        ]
    );
}

#[test]
fn a_call_is_slow_when_it_took_longer_and_ignored_by_its_type() {
    let settings = CircuitSettings {
        slow_call_ms: 100,
        ignored_errors: vec!["Http.404".to_owned(), "Cancel*".to_owned()],
        ..CircuitSettings::default()
    };
    for (error_type, took_ms, outcome) in [
        (None, 0, CallOutcome::Ok),
        (None, 100, CallOutcome::Ok),
        (None, 101, CallOutcome::SlowOk),
        (Some("Http.500"), 100, CallOutcome::Fail),
        (Some("Http.500"), 101, CallOutcome::SlowFail),
        (Some("Http.404"), 101, CallOutcome::Ignored),
        (Some("http.404"), 0, CallOutcome::Fail),
        (Some("Cancelled"), 0, CallOutcome::Ignored),
        (Some(""), 0, CallOutcome::Fail),
    ] {
        assert_eq!(settings.outcome(error_type, took_ms), outcome, "{error_type:?} {took_ms}");
    }
}

#[test]
fn a_threshold_that_no_float_holds_is_reached_at_its_value() {
    // 0.29 * 100 is less than 29.
    for failures in 1..=100 {
        let counts = CallCounts { calls: 100, failures, slow: 0 };
        assert!(counts.has_failed_pct(f64::from(failures)));
        assert!(!counts.has_failed_pct(f64::from(failures) + 0.001));
    }
    assert!(!CallCounts::default().has_failed_pct(0.1));
}

#[test]
fn a_window_of_time_holds_its_newest_calls() {
    let span = WindowSpan::Ms(1_000);
    let mut window = CallWindow::default();
    window.record(span, 0, CallOutcome::Fail);
    for _ in 0..CALLS_MAX {
        window.record(span, 1, CallOutcome::Ok);
    }
    let counts = window.counts();
    assert_eq!((counts.calls, counts.failures), (CALLS_MAX, 0), "the oldest call gave way");
}

#[test]
fn settings_that_came_down_to_what_is_there_decide_a_half_open_breaker() {
    let mut settings = CircuitSettings {
        consecutive_failures: Some(1),
        open_ms: 0,
        half_open_permits: 3,
        ..CircuitSettings::default()
    };
    let mut breaker = CircuitBreaker::default();
    let pass = breaker.pass_without_permit();
    breaker.report(&settings, 0, pass, CallOutcome::Fail);
    breaker.advance(&settings, 0);
    let trial = breaker.pass_without_permit();
    breaker.report(&settings, 0, trial, CallOutcome::Ok);
    assert_eq!(breaker.state(), CircuitState::HalfOpen);
    settings.half_open_permits = 1;
    breaker.advance(&settings, 0);
    assert_eq!(breaker.state(), CircuitState::Closed);
}

/// What can happen to a breaker.
#[derive(Debug, Clone, Copy)]
enum Happening {
    Ask(u64),
    /// Of one of the calls that were let through, which stays there, or of one that never asked.
    Report(usize, CallOutcome),
    Wait(u64),
    Force(Option<u64>),
    Disable(Option<u64>),
    Reset,
}

fn any_outcome() -> impl Strategy<Value = CallOutcome> {
    prop_oneof![
        3 => Just(CallOutcome::Ok),
        4 => Just(CallOutcome::Fail),
        1 => Just(CallOutcome::SlowOk),
        1 => Just(CallOutcome::SlowFail),
        1 => Just(CallOutcome::Ignored),
    ]
}

fn any_happening() -> impl Strategy<Value = Happening> {
    let until = || proptest::option::of(0_u64..50);
    prop_oneof![
        10 => (0_u64..40).prop_map(Happening::Ask),
        10 => (0_usize..20, any_outcome()).prop_map(|(of, outcome)| Happening::Report(of, outcome)),
        8 => (0_u64..40).prop_map(Happening::Wait),
        1 => until().prop_map(Happening::Force),
        1 => until().prop_map(Happening::Disable),
        1 => Just(Happening::Reset),
    ]
}

fn any_span() -> impl Strategy<Value = WindowSpan> {
    prop_oneof![(1_u32..8).prop_map(WindowSpan::Calls), (1_u64..100).prop_map(WindowSpan::Ms),]
}

prop_compose! {
    fn any_settings()(
        window in any_span(),
        min_calls in 1_u32..8,
        failure_rate_pct in 0.1..100.0,
        consecutive_failures in proptest::option::of(1_u32..5),
        slow_rate_pct in 0.1..100.0,
        open_ms in 0_u64..50,
        open_multiplier in 1.0..4.0,
        open_max_ms in 0_u64..200,
        half_open_permits in 1_u32..5,
    ) -> CircuitSettings {
        CircuitSettings {
            window, min_calls, failure_rate_pct, consecutive_failures, slow_rate_pct, open_ms,
            open_multiplier, open_max_ms, half_open_permits, ..CircuitSettings::default()
        }
    }
}

/// A breaker, what was let through, and the time.
struct Scene {
    settings: CircuitSettings,
    breaker: CircuitBreaker,
    passes: Vec<CallPass>,
    now: Millis,
}

impl Scene {
    fn new(settings: CircuitSettings) -> Self {
        Self { settings, breaker: CircuitBreaker::default(), passes: Vec::new(), now: 0 }
    }

    fn happen(&mut self, what: Happening) {
        let now = self.now;
        let until = |ms: Option<u64>| ms.map(|ms| now.saturating_add_unsigned(ms));
        let breaker = &mut self.breaker;
        match what {
            Happening::Ask(lease_ms) => {
                let lease_until = now.saturating_add_unsigned(lease_ms);
                self.passes.extend(breaker.ask(&self.settings, now, lease_until));
            }
            Happening::Report(of, outcome) => {
                let pass =
                    self.passes.get(of).copied().unwrap_or_else(|| breaker.pass_without_permit());
                breaker.report(&self.settings, now, pass, outcome);
            }
            Happening::Wait(ms) => {
                self.now = now.saturating_add_unsigned(ms);
                breaker.advance(&self.settings, self.now);
            }
            Happening::Force(ms) => {
                let order = OperatorOrder::ForceOpen { until: until(ms) };
                breaker.operate(&self.settings, now, order);
            }
            Happening::Disable(ms) => {
                let order = OperatorOrder::Disable { until: until(ms) };
                breaker.operate(&self.settings, now, order);
            }
            Happening::Reset => breaker.operate(&self.settings, now, OperatorOrder::Reset),
        }
    }
}

proptest! {
    #[test]
    fn no_step_leaves_the_table(settings in any_settings(), steps in vec(any_happening(), 0..80)) {
        let mut scene = Scene::new(settings);
        for step in steps {
            // The clock's share of a step is a transition of its own.
            let mut by_the_clock = scene.breaker.clone();
            by_the_clock.advance(&scene.settings, scene.now);
            let (before, epoch) = (scene.breaker.state(), scene.breaker.epoch);
            let between = by_the_clock.state();
            scene.happen(step);
            let after = scene.breaker.state();
            for (from, to) in [(before, between), (between, after)] {
                prop_assert!(from == to || from.may_become(to), "{from:?} -> {to:?} by {step:?}");
            }
            prop_assert!(before == after || scene.breaker.epoch > epoch, "a new state is a new epoch");
        }
    }

    #[test]
    fn permits_that_are_out_never_exceed_their_number(
        settings in any_settings(),
        steps in vec(any_happening(), 0..120),
    ) {
        let permits = usize::try_from(settings.half_open_permits).unwrap_or(usize::MAX);
        let mut scene = Scene::new(settings);
        for step in steps {
            scene.happen(step);
            if let Phase::HalfOpen { trials } = &scene.breaker.phase {
                prop_assert!(trials.out() <= permits);
                prop_assert!(trials.decision(scene.settings.half_open_permits).is_none());
            }
        }
    }

    #[test]
    fn results_of_an_older_epoch_change_nothing(
        settings in any_settings(),
        steps in vec(any_happening(), 0..60),
        outcome in any_outcome(),
    ) {
        let mut scene = Scene::new(settings);
        for step in steps {
            scene.happen(step);
        }
        scene.breaker.advance(&scene.settings, scene.now);
        let before = scene.breaker.clone();
        for pass in scene.passes.iter().filter(|pass| pass.epoch < before.epoch) {
            scene.breaker.report(&scene.settings, scene.now, *pass, outcome);
            prop_assert_eq!(&scene.breaker, &before);
        }
    }

    #[test]
    fn breaks_grow_up_to_the_longest(settings in any_settings(), from in 0_u32..100_000) {
        let longest = settings.open_max_ms;
        prop_assert_eq!(settings.break_ms(0), settings.open_ms.min(longest));
        prop_assert!(settings.break_ms(from) <= settings.break_ms(from + 1));
        prop_assert!(settings.break_ms(from) <= longest);
    }

    #[test]
    fn a_window_counts_what_a_recount_counts(
        span in any_span(),
        calls in vec((0_u64..30, any_outcome()), 0..60),
    ) {
        let (mut window, mut now, mut all) = (CallWindow::default(), 0_i64, Vec::new());
        for (wait_ms, outcome) in calls {
            now = now.saturating_add_unsigned(wait_ms);
            window.record(span, now, outcome);
            if outcome != CallOutcome::Ignored {
                all.push((now, outcome));
            }
            let kept: Vec<_> = match span {
                WindowSpan::Calls(most) => {
                    let most = usize::try_from(most).unwrap_or(usize::MAX);
                    all[all.len().saturating_sub(most)..].to_vec()
                }
                WindowSpan::Ms(ms) => {
                    let age = |at: i64| u64::try_from(now - at).unwrap_or(0);
                    all.iter().copied().filter(|(at, _)| age(*at) < ms).collect()
                }
            };
            let mut recount = CallCounts::default();
            for (_, outcome) in kept {
                recount.add(outcome);
            }
            prop_assert_eq!(window.counts(), recount);
        }
    }

    #[test]
    fn a_breaker_that_never_fails_stays_closed(
        settings in any_settings(),
        waits in vec(0_u64..30, 0..60),
    ) {
        let mut scene = Scene::new(settings);
        for wait in waits {
            scene.happen(Happening::Wait(wait));
            scene.happen(Happening::Ask(10));
            let newest = scene.passes.len() - 1;
            scene.happen(Happening::Report(newest, CallOutcome::Ok));
            prop_assert_eq!(scene.breaker.state(), CircuitState::Closed);
        }
    }
}
