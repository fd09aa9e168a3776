//! Random changes of nodes: of those that may be changed, and of those that run or are over.

use domain::bounds::Bounds;
use domain::job::check::{CheckSettings, check_node_patch};
use domain::job::command::JobCommand;
use domain::job::repair::{NodePatchSpec, TimeoutsPatch};
use domain::job::status::JobStatus;
use domain::node::status::NodeStatus;
use domain::refusal::Refusal;
use domain::retry::named::NamedPolicies;
use domain::retry::spec::RetrySpec;
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use serde_json::value::RawValue;

use super::{Walk, failed};
use crate::build::{T0, retry};

fn drawn(what: u16, parents: &[String]) -> NodePatchSpec {
    let bit = |at: u16| what & (1 << at) != 0;
    let input = match (what >> 8) % 6 {
        0 => None,
        1 => Some(None),
        2 => Some(Some("[1, 2]".to_owned())),
        3 => Some(Some(r#"{"n": "${{ job.input.n }}"}"#.to_owned())),
        _ => {
            let read = parents.iter().map(|key| format!(r#""${{{{ nodes.{key}.output }}}}""#));
            Some(Some(format!("[{}]", read.collect::<Vec<_>>().join(", "))))
        }
    };
    let raw = |text| RawValue::from_string(text).unwrap_or_else(|_| RawValue::NULL.to_owned());
    NodePatchSpec {
        queue: bit(0).then(|| bit(1).then(|| "other".to_owned())),
        action_type: bit(1).then(|| bit(2).then(|| "kind".to_owned())),
        priority: bit(2).then(|| bit(3).then_some(3)),
        timeouts: TimeoutsPatch {
            queue_ms: bit(3).then(|| bit(4).then_some(4_000)),
            attempt_ms: bit(4).then(|| bit(5).then_some(5_000)),
            total_ms: (bit(5) && bit(0)).then(|| bit(6).then_some(30_000)),
        },
        retry: bit(6).then(|| bit(7).then(|| RetrySpec::from(retry(3, 500)))),
        input: input.map(|input| input.map(raw)),
        at_most_once: bit(7).then_some(bit(0)),
    }
}

impl Walk {
    pub(super) fn repair(&mut self, node: u16, what: u16) -> TestCaseResult {
        let ix = u32::from(node) % u32::try_from(self.state.nodes.len()).unwrap_or(1);
        let plan = &self.state.plan;
        let parents: Vec<String> =
            plan.parents(ix).map(|parent| plan.node(parent).key.to_string()).collect();
        let path = plan.path(ix);
        let settings = CheckSettings { bounds: Bounds::default(), queue_timeout_ms: None, now: T0 };
        let named = NamedPolicies::default();
        let patch = check_node_patch(drawn(what, &parents), None, &settings, &named);
        let patch = Box::new(patch.map_err(|errors| failed(format!("{errors:?}")))?);
        let (head, status) = (&self.state.head, self.state.nodes[ix as usize].status);
        let runs = status == NodeStatus::Running || status.is_settled();
        let over =
            matches!(head.status, JobStatus::Completed | JobStatus::Cancelled | JobStatus::Aborted);
        let ends = head.ending.is_some() && plan.node(ix).cleanup().is_none();
        let before = self.state.nodes.clone();
        let answer = self.ask(&JobCommand::PatchNode { node: path, patch, reason: None })?;
        match answer {
            Ok(_) => prop_assert!(!runs && !over && !ends, "changed, and it is {}", status),
            Err(refusal) => {
                let wrong_state =
                    matches!(refusal, Refusal::NodeState { .. } | Refusal::JobState { .. });
                let invalid = matches!(refusal, Refusal::Invalid(_));
                prop_assert_eq!(wrong_state, runs || over || ends, "{:?}", refusal);
                prop_assert!(wrong_state || invalid, "{:?}", refusal);
                prop_assert_eq!(before, self.state.nodes.clone());
            }
        }
        Ok(())
    }
}
