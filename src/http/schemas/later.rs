//! What the design knows and this version cannot do yet. Such a field is read, so that nobody is told it is
//! unknown, and refused, so that no job runs without what it asked for.

use domain::refusal::FieldError;
use serde::de::IgnoredAny;

/// A field of a later version. Absent and null are both no request for it.
pub type Later = Option<IgnoredAny>;

/// Refuses each given field of `fields`.
pub fn refuse(at: &str, fields: &[(&str, &Later)], errors: &mut Vec<FieldError>) {
    for (name, given) in fields {
        if given.is_some() {
            errors.push(not_available(&format!("{at}/{name}")));
        }
    }
}

/// The refusal of what stands at `pointer`.
pub fn not_available(pointer: &str) -> FieldError {
    FieldError::new(pointer, "not_available", "is not available yet")
}
