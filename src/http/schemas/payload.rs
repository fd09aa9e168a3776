//! Inputs and outputs: raw JSON from end to end, looked at only for what would hurt later (nesting, escapes that
//! are no text, expressions that this version would pass on as text). Absent: their size (a rule of the domain).

use domain::bounds;
use domain::refusal::FieldError;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::http::extract::bounded;
use crate::http::extract::json::is_deeper_than;
use crate::http::extract::pointer::child;
use crate::http::problem::ERRORS_MAX;

/// What opens an expression.
const EXPRESSION: &str = "${{";

/// Adds what is wrong with a payload of a submission, where expressions would be meant.
pub fn check(payload: Option<&RawValue>, pointer: &str, errors: &mut Vec<FieldError>) {
    look(payload, pointer, true, errors);
}

/// Adds what is wrong with a payload that a worker reports: its text is data, whatever it looks like.
pub fn check_reported(
    payload: Option<&RawValue>,
    pointer: &str,
    bytes_max: usize,
    errors: &mut Vec<FieldError>,
) {
    if payload.is_some_and(|payload| payload.get().len() > bytes_max) {
        let message = format!("must be at most {bytes_max} bytes of JSON");
        errors.push(FieldError::new(pointer, "too_large", message));
        return;
    }
    look(payload, pointer, false, errors);
}

/// The same JSON on one line, because an export of the history has an event a line. Strings hold no raw line breaks,
/// so those that stand there are between tokens.
pub fn on_one_line(payload: Option<Box<RawValue>>) -> Option<Box<RawValue>> {
    let payload = payload?;
    if !payload.get().contains(['\n', '\r']) {
        return Some(payload);
    }
    let text: String = payload.get().chars().filter(|c| !matches!(c, '\n' | '\r')).collect();
    Some(RawValue::from_string(text).unwrap_or(payload))
}

fn look(
    payload: Option<&RawValue>,
    pointer: &str,
    expressions: bool,
    errors: &mut Vec<FieldError>,
) {
    let Some(payload) = payload else { return };
    let text = payload.get();
    // Refused for its size where the domain looks at it; nothing is made of it before.
    if text.len() > bounded::payload_bytes_max() {
        return;
    }
    if is_deeper_than(text.as_bytes(), bounds::JSON_DEPTH_MAX) {
        let message = format!("is nested deeper than {}", bounds::JSON_DEPTH_MAX);
        errors.push(FieldError::new(pointer, "too_deep", message));
        return;
    }
    // Only an escape can hide an expression or break the text; nearly all payloads are not parsed at all.
    let may_hide = text.contains("\\u") || (expressions && text.contains(EXPRESSION));
    if !may_hide {
        return;
    }
    match serde_json::from_str::<Value>(text) {
        Ok(value) if expressions => find_expressions(&value, pointer, errors),
        Ok(_) => {}
        Err(_) => errors.push(FieldError::new(
            pointer,
            "invalid_value",
            "holds an escape or a number that stands for nothing",
        )),
    }
}

/// Recursion is bounded by the nesting that `check` allows.
fn find_expressions(value: &Value, pointer: &str, errors: &mut Vec<FieldError>) {
    if errors.len() >= ERRORS_MAX {
        return;
    }
    match value {
        Value::String(text) if text.contains(EXPRESSION) => errors.push(FieldError::new(
            pointer,
            "expression_not_available",
            "expressions are not available yet",
        )),
        Value::Array(items) => {
            for (position, item) in items.iter().enumerate() {
                find_expressions(item, &child(pointer, &position.to_string()), errors);
            }
        }
        Value::Object(fields) => {
            for (key, field) in fields {
                find_expressions(field, &child(pointer, key), errors);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(text: &str) -> Vec<(String, std::borrow::Cow<'static, str>)> {
        let Ok(payload) = serde_json::from_str::<Box<RawValue>>(text) else { panic!("raw JSON") };
        let mut errors = Vec::new();
        check(Some(&payload), "/input", &mut errors);
        errors.into_iter().map(|error| (error.pointer, error.code)).collect()
    }

    #[test]
    fn an_expression_is_found_wherever_it_hides() {
        let at = |pointer: &str| vec![(pointer.to_owned(), "expression_not_available".into())];
        assert_eq!(errors(r#"{"a": ["x", "${{ 1 }}"]}"#), at("/input/a/1"));
        assert_eq!(errors(r#"{"a/b": "\u0024{{ 1 }}"}"#), at("/input/a~1b"));
        assert_eq!(errors(r#""${{""#), at("/input"));
        assert_eq!(errors(r#"{"a": "${ {", "b": "\u00e4"}"#), []);
    }

    #[test]
    fn an_escape_that_is_no_text_is_refused() {
        assert_eq!(errors(r#"{"a": "\ud800"}"#), [("/input".to_owned(), "invalid_value".into())]);
    }

    #[test]
    fn a_payload_becomes_one_line_and_keeps_its_strings() {
        let Ok(payload) = RawValue::from_string("{\n \"a\\n\":\r\n1}".to_owned()) else {
            panic!("raw JSON")
        };
        let line = on_one_line(Some(payload));
        assert_eq!(line.as_deref().map(RawValue::get), Some("{ \"a\\n\":1}"));
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(errors(&nested(64)), []);
        assert_eq!(errors(&nested(65)), [("/input".to_owned(), "too_deep".into())]);
    }
}
