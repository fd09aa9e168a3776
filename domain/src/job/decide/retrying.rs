//! What a policy says of a failure of a node, of its attempt or of its members.

use crate::job::due;
use crate::job::state::{JobState, NodeState};
use crate::node::attempt::{AttemptError, RetryDue};
use crate::payload::Payload;
use crate::retry::condition::JobParts;
use crate::retry::facts::ErrorFacts;
use crate::retry::policy::RetryPolicy;
use crate::retry::verdict::{RetryVerdict, Tried, verdict};
use crate::subject::context::Context;

/// Whether there is another execution, when, and why.
#[derive(Debug, PartialEq)]
pub(super) struct Judged {
    /// None: it was the last one.
    pub(super) retry: Option<RetryDue>,
    pub(super) why: String,
    /// There would be another one, had there been executions or time left.
    pub(super) exhausted: bool,
}

impl Judged {
    pub(super) fn no_more(why: &str) -> Self {
        Self { retry: None, why: why.to_owned(), exhausted: false }
    }
}

/// A node that failed.
pub(super) struct FailedNode<'a> {
    pub(super) ix: u32,
    pub(super) node: &'a NodeState,
    /// Since policies count, the failed one included.
    pub(super) executions: u32,
    /// Whether it may run again when it may have had its effect.
    pub(super) idempotent: bool,
}

/// What policies read of an error. `idempotent`: whether its node may run again when it may have had its effect.
pub(super) fn facts_of(error: &AttemptError, idempotent: bool) -> ErrorFacts<'_> {
    ErrorFacts {
        error_type: &error.error_type,
        class: &error.class,
        message: &error.message,
        code: error.code.as_deref(),
        status: error.status,
        retryable: error.retryable,
        retry_after_ms: error.retry_after_ms,
        idempotent,
    }
}

pub(super) fn judge(
    state: &JobState,
    failed: &FailedNode<'_>,
    policy: &RetryPolicy,
    error: &AttemptError,
    context: &Context,
) -> Judged {
    let FailedNode { ix, node, executions, idempotent } = *failed;
    let facts = facts_of(error, idempotent);
    let id = state.id.to_string();
    let input = state.plan.input.as_ref().and_then(Payload::inline);
    let tried = Tried {
        executions,
        by_rule: state.handed_on.get(&ix).map_or(&[], |handed_on| &handed_on.by_rule),
        previous_wait_ms: u64::from(node.last_wait_ms),
        draw: context.dice.unit(ix),
        now: context.now,
        since: node.first_ready,
        deadline: due::last_time(state, ix),
        job: JobParts { id: &id, input },
    };
    match verdict(policy, &facts, &tried) {
        RetryVerdict::Retry { wait_ms, due, rule, why } => {
            let rule = rule.and_then(|rule| u32::try_from(rule).ok());
            let retry = Some(RetryDue { due, wait_ms, rule });
            Judged { retry, why: why.to_string(), exhausted: false }
        }
        RetryVerdict::Final { why } => {
            Judged { retry: None, why: why.to_string(), exhausted: why.is_exhausted() }
        }
    }
}
