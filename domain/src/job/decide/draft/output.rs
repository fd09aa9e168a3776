//! The job's own output: what it declares, else the output of the one node that nothing depends on, or of all such nodes by
//! key when they are small. That of a group is what its members gave: a list by item, or an object by key.

use std::fmt::Write as _;

use serde_json::value::RawValue;

use super::Draft;
use crate::job::flow::{FlowView, OUTPUT_OF_JOB, Outputs, Prepared, write_output};
use crate::job::members::{GroupState, Ledger};
use crate::job::plan::Plan;
use crate::job::state::OUTPUT_BYTES_MAX;
use crate::node::status::NodeStatus;
use crate::payload::Payload;

impl Draft<'_> {
    /// A node completes with an output: kept within this event where something may read it.
    pub(in crate::job::decide) fn gives(&mut self, ix: u32, output: &Payload) {
        let plan = self.book.plan();
        if plan.reads_output(ix) || plan.is_part_of_output(ix) {
            self.outputs.insert(ix, Some(output.clone()));
        }
    }

    /// The output of a job that completes.
    pub(super) fn output(&mut self) -> Option<Payload> {
        if let Some(Prepared::Input(output)) = self.prepared(OUTPUT_OF_JOB) {
            return Some(output);
        }
        let plan = self.plan();
        if let Some(output) = &plan.output {
            return Some(output.clone());
        }
        let parts: Vec<u32> = (0..plan.initial)
            .filter(|ix| plan.is_part_of_output(*ix) && plan.node(*ix).container.is_none())
            .collect();
        if let [only] = parts.as_slice() {
            if plan.node(*only).group().is_none() {
                return self.node_output(*only).cloned();
            }
            self.completed_group(*only)?;
            let mut text = String::new();
            write_output(self, *only, &mut text)?;
            return self.made(text);
        }
        let mut text = String::from("{");
        for part in parts {
            if self.node_output(part).is_none() && self.completed_group(part).is_none() {
                // One that was dropped for its size leaves the whole without an output.
                if self.state.outputs.contains_key(&part) {
                    return None;
                }
                continue;
            }
            if text.len() > 1 {
                text.push(',');
            }
            // Keys are of an alphabet that needs no escaping.
            let _ = write!(text, "\"{}\":", plan.node(part).key);
            write_output(self, part, &mut text)?;
        }
        text.push('}');
        self.made(text)
    }

    /// A group that completed: no other one has an output.
    fn completed_group(&self, ix: u32) -> Option<GroupState> {
        self.group_at(ix).filter(|_| self.node_status(ix) == NodeStatus::Completed)
    }

    fn made(&mut self, text: String) -> Option<Payload> {
        RawValue::from_string(text).ok().map(|raw| Payload::new(raw, &mut self.payloads))
    }
}

impl Outputs for Draft<'_> {
    fn plan(&self) -> &Plan {
        self.book.plan()
    }

    fn group(&self, ix: u32) -> Option<GroupState> {
        self.completed_group(ix)
    }

    fn write_node(&self, ix: u32, text: &mut String) -> Option<()> {
        match self.node_output(ix) {
            Some(Payload::Inline(raw)) => text.push_str(raw.get()),
            Some(Payload::Stored(_)) => return None,
            None if self.state.outputs.contains_key(&ix) => return None,
            None => text.push_str("null"),
        }
        Some(())
    }

    fn bytes_max(&self) -> usize {
        usize::try_from(OUTPUT_BYTES_MAX).unwrap_or(usize::MAX)
    }
}
