//! Names for the values of enums: some languages put the values of all enums into one scope, where the `none` of two of
//! them, or the states of jobs and nodes, meet. Absent: enums of answers, which are open (`open_answers`).

use utoipa::Modify;
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::{OpenApi, RefOr, Schema};

/// What generators read the names from, in the order of the values.
const NAMES: &str = "x-enum-varnames";

/// Names the values of every enum after it.
#[derive(Debug)]
pub(super) struct EnumNames;

impl Modify for EnumNames {
    fn modify(&self, document: &mut OpenApi) {
        let Some(components) = &mut document.components else { return };
        for (name, schema) in &mut components.schemas {
            let RefOr::T(Schema::Object(object)) = schema else { continue };
            let Some(values) = &object.enum_values else { continue };
            let prefix = screaming(name);
            let names: Vec<String> = values
                .iter()
                .filter_map(|value| {
                    Some(format!("{prefix}_{}", value.as_str()?.to_ascii_uppercase()))
                })
                .collect();
            object.extensions = Some(ExtensionsBuilder::new().add(NAMES, names).build());
        }
    }
}

/// `JobStatus` as `JOB_STATUS`.
fn screaming(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 4);
    for (position, c) in name.chars().enumerate() {
        if position > 0 && c.is_ascii_uppercase() {
            text.push('_');
        }
        text.push(c.to_ascii_uppercase());
    }
    text
}
