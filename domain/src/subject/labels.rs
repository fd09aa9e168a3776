//! What people call things and say about them: texts, tags and metadata, with their bounds, whatever they are about.

use std::collections::BTreeMap;

use crate::bounds;
use crate::exact_json::ExactJson;
use crate::refusal::FieldError;

/// A text of so many characters, which may have several lines.
pub(crate) fn text(at: &str, text: &str, least: usize, most: usize, errors: &mut Vec<FieldError>) {
    let chars = text.chars().count();
    if chars < least || chars > most || (least > 0 && text.trim().is_empty()) {
        let message = format!(
            "must be {least} to {most} characters{}",
            if least > 0 { ", not blank" } else { "" }
        );
        errors.push(FieldError::new(at, "invalid_length", message));
    } else if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
        errors.push(FieldError::new(at, "invalid_format", "must not hold control characters"));
    }
}

/// A text on one line: what lists are filtered by, whose filters take no control characters.
pub(crate) fn line(at: &str, line: &str, least: usize, most: usize, errors: &mut Vec<FieldError>) {
    let before = errors.len();
    text(at, line, least, most, errors);
    if errors.len() == before && line.contains(['\n', '\t']) {
        errors.push(FieldError::new(at, "invalid_format", "must be one line without tabs"));
    }
}

/// Tags trimmed; not empty, unique.
pub(crate) fn tags(at: &str, tags: &[String], errors: &mut Vec<FieldError>) -> Vec<String> {
    if tags.len() > bounds::TAGS_MAX {
        let message = format!("must be at most {} tags", bounds::TAGS_MAX);
        errors.push(FieldError::new(at, "too_many", message));
        return Vec::new();
    }
    let mut kept: Vec<String> = Vec::with_capacity(tags.len());
    for (ix, tag) in tags.iter().enumerate() {
        let (at, tag) = (format!("{at}/{ix}"), tag.trim());
        line(&at, tag, 1, bounds::TAG_CHARS_MAX, errors);
        if kept.iter().any(|other| other == tag) {
            errors.push(FieldError::new(at, "duplicate", "must be unique among the tags"));
        }
        kept.push(tag.to_owned());
    }
    kept
}

/// Small facts under keys that no store takes for a path or an operator.
pub(crate) fn metadata(
    at: &str,
    metadata: &BTreeMap<String, ExactJson>,
    errors: &mut Vec<FieldError>,
) {
    if metadata.len() > bounds::METADATA_ENTRIES_MAX {
        let message = format!("must have at most {} entries", bounds::METADATA_ENTRIES_MAX);
        errors.push(FieldError::new(at, "too_many", message));
    }
    let mut bytes = 0;
    for (key, value) in metadata {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._/-".contains(c);
        if key.is_empty() || key.len() > bounds::METADATA_KEY_CHARS_MAX || !key.chars().all(fits) {
            let message = "keys must be 1-63 of a-z 0-9 . _ / -";
            errors.push(FieldError::new(at, "invalid_key", message));
            return;
        }
        bytes += key.len() + value.len();
    }
    if bytes > bounds::METADATA_BYTES_MAX {
        let message = format!("must be at most {} bytes of JSON", bounds::METADATA_BYTES_MAX);
        errors.push(FieldError::new(at, "too_large", message));
    }
}
