//! What people change of a node that has not run.

use std::sync::Arc;

use domain::job::plan::MoreOfNode;
use domain::job::repair::{NodeRepair, RepairedRetry};
use domain::node::status::NodeStatus;

use super::{Model, Wrong};

impl Model {
    pub(super) fn is_changed(&mut self, repair: &NodeRepair) -> Result<(), Wrong> {
        let ix = repair.node as usize;
        let Some(status) = self.nodes.get(ix).map(|node| node.status) else {
            return Err(format!("there is no node {ix} to be changed"));
        };
        if status.is_settled() || matches!(status, NodeStatus::Running | NodeStatus::Compensating) {
            return Err(format!("node {ix} is changed, and is {status}"));
        }
        let (was, is) = (&repair.was, &repair.is);
        let mut spec = self.spec(ix).clone();
        let mut more = spec.more.take().map_or_else(MoreOfNode::default, |more| *more);
        let differs = was.queue.as_ref().is_some_and(|was| *was != spec.queue)
            || was.action_type.as_ref().is_some_and(|was| *was != spec.action_type)
            || was.at_most_once.is_some_and(|was| was != spec.at_most_once)
            || was.priority.is_some_and(|was| was != more.priority)
            || was.timeouts.is_some_and(|was| was != more.timeouts);
        if differs {
            return Err(format!("node {ix} was not what its change says: {repair:?}"));
        }
        spec.queue = is.queue.clone().unwrap_or(spec.queue);
        spec.action_type = is.action_type.clone().unwrap_or(spec.action_type);
        spec.at_most_once = is.at_most_once.unwrap_or(spec.at_most_once);
        spec.input = is.input.clone().unwrap_or(spec.input);
        more.priority = is.priority.unwrap_or(more.priority);
        more.timeouts = is.timeouts.unwrap_or(more.timeouts);
        match &is.retry {
            None => {}
            Some(None) => (more.retry, more.retry_named) = (None, None),
            Some(Some(RepairedRetry::Own(policy))) => {
                (more.retry, more.retry_named) = (Some(Arc::clone(policy)), None);
            }
            Some(Some(RepairedRetry::Named(named))) => {
                let plan = Arc::make_mut(&mut self.plan);
                plan.policies.push(Arc::clone(named));
                let place = u32::try_from(plan.policies.len() - 1).unwrap_or(u32::MAX);
                (more.retry, more.retry_named) = (None, Some(place));
            }
        }
        spec.more = Some(Box::new(more));
        let node = &mut self.nodes[ix];
        if is.input.is_some() {
            // What is evaluated now is another input.
            node.evaluated = false;
        }
        node.changed = Some(Box::new(spec));
        Ok(())
    }
}
