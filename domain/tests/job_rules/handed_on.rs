//! What earlier attempts of a node hand on to the next one: the newest failure, until the node settles.

use domain::job::event::JobEvent;
use domain::job::fact::JobFact;
use domain::job::state::JobState;
use domain::node::attempt::AttemptError;
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

/// What the next attempt is told after this event: of a failure itself, else what it was told before.
pub(crate) fn check_handed_on(
    before: &JobState,
    event: &JobEvent,
    after: &JobState,
) -> TestCaseResult {
    let failure = match &event.fact {
        JobFact::Failure(fact) => fact.failure(),
        _ => None,
    };
    let error_of = |state: &JobState, ix: u32| -> Option<AttemptError> {
        state.handed_on.get(&ix)?.error.as_deref().cloned()
    };
    for (ix, node) in (0u32..).zip(&after.nodes) {
        let failed = failure.filter(|failure| failure.attempt.node == ix);
        let told = failed.map(|failure| failure.error.clone()).or_else(|| error_of(before, ix));
        let told = told.filter(|_| !node.status.is_settled());
        prop_assert_eq!(error_of(after, ix), told, "node {} is {}", ix, node.status);
        prop_assert!(!node.status.is_settled() || !after.handed_on.contains_key(&ix));
    }
    Ok(())
}
