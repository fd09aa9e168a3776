//! The rules of the document, and that the one checked in is the one served.

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;
use crate::http::problem::PROBLEM_JSON;

fn as_value() -> Value {
    serde_json::from_str(&text()).unwrap_or_default()
}

fn operations(document: &Value) -> Vec<(String, &Value)> {
    let paths = document["paths"].as_object().into_iter().flatten();
    paths
        .flat_map(|(path, item)| {
            let methods = item.as_object().into_iter().flatten();
            methods
                .filter(|(method, _)| method.as_str() != "parameters")
                .map(move |(method, operation)| (format!("{method} {path}"), operation))
        })
        .collect()
}

#[test]
fn every_operation_has_a_unique_camel_case_id_one_tag_and_a_summary() {
    let document = as_value();
    let mut ids = BTreeSet::new();
    for (name, operation) in operations(&document) {
        let id = operation["operationId"].as_str().unwrap_or_default();
        assert!(ids.insert(id.to_owned()), "{name}: {id} is there twice");
        let is_camel = id.starts_with(|c: char| c.is_ascii_lowercase())
            && id.chars().all(|c| c.is_ascii_alphanumeric());
        assert!(is_camel, "{name}: {id:?} is not camelCase");
        assert_eq!(operation["tags"].as_array().map(Vec::len), Some(1), "{name}");
        assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{name}");
    }
    assert!(!ids.is_empty());
}

#[test]
fn every_response_is_described_and_every_error_is_a_problem() {
    let document = as_value();
    for (name, operation) in operations(&document) {
        let responses = operation["responses"].as_object().into_iter().flatten();
        for (status, response) in responses {
            let description = response["description"].as_str().unwrap_or_default();
            assert!(!description.is_empty(), "{name} {status}");
            if status.as_str() >= "400" && name.contains(" /api/") {
                let schema = &response["content"][PROBLEM_JSON]["schema"]["$ref"];
                assert_eq!(schema, "#/components/schemas/Problem", "{name} {status}");
            }
        }
    }
}

#[test]
fn every_reference_leads_somewhere() {
    fn collect<'a>(value: &'a Value, references: &mut BTreeSet<&'a str>) {
        match value {
            Value::Object(fields) => {
                for (key, field) in fields {
                    match field {
                        Value::String(target) if key == "$ref" => _ = references.insert(target),
                        other => collect(other, references),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, references)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let document = as_value();
    let mut references = BTreeSet::new();
    collect(&document, &mut references);
    for reference in references {
        let target = document.pointer(reference.trim_start_matches('#'));
        assert!(target.is_some(), "{reference} leads nowhere");
    }
}

#[test]
fn requests_refuse_unknown_fields_and_answers_may_grow() {
    let document = as_value();
    let mut bodies = BTreeSet::new();
    for (_, operation) in operations(&document) {
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        bodies.extend(schema["$ref"].as_str().map(str::to_owned));
        for choice in schema["oneOf"].as_array().into_iter().flatten() {
            bodies.extend(choice["$ref"].as_str().map(str::to_owned));
        }
    }
    for body in bodies {
        let schema = document.pointer(body.trim_start_matches('#'));
        let strict = schema.is_some_and(|schema| schema["additionalProperties"] == false);
        assert!(strict, "{body} accepts unknown fields");
    }
}

#[test]
fn the_document_checked_in_is_the_one_served() {
    let served = format!("{}\n", text());
    let checked_in = include_str!("../../../openapi.json");
    if served != checked_in {
        let fresh = concat!(env!("CARGO_MANIFEST_DIR"), "/target/openapi.json");
        let kept = std::fs::write(fresh, &served).is_ok();
        panic!("openapi.json is out of date; the new one is at {fresh} ({kept}): look and copy it");
    }
}
