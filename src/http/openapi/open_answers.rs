//! What answers are made of stays open: a client generated from today's document must live with the fields and words of
//! tomorrow's engine. In answers no object is closed, and a word from a list is a text whose known values are listed
//! (`x-extensible-enum`). Requests stay as strict as the engine reads them; a schema that both use gets an open twin.
//! Absent: the walk over schemas (`schemas`).

use std::collections::{BTreeMap, BTreeSet};

use utoipa::Modify;
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::schema::{AdditionalProperties, Object};
use utoipa::openapi::{OpenApi, RefOr, Schema};

use super::schemas::{name_of, named_by_answers, named_by_requests, reachable, reference_to, walk};

/// Ends the name of the twin that answers use.
const TWIN: &str = "Answer";
/// Lists the values that are known today.
const KNOWN_VALUES: &str = "x-extensible-enum";

/// Opens the answers of the document.
#[derive(Debug)]
pub(super) struct OpenAnswers;

impl Modify for OpenAnswers {
    fn modify(&self, document: &mut OpenApi) {
        let (asked, answered) = (named_by_requests(document), named_by_answers(document));
        let Some(components) = &mut document.components else { return };
        let schemas = &mut components.schemas;
        let asked = reachable(asked, schemas);
        let answered = reachable(answered, schemas);
        let twins = twins(&asked, &answered, schemas);
        for name in &answered {
            let open = if twins.contains(name) {
                let Some(mut twin) = schemas.get(name).cloned() else { continue };
                open(&mut twin, &twins);
                (format!("{name}{TWIN}"), twin)
            } else if asked.contains(name) {
                // Nothing in it is closed: one serves both.
                continue;
            } else {
                let Some(mut own) = schemas.remove(name) else { continue };
                open(&mut own, &twins);
                (name.clone(), own)
            };
            schemas.insert(open.0, open.1);
        }
    }
}

/// What requests and answers share and what is closed, by itself or inside.
fn twins(
    asked: &BTreeSet<String>,
    answered: &BTreeSet<String>,
    schemas: &BTreeMap<String, RefOr<Schema>>,
) -> BTreeSet<String> {
    let is_closed = |name: &String| {
        let mut closed = false;
        if let Some(schema) = schemas.get(name) {
            walk(&mut schema.clone(), &mut |part| {
                closed |= matches!(part, RefOr::T(Schema::Object(object)) if is_closed(object));
            });
        }
        closed
    };
    let both = asked.intersection(answered);
    both.filter(|name| {
        let inside = reachable(BTreeSet::from([(*name).clone()]), schemas);
        inside.iter().any(is_closed)
    })
    .cloned()
    .collect()
}

fn is_closed(object: &Object) -> bool {
    let refuses_others = matches!(
        object.additional_properties.as_deref(),
        Some(AdditionalProperties::FreeForm(false))
    );
    object.enum_values.is_some() || refuses_others
}

/// Opens a schema, and makes it name the twins of what is closed.
fn open(schema: &mut RefOr<Schema>, twins: &BTreeSet<String>) {
    walk(schema, &mut |part| match part {
        RefOr::Ref(reference) => {
            if let Some(name) =
                name_of(&reference.ref_location).filter(|name| twins.contains(*name))
            {
                reference.ref_location = reference_to(&format!("{name}{TWIN}"));
            }
        }
        RefOr::T(Schema::Object(object)) => open_object(object),
        RefOr::T(_) => {}
    });
}

fn open_object(object: &mut Object) {
    if is_closed(object) {
        object.additional_properties = None;
    }
    let Some(values) = object.enum_values.take() else { return };
    let words: Vec<String> =
        values.iter().filter_map(|value| Some(format!("`{}`", value.as_str()?))).collect();
    let known = format!("Known today: {}. Values may be added.", words.join(", "));
    object.description = Some(match object.description.take() {
        Some(description) => format!("{description} {known}"),
        None => known,
    });
    object.extensions = Some(ExtensionsBuilder::new().add(KNOWN_VALUES, values).build());
}
