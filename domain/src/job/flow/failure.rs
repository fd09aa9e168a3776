//! Why a job or a group does not complete: where final failures are kept, and which of them is shown. A failure that a node
//! may handle is kept by its own node; of the others the first one is enough.
//! Always holds: what is shown is a failure that nobody handled, the earliest.

use std::sync::Arc;

use super::{FlowView, NodeFailure, OUTPUT_OF_JOB};
use crate::job::outcome::JobError;
use crate::job::plan::Plan;
use crate::job::status::JobStatus;
use crate::node::status::NodeStatus;

/// Where a final failure is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Noted {
    /// At this position: the node's own, or its group's, which keeps the first.
    Node(u32),
    /// At the job.
    Job {
        /// Unless there is one already.
        first: bool,
    },
    /// It makes nothing fail, and nothing reads it.
    Nowhere,
}

/// Where the final failure of a node, or of the job's output, is kept.
pub(crate) fn noted_at(plan: &Plan, ix: u32) -> Noted {
    if ix == OUTPUT_OF_JOB {
        return Noted::Job { first: false };
    }
    if plan.keeps_error(ix) {
        return Noted::Node(ix);
    }
    let spec = plan.node(ix);
    match plan.container(ix) {
        _ if spec.optional || spec.cleanup().is_some() => Noted::Nowhere,
        Some(group) => Noted::Node(group),
        None => Noted::Job { first: true },
    }
}

/// Of these nodes the one that failed first, is required, and whose failure nobody handled.
pub(crate) fn first_failed(view: &dyn FlowView, of: impl Iterator<Item = u32>) -> Option<u32> {
    let plan = view.plan();
    let failed = |ix: &u32| {
        matches!(view.node_status(*ix), NodeStatus::Failed | NodeStatus::Timeout)
            && !plan.node(*ix).optional
            && !view.is_handled(*ix)
    };
    of.filter(failed).min_by_key(|ix| (view.node_since(*ix), *ix))
}

/// Why a job that ends so does not complete.
pub(crate) fn error_of_end(view: &dyn FlowView, to: JobStatus) -> Option<Arc<JobError>> {
    match to {
        JobStatus::Failed => Some(error_of_failed(view)),
        JobStatus::Timeout => {
            Some(error_of("timeout.job", "JobTimeout", "the job's deadline passed"))
        }
        JobStatus::Pending
        | JobStatus::Queued
        | JobStatus::Scheduled
        | JobStatus::Running
        | JobStatus::Paused
        | JobStatus::Completed
        | JobStatus::Cancelled
        | JobStatus::Retrying
        | JobStatus::Recovering
        | JobStatus::Aborted => None,
    }
}

fn error_of_failed(view: &dyn FlowView) -> Arc<JobError> {
    let plan = view.plan();
    let first = view.first_error();
    // That of the job's output names no node.
    if let Some(error) = first.filter(|error| error.node.is_none()) {
        return Arc::clone(error);
    }
    let outermost = (0..plan.initial)
        .filter(|ix| plan.node(*ix).container.is_none() && plan.node(*ix).cleanup().is_none());
    let failed = first_failed(view, outermost);
    let kept = failed.and_then(|ix| view.node_error(ix).or(first));
    kept.map_or_else(
        || error_of("condition", "ConditionNotMet", "the job's success condition does not hold"),
        Arc::clone,
    )
}

/// An error of the job as a whole.
pub(crate) fn error_of(class: &str, error_type: &str, message: &str) -> Arc<JobError> {
    Arc::new(JobError {
        node: None,
        class: class.to_owned(),
        error_type: error_type.to_owned(),
        message: message.to_owned(),
    })
}

impl NodeFailure {
    /// The error that its group or its job shows because of it.
    pub(crate) fn shown(&self, plan: &Plan) -> Arc<JobError> {
        match &self.shown {
            Some(shown) => Arc::clone(shown),
            None if self.node == OUTPUT_OF_JOB => {
                error_of(&self.error.class, &self.error.error_type, &self.error.message)
            }
            None => JobError::of_attempt(plan, self.node, &self.error),
        }
    }
}
