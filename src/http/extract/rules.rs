//! Rules about one field of a request stand with `validator` on the structs that requests are read into; here they become
//! field errors with pointers.
//! Always holds: the rejected value, which the crate carries along, is dropped here. Absent: rules about what is made of a
//! request (the name of a job, the capacity of an environment, how fields fit each other), which the domain holds whoever
//! makes it, and bounds that keep reading itself cheap (`bounded`).

use domain::refusal::FieldError;
use validator::{Validate, ValidationError, ValidationErrors, ValidationErrorsKind};

use super::pointer::child;

/// Adds what is wrong with `body`, which stands at `at`.
pub(in crate::http) fn apply(at: &str, body: &impl Validate, errors: &mut Vec<FieldError>) {
    if let Err(found) = body.validate() {
        walk(at, &found, errors);
        errors.sort_by(|a, b| a.pointer.cmp(&b.pointer));
    }
}

/// A rule that says itself what is allowed.
pub(in crate::http) fn broken(code: &'static str, message: String) -> ValidationError {
    ValidationError::new(code).with_message(message.into())
}

fn walk(at: &str, found: &ValidationErrors, errors: &mut Vec<FieldError>) {
    for (field, kind) in found.errors() {
        let pointer = child(at, as_sent(field));
        match kind {
            ValidationErrorsKind::Struct(inner) => walk(&pointer, inner, errors),
            ValidationErrorsKind::List(items) => {
                for (position, inner) in items {
                    walk(&child(&pointer, &position.to_string()), inner, errors);
                }
            }
            ValidationErrorsKind::Field(broken) => {
                errors.extend(broken.iter().map(|rule| field_error(&pointer, rule)));
            }
        }
    }
}

/// The crate knows fields by their names in Rust, where `type` is none.
fn as_sent(field: &str) -> &str {
    if field == "error_type" { "type" } else { field }
}

fn field_error(pointer: &str, rule: &ValidationError) -> FieldError {
    let bound = |name: &str| rule.params.get(name).map(ToString::to_string);
    let (min, max) = (bound("min"), bound("max"));
    let (code, message) = match (rule.code.as_ref(), min, max) {
        ("range", Some(min), Some(max)) => {
            ("out_of_range".into(), format!("must be from {min} to {max}"))
        }
        ("range", Some(min), None) => ("out_of_range".into(), format!("must be at least {min}")),
        ("range", None, Some(max)) => ("out_of_range".into(), format!("must be at most {max}")),
        ("length", _, Some(max)) => {
            ("too_long".into(), format!("must be at most {max} characters"))
        }
        _ => {
            let message = rule.message.as_deref().unwrap_or("is not allowed");
            (rule.code.clone(), message.to_owned())
        }
    };
    FieldError { pointer: pointer.to_owned(), code, message }
}
