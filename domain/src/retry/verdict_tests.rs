//! Who outranks whom, and what no verdict may do.

use proptest::prelude::*;

use super::*;
use crate::retry::condition::JobParts;
use crate::retry::policy::{JitterMode, Strategy};
use crate::retry::rules::{ClassOverride, RetryRule};
use crate::retry::windows::Window;

const FACTS: ErrorFacts<'_> = ErrorFacts { error_type: "Net.Reset", ..ErrorFacts::NONE };
const TRIED: Tried<'_> = Tried {
    executions: 1,
    by_rule: &[],
    previous_wait_ms: 0,
    draw: 0.5,
    now: 10_000,
    since: 10_000,
    deadline: None,
    job: JobParts { id: "", input: None },
};

fn policy() -> RetryPolicy {
    RetryPolicy { jitter: JitterMode::None, max_attempts: 6, ..RetryPolicy::default() }
}

fn judge(policy: &RetryPolicy, facts: ErrorFacts<'_>, executions: u32) -> RetryVerdict {
    verdict(policy, &facts, &Tried { executions, ..TRIED })
}

fn wait_of(verdict: &RetryVerdict) -> Option<u64> {
    match verdict {
        RetryVerdict::Retry { wait_ms, .. } => Some(*wait_ms),
        RetryVerdict::Final { .. } => None,
    }
}

fn list(types: &[&str]) -> Vec<String> {
    types.iter().map(ToString::to_string).collect()
}

#[test]
fn an_unclassified_failure_follows_the_policy_to_its_last_execution() {
    let waits: Vec<_> = (1..=6).map(|k| wait_of(&judge(&policy(), FACTS, k))).collect();
    assert_eq!(waits, [Some(1_000), Some(2_000), Some(4_000), Some(8_000), Some(16_000), None]);
    assert_eq!(
        judge(&policy(), FACTS, 6),
        RetryVerdict::Final { why: FinalWhy::PolicyUsedUp { allowed: 6 } }
    );
    let once = RetryPolicy { max_attempts: 1, ..policy() };
    assert_eq!(wait_of(&judge(&once, FACTS, 1)), None);
}

#[test]
fn a_class_limits_the_executions_of_the_policy() {
    let executions = |class| {
        let facts = ErrorFacts { class, ..FACTS };
        (1..=10).find(|k| wait_of(&judge(&policy(), facts, *k)).is_none())
    };
    assert_eq!(executions("network.connect"), Some(6));
    assert_eq!(executions("heartbeat.missed"), Some(6));
    assert_eq!(executions("server.error"), Some(3));
    assert_eq!(executions("bug"), Some(3));
    assert_eq!(executions("never.heard.of"), Some(3));
    assert_eq!(executions("data"), Some(2));
    assert_eq!(executions("auth"), Some(2));
    for class in ["validation", "tls.certificate", "timeout.queue", "not_found", "cancelled"] {
        assert_eq!(executions(class), Some(1), "{class}");
    }
}

#[test]
fn the_policys_final_types_outrank_its_retryable_ones_and_both_outrank_the_report() {
    let why = |policy: &RetryPolicy, retryable| judge(policy, ErrorFacts { retryable, ..FACTS }, 1);
    let never = RetryPolicy {
        non_retryable_error_types: list(&["Net.*"]),
        retryable_error_types: list(&["Net.Reset"]),
        ..policy()
    };
    assert_eq!(why(&never, Some(true)), RetryVerdict::Final { why: FinalWhy::TypeIsFinal });
    let other = RetryPolicy { retryable_error_types: list(&["Disk.*"]), ..policy() };
    assert_eq!(why(&other, Some(true)), RetryVerdict::Final { why: FinalWhy::TypeNotListed });
    let this = RetryPolicy { retryable_error_types: list(&["Net.*"]), ..policy() };
    assert_eq!(wait_of(&why(&this, None)), Some(1_000));
    assert_eq!(why(&this, Some(false)), RetryVerdict::Final { why: FinalWhy::ReportedFinal });
}

#[test]
fn a_rule_or_a_report_outranks_the_class_but_not_a_cancellation() {
    let wanted = |class| ErrorFacts { class, retryable: Some(true), ..FACTS };
    assert_eq!(wait_of(&judge(&policy(), wanted("conflict"), 5)), Some(16_000));
    assert_eq!(wait_of(&judge(&policy(), wanted("cancelled"), 1)), None);
    let listed = RetryPolicy { retryable_error_types: list(&["Net.Reset"]), ..policy() };
    let conflict = ErrorFacts { class: "conflict", ..FACTS };
    assert_eq!(wait_of(&judge(&listed, conflict, 1)), Some(1_000));
    let none = RetryPolicy { strategy: Strategy::None, ..policy() };
    assert_eq!(judge(&none, wanted(""), 1), RetryVerdict::Final { why: FinalWhy::NoRetries });
}

