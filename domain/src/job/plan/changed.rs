//! Nodes that people changed after the submission. Whoever asks a plan for a node gets it as it is now; the nodes that the
//! submission had stay beside it, shared as before, so that a job in which nothing was changed pays nothing.
//! Always holds: what was changed of a node never changes its key, its type, its parents or its group.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Plan, PlanNode};
use crate::ids::Millis;
use crate::retry::named::NamedPolicy;

/// A field of a node that people may change while it has not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeField {
    Queue,
    ActionType,
    Priority,
    Timeouts,
    Retry,
    Input,
    AtMostOnce,
}

impl NodeField {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::ActionType => "action_type",
            Self::Priority => "priority",
            Self::Timeouts => "timeouts",
            Self::Retry => "retry",
            Self::Input => "input",
            Self::AtMostOnce => "at_most_once",
        }
    }
}

/// A node as people changed it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChangedNode {
    pub node: PlanNode,
    /// Which of the job's changes was its newest, counted from 1.
    pub number: u32,
    /// When that was.
    pub at: Millis,
    /// What is not as it was submitted any more, each once, in their order.
    pub fields: Vec<NodeField>,
}

impl Plan {
    /// How a node was changed after the submission, if it was.
    pub fn changed(&self, ix: u32) -> Option<&ChangedNode> {
        self.changed.get(&ix).map(AsRef::as_ref)
    }

    /// Changes of nodes after the submission.
    pub fn changes(&self) -> u32 {
        self.changes
    }

    /// The node at a position as it was submitted.
    pub fn submitted(&self, ix: u32) -> &PlanNode {
        &self.nodes[self.place(ix).node as usize]
    }

    /// A node is this from now on.
    pub(crate) fn change(&mut self, ix: u32, node: PlanNode, fields: &[NodeField], at: Millis) {
        self.changes += 1;
        self.note_reads(&node);
        let mut all = self.changed(ix).map(|before| before.fields.clone()).unwrap_or_default();
        all.extend(fields);
        all.sort_unstable();
        all.dedup();
        let changed = ChangedNode { node, number: self.changes, at, fields: all };
        self.changed.insert(ix, Arc::new(changed));
    }

    /// The place of a named policy among those that the plan keeps; it gets one if it has none.
    pub(crate) fn keep_policy(&mut self, named: &Arc<NamedPolicy>) -> u32 {
        let same = |kept: &Arc<NamedPolicy>| kept.id == named.id && kept.version == named.version;
        let known = self.policies.iter().position(same);
        let place = known.unwrap_or_else(|| {
            self.policies.push(Arc::clone(named));
            self.policies.len() - 1
        });
        u32::try_from(place).unwrap_or(u32::MAX)
    }

    /// Takes the changes that a stored plan has, whose nodes are there.
    pub(super) fn takes_changed(&mut self, changed: BTreeMap<u32, Arc<ChangedNode>>, changes: u32) {
        for of in changed.values() {
            self.note_reads(&of.node);
        }
        (self.changed, self.changes) = (changed, changes);
    }

    /// What a changed node reads is kept from now on, and its priority counts.
    fn note_reads(&mut self, node: &PlanNode) {
        self.own_priorities |= node.more.as_ref().is_some_and(|more| more.priority.is_some());
        if !node.reads().is_empty() {
            let members = Arc::clone(&self.nodes);
            self.kept = super::kept::with_reads(&self.kept, node.reads(), &members);
        }
    }
}
