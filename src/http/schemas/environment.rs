//! Environments as they are created and changed. Always holds: a capacity is at least 1 of a named resource, at most
//! 16 of them. Absent: use and grants, which belong to the environment's own stream.

use std::collections::BTreeMap;

use domain::bounds;
use domain::ids::EnvironmentName;
use domain::refusal::FieldError;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::http::extract::json::RequestBody;
use crate::http::extract::pointer::child;

/// A named pool of resources.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CreateEnvironment)]
pub struct EnvironmentBody {
    /// Names it inside its namespace.
    #[schema(pattern = "^[A-Za-z0-9_.-]{1,64}$", examples("gpu"))]
    pub name: String,
    /// For people.
    #[schema(max_length = 1_000)]
    pub description: Option<String>,
    /// How much there is of what; a resource that is not named has no limit.
    #[serde(default)]
    pub capacity: BTreeMap<String, u64>,
}

/// Changes to an environment.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PatchEnvironment)]
pub struct EnvironmentPatchBody {
    /// For people.
    #[schema(max_length = 1_000, nullable = false)]
    pub description: Option<String>,
    /// All capacities anew.
    #[schema(nullable = false)]
    pub capacity: Option<BTreeMap<String, u64>>,
}

impl RequestBody for EnvironmentBody {
    fn check(&self, errors: &mut Vec<FieldError>) {
        if let Err(error) = EnvironmentName::parse(&self.name) {
            errors.push(FieldError::id("/name", &error));
        }
        check_description(self.description.as_deref(), errors);
        check_capacity(&self.capacity, errors);
    }
}

impl RequestBody for EnvironmentPatchBody {
    fn check(&self, errors: &mut Vec<FieldError>) {
        check_description(self.description.as_deref(), errors);
        if let Some(capacity) = &self.capacity {
            check_capacity(capacity, errors);
        }
    }
}

fn check_description(description: Option<&str>, errors: &mut Vec<FieldError>) {
    if description.is_some_and(|text| text.chars().count() > bounds::DESCRIPTION_CHARS_MAX) {
        let message = format!("must be at most {} characters", bounds::DESCRIPTION_CHARS_MAX);
        errors.push(FieldError::new("/description", "too_long", message));
    }
}

fn check_capacity(capacity: &BTreeMap<String, u64>, errors: &mut Vec<FieldError>) {
    if capacity.len() > bounds::RESOURCES_MAX {
        let message = format!("must name at most {} resources", bounds::RESOURCES_MAX);
        errors.push(FieldError::new("/capacity", "out_of_range", message));
    }
    for (name, amount) in capacity {
        let pointer = child("/capacity", name);
        let is_name = (1..=bounds::KEY_CHARS_MAX).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
        if !is_name {
            let message = "names must be 1-64 of A-Z a-z 0-9 _ . -";
            errors.push(FieldError::new(pointer.clone(), "invalid_format", message));
        }
        if !(1..=bounds::RESOURCE_AMOUNT_MAX).contains(amount) {
            let message = format!("must be from 1 to {}", bounds::RESOURCE_AMOUNT_MAX);
            errors.push(FieldError::new(pointer, "out_of_range", message));
        }
    }
}
