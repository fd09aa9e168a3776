//! The nodes of a job, each written out: parents, group and members by position, also those of the copies of a template.

use domain::job::plan::{PlanNode, Taken};
use domain::node::hold::Hold;
use domain::node::status::NodeStatus;

use super::Model;

/// A node as events told it.
#[derive(Debug, Clone)]
pub struct Node {
    /// Its place in the plan, or that of what it is a copy of.
    pub spec: usize,
    pub parents: Vec<usize>,
    /// The group that it is a member of.
    pub container: Option<usize>,
    /// Of a group: its members; of one that goes over a list: those of its newest list.
    pub members: Vec<usize>,
    pub status: NodeStatus,
    pub hold: Option<Hold>,
    pub bypassed: bool,
    /// It was skipped because of failures, and they are handled now.
    pub excused: bool,
    /// Something was evaluated for it in this run.
    pub evaluated: bool,
    pub taken: Option<Taken>,
    /// As people changed it, if they did.
    pub changed: Option<Box<PlanNode>>,
    /// How a group is going to end, while attempts of its members run.
    pub ending: Option<NodeStatus>,
}

impl Node {
    pub fn is_failed(&self) -> bool {
        matches!(self.status, NodeStatus::Failed | NodeStatus::Timeout)
    }

    /// A group whose members are at work.
    pub fn has_begun(&self) -> bool {
        self.hold == Some(Hold::Members)
    }
}

impl Model {
    /// Nodes of the plan come to be, behind those that are there. The first of them is a member of `around`.
    pub(super) fn grow(&mut self, places: std::ops::Range<usize>, around: Option<usize>) {
        let (plan, base) = (self.plan.clone(), self.nodes.len());
        for spec in places.clone() {
            let here = |place: &u32| base + *place as usize - places.start;
            let of = &plan.nodes[spec];
            let outer = around.filter(|_| spec == places.start);
            let container = outer.or_else(|| of.container.as_ref().map(here));
            if let Some(group) = container {
                let at = self.nodes.len();
                self.nodes[group].members.push(at);
            }
            self.nodes.push(Node {
                spec,
                parents: of.parents.iter().map(here).collect(),
                container,
                members: Vec::new(),
                status: NodeStatus::Pending,
                hold: None,
                bypassed: false,
                excused: false,
                evaluated: false,
                taken: None,
                changed: None,
                ending: None,
            });
        }
    }

    pub fn spec(&self, ix: usize) -> &PlanNode {
        let node = &self.nodes[ix];
        node.changed.as_deref().unwrap_or(&self.plan.nodes[node.spec])
    }

    /// Every position.
    pub fn all(&self) -> std::ops::Range<usize> {
        0..self.nodes.len()
    }

    pub fn children(&self, ix: usize) -> impl Iterator<Item = usize> + '_ {
        self.all().filter(move |child| self.nodes[*child].parents.contains(&ix))
    }

    /// The groups around a node, innermost first.
    pub fn containers(&self, ix: usize) -> impl Iterator<Item = usize> + '_ {
        std::iter::successors(self.nodes[ix].container, |group| self.nodes[*group].container)
    }

    /// The nodes that the job's success is counted over.
    pub fn outermost(&self) -> Vec<usize> {
        let counts = |ix: &usize| self.nodes[*ix].container.is_none() && !self.is_cleanup(*ix);
        self.all().filter(counts).collect()
    }

    pub fn is_cleanup(&self, ix: usize) -> bool {
        self.spec(ix).cleanup().is_some()
    }

    /// Whether it still counts: the copies of a list that was made anew stay where they ended.
    pub fn is_current(&self, ix: usize) -> bool {
        let mut inner = ix;
        self.containers(ix).all(|group| {
            let is_member = self.nodes[group].members.contains(&inner);
            inner = group;
            is_member
        })
    }
}
