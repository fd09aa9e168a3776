//! An event in the making: transitions and everything that follows from them. Children that become ready, skips that
//! cascade, places under `max_parallel`, the end of the job. Iterative, on counters; a join is never re-read.
//! Invariant: every transition is a row of the tables.

mod end;
mod grouped;
mod outcomes;
mod places;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use self::grouped::grouped;
use crate::ids::Millis;
use crate::job::event::JobEvent;
use crate::job::fact::JobFact;
use crate::job::outcome::{Ending, JobEnd, JobError};
use crate::job::state::JobState;
use crate::job::status::JobStatus;
use crate::node::change::Ranges;
use crate::node::hold::Hold;
use crate::node::status::NodeStatus;
use crate::payload::{Payload, PayloadBytes};
use crate::subject::context::Context;
use crate::subject::envelope::Envelope;

/// What a node has become within this event.
#[derive(Debug, Clone, Copy)]
struct Touched {
    status: NodeStatus,
    unsettled: u32,
    completed: u32,
}

/// One transition of one node.
#[derive(Debug, Clone, Copy)]
struct Moved {
    node: u32,
    from: NodeStatus,
    to: NodeStatus,
    hold: Option<Hold>,
}

/// An event in the making.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    pub(super) state: &'a JobState,
    pub(super) now: Millis,
    touched: BTreeMap<u32, Touched>,
    changes: Vec<Moved>,
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

    /// Keeps a node waiting, and says why.
    pub(super) fn wait(&mut self, ix: u32, hold: Hold) {
        self.set(ix, NodeStatus::Waiting, &mut VecDeque::new());
        if let Some(moved) = self.changes.last_mut() {
            moved.hold = Some(hold);
        }
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
        self.changes.push(Moved { node: ix, from, to, hold: None });
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
