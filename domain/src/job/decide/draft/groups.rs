//! Groups: they start their members, end as soon as their condition is decided, and cancel what is left. A group that
//! failed, and has a retry policy of its own, runs all its members again.

use std::sync::Arc;

use super::Draft;
use crate::bounds;
use crate::job::decide::retrying::{FailedNode, Judged, judge};
use crate::job::flow::{FlowView, NodeFailure, Prepared, first_failed};
use crate::job::members::{GroupEnding, GroupState, Ledger, MemberCounts, Move};
use crate::job::outcome::JobError;
use crate::job::plan::{Expansion, Plan};
use crate::job::spec::CompleteWhen;
use crate::job::state::NodeState;
use crate::node::attempt::AttemptError;
use crate::node::hold::Hold;
use crate::node::status::NodeStatus;
use crate::planted::{self, Planted};

/// The class of a group whose condition does not hold, and of which no member failed.
const CONDITION: &str = "condition";

impl Draft<'_> {
    /// A group that has its place: its members come to be, or begin anew when it is tried again, and those without parents
    /// start.
    pub(super) fn start_group(&mut self, ix: u32) {
        if let Some(group) = self.book.group(ix) {
            return self.restart_group(ix, group);
        }
        let plan = self.plan();
        let Some(spec) = plan.node(ix).group() else { return };
        let group = match spec.template {
            None => {
                let members = plan.declared_members(ix).len();
                GroupState::new(None, u32::try_from(members).unwrap_or(u32::MAX))
            }
            Some(template) => {
                let (list, count) = match (self.prepared(ix), &plan.node(ix).input) {
                    (Some(Prepared::List { list, items }), _) => (list, items),
                    (_, Some(list)) => (list.clone(), spec.items.unwrap_or(0)),
                    (_, None) => return,
                };
                let first = plan.node_count();
                let nodes = u64::from(count) * u64::from(template.nodes) + u64::from(first);
                let most = bounds::JOB_NODES_MAX as u64;
                if nodes > most {
                    let message = format!(
                        "for_each: its members would make {nodes} nodes of the job; at most {most} are allowed"
                    );
                    return self.fail_group(ix, "too_large", "TooManyNodes", &message);
                }
                let expansion = Expansion { group: ix, first, count, template, list };
                self.book.add(&expansion, self.now);
                let place = u32::try_from(plan.added.len()).unwrap_or(u32::MAX);
                self.flow.added.push(expansion);
                GroupState::new(Some(place), count)
            }
        };
        self.book.set_group(ix, group);
        self.wait(ix, Hold::Members);
        self.start_members(ix, group);
    }

    fn start_members(&mut self, ix: u32, group: GroupState) {
        let plan = self.plan();
        self.reconsider_roots(group.members(&plan, ix));
        self.pending.groups.insert(ix);
    }

    /// The members of a group that is tried again: all pending, then those without parents start.
    fn restart_group(&mut self, ix: u32, group: GroupState) {
        let plan = self.plan();
        self.errors.insert(ix, None);
        let members = group.members(&plan, ix).collect();
        for member in self.subtree(&plan, members, Lists::LeftOut) {
            if self.node_status(member) != NodeStatus::Pending {
                self.move_node_alone(member, NodeStatus::Pending);
            }
        }
        self.wait(ix, Hold::Members);
        self.start_members(ix, group);
    }

    /// A group settled that never began: so do the members that it has from the start, as it did. Of a group that failed they
    /// are cancelled: none of them failed.
    pub(super) fn settle_unbegun(&mut self, ix: u32, group: Move) {
        if !self.book.plan().has_declared_members(ix) || self.book.group(ix).is_some() {
            return;
        }
        let skipped = group.to == NodeStatus::Skipped;
        let to = if skipped { NodeStatus::Skipped } else { NodeStatus::Cancelled };
        let plan = self.plan();
        for member in plan.declared_members(ix) {
            if !self.node_status(member).is_settled() {
                self.set(member, Move { to, ..group });
            }
        }
    }

    /// These nodes and, of groups among them, the members that there are, and so on.
    fn subtree(&self, plan: &Plan, of: Vec<u32>, lists: Lists) -> Vec<u32> {
        let mut found = of;
        let mut next = 0;
        while let Some(ix) = found.get(next).copied() {
            next += 1;
            match self.book.group(ix) {
                Some(group) if group.expansion.is_none() || lists == Lists::With => {
                    found.extend(group.members(plan, ix));
                }
                None if plan.has_declared_members(ix) => found.extend(plan.declared_members(ix)),
                Some(_) | None => {}
            }
        }
        found
    }

    /// Ends a group whose condition is decided.
    pub(super) fn look_at_group(&mut self, ix: u32) {
        self.pending.still.insert(ix);
        let Some(group) = self.book.group(ix).filter(|_| self.is_open(ix)) else { return };
        let plan = self.plan();
        let Some(spec) = plan.node(ix).group() else { return };
        if planted::on(Planted::GroupNeverEnds) && group.counts.all > 1 {
            return;
        }
        if let Some(to) = decided(spec.complete_when, &group.counts, group.counts.good()) {
            self.end_group(ix, to);
        }
    }

    /// Ends a group in which nothing is at work any more.
    pub(super) fn look_at_still_group(&mut self, ix: u32) {
        let Some(group) = self.book.group(ix) else { return };
        let waits = self.book.node(ix).hold == Some(Hold::Members);
        if !waits || (group.counts.active > 0 && !self.is_stuck(ix, &group)) {
            return;
        }
        match group.ending {
            Some(ending) => self.finish_group(ix, ending.to),
            // What is left can no longer start.
            None if group.counts.settled < group.counts.all => {
                self.end_group(ix, NodeStatus::Failed);
            }
            None => {}
        }
    }

    /// Whether the next member of a group that runs them in order can never start: those behind it wait for it in vain.
    fn is_stuck(&self, ix: u32, group: &GroupState) -> bool {
        let plan = self.book.plan();
        if !plan.node(ix).group().is_some_and(|group| group.in_order) || group.counts.placed > 0 {
            return false;
        }
        let next = group.member(plan, ix, group.passed).map(|next| self.book.node(next));
        let can_start = |next: &NodeState| next.marks.queued || next.status.is_at_work();
        self.is_open(ix) && next.is_some_and(|next| !can_start(next))
    }

    /// A group's end is decided: what has not started is cancelled, what runs may go on until the grace is over.
    pub(in crate::job::decide) fn end_group(&mut self, ix: u32, to: NodeStatus) {
        let until = self.now.saturating_add(self.context.grace_ms);
        let plan = self.plan();
        let Some(group) = self.book.group(ix) else { return };
        let members: Vec<u32> = group.members(&plan, ix).collect();
        let mut inner = Vec::new();
        for member in self.subtree(&plan, members, Lists::With) {
            let status = self.node_status(member);
            if status == NodeStatus::Waiting && self.book.node(member).hold == Some(Hold::Members) {
                inner.push(member);
            } else if status != NodeStatus::Running && !status.is_settled() {
                self.move_node_alone(member, NodeStatus::Cancelled);
            }
        }
        // Innermost last in a subtree, and so first here: one that has nothing running is cancelled before the one
        // around it is looked at.
        for group in inner.into_iter().rev().chain([ix]) {
            let to = if group == ix { to } else { NodeStatus::Cancelled };
            let Some(state) = self.book.group(group) else { continue };
            if state.counts.active == 0 {
                self.finish_group(group, to);
                continue;
            }
            // One that ends already is cancelled no later than it would have been.
            let until = state.ending.map_or(until, |before| before.until.min(until));
            let ending = GroupEnding { to, until };
            if let Some(state) = self.book.group_mut(group) {
                state.ending = Some(ending);
            }
            self.flow.ending.push((group, ending));
        }
    }

    /// What still runs in a group is revoked, and those of its groups that waited for it end.
    pub(in crate::job::decide) fn revoke_group(&mut self, ix: u32) {
        let plan = self.plan();
        for member in self.subtree(&plan, vec![ix], Lists::With) {
            if self.node_status(member) == NodeStatus::Running {
                self.move_node_alone(member, NodeStatus::Cancelled);
            }
            self.pending.still.insert(member);
        }
    }

    fn finish_group(&mut self, ix: u32, to: NodeStatus) {
        match to {
            NodeStatus::Failed | NodeStatus::Timeout => self.finish_failed_group(ix, to),
            NodeStatus::Cancelled => {
                self.move_node_alone(ix, to);
                self.pending.groups.extend(self.book.plan().container(ix));
            }
            NodeStatus::Completed
            | NodeStatus::Pending
            | NodeStatus::Ready
            | NodeStatus::Running
            | NodeStatus::Waiting
            | NodeStatus::Retrying
            | NodeStatus::Skipped
            | NodeStatus::Compensating
            | NodeStatus::Compensated => self.move_node(ix, NodeStatus::Completed),
        }
    }

    fn fail_group(&mut self, ix: u32, class: &str, error_type: &str, message: &str) {
        let error = AttemptError {
            error_type: error_type.to_owned(),
            message: message.to_owned(),
            class: class.to_owned(),
            retryable: Some(false),
            ..AttemptError::default()
        };
        self.fail_node(ix, NodeStatus::Failed, error, None);
    }

    /// What a failed group shows: the first failure among its members that nobody handled; none: its condition does not hold.
    fn error_within(&self, ix: u32) -> Option<Arc<JobError>> {
        let members = self.book.group(ix)?.members(self.book.plan(), ix);
        let failed = first_failed(self, members)?;
        self.node_error(failed).or_else(|| self.node_error(ix)).map(Arc::clone)
    }

    fn finish_failed_group(&mut self, ix: u32, to: NodeStatus) {
        let (error, shown) = match self.error_within(ix) {
            _ if to == NodeStatus::Timeout => (AttemptError::time_out(self.time_out_of(ix)), None),
            Some(shown) => {
                let by = shown.node.as_deref().unwrap_or_default();
                let error = AttemptError {
                    error_type: shown.error_type.clone(),
                    message: format!("`{by}` failed: {}", shown.message),
                    class: shown.class.clone(),
                    ..AttemptError::default()
                };
                (error, Some(shown))
            }
            None => (
                AttemptError {
                    error_type: "ConditionNotMet".to_owned(),
                    message: "the group's success condition does not hold".to_owned(),
                    class: CONDITION.to_owned(),
                    ..AttemptError::default()
                },
                None,
            ),
        };
        let judged = self.judge_group(ix, &error);
        let retry = judged.as_ref().and_then(|judged| judged.retry);
        let used_up = judged.is_some_and(|judged| judged.exhausted);
        if retry.is_some() {
            self.flow.failed.push(NodeFailure { node: ix, error, shown: None, retry, used_up });
            self.move_node_alone(ix, NodeStatus::Retrying);
        } else {
            self.fail_with(NodeFailure { node: ix, error, shown, retry, used_up }, to);
        }
    }

    /// Which time of a group is over: that of all its attempts, or of this one.
    fn time_out_of(&self, ix: u32) -> &'static str {
        let total = crate::job::due::total_deadline(self.state, ix);
        if total.is_some_and(|at| at <= self.now) { "timeout.total" } else { "timeout.attempt" }
    }

    /// Whether all members run again: only a policy of the group's own says so.
    fn judge_group(&self, ix: u32, error: &AttemptError) -> Option<Judged> {
        let plan = self.book.plan();
        let spec = plan.node(ix);
        let policy = plan.own_retry(spec)?.policy;
        if !self.may_start(ix) {
            return None;
        }
        // A condition that does not hold says nothing about another try.
        let of_condition = error.class == CONDITION;
        let class = if of_condition { String::new() } else { error.class.clone() };
        let error = AttemptError { class, ..error.clone() };
        let node = self.book.node(ix);
        let executions = node.attempt.saturating_sub(node.base).max(1);
        let failed = FailedNode { ix, node, executions, idempotent: true };
        Some(judge(self.state, &failed, policy, &error, self.context))
    }
}

