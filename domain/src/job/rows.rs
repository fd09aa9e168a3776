//! An event as rows of a history: its own row, and one for each further transition, so that every transition is on
//! exactly one row. Made for people; only the events themselves verify.
//! Invariant: `count` equals the number of rows (`every_transition_is_on_one_row`).

use crate::job::event::JobEvent;

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
        let attempt = node.and_then(|node| event.fact.attempt_of(node));
        Some(Row { node, attempt, transition: Some((from, to)), derived: true })
    });
    std::iter::once(main).chain(derived)
}

fn main_row(event: &JobEvent) -> Row {
    if let Some((node, attempt)) = event.fact.about() {
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::ids::{Epoch, WorkerName};
    use crate::job::fact::{AttemptFact, FailureFact, JobFact, SteeringFact};
    use crate::job::status::JobStatus;
    use crate::node::attempt::AttemptRef;
    use crate::node::change::{NodeChange, Ranges};
    use crate::node::status::NodeStatus;
    use crate::subject::envelope::{EVENT_VERSION, Envelope};

    fn event(
        fact: impl Into<JobFact>,
        job: &[(JobStatus, JobStatus)],
        nodes: Vec<NodeChange>,
    ) -> JobEvent {
        let by = Envelope {
            v: EVENT_VERSION,
            at: 0,
            actor: Arc::from("engine"),
            command: None,
            correlation: None,
            reason: None,
        };
        JobEvent { job: job.to_vec(), nodes, ..JobEvent::bare(by, fact.into()) }
    }

    fn change(from: NodeStatus, to: NodeStatus, at: &[u32]) -> NodeChange {
        NodeChange { from, to, hold: None, bypassed: false, at: Ranges::of(at.iter().copied()) }
    }

    fn leased(nodes: &[u32]) -> Result<AttemptFact, crate::ids::IdError> {
        let attempt = |node: &u32| AttemptRef { node: *node, attempt: 1, epoch: Epoch(1) };
        Ok(AttemptFact::Leased {
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
            event(SteeringFact::Resumed, &[], vec![]),
            event(FailureFact::RetriesDue, &[], vec![change(Retrying, Ready, &[4])]),
            event(FailureFact::RetriesDue, &[], vec![change(Retrying, Ready, &[4, 5])]),
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
