//! Applying an event: it assigns and counts, and cannot refuse. Every change goes through an undo list, so that a
//! state can be taken back to the committed one when an append does not commit. A replay keeps none.
//! Invariant: apply then undo gives the same digest (`undo_restores_the_committed_state`).

mod first;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::bounds;
use crate::ids::Millis;
use crate::job::event::{
    AttemptFailure, JobError, JobEvent, JobFact, Patch, PauseCause, ReportKind,
};
use crate::job::state::{ClaimMark, JobHead, JobState, NodeState, ReportMark, counts_as_completed};
use crate::job::status::JobStatus;
use crate::node::attempt::AttemptRef;
use crate::node::status::NodeStatus;
use crate::payload::{Hash, Payload};
use crate::planted::{self, Planted};
use crate::subject::remembered::{Answered, remember};

/// Bytes of sink outputs kept for the job's own output; beyond it the job's output is absent.
pub const SINK_BYTES_MAX: u64 = 256 * 1_024;

/// What a state was before some events: each change with what was there before it, undone from the last one on.
#[derive(Debug, Default)]
pub struct Undo {
    /// Nothing is remembered: what is applied is never taken back.
    forgets: bool,
    head: Option<Box<JobHead>>,
    nodes: Vec<(u32, NodeState)>,
    held: Vec<(u32, bool)>,
    reports: Vec<(u32, u64)>,
    late: Vec<(u32, u64)>,
    commands: Option<BTreeMap<crate::ids::CommandId, Answered>>,
    sinks: Vec<(u32, Option<Payload>)>,
    claims: Vec<(u32, Option<ClaimMark>)>,
}

impl Undo {
    /// For events that are never taken back.
    pub fn none() -> Self {
        Self { forgets: true, ..Self::default() }
    }
}

impl JobState {
    /// Applies one event, remembering in `undo` what was there before.
    pub fn apply(&mut self, event: &JobEvent, undo: &mut Undo) {
        if undo.head.is_none() && !undo.forgets {
            undo.head = Some(Box::new(self.head.clone()));
        }
        let at = event.by.at;
        self.head.seq += 1;
        self.head.updated_at = at;
        self.remember_command(event, undo);
        self.apply_fact(&event.fact, at, undo);
        for change in &event.nodes {
            for node in change.at.iter() {
                self.set_node_status(node, change.to, at, undo);
            }
        }
        for node in event.held.iter() {
            self.hold(node, true, undo);
            // It waits for a place now, and for nobody's word any more.
            self.node_mut(node, undo).outcome_unknown = false;
        }
        if let JobFact::NodesTimedOut { class } = &event.fact {
            self.note_time_out(event, class);
        }
        if let Some(ending) = &event.ending {
            self.head.ending = Some(ending.to);
            self.head.ending_until = ending.until;
        }
        for (from, to) in &event.job {
            self.set_job_status(*from, *to, at);
        }
        if let Some(end) = &event.end {
            self.head.end(end, at);
        }
    }

    /// Takes the state back to what it was when `undo` was empty.
    pub fn undo(&mut self, undo: Undo) {
        if let Some(head) = undo.head {
            self.head = *head;
        }
        for (ix, node) in undo.nodes.into_iter().rev() {
            self.nodes[ix as usize] = node;
        }
        for key in undo.reports {
            self.reports.remove(&key);
        }
        for key in undo.late {
            self.late.remove(&key);
        }
        for (node, was_held) in undo.held.into_iter().rev() {
            if was_held {
                self.held.insert(node)
            } else {
                self.held.remove(&node)
            };
        }
        if let Some(commands) = undo.commands {
            self.commands = commands;
        }
        for (node, before) in undo.claims.into_iter().rev() {
            match before {
                Some(claim) => self.claims.insert(node, claim),
                None => self.claims.remove(&node),
            };
        }
        for (node, before) in undo.sinks.into_iter().rev() {
            match before {
                Some(output) => self.sinks.insert(node, output),
                None => self.sinks.remove(&node),
            };
        }
    }

    fn remember_command(&mut self, event: &JobEvent, undo: &mut Undo) {
        let Some(mark) = &event.by.command else { return };
        if !undo.forgets {
            undo.commands.get_or_insert_with(|| self.commands.clone());
        }
        let answered =
            Answered { body: mark.body, seq: self.head.seq, at: event.by.at, keyed: mark.keyed };
        remember(&mut self.commands, mark.id.clone(), answered);
    }

