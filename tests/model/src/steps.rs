//! What holds of every event: nobody starts, is skipped or cancelled whom the design does not let, nothing settled moves but
//! in a group that begins again, and a group ends as its members say.

use std::collections::{BTreeMap, BTreeSet};

use domain::job::event::JobEvent;
use domain::job::fact::{FailureFact, FlowFact, JobFact};
use domain::node::hold::Hold;
use domain::node::spec::DependencyCondition;
use domain::node::status::NodeStatus;

use super::stands::wrong_if;
use super::{Model, Outcome, Says, Wrong};

/// What moved with an event.
struct Moves {
    /// Where each node had been before each of its moves.
    left: BTreeMap<usize, Vec<NodeStatus>>,
    /// Groups whose members began.
    begun: BTreeSet<usize>,
}

impl Moves {
    fn of(event: &JobEvent) -> Self {
        let mut left: BTreeMap<usize, Vec<NodeStatus>> = BTreeMap::new();
        let waited = event.flow.iter().flat_map(|flow| flow.begun.iter());
        let mut begun: BTreeSet<usize> = waited.map(|group| group as usize).collect();
        for change in &event.nodes {
            for ix in change.at.iter() {
                left.entry(ix as usize).or_default().push(change.from);
                if change.holds() == Some(Hold::Members) {
                    begun.insert(ix as usize);
                }
            }
        }
        Self { left, begun }
    }

    fn of_node(&self, ix: usize) -> &[NodeStatus] {
        self.left.get(&ix).map_or(&[], Vec::as_slice)
    }
}

impl Model {
    pub(super) fn steps(&self, before: &Self, event: &JobEvent) -> Result<(), Wrong> {
        let (moves, then) = (Moves::of(event), self.before_cancelling(before, event));
        for (ix, left) in &moves.left {
            let told = |wrong: Wrong| {
                format!("{wrong}: node {ix} left {left:?} and is {}", self.nodes[*ix].status)
            };
            self.begins_again(before, *ix, &moves).map_err(told)?;
            self.moved_rightly(event, *ix).map_err(told)?;
        }
        for ix in self.all().filter(|ix| self.left_pending(before, *ix, &moves)) {
            let told = |wrong: Wrong| format!("{wrong}: node {ix} is {}", self.nodes[ix].status);
            self.started_rightly(before, &then, event, &moves, ix).map_err(told)?;
        }
        for ix in self.all().filter(|ix| self.spec(*ix).group().is_some()) {
            let told = |wrong: Wrong| format!("{wrong}: group {ix} is {}", self.nodes[ix].status);
            self.group_ended_rightly(before, event, ix, &moves).map_err(told)?;
        }
        self.excused_rightly(before, &then)?;
        self.ends_rightly(before, event)
    }

    /// Whether a node began with this event.
    fn left_pending(&self, before: &Self, ix: usize, moves: &Moves) -> bool {
        let was_pending =
            before.nodes.get(ix).is_none_or(|node| node.status == NodeStatus::Pending);
        let left_it = moves.of_node(ix).contains(&NodeStatus::Pending);
        let queues = was_pending && !before.is_queued(ix) && self.is_queued(ix);
        left_it && !before.is_queued(ix) || queues
    }

    /// `then`: as things stood before anything was cancelled.
    fn started_rightly(
        &self,
        before: &Self,
        then: &Self,
        event: &JobEvent,
        moves: &Moves,
        ix: usize,
    ) -> Result<(), Wrong> {
        let (node, says) = (&self.nodes[ix], then.says(ix));
        match node.status {
            NodeStatus::Cancelled => wrong_if(self.may_go_on(ix), "cancelled, and could go on"),
            NodeStatus::Skipped if self.ends_with_its_group(ix) => Ok(()),
            NodeStatus::Skipped if node.bypassed => {
                wrong_if(!then.is_bypassed_rightly(ix, moves), "bypassed, and nothing is the cause")
            }
            NodeStatus::Skipped => {
                let fails = node.excused || says == Says::Skipped;
                let given_up = self.is_cleanup(ix) && self.status.is_over();
                wrong_if(!fails && !given_up, "skipped, and no failure is the cause")
            }
            _ => {
                wrong_if(says != Says::Starts, "it starts before its parents let it")?;
                let was = before.nodes.get(ix).is_some() && before.is_on_an_untaken_branch(ix);
                let now = self.is_on_an_untaken_branch(ix)
                    && self.spec(ix).condition != DependencyCondition::Any;
                wrong_if(was || now, "it starts, and another branch was taken")?;
                let failed = node.status == NodeStatus::Failed;
                wrong_if(failed && !says_why(event, ix), "it failed, and nobody says why")
            }
        }
    }

    /// Whether a node counts as nothing for one of the causes there are.
    fn is_bypassed_rightly(&self, ix: usize, moves: &Moves) -> bool {
        let asked = self.spec(ix).condition == DependencyCondition::Conditional
            && self.says(ix) == Says::Starts;
        if let Some(cleanup) = self.spec(ix).cleanup() {
            let end = self.cleans_up_after.unwrap_or(self.status);
            return asked || !super::ends::selects(&cleanup.run_on, end);
        }
        // One handled failure among its parents is enough, whatever becomes of the others: some may have ended since.
        let bad = |parent: &&usize| self.outcome(**parent) == Some(Outcome::Bad);
        let mut bad = self.nodes[ix].parents.iter().filter(bad);
        let handled = bad.clone().any(|parent| self.is_handled(*parent));
        let mut rests = bad.all(|p| self.is_handled(*p) || !moves.of_node(*p).is_empty());
        rests &= handled && self.spec(ix).condition == DependencyCondition::All;
        asked || rests || self.says(ix) == Says::Bypassed || self.is_on_an_untaken_branch(ix)
    }

