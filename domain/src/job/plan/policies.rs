//! Which retry policies decide about the nodes of a plan: a node's own or the job's, each written out or one of the named
//! ones, which the plan keeps once however many nodes name it.

use std::sync::Arc;

use super::{Plan, PlanNode};
use crate::node::graph::GraphError;
use crate::retry::named::NamedPolicy;
use crate::retry::policy::RetryPolicy;

/// A policy that a job or a node of it has.
#[derive(Debug, Clone, Copy)]
pub struct PolicyInPlan<'a> {
    pub policy: &'a Arc<RetryPolicy>,
    /// Which one of those that the namespace keeps, or kept, it is; none: it was written out.
    pub named: Option<&'a NamedPolicy>,
}

/// Why a stored plan cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum PlanError {
    #[error(transparent)]
    Graph(#[from] GraphError),
    #[error("it refers to a retry policy that it does not have")]
    Policy,
}

impl Plan {
    /// The policy that decides about a node's failures.
    pub fn retry_of(&self, node: &PlanNode) -> Arc<RetryPolicy> {
        let own = self.own_retry(node).or_else(|| self.job_retry());
        own.map(|own| Arc::clone(own.policy)).unwrap_or_default()
    }

    /// The policy that a node has itself.
    pub fn own_retry<'a>(&'a self, node: &'a PlanNode) -> Option<PolicyInPlan<'a>> {
        let more = node.more.as_deref()?;
        self.in_plan(more.retry.as_ref(), more.retry_named)
    }

    /// The policy of the job, for nodes that have none themselves.
    pub fn job_retry(&self) -> Option<PolicyInPlan<'_>> {
        self.in_plan(self.retry.as_ref(), self.retry_named)
    }

    fn in_plan<'a>(
        &'a self,
        own: Option<&'a Arc<RetryPolicy>>,
        named: Option<u32>,
    ) -> Option<PolicyInPlan<'a>> {
        if let Some(named) = named {
            let named = self.policies.get(named as usize)?.as_ref();
            return Some(PolicyInPlan { policy: &named.policy, named: Some(named) });
        }
        own.map(|policy| PolicyInPlan { policy, named: None })
    }

    /// Executions that the policy of a node's failures allows.
    pub fn max_attempts_of(&self, node: &PlanNode) -> u32 {
        let own = self.own_retry(node).or_else(|| self.job_retry());
        own.map_or_else(
            || RetryPolicy::default().executions_max(),
            |own| own.policy.executions_max(),
        )
    }

    /// The named policies that are still needed when it has no nodes, and the job's place among them.
    pub(super) fn policies_of_job(&self) -> (Vec<Arc<NamedPolicy>>, Option<u32>) {
        let own = self.retry_named.and_then(|named| self.policies.get(named as usize));
        (own.cloned().into_iter().collect(), own.map(|_| 0))
    }

    /// Whether every reference to a named policy leads to one.
    pub(super) fn policies_are_there(&self) -> bool {
        let of_nodes = self.nodes.iter().filter_map(|node| node.more.as_ref()?.retry_named);
        let mut named = of_nodes.chain(self.retry_named);
        named.all(|named| (named as usize) < self.policies.len())
    }
}
