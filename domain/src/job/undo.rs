//! Changes of a job's state that can be taken back: every map, set and node is changed here and nowhere else, each
//! with its former value in the log.
//! Invariant: apply then undo gives the same state (`undo_restores_the_committed_state`).

use crate::ids::{CommandId, Millis};
use crate::job::state::{
    ClaimMark, JobHead, JobState, NodeState, ReportMark, SINK_BYTES_MAX, Sink,
};
use crate::node::attempt::{AttemptRef, ReportKind};
use crate::payload::{Hash, Payload};
use crate::subject::envelope::CommandMark;
use crate::subject::remembered::{Answered, remember};
use crate::subject::undo_log::{UndoLog, put_back, turn_back};

/// What a job was before some events.
#[derive(Debug, Default)]
pub struct JobUndo {
    log: UndoLog<Was>,
    has_head: bool,
    /// The node that was remembered last: one event touches a node a few times in a row.
    last_node: Option<u32>,
}

#[derive(Debug)]
enum Was {
    Head(Box<JobHead>),
    Node(u32, NodeState),
    Held(u32),
    Report((u32, u64), Option<ReportMark>),
    Late((u32, u64)),
    Command(CommandId, Option<Answered>),
    Claim(u32, Option<ClaimMark>),
    Sink(u32, Option<Sink>),
}

impl JobUndo {
    /// For events that are never taken back.
    pub fn none() -> Self {
        Self { log: UndoLog::none(), ..Self::default() }
    }
}

impl JobState {
    /// Takes the state back to what it was when `undo` was empty.
    pub fn undo(&mut self, undo: JobUndo) {
        for was in undo.log.newest_first() {
            match was {
                Was::Head(head) => self.head = *head,
                Was::Node(ix, node) => self.nodes[ix as usize] = node,
                Was::Held(ix) => turn_back(&mut self.held, ix),
                Was::Report(key, before) => put_back(&mut self.reports, key, before),
                Was::Late(key) => turn_back(&mut self.late, key),
                Was::Command(id, before) => put_back(&mut self.commands, id, before),
                Was::Claim(ix, before) => put_back(&mut self.claims, ix, before),
                Was::Sink(ix, before) => put_back(&mut self.sinks, ix, before),
            }
        }
    }

    /// Remembers the job as a whole, before the first of the events changes it.
    pub(crate) fn remember_head(&self, undo: &mut JobUndo) {
        if !undo.has_head {
            undo.has_head = true;
            undo.log.note(|| Was::Head(Box::new(self.head.clone())));
        }
    }

    /// The node, to be changed.
    pub(crate) fn node_mut(&mut self, ix: u32, undo: &mut JobUndo) -> &mut NodeState {
        let node = &mut self.nodes[ix as usize];
        if undo.last_node != Some(ix) {
            undo.last_node = Some(ix);
            undo.log.note(|| Was::Node(ix, node.clone()));
        }
        node
    }

    /// Whether the node could start and waits for a place.
    pub(crate) fn hold(&mut self, node: u32, held: bool, undo: &mut JobUndo) {
        undo.log.keep(&mut self.held, node, held, Was::Held);
    }

    /// Keeps the report of an earlier attempt.
    pub(crate) fn keep_report(&mut self, of: (u32, u64), mark: ReportMark, undo: &mut JobUndo) {
        undo.log.insert(&mut self.reports, of, mark, Was::Report);
    }

    /// Keeps that a report came too late.
    pub(crate) fn keep_late(&mut self, of: (u32, u64), undo: &mut JobUndo) {
        undo.log.keep(&mut self.late, of, true, Was::Late);
    }

    /// The claim under which the node's running attempt was leased.
    pub(crate) fn set_claim(&mut self, node: u32, claim: Option<ClaimMark>, undo: &mut JobUndo) {
        match claim {
            Some(claim) => undo.log.insert(&mut self.claims, node, claim, Was::Claim),
            None => undo.log.remove(&mut self.claims, &node, Was::Claim),
        }
    }

    /// Knows the newest attempt's report again.
    pub(crate) fn mark_report(
        &mut self,
        attempt: AttemptRef,
        kind: ReportKind,
        report: Hash,
        undo: &mut JobUndo,
    ) {
        self.node_mut(attempt.node, undo).report = Some(ReportMark { kind, hash: report.short() });
    }

    /// Keeps the output of a node without children for the job's own output, while there is room.
    pub(crate) fn keep_sink(&mut self, node: u32, output: &Payload, undo: &mut JobUndo) {
        if !self.plan.graph.children(node).is_empty() || self.plan.output.is_some() {
            return;
        }
        self.head.sink_bytes = self.sink_bytes_with(node, output.len());
        // One alone is the job's output, however large.
        let alone = self.sinks.keys().all(|other| *other == node);
        let sink = if alone || self.head.sink_bytes <= SINK_BYTES_MAX {
            Sink::Kept(output.clone())
        } else {
            Sink::Dropped { bytes: output.len() }
        };
        undo.log.insert(&mut self.sinks, node, sink, Was::Sink);
    }

    /// Remembers the command that the newest event answers.
    pub(crate) fn remember_command(&mut self, mark: &CommandMark, at: Millis, undo: &mut JobUndo) {
        let answered = Answered { body: mark.body, seq: self.head.seq, at, keyed: mark.keyed };
        remember(&mut self.commands, mark.id.clone(), answered, &mut undo.log, Was::Command);
    }
}
