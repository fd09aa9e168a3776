//! The state with what an event in the making changes: nodes that are touched, members that come to be, groups. The counts
//! move as they will when the event is applied, because the same code moves them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::ids::Millis;
use crate::job::members::{GroupState, Ledger, MemberCounts};
use crate::job::plan::{Expansion, Plan};
use crate::job::state::{JobState, NodeState};
use crate::node::status::NodeStatus;

/// From so many touched nodes on a copy of all costs less than a map of them.
const FEW_TOUCHED: usize = 256;

/// Nodes with an event's changes.
#[derive(Debug)]
enum Touched {
    Few(BTreeMap<u32, NodeState>),
    /// All nodes of the state, touched or not.
    All(Vec<NodeState>),
}

/// The state with an event's changes.
#[derive(Debug)]
pub(super) struct Book<'a> {
    state: &'a JobState,
    plan: Arc<Plan>,
    touched: Touched,
    /// Nodes that come to be with this event.
    grown: Vec<NodeState>,
    /// None: it runs no more, and begins anew when it starts again.
    groups: BTreeMap<u32, Option<GroupState>>,
    outermost: MemberCounts,
    by_state: [u32; 12],
}

impl<'a> Book<'a> {
    pub(super) fn new(state: &'a JobState) -> Self {
        Self {
            state,
            plan: Arc::clone(&state.plan),
            touched: Touched::Few(BTreeMap::new()),
            grown: Vec::new(),
            groups: BTreeMap::new(),
            outermost: state.head.members,
            by_state: state.head.counts,
        }
    }

    pub(super) fn count(&self, status: NodeStatus) -> u32 {
        self.by_state[status.index()]
    }

    pub(super) fn outermost(&self) -> &MemberCounts {
        &self.outermost
    }

    pub(super) fn group(&self, ix: u32) -> Option<GroupState> {
        match self.groups.get(&ix) {
            Some(changed) => *changed,
            None => self.state.groups.get(&ix).copied(),
        }
    }

    /// A group starts, with members that are there or come to be.
    pub(super) fn set_group(&mut self, ix: u32, group: GroupState) {
        self.groups.insert(ix, Some(group));
    }

    /// A node of the plan is changed.
    pub(super) fn change_plan(&mut self, change: impl FnOnce(&mut Plan)) {
        change(Arc::make_mut(&mut self.plan));
    }

    /// Members come to be.
    pub(super) fn add(&mut self, expansion: &Expansion, at: Millis) {
        let plan = Arc::make_mut(&mut self.plan);
        plan.added.push(expansion.clone());
        let new = expansion.first..expansion.end();
        self.by_state[NodeStatus::Pending.index()] += expansion.end() - expansion.first;
        self.grown.extend(new.map(|ix| NodeState::blank(self.plan.parent_count(ix), at)));
    }
}

impl Ledger for Book<'_> {
    fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    fn node(&self, ix: u32) -> &NodeState {
        let there = self.state.nodes.len();
        match ix as usize {
            at if at >= there => &self.grown[at - there],
            at => match &self.touched {
                Touched::All(nodes) => &nodes[at],
                Touched::Few(nodes) if nodes.is_empty() => &self.state.nodes[at],
                Touched::Few(nodes) => nodes.get(&ix).unwrap_or(&self.state.nodes[at]),
            },
        }
    }

    fn node_mut(&mut self, ix: u32) -> &mut NodeState {
        let there = self.state.nodes.len();
        let at = ix as usize;
        if at >= there {
            return &mut self.grown[at - there];
        }
        if let Touched::Few(few) = &mut self.touched
            && few.len() >= FEW_TOUCHED
        {
            let mut all = self.state.nodes.clone();
            for (ix, node) in std::mem::take(few) {
                all[ix as usize] = node;
            }
            self.touched = Touched::All(all);
        }
        match &mut self.touched {
            Touched::All(nodes) => &mut nodes[at],
            Touched::Few(nodes) => nodes.entry(ix).or_insert_with(|| self.state.nodes[at].clone()),
        }
    }

    fn group_mut(&mut self, ix: u32) -> Option<&mut GroupState> {
        let there = || self.state.groups.get(&ix).copied();
        self.groups.entry(ix).or_insert_with(there).as_mut()
    }

    fn drop_group(&mut self, ix: u32) {
        if self.group(ix).is_some() {
            self.groups.insert(ix, None);
        }
    }

    fn outermost_mut(&mut self) -> &mut MemberCounts {
        &mut self.outermost
    }

    fn by_state_mut(&mut self) -> &mut [u32; 12] {
        &mut self.by_state
    }
}
