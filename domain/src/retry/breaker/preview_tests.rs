//! Whole stories of a breaker, as they are previewed: the rows of the contract, and what the breakers of others are tested
//! for. A story is a text of steps: `o`, `f` a call that succeeded or failed, `O`, `F` a slow one, `i` an ignored one, `?`
//! somebody asks, `+n` so many milliseconds pass, `force`, `off`, `reset` an operator's. What comes of it is a text as well:
//! after each step the state (`closed`, `open`, ...), `yes` or `no` to who asked, and the rate of failures in percent.

use super::*;
use crate::retry::breaker::settings::WindowSpan;

const LEASE_MS: u64 = 30_000;

fn step(word: &str) -> PreviewStep {
    let for_ms = |text: &str| text.parse().ok();
    match word {
        "o" => PreviewStep::Report(CallOutcome::Ok),
        "f" => PreviewStep::Report(CallOutcome::Fail),
        "O" => PreviewStep::Report(CallOutcome::SlowOk),
        "F" => PreviewStep::Report(CallOutcome::SlowFail),
        "i" => PreviewStep::Report(CallOutcome::Ignored),
        "?" => PreviewStep::Ask { lease_ms: LEASE_MS },
        "reset" => PreviewStep::Reset,
        _ => match word.split_once(['+', ':']) {
            Some(("", ms)) => {
                PreviewStep::Advance { ms: ms.parse().unwrap_or_else(|_| panic!("{word}")) }
            }
            Some(("force", ms)) => PreviewStep::ForceOpen { for_ms: for_ms(ms) },
            Some(("off", ms)) => PreviewStep::Disable { for_ms: for_ms(ms) },
            _ if word == "force" => PreviewStep::ForceOpen { for_ms: None },
            _ if word == "off" => PreviewStep::Disable { for_ms: None },
            _ => panic!("no step: {word}"),
        },
    }
}

fn told(after: PreviewedStep) -> String {
    let permit = after.permit.map(|permit| if permit { " yes" } else { " no" });
    let rate = after.failure_rate_pct.map(|rate| format!(" {}", (rate * 10.0).round() / 10.0));
    let state = after.state.as_str();
    format!("{state}{}{}", permit.unwrap_or_default(), rate.unwrap_or_default())
}

fn story(settings: &CircuitSettings, steps: &str) -> Vec<String> {
    let steps: Vec<PreviewStep> = steps.split_whitespace().map(step).collect();
    previewed(settings, &steps).into_iter().map(told).collect()
}

/// What comes after the last step.
fn end(settings: &CircuitSettings, steps: &str) -> String {
    story(settings, steps).pop().unwrap_or_default()
}

/// Opens at the first failure, so that a story can be about what follows.
fn brittle() -> CircuitSettings {
    CircuitSettings { consecutive_failures: Some(1), open_ms: 1_000, ..CircuitSettings::default() }
}

/// A window of so many calls, all of which it takes to tell.
fn calls(window: u32) -> CircuitSettings {
    CircuitSettings { window: WindowSpan::Calls(window), ..CircuitSettings::default() }
}

fn ms(window: u64, min_calls: u32) -> CircuitSettings {
    CircuitSettings { window: WindowSpan::Ms(window), min_calls, ..CircuitSettings::default() }
}

#[test]
fn the_contract_row_by_row() {
    let slow = CircuitSettings { slow_rate_pct: 50.0, ..calls(4) };
    let trials = CircuitSettings { half_open_permits: 3, ..brittle() };
    for (row, settings, steps, after) in [
        ("threshold: below", calls(4), "o o o f", "closed 25"),
        ("threshold: at", calls(4), "o o f f", "open 50"),
        ("threshold: above", calls(4), "f f f o", "open 75"),
        ("slow: below", slow.clone(), "O o o o", "closed 0"),
        ("slow: at", slow.clone(), "O F o o", "open 25"),
        ("slow: not a failure", slow, "O O o o", "open 0"),
        ("one trial", brittle(), "f +1000 ? ?", "half_open no"),
        ("one trial fails", brittle(), "f +1000 ? f", "open 100"),
        ("one trial succeeds", brittle(), "f +1000 ? o", "closed"),
        ("n permits", trials.clone(), "f +1000 ? ? ? ?", "half_open no"),
        ("not decided before n", trials.clone(), "f +1000 ? ? ? f f", "half_open"),
        ("decided after n, bad", trials.clone(), "f +1000 ? ? ? f f o", "open 66.7"),
        ("decided after n, good", trials.clone(), "f +1000 ? ? ? o f o", "closed"),
        ("lost trial: out", brittle(), "f +1000 ? +29999 ?", "half_open no"),
        ("lost trial: expired", brittle(), "f +1000 ? +30000 ?", "half_open yes"),
        ("break: before its end", brittle(), "f +999 ?", "open no"),
        ("break: at its end", brittle(), "f +1000 ?", "half_open yes"),
        ("break: the clock alone ends it", brittle(), "f +1000", "half_open"),
        ("stale: does not count", brittle(), "? ? f +1000 f", "half_open"),
        ("stale: does not close", brittle(), "? ? f +1000 o", "half_open"),
        ("ignored: no trial", brittle(), "f +1000 ? i ?", "half_open yes"),
    ] {
        assert_eq!(end(&settings, steps), after, "{row}: {steps}");
    }
}

