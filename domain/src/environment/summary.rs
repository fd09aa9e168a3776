//! An environment as people see it: pure data made from its state, the same in answers, lists and the view.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::environment::state::EnvironmentState;
use crate::subject::SCHEMA_VERSION;
use crate::time_text::rfc3339;

/// The JSON resource.
#[derive(Debug, Clone, Serialize)]
pub struct EnvironmentSummary {
    /// Of this resource.
    pub schema_version: u8,
    /// Unique in the namespace.
    pub name: String,
    pub namespace: String,
    /// Free text that only people read.
    pub description: Option<String>,
    /// How much of what there is; what is not named is unlimited.
    pub capacity: BTreeMap<String, u64>,
    /// How much of what its grants take together.
    pub used: BTreeMap<String, u64>,
    /// Grants that are held.
    pub grants: u64,
    pub version: u64,
    pub created_at: Option<String>,
    /// When; grants do not count.
    pub updated_at: Option<String>,
}

impl EnvironmentState {
    pub fn summary(&self) -> EnvironmentSummary {
        let used = self.use_by_resource();
        EnvironmentSummary {
            schema_version: SCHEMA_VERSION,
            name: self.name.to_string(),
            namespace: self.namespace.to_string(),
            description: self.description.clone(),
            capacity: self.capacity.clone(),
            used: used
                .into_iter()
                .map(|(resource, amount)| (resource.to_owned(), amount))
                .collect(),
            grants: self.grants.len() as u64,
            version: self.seq,
            created_at: Some(rfc3339(self.created_at)),
            updated_at: Some(rfc3339(self.updated_at)),
        }
    }
}

impl EnvironmentSummary {
    /// `default`, which has no stream: always there, without limits.
    pub fn of_default(namespace: &crate::ids::Namespace) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            name: crate::ids::EnvironmentName::default_environment().to_string(),
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
