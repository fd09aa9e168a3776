//! Proving a stored job: whether an event may follow a state, whether a state agrees with itself, and which payloads
//! an event names. For checks of what is stored; the rules never ask, because what they decide is right by itself.
//! Always holds: what `refuses` lets pass can be applied. Absent on purpose: any repair.

use std::collections::BTreeMap;

use crate::bounds::JOB_NODES_MAX;
use crate::job::event::JobEvent;
use crate::job::members::{CountShare, MemberCounts};
use crate::job::plan::Expansion;
use crate::job::readiness::{ParentOutcome, outcome_of};
use crate::job::state::JobState;
use crate::node::attempt::Heard;
use crate::node::hold::Hold;
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
        let expected = self.nodes.len() as u64;
        let added = event.flow.as_ref().map_or(&[][..], |flow| &flow.added);
        if let Some(reason) = self.refuses_members(added) {
            return Some(reason);
        }
        let new = added.iter().map(|of| u64::from(of.end() - of.first)).sum::<u64>();
        let nodes = expected + new;
        let mut moved = BTreeMap::new();
        for change in &event.nodes {
            for node in change.at.iter() {
                if u64::from(node) >= nodes {
                    return Some(format!("the job has no node {node}"));
                }
                let state = self.nodes.get(node as usize);
                let before = state.map_or(NodeStatus::Pending, |state| state.status);
                let is = moved.insert(node, change.to).unwrap_or(before);
                if is != change.from || !change.from.may_become(change.to) {
                    let (from, to) = (change.from, change.to);
                    return Some(format!("node {node} goes from {from} to {to}, and is {is}"));
                }
            }
        }
        let gated = event.flow.as_ref().map(|flow| flow.gated.iter()).into_iter().flatten();
        if event.held.iter().chain(gated).any(|node| u64::from(node) >= nodes) {
            return Some("it holds a node that the job does not have".to_owned());
        }
        let runs = |heard: &Heard| {
            let node = self.nodes.get(heard.node as usize);
            node.is_some_and(|node| node.status == NodeStatus::Running && node.epoch == heard.epoch)
        };
        if let Some(heard) = event.heard.iter().find(|heard| !runs(heard)) {
            return Some(format!(
                "it heard of an attempt of node {} that does not run",
                heard.node
            ));
        }
        event.fact.refuses(self)
    }

    /// Why these members cannot come to be, if so: of no group that goes over a list, or not behind those that are there.
    fn refuses_members(&self, added: &[Expansion]) -> Option<String> {
        let mut next = self.plan.node_count();
        for expansion in added {
            let nodes = u64::from(expansion.count) * u64::from(expansion.template.nodes);
            let fits = expansion.first == next
                && u64::from(next) + nodes <= JOB_NODES_MAX as u64
                && self.plan.is_template(expansion.template);
            if !fits {
                return Some(format!(
                    "members of node {} come to be out of place",
                    expansion.group
                ));
            }
            next = expansion.end();
        }
        None
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
        found.extend(self.miscounted_members());
        let (bytes, says): (u64, u64) = (
            self.outputs
                .iter()
                .filter(|(ix, _)| self.plan.is_part_of_output(**ix))
                .map(|(_, output)| output.bytes())
                .sum(),
            self.head.sink_bytes,
        );
        if says != bytes {
            found.push(format!("{says} bytes of outputs are counted, there are {bytes}"));
        }
        for ix in (0u32..).take(self.nodes.len()) {
            found.extend(self.contradiction_of(ix));
        }
        found
    }

    /// Counts of groups, and of the nodes that no group has, that a recount says otherwise.
    fn miscounted_members(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut counts: BTreeMap<Option<u32>, MemberCounts> = BTreeMap::new();
        counts.insert(None, MemberCounts::default());
        counts.extend(self.groups.keys().map(|group| (Some(*group), MemberCounts::default())));
        let current = |ix: u32, group: u32| {
            let newest = self.groups.get(&group).map(|group| group.expansion);
            let own = self.plan.place(ix).copy.filter(|_| !self.plan.is_declared(ix));
            newest.is_none_or(|newest| newest == own.map(|(of, _)| of))
        };
        for ix in self.plan.positions() {
            let spec = self.plan.node(ix);
            let group = self.plan.container(ix);
            let counted = match group {
                None => spec.cleanup().is_none(),
                Some(group) => current(ix, group),
            };
            if counted && let Some(counts) = counts.get_mut(&group) {
                CountShare::of(&self.nodes[ix as usize], spec).add_to(counts);
            }
        }
        for (group, counted) in counts {
            let says = match group {
                None => Some(&self.head.members),
                Some(group) => self.groups.get(&group).map(|group| &group.counts),
            };
            if let Some(says) = says.filter(|says| **says != counted) {
                let of = group.map_or_else(|| "the job".to_owned(), |group| self.plan.path(group));
                found.push(format!(
                    "the members of {of} are counted as {says:?}, they are {counted:?}"
                ));
            }
        }
        found
    }

    fn contradiction_of(&self, ix: u32) -> Option<String> {
        let node = &self.nodes[ix as usize];
        let (mut unsettled, mut completed, mut bypassed) = (0, 0, 0);
        for parent in self.plan.parents(ix) {
            match outcome_of(&self.nodes[parent as usize], !self.is_required(parent)) {
                None => unsettled += 1,
                Some(ParentOutcome::Good) => completed += 1,
                Some(ParentOutcome::Bypassed) => bypassed += 1,
                Some(ParentOutcome::Bad) => {}
            }
        }
        if (node.unsettled, node.completed, node.bypassed) != (unsettled, completed, bypassed) {
            return Some(format!(
                "node {ix} counts {} unsettled, {} completed and {} bypassed parents, there are {unsettled}, {completed} \
                 and {bypassed}",
                node.unsettled, node.completed, node.bypassed
            ));
        }
        if self.evaluating.contains(&ix) != (node.hold == Some(Hold::Evaluating)) {
            return Some(format!(
                "node {ix} is noted as being evaluated, or not, and is otherwise"
            ));
        }
        let running = node.status == NodeStatus::Running;
        if self.claims.contains_key(&ix) && !running {
            return Some(format!("node {ix} is leased under a claim, and is {}", node.status));
        }
        if self.handed_on.contains_key(&ix) && node.status.is_settled() {
            return Some(format!("node {ix} hands on to a next attempt, and is {}", node.status));
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
        if let Some(flow) = &self.flow {
            flow.payloads(&mut named);
        }
        named.extend(self.heard.iter().filter_map(|heard| heard.details.as_ref()));
        named.extend(self.end.iter().filter_map(|end| end.output.as_ref()));
        let stored = named.into_iter().filter_map(|payload| match payload {
            Payload::Stored(stored) => Some(*stored),
            Payload::Inline(_) => None,
        });
        stored.collect()
    }
}