#[test]
fn what_may_have_happened_is_repeated_only_where_that_is_harmless() {
    let reset = ErrorFacts { class: "network.reset", ..FACTS };
    assert_eq!(wait_of(&judge(&policy(), reset, 1)), Some(1_000));
    let once = ErrorFacts { idempotent: false, ..reset };
    assert_eq!(judge(&policy(), once, 1), RetryVerdict::Final { why: FinalWhy::MayHaveHappened });
    let refused = ErrorFacts { class: "network.connect", ..once };
    assert_eq!(wait_of(&judge(&policy(), refused, 1)), Some(1_000));
}

#[test]
fn an_asked_wait_may_pass_the_cap_but_not_its_own_limit() {
    let asked = |ms| judge(&policy(), ErrorFacts { retry_after_ms: Some(ms), ..FACTS }, 1);
    assert_eq!(wait_of(&asked(10)), Some(1_000));
    assert_eq!(wait_of(&asked(90_000)), Some(90_000));
    assert_eq!(wait_of(&asked(u64::MAX)), Some(RETRY_AFTER_MS_MAX));
    assert!(matches!(
        asked(90_000),
        RetryVerdict::Retry { due: 100_000, why: RetryWhy::Asked { .. }, .. }
    ));
}

#[test]
fn throttling_slows_the_waits_unless_it_says_how_long() {
    let fast = RetryPolicy { base_delay_ms: 50, ..policy() };
    let throttled = ErrorFacts { class: "throttled", ..FACTS };
    assert_eq!(wait_of(&judge(&fast, FACTS, 1)), Some(50));
    assert_eq!(wait_of(&judge(&fast, throttled, 1)), Some(1_000));
    let asked = ErrorFacts { retry_after_ms: Some(60), ..throttled };
    assert_eq!(wait_of(&judge(&fast, asked, 1)), Some(60));
    let capped = RetryPolicy { max_delay_ms: 200, ..fast };
    assert_eq!(wait_of(&judge(&capped, throttled, 1)), Some(200));
}

#[test]
fn a_wait_that_reaches_the_deadline_is_not_scheduled() {
    let at = |at| verdict(&policy(), &FACTS, &Tried { deadline: Some(at), ..TRIED });
    assert_eq!(wait_of(&at(11_001)), Some(1_000));
    let why = FinalWhy::PastDeadline { wait_ms: 1_000 };
    assert_eq!(at(11_000), RetryVerdict::Final { why: why.clone() });
    assert_eq!(at(5), RetryVerdict::Final { why });
}

#[test]
fn a_rule_counts_and_waits_for_itself() {
    let rule = |word: &str, most, base_delay_ms| RetryRule {
        types: list(&[word]),
        max_attempts: Some(most),
        base_delay_ms: Some(base_delay_ms),
        ..RetryRule::default()
    };
    let policy = RetryPolicy {
        rules: vec![rule("Slow", 4, 10), rule("Gone", 1, 10), rule("Lock", 2, 70)],
        max_attempts: 2,
        ..policy()
    };
    let failed = |error_type: &'static str, executions, by_rule: &[u32]| {
        let tried = Tried { executions, by_rule, ..TRIED };
        verdict(&policy, &ErrorFacts { error_type, ..FACTS }, &tried)
    };
    assert_eq!(wait_of(&failed("Slow", 1, &[])), Some(10));
    assert_eq!(wait_of(&failed("Slow", 2, &[1])), Some(20));
    assert_eq!(wait_of(&failed("Lock", 3, &[2])), Some(70), "it counts for itself");
    assert_eq!(wait_of(&failed("Slow", 4, &[2, 0, 1])), Some(40));
    let used_up = RetryVerdict::Final { why: FinalWhy::RuleUsedUp { rule: 0, allowed: 4 } };
    assert_eq!(failed("Slow", 5, &[3, 0, 1]), used_up);
    // What no rule fits counts only what no rule gave.
    assert_eq!(wait_of(&failed("Other", 5, &[3, 0, 1])), Some(1_000));
    let used_up = RetryVerdict::Final { why: FinalWhy::PolicyUsedUp { allowed: 2 } };
    assert_eq!(failed("Other", 6, &[3, 0, 1]), used_up);
    let never = RetryVerdict::Final { why: FinalWhy::RuleUsedUp { rule: 1, allowed: 1 } };
    assert_eq!(failed("Gone", 1, &[]), never);
}

#[test]
fn a_rule_that_names_a_final_class_repeats_it() {
    let rule = RetryRule { classes: list(&["conflict"]), ..RetryRule::default() };
    let policy = RetryPolicy { rules: vec![rule], ..policy() };
    let conflict = ErrorFacts { class: "conflict", ..FACTS };
    assert_eq!(wait_of(&judge(&policy, conflict, 1)), Some(1_000));
    let listed = RetryPolicy { non_retryable_error_types: list(&["Net.*"]), ..policy };
    let why = FinalWhy::TypeIsFinal;
    assert_eq!(judge(&listed, conflict, 1), RetryVerdict::Final { why });
}

