//! Policies that a namespace keeps, as jobs keep them: each as it was when the job was submitted, so that nothing that
//! happens to it later changes the job.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::policy::RetryPolicy;
use crate::ids::{PolicyId, PolicyName};

/// A kept policy at one of its versions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NamedPolicy {
    pub id: PolicyId,
    /// Unique in its namespace at any time.
    pub name: PolicyName,
    /// With the id it says which content is meant, for ever.
    pub version: u64,
    pub policy: Arc<RetryPolicy>,
}

/// What the references in a submission stand for, looked up before it is checked.
#[derive(Debug, Clone, Default)]
pub struct NamedPolicies {
    found: BTreeMap<String, Arc<NamedPolicy>>,
    /// What holds for the job where it says nothing itself.
    by_job_type: Option<Arc<NamedPolicy>>,
    lacks_some: bool,
    /// What is missing is no error.
    is_lenient: bool,
}

impl NamedPolicies {
    /// Looks up each of these references.
    pub fn of(
        references: &BTreeSet<&str>,
        find: impl Fn(&str) -> Option<Arc<NamedPolicy>>,
    ) -> Self {
        let found = references.iter().filter_map(|text| Some(((*text).to_owned(), find(text)?)));
        let found: BTreeMap<_, _> = found.collect();
        let lacks_some = found.len() < references.len();
        Self { found, by_job_type: None, lacks_some, is_lenient: false }
    }

    /// With the policy that holds for the job where it says nothing itself.
    #[must_use]
    pub fn or_by_job_type(self, by_job_type: Option<Arc<NamedPolicy>>) -> Self {
        Self { by_job_type, ..self }
    }

    pub(crate) fn by_job_type(&self) -> Option<&Arc<NamedPolicy>> {
        self.by_job_type.as_ref()
    }

    /// Whether a reference stands for nothing.
    pub fn lacks_some(&self) -> bool {
        self.lacks_some
    }

    /// For a submission that was answered before, and of which nothing but that answer matters: what is missing now is no
    /// error.
    #[must_use]
    pub fn lenient(self) -> Self {
        Self { is_lenient: true, ..self }
    }

    pub(crate) fn is_lenient(&self) -> bool {
        self.is_lenient
    }

    pub(crate) fn get(&self, reference: &str) -> Option<&Arc<NamedPolicy>> {
        self.found.get(reference)
    }
}
