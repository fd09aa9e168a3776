//! What is known of a namespace's catalog: the fold of its events, and nothing else.
//! Invariant: each policy stands under its own name, and its version is that of no other content
//! (`a_script_of_creations_replacements_and_deletions_is_what_a_naive_model_says`).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::catalog::paused::{CatalogPause, PauseTarget};
use crate::catalog::policy::CatalogPolicy;
use crate::ids::{CommandId, Millis, Namespace, PolicyId, PolicyName, SubjectId};
use crate::retry::named::NamedPolicy;
use crate::retry::rules::is_listed;
use crate::subject::remembered::Answered;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CatalogState {
    pub namespace: Namespace,
    /// How many events were applied.
    pub seq: u64,
    /// The retry policies that are kept.
    pub policies: BTreeMap<PolicyName, Arc<CatalogPolicy>>,
    /// What is paused, or was until its time was over.
    #[serde(default, with = "crate::subject::pairs", skip_serializing_if = "BTreeMap::is_empty")]
    pub pauses: BTreeMap<PauseTarget, Arc<CatalogPause>>,
    /// When its newest event was decided.
    pub newest_at: Millis,
    /// Commands that may come again.
    pub commands: BTreeMap<CommandId, Answered>,
}

impl CatalogState {
    /// The stream it is the fold of.
    pub fn subject(&self) -> SubjectId {
        SubjectId::catalog(self.namespace.clone())
    }

    /// The policy with this id.
    pub fn policy(&self, id: PolicyId) -> Option<&Arc<CatalogPolicy>> {
        self.policies.values().find(|policy| policy.id == id)
    }

    /// The policy that a submission means by this text, as the job will keep it.
    pub fn named(&self, reference: &str) -> Option<Arc<NamedPolicy>> {
        let policy = self.policy(PolicyId::of_reference(&self.namespace, reference)?)?;
        Some(kept(policy))
    }

    /// The policy of jobs of this type that have none themselves, as such a job will keep it: of several the one that was
    /// created first.
    pub fn applicable(&self, job_type: &str) -> Option<Arc<NamedPolicy>> {
        let fits = |policy: &&Arc<CatalogPolicy>| {
            is_listed(&policy.definition.applicable_job_types, job_type)
        };
        let first = self.policies.values().filter(fits);
        let first = first.min_by_key(|policy| (policy.created_at, &policy.name))?;
        Some(kept(first))
    }

    /// What is paused at this time.
    pub fn paused_at(
        &self,
        now: Millis,
    ) -> impl Iterator<Item = (&PauseTarget, &Arc<CatalogPause>)> {
        self.pauses.iter().filter(move |(_, pause)| pause.holds_at(now))
    }

    /// Bytes of the JSON of all policies.
    pub fn bytes(&self) -> usize {
        self.policies.values().fold(0, |sum, policy| sum.saturating_add(policy.bytes))
    }
}

/// A policy as a job keeps it.
fn kept(policy: &CatalogPolicy) -> Arc<NamedPolicy> {
    Arc::new(NamedPolicy {
        id: policy.id,
        name: policy.name.clone(),
        version: policy.version,
        policy: Arc::clone(&policy.definition.policy),
    })
}
