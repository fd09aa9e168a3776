//! Whether a failed attempt is followed by another, when, and why. Who is asked, first to last: classes that are
//! never repeated, the strategy, the policy's list of final types, its list of retryable types, the report's own
//! word, the class, the executions left, the deadline.
//! A wait is the longer of the computed one and the one the report asks for, which has a limit of its own.
//! Invariant: no verdict schedules past the deadline or beyond `max_attempts` (property tests below).
//! Absent on purpose: rules, windows, budgets and breakers, which come with the retry manager.

use std::fmt;

use super::backoff;
use super::classify::{self, Again, ClassRule, SLOW_BASE_MS};
use super::policy::{RetryPolicy, Strategy};
use crate::bounds::RETRY_AFTER_MS_MAX;
use crate::ids::Millis;

/// What is known of the failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorFacts<'a> {
    /// The reporter's word for it.
    pub error_type: &'a str,
    /// Class of the taxonomy, as given; empty when nobody gave one.
    pub class: &'a str,
    /// The reporter's word on whether another execution can help.
    pub retryable: Option<bool>,
    /// The wait the reporter asks for, in milliseconds.
    pub retry_after_ms: Option<u64>,
    /// Whether the node may run again when it may have had its effect: not `at_most_once`.
    pub idempotent: bool,
}

/// What follows a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryVerdict {
    Retry {
        /// Milliseconds, jitter included, drawn once.
        wait_ms: u64,
        /// Nothing happens before this time.
        due: Millis,
        /// What settled it.
        why: RetryWhy,
    },
    Final {
        /// What settled it.
        why: FinalWhy,
    },
}

/// Where a wait comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryWhy {
    /// The policy's strategy.
    Policy {
        /// Executions so far.
        executions: u32,
        /// Executions that are allowed in all.
        allowed: u32,
    },
    /// The report asked for a longer wait than the strategy's.
    Asked {
        /// Executions so far.
        executions: u32,
        /// Executions that are allowed in all.
        allowed: u32,
    },
}

/// Why there is no other execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinalWhy {
    /// The strategy is `none`.
    NoRetries,
    /// The report says that it cannot help.
    ReportedFinal,
    /// The policy lists the type as final.
    TypeIsFinal,
    /// The policy lists retryable types, and this is none of them.
    TypeNotListed,
    /// Failures of this class are not mended by repeating.
    ClassIsFinal,
    /// The work may have been done, and the node must not run twice.
    MayHaveHappened,
    /// The policy's executions are used up.
    PolicyUsedUp {
        /// Executions that are allowed in all.
        allowed: u32,
    },
    /// The class allows fewer executions than the policy.
    ClassUsedUp {
        /// Executions that are allowed in all.
        allowed: u32,
    },
    /// The wait would reach the deadline of the node or its job.
    PastDeadline {
        /// The wait, in milliseconds.
        wait_ms: u64,
    },
}

/// Judges a failure. `executions` counts the failed one; `previous_wait_ms` is the wait before it, 0 for none;
/// `draw` is in [0, 1); at `deadline` the node is timed out whatever it does.
pub fn verdict(
    policy: &RetryPolicy,
    facts: &ErrorFacts<'_>,
    executions: u32,
    previous_wait_ms: u64,
    draw: f64,
    now: Millis,
    deadline: Option<Millis>,
) -> RetryVerdict {
    let rule = classify::rule_of(facts.class, facts.error_type);
    let allowed = match executions_allowed(policy, facts, rule, executions) {
        Ok(allowed) => allowed,
        Err(why) => return RetryVerdict::Final { why },
    };
    let computed = computed_wait(policy, facts, rule, executions, previous_wait_ms, draw);
    let asked = facts.retry_after_ms.map_or(0, |asked| asked.min(RETRY_AFTER_MS_MAX));
    let wait_ms = computed.max(asked);
    let due = now.saturating_add(Millis::try_from(wait_ms).unwrap_or(Millis::MAX));
    if deadline.is_some_and(|deadline| due >= deadline) {
        return RetryVerdict::Final { why: FinalWhy::PastDeadline { wait_ms } };
    }
    let why = if asked > computed {
        RetryWhy::Asked { executions, allowed }
    } else {
        RetryWhy::Policy { executions, allowed }
    };
    RetryVerdict::Retry { wait_ms, due, why }
}

