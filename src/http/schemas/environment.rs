//! Environments as they are created, changed and listed. Absent: the rules of capacities, which the domain checks.

use std::collections::BTreeMap;

use domain::bounds;
use domain::environment::command::Definition;
use domain::ids::EnvironmentName;
use domain::refusal::FieldError;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use validator::Validate;

use crate::http::extract::bounded;
use crate::http::page::PageInfo;
use crate::view::resources::environment::EnvironmentResource;

/// A named pool of resources.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CreateEnvironment)]
pub struct EnvironmentBody {
    /// Names it inside its namespace.
    #[schema(pattern = "^[A-Za-z0-9_.-]{1,64}$", examples("gpu"))]
    name: String,
    /// Free text that only people read.
    #[schema(max_length = 1_000)]
    description: Option<String>,
    /// How much there is of what, at most 16 resources; what is not named is unlimited.
    #[serde(default, deserialize_with = "bounded::amounts::<{ bounds::RESOURCES_MAX }, _>")]
    capacity: BTreeMap<String, u64>,
}

/// An environment anew.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ReplaceEnvironment)]
pub struct DefinitionBody {
    /// Free text that only people read.
    #[schema(max_length = 1_000)]
    description: Option<String>,
    /// How much there is of what, at most 16 resources; what is not named is unlimited.
    #[serde(default, deserialize_with = "bounded::amounts::<{ bounds::RESOURCES_MAX }, _>")]
    capacity: BTreeMap<String, u64>,
}

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
    /// The rows of this page, in the order of the list.
    #[schema(value_type = Vec<EnvironmentResource>)]
    pub environments: Vec<&'a RawValue>,
    #[serde(flatten)]
    pub page: PageInfo,
}
