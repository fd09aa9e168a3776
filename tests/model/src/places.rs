//! Places: nobody has one too many, nobody waits beside a free one, and members that run in order do.

use domain::node::hold::Hold;
use domain::node::status::NodeStatus;

use super::{Model, Wrong};

impl Model {
    /// Whether it waits for a place of its group or of the job.
    pub fn is_queued(&self, ix: usize) -> bool {
        self.held.contains(&ix) || self.gated.contains(&ix)
    }

    /// Whether it has one of the places of its group.
    pub fn is_placed(&self, ix: usize) -> bool {
        match self.nodes[ix].status {
            NodeStatus::Ready | NodeStatus::Running => true,
            NodeStatus::Waiting if self.nodes[ix].hold == Some(Hold::Members) => true,
            _ => self.held.contains(&ix) && self.nodes[ix].container.is_some(),
        }
    }

    pub(super) fn places(&self) -> Result<(), Wrong> {
        let taken = self.many(&[NodeStatus::Ready, NodeStatus::Running]);
        let most = self.plan.max_parallel.map(|most| most as usize);
        if most.is_some_and(|most| taken > most) {
            return Err(format!("max_parallel: {taken} at once"));
        }
        if !self.held.is_empty() && most != Some(taken) {
            return Err(format!("a place is free, and nodes {:?} wait", self.held));
        }
        for ix in self.all().filter(|ix| self.is_open(*ix) && self.is_current(*ix)) {
            self.group_places(ix)?;
        }
        Ok(())
    }

    fn group_places(&self, ix: usize) -> Result<(), Wrong> {
        let members = &self.nodes[ix].members;
        let Some(group) = self.spec(ix).group() else { return Ok(()) };
        let placed = members.iter().filter(|member| self.is_placed(**member)).count();
        let waits = members.iter().any(|member| self.gated.contains(member));
        let most =
            if group.in_order { Some(1) } else { group.max_parallel.map(|most| most as usize) };
        if most.is_some_and(|most| placed > most) {
            return Err(format!("max_parallel of group {ix}: {placed} at once"));
        }
        if group.in_order {
            let settled = |member: &&usize| self.nodes[**member].status.is_settled();
            let next = members.iter().find(|member| !settled(member));
            if next.is_some_and(|next| self.gated.contains(next)) {
                return Err(format!("the next member of group {ix} waits for a place"));
            }
            let out_of_order = members.iter().find(|of| self.is_placed(**of) && Some(*of) != next);
            return match out_of_order {
                Some(early) => Err(format!("node {early} runs before those in front of it")),
                None => Ok(()),
            };
        }
        if waits && most.is_none_or(|most| placed < most) {
            return Err(format!("a place of group {ix} is free, and a member waits for it"));
        }
        Ok(())
    }
}
