//! What is known of an environment: the fold of its events, and nothing else.
//! Invariant: what is in use is the sum over the grants, worked out when asked and never stored, so that it cannot
//! leak (`use_is_the_sum_of_the_grants_and_no_grant_passes_the_capacity`).
//! Absent on purpose: waiting requests. They are volatile, and the jobs that wait send them again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::{CommandId, EnvironmentName, JobId, Millis, Namespace, SubjectId};
use crate::subject::remembered::Answered;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EnvironmentState {
    pub namespace: Namespace,
    /// Unique in the namespace.
    pub name: EnvironmentName,
    /// Events applied; the ETag.
    pub seq: u64,
    /// Free text that only people read.
    pub description: Option<String>,
    /// How much of what there is; what is not named is unlimited.
    pub capacity: BTreeMap<String, u64>,
    /// By job and run.
    #[serde(with = "crate::subject::pairs")]
    pub grants: BTreeMap<(JobId, u32), Grant>,
    /// The newest grant's number, 0 before the first.
    pub granted: u64,
    /// It was deleted; a new definition may bring the name back.
    pub deleted: bool,
    /// When it was defined.
    pub created_at: Millis,
    /// When it was defined, updated or deleted last; grants do not count.
    pub updated_at: Millis,
    /// When its newest event was decided.
    pub newest_at: Millis,
    /// Commands that may come again.
    pub commands: BTreeMap<CommandId, Answered>,
}

/// A right to use resources.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Dense from 1 over the life of the stream.
    pub number: u64,
    /// How much of what.
    pub resources: BTreeMap<String, u64>,
    pub at: Millis,
}

/// Why a grant does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortage {
    /// Of what there is too little.
    pub resource: String,
    /// How much there is in all.
    pub capacity: u64,
    /// How much of it is free.
    pub free: u64,
    /// How much was asked for.
    pub asked: u64,
}

impl Shortage {
    /// It cannot fit even into the empty environment.
    pub fn is_hopeless(&self) -> bool {
        self.asked > self.capacity
    }
}

impl EnvironmentState {
    /// The stream it is the fold of.
    pub fn subject(&self) -> SubjectId {
        SubjectId::environment(self.namespace.clone(), &self.name)
    }

    /// How much of a resource its grants take together.
    pub fn used(&self, resource: &str) -> u64 {
        let amounts = self.grants.values().filter_map(|grant| grant.resources.get(resource));
        amounts.fold(0, |sum, amount| sum.saturating_add(*amount))
    }

    /// What its grants take together, by resource.
    pub fn use_by_resource(&self) -> BTreeMap<&str, u64> {
        let mut sums = BTreeMap::new();
        for (resource, amount) in self.grants.values().flat_map(|grant| &grant.resources) {
            let sum: &mut u64 = sums.entry(resource.as_str()).or_default();
            *sum = sum.saturating_add(*amount);
        }
        sums
    }

    /// The first resource, by name, of which there is too little for this; none when it fits.
    pub fn shortage(&self, resources: &BTreeMap<String, u64>) -> Option<Shortage> {
        resources.iter().filter(|(_, asked)| **asked > 0).find_map(|(resource, asked)| {
            let capacity = *self.capacity.get(resource)?;
            let free = capacity.saturating_sub(self.used(resource));
            (*asked > free).then(|| Shortage {
                resource: resource.clone(),
                capacity,
                free,
                asked: *asked,
            })
        })
    }

    /// The grant of a job's run.
    pub fn grant_of(&self, job: JobId, run: u32) -> Option<&Grant> {
        self.grants.get(&(job, run))
    }
}