#[test]
fn below_the_least_number_of_calls_there_is_no_rate() {
    let settings = CircuitSettings { min_calls: 3, ..calls(10) };
    assert_eq!(story(&settings, "f f o"), ["closed", "closed", "open 66.7"]);
    let steps = "f f f f f f f f f";
    assert_eq!(end(&calls(10), steps), "closed", "a window is full, or there is no rate");
    assert_eq!(end(&calls(10), &format!("{steps} o")), "open 90");
}

#[test]
fn a_success_that_makes_the_calls_enough_can_open() {
    let after = story(&calls(5), "? f ? f ? f ? o o ?");
    assert_eq!(after[7..], ["closed", "open 60", "open no 60"]);
}

#[test]
fn old_calls_fall_out_of_a_window_of_calls() {
    let settings = CircuitSettings { failure_rate_pct: 60.0, ..calls(10) };
    let full = "f f f f f o o o o o";
    assert_eq!(end(&settings, full), "closed 50");
    assert_eq!(end(&settings, &format!("{full} o o")), "closed 30");
    assert_eq!(end(&settings, &format!("{full} f f")), "closed 50");
}

#[test]
fn old_calls_fall_out_of_a_window_of_time() {
    let settings = ms(20_000, 2);
    assert_eq!(end(&settings, "o f"), "open 50");
    assert_eq!(end(&settings, "f +20000 f"), "closed", "the first left at the end of the window");
    assert_eq!(end(&settings, "f +19999 f"), "open 100");
    assert_eq!(story(&settings, "o o f +19999 +1")[2..], ["closed 33.3", "closed 33.3", "closed"]);
    let apart = "o +1000 o +1000 o +1000 f +1000 f +1000 f";
    assert_eq!(end(&ms(20_000, 5), apart), "open 50");
    let late = CircuitSettings { failure_rate_pct: 75.0, ..ms(4_000, 3) };
    assert_eq!(end(&late, apart), "open 75", "two of the successes have left");
}

#[test]
fn failures_in_a_row_open_however_few_calls_there_were() {
    let settings = CircuitSettings { consecutive_failures: Some(3), ..CircuitSettings::default() };
    assert_eq!(end(&settings, "f f"), "closed");
    assert_eq!(end(&settings, "f f f"), "open");
    assert_eq!(end(&settings, "f f o f f"), "closed", "a success ends the row");
    assert_eq!(end(&settings, "f f O f f"), "closed", "a slow one too");
    assert_eq!(end(&settings, "f F i f"), "open", "what is ignored does not");
    assert_eq!(end(&settings, "f +86400000 f +86400000 f"), "open", "nor does time");
}

#[test]
fn ignored_calls_count_as_nothing() {
    assert_eq!(end(&calls(2), "i i i i"), "closed");
    assert_eq!(end(&calls(2), "o i i f"), "open 50");
    let trials = CircuitSettings { half_open_permits: 2, ..brittle() };
    assert_eq!(end(&trials, "f +1000 ? i ? i ? i ? o"), "half_open");
    assert_eq!(end(&trials, "f +1000 ? i ? i ? i ? o ? o"), "closed");
}

#[test]
fn breaks_grow_with_each_opening_until_the_breaker_has_closed() {
    let settings = CircuitSettings { open_multiplier: 2.0, open_max_ms: 3_500, ..brittle() };
    let grown = "f +1000 ? f +2000 ? f +3500 ?";
    assert_eq!(end(&settings, grown), "half_open yes");
    for (steps, after) in [
        ("f +1000 ? f +1999 ?", "open no 100"),
        ("f +1000 ? f +2000 ? f +3499 ?", "open no 100"),
        ("f +1000 ? f +2000 ? f +3500 ? f +3499 ?", "open no 100"),
        ("f +1000 ? f +2000 ? o f +999 ?", "open no"),
        ("f +1000 ? f +2000 ? o f +1000 ?", "half_open yes"),
    ] {
        assert_eq!(end(&settings, steps), after, "{steps}");
    }
    let same = "f +1000 ? f +1000 ? f +1000 ?";
    assert_eq!(end(&brittle(), same), "half_open yes", "without a multiplier they are equal");
}

