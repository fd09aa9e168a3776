//! An event in the making: transitions and everything that follows from them, down the graph and up through the groups,
//! until nothing follows any more. Iterative, on counters; a join is never re-read.
//! Invariant: every transition is a row of the tables.

mod book;
mod branches;
mod end;
mod evaluating;
mod grouped;
mod groups;
mod outcomes;
mod output;
mod places;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use self::book::Book;
use self::grouped::grouped;
use self::places::PlaceQueue;
use crate::ids::Millis;
use crate::job::decide::decision::JobDecision;
use crate::job::event::JobEvent;
use crate::job::fact::JobFact;
use crate::job::flow::{Flow, FlowView, NodeFailure, Noted, noted_at};
use crate::job::members::{self, Ledger, Move};
use crate::job::outcome::{Ending, EndingStage, JobEnd, JobError};
use crate::job::plan::Plan;
use crate::job::state::JobState;
use crate::job::status::JobStatus;
use crate::node::attempt::AttemptError;
use crate::node::change::Ranges;
use crate::node::hold::Hold;
use crate::node::status::NodeStatus;
use crate::payload::{Payload, PayloadBytes};
use crate::subject::answer::Answer;
use crate::subject::context::Context;
use crate::subject::envelope::Envelope;

/// One transition of one node.
#[derive(Debug, Clone, Copy)]
struct Moved {
    node: u32,
    from: NodeStatus,
    to: NodeStatus,
    hold: Option<Hold>,
    bypassed: bool,
}

/// What is still to be looked at because of what has changed.
#[derive(Debug, Default)]
struct Pending {
    /// Nodes that settled.
    settled: VecDeque<u32>,
    /// Groups whose condition may be decided.
    groups: BTreeSet<u32>,
    /// Groups that may have a free place.
    gates: BTreeSet<u32>,
    /// Groups in which nothing may be at work any more.
    still: BTreeSet<u32>,
    /// Who waits for a place, or how many are taken, has changed.
    places: bool,
    /// The job's own condition may be decided.
    job: bool,
}

