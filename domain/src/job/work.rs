//! The graph of the work itself, for people: groups taken apart. A group comes behind its members, and its members behind
//! what the group depends on; so the longest way through a job leads through the members of its groups.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::job::members::GroupState;
use crate::job::plan::Plan;
use crate::node::graph::Graph;

impl Plan {
    /// The edges of the work, by position. Without groups it is the graph of the plan.
    pub fn work_graph(&self, groups: &BTreeMap<u32, GroupState>) -> Cow<'_, Graph> {
        if self.nodes.iter().all(|node| node.group().is_none()) {
            return Cow::Borrowed(&self.graph);
        }
        let parents: Vec<Vec<u32>> =
            self.positions().map(|ix| self.comes_behind(ix, groups)).collect();
        // The edges of a checked plan make no cycle, and those that are added lead the same way.
        Cow::Owned(Graph::build(&parents).unwrap_or_default())
    }

    fn comes_behind(&self, ix: u32, groups: &BTreeMap<u32, GroupState>) -> Vec<u32> {
        if self.node(ix).group().is_some() {
            let members = match groups.get(&ix) {
                Some(group) => group.members(self, ix).collect(),
                None => self.declared_members(ix).collect::<Vec<u32>>(),
            };
            if !members.is_empty() {
                return members;
            }
        }
        let mut of = ix;
        loop {
            let mut parents: Vec<u32> = self.parents(of).collect();
            if of == ix {
                parents.extend(self.before_in_order(ix));
            }
            parents.sort_unstable();
            parents.dedup();
            match self.container(of).filter(|_| parents.is_empty()) {
                Some(group) => of = group,
                None => return parents,
            }
        }
    }

    /// The member before this one, where a group runs its members in order.
    fn before_in_order(&self, ix: u32) -> Option<u32> {
        let group = self.container(ix)?;
        if !self.node(group).group()?.in_order {
            return None;
        }
        match self.item_of(ix).filter(|_| !self.is_declared(ix)) {
            Some((expansion, item)) => item.checked_sub(1).map(|item| expansion.member(item)),
            None => self.declared_members(group).take_while(|member| *member < ix).last(),
        }
    }
}
