//! The model of a job and what its events tell it. Nothing is concluded here.

use std::collections::BTreeSet;
use std::sync::Arc;

use domain::job::event::JobEvent;
use domain::job::fact::{AdmissionFact, JobFact};
use domain::job::flow::{Flow, OUTPUT_OF_JOB, Prepared};
use domain::job::outcome::EndingStage;
use domain::job::plan::{Expansion, Plan};
use domain::job::status::JobStatus;
use domain::node::change::NodeChange;
use domain::node::hold::Hold;
use domain::node::status::NodeStatus;
use domain::payload::Payload;

use super::Wrong;
use super::tree::Node;

/// A job as its events told it.
#[derive(Debug, Clone)]
pub struct Model {
    /// As it was submitted: what came to be since then stands in `nodes`.
    pub plan: Arc<Plan>,
    pub nodes: Vec<Node>,
    pub status: JobStatus,
    pub ending: Option<JobStatus>,
    pub stage: EndingStage,
    /// The end for which cleanups were chosen.
    pub cleans_up_after: Option<JobStatus>,
    pub admitted: bool,
    /// Those who wait for a place of the job.
    pub held: BTreeSet<usize>,
    /// Those who wait for a place of their group.
    pub gated: BTreeSet<usize>,
    /// The job's own output was evaluated.
    output_evaluated: bool,
}

impl Model {
    /// Of a job's first event.
    ///
    /// # Errors
    /// It is no first event, or one that no rule allows.
    pub fn begin(event: &JobEvent) -> Result<Self, Wrong> {
        let JobFact::Admission(AdmissionFact::Submitted(submitted)) = &event.fact else {
            return Err("a job that begins otherwise".to_owned());
        };
        let plan = Arc::clone(&submitted.plan);
        let initial = plan.nodes.len() - plan.templates as usize;
        let mut model = Self {
            plan,
            nodes: Vec::new(),
            status: JobStatus::Pending,
            ending: None,
            stage: EndingStage::default(),
            cleans_up_after: None,
            admitted: false,
            held: BTreeSet::new(),
            gated: BTreeSet::new(),
            output_evaluated: false,
        };
        model.grow(0..initial, None);
        model.take(event)?;
        Ok(model)
    }

    /// Reads one more event, and holds it against the rules of flow.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn take(&mut self, event: &JobEvent) -> Result<(), Wrong> {
        let before = self.clone();
        self.is_told(event)?;
        self.steps(&before, event)?;
        self.stands()
    }

    fn is_told(&mut self, event: &JobEvent) -> Result<(), Wrong> {
        if let Some(repair) = event.fact.repair() {
            self.is_changed(repair)?;
        }
        // What runs again begins anew first, and members are there before they move.
        let anew = |change: &&NodeChange| change.to == NodeStatus::Pending;
        for change in event.nodes.iter().filter(anew) {
            self.moves(change)?;
        }
        let nothing = Flow::default();
        let flow = event.flow.as_deref().unwrap_or(&nothing);
        for expansion in &flow.added {
            self.expands(expansion)?;
        }
        for (node, prepared) in &flow.prepared {
            self.is_evaluated(*node, prepared)?;
        }
        for change in event.nodes.iter().filter(|change| !anew(change)) {
            self.moves(change)?;
        }
        for group in flow.begun.iter() {
            let node = self.node(group)?;
            // It may have moved on within this very event.
            if node.status == NodeStatus::Waiting {
                node.hold = Some(Hold::Members);
                self.leaves_queues(group as usize);
            }
        }
        for (queued, of_group) in event
            .held
            .iter()
            .map(|node| (node, false))
            .chain(flow.gated.iter().map(|node| (node, true)))
        {
            let node = self.node(queued)?;
            node.hold = node.hold.map(|_| Hold::Limit);
            self.leaves_queues(queued as usize);
            let queue = if of_group { &mut self.gated } else { &mut self.held };
            queue.insert(queued as usize);
        }
        for node in flow.excused.iter() {
            self.node(node)?.excused = true;
        }
        for (group, ending) in &flow.ending {
            self.node(*group)?.ending = Some(ending.to);
        }
        if let Some(ending) = &event.ending {
            if ending.stage == EndingStage::Cleaning && self.stage != ending.stage {
                self.cleans_up_after = Some(ending.to);
            }
            (self.ending, self.stage) = (Some(ending.to), ending.stage);
        }
        for (from, to) in &event.job {
            if self.status != *from || !from.may_become(*to) {
                return Err(format!("the job goes from {from} to {to}, and is {}", self.status));
            }
            self.admitted |= *to == JobStatus::Scheduled;
            self.status = *to;
        }
        if self.status.is_over() {
            (self.ending, self.stage) = (None, EndingStage::default());
        }
        Ok(())
    }

    pub(super) fn node(&mut self, ix: u32) -> Result<&mut Node, Wrong> {
        self.nodes.get_mut(ix as usize).ok_or_else(|| format!("the job has no node {ix}"))
    }

    fn moves(&mut self, change: &NodeChange) -> Result<(), Wrong> {
        for ix in change.at.iter() {
            let node = self.node(ix)?;
            if node.status != change.from || !change.from.may_become(change.to) {
                let (from, to, is) = (change.from, change.to, node.status);
                return Err(format!("node {ix} goes from {from} to {to}, and is {is}"));
            }
            node.status = change.to;
            node.hold = change.holds();
            node.bypassed = change.bypassed;
            node.ending = None;
            if change.to == NodeStatus::Pending {
                (node.evaluated, node.excused, node.taken) = (false, false, None);
                if self.spec(ix as usize).group().is_some_and(|group| group.template.is_some()) {
                    self.node(ix)?.members.clear();
                }
            }
            self.leaves_queues(ix as usize);
        }
        Ok(())
    }

    fn leaves_queues(&mut self, ix: usize) {
        self.held.remove(&ix);
        self.gated.remove(&ix);
    }

    /// A member for each item of a list.
    fn expands(&mut self, expansion: &Expansion) -> Result<(), Wrong> {
        let group = expansion.group as usize;
        let template =
            (group < self.nodes.len()).then(|| self.spec(group).group()?.template).flatten();
        if template != Some(expansion.template) || expansion.first as usize != self.nodes.len() {
            return Err(format!("members of node {group} come to be out of place"));
        }
        if let Payload::Inline(list) = &expansion.list
            && serde_json::from_str::<Vec<serde_json::Value>>(list.get())
                .map(|list| list.len())
                .ok()
                != Some(expansion.count as usize)
        {
            return Err(format!(
                "node {group} goes over a list, and has {} members",
                expansion.count
            ));
        }
        self.nodes[group].members.clear();
        let (first, nodes) = (expansion.template.first as usize, expansion.template.nodes as usize);
        for _ in 0..expansion.count {
            self.grow(first..first + nodes, Some(group));
        }
        Ok(())
    }

    /// Nothing is evaluated twice for the same run of a node.
    fn is_evaluated(&mut self, ix: u32, prepared: &Prepared) -> Result<(), Wrong> {
        let before = if ix == OUTPUT_OF_JOB {
            &mut self.output_evaluated
        } else {
            let node = self.node(ix)?;
            if let Prepared::Branch(taken) = prepared {
                node.taken = Some(*taken);
            }
            &mut node.evaluated
        };
        if std::mem::replace(before, true) {
            return Err(format!("node {ix} is evaluated twice"));
        }
        Ok(())
    }

    pub fn many(&self, wanted: &[NodeStatus]) -> usize {
        self.nodes.iter().filter(|node| wanted.contains(&node.status)).count()
    }
}
