//! What the walks hold against each state and step beside the naive model: that somebody or some time moves the job on, that
//! it says so, and what leases are.

use domain::job::due;
use domain::job::event::JobEvent;
use domain::job::explain::{EndsOn, Explanation, NODES_NAMED_MAX, WaitCode};
use domain::job::fact::{AttemptFact, JobFact};
use domain::job::outcome::EndingStage;
use domain::job::spec::Start;
use domain::job::state::JobState;
use domain::job::status::JobStatus;
use domain::node::hold::Hold;
use domain::node::status::NodeStatus::{Pending, Ready, Retrying, Running, Waiting};
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

/// No job is silently stuck: work offered, an attempt whose lease runs, a due time, a person or a grant.
pub(crate) fn somebody_moves_it(state: &JobState) -> TestCaseResult {
    let head = &state.head;
    let offers = state.offers_work() && state.count(Ready) > 0;
    let waits_for_somebody = matches!(head.status, JobStatus::Paused | JobStatus::Queued)
        || (head.status == JobStatus::Pending && state.plan.start == Start::Manual);
    let due = next_due(state).is_some();
    let evaluates = state.evaluation_order().is_some();
    let moves = head.status.is_over()
        || offers
        || state.count(Running) > 0
        || due
        || waits_for_somebody
        || evaluates;
    prop_assert!(moves, "nothing will ever move this job: {:?}", head);
    Ok(())
}

/// What a job says of itself agrees with who could move it, and with where each node stands.
pub(crate) fn it_says_what_it_waits_for(state: &JobState) -> TestCaseResult {
    let said = state.explain(None);
    prop_assert_eq!(state.next_due(), next_due(state));
    if state.head.status.is_over() {
        prop_assert!(said.waits.is_empty() && said.ended.is_some(), "{:?}", said);
    } else {
        prop_assert!(said.ended.is_none(), "{:?}", said);
        let concrete = said.waits.iter().any(|wait| wait.code.is_concrete());
        prop_assert!(concrete, "nobody and no time is named: {:?} {:?}", said, state.head);
    }
    let mut explained = vec![0; state.nodes.len()];
    for wait in &said.waits {
        prop_assert!(!wait.message.is_empty() && wait.since <= state.head.updated_at, "{:?}", wait);
        prop_assert!(wait.ends_on != EndsOn::Time || wait.wakes_at.is_some(), "{:?}", wait);
        prop_assert!(wait.nodes.len() == wait.node_count.min(NODES_NAMED_MAX), "{:?}", wait);
        for ix in &wait.nodes {
            explained[*ix as usize] += 1;
            let node = &state.nodes[*ix as usize];
            let stands = match wait.code {
                WaitCode::Attempt | WaitCode::Ending => node.status == Running,
                WaitCode::Worker => node.status == Ready,
                WaitCode::Retry => node.status == Retrying && wait.wakes_at <= Some(node.due),
                WaitCode::Delay => {
                    let waits = node.status == Waiting && node.hold == Some(Hold::Delay);
                    waits && wait.wakes_at <= Some(node.due)
                }
                WaitCode::OutcomeUnknown => {
                    node.status == Waiting && node.hold == Some(Hold::OutcomeUnknown)
                }
                WaitCode::Exhausted => node.status == Waiting && node.hold == Some(Hold::Exhausted),
                WaitCode::Place => node.marks.queued,
                WaitCode::Blocked | WaitCode::Parents | WaitCode::Group | WaitCode::Cleanup => {
                    node.status == Pending
                }
                WaitCode::Evaluating => node.hold == Some(Hold::Evaluating),
                WaitCode::Members => node.hold == Some(Hold::Members),
                WaitCode::Unreadable
                | WaitCode::ScheduledStart
                | WaitCode::ManualStart
                | WaitCode::Grant
                | WaitCode::Paused => false,
            };
            prop_assert!(stands, "{} is {}: {:?}", ix, node.status, wait);
        }
    }
    for (ix, node) in (0u32..).zip(&state.nodes) {
        let lives = state.offers_work() && state.head.ending.is_none();
        let once = lives && !node.status.is_settled();
        // Of many alike only the first are named.
        let once = once && said.waits.iter().all(|wait| wait.node_count <= NODES_NAMED_MAX);
        let times = explained[ix as usize];
        let told = format!("{} is {}, named {times} times", state.plan.path(ix), node.status);
        prop_assert!(times <= 1 && (!once || times == 1), "{told}: {:?}", said.waits);
        let said = state.explain_node(ix, None);
        let ended = node.status.is_settled() || state.head.status.is_over();
        let fits =
            |said: &Explanation| said.ended.is_some() == ended && said.waits.is_empty() == ended;
        prop_assert!(said.as_ref().is_some_and(fits), "{} is {}: {:?}", ix, node.status, said);
    }
    prop_assert!(state.explain_node(u32::MAX, None).is_none());
    Ok(())
}

/// The earliest time at which anything is due.
pub(crate) fn next_due(state: &JobState) -> Option<i64> {
    let nodes = (0u32..).take(state.nodes.len()).flat_map(|ix| due::node_dues(state, ix));
    let of_nodes = nodes.map(|(_, at)| at);
    of_nodes.chain(due::job_dues(state).earliest().map(|(_, at)| at)).min()
}

pub(crate) fn check_lease(before: &JobState, event: &JobEvent, after: &JobState) -> TestCaseResult {
    let started = |change: &&domain::node::change::NodeChange| change.to == Running;
    let JobFact::Attempt(AttemptFact::Leased { attempts, .. }) = &event.fact else {
        prop_assert!(!event.nodes.iter().any(|change| started(&change)), "started without a lease");
        return Ok(());
    };
    let offers = matches!(before.head.status, JobStatus::Scheduled | JobStatus::Running);
    let cleans = before.head.ending.is_some() && before.head.stage == EndingStage::Cleaning;
    let offers = offers && before.head.ending.is_none() || cleans;
    prop_assert!(offers, "leased from {:?}", before.head);
    for attempt in attempts {
        let (old, new) =
            (&before.nodes[attempt.node as usize], &after.nodes[attempt.node as usize]);
        prop_assert_eq!((old.status, new.status), (Ready, Running));
        prop_assert!(attempt.epoch > old.epoch && attempt.epoch.0 >> 32 >= 1, "epoch");
        prop_assert_eq!(new.epoch, attempt.epoch);
        prop_assert_eq!((attempt.attempt, new.attempt), (old.attempt + 1, old.attempt + 1));
    }
    Ok(())
}
