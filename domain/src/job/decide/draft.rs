//! An event in the making: transitions and everything that follows from them. Children that become ready, skips that
//! cascade, places under `max_parallel`, the end of the job. Iterative, on counters; a join is never re-read.
//! Invariant: every transition is a row of the tables.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::ids::Millis;
use crate::job::decide::ending;
use crate::job::event::JobEvent;
use crate::job::fact::JobFact;
use crate::job::outcome::{Ending, JobEnd, JobError};
use crate::job::state::{JobState, Readiness, counts_as_completed, readiness};
use crate::job::status::JobStatus;
use crate::node::change::{NodeChange, Ranges};
use crate::node::status::NodeStatus;
use crate::payload::{Payload, PayloadBytes};
use crate::planted::{self, Planted};
use crate::subject::context::Context;
use crate::subject::envelope::Envelope;

/// What a node has become within this event.
#[derive(Debug, Clone, Copy)]
struct Touched {
    status: NodeStatus,
    unsettled: u32,
    completed: u32,
}

/// An event in the making.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    pub(super) state: &'a JobState,
    pub(super) now: Millis,
    touched: BTreeMap<u32, Touched>,
    changes: Vec<(u32, NodeStatus, NodeStatus)>,
    counts: [u32; 12],
    failed_required: u32,
    newly_held: BTreeSet<u32>,
    unheld: BTreeSet<u32>,
    job: Vec<(JobStatus, JobStatus)>,
    status: JobStatus,
    ending: Option<Ending>,
    end: Option<JobEnd>,
    /// The output of a node without children that this very event records.
    pub(super) new_sink: Option<(u32, Payload)>,
    /// The error this very event records, should it be the first of a required node.
    pub(super) new_error: Option<Arc<JobError>>,
    pub(super) payloads: Vec<PayloadBytes>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(state: &'a JobState, now: Millis) -> Self {
        Self {
            state,
            now,
            touched: BTreeMap::new(),
            changes: Vec::new(),
            counts: state.head.counts,
            failed_required: state.head.failed_required,
            newly_held: BTreeSet::new(),
            unheld: BTreeSet::new(),
            job: Vec::new(),
            status: state.head.status,
            ending: None,
            end: None,
            new_sink: None,
            new_error: None,
            payloads: Vec::new(),
        }
    }

    /// The node's state with this event's changes.
    pub(super) fn node_status(&self, ix: u32) -> NodeStatus {
        self.touched.get(&ix).map_or(self.state.nodes[ix as usize].status, |touched| touched.status)
    }

    /// The job's state with this event's changes.
    pub(super) fn job_status(&self) -> JobStatus {
        self.status
    }

    /// The ending decided so far, here or before.
    pub(super) fn ending_to(&self) -> Option<JobStatus> {
        self.ending.as_ref().map(|ending| ending.to).or(self.state.head.ending)
    }

    fn count(&self, status: NodeStatus) -> u32 {
        self.counts[status.index()]
    }

    /// How many attempts run.
    pub(super) fn running(&self) -> u32 {
        self.count(NodeStatus::Running)
    }

    /// Moves the job.
    pub(super) fn move_job(&mut self, to: JobStatus) {
        debug_assert!(self.status.may_become(to), "job {} -> {to} is not a row", self.status);
        self.job.push((self.status, to));
        self.status = to;
    }

    /// Moves a node, and what its settling means for its children.
    pub(super) fn move_node(&mut self, ix: u32, to: NodeStatus) {
        let mut settled = VecDeque::new();
        self.set(ix, to, &mut settled);
        while let Some(parent) = settled.pop_front() {
            self.tell_children(parent, &mut settled);
        }
    }

    /// Moves a node whose children are decided elsewhere (an ending takes them all).
    pub(super) fn move_node_alone(&mut self, ix: u32, to: NodeStatus) {
        self.set(ix, to, &mut VecDeque::new());
    }

    fn set(&mut self, ix: u32, to: NodeStatus, settled: &mut VecDeque<u32>) {
        let node = &self.state.nodes[ix as usize];
        let touched = self.touched.entry(ix).or_insert(Touched {
            status: node.status,
            unsettled: node.unsettled,
            completed: node.completed,
        });
        let from = touched.status;
        debug_assert!(from.may_become(to), "node {from} -> {to} is not a row");
        touched.status = to;
        self.changes.push((ix, from, to));
        self.counts[from.index()] -= 1;
        self.counts[to.index()] += 1;
        if matches!(to, NodeStatus::Failed | NodeStatus::Timeout) && self.state.is_required(ix) {
            self.failed_required += 1;
        }
        if self.state.held.contains(&ix) {
            self.unheld.insert(ix);
        }
        self.newly_held.remove(&ix);
        if to.is_settled() {
            settled.push_back(ix);
        }
    }

    fn tell_children(&mut self, parent: u32, settled: &mut VecDeque<u32>) {
        let optional = self.state.plan.nodes[parent as usize].optional;
        let completed = counts_as_completed(self.node_status(parent), optional);
        let plan = Arc::clone(&self.state.plan);
        for child in plan.graph.children(parent) {
            let node = &self.state.nodes[*child as usize];
            let touched = self.touched.entry(*child).or_insert(Touched {
                status: node.status,
                unsettled: node.unsettled,
                completed: node.completed,
            });
            touched.unsettled -= 1;
            touched.completed += u32::from(completed);
            if touched.status == NodeStatus::Pending {
                self.reconsider(*child, settled);
            }
        }
    }

    /// Whether a pending node may start, must be skipped, or goes on waiting.
    fn reconsider(&mut self, ix: u32, settled: &mut VecDeque<u32>) {
        let spec = &self.state.plan.nodes[ix as usize];
        let Some(touched) = self.touched.get(&ix) else { return };
        let parents = u32::try_from(spec.parents.len()).unwrap_or(u32::MAX);
        if parents > 2 && planted::on(Planted::WideJoinStays) {
            return;
        }
        match readiness(spec.condition, parents, touched.unsettled, touched.completed) {
            Readiness::Fulfilled if !self.state.held.contains(&ix) => {
                _ = self.newly_held.insert(ix);
            }
            Readiness::Impossible if spec.skip_on_failure => {
                self.set(ix, NodeStatus::Skipped, settled);
            }
            Readiness::Fulfilled | Readiness::Undecided | Readiness::Impossible => {}
        }
    }

    /// A node that could start as soon as there is a place.
    pub(super) fn hold(&mut self, ix: u32) {
        if !self.state.held.contains(&ix) || self.unheld.contains(&ix) {
            self.newly_held.insert(ix);
        }
    }

    /// Roots of an admitted job.
    pub(super) fn hold_roots(&mut self) {
        for ix in (0u32..).take(self.state.nodes.len()) {
            let spec = &self.state.plan.nodes[ix as usize];
            if spec.parents.is_empty() && self.node_status(ix) == NodeStatus::Pending {
                self.hold(ix);
            }
        }
    }

    /// Gives free places to nodes that could start: by priority, then in the caller's order.
    fn fill_places(&mut self) {
        if self.ending_to().is_some() {
            self.newly_held.clear();
            return;
        }
        let taken = self.count(NodeStatus::Ready) + self.running();
        let places =
            self.state.plan.max_parallel.map_or(u32::MAX, |most| most.saturating_sub(taken))
                as usize;
        let mut candidates: Vec<(u8, u32)> = Vec::new();
        if places > 0 {
            // Without priorities of their own the first by position are the best: 20,000 held nodes are not looked at
            // again for each place.
            let most = if self.state.plan.own_priorities { usize::MAX } else { places };
            let before = self.state.held.iter().filter(|ix| !self.unheld.contains(ix)).take(most);
            let all = before.chain(self.newly_held.iter().take(most));
            candidates.extend(all.map(|ix| (self.state.priority_of(*ix), *ix)));
        }
        if candidates.len() > places {
            candidates.select_nth_unstable(places);
            candidates.truncate(places);
        }
        candidates.sort_unstable_by_key(|(_, ix)| *ix);
        for (_, ix) in candidates {
            self.move_node_alone(ix, NodeStatus::Ready);
        }
        // A retry that is due without a free place goes on waiting, now for a place.
        let stuck: Vec<u32> = self
            .newly_held
            .iter()
            .copied()
            .filter(|ix| self.node_status(*ix) == NodeStatus::Retrying)
            .collect();
        for ix in stuck {
            self.move_node_alone(ix, NodeStatus::Waiting);
            self.newly_held.insert(ix);
        }
    }

    /// Decides that the job ends: what has not started is cancelled, what runs may go on until the grace is over.
    pub(super) fn decide_ending(&mut self, to: JobStatus, grace_ms: Millis) {
        for ix in (0u32..).take(self.state.nodes.len()) {
            let status = self.node_status(ix);
            if status == NodeStatus::Ready && planted::on(Planted::CancelLeavesReady) {
                continue;
            }
            if status != NodeStatus::Running && !status.is_settled() {
                self.move_node_alone(ix, NodeStatus::Cancelled);
            }
        }
        let until = match self.state.head.ending {
            Some(_) => self.state.head.ending_until,
            None => self.now.saturating_add(grace_ms),
        };
        self.ending = Some(Ending { to, until });
    }

    /// Fills places, and ends the job when it is settled or its ending has nothing left to wait for.
    fn settle(&mut self) {
        self.fill_places();
        if let Some(to) = self.ending_to() {
            if self.running() == 0 {
                // The table has no row from paused to failed: the job goes back to where it was first.
                if let Some(back) =
                    self.state.head.paused_from.filter(|_| !self.status.may_become(to))
                {
                    self.move_job(back);
                }
                self.move_job(to);
                self.end = Some(ending::end_of(self, to));
                self.ending = None;
            }
            return;
        }
        let at_work = [
            NodeStatus::Ready,
            NodeStatus::Running,
            NodeStatus::Waiting,
            NodeStatus::Retrying,
            NodeStatus::Compensating,
        ];
        let busy = at_work.into_iter().any(|status| self.count(status) > 0);
        let offers = matches!(self.status, JobStatus::Scheduled | JobStatus::Running);
        if !busy
            && offers
            && self.newly_held.is_empty()
            && self.state.held.len() == self.unheld.len()
        {
            let counts = ending::Tally {
                total: self.state.nodes.len(),
                completed: self.count(NodeStatus::Completed) as usize,
                failed_required: self.failed_required as usize,
                left_pending: self.count(NodeStatus::Pending) as usize,
            };
            let to = if ending::succeeds(self.state.plan.complete_when, &counts) {
                JobStatus::Completed
            } else {
                JobStatus::Failed
            };
            self.move_job(to);
            self.end = Some(ending::end_of(self, to));
        }
    }

    /// The error that a time-out of one of these nodes gives the job.
    pub(super) fn note_time_out(&mut self, nodes: &[u32], class: &str) {
        let timed_out = |ix: &&u32| {
            self.node_status(**ix) == NodeStatus::Timeout && self.state.is_required(**ix)
        };
        if let Some(first) = nodes.iter().filter(timed_out).min() {
            self.new_error = Some(JobError::time_out(&self.state.plan, *first, class));
        }
    }

    /// The event, with everything that follows.
    pub(super) fn into_event(
        mut self,
        fact: impl Into<JobFact>,
        context: &Context,
        reason: Option<&str>,
    ) -> (JobEvent, Vec<PayloadBytes>) {
        self.settle();
        let event = JobEvent {
            by: Envelope::of(context, self.now, reason),
            job: self.job,
            nodes: grouped(self.changes),
            held: Ranges::of(self.newly_held),
            ending: self.ending,
            end: self.end,
            fact: fact.into(),
        };
        (event, self.payloads)
    }
}

