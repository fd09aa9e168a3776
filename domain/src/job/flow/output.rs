//! What nodes give that no worker reports: the engine's own nodes, and groups, whose output is what their members gave.

use std::fmt::Write as _;

use super::Prepared;
use crate::job::members::GroupState;
use crate::job::plan::{Plan, PlanKind, Taken};
use crate::payload::Payload;

/// The output of a node that the engine does by itself, for which this was evaluated; none of any other.
pub(crate) fn given_by_itself(
    plan: &Plan,
    ix: u32,
    prepared: Option<&Prepared>,
) -> Option<Payload> {
    match (plan.node(ix).kind.as_deref(), prepared) {
        (Some(PlanKind::Checkpoint), Some(Prepared::Input(record))) => Some(record.clone()),
        (Some(PlanKind::Checkpoint), _) => plan.node(ix).input.clone(),
        (Some(PlanKind::Condition(_)), Some(Prepared::Branch(taken))) => {
            plan.branch_output(ix, *taken)
        }
        (Some(PlanKind::Condition(_)), _) => plan.branch_output(ix, Taken::Nothing),
        (Some(PlanKind::Group(_) | PlanKind::Cleanup(_)) | None, _) => None,
    }
}

/// Where outputs are looked up while those of groups are put together.
pub trait Outputs {
    fn plan(&self) -> &Plan;
    /// The group at this position, if it has an output.
    fn group(&self, ix: u32) -> Option<GroupState>;
    /// Adds the JSON of the output of a node that is no such group. None: it is not at hand.
    fn write_node(&self, ix: u32, text: &mut String) -> Option<()>;
    /// Bytes that the text may have in all.
    fn bytes_max(&self) -> usize;
}

/// Adds the JSON of a node's output: of a group a list by item, or an object by key. None: it is not at hand, or too much.
/// Recursion goes as deep as groups are nested.
pub fn write_output(outputs: &dyn Outputs, ix: u32, text: &mut String) -> Option<()> {
    match outputs.group(ix) {
        None => outputs.write_node(ix, text)?,
        Some(group) => {
            let (plan, is_list) = (outputs.plan(), group.expansion.is_some());
            text.push(if is_list { '[' } else { '{' });
            for (place, member) in group.members(plan, ix).enumerate() {
                if place > 0 {
                    text.push(',');
                }
                if !is_list {
                    // Keys are of an alphabet that needs no escaping.
                    let _ = write!(text, "\"{}\":", plan.node(member).key);
                }
                write_output(outputs, member, text)?;
            }
            text.push(if is_list { ']' } else { '}' });
        }
    }
    (text.len() <= outputs.bytes_max()).then_some(())
}