#[test]
fn a_breaker_that_closed_begins_with_an_empty_window() {
    let settings = CircuitSettings { open_ms: 1_000, ..calls(2) };
    assert_eq!(end(&settings, "f f +1000 ? o f"), "closed");
    assert_eq!(end(&settings, "f f +1000 ? o f f"), "open 100");
}

#[test]
fn a_slow_trial_counts_by_the_rate_of_slow_calls() {
    assert_eq!(end(&brittle(), "f +1000 ? O"), "open 0", "all of one trial were slow");
    let trials = CircuitSettings { half_open_permits: 4, slow_rate_pct: 50.0, ..brittle() };
    assert_eq!(end(&trials, "f +1000 ? ? ? ? O O O o"), "open 0");
    assert_eq!(end(&trials, "f +1000 ? ? ? ? O o o o"), "closed");
}

#[test]
fn while_it_is_open_results_change_nothing() {
    let steps = "f o f f +999 f ? +1";
    let after = story(&brittle(), steps);
    assert!(after[..6].iter().all(|after| after == "open"), "{after:?}");
    assert_eq!(after[6..], ["open no", "half_open"]);
}

#[test]
fn a_result_is_that_of_the_newest_call_that_is_out() {
    // The first two calls were let through before the break, the third is the trial.
    assert_eq!(end(&brittle(), "? ? ? f +1000 ? o"), "closed");
    assert_eq!(end(&brittle(), "? ? ? f +1000 ? o f f"), "closed", "those two are stale");
    assert_eq!(end(&brittle(), "? ? ? f +1000 ? o f f f"), "open", "that one never asked");
    assert_eq!(end(&brittle(), "f +1000 o"), "closed", "a trial that never asked");
}

#[test]
fn the_result_of_an_expired_trial_counts_while_its_place_is_free() {
    assert_eq!(end(&brittle(), "f +1000 ? +60000 O"), "open 0");
    // The newest is the second trial; what the first one says afterwards is stale.
    assert_eq!(end(&brittle(), "f +1000 ? +30000 ? o f"), "closed");
}

#[test]
fn an_operator_holds_calls_back_and_lets_them_through() {
    let settings = brittle();
    assert_eq!(end(&settings, "force ?"), "forced_open no");
    assert_eq!(end(&settings, "force +2592000000 ?"), "forced_open no", "no time ends it");
    assert_eq!(end(&settings, "force o o reset ?"), "closed yes");
    assert_eq!(end(&settings, "off ? f f ?"), "disabled yes", "nothing is counted");
    assert_eq!(end(&settings, "off f reset ?"), "closed yes");
    assert_eq!(end(&settings, "f off ?"), "disabled yes");
    assert_eq!(end(&settings, "f +1000 ? force o ?"), "forced_open no");
    assert_eq!(end(&settings, "force off ? force ?"), "forced_open no");
    assert_eq!(
        story(&settings, "force:500 +499 ? +1")[1..],
        ["forced_open", "forced_open no", "closed"]
    );
    assert_eq!(end(&settings, "off:500 f +500 f"), "open");
    assert_eq!(end(&settings, "force:500 force +500 ?"), "forced_open no", "the newest holds");
}

#[test]
fn a_reset_closes_from_every_state_and_forgets_what_was_counted() {
    assert_eq!(end(&brittle(), "f reset ?"), "closed yes");
    assert_eq!(end(&brittle(), "f +1000 ? reset ?"), "closed yes");
    assert_eq!(end(&calls(2), "f reset f"), "closed");
    let twice = CircuitSettings { consecutive_failures: Some(2), ..brittle() };
    assert_eq!(end(&twice, "f reset f"), "closed");
    assert_eq!(end(&brittle(), "? reset f"), "closed", "the call began before the reset");
    let growing = CircuitSettings { open_multiplier: 2.0, ..brittle() };
    assert_eq!(end(&growing, "f +1000 ? f reset f +1000 ?"), "half_open yes");
}

#[test]
fn a_break_of_no_time_is_over_at_the_next_step() {
    let settings = CircuitSettings { open_ms: 0, ..brittle() };
    assert_eq!(
        story(&settings, "f ? ? f ?"),
        ["open", "half_open yes", "half_open no", "open 100", "half_open yes"]
    );
}
