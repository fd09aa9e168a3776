//! Inputs and outputs: raw JSON from end to end, looked at only for what would hurt later (nesting, escapes that
//! are no text). Absent: their size and their expressions (rules of the domain).

use domain::bounds;
use domain::refusal::FieldError;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::http::extract::bounded;
use crate::http::extract::json::is_deeper_than;

/// Adds what is wrong with a payload as JSON.
pub fn check(payload: Option<&RawValue>, pointer: &str, errors: &mut Vec<FieldError>) {
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
    // Only an escape can break the text; nearly all payloads are not parsed at all.
    if text.contains("\\u") && serde_json::from_str::<Value>(text).is_err() {
        errors.push(FieldError::new(
            pointer,
            "invalid_value",
            "holds an escape or a number that stands for nothing",
        ));
    }
}

/// Adds what is wrong with a payload that a worker reports, which may have so many bytes.
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
    check(payload, pointer, errors);
}

/// The same JSON on one line, because an export of the history has an event a line. Strings hold no raw line breaks,
/// so those that stand there are between tokens.
pub fn on_one_line(payload: Box<RawValue>) -> Box<RawValue> {
    if !payload.get().contains(['\n', '\r']) {
        return payload;
    }
    let text: String = payload.get().chars().filter(|c| !matches!(c, '\n' | '\r')).collect();
    RawValue::from_string(text).unwrap_or(payload)
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
    fn an_escape_that_is_no_text_is_refused() {
        assert_eq!(errors(r#"{"a": "\ud800"}"#), [("/input".to_owned(), "invalid_value".into())]);
    }

    #[test]
    fn a_payload_becomes_one_line_and_keeps_its_strings() {
        let Ok(payload) = RawValue::from_string("{\n \"a\\n\":\r\n1}".to_owned()) else {
            panic!("raw JSON")
        };
        assert_eq!(on_one_line(payload).get(), "{ \"a\\n\":1}");
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(errors(&nested(64)), []);
        assert_eq!(errors(&nested(65)), [("/input".to_owned(), "too_deep".into())]);
    }
}
