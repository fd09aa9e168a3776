//! Nodes that people change while they have not run: what was allowed before stays allowed, and who asked at a queue gets
//! that queue's nodes alone.

use domain::catalog::paused::PauseTarget;
use domain::ids::{QueueName, SubjectId};
use domain::job::plan::PlanNode;
use domain::job::repair::{NodeRepair, RepairedRetry};
use domain::retry::policy::RetryPolicy;
use orrery::engine::core::message::Granted;

use super::Checker;
use super::job::JobStory;

impl JobStory {
    /// An execution that was given before goes on; the new policy judges from the next failure.
    pub(super) fn changes_node(&mut self, repair: &NodeRepair) {
        let Some(was) = &repair.was.retry else { return };
        let job = self.model.plan.job_retry().map(|of| of.policy.executions_max());
        let most = match was {
            Some(RepairedRetry::Own(policy)) => policy.executions_max(),
            Some(RepairedRetry::Named(named)) => named.policy.executions_max(),
            None => job.unwrap_or_else(|| RetryPolicy::default().executions_max()),
        };
        let node = &mut self.nodes[repair.node as usize];
        node.allowed = node.allowed.max(most);
    }

    /// The node as it is now, where this is its newest attempt.
    fn newest_of(&self, granted: &Granted) -> Option<&PlanNode> {
        let node = self.nodes.get(granted.lease.node as usize)?;
        let newest = node.epoch == granted.lease.epoch.0 && node.status.is_at_work();
        newest.then(|| self.spec(granted.lease.node))
    }
}

impl Checker {
    /// Nodes of a job, by their paths, as far as they were there from the start.
    pub(crate) fn node_paths(&self, subject: &SubjectId) -> Vec<String> {
        let Some(job) = self.job(subject) else { return Vec::new() };
        let plan = &job.model.plan;
        plan.positions().map(|ix| plan.path(ix)).collect()
    }

    /// What is paused, or was until its time was over.
    pub(crate) fn paused(&self) -> Vec<PauseTarget> {
        let catalogs = self.streams.values().filter_map(|stream| stream.replay.as_ref()?.catalog());
        catalogs.flat_map(|catalog| catalog.pauses.keys().cloned()).collect()
    }

    /// A request without a claim was at one queue only, and gets what is offered there.
    pub(super) fn is_of_queue(&self, asked: &QueueName, granted: &Granted) -> Result<(), String> {
        let subject = SubjectId::job(granted.namespace.clone(), granted.lease.job);
        let node = self.job(&subject).and_then(|job| job.newest_of(granted));
        match node {
            Some(node) if node.queue != *asked => {
                Err(format!("invariant 6: asked at {asked}, and the node is at {}", node.queue))
            }
            Some(_) | None => Ok(()),
        }
    }
}
