//! Proving a stored job: whether an event may follow a state, whether a state agrees with itself, and which payloads
//! an event names. For checks of what is stored; the rules never ask, because what they decide is right by itself.
//! Always holds: what `refuses` lets pass can be applied. Absent on purpose: any repair.

use std::collections::BTreeMap;

use crate::job::event::JobEvent;
use crate::job::readiness::counts_as_completed;
use crate::job::state::{JobState, Sink};
use crate::node::status::NodeStatus;
use crate::payload::{Payload, StoredPayload};

impl JobState {
    /// Why this event cannot be the next one, if so: a transition from elsewhere or not in the tables, a node that the
    /// job does not have, an epoch that did not grow, a completion that is not the newest attempt's.
    pub fn refuses(&self, event: &JobEvent) -> Option<String> {
        if self.head.deleted {
            return Some("it comes after the deletion".to_owned());
        }
        if event.by.at < self.head.newest_at {
            return Some("it is older than the event before it".to_owned());
        }
        let mut status = self.head.status;
        for (from, to) in &event.job {
            if *from != status || !from.may_become(*to) {
                return Some(format!("the job goes from {from} to {to}, and is {status}"));
            }
            status = *to;
        }
        let mut moved = BTreeMap::new();
        for change in &event.nodes {
            for node in change.at.iter() {
                let Some(state) = self.nodes.get(node as usize) else {
                    return Some(format!("the job has no node {node}"));
                };
                let is = moved.insert(node, change.to).unwrap_or(state.status);
                if is != change.from || !change.from.may_become(change.to) {
                    let (from, to) = (change.from, change.to);
                    return Some(format!("node {node} goes from {from} to {to}, and is {is}"));
                }
            }
        }
        if event.held.iter().any(|node| self.nodes.get(node as usize).is_none()) {
            return Some("it holds a node that the job does not have".to_owned());
        }
        event.fact.refuses(self)
    }

    /// Everything about this state that a recount says otherwise, or that no state may be, in words.
    pub fn contradictions(&self) -> Vec<String> {
        let mut found = Vec::new();
        for status in NodeStatus::ALL {
            let counted = self.nodes.iter().filter(|node| node.status == status).count();
            let says = self.count(status) as usize;
            if counted != says {
                found.push(format!("{says} nodes are counted as {status}, there are {counted}"));
            }
        }
        let failed = (0u32..).zip(&self.nodes).filter(|(ix, node)| {
            matches!(node.status, NodeStatus::Failed | NodeStatus::Timeout) && self.is_required(*ix)
        });
        let (failed, says) = (failed.count(), self.head.failed_required as usize);
        if failed != says {
            found.push(format!("{says} required nodes are counted as failed, there are {failed}"));
        }
        let (bytes, says): (u64, u64) =
            (self.sinks.values().map(Sink::bytes).sum(), self.head.sink_bytes);
        if says != bytes {
            found.push(format!("{says} bytes of outputs are counted, there are {bytes}"));
        }
        for ix in (0u32..).take(self.nodes.len()) {
            found.extend(self.contradiction_of(ix));
        }
        found
    }

    fn contradiction_of(&self, ix: u32) -> Option<String> {
        let node = &self.nodes[ix as usize];
        let (mut unsettled, mut completed) = (0, 0);
        for parent in &self.plan.nodes[ix as usize].parents {
            let status = self.nodes[*parent as usize].status;
            unsettled += u32::from(!status.is_settled());
            completed += u32::from(counts_as_completed(status, !self.is_required(*parent)));
        }
        if (node.unsettled, node.completed) != (unsettled, completed) {
            return Some(format!(
                "node {ix} counts {} unsettled and {} completed parents, there are {unsettled} and {completed}",
                node.unsettled, node.completed
            ));
        }
        let running = node.status == NodeStatus::Running;
        if self.claims.contains_key(&ix) && !running {
            return Some(format!("node {ix} is leased under a claim, and is {}", node.status));
        }
        if running && (node.epoch.0 == 0 || node.attempt == 0 || node.lease_ms == 0) {
            return Some(format!("node {ix} is running without a lease"));
        }
        let at_work = matches!(
            node.status,
            NodeStatus::Running | NodeStatus::Ready | NodeStatus::Retrying | NodeStatus::Waiting
        );
        (at_work && self.head.status.is_over())
            .then(|| format!("the job is {}, and node {ix} is {}", self.head.status, node.status))
    }
}

impl JobEvent {
    /// The payloads beside the stream that it names.
    pub fn stored_payloads(&self) -> Vec<StoredPayload> {
        let mut named: Vec<&Payload> = Vec::new();
        self.fact.payloads(&mut named);
        named.extend(self.end.iter().filter_map(|end| end.output.as_ref()));
        let stored = named.into_iter().filter_map(|payload| match payload {
            Payload::Stored(stored) => Some(*stored),
            Payload::Inline(_) => None,
        });
        stored.collect()
    }
}