    /// Whether the group around a node was skipped, or bypassed, as the node was: it never began.
    fn ends_with_its_group(&self, ix: usize) -> bool {
        let node = &self.nodes[ix];
        node.container.is_some_and(|group| {
            let group = &self.nodes[group];
            group.status == NodeStatus::Skipped && group.bypassed == node.bypassed
        })
    }

    /// A failure that is handled excuses whom it kept from starting: at once, and nobody else.
    fn excused_rightly(&self, before: &Self, then: &Self) -> Result<(), Wrong> {
        for ix in self.all() {
            let node = &self.nodes[ix];
            let newly = node.excused && before.nodes.get(ix).is_none_or(|node| !node.excused);
            let rests = node.status == NodeStatus::Skipped && self.rests_on_handled(ix);
            wrong_if(
                newly && !then.rests_on_handled(ix),
                &format!("node {ix} is excused, and nobody handled why"),
            )?;
            let forgotten =
                rests && !node.bypassed && !node.excused && !self.ends_with_its_group(ix);
            wrong_if(forgotten, &format!("node {ix} was skipped for what is handled"))?;
        }
        Ok(())
    }

    /// What has settled moves only where a group around it begins again, and then all of that group does.
    fn begins_again(&self, before: &Self, ix: usize, moves: &Moves) -> Result<(), Wrong> {
        let settled = moves.of_node(ix).iter().filter(|from| from.is_settled()).count();
        let begins = |group: usize| moves.begun.contains(&group);
        let again = settled > 0 && before.is_current(ix) && self.containers(ix).any(begins);
        wrong_if(settled > usize::from(again), "it was settled")
    }

    fn moved_rightly(&self, event: &JobEvent, ix: usize) -> Result<(), Wrong> {
        match self.nodes[ix].status {
            NodeStatus::Timeout => {
                let late = matches!(
                    event.fact,
                    JobFact::Failure(
                        FailureFact::NodesTimedOut { .. } | FailureFact::AttemptTimedOut(_)
                    ) | JobFact::Ending(_)
                        | JobFact::Flow(FlowFact::GroupsRevoked)
                );
                wrong_if(!late && self.spec(ix).group().is_none(), "nothing of it was late")
            }
            NodeStatus::Cancelled => wrong_if(self.may_go_on(ix), "cancelled, and could go on"),
            _ => Ok(()),
        }
    }

    /// A group ends when its condition is decided, and as that says.
    fn group_ended_rightly(
        &self,
        before: &Self,
        event: &JobEvent,
        ix: usize,
        moves: &Moves,
    ) -> Result<(), Wrong> {
        let (now, begun) = (&self.nodes[ix], moves.begun.contains(&ix));
        if begun {
            self.members_begin(before, ix, moves)?;
        }
        let was = before.nodes.get(ix).filter(|was| was.has_begun());
        if !(was.is_some() || begun) || self.is_open(ix) {
            return Ok(());
        }
        let was_ending = was.and_then(|was| was.ending);
        let to = match now.status {
            NodeStatus::Retrying => was_ending.unwrap_or(NodeStatus::Failed),
            status => now.ending.unwrap_or(status),
        };
        if to == NodeStatus::Cancelled {
            return wrong_if(self.may_go_on(ix), "cancelled, and could go on");
        }
        if let Some(was) = was_ending {
            return wrong_if(was != to, &format!("it was ending {was}"));
        }
        let then = self.before_cancelling(before, event);
        let decided = then.group_decided(ix);
        let late = matches!(event.fact, JobFact::Failure(FailureFact::NodesTimedOut { .. }));
        let fits = match (to, decided) {
            (NodeStatus::Failed | NodeStatus::Timeout, None) if late => true,
            (NodeStatus::Failed, None) => then.is_stuck(ix),
            (to, decided) => decided == Some(to),
        };
        wrong_if(!fits, &format!("it ends {to}, and its members say {decided:?}"))
    }

    /// As things stood when an end was decided: without what was cancelled because of it.
    pub(super) fn before_cancelling(&self, before: &Self, event: &JobEvent) -> Self {
        let mut then = self.clone();
        for change in event.nodes.iter().filter(|change| change.to == NodeStatus::Cancelled) {
            for ix in change.at.iter().map(|ix| ix as usize) {
                then.nodes[ix].status = change.from;
                if before.is_queued(ix) {
                    then.gated.insert(ix);
                }
            }
        }
        then
    }

    /// All members of a group that begins are new to it.
    fn members_begin(&self, before: &Self, ix: usize, moves: &Moves) -> Result<(), Wrong> {
        let is_new = |member: &&usize| {
            let was = before.nodes.get(**member);
            was.is_none_or(|was| was.status == NodeStatus::Pending)
                || moves.of_node(**member).first().is_some_and(|from| from.is_settled())
        };
        match self.nodes[ix].members.iter().find(|member| !is_new(member)) {
            Some(member) => Err(format!("member {member} does not begin with its group")),
            None => Ok(()),
        }
    }
}

/// Whether an event says why a node failed without an attempt.
fn says_why(event: &JobEvent, ix: usize) -> bool {
    event.flow.iter().flat_map(|flow| &flow.failed).any(|failure| failure.node as usize == ix)
}