/// Whether members that came to be by a list are among those of a group that runs again. The list is evaluated anew, and has
/// members of its own then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lists {
    With,
    LeftOut,
}

/// How a group or a job ends, if its condition is decided whatever becomes of those that have not settled. `good`: how many
/// count as completed.
pub(super) fn decided(
    condition: CompleteWhen,
    counts: &MemberCounts,
    good: u32,
) -> Option<NodeStatus> {
    let settled = counts.settled == counts.all;
    let may_still = counts.all - counts.settled;
    let failed = counts.failed_for_good();
    let tolerated = |most: bool| match (most, settled) {
        (false, _) => Some(NodeStatus::Failed),
        (true, true) => Some(NodeStatus::Completed),
        (true, false) => None,
    };
    let at_least = |least: u32| {
        if good >= least {
            Some(NodeStatus::Completed)
        } else {
            (good + may_still < least).then_some(NodeStatus::Failed)
        }
    };
    match condition {
        CompleteWhen::All => tolerated(failed == 0),
        CompleteWhen::Any => at_least(1),
        CompleteWhen::AtLeast(least) => at_least(least),
        CompleteWhen::TolerateCount(most) => tolerated(failed <= most),
        CompleteWhen::TolerateAtMostPercent(most) => {
            tolerated(u64::from(failed) * 100 <= u64::from(most) * u64::from(counts.all))
        }
    }
}
