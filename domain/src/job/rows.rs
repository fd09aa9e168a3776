//! An event as rows of a history: its own row, and one for each further transition, so that every transition is on
//! exactly one row. Made for people; only the events themselves verify.
//! Invariant: `count` equals the number of rows (`every_transition_is_on_one_row`).

use crate::job::event::{JobEvent, JobFact};
use crate::node::attempt::AttemptRef;

/// One row. What all rows of an event share (seq, time, who, hashes) is the event's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The node it is about, by position; none: the job.
    pub node: Option<u32>,
    /// Which of its attempts.
    pub attempt: Option<u32>,
    /// The transition, in words of the wire; none where nothing changes its state.
    pub transition: Option<(&'static str, &'static str)>,
    /// One of the further ones.
    pub derived: bool,
}

/// How many rows an event has.
pub fn count(event: &JobEvent) -> u64 {
    let nodes: usize = event.nodes.iter().map(|change| change.at.len()).sum();
    let transitions = (event.job.len() + nodes) as u64;
    transitions + u64::from(main_row(event).transition.is_none())
}

/// The rows of an event, its own first.
pub fn rows(event: &JobEvent) -> impl Iterator<Item = Row> + '_ {
    let main = main_row(event);
    let job = event.job.iter().map(|(from, to)| (None, from.as_str(), to.as_str()));
    let nodes = event.nodes.iter().flat_map(|change| {
        let (from, to) = (change.from.as_str(), change.to.as_str());
        change.at.iter().map(move |node| (Some(node), from, to))
    });
    let mut shown = main.transition.is_some();
    let derived = job.chain(nodes).filter_map(move |(node, from, to)| {
        if shown && node == main.node {
            // The first that fits is the one the event's own row shows.
            shown = false;
            return None;
        }
        let attempt = node.and_then(|node| attempt_of(event, node));
        Some(Row { node, attempt, transition: Some((from, to)), derived: true })
    });
    std::iter::once(main).chain(derived)
}

fn main_row(event: &JobEvent) -> Row {
    if let Some((node, attempt)) = about(event) {
        let own = event.nodes.iter().find(|change| change.at.iter().any(|at| at == node));
        let transition = own.map(|change| (change.from.as_str(), change.to.as_str()));
        return Row { node: Some(node), attempt, transition, derived: false };
    }
    if let Some((from, to)) = event.job.first() {
        let transition = Some((from.as_str(), to.as_str()));
        return Row { node: None, attempt: None, transition, derived: false };
    }
    let mut changes = event.nodes.iter();
    match (changes.next(), changes.next()) {
        (Some(only), None) if only.at.len() == 1 => {
            let node = only.at.iter().next();
            let transition = Some((only.from.as_str(), only.to.as_str()));
            Row { node, attempt: None, transition, derived: false }
        }
        _ => Row { node: None, attempt: None, transition: None, derived: false },
    }
}

/// The one node that an event is about, if it is about one.
fn about(event: &JobEvent) -> Option<(u32, Option<u32>)> {
    let of = |attempt: &AttemptRef| Some((attempt.node, Some(attempt.attempt)));
    match &event.fact {
        JobFact::Leased { attempts, .. } => match attempts.as_slice() {
            [only] => of(only),
            _ => None,
        },
        JobFact::Completed { attempt, .. } | JobFact::Released { attempt, .. } => of(attempt),
        JobFact::Failed(failure)
        | JobFact::LeaseExpired(failure)
        | JobFact::AttemptTimedOut(failure) => of(&failure.attempt),
        JobFact::LateReport { node, .. } => Some((*node, None)),
        JobFact::Submitted(_)
        | JobFact::Started
        | JobFact::Granted { .. }
        | JobFact::GrantDeclined { .. }
        | JobFact::RetriesDue
        | JobFact::NodesTimedOut { .. }
        | JobFact::EndingDecided { .. }
        | JobFact::Revoked
        | JobFact::Paused { .. }
        | JobFact::Resumed
        | JobFact::Patched(_)
        | JobFact::Deleted => None,
    }
}

fn attempt_of(event: &JobEvent, node: u32) -> Option<u32> {
    let JobFact::Leased { attempts, .. } = &event.fact else { return None };
    attempts.iter().find(|attempt| attempt.node == node).map(|attempt| attempt.attempt)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::ids::{Epoch, WorkerName};
    use crate::job::event::{NodeChange, Ranges};
    use crate::job::status::JobStatus;
    use crate::node::status::NodeStatus;
    use crate::subject::envelope::EVENT_VERSION;
    use crate::subject::envelope::Envelope;

    fn event(fact: JobFact, job: &[(JobStatus, JobStatus)], nodes: Vec<NodeChange>) -> JobEvent {
        let by = Envelope {
            v: EVENT_VERSION,
            at: 0,
            actor: Arc::from("engine"),
            command: None,
            correlation: None,
            reason: None,
        };
        JobEvent {
            by,
            job: job.to_vec(),
            nodes,
            held: Ranges::default(),
            ending: None,
            end: None,
            fact,
        }
    }

    fn change(from: NodeStatus, to: NodeStatus, at: &[u32]) -> NodeChange {
        NodeChange { from, to, at: Ranges::of(at.iter().copied()) }
    }

    fn leased(nodes: &[u32]) -> Result<JobFact, crate::ids::IdError> {
        let attempt = |node: &u32| AttemptRef { node: *node, attempt: 1, epoch: Epoch(1) };
        Ok(JobFact::Leased {
            worker: WorkerName::parse("w")?,
            claim: None,
            lease_ms: 30_000,
            attempts: nodes.iter().map(attempt).collect(),
        })
    }

    #[test]
    fn every_transition_is_on_one_row() -> Result<(), crate::ids::IdError> {
        use NodeStatus::{Ready, Retrying, Running};
        let starts = [(JobStatus::Scheduled, JobStatus::Running)];
        let events = [
            event(JobFact::Resumed, &[], vec![]),
            event(JobFact::RetriesDue, &[], vec![change(Retrying, Ready, &[4])]),
            event(JobFact::RetriesDue, &[], vec![change(Retrying, Ready, &[4, 5])]),
            event(leased(&[2])?, &starts, vec![change(Ready, Running, &[2])]),
            event(leased(&[2, 3])?, &starts, vec![change(Ready, Running, &[2, 3])]),
        ];
        for event in &events {
            let rows: Vec<Row> = rows(event).collect();
            assert_eq!(rows.len() as u64, count(event), "{event:?}");
            assert_eq!(rows.iter().filter(|row| !row.derived).count(), 1, "{event:?}");
            let shown = rows.iter().filter(|row| row.transition.is_some()).count();
            let nodes: usize = event.nodes.iter().map(|change| change.at.len()).sum();
            assert_eq!(shown, event.job.len() + nodes, "{event:?}");
        }
        let many: Vec<Row> = rows(&events[4]).collect();
        assert_eq!(many[2].node, Some(3));
        assert_eq!(many[2].attempt, Some(1));
        Ok(())
    }
}
