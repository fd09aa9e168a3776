//! Turns what the deserializer says about wrong JSON into a field error: an RFC 6901 pointer, a stable code, and a
//! message that tells what is allowed without repeating the value, which may be a secret.
//! Hazard: it reads serde's English; a wording it does not know becomes `invalid_value`, never a wrong pointer.

use domain::refusal::FieldError;
use serde_path_to_error::{Path, Segment};

use super::{bounded, ranges};

/// The field error for `message`, met at `path`.
pub(super) fn field_error(path: &Path, message: &str) -> FieldError {
    let mut at = of(path);
    let mut message = without_position(message);
    if let Some((below, what)) =
        message.strip_prefix(bounded::BELOW).and_then(|rest| rest.split_once('\n'))
    {
        at.push_str(below);
        message = without_position(what);
    }
    if let Some(rest) = message.strip_prefix("unknown field `") {
        let (field, known) = rest.split_once('`').unwrap_or((rest, ""));
        let known = known.trim_start_matches(", expected").trim_start_matches(" one of").trim();
        let message = if known.is_empty() {
            "there is no such field".to_owned()
        } else {
            format!("there is no such field; known are {known}")
        };
        return FieldError::new(field_at(&at, field), "unknown_field", message);
    }
    if let Some(field) = quoted_after(message, "missing field `") {
        return FieldError::new(child(&at, field), "required", "is required");
    }
    if let Some(field) = quoted_after(message, "duplicate field `") {
        return FieldError::new(field_at(&at, field), "duplicate_field", "is given more than once");
    }
    if message.starts_with(bounded::TOO_MANY) {
        return FieldError::new(at, "too_many", message);
    }
    if message.starts_with(bounded::TOO_DEEP) {
        return FieldError::new(at, "too_deep", message);
    }
    for (prefix, code) in [
        ("invalid type: ", "wrong_type"),
        ("invalid value: ", "out_of_range"),
        ("invalid length", "out_of_range"),
        ("unknown variant ", "invalid_value"),
    ] {
        if message.starts_with(prefix) {
            // An array where an object belongs is read field by field, until one is missing.
            let is_array = code == "out_of_range" && message.contains("expected struct ");
            let code = if is_array { "wrong_type" } else { code };
            let expected = expectation(message, &at);
            return FieldError::new(at, code, expected);
        }
    }
    FieldError::new(at, "invalid_value", message)
}

/// The field error for a value that cannot be what is wanted at `path`.
pub(super) fn wrong_type(path: &Path) -> FieldError {
    let at = of(path);
    let message = ranges::allowed(&at).map(|range| format!("must be {range}"));
    let message =
        message.unwrap_or_else(|| "has a value of another type or out of range".to_owned());
    FieldError::new(at, "wrong_type", message)
}

/// Where a path leads.
pub(super) fn of(path: &Path) -> String {
    let mut text = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => text = child(&text, &index.to_string()),
            Segment::Map { key } => text = child(&text, key),
            Segment::Enum { .. } | Segment::Unknown => break,
        }
    }
    text
}

/// `parent` and one more step, escaped as RFC 6901 wants it.
pub(crate) fn child(parent: &str, key: &str) -> String {
    format!("{parent}/{}", key.replace('~', "~0").replace('/', "~1"))
}

/// The path ends with the field or with what holds it, depending on when the field was found to be wrong.
fn field_at(path: &str, field: &str) -> String {
    let step = child("", field);
    if path.ends_with(&step) { path.to_owned() } else { format!("{path}{step}") }
}

fn quoted_after<'a>(message: &'a str, prefix: &str) -> Option<&'a str> {
    message.strip_prefix(prefix)?.split('`').next()
}

/// Cuts serde_json's ` at line 3 column 7`.
fn without_position(message: &str) -> &str {
    message.rfind(" at line ").map_or(message, |end| &message[..end])
}

/// What was expected, in words of JSON and not of Rust.
fn expectation(message: &str, pointer: &str) -> String {
    let Some(start) = message.rfind(", expected ") else {
        return "has a value that is not allowed".to_owned();
    };
    let expected = &message[start + ", expected ".len()..];
    let is_whole = matches!(expected, "u8" | "u16" | "u32" | "u64" | "usize");
    if let Some(range) = ranges::allowed(pointer).filter(|_| is_whole) {
        return format!("must be {range}");
    }
    let words = match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "an integer of at least 0",
        "i64" => "an integer",
        "f32" | "f64" => "a number",
        "a sequence" => "an array",
        "a map" => "an object",
        _ if expected.starts_with("struct ") => "an object",
        _ => expected,
    };
    format!("must be {words}")
}