#[test]
fn the_policys_word_on_a_class_counts_before_the_reports() {
    let classify = vec![ClassOverride { types: list(&["Net.*"]), class: "validation".to_owned() }];
    let policy = RetryPolicy { classify, ..policy() };
    let why = FinalWhy::ClassIsFinal;
    assert_eq!(
        judge(&policy, ErrorFacts { class: "bug", ..FACTS }, 1),
        RetryVerdict::Final { why }
    );
}

#[test]
fn nothing_is_retried_where_the_condition_does_not_hold_or_fails() {
    let with = |when: &str| {
        let policy = RetryPolicy { when: Some(when.to_owned()), ..policy() };
        judge(&policy, FACTS, 2)
    };
    assert_eq!(wait_of(&with("attempt < 3 && error.type.startsWith('Net')")), Some(2_000));
    let why = FinalWhy::ConditionIsFalse;
    assert_eq!(with("attempt < 2"), RetryVerdict::Final { why });
    assert!(matches!(
        with("error.code == 'x'"),
        RetryVerdict::Final { why: FinalWhy::ConditionFailed { .. } }
    ));
}

#[test]
fn no_retry_comes_after_the_policys_total_time() {
    let policy = RetryPolicy { total_ms: Some(5_000), ..policy() };
    let at = |now| verdict(&policy, &FACTS, &Tried { now, ..TRIED });
    assert_eq!(wait_of(&at(14_000)), Some(1_000));
    let why = FinalWhy::TotalUsedUp { wait_ms: 1_000 };
    assert!(why.is_exhausted());
    assert_eq!(at(14_001), RetryVerdict::Final { why });
}

#[test]
fn what_waits_for_a_window_is_spread_behind_its_opening() {
    let clock = |hour| chrono::NaiveTime::from_hms_opt(hour, 0, 0).unwrap_or_default();
    let window =
        Window { from: clock(1), to: clock(2), zone: chrono_tz::Tz::UTC, days: Vec::new() };
    let opens = 3_600_000;
    let with = |jitter| {
        let policy = RetryPolicy { jitter, windows: vec![window.clone()], ..policy() };
        verdict(&policy, &FACTS, &TRIED)
    };
    let due = |verdict: RetryVerdict| match verdict {
        RetryVerdict::Retry { due, wait_ms, why: RetryWhy::Window { .. }, .. } => (due, wait_ms),
        RetryVerdict::Retry { .. } | RetryVerdict::Final { .. } => {
            panic!("it waits for the window: {verdict:?}")
        }
    };
    assert_eq!(due(with(JitterMode::None)), (opens, 3_590_000));
    assert_eq!(due(with(JitterMode::Full)), (opens + 250, 3_590_250), "half of a wait of 500 ms");
    let deadline = Some(opens);
    let policy = RetryPolicy { windows: vec![window], ..policy() };
    let late = verdict(&policy, &FACTS, &Tried { deadline, ..TRIED });
    assert_eq!(late, RetryVerdict::Final { why: FinalWhy::PastDeadline { wait_ms: 3_590_000 } });
}

proptest! {
    #[test]
    fn no_verdict_passes_a_limit(
        max_attempts in 1_u32..8,
        cap in 0_u64..100_000,
        class in prop::sample::select(vec!["", "bug", "throttled", "server.error", "data", "x", "cancelled"]),
        retryable in prop::option::of(any::<bool>()),
        retry_after_ms in prop::option::of(prop_oneof![0_u64..100_000, any::<u64>()]),
        executions in 1_u32..10,
        previous in any::<u64>(),
        draw in 0.0_f64..1.0,
        now in prop_oneof![0_i64..1_000_000, Just(i64::MAX)],
        deadline in prop::option::of(0_i64..2_000_000),
    ) {
        let policy = RetryPolicy { max_attempts, max_delay_ms: cap, ..RetryPolicy::default() };
        let facts = ErrorFacts { class, retryable, retry_after_ms, ..FACTS };
        let previous_wait_ms = previous;
        let tried = Tried { executions, previous_wait_ms, draw, now, deadline, ..TRIED };
        match verdict(&policy, &facts, &tried) {
            RetryVerdict::Retry { wait_ms, due, .. } => {
                let asked = retry_after_ms.unwrap_or(0).min(RETRY_AFTER_MS_MAX);
                prop_assert!(executions < max_attempts);
                prop_assert!((asked..=asked.max(cap)).contains(&wait_ms));
                prop_assert!(due >= now && deadline.is_none_or(|deadline| due < deadline));
                prop_assert!(retryable != Some(false) && class != "cancelled");
            }
            RetryVerdict::Final { why } => {
                let plain = retryable == Some(true) && class != "cancelled" && deadline.is_none();
                prop_assert!(!plain || executions >= max_attempts, "{why}");
            }
        }
    }
}
