//! The check of what people may change of a job while it lives.

use super::{Check, CheckSettings};
use crate::bounds;
use crate::job::fact::Patch;
use crate::refusal::FieldError;
use crate::retry::named::NamedPolicies;

/// Checks a PATCH.
///
/// # Errors
/// Everything that is wrong, with a pointer into the request each.
pub fn check_patch(patch: &Patch, settings: &CheckSettings) -> Result<(), Vec<FieldError>> {
    let named = NamedPolicies::default();
    let mut check = Check::new(settings, None, &named);
    if let Some(name) = &patch.name {
        check.line("/name", name, 1, bounds::NAME_CHARS_MAX);
    }
    if let Some(Some(description)) = &patch.description {
        check.text("/description", description, 0, bounds::DESCRIPTION_CHARS_MAX);
    }
    if let Some(tags) = &patch.tags {
        check.tags("/tags", tags);
    }
    check.priority("/priority", patch.priority);
    if let Some(metadata) = &patch.metadata {
        check.metadata("/metadata", metadata);
    }
    check.scheduled_at(patch.scheduled_at.flatten());
    check.timeout("/timeout_ms", patch.timeout_ms.flatten());
    if check.errors.is_empty() { Ok(()) } else { Err(check.errors) }
}
