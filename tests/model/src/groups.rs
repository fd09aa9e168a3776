//! When the condition of a group, or of the job, is decided, and how.

use domain::job::spec::CompleteWhen;
use domain::node::status::NodeStatus;

use super::Model;

impl Model {
    /// How these nodes end together, if that is decided whatever becomes of those that have not settled. `is_good`: who counts
    /// as completed.
    fn decided(
        &self,
        condition: CompleteWhen,
        of: &[usize],
        is_good: impl Fn(usize) -> bool,
    ) -> Option<NodeStatus> {
        let count = |wanted: &dyn Fn(usize) -> bool| of.iter().filter(|ix| wanted(**ix)).count();
        let open = count(&|ix| !self.nodes[ix].status.is_settled());
        let failed = count(&|ix| self.fails_for_good(ix));
        let good = count(&is_good);
        let tolerates = |holds: bool| {
            let completes = (open == 0).then_some(NodeStatus::Completed);
            if holds { completes } else { Some(NodeStatus::Failed) }
        };
        let at_least = |least: usize| {
            let fails = (good + open < least).then_some(NodeStatus::Failed);
            if good >= least { Some(NodeStatus::Completed) } else { fails }
        };
        match condition {
            CompleteWhen::All => tolerates(failed == 0),
            CompleteWhen::Any => at_least(1),
            CompleteWhen::AtLeast(least) => at_least(least as usize),
            CompleteWhen::TolerateCount(most) => tolerates(failed <= most as usize),
            CompleteWhen::TolerateAtMostPercent(most) => {
                tolerates(failed * 100 <= usize::from(most) * of.len())
            }
        }
    }

    /// A required node failed, and nobody handled it or will.
    pub fn fails_for_good(&self, ix: usize) -> bool {
        self.nodes[ix].is_failed()
            && !self.spec(ix).optional
            && !self.is_handled(ix)
            && !self.may_be_handled(ix)
    }

    pub fn group_decided(&self, ix: usize) -> Option<NodeStatus> {
        let condition = self.spec(ix).group()?.complete_when;
        let is_good = |member: usize| {
            let node = &self.nodes[member];
            node.status == NodeStatus::Completed || node.is_failed() && self.spec(member).optional
        };
        self.decided(condition, &self.nodes[ix].members, is_good)
    }

    pub fn job_decided(&self) -> Option<NodeStatus> {
        let completed = |ix: usize| self.nodes[ix].status == NodeStatus::Completed;
        self.decided(self.plan.complete_when, &self.outermost(), completed)
    }

    /// Whether a group is at work, and its end not decided.
    pub fn is_open(&self, ix: usize) -> bool {
        self.nodes[ix].has_begun() && self.nodes[ix].ending.is_none()
    }

    /// Whether a node is offered, runs, or waits for something that comes.
    pub fn is_active(&self, ix: usize) -> bool {
        self.nodes[ix].status.is_at_work() || self.is_queued(ix)
    }

    /// Whether nobody in a group will ever go on by itself: nobody is at work, or in a group that runs its members in order
    /// the next one can never start.
    pub fn is_stuck(&self, ix: usize) -> bool {
        let members = self.nodes[ix].members.iter();
        let mut open = members.filter(|member| !self.nodes[**member].status.is_settled());
        let in_order = self.spec(ix).group().is_some_and(|group| group.in_order);
        if in_order {
            return open.next().is_some_and(|next| !self.is_active(*next));
        }
        let mut open = open.peekable();
        open.peek().is_some() && !open.any(|member| self.is_active(*member))
    }
}
