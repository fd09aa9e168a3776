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

/// What a reference leads to; anything else stays as it is.
fn followed<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let target = value["$ref"].as_str().map(|reference| reference.trim_start_matches('#'));
    target.map_or(value, |target| document.pointer(target).unwrap_or(&Value::Null))
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
            let response = followed(&document, response);
            let description = response["description"].as_str().unwrap_or_default();
            assert!(!description.is_empty(), "{name} {status}");
            if status.as_str() >= "400" && name.contains(" /api/") {
                let schema = &response["content"][PROBLEM_JSON]["schema"]["$ref"];
                assert_eq!(schema, "#/components/schemas/Problem", "{name} {status}");
                let headers = &response["headers"];
                assert_eq!(headers["X-Request-Id"]["$ref"], "#/components/headers/X-Request-Id");
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
                    match field.as_str().filter(|_| key == "$ref") {
                        Some(target) => _ = references.insert(target),
                        None => collect(field, references),
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

/// Everything that an answer can hold: its schemas and what they name.
fn schemas_of_answers(document: &Value) -> BTreeSet<String> {
    fn collect(document: &Value, value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(fields) => fields.iter().for_each(|(key, field)| match field.as_str() {
                Some(target) if key == "$ref" => {
                    if found.insert(target.to_owned()) {
                        collect(document, followed(document, value), found);
                    }
                }
                Some(_) | None => collect(document, field, found),
            }),
            Value::Array(items) => items.iter().for_each(|item| collect(document, item, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let mut found = BTreeSet::new();
    for (_, operation) in operations(document) {
        collect(document, &operation["responses"], &mut found);
    }
    found
}

#[test]
fn no_answer_is_closed_to_new_fields_and_words() {
    fn assert_open(value: &Value, name: &str) {
        match value {
            Value::Object(fields) => {
                assert!(!fields.contains_key("enum"), "{name}: {value}");
                assert_ne!(fields.get("additionalProperties"), Some(&Value::Bool(false)), "{name}");
                fields.values().for_each(|field| assert_open(field, name));
            }
            Value::Array(items) => items.iter().for_each(|item| assert_open(item, name)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let document = as_value();
    let names = schemas_of_answers(&document);
    assert!(names.len() > 40, "{names:?}");
    for name in &names {
        let schema = document.pointer(name.trim_start_matches('#')).unwrap_or(&Value::Null);
        assert_open(schema, name);
    }
    // The words are listed all the same, and requests still refuse others.
    let schemas = &document["components"]["schemas"];
    assert!(schemas["WaitCode"]["x-extensible-enum"].is_array());
    assert!(schemas["RetryStrategy"]["enum"].is_array());
    assert!(schemas["RetryStrategyAnswer"]["x-extensible-enum"].is_array());
}

#[test]
fn what_operations_share_stands_in_the_document_once() {
    let document = as_value();
    for (name, operation) in operations(&document) {
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            assert_ne!(parameter["in"], "header", "{name}: {parameter} is not shared");
        }
        for (status, response) in operation["responses"].as_object().into_iter().flatten() {
            let is_own = response["$ref"].is_null();
            let is_error = status.as_str() >= "400" && name.contains(" /api/");
            assert!(!(is_own && is_error), "{name} {status} is not shared");
            for (header, value) in response["headers"].as_object().into_iter().flatten() {
                assert!(value["$ref"].is_string(), "{name} {status} {header} is not shared");
            }
        }
    }
    for header in ["Retry-After", "ETag", "Allow"] {
        assert!(document["components"]["headers"][header].is_object(), "{header}");
    }
    let schemas = document["components"]["schemas"].as_object().into_iter().flatten();
    for (name, _) in schemas {
        assert!(name.starts_with(|c: char| c.is_ascii_uppercase()), "{name} is no type's name");
    }
    // A client reads it once; what is said twice would double it.
    assert!(text().len() < 300_000, "{} bytes", text().len());
    assert_eq!(document["servers"][0]["url"], "/");
}

#[test]
fn no_schema_has_a_default_that_typed_clients_would_take_for_a_promise() {
    let document = as_value();
    for (name, schema) in document["components"]["schemas"].as_object().into_iter().flatten() {
        for (property, of) in schema["properties"].as_object().into_iter().flatten() {
            assert!(of.get("default").is_none(), "{name}.{property}");
        }
    }
    let kind = &document["components"]["schemas"]["Node"]["properties"]["type"];
    assert!(
        kind["description"].as_str().is_some_and(|text| text.ends_with("When absent: `task`."))
    );
}

#[test]
fn no_two_values_of_enums_have_the_same_name() {
    let document = as_value();
    let mut names = BTreeSet::new();
    for (name, schema) in document["components"]["schemas"].as_object().into_iter().flatten() {
        let Some(values) = schema["enum"].as_array() else { continue };
        let named = schema["x-enum-varnames"].as_array().map_or(&[][..], Vec::as_slice);
        assert_eq!(named.len(), values.len(), "{name}");
        for value in named {
            assert!(
                names.insert(value.as_str().unwrap_or_default().to_owned()),
                "{value} of {name}"
            );
        }
    }
    assert!(names.contains("JOB_STATUS_RUNNING") && names.contains("NODE_STATUS_RUNNING"));
}

#[test]
fn every_request_body_has_an_example() {
    let document = as_value();
    for (name, operation) in operations(&document) {
        if operation["requestBody"].is_object() {
            let example = &operation["requestBody"]["content"]["application/json"]["example"];
            assert!(example.is_object(), "{name}");
        }
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
