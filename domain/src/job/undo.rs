//! Changes of a job's state that can be taken back: every map, set and node is changed here and nowhere else, each
//! with its former value in the log.
//! Invariant: apply then undo gives the same state (`undo_restores_the_committed_state`).

use std::sync::Arc;

use crate::ids::{CommandId, Millis};
use crate::job::flow::Prepared;
use crate::job::members::GroupState;
use crate::job::outcome::JobError;
use crate::job::plan::{Expansion, Plan};
use crate::job::state::{
    ClaimMark, HandedOn, JobHead, JobState, KeptOutput, NodeState, OUTPUT_BYTES_MAX, ReportMark,
};
use crate::node::attempt::{AttemptError, AttemptRef, ReportKind};
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
    Gated((u32, u32)),
    Evaluating(u32),
    Group(u32, Option<GroupState>),
    Prepared(u32, Option<Prepared>),
    Error(u32, Option<Arc<JobError>>),
    Checkpoint(u32, Option<Millis>),
    /// So many nodes there were before members came to be.
    Grown(usize),
    Plan(Arc<Plan>),
    Report((u32, u64), Option<ReportMark>),
    Late((u32, u64)),
    Command(CommandId, Option<Answered>),
    Claim(u32, Option<ClaimMark>),
    Output(u32, Option<KeptOutput>),
    HandedOn(u32, Option<HandedOn>),
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
                Was::Gated(key) => turn_back(&mut self.gated, key),
                Was::Evaluating(ix) => turn_back(&mut self.evaluating, ix),
                Was::Group(ix, before) => put_back(&mut self.groups, ix, before),
                Was::Prepared(ix, before) => put_back(&mut self.prepared, ix, before),
                Was::Error(ix, before) => put_back(&mut self.errors, ix, before),
                Was::Checkpoint(ix, before) => put_back(&mut self.checkpoints, ix, before),
                Was::Grown(nodes) => {
                    Arc::make_mut(&mut self.plan).added.pop();
                    self.nodes.truncate(nodes);
                }
                Was::Plan(plan) => self.plan = plan,
                Was::Report(key, before) => put_back(&mut self.reports, key, before),
                Was::Late(key) => turn_back(&mut self.late, key),
                Was::Command(id, before) => put_back(&mut self.commands, id, before),
                Was::Claim(ix, before) => put_back(&mut self.claims, ix, before),
                Was::Output(ix, before) => put_back(&mut self.outputs, ix, before),
                Was::HandedOn(ix, before) => put_back(&mut self.handed_on, ix, before),
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
        undo.log.set(&mut self.claims, node, claim, Was::Claim);
    }

    /// What went wrong in the newest attempt, for the next one.
    pub(crate) fn hand_on_error(&mut self, node: u32, error: &AttemptError, undo: &mut JobUndo) {
        let mut handed_on = self.handed_on.get(&node).cloned().unwrap_or_default();
        handed_on.error = Some(Arc::new(error.clone()));
        undo.log.insert(&mut self.handed_on, node, handed_on, Was::HandedOn);
    }

    /// What the newest heartbeat said, for the next attempt.
    pub(crate) fn hand_on_details(&mut self, node: u32, details: &Payload, undo: &mut JobUndo) {
        let mut handed_on = self.handed_on.get(&node).cloned().unwrap_or_default();
        handed_on.details = Some(details.clone());
        undo.log.insert(&mut self.handed_on, node, handed_on, Was::HandedOn);
    }

    /// A rule of the node's policy gave one more retry.
    pub(crate) fn hand_on_rule(&mut self, node: u32, rule: u32, undo: &mut JobUndo) {
        let mut handed_on = self.handed_on.get(&node).cloned().unwrap_or_default();
        let place = rule as usize;
        if handed_on.by_rule.len() <= place {
            handed_on.by_rule.resize(place + 1, 0);
        }
        handed_on.by_rule[place] += 1;
        undo.log.insert(&mut self.handed_on, node, handed_on, Was::HandedOn);
    }

    /// Policies count the node's executions from here.
    pub(crate) fn count_anew(&mut self, ix: u32, undo: &mut JobUndo) {
        let node = self.node_mut(ix, undo);
        node.base = node.attempt;
        node.last_wait_ms = 0;
        self.count_rules_anew(ix, undo);
    }

    /// What the rules of the node's policy gave counts no more.
    pub(crate) fn count_rules_anew(&mut self, ix: u32, undo: &mut JobUndo) {
        if let Some(handed_on) = self.handed_on.get(&ix).filter(|of| !of.by_rule.is_empty()) {
            let handed_on = HandedOn { by_rule: Vec::new(), ..handed_on.clone() };
            undo.log.insert(&mut self.handed_on, ix, handed_on, Was::HandedOn);
        }
    }

    /// There is no next attempt.
    pub(crate) fn hand_on_nothing(&mut self, node: u32, undo: &mut JobUndo) {
        if !self.handed_on.is_empty() {
            undo.log.remove(&mut self.handed_on, &node, Was::HandedOn);
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

    /// Keeps the output of a node that something reads, or that is a part of the job's own while there is room.
    pub(crate) fn keep_output(&mut self, node: u32, output: &Payload, undo: &mut JobUndo) {
        let part = self.plan.is_part_of_output(node);
        let read = self.plan.reads_output(node);
        if !part && !read {
            return;
        }
        if part {
            self.head.sink_bytes = self.sink_bytes_with(node, output.len());
        }
        // One alone is the job's output, however large.
        let alone = self.outputs.keys().all(|other| *other == node);
        let kept = if read || alone || self.head.sink_bytes <= OUTPUT_BYTES_MAX {
            KeptOutput::Kept(output.clone())
        } else {
            KeptOutput::Dropped { bytes: output.len() }
        };
        undo.log.insert(&mut self.outputs, node, kept, Was::Output);
    }

    /// The node runs again, and has no output until it completes.
    pub(crate) fn drop_output(&mut self, node: u32, undo: &mut JobUndo) {
        if !self.outputs.contains_key(&node) {
            return;
        }
        if self.plan.is_part_of_output(node) {
            self.head.sink_bytes = self.sink_bytes_with(node, 0);
        }
        undo.log.remove(&mut self.outputs, &node, Was::Output);
    }

    /// Members come to be.
    pub(crate) fn grow(&mut self, expansion: Expansion, undo: &mut JobUndo) {
        let nodes = self.nodes.len();
        undo.log.note(|| Was::Grown(nodes));
        Arc::make_mut(&mut self.plan).added.push(expansion);
    }

    /// A node of the plan is changed.
    pub(crate) fn change_plan(&mut self, undo: &mut JobUndo, change: impl FnOnce(&mut Plan)) {
        undo.log.note(|| Was::Plan(Arc::clone(&self.plan)));
        change(Arc::make_mut(&mut self.plan));
    }

    /// The group at this position, to be changed.
    pub(crate) fn group_mut(&mut self, ix: u32, undo: &mut JobUndo) -> Option<&mut GroupState> {
        let group = self.groups.get_mut(&ix)?;
        undo.log.note(|| Was::Group(ix, Some(*group)));
        Some(group)
    }

    pub(crate) fn set_group(&mut self, ix: u32, group: Option<GroupState>, undo: &mut JobUndo) {
        undo.log.set(&mut self.groups, ix, group, Was::Group);
    }

    pub(crate) fn set_prepared(&mut self, ix: u32, what: Option<Prepared>, undo: &mut JobUndo) {
        undo.log.set(&mut self.prepared, ix, what, Was::Prepared);
    }

    pub(crate) fn set_error(&mut self, ix: u32, error: Option<Arc<JobError>>, undo: &mut JobUndo) {
        undo.log.set(&mut self.errors, ix, error, Was::Error);
    }

    pub(crate) fn set_checkpoint(&mut self, ix: u32, at: Option<Millis>, undo: &mut JobUndo) {
        undo.log.set(&mut self.checkpoints, ix, at, Was::Checkpoint);
    }

    /// Whether the node's expressions are being evaluated beside the committer.
    pub(crate) fn set_evaluating(&mut self, node: u32, is: bool, undo: &mut JobUndo) {
        undo.log.keep(&mut self.evaluating, node, is, Was::Evaluating);
    }

    /// Whether the node could start and waits for a place of its group.
    pub(crate) fn gate(&mut self, node: u32, held: bool, undo: &mut JobUndo) {
        if self.gated.is_empty() && !held {
            return;
        }
        if let Some(group) = self.plan.container(node) {
            undo.log.keep(&mut self.gated, (group, node), held, Was::Gated);
        }
    }

    /// Remembers the command that the newest event answers.
    pub(crate) fn remember_command(&mut self, mark: &CommandMark, at: Millis, undo: &mut JobUndo) {
        let answered = Answered { body: mark.body, seq: self.head.seq, at, keyed: mark.keyed };
        remember(&mut self.commands, mark.id.clone(), answered, &mut undo.log, Was::Command);
    }
}
