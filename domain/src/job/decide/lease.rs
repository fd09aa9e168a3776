//! Leasing ready nodes to a worker. Attempts are counted here, not at their failure: a worker that dies four times has
//! used four.

use crate::job::command::LeaseOrder;
use crate::job::decide::decision::JobDecision;
use crate::job::decide::draft::Draft;
use crate::job::fact::AttemptFact;
use crate::job::state::JobState;
use crate::job::status::JobStatus;
use crate::node::attempt::AttemptRef;
use crate::node::status::NodeStatus;
use crate::planted::{self, Planted};
use crate::subject::answer::Answer;
use crate::subject::context::Context;

pub(super) fn lease(state: &JobState, order: &LeaseOrder, context: &Context) -> JobDecision {
    if !state.offers_work() {
        return JobDecision::unchanged(Answer::Leased(Vec::new()));
    }
    let mut draft = Draft::new(state, context);
    let mut attempts = Vec::with_capacity(order.nodes.len());
    for ix in &order.nodes {
        let Some(node) = state.nodes.get(*ix as usize) else { continue };
        let ready = draft.node_status(*ix) == NodeStatus::Ready;
        if !ready && !planted::on(Planted::HintTakenForTruth) {
            continue;
        }
        // It was changed since it was chosen, and may be offered elsewhere now.
        let changed = state.plan.changed(*ix).is_some_and(|of| of.number > order.changes);
        if changed && !planted::on(Planted::RepairOvertaken) {
            continue;
        }
        draft.move_node_alone(*ix, NodeStatus::Running);
        let epoch = node.epoch.next(context.incarnation);
        let counts = !planted::on(Planted::AttemptsNotCounted);
        let attempt = node.attempt.saturating_add(u32::from(counts));
        attempts.push(AttemptRef { node: *ix, attempt, epoch });
    }
    if attempts.is_empty() {
        return JobDecision::unchanged(Answer::Leased(attempts));
    }
    if draft.job_status() == JobStatus::Scheduled {
        draft.move_job(JobStatus::Running);
    }
    let fact = AttemptFact::Leased {
        worker: order.worker.clone(),
        claim: order.claim.clone(),
        lease_ms: order.lease_ms,
        attempts: attempts.clone(),
    };
    let (event, payloads) = draft.into_event(fact, context, None);
    JobDecision { event: Some(event), payloads, answer: Answer::Leased(attempts) }
}