/// How many executions there may be in all, or why there is no other.
fn executions_allowed(
    policy: &RetryPolicy,
    facts: &ErrorFacts<'_>,
    rule: ClassRule,
    executions: u32,
) -> Result<u32, FinalWhy> {
    let listed = classify::type_is_listed(&policy.retryable_error_types, facts.error_type);
    if rule.again == Again::Never {
        return Err(FinalWhy::ClassIsFinal);
    }
    if policy.strategy == Strategy::None {
        return Err(FinalWhy::NoRetries);
    }
    if facts.retryable == Some(false) {
        return Err(FinalWhy::ReportedFinal);
    }
    if classify::type_is_listed(&policy.non_retryable_error_types, facts.error_type) {
        return Err(FinalWhy::TypeIsFinal);
    }
    if !policy.retryable_error_types.is_empty() && !listed {
        return Err(FinalWhy::TypeNotListed);
    }
    let wanted = listed || facts.retryable == Some(true);
    if !wanted && rule.only_if_idempotent && !facts.idempotent {
        return Err(FinalWhy::MayHaveHappened);
    }
    let by_class = match rule.again {
        _ if wanted => policy.max_attempts,
        Again::AsPolicy => policy.max_attempts,
        Again::HalfOfPolicy => policy.max_attempts.div_ceil(2),
        Again::AtMost(executions) => executions,
        Again::Final | Again::Never => return Err(FinalWhy::ClassIsFinal),
    };
    if executions >= policy.max_attempts {
        return Err(FinalWhy::PolicyUsedUp { allowed: policy.max_attempts });
    }
    if executions >= by_class {
        return Err(FinalWhy::ClassUsedUp { allowed: by_class });
    }
    Ok(by_class.min(policy.max_attempts))
}

fn computed_wait(
    policy: &RetryPolicy,
    facts: &ErrorFacts<'_>,
    rule: ClassRule,
    executions: u32,
    previous_wait_ms: u64,
    draw: f64,
) -> u64 {
    if !rule.slow || facts.retry_after_ms.is_some() {
        return backoff::wait(policy, executions, previous_wait_ms, draw);
    }
    let base_delay_ms = policy.base_delay_ms.max(SLOW_BASE_MS);
    let slow = RetryPolicy { base_delay_ms, ..policy.clone() };
    backoff::wait(&slow, executions, previous_wait_ms, draw)
}

impl fmt::Display for RetryWhy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Policy { executions, allowed } => {
                write!(f, "execution {executions} of {allowed} failed; retried by the policy")
            }
            Self::Asked { executions, allowed } => {
                write!(
                    f,
                    "execution {executions} of {allowed} failed; retried when the report asked for it"
                )
            }
        }
    }
}

impl fmt::Display for FinalWhy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRetries => f.write_str("the policy retries nothing"),
            Self::ReportedFinal => f.write_str("reported as not retryable"),
            Self::TypeIsFinal => f.write_str("the policy lists this error type as not retryable"),
            Self::TypeNotListed => {
                f.write_str("the policy does not list this error type as retryable")
            }
            Self::ClassIsFinal => f.write_str("failures of this class are not retried"),
            Self::MayHaveHappened => {
                f.write_str("the work may have been done, and the node runs at most once")
            }
            Self::PolicyUsedUp { allowed } => {
                write!(f, "all {allowed} executions of the policy are used")
            }
            Self::ClassUsedUp { allowed } => {
                write!(f, "all {allowed} executions for failures of this class are used")
            }
            Self::PastDeadline { wait_ms } => {
                write!(f, "a retry in {wait_ms} ms would come after the deadline")
            }
        }
    }
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
