//! Counts of the members of a group, or of the nodes of a job that no group has: how many settled, and how. Every change of
//! a node goes through here, while a decision is made and when its event is applied, so that both count alike.
//! Invariant: the counts equal a recount over the members (`JobState::contradictions`).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::Millis;
use crate::job::plan::{Plan, PlanNode};
use crate::job::readiness::{ParentOutcome, outcome_of};
use crate::job::state::NodeState;
use crate::node::hold::Hold;
use crate::node::status::NodeStatus;

/// How members stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberCounts {
    /// All of them.
    pub all: u32,
    /// Those that settled, in whichever way.
    pub settled: u32,
    /// Those that completed.
    pub completed: u32,
    /// Optional ones that failed or timed out.
    pub excused: u32,
    /// Required ones that failed or timed out, and whose failure nobody handled.
    pub failed: u32,
    /// Of those that failed, the ones whose failure may still be handled.
    pub open: u32,
    /// Those that have one of the group's places.
    pub placed: u32,
    /// Those that are offered, run, wait for something that comes, or wait for a place.
    pub active: u32,
}

impl MemberCounts {
    /// Of nobody else's member yet.
    pub fn of(all: u32) -> Self {
        Self { all, ..Self::default() }
    }

    /// Failures that nobody handles any more.
    pub fn failed_for_good(&self) -> u32 {
        self.failed - self.open
    }

    /// Members that count as completed for the group.
    pub fn good(&self) -> u32 {
        self.completed + self.excused
    }

    fn fields(&mut self) -> [&mut u32; 7] {
        [
            &mut self.settled,
            &mut self.completed,
            &mut self.excused,
            &mut self.failed,
            &mut self.open,
            &mut self.placed,
            &mut self.active,
        ]
    }

    /// Takes out what a node counted before, and in what it counts now.
    fn change(&mut self, before: CountShare, now: CountShare) {
        for ((count, was), is) in self.fields().into_iter().zip(before.0).zip(now.0) {
            *count = *count + u32::from(is) - u32::from(was);
        }
    }
}

/// What one node adds to the counts, in the order of `MemberCounts::fields`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct CountShare([bool; 7]);

impl CountShare {
    pub(crate) fn of(node: &NodeState, spec: &PlanNode) -> Self {
        let failed = matches!(node.status, NodeStatus::Failed | NodeStatus::Timeout);
        let unhandled = failed && !spec.optional && !node.marks.handled;
        Self([
            node.status.is_settled(),
            node.status == NodeStatus::Completed,
            failed && spec.optional,
            unhandled,
            unhandled && node.marks.open,
            node.marks.placed,
            node.marks.queued || node.status.is_at_work(),
        ])
    }

    /// Adds it to counts, for those who recount.
    pub(crate) fn add_to(self, counts: &mut MemberCounts) {
        counts.all += 1;
        counts.change(Self([false; 7]), self);
    }
}

/// A group that has started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupState {
    /// Which of the plan's expansions has its members; none: they were there from the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expansion: Option<u32>,
    pub counts: MemberCounts,
    /// In a group whose members run in order: how many of the first have settled.
    pub passed: u32,
    /// Its end is decided, and running attempts of its members may still report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ending: Option<GroupEnding>,
}

/// A decided end of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupEnding {
    /// The state to come.
    pub to: NodeStatus,
    /// When running attempts are revoked.
    pub until: Millis,
}

impl GroupState {
    pub(crate) fn new(expansion: Option<u32>, members: u32) -> Self {
        Self { expansion, counts: MemberCounts::of(members), passed: 0, ending: None }
    }

    /// Whether the group, which stands so, is at work and its end not decided.
    pub(crate) fn is_open(&self, node: &NodeState) -> bool {
        node.hold == Some(Hold::Members) && self.ending.is_none()
    }

    /// The position of a member, counted from 0.
    pub(crate) fn member(&self, plan: &Plan, group: u32, at: u32) -> Option<u32> {
        match self.expansion.and_then(|expansion| plan.added.get(expansion as usize)) {
            Some(expansion) => (at < expansion.count).then(|| expansion.member(at)),
            None => plan.declared_member(group, at),
        }
    }

    /// Positions of its direct members, ascending.
    pub fn members<'a>(&self, plan: &'a Plan, group: u32) -> impl Iterator<Item = u32> + 'a {
        let expansion = self.expansion.and_then(|expansion| plan.added.get(expansion as usize));
        let declared = expansion.is_none().then(|| plan.declared_members(group));
        let copies = expansion.map(|of| (0..of.count).map(|item| of.member(item)));
        declared.into_iter().flatten().chain(copies.into_iter().flatten())
    }
}

