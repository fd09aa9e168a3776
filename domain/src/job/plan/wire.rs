//! Plans and specifications as one engine passes them on to another: a specification with the payloads it names, as raw
//! JSON, and a plan without its nodes, for those who show a job as a whole.
//! Always holds: a specification comes in only from an engine that checked it, its graph is built anew, and its payloads
//! are the ones it names. Absent on purpose: the bounds, which may differ between engines while they are changed.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use super::{About, CheckedSpec, Plan};
use crate::ids::Millis;
use crate::payload::{Hash, Payload, PayloadBytes};

/// A checked specification on its way.
#[derive(Serialize, Deserialize)]
struct PlanWire {
    about: About,
    plan: Arc<Plan>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scheduled_at: Option<Millis>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    timeout_ms: Option<u64>,
    /// The bytes of each stored payload, which its hash names again when it arrives.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    payloads: Vec<Box<RawValue>>,
}

impl CheckedSpec {
    /// What another engine has checked and passes on. The caller has made sure that it is one.
    fn checked_by_peer(passed: PlanWire) -> Self {
        let payloads = passed.payloads.into_iter().map(|raw| {
            let bytes = raw.get().as_bytes();
            PayloadBytes { sha256: Hash::of(bytes), bytes: Arc::from(bytes) }
        });
        Self {
            about: passed.about,
            plan: passed.plan,
            scheduled_at: passed.scheduled_at,
            timeout_ms: passed.timeout_ms,
            payloads: payloads.collect(),
        }
    }
}

/// A checked specification in JSON.
pub(crate) mod checked {
    use serde::de::Error as _;
    use serde::ser::Error as _;

    use super::{
        BTreeSet, CheckedSpec, Deserialize, Deserializer, PlanWire, RawValue, Serialize, Serializer,
    };

    pub(crate) fn serialize<S: Serializer>(
        spec: &CheckedSpec,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let raw = |bytes: &[u8]| serde_json::from_slice::<Box<RawValue>>(bytes);
        let payloads = spec.payloads.iter().map(|payload| raw(&payload.bytes));
        let passed = PlanWire {
            about: spec.about.clone(),
            plan: spec.plan.clone(),
            scheduled_at: spec.scheduled_at,
            timeout_ms: spec.timeout_ms,
            payloads: payloads.collect::<Result<_, _>>().map_err(S::Error::custom)?,
        };
        passed.serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<CheckedSpec, D::Error> {
        let passed = PlanWire::deserialize(deserializer)?;
        if passed.plan.nodes.is_empty() {
            return Err(D::Error::custom("a job has at least one node"));
        }
        let spec = CheckedSpec::checked_by_peer(passed);
        let came: BTreeSet<_> = spec.payloads.iter().map(|payload| payload.sha256).collect();
        if spec.plan.stored().any(|named| !came.contains(&named)) {
            return Err(D::Error::custom("a payload that the job names did not come with it"));
        }
        Ok(spec)
    }
}

impl Plan {
    /// The payloads that it names.
    fn stored(&self) -> impl Iterator<Item = Hash> {
        let of_job = [self.input.as_ref(), self.output.as_ref()];
        let of_nodes = self.nodes.iter().map(|node| node.input.as_ref());
        of_job.into_iter().chain(of_nodes).flatten().filter_map(|payload| match payload {
            Payload::Stored(stored) => Some(stored.sha256),
            Payload::Inline(_) => None,
        })
    }

    /// All but the nodes: what is shown of a job as a whole, however many it has.
    fn without_nodes(&self) -> Self {
        let (policies, retry_named) = self.policies_of_job();
        Self {
            job_type: self.job_type.clone(),
            input: self.input.clone(),
            triggered_by: self.triggered_by.clone(),
            start: self.start,
            estimated_duration_ms: self.estimated_duration_ms,
            environment: self.environment.clone(),
            resources: self.resources.clone(),
            max_parallel: self.max_parallel,
            fail_fast: self.fail_fast,
            complete_when: self.complete_when,
            complete_early: self.complete_early,
            cleanup_timeout_ms: self.cleanup_timeout_ms,
            retry: self.retry.clone(),
            retry_named,
            policies,
            queue_timeout_ms: self.queue_timeout_ms,
            output: self.output.clone(),
            output_flow: self.output_flow.clone(),
            ..Self::empty()
        }
    }
}

/// A plan without its nodes, in JSON.
pub(crate) mod without_nodes {
    use super::{Arc, Deserialize, Deserializer, Plan, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        plan: &Arc<Plan>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        plan.without_nodes().serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Arc<Plan>, D::Error> {
        Plan::deserialize(deserializer).map(Arc::new)
    }
}
