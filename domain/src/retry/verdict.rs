//! Whether a failed attempt is followed by another, when, and why. Who is asked, first to last: classes that are
//! never repeated, the policy's list of final types, the rule that fits, the strategy, the report's own word, the list of
//! retryable types, `when`, the class, the executions left, the windows, the total time, the deadline.
//! A wait is the longer of the computed one and the one the report asks for, which has a limit of its own.
//! Invariant: no verdict schedules past the deadline or beyond `max_attempts` (property tests below).
//! Absent on purpose: budgets and breakers, which many nodes share.

use std::borrow::Cow;
use std::fmt;

use super::backoff;
use super::classify::{self, Again, ClassRule, SLOW_BASE_MS};
use super::condition::{self, FailureScope};
use super::facts::ErrorFacts;
use super::policy::{RetryPolicy, Strategy};
use super::rules::is_listed;
use super::windows;
use crate::bounds::RETRY_AFTER_MS_MAX;
use crate::ids::Millis;

/// What was tried before, and what surrounds this failure.
#[derive(Debug, Clone, Copy)]
pub struct Tried<'a> {
    /// Executions since policies count, the failed one included.
    pub executions: u32,
    /// Retries that each rule of the policy gave, by its place; shorter where the last ones gave none.
    pub by_rule: &'a [u32],
    /// The wait before this execution, in milliseconds; 0 for none.
    pub previous_wait_ms: u64,
    /// In [0, 1).
    pub draw: f64,
    pub now: Millis,
    /// When the node was ready first.
    pub since: Millis,
    /// When it is timed out, whatever it does.
    pub deadline: Option<Millis>,
    pub job: condition::JobParts<'a>,
}

/// What follows a failed attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RetryVerdict {
    Retry {
        /// Milliseconds, jitter included, drawn once.
        wait_ms: u64,
        /// Nothing happens before this time.
        due: Millis,
        /// The place of the policy's rule that decided.
        rule: Option<usize>,
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
    /// It would have ended outside of the policy's windows, and waits for the next.
    Window {
        /// Executions so far.
        executions: u32,
        /// Executions that are allowed in all.
        allowed: u32,
    },
}

/// Why there is no other execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FinalWhy {
    /// The strategy is `none`.
    NoRetries,
    /// The report says that it cannot help.
    ReportedFinal,
    /// The policy lists the type as final.
    TypeIsFinal,
    /// The policy lists retryable types, and this is none of them.
    TypeNotListed,
    /// The policy's `when` does not hold.
    ConditionIsFalse,
    /// The policy's `when` could not be evaluated.
    ConditionFailed {
        /// What is wrong with it.
        message: String,
    },
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
    /// The rule's executions are used up.
    RuleUsedUp {
        /// Its place, counted from 0.
        rule: usize,
        /// Executions that are allowed in all.
        allowed: u32,
    },
    /// The policy's total time would be over.
    TotalUsedUp {
        /// The wait, in milliseconds.
        wait_ms: u64,
    },
    /// The policy's windows do not open any more.
    NeverOpen,
    /// The wait would reach the deadline of the node or its job.
    PastDeadline {
        /// The wait, in milliseconds.
        wait_ms: u64,
    },
}

impl FinalWhy {
    /// Whether there would have been another execution, had there been executions or time left.
    pub fn is_exhausted(&self) -> bool {
        match self {
            Self::PolicyUsedUp { .. }
            | Self::ClassUsedUp { .. }
            | Self::RuleUsedUp { .. }
            | Self::TotalUsedUp { .. } => true,
            Self::NoRetries
            | Self::ReportedFinal
            | Self::TypeIsFinal
            | Self::TypeNotListed
            | Self::ConditionIsFalse
            | Self::ConditionFailed { .. }
            | Self::ClassIsFinal
            | Self::MayHaveHappened
            | Self::NeverOpen
            | Self::PastDeadline { .. } => false,
        }
    }
}

/// Judges a failure.
pub fn verdict(policy: &RetryPolicy, facts: &ErrorFacts<'_>, tried: &Tried<'_>) -> RetryVerdict {
    judge(policy, facts, tried).unwrap_or_else(|why| RetryVerdict::Final { why })
}

fn judge(
    policy: &RetryPolicy,
    facts: &ErrorFacts<'_>,
    tried: &Tried<'_>,
) -> Result<RetryVerdict, FinalWhy> {
    let facts = &ErrorFacts { class: policy.class_of(facts.error_type, facts.class), ..*facts };
    let (rule, policy) = match policy.ruled(facts.error_type, facts.class) {
        Some((place, ruled)) => (Some(place), Cow::Owned(ruled)),
        None => (None, Cow::Borrowed(policy)),
    };
    let executions = match rule {
        Some(place) => tried.by_rule.get(place).copied().unwrap_or(0).saturating_add(1),
        None => {
            tried.by_rule.iter().fold(tried.executions, |own, by| own.saturating_sub(*by)).max(1)
        }
    };
    let class = classify::rule_of(facts.class, facts.error_type);
    let allowed = executions_allowed(&policy, facts, class, rule, executions, tried)?;
    let computed = computed_wait(&policy, facts, class, executions, tried);
    let asked = facts.retry_after_ms.map_or(0, |asked| asked.min(RETRY_AFTER_MS_MAX));
    let wait_ms = computed.max(asked);
    let after = tried.now.saturating_add(Millis::try_from(wait_ms).unwrap_or(Millis::MAX));
    let due = in_window(&policy, after, wait_ms, tried.draw)?;
    let wait_ms = wait_ms.max(u64::try_from(due.saturating_sub(tried.now)).unwrap_or(0));
    if policy.total_ms.is_some_and(|total| due > later(tried.since, total)) {
        return Err(FinalWhy::TotalUsedUp { wait_ms });
    }
    if tried.deadline.is_some_and(|deadline| due >= deadline) {
        return Err(FinalWhy::PastDeadline { wait_ms });
    }
    let why = if due > after {
        RetryWhy::Window { executions, allowed }
    } else if asked > computed {
        RetryWhy::Asked { executions, allowed }
    } else {
        RetryWhy::Policy { executions, allowed }
    };
    Ok(RetryVerdict::Retry { wait_ms, due, rule, why })
}

