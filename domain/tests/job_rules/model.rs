//! The naive model: what must be true of a state and of a step, found by reading every parent anew and counting every
//! node again. Nothing here is fast, and nothing here is shared with the rules but the tables.

use domain::job::due;
use domain::job::event::JobEvent;
use domain::job::explain::{EndsOn, Explanation, NODES_NAMED_MAX, WaitCode};
use domain::job::fact::{AttemptFact, EndingFact, JobFact};
use domain::job::spec::{CompleteWhen, Start};
use domain::job::state::JobState;
use domain::job::status::JobStatus;
use domain::node::hold::Hold;
use domain::node::spec::DependencyCondition;
use domain::node::status::NodeStatus::{
    self, Cancelled, Completed, Failed, Pending, Ready, Retrying, Running, Skipped, Timeout,
    Waiting,
};
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

/// What the parents say: may start, can never start.
pub(crate) fn parents_say(state: &JobState, statuses: &[NodeStatus], ix: u32) -> (bool, bool) {
    let spec = &state.plan.nodes[ix as usize];
    let counts = |parent: u32| {
        let optional = state.plan.nodes[parent as usize].optional;
        let status = statuses[parent as usize];
        status == Completed || (optional && matches!(status, Failed | Timeout))
    };
    let open = |parent: u32| {
        !matches!(statuses[parent as usize], Completed | Failed | Timeout | Skipped | Cancelled)
    };
    let mut parents = spec.parents.iter().copied();
    match spec.condition {
        DependencyCondition::All => {
            (parents.clone().all(counts), parents.any(|parent| !counts(parent) && !open(parent)))
        }
        DependencyCondition::Any if spec.parents.is_empty() => (true, false),
        DependencyCondition::Any => {
            (parents.clone().any(counts), parents.all(|parent| !counts(parent) && !open(parent)))
        }
        DependencyCondition::Conditional => (false, false),
    }
}

pub(crate) fn statuses(state: &JobState) -> Vec<NodeStatus> {
    state.nodes.iter().map(|node| node.status).collect()
}

fn many(state: &JobState, wanted: &[NodeStatus]) -> usize {
    state.nodes.iter().filter(|node| wanted.contains(&node.status)).count()
}

/// What holds in every state.
pub(crate) fn check_state(state: &JobState) -> TestCaseResult {
    counters_equal_a_recount(state)?;
    let now = statuses(state);
    let over = state.head.status.is_over();
    if let Some(most) = state.plan.max_parallel {
        prop_assert!(many(state, &[Ready, Running]) <= most as usize, "more than max_parallel");
    }
    if state.head.ending.is_some() {
        prop_assert!(!over, "over and still ending");
        prop_assert!(many(state, &[Running]) > 0, "an ending that waits for nothing");
        prop_assert_eq!(many(state, &[Pending, Ready, Waiting, Retrying]), 0, "left behind");
    }
    if over {
        prop_assert_eq!(many(state, &[Ready, Running, Waiting, Retrying]), 0, "over and at work");
        prop_assert!(state.head.completed_at.is_some());
        if state.head.status != JobStatus::Failed {
            prop_assert_eq!(many(state, &[Pending]), 0, "over and not settled");
        }
    }
    let admitted = state.head.scheduled_since.is_some();
    let lives = admitted && !over && state.head.ending.is_none();
    for ix in (0u32..).take(now.len()) {
        let held = state.held.contains(&ix);
        let status = now[ix as usize];
        let (fulfilled, impossible) = parents_say(state, &now, ix);
        prop_assert!(!held || lives, "held though nothing starts any more");
        prop_assert!(!held || matches!(status, Pending | Waiting), "{ix} is {status} and held");
        if lives && status == Pending {
            prop_assert_eq!(held, fulfilled, "readiness of {} differs", ix);
            let skip = state.plan.nodes[ix as usize].skip_on_failure;
            prop_assert!(!(impossible && skip), "{ix} was not skipped");
        }
        if held {
            let places = state.plan.max_parallel.map(|most| most as usize);
            prop_assert_eq!(
                Some(many(state, &[Ready, Running])),
                places,
                "a place, and {} waits",
                ix
            );
        }
        if !admitted && !over {
            prop_assert_eq!(status, Pending);
        }
    }
    somebody_moves_it(state)?;
    it_says_what_it_waits_for(state)
}

fn counters_equal_a_recount(state: &JobState) -> TestCaseResult {
    for status in NodeStatus::ALL {
        prop_assert_eq!(
            state.count(status) as usize,
            many(state, &[status]),
            "count of {}",
            status
        );
    }
    let failed = (0u32..).zip(&state.nodes).filter(|(ix, node)| {
        matches!(node.status, Failed | Timeout) && !state.plan.nodes[*ix as usize].optional
    });
    prop_assert_eq!(state.head.members.failed as usize, failed.count());
    for (ix, node) in state.nodes.iter().enumerate() {
        let spec = &state.plan.nodes[ix];
        let status_of = |parent: &&u32| state.nodes[**parent as usize].status;
        let open = spec.parents.iter().filter(|parent| !status_of(parent).is_settled()).count();
        let completed = spec.parents.iter().filter(|parent| {
            let optional = state.plan.nodes[**parent as usize].optional;
            let status = status_of(parent);
            status == Completed || optional && matches!(status, Failed | Timeout)
        });
        prop_assert_eq!(node.unsettled as usize, open, "unsettled parents of {}", ix);
        prop_assert_eq!(node.completed as usize, completed.count(), "completed parents of {}", ix);
    }
    Ok(())
}

