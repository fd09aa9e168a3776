//! Whether the rules' own state says what the model says: every node, mark, count, place and relative.

use domain::job::members::MemberCounts;
use domain::job::state::JobState;
use domain::node::status::NodeStatus;

use super::stands::wrong_if;
use super::{Model, Outcome, Wrong};

impl Model {
    /// Compares with the fold of the same events.
    ///
    /// # Errors
    /// The first thing that differs.
    pub fn agrees(&self, state: &JobState) -> Result<(), Wrong> {
        let head = &state.head;
        wrong_if(
            head.status != self.status || head.ending != self.ending,
            "the job's status differs",
        )?;
        wrong_if(head.stage != self.stage, "the stage of the ending differs")?;
        wrong_if(state.nodes.len() != self.nodes.len(), "the number of nodes differs")?;
        for status in NodeStatus::ALL {
            let same = state.count(status) as usize == self.many(&[status]);
            wrong_if(!same, &format!("the count of {status} nodes differs"))?;
        }
        let held = state.held.iter().map(|ix| *ix as usize);
        let gated = state.gated.iter().map(|(_, ix)| *ix as usize);
        wrong_if(!held.eq(self.held.iter().copied()), "who waits for a place of the job differs")?;
        let mut gated: Vec<usize> = gated.collect();
        gated.sort_unstable();
        wrong_if(!gated.iter().eq(self.gated.iter()), "who waits for a place of a group differs")?;
        for ix in self.all() {
            let told = |wrong: Wrong| format!("{wrong}: node {ix} is {}", self.nodes[ix].status);
            self.node_agrees(state, ix).map_err(told)?;
        }
        let outermost = self.counts_of(&self.outermost());
        wrong_if(head.members != outermost, "the counts of the job differ from a recount")
    }

    fn node_agrees(&self, state: &JobState, ix: usize) -> Result<(), Wrong> {
        let (told, is) = (&self.nodes[ix], &state.nodes[ix]);
        let at = u32::try_from(ix).unwrap_or(u32::MAX);
        wrong_if(told.status != is.status, &format!("it is {} by the rules", is.status))?;
        wrong_if(told.hold != is.hold, &format!("it waits for {:?} by the rules", is.hold))?;
        wrong_if(told.bypassed != is.marks.bypassed, "whether it is bypassed differs")?;
        let handled = self.is_handled(ix) || told.excused;
        wrong_if(handled != is.marks.handled, "whether its failure is handled differs")?;
        wrong_if(self.may_be_handled(ix) != is.marks.open, "whether that is open differs")?;
        wrong_if(self.is_queued(ix) != is.marks.queued, "whether it waits for a place differs")?;
        let placed = self.is_placed(ix);
        wrong_if(placed != is.marks.placed, "whether it has a place differs")?;
        let ends = |wanted: Option<Outcome>| {
            let parents = told.parents.iter();
            parents.filter(|parent| self.outcome(**parent) == wanted).count()
        };
        let counted = (ends(None), ends(Some(Outcome::Good)), ends(Some(Outcome::Bypassed)));
        let says = (is.unsettled as usize, is.completed as usize, is.bypassed as usize);
        wrong_if(counted != says, &format!("it counts parents as {says:?}, they are {counted:?}"))?;
        let parents: Vec<usize> = state.plan.parents(at).map(|parent| parent as usize).collect();
        let children: Vec<usize> = state.plan.children(at).map(|child| child as usize).collect();
        let container = state.plan.container(at).map(|group| group as usize);
        wrong_if(parents != told.parents, "its parents differ")?;
        wrong_if(!children.iter().copied().eq(self.children(ix)), "its children differ")?;
        wrong_if(container != told.container, "its group differs")?;
        self.group_agrees(state, ix)
    }

    fn group_agrees(&self, state: &JobState, ix: usize) -> Result<(), Wrong> {
        let at = u32::try_from(ix).unwrap_or(u32::MAX);
        let Some(group) = state.groups.get(&at) else {
            return wrong_if(self.nodes[ix].has_begun(), "the rules know no group");
        };
        let members = group.members(&state.plan, at).map(|member| member as usize);
        wrong_if(!members.eq(self.nodes[ix].members.iter().copied()), "its members differ")?;
        let ending = group.ending.map(|ending| ending.to);
        wrong_if(ending != self.nodes[ix].ending, "how it is going to end differs")?;
        let counts = self.counts_of(&self.nodes[ix].members);
        let says = &group.counts;
        wrong_if(
            *says != counts,
            &format!("its members are counted as {says:?}, they are {counts:?}"),
        )
    }

    fn counts_of(&self, of: &[usize]) -> MemberCounts {
        let count = |wanted: &dyn Fn(usize) -> bool| {
            let found = of.iter().filter(|ix| wanted(**ix)).count();
            u32::try_from(found).unwrap_or(u32::MAX)
        };
        let required = |ix: usize| self.nodes[ix].is_failed() && !self.spec(ix).optional;
        MemberCounts {
            all: count(&|_| true),
            settled: count(&|ix| self.nodes[ix].status.is_settled()),
            completed: count(&|ix| self.nodes[ix].status == NodeStatus::Completed),
            excused: count(&|ix| self.nodes[ix].is_failed() && self.spec(ix).optional),
            failed: count(&|ix| required(ix) && !self.is_handled(ix)),
            open: count(&|ix| self.may_be_handled(ix)),
            placed: count(&|ix| self.is_placed(ix)),
            active: count(&|ix| self.is_active(ix)),
        }
    }
}
