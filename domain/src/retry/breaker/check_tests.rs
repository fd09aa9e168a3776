//! Each bound, where it stands in the request.

use super::*;
use crate::refusal::ours;

fn wrong(settings: &CircuitSettings) -> Vec<(String, &'static str)> {
    settings.check("/settings").into_iter().map(|e| (e.pointer, ours(e.code))).collect()
}

#[track_caller]
fn refuses(settings: &CircuitSettings, pointer: &str, code: &'static str) {
    assert_eq!(wrong(settings), [(format!("/settings/{pointer}"), code)]);
}

fn default() -> CircuitSettings {
    CircuitSettings::default()
}

#[test]
fn the_default_settings_are_allowed() {
    assert_eq!(wrong(&default()), []);
}

#[test]
fn what_is_odd_and_has_a_meaning_is_allowed() {
    for settings in [
        // The window of calls says how many there can be.
        CircuitSettings { window: WindowSpan::Calls(5), min_calls: 100, ..default() },
        // The longest break is the only one.
        CircuitSettings { open_ms: 60_000, open_max_ms: 1_000, ..default() },
        CircuitSettings { open_ms: 0, slow_call_ms: 0, failure_rate_pct: 0.1, ..default() },
        CircuitSettings { ignored_errors: vec!["Net.*".to_owned(), "*".to_owned()], ..default() },
    ] {
        assert_eq!(wrong(&settings), []);
    }
}

#[test]
fn each_bound_is_reported_where_it_stands() {
    for calls in [0, CALLS_MAX + 1] {
        let window = WindowSpan::Calls(calls);
        refuses(&CircuitSettings { window, ..default() }, "window/calls", "out_of_range");
        refuses(&CircuitSettings { min_calls: calls, ..default() }, "min_calls", "out_of_range");
        let consecutive_failures = Some(calls);
        let settings = CircuitSettings { consecutive_failures, ..default() };
        refuses(&settings, "consecutive_failures", "out_of_range");
    }
    for ms in [0, WINDOW_MS_MAX + 1] {
        let window = WindowSpan::Ms(ms);
        refuses(&CircuitSettings { window, ..default() }, "window/ms", "out_of_range");
    }
    for pct in [0.0, -1.0, 100.1, f64::NAN, f64::INFINITY] {
        let settings = CircuitSettings { failure_rate_pct: pct, ..default() };
        refuses(&settings, "failure_rate_pct", "out_of_range");
        let settings = CircuitSettings { slow_rate_pct: pct, ..default() };
        refuses(&settings, "slow_rate_pct", "out_of_range");
    }
    for open_multiplier in [0.99, 100.1, f64::NAN] {
        let settings = CircuitSettings { open_multiplier, ..default() };
        refuses(&settings, "open_multiplier", "out_of_range");
    }
    let ms = TIMEOUT_MS_MAX + 1;
    refuses(&CircuitSettings { slow_call_ms: ms, ..default() }, "slow_call_ms", "out_of_range");
    refuses(&CircuitSettings { open_ms: ms, ..default() }, "open_ms", "out_of_range");
    refuses(&CircuitSettings { open_max_ms: ms, ..default() }, "open_max_ms", "out_of_range");
    for half_open_permits in [0, PERMITS_MAX + 1] {
        let settings = CircuitSettings { half_open_permits, ..default() };
        refuses(&settings, "half_open_permits", "out_of_range");
    }
}

#[test]
fn the_list_of_errors_is_bounded_and_its_entries_are_checked() {
    let types = |word: &str| CircuitSettings {
        ignored_errors: vec!["A*".to_owned(), word.to_owned()],
        ..default()
    };
    refuses(&types(""), "ignored_errors/1", "invalid_length");
    refuses(&types("a\nb"), "ignored_errors/1", "invalid_length");
    refuses(&types(&"x".repeat(101)), "ignored_errors/1", "invalid_length");
    refuses(&types("a*b"), "ignored_errors/1", "invalid_format");
    let many = CircuitSettings { ignored_errors: vec!["a".to_owned(); 101], ..default() };
    refuses(&many, "ignored_errors", "too_many");
}