    fn apply_fact(&mut self, fact: &JobFact, at: Millis, undo: &mut Undo) {
        match fact {
            JobFact::Submitted(_)
            | JobFact::Started
            | JobFact::RetriesDue
            | JobFact::NodesTimedOut { .. }
            | JobFact::EndingDecided { .. }
            | JobFact::Revoked => {}
            JobFact::Granted { number, .. } => self.head.grant = Some(*number),
            JobFact::GrantDeclined { number, .. } => {
                self.head.declined = self.head.declined.max(*number);
            }
            JobFact::Leased { worker, claim, lease_ms, attempts } => {
                for attempt in attempts {
                    self.lease(*attempt, *lease_ms, at, undo);
                    let claim = claim
                        .as_ref()
                        .map(|claim| ClaimMark { worker: worker.clone(), claim: claim.clone() });
                    self.set_claim(attempt.node, claim, undo);
                }
            }
            JobFact::Completed { attempt, output, report, .. } => {
                self.mark_report(*attempt, ReportKind::Complete, *report, undo);
                self.keep_sink(attempt.node, output.as_ref(), undo);
            }
            JobFact::Failed(failure) => {
                if let Some(report) = failure.report {
                    self.mark_report(failure.attempt, ReportKind::Fail, report, undo);
                }
                self.fail(failure, undo);
            }
            JobFact::LeaseExpired(failure) | JobFact::AttemptTimedOut(failure) => {
                self.fail(failure, undo);
                if planted::on(Planted::EpochResetOnExpiry) {
                    self.node_mut(failure.attempt.node, undo).epoch = crate::ids::Epoch::default();
                }
            }
            JobFact::Released { attempt, report, undelivered } => {
                self.mark_report(*attempt, ReportKind::Release, *report, undo);
                let node = self.node_mut(attempt.node, undo);
                node.attempt = attempt.attempt.saturating_sub(1);
                node.undelivered = node.undelivered.saturating_add(u8::from(*undelivered));
                if planted::on(Planted::EpochResetOnRequeue) {
                    node.epoch = crate::ids::Epoch::default();
                }
            }
            JobFact::Deleted => self.head.deleted = true,
            JobFact::Paused { why } => self.head.pause_cause = Some(*why),
            JobFact::Resumed => self.head.resumed_at = at,
            JobFact::Patched(patch) => self.patch(patch),
            JobFact::LateReport { node, epoch, .. } => {
                if self.late.insert((*node, epoch.0)) {
                    undo.late.push((*node, epoch.0));
                }
            }
        }
    }

    fn lease(&mut self, attempt: AttemptRef, lease_ms: u64, at: Millis, undo: &mut Undo) {
        let node = self.node_mut(attempt.node, undo);
        let earlier = node.report.take().map(|mark| (node.epoch.0, mark));
        node.attempt = attempt.attempt;
        node.epoch = attempt.epoch;
        node.started = at;
        node.due = 0;
        node.lease_ms = u32::try_from(lease_ms).unwrap_or(u32::MAX);
        if let Some((epoch, mark)) = earlier {
            self.reports.insert((attempt.node, epoch), mark);
            undo.reports.push((attempt.node, epoch));
        }
    }

    fn set_claim(&mut self, node: u32, claim: Option<ClaimMark>, undo: &mut Undo) {
        let before = match claim {
            Some(claim) => self.claims.insert(node, claim),
            None if self.claims.is_empty() => return,
            None => self.claims.remove(&node),
        };
        undo.claims.push((node, before));
    }

    fn mark_report(
        &mut self,
        attempt: AttemptRef,
        kind: ReportKind,
        report: Hash,
        undo: &mut Undo,
    ) {
        self.node_mut(attempt.node, undo).report = Some(ReportMark { kind, hash: report.short() });
    }

    fn fail(&mut self, failure: &AttemptFailure, undo: &mut Undo) {
        let node = self.node_mut(failure.attempt.node, undo);
        // The next lease is another attempt. (A release gives the same one back, and goes on counting.)
        node.undelivered = 0;
        match failure.retry {
            Some(retry) => {
                node.due = retry.due;
                node.last_wait_ms = u32::try_from(retry.wait_ms).unwrap_or(u32::MAX);
                self.head.retries += 1;
            }
            None if failure.outcome_unknown => {
                self.head.pause_cause = Some(PauseCause::OutcomeUnknown);
            }
            None => self.note_error(failure),
        }
    }

    /// Keeps the first final failure of a required node.
    fn note_error(&mut self, failure: &AttemptFailure) {
        if self.head.first_error.is_none() && self.is_required(failure.attempt.node) {
            let key = self.plan.nodes[failure.attempt.node as usize].key.to_string();
            self.head.first_error = Some(Arc::new(JobError {
                node: Some(key),
                class: failure.error.class.clone(),
                error_type: failure.error.error_type.clone(),
                message: failure.error.message.clone(),
            }));
        }
    }

    fn keep_sink(&mut self, node: u32, output: Option<&Payload>, undo: &mut Undo) {
        let Some(output) = output else { return };
        if !self.plan.graph.children(node).is_empty() || self.plan.output.is_some() {
            return;
        }
        self.head.sink_bytes += output.len();
        if self.head.sink_bytes <= SINK_BYTES_MAX || self.sinks.is_empty() {
            let before = self.sinks.insert(node, output.clone());
            undo.sinks.push((node, before));
        }
    }

