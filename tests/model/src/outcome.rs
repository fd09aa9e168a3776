//! What parents are for a node, and what they say about it, in the words of the design.

use domain::expression::NodePart;
use domain::node::spec::DependencyCondition;
use domain::node::status::NodeStatus;

use super::Model;

/// What a settled node is for those that depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It completed, or is optional and failed.
    Good,
    /// It failed, timed out, was cancelled, or was skipped because of a failure.
    Bad,
    /// It counts as nothing.
    Bypassed,
}

/// What parents say about a node that has not begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says {
    /// Not decided yet.
    Waits,
    /// It may start; a conditional one is asked.
    Starts,
    Bypassed,
    Skipped,
    /// It can never start, and stays pending.
    Blocked,
}

impl Model {
    /// None: it has not settled.
    pub fn outcome(&self, ix: usize) -> Option<Outcome> {
        let node = &self.nodes[ix];
        match node.status {
            NodeStatus::Completed => Some(Outcome::Good),
            NodeStatus::Failed | NodeStatus::Timeout if self.spec(ix).optional => {
                Some(Outcome::Good)
            }
            NodeStatus::Skipped if node.bypassed || node.excused => Some(Outcome::Bypassed),
            _ => node.status.is_settled().then_some(Outcome::Bad),
        }
    }

    /// Whether a node runs because of what became of this parent: its `when` reads how that ended.
    pub fn handles(&self, child: usize, parent: usize) -> bool {
        let (spec, of) = (self.spec(child), self.nodes[parent].spec);
        let reads_end = spec.reads().iter().any(|read| {
            let is_end = matches!(read.part, NodePart::Status | NodePart::Error);
            read.decides && read.node as usize == of && is_end
        });
        spec.condition == DependencyCondition::Conditional
            && self.nodes[child].parents.contains(&parent)
            && reads_end
    }

    /// Whether a node that ran because of its failure completed.
    pub fn is_handled(&self, ix: usize) -> bool {
        let completed = |child: &usize| self.nodes[*child].status == NodeStatus::Completed;
        self.nodes[ix].is_failed()
            && self.children(ix).filter(completed).any(|child| self.handles(child, ix))
    }

    /// Whether a node may still run because of its failure, which nobody handled yet.
    pub fn may_be_handled(&self, ix: usize) -> bool {
        let unsettled = |child: &usize| !self.nodes[*child].status.is_settled();
        let mut open = self.children(ix).filter(unsettled);
        self.nodes[ix].is_failed()
            && !self.spec(ix).optional
            && !self.is_handled(ix)
            && open.any(|child| self.handles(child, ix))
    }

    /// Whether all parents that ended badly failed, and were handled.
    pub fn rests_on_handled(&self, ix: usize) -> bool {
        let parents = self.nodes[ix].parents.iter();
        let mut bad = parents.filter(|parent| self.outcome(**parent) == Some(Outcome::Bad));
        bad.all(|parent| self.is_handled(*parent))
    }

    pub fn says(&self, ix: usize) -> Says {
        let parents: Vec<Option<Outcome>> =
            self.nodes[ix].parents.iter().map(|parent| self.outcome(*parent)).collect();
        let all_settled = parents.iter().all(Option::is_some);
        let mut counted = parents.iter().filter(|end| **end != Some(Outcome::Bypassed)).peekable();
        let nothing_counts = !parents.is_empty() && counted.peek().is_none();
        let good = |end: &Option<Outcome>| *end == Some(Outcome::Good);
        let bad = |end: &Option<Outcome>| *end == Some(Outcome::Bad);
        let never = match self.spec(ix).condition {
            DependencyCondition::Conditional if all_settled => return Says::Starts,
            DependencyCondition::Conditional => return Says::Waits,
            // That those before it clean up after other ends does not keep a cleanup from its own.
            _ if nothing_counts && self.is_cleanup(ix) => return Says::Starts,
            _ if nothing_counts => return Says::Bypassed,
            DependencyCondition::All if counted.all(good) => return Says::Starts,
            DependencyCondition::Any if parents.is_empty() || parents.iter().any(good) => {
                return Says::Starts;
            }
            DependencyCondition::All => parents.iter().any(bad),
            DependencyCondition::Any => all_settled,
        };
        match never {
            false => Says::Waits,
            true if self.rests_on_handled(ix) => Says::Bypassed,
            true if self.spec(ix).skip_on_failure => Says::Skipped,
            true => Says::Blocked,
        }
    }

    /// Whether a condition took a branch that does not lead here, another one names this node, and nothing else that the
    /// branch leads to comes before it.
    pub fn is_on_an_untaken_branch(&self, ix: usize) -> bool {
        let place = u32::try_from(self.nodes[ix].spec).unwrap_or(u32::MAX);
        self.nodes[ix].parents.iter().any(|parent| {
            let (Some(condition), Some(taken)) =
                (self.spec(*parent).branches(), self.nodes[*parent].taken)
            else {
                return false;
            };
            let completed = self.nodes[*parent].status == NodeStatus::Completed;
            let then = condition.then(taken);
            let is_named = condition.named().any(|named| named == place);
            completed && is_named && !self.is_reached(ix, *parent, then)
        })
    }

    /// Whether a node is one of these children of a condition, or comes behind one of them.
    fn is_reached(&self, ix: usize, condition: usize, then: &[u32]) -> bool {
        let is_taken = |child: &usize| then.iter().any(|t| *t as usize == self.nodes[*child].spec);
        let mut open: Vec<usize> = self.children(condition).filter(is_taken).collect();
        while let Some(here) = open.pop() {
            if here == ix {
                return true;
            }
            open.extend(self.children(here));
        }
        false
    }
}
