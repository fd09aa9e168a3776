//! A walk over the schemas of the document, and which of them a request or an answer is made of.
//! Absent: what is done with them (`open_answers`).

use std::collections::{BTreeMap, BTreeSet};

use utoipa::openapi::schema::{AdditionalProperties, ArrayItems};
use utoipa::openapi::{OpenApi, RefOr, Response, Schema};

use super::every_operation::operations;

/// Where a reference to a component begins.
const SCHEMAS: &str = "#/components/schemas/";

/// The component that a reference names.
pub(super) fn name_of(reference: &str) -> Option<&str> {
    reference.strip_prefix(SCHEMAS)
}

/// The reference to a component.
pub(super) fn reference_to(name: &str) -> String {
    format!("{SCHEMAS}{name}")
}

/// Calls `visit` with `schema` and everything inside it. References are not followed.
pub(super) fn walk(schema: &mut RefOr<Schema>, visit: &mut impl FnMut(&mut RefOr<Schema>)) {
    visit(schema);
    let RefOr::T(schema) = schema else { return };
    match schema {
        Schema::Array(array) => {
            if let ArrayItems::RefOrSchema(items) = &mut array.items {
                walk(items, visit);
            }
        }
        Schema::Object(object) => {
            for property in object.properties.values_mut() {
                walk(property, visit);
            }
            if let Some(AdditionalProperties::RefOr(values)) =
                object.additional_properties.as_deref_mut()
            {
                walk(values, visit);
            }
        }
        Schema::OneOf(choice) => choice.items.iter_mut().for_each(|item| walk(item, visit)),
        Schema::AllOf(all) => all.items.iter_mut().for_each(|item| walk(item, visit)),
        Schema::AnyOf(choice) => choice.items.iter_mut().for_each(|item| walk(item, visit)),
        // The crate may add kinds; the test over references would show one that hides some.
        _ => {}
    }
}

/// The components that are named in `schema`.
pub(super) fn names_in(schema: &RefOr<Schema>) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    walk(&mut schema.clone(), &mut |part| {
        if let RefOr::Ref(reference) = part {
            names.extend(name_of(&reference.ref_location).map(str::to_owned));
        }
    });
    names
}

/// What the components named in `from` are made of, themselves included.
pub(super) fn reachable(
    from: BTreeSet<String>,
    schemas: &BTreeMap<String, RefOr<Schema>>,
) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open: Vec<String> = from.into_iter().collect();
    while let Some(name) = open.pop() {
        let inside = schemas.get(&name).map(names_in).unwrap_or_default();
        if found.insert(name) {
            open.extend(inside);
        }
    }
    found
}

/// The components that parameters and request bodies name.
pub(super) fn named_by_requests(document: &mut OpenApi) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for item in document.paths.paths.values_mut() {
        for (_, operation) in operations(item) {
            for parameter in operation.parameters.iter().flatten() {
                if let RefOr::T(own) = parameter {
                    names.extend(own.schema.iter().flat_map(names_in));
                }
            }
            if let Some(RefOr::T(body)) = &operation.request_body {
                let contents = body.content.values();
                names.extend(contents.flat_map(|content| match content {
                    RefOr::T(content) => content.schema.iter().flat_map(names_in).collect(),
                    RefOr::Ref(_) => BTreeSet::new(),
                }));
            }
        }
    }
    names
}

/// The components that answers name.
pub(super) fn named_by_answers(document: &mut OpenApi) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut collect = |answer: &RefOr<Response>| {
        let RefOr::T(own) = answer else { return };
        for content in own.content.values() {
            if let RefOr::T(content) = content {
                names.extend(content.schema.iter().flat_map(names_in));
            }
        }
    };
    for item in document.paths.paths.values_mut() {
        for (_, operation) in operations(item) {
            operation.responses.responses.values().for_each(&mut collect);
        }
    }
    if let Some(components) = &document.components {
        components.responses.values().for_each(&mut collect);
    }
    names
}
