//! Which fields a node of each type has, and the refusal of others, at the field and with the type's name.
//! Always holds: a field that asks for nothing (absent, null, false, and of an input null) is refused of no node, because
//! clients that are made from the document send those. Absent: what all types have.

use domain::node::spec::NodeType;
use domain::refusal::FieldError;

use super::NodeBody;

/// What a worker does.
const WORK: &[NodeType] = &[NodeType::Task, NodeType::Cleanup];
const GROUPS: &[NodeType] = &[NodeType::ParallelGroup, NodeType::SequentialGroup];
/// What has attempts.
const REPEATED: &[NodeType] =
    &[NodeType::Task, NodeType::Cleanup, NodeType::ParallelGroup, NodeType::SequentialGroup];

impl NodeBody {
    /// Refuses what nodes of its type do not have. Of types that are not available yet nothing is refused but the type.
    pub(super) fn refuse_what_is_not_its_own(&self, at: &str, errors: &mut Vec<FieldError>) {
        if matches!(self.node_type, NodeType::SubJob | NodeType::Notification) {
            return;
        }
        let input = self.input.as_ref().is_some_and(|input| input.get() != "null");
        let timeouts = &self.timeouts;
        let has_timeouts =
            timeouts.queue_ms.or(timeouts.attempt_ms).or(timeouts.total_ms).is_some();
        let is_queued = timeouts.queue_ms.is_some() && REPEATED.contains(&self.node_type);
        let fields = [
            ("queue", self.queue.is_some(), WORK),
            ("action_type", self.action_type.is_some(), WORK),
            ("input", input, WORK),
            ("executor", self.executor.is_some(), WORK),
            ("http", self.http.is_some(), WORK),
            ("at_most_once", self.at_most_once, WORK),
            ("retry", self.retry.is_some(), REPEATED),
            ("timeouts", has_timeouts, REPEATED),
            ("timeouts/queue_ms", is_queued, WORK),
            ("branches", self.branches.is_some(), &[NodeType::Condition]),
            ("default", self.default.is_some(), &[NodeType::Condition]),
            ("nodes", self.nodes.is_some(), GROUPS),
            ("for_each", self.for_each.is_some(), GROUPS),
            ("template", self.template.is_some(), GROUPS),
            ("max_parallel", self.max_parallel.is_some(), &[NodeType::ParallelGroup]),
            ("complete_when", self.complete_when.is_some(), GROUPS),
            ("record", self.record.is_some(), &[NodeType::Checkpoint]),
            ("hold", self.hold.is_some(), &[NodeType::Checkpoint]),
            ("run_on", self.run_on.is_some(), &[NodeType::Cleanup]),
            ("affects_outcome", self.affects_outcome, &[NodeType::Cleanup]),
            ("job", self.job.is_some(), &[NodeType::SubJob]),
            ("to", self.to.is_some(), &[NodeType::Notification]),
            ("event_type", self.event_type.is_some(), &[NodeType::Notification]),
            ("data", self.data.is_some(), &[NodeType::Notification]),
        ];
        for (name, given, types) in fields {
            if given && !types.contains(&self.node_type) {
                errors.push(FieldError::new(
                    format!("{at}/{name}"),
                    "unknown_field",
                    format!("a {} has no such field", self.node_type.as_str()),
                ));
            }
        }
    }
}