    fn patch(&mut self, patch: &Patch) {
        let about = Arc::make_mut(&mut self.head.about);
        if let Some(name) = &patch.name {
            about.name.clone_from(name);
        }
        if let Some(description) = &patch.description {
            about.description.clone_from(description);
        }
        if let Some(tags) = &patch.tags {
            about.tags.clone_from(tags);
        }
        if let Some(priority) = patch.priority {
            about.priority = priority;
        }
        if let Some(metadata) = &patch.metadata {
            about.metadata.clone_from(metadata);
        }
        if let Some(scheduled_at) = patch.scheduled_at {
            self.head.scheduled_at = scheduled_at;
        }
        if let Some(timeout_ms) = patch.timeout_ms {
            self.head.timeout_ms = timeout_ms;
        }
    }

    fn node_mut(&mut self, ix: u32, undo: &mut Undo) -> &mut NodeState {
        let node = &mut self.nodes[ix as usize];
        // One event touches a node a few times in a row: what was before the first is enough.
        if !undo.forgets && undo.nodes.last().is_none_or(|(last, _)| *last != ix) {
            undo.nodes.push((ix, node.clone()));
        }
        node
    }

    fn hold(&mut self, node: u32, held: bool, undo: &mut Undo) {
        let changed = if held { self.held.insert(node) } else { self.held.remove(&node) };
        if changed {
            undo.held.push((node, !held));
        }
    }

    fn note_time_out(&mut self, event: &JobEvent, class: &str) {
        let first = event
            .nodes
            .iter()
            .filter(|change| change.to == NodeStatus::Timeout)
            .flat_map(|c| c.at.iter());
        let Some(node) = first.filter(|node| self.is_required(*node)).min() else { return };
        if self.head.first_error.is_none() {
            self.head.first_error = Some(JobError::time_out(&self.plan, node, class));
        }
    }

    /// The only place where a node's state changes: counters of the job and of its children move with it.
    fn set_node_status(&mut self, ix: u32, to: NodeStatus, at: Millis, undo: &mut Undo) {
        let optional = self.plan.nodes[ix as usize].optional;
        let node = self.node_mut(ix, undo);
        let from = node.status;
        node.status = to;
        node.since = at;
        if to == NodeStatus::Ready && node.first_ready == 0 {
            node.first_ready = at;
        }
        node.outcome_unknown = to == NodeStatus::Waiting && from == NodeStatus::Running;
        self.hold(ix, false, undo);
        if from == NodeStatus::Running && self.claims.contains_key(&ix) {
            self.set_claim(ix, None, undo);
        }
        self.head.counts[from.index()] -= 1;
        self.head.counts[to.index()] += 1;
        let failed =
            |status| matches!(status, NodeStatus::Failed | NodeStatus::Timeout) && !optional;
        self.head.failed_required += u32::from(failed(to));
        self.head.failed_required -= u32::from(failed(from));
        self.tell_children(ix, from, to, optional, undo);
    }

    fn tell_children(
        &mut self,
        ix: u32,
        from: NodeStatus,
        to: NodeStatus,
        optional: bool,
        undo: &mut Undo,
    ) {
        if !from.is_settled() && !to.is_settled() {
            return;
        }
        let completed = (counts_as_completed(from, optional), counts_as_completed(to, optional));
        let plan = Arc::clone(&self.plan);
        for child in plan.graph.children(ix) {
            let child = self.node_mut(*child, undo);
            child.unsettled += u32::from(from.is_settled());
            child.unsettled -= u32::from(to.is_settled());
            child.completed += u32::from(completed.1);
            child.completed -= u32::from(completed.0);
        }
    }

    fn set_job_status(&mut self, from: JobStatus, to: JobStatus, at: Millis) {
        debug_assert_eq!(from, self.head.status, "an event's transition starts where the job is");
        self.head.status = to;
        if to == JobStatus::Paused {
            self.head.paused_from = Some(from);
        } else if from == JobStatus::Paused {
            self.head.paused_from = None;
            self.head.pause_cause = None;
        }
        // Back from a pause, it goes on with the times it had.
        let is_new = from != JobStatus::Paused;
        if to.is_over() {
            self.head.ending = None;
            self.head.ending_until = 0;
        } else if to == JobStatus::Queued && is_new {
            self.head.queued_at = Some(at);
        } else if to == JobStatus::Scheduled && is_new {
            self.head.scheduled_since = Some(at);
        } else if to == JobStatus::Running && self.head.started_at.is_none() {
            self.head.started_at = Some(at);
        }
    }
}

/// Whether a lease of this node for an answer that could not be written may be given back once more.
pub(crate) fn may_release_undelivered(node: &NodeState) -> bool {
    node.undelivered < bounds::UNCOUNTED_RELEASES_MAX
}
