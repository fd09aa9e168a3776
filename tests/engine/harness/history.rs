//! What a stream says, held to the promises: epochs grow, an attempt counts once, a node completes once, none starts
//! before its parents.

use std::collections::{BTreeMap, BTreeSet};

use domain::ids::SubjectId;
use domain::job::event::JobEvent;
use domain::job::fact::{AttemptFact, JobFact};
use domain::node::status::NodeStatus;
use orrery::engine::core::kinds::EntityEvent;
use orrery::engine::loader;
use orrery::event_store::contract::EventStore;

use super::lab::wait;

/// The events of a job, in order.
pub(crate) fn events(store: &dyn EventStore, subject: &SubjectId) -> Vec<JobEvent> {
    let mut events = Vec::new();
    let genesis = domain::history::genesis(subject);
    wait(loader::fold(store, subject, 0, genesis, |_, _, event, _| {
        if let EntityEvent::Job(event) = event {
            events.push((**event).clone());
        }
    }))
    .expect("a stream that can be read");
    events
}

/// Panics where the history breaks a promise. Answers how often each node was leased.
pub(crate) fn check(store: &dyn EventStore, subject: &SubjectId) -> BTreeMap<u32, u32> {
    hold(subject, &events(store, subject))
}

/// The same of events that were read already.
pub(crate) fn hold(subject: &SubjectId, events: &[JobEvent]) -> BTreeMap<u32, u32> {
    let (mut epochs, mut leased): (BTreeMap<u32, u64>, BTreeMap<u32, u32>) = Default::default();
    let mut status: BTreeMap<u32, NodeStatus> = BTreeMap::new();
    let mut completed: BTreeSet<u32> = BTreeSet::new();
    let mut over = false;
    for event in events {
        assert!(!over || event.nodes.is_empty(), "{subject}: a node moved after the end");
        match &event.fact {
            JobFact::Attempt(AttemptFact::Leased { attempts, .. }) => {
                for attempt in attempts {
                    let before = epochs.insert(attempt.node, attempt.epoch.0).unwrap_or(0);
                    assert!(attempt.epoch.0 > before, "{subject}: an epoch did not grow");
                    *leased.entry(attempt.node).or_default() += 1;
                }
            }
            JobFact::Attempt(AttemptFact::Completed { attempt, .. }) => {
                assert_eq!(epochs.get(&attempt.node), Some(&attempt.epoch.0), "a stale report");
                assert!(completed.insert(attempt.node), "{subject}: completed twice");
            }
            _ => {}
        }
        for change in &event.nodes {
            for node in change.at.iter() {
                let before = status.insert(node, change.to).unwrap_or(NodeStatus::Pending);
                assert_eq!(before, change.from, "{subject}: a transition from elsewhere");
                assert!(change.from.may_become(change.to), "{subject}: not a row of the table");
            }
        }
        over = event.job.last().is_some_and(|(_, to)| to.is_terminal());
    }
    leased
}