/// Where nodes and their counts are looked up and changed: the committed state, or what a decision has made of it.
pub(crate) trait Ledger {
    fn plan(&self) -> &Arc<Plan>;
    fn node(&self, ix: u32) -> &NodeState;
    fn node_mut(&mut self, ix: u32) -> &mut NodeState;
    fn group_mut(&mut self, group: u32) -> Option<&mut GroupState>;
    /// A group runs no more, and begins anew when it starts again.
    fn drop_group(&mut self, group: u32);
    /// Counts of the nodes that no group has.
    fn outermost_mut(&mut self) -> &mut MemberCounts;
    /// Nodes by state.
    fn by_state_mut(&mut self) -> &mut [u32; 12];
}

/// What becomes of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Move {
    pub(crate) to: NodeStatus,
    /// Why it waits, when it does.
    pub(crate) hold: Option<Hold>,
    /// It is skipped because another branch was taken.
    pub(crate) bypassed: bool,
}

/// The only place where a node's state changes: the counts of its group, of its job and of its children move with it.
pub(crate) fn move_node<L: Ledger>(ledger: &mut L, ix: u32, what: Move, at: Millis) {
    let plan = Arc::clone(ledger.plan());
    let spec = plan.node(ix);
    let from = ledger.node(ix).status;
    let was = outcome_of(ledger.node(ix), spec.optional);
    let failed = matches!(what.to, NodeStatus::Failed | NodeStatus::Timeout);
    let may_be_handled = failed && plan.may_be_handled(ix);
    // An event lists transitions by kind: that of a handler may stand before the failure that it handles.
    let handled =
        may_be_handled && has_handler(ledger, &plan, ix, |of| of == NodeStatus::Completed);
    let open = may_be_handled
        && !handled
        && !spec.optional
        && has_handler(ledger, &plan, ix, |of| !of.is_settled());
    change_share(ledger, &plan, ix, |node| {
        node.status = what.to;
        node.since = at;
        node.hold = what.hold;
        node.marks.bypassed = what.bypassed;
        node.marks.handled = handled;
        node.marks.open = open;
        node.marks.queued = false;
        node.marks.placed = keeps_place(node, what);
        if what.to == NodeStatus::Ready && node.first_ready == 0 {
            node.first_ready = at;
        }
        if what.to == NodeStatus::Pending {
            node.begin_again();
        }
        if what.hold == Some(Hold::Members) {
            node.begin_members(at);
        }
    });
    if what.to == NodeStatus::Pending {
        ledger.drop_group(ix);
    } else if spec.group().is_some()
        && let Some(group) = ledger.group_mut(ix)
    {
        group.ending = None;
    }
    let by_state = ledger.by_state_mut();
    by_state[from.index()] -= 1;
    by_state[what.to.index()] += 1;
    tell_children(ledger, &plan, ix, was);
    if what.to.is_settled() && spec.handles_any() {
        settle_handler(ledger, &plan, ix);
    }
    if what.to.is_settled() != was.is_some() {
        pass_settled(ledger, &plan, ix);
    }
}

/// Whether a node that waits for its group's place, or has it, has it after a move: a place is kept while it is worked on,
/// and given back for a wait.
fn keeps_place(node: &NodeState, what: Move) -> bool {
    match what.to {
        NodeStatus::Ready | NodeStatus::Running | NodeStatus::Compensating => true,
        NodeStatus::Waiting => matches!(what.hold, Some(Hold::Members)),
        NodeStatus::Pending => node.marks.placed && node.marks.queued,
        NodeStatus::Retrying
        | NodeStatus::Completed
        | NodeStatus::Failed
        | NodeStatus::Timeout
        | NodeStatus::Skipped
        | NodeStatus::Cancelled
        | NodeStatus::Compensated => false,
    }
}

/// A group that waited already, for something else, waits for its members now. Where it has moved on within the same event,
/// the attempt counts alone.
pub(crate) fn begin_group<L: Ledger>(ledger: &mut L, ix: u32, at: Millis) {
    let plan = Arc::clone(ledger.plan());
    change_share(ledger, &plan, ix, |node| {
        node.begin_members(at);
        if node.status == NodeStatus::Waiting {
            node.since = at;
            node.hold = Some(Hold::Members);
            node.marks.queued = false;
            node.marks.placed = true;
        }
    });
}

