//! Who outranks whom, and what no verdict may do.

use proptest::prelude::*;

use super::*;
use crate::retry::policy::{JitterMode, Strategy};

const FACTS: ErrorFacts<'_> = ErrorFacts {
    error_type: "Net.Reset",
    class: "",
    retryable: None,
    retry_after_ms: None,
    idempotent: true,
};

fn policy() -> RetryPolicy {
    RetryPolicy { jitter: JitterMode::None, max_attempts: 6, ..RetryPolicy::default() }
}

fn judge(policy: &RetryPolicy, facts: ErrorFacts<'_>, executions: u32) -> RetryVerdict {
    verdict(policy, &facts, executions, 0, 0.5, 10_000, None)
}

fn wait_of(verdict: RetryVerdict) -> Option<u64> {
    match verdict {
        RetryVerdict::Retry { wait_ms, .. } => Some(wait_ms),
        RetryVerdict::Final { .. } => None,
    }
}

fn list(types: &[&str]) -> Vec<String> {
    types.iter().map(ToString::to_string).collect()
}

#[test]
fn an_unclassified_failure_follows_the_policy_to_its_last_execution() {
    let waits: Vec<_> = (1..=6).map(|k| wait_of(judge(&policy(), FACTS, k))).collect();
    assert_eq!(waits, [Some(1_000), Some(2_000), Some(4_000), Some(8_000), Some(16_000), None]);
    assert_eq!(
        judge(&policy(), FACTS, 6),
        RetryVerdict::Final { why: FinalWhy::PolicyUsedUp { allowed: 6 } }
    );
    let once = RetryPolicy { max_attempts: 1, ..policy() };
    assert_eq!(wait_of(judge(&once, FACTS, 1)), None);
}

#[test]
fn a_class_limits_the_executions_of_the_policy() {
    let executions = |class| {
        let facts = ErrorFacts { class, ..FACTS };
        (1..=10).find(|k| wait_of(judge(&policy(), facts, *k)).is_none())
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
    assert_eq!(wait_of(why(&this, None)), Some(1_000));
    assert_eq!(why(&this, Some(false)), RetryVerdict::Final { why: FinalWhy::ReportedFinal });
}

#[test]
fn a_rule_or_a_report_outranks_the_class_but_not_a_cancellation() {
    let wanted = |class| ErrorFacts { class, retryable: Some(true), ..FACTS };
    assert_eq!(wait_of(judge(&policy(), wanted("conflict"), 5)), Some(16_000));
    assert_eq!(wait_of(judge(&policy(), wanted("cancelled"), 1)), None);
    let listed = RetryPolicy { retryable_error_types: list(&["Net.Reset"]), ..policy() };
    let conflict = ErrorFacts { class: "conflict", ..FACTS };
    assert_eq!(wait_of(judge(&listed, conflict, 1)), Some(1_000));
    let none = RetryPolicy { strategy: Strategy::None, ..policy() };
    assert_eq!(judge(&none, wanted(""), 1), RetryVerdict::Final { why: FinalWhy::NoRetries });
}

#[test]
fn what_may_have_happened_is_repeated_only_where_that_is_harmless() {
    let reset = ErrorFacts { class: "network.reset", ..FACTS };
    assert_eq!(wait_of(judge(&policy(), reset, 1)), Some(1_000));
    let once = ErrorFacts { idempotent: false, ..reset };
    assert_eq!(judge(&policy(), once, 1), RetryVerdict::Final { why: FinalWhy::MayHaveHappened });
    let refused = ErrorFacts { class: "network.connect", ..once };
    assert_eq!(wait_of(judge(&policy(), refused, 1)), Some(1_000));
}

#[test]
fn an_asked_wait_may_pass_the_cap_but_not_its_own_limit() {
    let asked = |ms| judge(&policy(), ErrorFacts { retry_after_ms: Some(ms), ..FACTS }, 1);
    assert_eq!(wait_of(asked(10)), Some(1_000));
    assert_eq!(wait_of(asked(90_000)), Some(90_000));
    assert_eq!(wait_of(asked(u64::MAX)), Some(RETRY_AFTER_MS_MAX));
    assert!(matches!(
        asked(90_000),
        RetryVerdict::Retry { due: 100_000, why: RetryWhy::Asked { .. }, .. }
    ));
}

#[test]
fn throttling_slows_the_waits_unless_it_says_how_long() {
    let fast = RetryPolicy { base_delay_ms: 50, ..policy() };
    let throttled = ErrorFacts { class: "throttled", ..FACTS };
    assert_eq!(wait_of(judge(&fast, FACTS, 1)), Some(50));
    assert_eq!(wait_of(judge(&fast, throttled, 1)), Some(1_000));
    let asked = ErrorFacts { retry_after_ms: Some(60), ..throttled };
    assert_eq!(wait_of(judge(&fast, asked, 1)), Some(60));
    let capped = RetryPolicy { max_delay_ms: 200, ..fast };
    assert_eq!(wait_of(judge(&capped, throttled, 1)), Some(200));
}

#[test]
fn a_wait_that_reaches_the_deadline_is_not_scheduled() {
    let at = |deadline| verdict(&policy(), &FACTS, 1, 0, 0.5, 10_000, Some(deadline));
    assert_eq!(wait_of(at(11_001)), Some(1_000));
    let why = FinalWhy::PastDeadline { wait_ms: 1_000 };
    assert_eq!(at(11_000), RetryVerdict::Final { why });
    assert_eq!(at(5), RetryVerdict::Final { why });
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
        match verdict(&policy, &facts, executions, previous, draw, now, deadline) {
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