/// No job is silently stuck: work offered, an attempt whose lease runs, a due time, a person or a grant.
fn somebody_moves_it(state: &JobState) -> TestCaseResult {
    let head = &state.head;
    let offers = state.offers_work() && state.count(Ready) > 0;
    let waits_for_somebody = matches!(head.status, JobStatus::Paused | JobStatus::Queued)
        || (head.status == JobStatus::Pending && state.plan.start == Start::Manual);
    let due = next_due(state).is_some();
    let moves =
        head.status.is_over() || offers || state.count(Running) > 0 || due || waits_for_somebody;
    prop_assert!(moves, "nothing will ever move this job: {:?}", head);
    if state.offers_work() {
        let busy = many(state, &[Ready, Running, Retrying, Waiting]) > 0;
        prop_assert!(busy, "the job is settled and goes on");
    }
    Ok(())
}

/// What a job says of itself agrees with who could move it, and with where each node stands.
fn it_says_what_it_waits_for(state: &JobState) -> TestCaseResult {
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
                WaitCode::Place => state.held.contains(ix),
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
        let once = state.offers_work() && !node.status.is_settled();
        prop_assert!(explained[ix as usize] <= 1 && (!once || explained[ix as usize] == 1));
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

/// What holds of every step.
pub(crate) fn check_step(before: &JobState, event: &JobEvent, after: &JobState) -> TestCaseResult {
    prop_assert_eq!(after.head.seq, before.head.seq + 1);
    prop_assert!(event.by.at >= before.head.newest_at, "an event older than the one before");
    let mut job = before.head.status;
    for (from, to) in &event.job {
        prop_assert_eq!(*from, job, "a job transition starts elsewhere");
        prop_assert!(from.may_become(*to), "job {} -> {} is not a row", from, to);
        job = *to;
    }
    prop_assert_eq!(job, after.head.status);
    if before.head.status.is_over() {
        prop_assert!(event.job.is_empty() && event.nodes.is_empty(), "over, and something moved");
    }
    let mut now = statuses(before);
    for change in &event.nodes {
        for ix in change.at.iter() {
            prop_assert_eq!(
                now[ix as usize],
                change.from,
                "a transition of {} starts elsewhere",
                ix
            );
            prop_assert!(change.from.may_become(change.to), "{} -> {}", change.from, change.to);
            prop_assert!(!change.from.is_settled(), "{ix} was settled");
            now[ix as usize] = change.to;
        }
    }
    prop_assert_eq!(&now, &statuses(after));
    for change in event.nodes.iter().filter(|change| change.from == Pending) {
        for ix in change.at.iter() {
            let (fulfilled, impossible) = parents_say(after, &now, ix);
            prop_assert!(change.to != Ready || fulfilled, "{} started before its parents", ix);
            prop_assert!(change.to != Skipped || impossible, "{} skipped and could start", ix);
        }
    }
    check_lease(before, event, after)?;
    check_end(before, event, after)
}

fn check_lease(before: &JobState, event: &JobEvent, after: &JobState) -> TestCaseResult {
    let started = |change: &&domain::node::change::NodeChange| change.to == Running;
    let JobFact::Attempt(AttemptFact::Leased { attempts, .. }) = &event.fact else {
        prop_assert!(!event.nodes.iter().any(|change| started(&change)), "started without a lease");
        return Ok(());
    };
    let offers = matches!(before.head.status, JobStatus::Scheduled | JobStatus::Running);
    prop_assert!(offers && before.head.ending.is_none(), "leased from {:?}", before.head);
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

/// A job is over exactly when the design says.
fn check_end(before: &JobState, event: &JobEvent, after: &JobState) -> TestCaseResult {
    if let (Some(old), Some(new)) = (before.head.ending, after.head.ending) {
        prop_assert!(old == new || old.ending_strength() < new.ending_strength());
        prop_assert_eq!(before.head.ending_until, after.head.ending_until, "the grace moved");
    }
    if before.head.status.is_over() || !after.head.status.is_over() {
        prop_assert_eq!(event.end.is_some(), false, "an end without an end");
        return Ok(());
    }
    prop_assert!(event.end.is_some());
    let by_order = before.head.ending.is_some()
        || matches!(event.fact, JobFact::Ending(EndingFact::EndingDecided { .. }))
        || after.count(Cancelled) > before.count(Cancelled)
        || (after.plan.fail_fast && after.head.members.failed > 0);
    if by_order {
        prop_assert!(after.head.status != JobStatus::Completed, "an ending that completed");
        return Ok(());
    }
    let completed = many(after, &[Completed]);
    let failed = after.head.members.failed as usize;
    let holds = match after.plan.complete_when {
        CompleteWhen::All => failed == 0,
        CompleteWhen::Any => completed > 0,
        CompleteWhen::AtLeast(least) => completed >= least as usize,
        CompleteWhen::TolerateCount(most) => failed <= most as usize,
        CompleteWhen::TolerateAtMostPercent(most) => {
            failed * 100 <= usize::from(most) * after.nodes.len()
        }
    };
    let completes = holds && many(after, &[Pending]) == 0;
    let expected = if completes { JobStatus::Completed } else { JobStatus::Failed };
    prop_assert_eq!(after.head.status, expected);
    prop_assert_eq!(after.head.error.is_some(), !completes, "an error tells why");
    Ok(())
}
