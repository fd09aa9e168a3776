//! A job with the story of its nodes: what its state leaves out (attempts, outputs, errors, times), for people who look
//! at one job. The fold of the same events, one at a time, so that it is brought up to date by its tail alone.
//! Invariant: `state` is the job's state after `seq` events, and a node's newest story agrees with it.
//! Absent on purpose: decisions. Nothing is decided from a detail.

use std::sync::Arc;

use crate::job::event::JobEvent;
use crate::job::explain::Turn;
use crate::job::flow::Flow;
use crate::job::rows;
use crate::job::state::{JobState, NodeState};
use crate::job::story::{Measured, NodeStory};
use crate::job::undo::JobUndo;
use crate::node::status::NodeStatus;

/// Rows between two marks from which a page of history can be read.
const MARK_EVERY_ROWS: u64 = 1_000;
/// What an event costs in memory for each byte of its JSON, roughly: texts are kept once, with what surrounds them.
const BYTES_PER_EVENT_BYTE: usize = 2;

/// A job and the stories of its nodes.
#[derive(Debug, Clone)]
pub struct JobDetail {
    /// The fold of the events.
    pub state: JobState,
    /// The chain after them.
    pub chain: [u8; 32],
    pub nodes: Vec<NodeStory>,
    /// Who brought the job to where it stands.
    pub turn: Turn,
    /// Rows that a history of all events has.
    pub rows: u64,
    marks: Vec<HistoryMark>,
    bytes: usize,
}

/// A place in the stream from which rows can be counted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryMark {
    /// Events before it.
    pub seq: u64,
    /// The chain there.
    pub chain: [u8; 32],
    /// Rows before it.
    pub rows: u64,
}

impl JobDetail {
    /// After the first event, whose JSON has `bytes` bytes; none where that event cannot be a first one.
    pub fn create(event: &JobEvent, bytes: usize, chain: [u8; 32]) -> Option<Self> {
        let state = JobState::create(event)?;
        let nodes = vec![NodeStory::default(); state.nodes.len()];
        let bytes = bytes * BYTES_PER_EVENT_BYTE
            + nodes.len() * (size_of::<NodeStory>() + size_of::<NodeState>());
        let (turn, rows) = (turn_of(event), rows::count(event));
        let mut detail = Self { state, chain, nodes, turn, rows, marks: Vec::new(), bytes };
        detail.tell(event);
        Some(detail)
    }

    /// Applies the next event, whose JSON has `bytes` bytes and after which the chain is `chain`. Answers what was
    /// measured, if it completed an attempt.
    pub fn apply(&mut self, event: &JobEvent, bytes: usize, chain: [u8; 32]) -> Option<Measured> {
        let ended = self.state.head.ending.is_some() && event.ending.is_none();
        // The end of an ending is the doing of whoever decided it.
        if !ended && (!event.job.is_empty() || event.ending.is_some()) {
            self.turn = turn_of(event);
        }
        self.state.apply(event, &mut JobUndo::none());
        self.chain = chain;
        self.rows += rows::count(event);
        self.bytes += bytes * BYTES_PER_EVENT_BYTE;
        self.tell(event)
    }

    /// Remembers that a record of the stream ends here, so that it can be read on from here.
    pub fn mark(&mut self) {
        if self.rows >= self.marks.last().map_or(0, |mark| mark.rows) + MARK_EVERY_ROWS {
            let here = HistoryMark { seq: self.seq(), chain: self.chain, rows: self.rows };
            self.marks.push(here);
        }
    }

    /// Events it shows.
    pub fn seq(&self) -> u64 {
        self.state.head.seq
    }

    /// About how much memory it takes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The nearest place from which row number `row` (from 0) can be read; none: from the beginning.
    pub fn mark_before(&self, row: u64) -> Option<HistoryMark> {
        let after = self.marks.partition_point(|mark| mark.rows <= row);
        after.checked_sub(1).map(|at| self.marks[at])
    }

    fn tell(&mut self, event: &JobEvent) -> Option<Measured> {
        let at = event.by.at;
        self.grow();
        if let Some(repair) = event.fact.repair().filter(|repair| repair.is.input.is_some()) {
            self.nodes[repair.node as usize].input = None;
        }
        if let Some(flow) = &event.flow {
            self.tell_flow(flow);
        }
        for heard in &event.heard {
            self.nodes[heard.node as usize].hear(heard);
        }
        let measured = event.fact.tell(&mut self.nodes, &self.state.plan, &event.nodes, at);
        for change in &event.nodes {
            for ix in change.at.iter() {
                let story = &mut self.nodes[ix as usize];
                if change.from == NodeStatus::Running {
                    story.end_open(at);
                }
                story.settled_at = change.to.is_settled().then_some(at);
                if change.to == NodeStatus::Pending {
                    (story.input, story.output, story.error) = (None, None, None);
                }
                if change.to == NodeStatus::Completed && !self.state.plan.node(ix).is_leased() {
                    story.output = self.state.given_by_itself(ix);
                }
            }
        }
        measured
    }
}

impl JobDetail {
    /// Members that came to be have stories too.
    fn grow(&mut self) {
        let new = self.state.nodes.len() - self.nodes.len();
        if new > 0 {
            self.nodes.resize(self.state.nodes.len(), NodeStory::default());
            self.bytes += new * (size_of::<NodeStory>() + size_of::<NodeState>());
        }
    }

    /// What was evaluated, and who failed without an attempt.
    fn tell_flow(&mut self, flow: &Flow) {
        for (node, prepared) in &flow.prepared {
            if let Some(story) = self.nodes.get_mut(*node as usize) {
                story.input = prepared.payload().cloned();
            }
        }
        for failure in &flow.failed {
            if let Some(story) = self.nodes.get_mut(failure.node as usize) {
                story.error = Some(Arc::new(failure.error.clone()));
            }
        }
    }
}

fn turn_of(event: &JobEvent) -> Turn {
    let by = &event.by;
    Turn { at: by.at, actor: Arc::clone(&by.actor), reason: by.reason.clone() }
}
