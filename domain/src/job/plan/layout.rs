//! Where the nodes of a job stand. The first positions are those of the plan's own nodes; behind them stand, in the order
//! in which they came to be, the members of groups that went over a list: as many copies of a template as the list has
//! items, by arithmetic. A node of a template is described once.
//! Always holds: a position never changes what it names, and grows only at the end.
//! Hazard: relatives of a node are places among the nodes of the plan; `shift` makes them positions, and holds only inside
//! one copy of one template. The group around a copy stands in another.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Plan, PlanNode, Taken, TemplateRange};
use crate::bounds;
use crate::payload::Payload;

/// Members that came to be: copies of a template, one an item.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Expansion {
    /// The group's position.
    pub group: u32,
    /// The position of the first copy's first node.
    pub first: u32,
    /// Items of the list.
    pub count: u32,
    pub template: TemplateRange,
    /// What it goes over: a JSON list.
    pub list: Payload,
}

impl Expansion {
    /// Behind its last node.
    pub fn end(&self) -> u32 {
        self.first + self.count * self.template.nodes
    }

    /// The member for this item.
    pub fn member(&self, item: u32) -> u32 {
        self.first + item * self.template.nodes
    }
}

/// What stands at a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodePlace {
    /// Which node of the plan it is, or is a copy of.
    pub node: u32,
    /// What makes places of the plan positions, wrapping, within the same copy.
    shift: u32,
    /// Of which expansion it is a copy, and for which item.
    pub copy: Option<(u32, u32)>,
}

impl NodePlace {
    /// The position of another node of the same copy.
    fn shifted(self, node: u32) -> u32 {
        node.wrapping_add(self.shift)
    }
}

impl Plan {
    /// How many nodes the job has.
    pub fn node_count(&self) -> u32 {
        self.added.last().map_or(self.initial, Expansion::end)
    }

    /// The positions of all nodes that the job has.
    pub fn positions(&self) -> std::ops::Range<u32> {
        0..self.node_count()
    }

    /// What stands at a position below `node_count`.
    pub fn place(&self, ix: u32) -> NodePlace {
        if ix < self.initial {
            return NodePlace { node: ix, shift: 0, copy: None };
        }
        let behind = self.added.partition_point(|expansion| expansion.first <= ix);
        let of = behind.saturating_sub(1);
        let Some(expansion) = self.added.get(of) else {
            return NodePlace { node: ix, shift: 0, copy: None };
        };
        let from_first = ix - expansion.first;
        let item = from_first / expansion.template.nodes;
        let node = expansion.template.first + from_first % expansion.template.nodes;
        let of = u32::try_from(of).unwrap_or(u32::MAX);
        NodePlace { node, shift: ix.wrapping_sub(node), copy: Some((of, item)) }
    }

    /// The node at a position below `node_count`, as it is now.
    pub fn node(&self, ix: u32) -> &PlanNode {
        match self.changed.get(&ix) {
            Some(changed) => &changed.node,
            None => self.submitted(ix),
        }
    }

    /// The node at a position, if there is one.
    pub fn get(&self, ix: u32) -> Option<&PlanNode> {
        (ix < self.node_count()).then(|| self.node(ix))
    }