/// Transitions of the same kind as ranges. A node that moves twice in one event keeps its order: groups are closed
/// when one of their nodes moves again.
fn grouped(changes: Vec<(u32, NodeStatus, NodeStatus)>) -> Vec<NodeChange> {
    let mut groups: Vec<((NodeStatus, NodeStatus), Vec<u32>)> = Vec::new();
    let mut last_group = LastGroup::of(changes.len());
    for (ix, from, to) in changes {
        let after = last_group.get(ix).map_or(0, |group| group + 1);
        let found = (after..groups.len()).find(|group| groups[*group].0 == (from, to));
        let group = found.unwrap_or_else(|| {
            groups.push(((from, to), Vec::new()));
            groups.len() - 1
        });
        groups[group].1.push(ix);
        last_group.set(ix, group);
    }
    let sorted = |mut at: Vec<u32>| {
        at.sort_unstable();
        Ranges::of(at)
    };
    groups.into_iter().map(|((from, to), at)| NodeChange { from, to, at: sorted(at) }).collect()
}

/// Into which group a node went last. Most events move a few nodes: a list is looked through faster than a map is made.
enum LastGroup {
    Few(Vec<(u32, usize)>),
    Many(BTreeMap<u32, usize>),
}

impl LastGroup {
    fn of(changes: usize) -> Self {
        const FEW: usize = 16;
        if changes <= FEW {
            Self::Few(Vec::with_capacity(changes))
        } else {
            Self::Many(BTreeMap::new())
        }
    }

    fn get(&self, ix: u32) -> Option<usize> {
        match self {
            Self::Few(list) => list.iter().rev().find(|(of, _)| *of == ix).map(|(_, group)| *group),
            Self::Many(map) => map.get(&ix).copied(),
        }
    }

    fn set(&mut self, ix: u32, group: usize) {
        match self {
            Self::Few(list) => list.push((ix, group)),
            Self::Many(map) => _ = map.insert(ix, group),
        }
    }
}