fn later(since: Millis, ms: u64) -> Millis {
    since.saturating_add(Millis::try_from(ms).unwrap_or(Millis::MAX))
}

/// How many executions there may be in all, or why there is no other.
fn executions_allowed(
    policy: &RetryPolicy,
    facts: &ErrorFacts<'_>,
    class: ClassRule,
    rule: Option<usize>,
    executions: u32,
    tried: &Tried<'_>,
) -> Result<u32, FinalWhy> {
    let listed = is_listed(&policy.retryable_error_types, facts.error_type);
    if class.again == Again::Never {
        return Err(FinalWhy::ClassIsFinal);
    }
    if policy.strategy == Strategy::None {
        return Err(FinalWhy::NoRetries);
    }
    if facts.retryable == Some(false) {
        return Err(FinalWhy::ReportedFinal);
    }
    if is_listed(&policy.non_retryable_error_types, facts.error_type) {
        return Err(FinalWhy::TypeIsFinal);
    }
    if !policy.retryable_error_types.is_empty() && !listed && rule.is_none() {
        return Err(FinalWhy::TypeNotListed);
    }
    if let Some(when) = &policy.when {
        let asked = FailureScope { facts, attempt: tried.executions, job: tried.job };
        match condition::holds(when, &asked) {
            Ok(true) => {}
            Ok(false) => return Err(FinalWhy::ConditionIsFalse),
            Err(error) => {
                return Err(FinalWhy::ConditionFailed { message: error.to_string() });
            }
        }
    }
    // Whoever names a failure wants it repeated, whatever its class usually means.
    let wanted = listed || rule.is_some() || facts.retryable == Some(true);
    if !wanted && class.only_if_idempotent && !facts.idempotent {
        return Err(FinalWhy::MayHaveHappened);
    }
    let by_class = match class.again {
        _ if wanted => policy.max_attempts,
        Again::AsPolicy => policy.max_attempts,
        Again::HalfOfPolicy => policy.max_attempts.div_ceil(2),
        Again::AtMost(executions) => executions,
        Again::Final | Again::Never => return Err(FinalWhy::ClassIsFinal),
    };
    let allowed = policy.max_attempts;
    match rule {
        Some(rule) if executions >= allowed => Err(FinalWhy::RuleUsedUp { rule, allowed }),
        None if executions >= allowed => Err(FinalWhy::PolicyUsedUp { allowed }),
        _ if executions >= by_class => Err(FinalWhy::ClassUsedUp { allowed: by_class }),
        _ => Ok(by_class.min(allowed)),
    }
}

fn computed_wait(
    policy: &RetryPolicy,
    facts: &ErrorFacts<'_>,
    class: ClassRule,
    executions: u32,
    tried: &Tried<'_>,
) -> u64 {
    let (previous, draw) = (tried.previous_wait_ms, tried.draw);
    if !class.slow || facts.retry_after_ms.is_some() {
        return backoff::wait(policy, executions, previous, draw);
    }
    let base_delay_ms = policy.base_delay_ms.max(SLOW_BASE_MS);
    let slow = RetryPolicy { base_delay_ms, ..policy.clone() };
    backoff::wait(&slow, executions, previous, draw)
}

/// When a wait that ends at `after` ends for the windows. What waits for an opening is spread behind it as its wait was: else
/// all that failed at night would begin in one instant.
fn in_window(
    policy: &RetryPolicy,
    after: Millis,
    wait_ms: u64,
    draw: f64,
) -> Result<Millis, FinalWhy> {
    if policy.windows.is_empty() {
        return Ok(after);
    }
    let open = windows::next_opening(&policy.windows, after).ok_or(FinalWhy::NeverOpen)?;
    if open.from == after {
        return Ok(after);
    }
    let room = u64::try_from(open.until.saturating_sub(open.from)).unwrap_or(0).saturating_sub(1);
    Ok(later(open.from, backoff::spread_behind(policy.jitter, wait_ms.min(room), draw)))
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
            Self::Window { executions, allowed } => {
                write!(
                    f,
                    "execution {executions} of {allowed} failed; retried when the policy's window opens"
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
            Self::ConditionIsFalse => f.write_str("the policy's `when` does not hold"),
            Self::ConditionFailed { message } => {
                write!(f, "the policy's `when` could not be evaluated: {message}")
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
            Self::RuleUsedUp { rule, allowed } => {
                write!(f, "all {allowed} executions of the policy's rule {rule} are used")
            }
            Self::TotalUsedUp { wait_ms } => {
                write!(f, "a retry in {wait_ms} ms would come after the policy's total time")
            }
            Self::NeverOpen => f.write_str("the policy's windows do not open any more"),
            Self::PastDeadline { wait_ms } => {
                write!(f, "a retry in {wait_ms} ms would come after the deadline")
            }
        }
    }
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
