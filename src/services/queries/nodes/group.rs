//! A group as people see it: how its members stand, and what they gave. Large outputs are named by their hash, and are on
//! their own node.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use domain::bounds::PAYLOAD_BYTES_MAX;
use domain::job::detail::JobDetail;
use domain::job::flow::{Outputs, write_output};
use domain::job::members::GroupState;
use domain::job::plan::Plan;
use domain::payload::Payload;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// How the members of a group stand.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = GroupMembers)]
pub struct GroupAnswer {
    /// Direct members; null: they come to be when the group starts.
    pub total: Option<u64>,
    /// How many are in each state; states without members are left out.
    #[schema(value_type = BTreeMap<String, u64>)]
    pub by_status: BTreeMap<&'static str, u64>,
    /// The state the group will end in, while attempts of its members still run.
    pub ending: Option<&'static str>,
}

/// How the members of this node stand, if it is a group.
pub(super) fn members(detail: &JobDetail, ix: u32) -> Option<GroupAnswer> {
    let (state, plan) = (&detail.state, &detail.state.plan);
    let spec = plan.node(ix).group()?;
    let Some(group) = state.groups.get(&ix) else {
        let declared = plan.declared_members(ix).len() as u64;
        let total =
            if spec.template.is_some() { spec.items.map(u64::from) } else { Some(declared) };
        return Some(GroupAnswer { total, by_status: BTreeMap::new(), ending: None });
    };
    let mut by_status = BTreeMap::new();
    for member in group.members(plan, ix) {
        *by_status.entry(state.nodes[member as usize].status.as_str()).or_default() += 1;
    }
    let total = Some(u64::from(group.counts.all));
    Some(GroupAnswer { total, by_status, ending: group.ending.map(|ending| ending.to.as_str()) })
}

/// What the members of a group gave: a list by item, or an object by key. None: it is no group, has not started, or gave
/// more than an output may have.
pub(super) fn output(detail: &JobDetail, ix: u32) -> Option<Arc<RawValue>> {
    detail.state.groups.get(&ix)?;
    let mut text = String::new();
    write_output(&Told(detail), ix, &mut text)?;
    RawValue::from_string(text).ok().map(Arc::from)
}

/// Outputs as the stories of nodes tell them.
struct Told<'a>(&'a JobDetail);

impl Outputs for Told<'_> {
    fn plan(&self) -> &Plan {
        &self.0.state.plan
    }

    fn group(&self, ix: u32) -> Option<GroupState> {
        self.0.state.groups.get(&ix).copied()
    }

    fn write_node(&self, ix: u32, text: &mut String) -> Option<()> {
        match &self.0.nodes[ix as usize].output {
            None => text.push_str("null"),
            Some(Payload::Inline(raw)) => text.push_str(raw.get()),
            Some(Payload::Stored(stored)) => {
                let (sha256, bytes) = (stored.sha256.hex(), stored.bytes);
                let _ =
                    write!(text, "{{\"stored\":{{\"sha256\":\"{sha256}\",\"bytes\":{bytes}}}}}");
            }
        }
        Some(())
    }

    fn bytes_max(&self) -> usize {
        PAYLOAD_BYTES_MAX
    }
}
