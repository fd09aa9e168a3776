//! What an exported history says of a job's outcomes, held to the promises: the chain holds, epochs only grow, nothing is
//! leased before its parents are recorded, and every task is recorded exactly once. Reads the export alone.

use std::collections::BTreeMap;

use domain::ids::{JobId, LeaseId, Namespace, SubjectId};
use domain::job::event::JobEvent;
use domain::job::fact::{AttemptFact, JobFact};
use domain::payload::Payload;
use serde_json::Value;
use serde_json::value::RawValue;

/// What was recorded: the output of each attempt that completed, as its bytes or their hash.
pub(super) type Outputs = BTreeMap<LeaseId, Option<Payload>>;

/// As [`judged`]; panics where a promise is broken.
pub(super) fn recorded(id: &str, job: &Value, export: &str, name: &str) -> Outputs {
    judged(id, job, export).unwrap_or_else(|broken| panic!("{name}: {broken}"))
}

/// What was recorded of a job, or which promise is broken.
pub(super) fn judged(id: &str, job: &Value, export: &str) -> Result<Outputs, String> {
    let id = JobId::parse(id).expect("a job id");
    let subject = SubjectId::job(Namespace::default_namespace(), id);
    domain::history::verify(&subject, export.as_bytes())
        .map_err(|damage| format!("the chain does not hold: {damage:?}"))?;
    let nodes = job["nodes"].as_array().expect("nodes");
    let position: BTreeMap<&str, u32> =
        (0..).zip(nodes).map(|(ix, node)| (node["key"].as_str().expect("a key"), ix)).collect();
    let mut epochs: BTreeMap<u32, u64> = BTreeMap::new();
    let mut completed: BTreeMap<u32, LeaseId> = BTreeMap::new();
    let mut outputs = BTreeMap::new();
    for event in events(export) {
        match event.fact {
            JobFact::Attempt(AttemptFact::Leased { attempts, .. }) => {
                for attempt in attempts {
                    let before = epochs.insert(attempt.node, attempt.epoch.0).unwrap_or(0);
                    holds(attempt.epoch.0 > before, || "an epoch did not grow".to_owned())?;
                    let node = &nodes[attempt.node as usize];
                    for parent in node["depends_on"].as_array().into_iter().flatten() {
                        let parent = position[parent.as_str().expect("a key")];
                        let key = &node["key"];
                        let after = completed.contains_key(&parent);
                        holds(after, || format!("{key} before its parent"))?;
                    }
                }
            }
            JobFact::Attempt(AttemptFact::Completed { attempt, output, .. }) => {
                let newest = epochs.get(&attempt.node) == Some(&attempt.epoch.0);
                holds(newest, || format!("a stale attempt of node {} counts", attempt.node))?;
                let lease = LeaseId { job: id, node: attempt.node, epoch: attempt.epoch };
                let before = completed.insert(attempt.node, lease);
                let once = before.is_none();
                holds(once, || format!("node {} is recorded twice", attempt.node))?;
                outputs.insert(lease, output);
            }
            _ => {}
        }
    }
    holds(completed.len() == nodes.len(), || "not every task is recorded".to_owned())?;
    Ok(outputs)
}

/// An error with these words where a promise is broken.
pub(super) fn holds(right: bool, broken: impl FnOnce() -> String) -> Result<(), String> {
    if right { Ok(()) } else { Err(broken()) }
}

/// The events of an export.
pub(super) fn events(export: &str) -> Vec<JobEvent> {
    #[derive(serde::Deserialize)]
    struct Line<'a> {
        #[serde(borrow)]
        event: &'a RawValue,
    }
    let lines = export.lines().filter_map(|line| serde_json::from_str::<Line<'_>>(line).ok());
    lines.map(|line| serde_json::from_str(line.event.get()).expect("an event")).collect()
}