/// A node waits for a place: for one of its group first (`placed` is false), then for one of the job.
pub(crate) fn queue_node<L: Ledger>(ledger: &mut L, ix: u32, placed: bool) {
    let plan = Arc::clone(ledger.plan());
    change_share(ledger, &plan, ix, |node| {
        node.marks.queued = true;
        node.marks.placed = placed;
        // A node that waited for something else waits for a place now.
        node.hold = node.hold.map(|_| Hold::Limit);
    });
}

/// A failure was handled, or a skip that rested on such failures alone: that one counts as nothing from now on.
pub(crate) fn excuse_node<L: Ledger>(ledger: &mut L, ix: u32) {
    let plan = Arc::clone(ledger.plan());
    let optional = plan.node(ix).optional;
    let was = outcome_of(ledger.node(ix), optional);
    change_share(ledger, &plan, ix, |node| {
        node.marks.handled = true;
        node.marks.open = false;
    });
    tell_children(ledger, &plan, ix, was);
}

/// Tells the children of a node what it is for them now.
fn tell_children<L: Ledger>(ledger: &mut L, plan: &Plan, ix: u32, was: Option<ParentOutcome>) {
    let now = outcome_of(ledger.node(ix), plan.node(ix).optional);
    if was != now {
        for child in plan.children(ix) {
            tell_child(ledger.node_mut(child), was, now);
        }
    }
}

fn change_share<L: Ledger>(
    ledger: &mut L,
    plan: &Plan,
    ix: u32,
    change: impl FnOnce(&mut NodeState),
) {
    let spec = plan.node(ix);
    let node = ledger.node_mut(ix);
    let before = CountShare::of(node, spec);
    change(node);
    let now = CountShare::of(node, spec);
    if before == now {
        return;
    }
    match plan.container(ix) {
        Some(group) => {
            if let Some(group) = ledger.group_mut(group) {
                group.counts.change(before, now);
            }
        }
        None if spec.cleanup().is_some() => {}
        None => ledger.outermost_mut().change(before, now),
    }
}

fn tell_child(child: &mut NodeState, was: Option<ParentOutcome>, now: Option<ParentOutcome>) {
    let counts = |child: &mut NodeState, outcome, add: bool| {
        let count = match outcome {
            None => &mut child.unsettled,
            Some(ParentOutcome::Good) => &mut child.completed,
            Some(ParentOutcome::Bypassed) => &mut child.bypassed,
            // What is left of the parents.
            Some(ParentOutcome::Bad) => return,
        };
        *count = if add { *count + 1 } else { *count - 1 };
    };
    counts(child, was, false);
    counts(child, now, true);
}

/// Whether a node that may run because of this one's failure stands so.
fn has_handler<L: Ledger>(
    ledger: &L,
    plan: &Plan,
    ix: u32,
    stands: impl Fn(NodeStatus) -> bool,
) -> bool {
    let place = plan.place(ix).node;
    plan.children(ix)
        .any(|child| plan.node(child).handles(place) && stands(ledger.node(child).status))
}

/// A node that runs because of failures has settled: when it completed, they are handled.
fn settle_handler<L: Ledger>(ledger: &mut L, plan: &Plan, ix: u32) {
    let completed = ledger.node(ix).status == NodeStatus::Completed;
    for parent in handled_by(plan, ix) {
        let state = ledger.node(parent);
        if !matches!(state.status, NodeStatus::Failed | NodeStatus::Timeout) {
            continue;
        }
        if completed {
            excuse_node(ledger, parent);
        } else if state.marks.open && !has_handler(ledger, plan, parent, |of| !of.is_settled()) {
            change_share(ledger, plan, parent, |node| node.marks.open = false);
        }
    }
}

/// The parents because of whose failure a node runs.
pub(crate) fn handled_by(plan: &Plan, ix: u32) -> impl Iterator<Item = u32> + '_ {
    let spec = plan.node(ix);
    plan.parents(ix).filter(move |parent| spec.handles(plan.place(*parent).node))
}

/// In a group whose members run in order, moves on behind those that have settled.
fn pass_settled<L: Ledger>(ledger: &mut L, plan: &Plan, ix: u32) {
    let Some(group) = plan.container(ix) else { return };
    if !plan.node(group).group().is_some_and(|group| group.in_order) {
        return;
    }
    let Some(mut state) = ledger.group_mut(group).copied() else { return };
    if ledger.node(ix).status.is_settled() {
        while let Some(next) = state.member(plan, group, state.passed)
            && ledger.node(next).status.is_settled()
        {
            state.passed += 1;
        }
    } else {
        // They begin again; whoever settles first counts anew.
        state.passed = 0;
    }
    if let Some(now) = ledger.group_mut(group) {
        now.passed = state.passed;
    }
}