/// An event in the making.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    pub(super) state: &'a JobState,
    context: &'a Context,
    pub(super) now: Millis,
    book: Book<'a>,
    changes: Vec<Moved>,
    pending: Pending,
    /// Who waits for a place of the job.
    held: PlaceQueue<u32>,
    /// Who waits for a place of a group: the group, and the node.
    gated: PlaceQueue<(u32, u32)>,
    flow: Flow,
    excused: BTreeSet<u32>,
    evaluations: usize,
    job: Vec<(JobStatus, JobStatus)>,
    status: JobStatus,
    ending: Option<Ending>,
    end: Option<JobEnd>,
    /// Outputs that this very event records; none: the node runs again.
    outputs: BTreeMap<u32, Option<Payload>>,
    /// Errors that this very event records, as the state will keep them; none: it runs again.
    errors: BTreeMap<u32, Option<Arc<JobError>>>,
    /// Nodes that run again: what was evaluated for them before is not so any more.
    anew: BTreeSet<u32>,
    /// What this very event adds to the errors that the job itself keeps.
    new_error: Option<Arc<JobError>>,
    /// Groups that waited for something else and begin, by the transition of this event that made them wait.
    waits: BTreeMap<u32, usize>,
    begun: BTreeSet<u32>,
    pub(super) payloads: Vec<PayloadBytes>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(state: &'a JobState, context: &'a Context) -> Self {
        Self {
            state,
            context,
            now: context.now,
            book: Book::new(state),
            changes: Vec::new(),
            pending: Pending::default(),
            held: PlaceQueue::default(),
            gated: PlaceQueue::default(),
            flow: Flow::default(),
            excused: BTreeSet::new(),
            evaluations: 0,
            job: Vec::new(),
            status: state.head.status,
            ending: None,
            end: None,
            outputs: BTreeMap::new(),
            errors: BTreeMap::new(),
            anew: BTreeSet::new(),
            new_error: None,
            waits: BTreeMap::new(),
            begun: BTreeSet::new(),
            payloads: Vec::new(),
        }
    }

    /// The plan with the members that come to be.
    fn plan(&self) -> Arc<Plan> {
        Arc::clone(self.book.plan())
    }

    /// The node's state with this event's changes.
    pub(super) fn node_status(&self, ix: u32) -> NodeStatus {
        self.book.node(ix).status
    }

    /// The job's state with this event's changes.
    pub(super) fn job_status(&self) -> JobStatus {
        self.status
    }

    /// The ending decided so far, here or before.
    pub(super) fn ending_to(&self) -> Option<JobStatus> {
        self.ending.as_ref().map(|ending| ending.to).or(self.state.head.ending)
    }

    /// How far that ending is.
    fn stage(&self) -> EndingStage {
        self.ending.as_ref().map_or(self.state.head.stage, |ending| ending.stage)
    }

    /// How many attempts run.
    fn running(&self) -> u32 {
        self.book.count(NodeStatus::Running)
    }

    /// Moves the job.
    pub(super) fn move_job(&mut self, to: JobStatus) {
        debug_assert!(self.status.may_become(to), "job {} -> {to} is not a row", self.status);
        self.job.push((self.status, to));
        self.status = to;
    }

    /// Moves a node, and later what its settling means for others.
    pub(super) fn move_node(&mut self, ix: u32, to: NodeStatus) {
        self.set(ix, Move { to, hold: None, bypassed: false });
        if to.is_settled() {
            self.pending.settled.push_back(ix);
        }
    }

    /// Moves a node whose settling means nothing for others: an ending takes them all.
    pub(super) fn move_node_alone(&mut self, ix: u32, to: NodeStatus) {
        self.set(ix, Move { to, hold: None, bypassed: false });
    }

    /// A condition took another branch.
    fn bypass(&mut self, ix: u32) {
        self.set(ix, Move { to: NodeStatus::Skipped, hold: None, bypassed: true });
        self.pending.settled.push_back(ix);
    }

    /// Keeps a node waiting, and says why. The first node that the engine holds starts its job.
    pub(super) fn wait(&mut self, ix: u32, hold: Hold) {
        if hold == Hold::Members && self.node_status(ix) == NodeStatus::Waiting {
            return self.begin_waiting(ix);
        }
        self.waits.insert(ix, self.changes.len());
        self.set(ix, Move { to: NodeStatus::Waiting, hold: Some(hold), bypassed: false });
        if self.status == JobStatus::Scheduled && hold != Hold::Limit {
            self.move_job(JobStatus::Running);
        }
    }

    /// A group that waits already goes on waiting, now for its members: no transition, or a part of the one in this event.
    fn begin_waiting(&mut self, ix: u32) {
        members::begin_group(&mut self.book, ix, self.now);
        self.leave_queues(ix);
        match self.waits.get(&ix).and_then(|at| self.changes.get_mut(*at)) {
            Some(waits) => waits.hold = Some(Hold::Members),
            None => _ = self.begun.insert(ix),
        }
    }

    fn leave_queues(&mut self, ix: u32) {
        self.held.leave(&self.state.held, ix);
        self.pending.places = true;
        if let Some(group) = self.book.plan().container(ix) {
            self.gated.leave(&self.state.gated, (group, ix));
            self.pending.gates.insert(group);
            self.pending.still.insert(group);
        }
    }

    fn set(&mut self, ix: u32, what: Move) {
        let from = self.node_status(ix);
        debug_assert!(from.may_become(what.to), "node {from} -> {} is not a row", what.to);
        members::move_node(&mut self.book, ix, what, self.now);
        let Move { to, hold, bypassed } = what;
        self.changes.push(Moved { node: ix, from, to, hold, bypassed });
        self.leave_queues(ix);
        if to.is_settled() {
            self.settle_unbegun(ix, what);
        }
        if to == NodeStatus::Pending {
            self.anew.insert(ix);
            self.errors.insert(ix, None);
            self.outputs.insert(ix, None);
        }
    }

    /// A failure that is final, or that of the job's own output, kept as it will be when the event is applied.
    pub(super) fn note_failure(&mut self, ix: u32, error: &Arc<JobError>) {
        match noted_at(self.book.plan(), ix) {
            Noted::Job { first } if first && self.new_error.is_some() => {}
            Noted::Job { .. } => self.new_error = Some(Arc::clone(error)),
            Noted::Node(at) if at != ix && self.node_error(at).is_some() => {}
            Noted::Node(at) => _ = self.errors.insert(at, Some(Arc::clone(error))),
            Noted::Nowhere => {}
        }
    }

    /// A node fails without an attempt. `shown`: what its group or its job shows of it, if not its own error.
    fn fail_node(
        &mut self,
        ix: u32,
        to: NodeStatus,
        error: AttemptError,
        shown: Option<Arc<JobError>>,
    ) {
        self.fail_with(NodeFailure { node: ix, error, shown, retry: None, used_up: false }, to);
    }

    fn fail_with(&mut self, failure: NodeFailure, to: NodeStatus) {
        let ix = failure.node;
        self.note_flow_failure(failure);
        self.move_node(ix, to);
    }

    fn note_flow_failure(&mut self, failure: NodeFailure) {
        let shown = failure.shown(self.book.plan());
        self.note_failure(failure.node, &shown);
        self.flow.failed.push(failure);
    }

    /// Everything that follows from what was moved.
    fn follow(&mut self) {
        loop {
            if let Some(ix) = self.pending.settled.pop_front() {
                self.settled(ix);
            } else if let Some(group) = self.pending.groups.pop_last() {
                self.look_at_group(group);
            } else if std::mem::take(&mut self.pending.job) {
                self.look_at_job();
            } else if let Some(group) = self.pending.gates.pop_first() {
                self.fill_gate(group);
            } else if self.pending.places {
                self.fill_places();
            } else if let Some(group) = self.pending.still.pop_last() {
                self.look_at_still_group(group);
            } else if !self.settle() {
                return;
            }
        }
    }

    /// What the command comes to where it is answered as done.
    pub(super) fn into_decision(
        self,
        fact: impl Into<JobFact>,
        context: &Context,
        reason: Option<&str>,
    ) -> JobDecision {
        let answer = Answer::Done { seq: self.state.head.seq + 1 };
        let (event, payloads) = self.into_event(fact, context, reason);
        JobDecision { event: Some(event), payloads, answer }
    }

    /// The event, with everything that follows, and the payloads that it names: whatever a decision is about, something may
    /// be evaluated because of it.
    pub(super) fn into_event(
        mut self,
        fact: impl Into<JobFact>,
        context: &Context,
        reason: Option<&str>,
    ) -> (JobEvent, Vec<PayloadBytes>) {
        self.follow();
        self.flow.gated =
            Ranges::of(self.gated.joined().map(|(_, ix)| ix).collect::<BTreeSet<_>>());
        self.flow.begun = Ranges::of(std::mem::take(&mut self.begun));
        self.flow.excused = Ranges::of(std::mem::take(&mut self.excused));
        let event = JobEvent {
            by: Envelope::of(context, self.now, reason),
            job: self.job,
            nodes: grouped(self.changes),
            held: Ranges::of(self.held.joined()),
            flow: (!self.flow.is_empty()).then(|| Box::new(self.flow)),
            heard: Vec::new(),
            ending: self.ending,
            end: self.end,
            fact: fact.into(),
        };
        (event, self.payloads)
    }
}
