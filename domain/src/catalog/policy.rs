//! A retry policy of the catalog: what people say of it, with its bounds, and what the catalog says.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::bounds;
use crate::exact_json::ExactJson;
use crate::ids::{Millis, PolicyId, PolicyName};
use crate::refusal::FieldError;
use crate::retry::policy::RetryPolicy;
use crate::subject::labels;

/// What people say of a policy. As it is stored: the bounds of its time do not matter any more.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PolicyDefinition {
    /// Free text that only people read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Unique, at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, ExactJson>,
    /// Types of jobs that get it where neither they nor their nodes have a policy: exact, or with a `*` at the end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub applicable_job_types: Vec<String>,
    /// What jobs that name it get.
    pub policy: Arc<RetryPolicy>,
}

impl PolicyDefinition {
    /// Bytes of its JSON.
    pub fn bytes(&self) -> usize {
        serde_json::to_vec(self).map_or(0, |json| json.len())
    }
}

/// A definition within its bounds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "PolicyDefinition", into = "PolicyDefinition")]
pub struct CheckedDefinition(Arc<PolicyDefinition>);

impl CheckedDefinition {
    /// Checks what a caller wrote, whose fields stand in one object with those of the policy.
    ///
    /// # Errors
    /// Everything that is wrong, with a pointer into the request each.
    pub fn check(mut definition: PolicyDefinition) -> Result<Self, Vec<FieldError>> {
        let mut errors = Vec::new();
        if let Some(description) = &definition.description {
            let most = bounds::DESCRIPTION_CHARS_MAX;
            labels::text("/description", description, 0, most, &mut errors);
        }
        definition.tags = labels::tags("/tags", &definition.tags, &mut errors);
        labels::metadata("/metadata", &definition.metadata, &mut errors);
        let job_types = &definition.applicable_job_types;
        errors.extend(RetryPolicy::check_patterns("/applicable_job_types", job_types));
        errors.extend(definition.policy.check(""));
        if errors.is_empty() && definition.bytes() > bounds::POLICY_BYTES_MAX {
            let most = bounds::POLICY_BYTES_MAX;
            let message = format!("must be at most {most} bytes of JSON in all");
            errors.push(FieldError::new("", "too_large", message));
        }
        if errors.is_empty() { Ok(Self(Arc::new(definition))) } else { Err(errors) }
    }

    /// What was checked.
    pub fn shared(&self) -> &Arc<PolicyDefinition> {
        &self.0
    }
}

/// What comes from another engine is checked like what comes from people.
impl TryFrom<PolicyDefinition> for CheckedDefinition {
    type Error = &'static str;

    fn try_from(definition: PolicyDefinition) -> Result<Self, Self::Error> {
        Self::check(definition).map_err(|_| "the definition of a retry policy breaks its rules")
    }
}

impl From<CheckedDefinition> for PolicyDefinition {
    fn from(checked: CheckedDefinition) -> Self {
        Arc::unwrap_or_clone(checked.0)
    }
}

/// A retry policy as the catalog has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CatalogPolicy {
    /// It follows from namespace and name.
    pub id: PolicyId,
    pub name: PolicyName,
    /// The catalog's event that made it what it is: no two contents of one name have the same, also after a deletion.
    pub version: u64,
    pub definition: Arc<PolicyDefinition>,
    /// Of the definition's JSON.
    pub bytes: usize,
    pub created_at: Millis,
    /// When it was created or replaced last.
    pub updated_at: Millis,
}
