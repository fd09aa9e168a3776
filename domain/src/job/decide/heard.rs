//! What heartbeats said rides with the next event of the job, whatever that is about: a heartbeat is no event.
//! Always holds: it is of the newest attempt of a node that ran until this event, and did not complete with it.

use crate::job::decide::decision::JobDecision;
use crate::job::fact::{AttemptFact, JobFact};
use crate::job::state::JobState;
use crate::node::status::NodeStatus;
use crate::subject::context::Context;

/// The decision, its event with what was heard.
pub(super) fn carried(
    state: &JobState,
    mut decision: JobDecision,
    context: &Context,
) -> JobDecision {
    let Some(event) = &mut decision.event else { return decision };
    // Nobody comes after an attempt that completed.
    let completed = match &event.fact {
        JobFact::Attempt(AttemptFact::Completed { attempt, .. }) => Some(attempt.node),
        JobFact::Attempt(_)
        | JobFact::Admission(_)
        | JobFact::Failure(_)
        | JobFact::Steering(_)
        | JobFact::Ending(_)
        | JobFact::Flow(_) => None,
    };
    for (heard, stored) in &context.heard {
        let runs = state
            .nodes
            .get(heard.node as usize)
            .is_some_and(|node| node.status == NodeStatus::Running && node.epoch == heard.epoch);
        if runs && completed != Some(heard.node) {
            event.heard.push(heard.clone());
            decision.payloads.extend(stored.clone());
        }
    }
    decision
}
