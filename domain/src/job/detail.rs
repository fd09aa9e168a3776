//! A job with the story of its nodes: what its state leaves out (attempts, outputs, errors, times), for people who look
//! at one job. The fold of the same events, one at a time, so that it is brought up to date by its tail alone.
//! Invariant: `state` is the job's state after `seq` events, and a node's newest story agrees with it.
//! Absent on purpose: decisions. Nothing is decided from a detail.

use std::sync::Arc;

use crate::exact_json::ExactJson;
use crate::ids::{ActionType, Epoch, Millis, WorkerName};
use crate::job::apply::Undo;
use crate::job::event::{AttemptError, AttemptFailure, JobEvent, JobFact, RetryDue};
use crate::job::explain::Turn;
use crate::job::rows;
use crate::job::state::{JobState, NodeState};
use crate::node::attempt::AttemptRef;
use crate::node::status::NodeStatus;
use crate::payload::Payload;

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
    /// By position.
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

/// What happened to one node.
#[derive(Debug, Clone, Default)]
pub struct NodeStory {
    /// In the order of their leases.
    pub attempts: Vec<AttemptStory>,
    /// Of the completed attempt.
    pub output: Option<Payload>,
    /// What the worker wanted people to see.
    pub warnings: Vec<String>,
    /// What the worker left elsewhere.
    pub artifacts: Vec<ExactJson>,
    /// Of the newest attempt that failed, or of the node's own time-out.
    pub error: Option<Arc<AttemptError>>,
    /// When it settled, while it is.
    pub settled_at: Option<Millis>,
}

/// What happened to one attempt.
#[derive(Debug, Clone)]
pub struct AttemptStory {
    /// Counted from 1; one that is given back is not counted, and its number comes again.
    pub attempt: u32,
    /// The fencing token.
    pub epoch: Epoch,
    /// Who had it.
    pub worker: WorkerName,
    /// Length of its lease, milliseconds.
    pub lease_ms: u64,
    /// When it was leased.
    pub started_at: Millis,
    /// How and when it ended.
    pub end: Option<AttemptEnd>,
    /// Reports that came too late, kept as evidence.
    pub late_reports: u32,
}

/// How an attempt ended.
#[derive(Debug, Clone)]
pub struct AttemptEnd {
    /// When.
    pub at: Millis,
    /// `completed`, `failed`, `lease_expired`, `timed_out`, `released` or `revoked`.
    pub outcome: &'static str,
    /// What went wrong.
    pub error: Option<Arc<AttemptError>>,
    /// When it is tried again.
    pub retry: Option<RetryDue>,
    /// Why it is tried again or not.
    pub verdict: Option<String>,
    /// It may have had its effect.
    pub outcome_unknown: bool,
}