    /// Positions of the nodes that this one depends on, as the caller listed them.
    pub fn parents(&self, ix: u32) -> impl ExactSizeIterator<Item = u32> + Clone + '_ {
        let place = self.place(ix);
        self.graph.parents(place.node).iter().map(move |parent| place.shifted(*parent))
    }

    /// How many nodes this one depends on.
    pub fn parent_count(&self, ix: u32) -> u32 {
        u32::try_from(self.graph.parents(self.place(ix).node).len()).unwrap_or(u32::MAX)
    }

    /// Positions of the nodes that depend on this one, ascending.
    pub fn children(&self, ix: u32) -> impl ExactSizeIterator<Item = u32> + Clone + '_ {
        let place = self.place(ix);
        self.graph.children(place.node).iter().map(move |child| place.shifted(*child))
    }

    /// Edges on the longest path from a root of its job or group.
    pub fn level(&self, ix: u32) -> u32 {
        self.graph.level(self.place(ix).node)
    }

    /// Every position, each node behind those that it depends on.
    pub fn order(&self) -> Vec<u32> {
        let order = self.graph.order();
        let mut all: Vec<u32> = order.iter().copied().filter(|ix| *ix < self.initial).collect();
        all.reserve(self.node_count() as usize - all.len());
        for expansion in &self.added {
            let TemplateRange { first, nodes } = expansion.template;
            let own = order.iter().filter(|ix| (first..first + nodes).contains(*ix));
            let own: Vec<u32> = own.map(|ix| ix - first).collect();
            for item in 0..expansion.count {
                all.extend(own.iter().map(|place| expansion.member(item) + place));
            }
        }
        all
    }

    /// The group that a node is a direct member of.
    pub fn container(&self, ix: u32) -> Option<u32> {
        let place = self.place(ix);
        let container = self.nodes[place.node as usize].container?;
        match place.copy {
            Some((of, _)) if self.is_first_of_copy(of, place.node) => {
                Some(self.added[of as usize].group)
            }
            Some(_) | None => Some(place.shifted(container)),
        }
    }

    /// Whether a node was a member of its group from the start, or is one of the copies of another group's template.
    pub(crate) fn is_declared(&self, ix: u32) -> bool {
        let place = self.place(ix);
        place.copy.is_none_or(|(of, _)| !self.is_first_of_copy(of, place.node))
    }

    /// Whether these nodes are a template of one of the plan's groups.
    pub(crate) fn is_template(&self, range: TemplateRange) -> bool {
        let mut groups = self.nodes.iter().filter_map(PlanNode::group);
        groups.any(|group| group.template == Some(range))
    }

    fn is_first_of_copy(&self, of: u32, node: u32) -> bool {
        self.added[of as usize].template.first == node
    }

    /// The groups around a node, innermost first.
    pub fn containers(&self, ix: u32) -> impl Iterator<Item = u32> + '_ {
        std::iter::successors(self.container(ix), |group| self.container(*group))
    }

    /// Whether a node is a group that has its members from the start.
    pub(crate) fn has_declared_members(&self, ix: u32) -> bool {
        self.node(ix).group().is_some_and(|group| group.template.is_none())
    }

    /// The direct members of a group that has them from the start, ascending.
    pub fn declared_members(&self, group: u32) -> impl ExactSizeIterator<Item = u32> + Clone + '_ {
        let place = self.place(group);
        self.members.row(place.node).iter().map(move |member| place.shifted(*member))
    }

    /// The direct member at this place among those that a group has from the start.
    pub fn declared_member(&self, group: u32, at: u32) -> Option<u32> {
        let place = self.place(group);
        self.members.row(place.node).get(at as usize).map(|member| place.shifted(*member))
    }

    /// The item of the list that a node works on, with the expansion that has it: that of the innermost group around it
    /// that goes over a list.
    pub fn item_of(&self, ix: u32) -> Option<(&Expansion, u32)> {
        let (of, item) = self.place(ix).copy?;
        Some((&self.added[of as usize], item))
    }

    /// The position of a node of the plan as this one sees it: in its own copy, or in one that is around it.
    pub fn seen_from(&self, ix: u32, node: u32) -> u32 {
        let mut at = self.place(ix);
        while let Some((of, _)) = at.copy {
            let expansion = &self.added[of as usize];
            let own = expansion.template.first..expansion.template.first + expansion.template.nodes;
            if own.contains(&node) {
                break;
            }
            at = self.place(expansion.group);
        }
        at.shifted(node)
    }

    /// The output of a condition that takes this branch.
    pub(crate) fn branch_output(&self, ix: u32, taken: Taken) -> Option<Payload> {
        let condition = self.node(ix).branches()?;
        let key = |node: &u32| self.nodes[*node as usize].key.as_str();
        let then: Vec<&str> = condition.then(taken).iter().map(key).collect();
        let branch = match taken {
            Taken::Branch(place) => serde_json::Value::from(place),
            Taken::Default => "default".into(),
            Taken::Nothing => serde_json::Value::Null,
        };
        let json = serde_json::json!({ "branch": branch, "then": then });
        // A condition that names thousands of nodes says which branch it took, and no more.
        let raw = RawValue::from_string(json.to_string()).ok();
        let raw = raw.filter(|raw| raw.get().len() <= bounds::PAYLOAD_INLINE_BYTES_MAX);
        let short = || RawValue::from_string(serde_json::json!({ "branch": branch }).to_string());
        raw.or_else(|| short().ok()).map(|raw| Payload::Inline(Arc::from(raw)))
    }

    /// The node's path: its key, behind those of the groups around it; a copy is named by its item.
    pub fn path(&self, ix: u32) -> String {
        let place = self.place(ix);
        let node = &self.nodes[place.node as usize];
        match (self.container(ix), place.copy) {
            (Some(group), Some((of, item))) if self.is_first_of_copy(of, place.node) => {
                format!("{}[{item}]", self.path(group))
            }
            (Some(group), _) => format!("{}/{}", self.path(group), node.key),
            (None, _) => node.key.to_string(),
        }
    }
}

/// The direct members of the groups that have them from the start, by the group's place in the plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct MemberRows {
    starts: Box<[u32]>,
    members: Box<[u32]>,
}

impl MemberRows {
    /// Of a plan's nodes, of which the first `initial` are no template's.
    pub(super) fn of(nodes: &[PlanNode]) -> Self {
        if nodes.iter().all(|node| node.container.is_none()) {
            return Self::default();
        }
        let mut templates: Vec<u32> = nodes
            .iter()
            .filter_map(|node| node.group().and_then(|group| group.template))
            .map(|template| template.first)
            .collect();
        templates.sort_unstable();
        let mut rows: Vec<Vec<u32>> = vec![Vec::new(); nodes.len()];
        for (ix, node) in (0_u32..).zip(nodes) {
            let is_template = templates.binary_search(&ix).is_ok();
            if let Some(row) = node.container.and_then(|group| rows.get_mut(group as usize))
                && !is_template
            {
                row.push(ix);
            }
        }
        let ends = rows.iter().scan(0, |end, row| {
            *end += u32::try_from(row.len()).unwrap_or(u32::MAX);
            Some(*end)
        });
        Self { starts: std::iter::once(0).chain(ends).collect(), members: rows.concat().into() }
    }

    /// The members of one group.
    fn row(&self, group: u32) -> &[u32] {
        let at = group as usize;
        let (Some(start), Some(end)) = (self.starts.get(at), self.starts.get(at + 1)) else {
            return &[];
        };
        self.members.get(*start as usize..*end as usize).unwrap_or_default()
    }
}
