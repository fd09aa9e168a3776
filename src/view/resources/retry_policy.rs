//! A retry policy of the catalog as people see it.

use std::collections::BTreeMap;

use domain::catalog::policy::CatalogPolicy;
use domain::exact_json::ExactJson;
use domain::ids::Namespace;
use domain::time_text::rfc3339;
use serde::Serialize;
use utoipa::ToSchema;

use super::SCHEMA_VERSION;
use super::policy::RetryResource;

/// A retry policy that jobs may name.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = StoredRetryPolicy)]
pub struct RetryPolicyResource {
    /// Of this resource's shape.
    pub schema_version: u8,
    /// It follows from namespace and name.
    #[schema(format = "uuid")]
    pub id: String,
    /// Names it inside its namespace.
    pub name: String,
    /// The namespace that owns it.
    pub namespace: String,
    /// Grows with every change, also of other policies; the number in the ETag. No two contents of a policy have the same.
    #[schema(minimum = 1)]
    pub version: u64,
    /// Free text that only people read.
    pub description: Option<String>,
    /// For people and filters.
    pub tags: Vec<String>,
    /// Small values that the caller chose to keep with it.
    #[schema(value_type = BTreeMap<String, serde_json::Value>)]
    pub metadata: BTreeMap<String, ExactJson>,
    /// Types of jobs that get it where neither they nor a node say anything: exact, or with a `*` at the end.
    pub applicable_job_types: Vec<String>,
    /// The time of the change.
    #[schema(format = "date-time")]
    pub created_at: String,
    /// When it was created or replaced last.
    #[schema(format = "date-time")]
    pub updated_at: String,
    #[serde(flatten)]
    pub policy: RetryResource,
}

impl RetryPolicyResource {
    /// A policy of this namespace.
    pub fn of(namespace: &Namespace, policy: &CatalogPolicy) -> Self {
        let definition = &policy.definition;
        Self {
            schema_version: SCHEMA_VERSION,
            id: policy.id.to_string(),
            name: policy.name.to_string(),
            namespace: namespace.to_string(),
            version: policy.version,
            description: definition.description.clone(),
            tags: definition.tags.clone(),
            metadata: definition.metadata.clone(),
            applicable_job_types: definition.applicable_job_types.clone(),
            created_at: rfc3339(policy.created_at),
            updated_at: rfc3339(policy.updated_at),
            policy: RetryResource::from(definition.policy.as_ref()),
        }
    }
}
