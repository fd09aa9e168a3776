//! Field rules declared with `validator`, as field errors with pointers. Always holds: the rejected value, which the
//! crate carries along, is dropped here.

use domain::refusal::FieldError;
use validator::{Validate, ValidationErrors, ValidationErrorsKind};

use crate::http::extract::pointer::child;

/// Adds what is wrong with `body`, which stands at `at`.
pub(super) fn apply(at: &str, body: &impl Validate, errors: &mut Vec<FieldError>) {
    if let Err(found) = body.validate() {
        walk(at, &found, errors);
        errors.sort_by(|a, b| a.pointer.cmp(&b.pointer));
    }
}

fn walk(at: &str, found: &ValidationErrors, errors: &mut Vec<FieldError>) {
    for (field, kind) in found.errors() {
        let pointer = child(at, field);
        match kind {
            ValidationErrorsKind::Struct(inner) => walk(&pointer, inner, errors),
            ValidationErrorsKind::List(items) => {
                for (position, inner) in items {
                    walk(&child(&pointer, &position.to_string()), inner, errors);
                }
            }
            ValidationErrorsKind::Field(broken) => {
                for rule in broken {
                    let bound = |name: &str| rule.params.get(name).map(ToString::to_string);
                    let message = match (bound("min"), bound("max")) {
                        (Some(min), Some(max)) => format!("must be from {min} to {max}"),
                        (Some(min), None) => format!("must be at least {min}"),
                        (None, Some(max)) => format!("must be at most {max}"),
                        (None, None) => "is not allowed".to_owned(),
                    };
                    errors.push(FieldError::new(pointer.clone(), "out_of_range", message));
                }
            }
        }
    }
}
