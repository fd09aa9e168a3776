//! What an absent field stands for is said in words, not by the keyword `default`: typed clients made from the document take
//! a property that has one for a property that is always there, and then ask their users for all of them.
//! Absent: parameters, which are optional whatever their default.

use serde_json::Value;
use utoipa::Modify;
use utoipa::openapi::{OpenApi, RefOr, Schema};

use super::schemas::walk;

/// Says defaults in descriptions.
#[derive(Debug)]
pub(super) struct DefaultsInWords;

impl Modify for DefaultsInWords {
    fn modify(&self, document: &mut OpenApi) {
        let Some(components) = &mut document.components else { return };
        for schema in components.schemas.values_mut() {
            walk(schema, &mut say);
        }
    }
}

fn say(schema: &mut RefOr<Schema>) {
    match schema {
        RefOr::Ref(reference) => {
            if let Some(default) = reference.default.take() {
                reference.description = with_default(&reference.description, &default);
            }
        }
        RefOr::T(Schema::Object(object)) => {
            if let Some(default) = object.default.take() {
                let before = object.description.take().unwrap_or_default();
                object.description = Some(with_default(&before, &default));
            }
        }
        RefOr::T(Schema::OneOf(choice)) => {
            if let Some(default) = choice.default.take() {
                let before = choice.description.take().unwrap_or_default();
                choice.description = Some(with_default(&before, &default));
            }
        }
        RefOr::T(Schema::Array(array)) => {
            if let Some(default) = array.default.take() {
                let before = array.description.take().unwrap_or_default();
                array.description = Some(with_default(&before, &default));
            }
        }
        RefOr::T(_) => {}
    }
}

fn with_default(description: &str, default: &Value) -> String {
    let shown = default.as_str().map_or_else(|| default.to_string(), str::to_owned);
    format!("{description} When absent: `{shown}`.").trim_start().to_owned()
}
