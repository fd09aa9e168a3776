//! The range of every whole number in a request, by its field's name. A type holds more than its field, and a message
//! that says "0 to 255" of a priority sends its reader to the next refusal. The OpenAPI document states the same ranges;
//! a test compares the two.

use domain::bounds::{
    ATTEMPTS_MAX, BASE_DELAY_MS_MAX, BATCH_MAX, DELAY_MS_MAX, LEASE_MS_MAX, LEASE_MS_MIN,
    RELEASE_AFTER_MS_MAX, RESOURCE_AMOUNT_MAX, TIMEOUT_MS_MAX, TIMEOUT_MS_MIN,
};
use domain::retry::breaker::check::{PERMITS_MAX, WINDOW_MS_MAX};
use domain::retry::breaker::window::CALLS_MAX;

/// Nodes are counted with 32 bits.
const COUNT_MAX: i128 = u32::MAX as i128;

/// Field, least and greatest.
const RANGES: &[(&str, i128, i128)] = &[
    ("priority", 1, 10),
    ("max", 1, BATCH_MAX as i128),
    ("wait_ms", 0, 30_000),
    ("lease_ms", LEASE_MS_MIN as i128, LEASE_MS_MAX as i128),
    ("after_ms", 0, RELEASE_AFTER_MS_MAX as i128),
    ("timeout_ms", TIMEOUT_MS_MIN as i128, TIMEOUT_MS_MAX as i128),
    ("cleanup_timeout_ms", TIMEOUT_MS_MIN as i128, TIMEOUT_MS_MAX as i128),
    ("queue_ms", TIMEOUT_MS_MIN as i128, TIMEOUT_MS_MAX as i128),
    ("attempt_ms", TIMEOUT_MS_MIN as i128, TIMEOUT_MS_MAX as i128),
    ("total_ms", TIMEOUT_MS_MIN as i128, TIMEOUT_MS_MAX as i128),
    ("estimated_duration_ms", 0, TIMEOUT_MS_MAX as i128),
    ("max_attempts", 1, ATTEMPTS_MAX as i128),
    ("base_delay_ms", 0, BASE_DELAY_MS_MAX as i128),
    ("max_delay_ms", 0, DELAY_MS_MAX as i128),
    ("step_delay_ms", -(DELAY_MS_MAX as i128), DELAY_MS_MAX as i128),
    ("delays_ms", 0, DELAY_MS_MAX as i128),
    ("attempts", 1, ATTEMPTS_MAX as i128),
    ("calls", 1, CALLS_MAX as i128),
    ("min_calls", 1, CALLS_MAX as i128),
    ("consecutive_failures", 1, CALLS_MAX as i128),
    ("ms", 1, WINDOW_MS_MAX as i128),
    ("slow_call_ms", 0, TIMEOUT_MS_MAX as i128),
    ("open_ms", 0, TIMEOUT_MS_MAX as i128),
    ("open_max_ms", 0, TIMEOUT_MS_MAX as i128),
    ("half_open_permits", 1, PERMITS_MAX as i128),
    // Of previews alone.
    ("permit_ms", 1, LEASE_MS_MAX as i128),
    ("took_ms", 0, TIMEOUT_MS_MAX as i128),
    ("for_ms", 1, TIMEOUT_MS_MAX as i128),
    ("advance_ms", 0, 365 * 24 * 3_600 * 1_000),
    ("status", 100, 599),
    ("max_parallel", 1, COUNT_MAX),
    ("at_least", 1, COUNT_MAX),
    ("count", 0, COUNT_MAX),
    ("percent", 0, 100),
    // Names of the caller's own stand below them.
    ("resources", 0, RESOURCE_AMOUNT_MAX as i128),
    ("capacity", 0, RESOURCE_AMOUNT_MAX as i128),
];

/// What a whole number at this pointer may be, in words.
pub(super) fn allowed(pointer: &str) -> Option<String> {
    let range = |name: &str| RANGES.iter().find(|(field, ..)| *field == name);
    let mut steps = pointer.rsplit('/');
    let last = steps.next()?;
    // The field's own name, or that of the list or map that it stands in.
    let (_, least, greatest) = range(last).or_else(|| range(steps.next()?))?;
    Some(format!("an integer from {least} to {greatest}"))
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test says what it expects")]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    /// Whole numbers whose only bound is their least: what is above counts as the greatest.
    const CUT: &[&str] = &["retry_after_ms"];

    fn collect(
        document: &Value,
        at: &Value,
        seen: &mut BTreeSet<String>,
        found: &mut Vec<(String, Value)>,
    ) {
        if let Some(name) = at["$ref"].as_str().and_then(|path| path.strip_prefix("#")) {
            if seen.insert(name.to_owned()) {
                collect(document, document.pointer(name).expect("what is named"), seen, found);
            }
            return;
        }
        for (field, schema) in at["properties"].as_object().into_iter().flatten() {
            let types = &schema["type"];
            let is_whole = types == "integer"
                || types.as_array().is_some_and(|types| types.contains(&Value::from("integer")));
            if is_whole {
                found.push((field.clone(), schema.clone()));
            }
        }
        match at {
            Value::Object(fields) => {
                for (key, inner) in fields {
                    if key != "example" && key != "examples" {
                        collect(document, inner, seen, found);
                    }
                }
            }
            Value::Array(items) => {
                for inner in items {
                    collect(document, inner, seen, found);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    #[test]
    fn every_whole_number_of_a_request_has_the_range_that_the_document_states() {
        let document: Value = serde_json::from_str(&crate::http::openapi::text()).expect("JSON");
        let (mut seen, mut found) = (BTreeSet::new(), Vec::new());
        for operations in document["paths"].as_object().expect("paths").values() {
            for operation in operations.as_object().expect("operations").values() {
                collect(&document, &operation["requestBody"], &mut seen, &mut found);
            }
        }
        assert!(found.len() > 15, "the document was read: {found:?}");
        for (field, schema) in found {
            if CUT.contains(&field.as_str()) {
                continue;
            }
            let range = RANGES.iter().find(|(name, ..)| *name == field);
            let (_, least, greatest) = range.unwrap_or_else(|| panic!("`{field}` has no range"));
            let stated = |bound: &str| schema[bound].as_i64().map(i128::from);
            assert_eq!(stated("minimum"), Some(*least), "{field}");
            if let Some(stated) = stated("maximum") {
                assert_eq!(stated, *greatest, "{field}");
            }
        }
    }

    #[test]
    fn names_in_a_map_and_places_in_a_list_have_the_range_of_what_holds_them() {
        assert_eq!(allowed("/nodes/3/priority").as_deref(), Some("an integer from 1 to 10"));
        assert_eq!(allowed("/resources/cpu").as_deref(), Some("an integer from 0 to 1000000000"));
        let delays = allowed("/retry/delays_ms/0");
        assert_eq!(delays.as_deref(), Some("an integer from 0 to 1000000000000"));
        assert_eq!(allowed("/retry/multiplier"), None);
    }
}
