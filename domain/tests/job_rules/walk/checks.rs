//! What holds of failures, and of what people see.

use domain::ids::Epoch;
use domain::job::detail::JobDetail;
use domain::job::event::JobEvent;
use domain::job::fact::{FailureFact, JobFact};
use domain::job::rows;
use domain::job::state::JobState;
use domain::job::status::JobStatus;
use domain::node::status::NodeStatus::{self, Failed, Retrying, Running, Waiting};
use domain::retry::policy::OnExhausted;
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

/// What people see of nodes agrees with the state, and every transition is on one row.
pub(super) fn check_detail(detail: &JobDetail, event: &JobEvent) -> TestCaseResult {
    prop_assert_eq!(rows::rows(event).count() as u64, rows::count(event), "rows of {:?}", event);
    let blocked = detail.state.blocked_by();
    for ((node, story), causes) in detail.state.nodes.iter().zip(&detail.nodes).zip(blocked) {
        let open = story.attempts.iter().filter(|attempt| attempt.end.is_none()).count();
        prop_assert_eq!(open, usize::from(node.status == Running), "{:?}", event);
        prop_assert_eq!(story.settled_at.is_some(), node.status.is_settled(), "{:?}", event);
        prop_assert!(causes.is_empty() || node.status == NodeStatus::Pending, "{:?}", event);
        let newest = story.attempts.last().map_or_else(Epoch::default, |attempt| attempt.epoch);
        prop_assert_eq!(newest, node.epoch, "{:?}", event);
    }
    prop_assert_eq!(detail.state.nodes.len(), detail.nodes.len());
    Ok(())
}

/// What may follow a failed attempt.
pub(super) fn check_failure(
    before: &JobState,
    event: &JobEvent,
    after: &JobState,
) -> TestCaseResult {
    let JobFact::Failure(fact) = &event.fact else { return Ok(()) };
    let Some(failure) = fact.failure() else { return Ok(()) };
    let ix = failure.attempt.node;
    let (spec, was) = (before.plan.node(ix), &before.nodes[ix as usize]);
    let node = &after.nodes[ix as usize];
    let unknown = !matches!(fact, FailureFact::Failed(_));
    let stops = !before.may_start(ix);
    // What takes its place may end its group within the same event.
    let cancelled = node.status == NodeStatus::Cancelled && !after.may_start(ix);
    if unknown && spec.at_most_once && !stops && before.head.ending.is_none() {
        prop_assert!(failure.retry.is_none());
        prop_assert!(node.status == Waiting || cancelled, "{:?}", event);
        prop_assert_eq!(after.head.status, JobStatus::Paused);
        return Ok(());
    }
    let policy = before.plan.retry_of(spec);
    let most = policy.executions_max();
    let executions = failure.attempt.attempt - was.base;
    let repeats = failure.retry.is_some();
    prop_assert!(repeats == (node.status == Retrying) || cancelled, "{:?}", event);
    prop_assert!(!repeats || (!stops && executions < most), "retried too often");
    prop_assert!(!repeats || failure.error.retryable != Some(false), "retried what is final");
    if repeats {
        prop_assert!(node.due >= event.by.at, "due before it failed");
    } else if failure.exhausted {
        prop_assert!(!stops && policy.on_exhausted == OnExhausted::Pause, "{:?}", event);
        prop_assert!(node.status == Waiting || cancelled, "{:?}", event);
        prop_assert_eq!(after.head.status, JobStatus::Paused);
        prop_assert_eq!(node.base, node.attempt, "executions are counted anew");
    } else {
        prop_assert!(node.status.is_settled());
        prop_assert!(
            stops || node.status == Failed || node.status == NodeStatus::Timeout,
            "{:?}",
            event
        );
    }
    Ok(())
}
