//! Environments as they are created, changed and shown. Absent: the rules of capacities, which the domain checks.

use std::collections::BTreeMap;

use domain::bounds;
use domain::environment::command::Definition;
use domain::ids::EnvironmentName;
use domain::refusal::FieldError;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::http::extract::bounded;
use crate::http::extract::json::RequestBody;
use crate::http::page::PageInfo;

/// A named pool of resources.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CreateEnvironment)]
pub struct EnvironmentBody {
    /// Names it inside its namespace.
    #[schema(pattern = "^[A-Za-z0-9_.-]{1,64}$", examples("gpu"))]
    name: String,
    /// For people.
    #[schema(max_length = 1_000)]
    description: Option<String>,
    /// How much there is of what, at most 16 resources; what is not named is unlimited.
    #[serde(default, deserialize_with = "bounded::amounts::<{ bounds::RESOURCES_MAX }, _>")]
    capacity: BTreeMap<String, u64>,
}

/// An environment anew.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ReplaceEnvironment)]
pub struct DefinitionBody {
    /// For people.
    #[schema(max_length = 1_000)]
    description: Option<String>,
    /// How much there is of what, at most 16 resources; what is not named is unlimited.
    #[serde(default, deserialize_with = "bounded::amounts::<{ bounds::RESOURCES_MAX }, _>")]
    capacity: BTreeMap<String, u64>,
}

impl RequestBody for EnvironmentBody {}
impl RequestBody for DefinitionBody {}

impl EnvironmentBody {
    /// The name and the checked definition.
    pub fn into_definition(self) -> Result<(EnvironmentName, Definition), Vec<FieldError>> {
        let name = EnvironmentName::parse_given(&self.name)
            .map_err(|error| vec![FieldError::id("/name", &error)]);
        match (name, Definition::check(self.description, self.capacity)) {
            (Ok(name), Ok(definition)) => Ok((name, definition)),
            (name, definition) => {
                let mut errors = name.err().unwrap_or_default();
                errors.extend(definition.err().unwrap_or_default());
                Err(errors)
            }
        }
    }
}

impl DefinitionBody {
    /// The checked definition.
    pub fn into_definition(self) -> Result<Definition, Vec<FieldError>> {
        Definition::check(self.description, self.capacity)
    }
}

/// The environments of a namespace; `default` first, then by name.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EnvironmentList)]
pub struct EnvironmentListAnswer<'a> {
    /// This page.
    #[schema(value_type = Vec<EnvironmentAnswer>)]
    pub environments: Vec<&'a RawValue>,
    #[serde(flatten)]
    pub page: PageInfo,
}

/// An environment and what is in use of it, as the document describes it; the text is made by the domain.
#[derive(Debug, ToSchema)]
#[schema(as = Environment)]
pub struct EnvironmentAnswer {
    /// Of this resource's shape.
    pub schema_version: u8,
    /// Names it inside its namespace.
    pub name: String,
    /// Whose.
    pub namespace: String,
    /// For people.
    pub description: Option<String>,
    /// How much there is of what; what is not named is unlimited.
    pub capacity: BTreeMap<String, u64>,
    /// How much of it is taken.
    pub used: BTreeMap<String, u64>,
    /// Runs of jobs that hold a grant.
    pub grants: u64,
    /// The ETag.
    pub version: u64,
    /// When.
    #[schema(format = "date-time")]
    pub created_at: Option<String>,
    /// When it was defined or changed last.
    #[schema(format = "date-time")]
    pub updated_at: Option<String>,
}
