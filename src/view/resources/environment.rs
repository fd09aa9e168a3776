//! An environment as people see it.

use std::collections::BTreeMap;

use domain::environment::state::EnvironmentState;
use domain::ids::{EnvironmentName, Namespace};
use domain::time_text::rfc3339;
use serde::Serialize;
use utoipa::ToSchema;

use super::SCHEMA_VERSION;

/// An environment and what is in use of it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Environment)]
pub struct EnvironmentResource {
    /// Of this resource's shape.
    pub schema_version: u8,
    /// Names it inside its namespace.
    pub name: String,
    /// The namespace that owns it.
    pub namespace: String,
    /// Free text that only people read.
    pub description: Option<String>,
    /// How much there is of what; what is not named is unlimited.
    pub capacity: BTreeMap<String, u64>,
    /// How much of it is taken.
    pub used: BTreeMap<String, u64>,
    /// Runs of jobs that hold a grant.
    pub grants: u64,
    /// Grows with every change; the number in the ETag.
    pub version: u64,
    /// The time of the change.
    #[schema(format = "date-time")]
    pub created_at: Option<String>,
    /// When it was defined or changed last; grants do not count.
    #[schema(format = "date-time")]
    pub updated_at: Option<String>,
}

impl From<&EnvironmentState> for EnvironmentResource {
    fn from(state: &EnvironmentState) -> Self {
        let used = state.use_by_resource();
        let used = used.into_iter().map(|(resource, amount)| (resource.to_owned(), amount));
        Self {
            schema_version: SCHEMA_VERSION,
            name: state.name.to_string(),
            namespace: state.namespace.to_string(),
            description: state.description.clone(),
            capacity: state.capacity.clone(),
            used: used.collect(),
            grants: state.grants.len() as u64,
            version: state.seq,
            created_at: Some(rfc3339(state.created_at)),
            updated_at: Some(rfc3339(state.updated_at)),
        }
    }
}

impl EnvironmentResource {
    /// `default`, which has no stream: always there, without limits.
    pub fn of_default(namespace: &Namespace) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            name: EnvironmentName::default_environment().to_string(),
            namespace: namespace.to_string(),
            description: Some("Always there, without limits.".to_owned()),
            capacity: BTreeMap::new(),
            used: BTreeMap::new(),
            grants: 0,
            version: 0,
            created_at: None,
            updated_at: None,
        }
    }
}