/// A measured execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measured {
    /// Of what kind of work.
    pub action_type: Option<ActionType>,
    /// How long it took, milliseconds.
    pub duration_ms: u64,
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
        self.state.apply(event, &mut Undo::none());
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
        let measured = self.tell_fact(event, at);
        for change in &event.nodes {
            for ix in change.at.iter() {
                let story = &mut self.nodes[ix as usize];
                if change.from == NodeStatus::Running {
                    story.end_open(at);
                }
                story.settled_at = change.to.is_settled().then_some(at);
            }
        }
        measured
    }

    fn tell_fact(&mut self, event: &JobEvent, at: Millis) -> Option<Measured> {
        match &event.fact {
            JobFact::Leased { worker, lease_ms, attempts, .. } => {
                for attempt in attempts {
                    self.nodes[attempt.node as usize].attempts.push(AttemptStory {
                        attempt: attempt.attempt,
                        epoch: attempt.epoch,
                        worker: worker.clone(),
                        lease_ms: *lease_ms,
                        started_at: at,
                        end: None,
                        late_reports: 0,
                    });
                }
            }
            JobFact::Completed { attempt, output, warnings, artifacts, .. } => {
                let story = &mut self.nodes[attempt.node as usize];
                story.output.clone_from(output);
                story.warnings.clone_from(warnings);
                story.artifacts.clone_from(artifacts);
                story.error = None;
                let started = story.end(*attempt, AttemptEnd::plain(at, "completed"))?;
                return Some(Measured {
                    action_type: self.state.plan.nodes[attempt.node as usize].action_type.clone(),
                    duration_ms: u64::try_from(at - started).unwrap_or(0),
                });
            }
            JobFact::Failed(failure) => self.fail(failure, at, "failed"),
            JobFact::LeaseExpired(failure) => self.fail(failure, at, "lease_expired"),
            JobFact::AttemptTimedOut(failure) => self.fail(failure, at, "timed_out"),
            JobFact::Released { attempt, .. } => {
                let end = AttemptEnd::plain(at, "released");
                self.nodes[attempt.node as usize].end(*attempt, end);
            }
            JobFact::NodesTimedOut { class } => self.time_out(event, class),
            JobFact::LateReport { node, epoch, .. } => {
                let story = &mut self.nodes[*node as usize];
                if let Some(attempt) = story.attempts.iter_mut().rev().find(|a| a.epoch == *epoch) {
                    attempt.late_reports += 1;
                }
            }
            JobFact::Submitted(_)
            | JobFact::Started
            | JobFact::Granted { .. }
            | JobFact::GrantDeclined { .. }
            | JobFact::RetriesDue
            | JobFact::EndingDecided { .. }
            | JobFact::Revoked
            | JobFact::Paused { .. }
            | JobFact::Resumed
            | JobFact::Patched(_)
            | JobFact::Deleted => {}
        }
        None
    }

    fn fail(&mut self, failure: &AttemptFailure, at: Millis, outcome: &'static str) {
        let error = Arc::new(failure.error.clone());
        let story = &mut self.nodes[failure.attempt.node as usize];
        story.error = Some(Arc::clone(&error));
        let end = AttemptEnd {
            at,
            outcome,
            error: Some(error),
            retry: failure.retry,
            verdict: Some(failure.verdict.clone()),
            outcome_unknown: failure.outcome_unknown,
        };
        story.end(failure.attempt, end);
    }

    /// A node that waited too long has an error without an attempt.
    fn time_out(&mut self, event: &JobEvent, class: &str) {
        let error = Arc::new(AttemptError {
            error_type: "Timeout".to_owned(),
            message: "the node waited or ran longer than it may".to_owned(),
            class: class.to_owned(),
            ..AttemptError::default()
        });
        for change in event.nodes.iter().filter(|change| change.to == NodeStatus::Timeout) {
            for ix in change.at.iter() {
                self.nodes[ix as usize].error = Some(Arc::clone(&error));
            }
        }
    }
}

fn turn_of(event: &JobEvent) -> Turn {
    let by = &event.by;
    Turn { at: by.at, actor: Arc::clone(&by.actor), reason: by.reason.clone() }
}

impl NodeStory {
    /// Ends an attempt; answers when it had started.
    fn end(&mut self, of: AttemptRef, end: AttemptEnd) -> Option<Millis> {
        let attempt = self.attempts.iter_mut().rev().find(|attempt| attempt.epoch == of.epoch)?;
        attempt.end = Some(end);
        Some(attempt.started_at)
    }

    /// The node is not running any more: an attempt without a report was revoked.
    fn end_open(&mut self, at: Millis) {
        if let Some(attempt) = self.attempts.last_mut().filter(|attempt| attempt.end.is_none()) {
            let end = AttemptEnd { outcome_unknown: true, ..AttemptEnd::plain(at, "revoked") };
            attempt.end = Some(end);
        }
    }
}

impl AttemptEnd {
    fn plain(at: Millis, outcome: &'static str) -> Self {
        Self { at, outcome, error: None, retry: None, verdict: None, outcome_unknown: false }
    }
}
