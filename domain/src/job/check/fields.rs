//! The fields that jobs, nodes and patches share: texts, tags, metadata, times, policies.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::Check;
use crate::bounds;
use crate::exact_json::ExactJson;
use crate::ids::Millis;
use crate::payload::Payload;
use crate::refusal::FieldError;
use crate::retry::policy::RetryPolicy;

impl Check<'_> {
    pub(super) fn error(&mut self, at: &str, code: &'static str, message: &str) {
        self.errors.push(FieldError::new(at, code, message));
    }

    pub(super) fn text(&mut self, at: &str, text: &str, least: usize, most: usize) {
        let chars = text.chars().count();
        if chars < least || chars > most || (least > 0 && text.trim().is_empty()) {
            let message = format!(
                "must be {least} to {most} characters{}",
                if least > 0 { ", not blank" } else { "" }
            );
            self.errors.push(FieldError::new(at, "invalid_length", message));
        } else if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
            self.error(at, "invalid_format", "must not hold control characters");
        }
    }

    /// A text on one line: what lists are filtered by, whose filters take no control characters.
    pub(super) fn line(&mut self, at: &str, text: &str, least: usize, most: usize) {
        let errors = self.errors.len();
        self.text(at, text, least, most);
        if self.errors.len() == errors && text.contains(['\n', '\t']) {
            self.error(at, "invalid_format", "must be one line without tabs");
        }
    }

    /// Tags trimmed; not empty, unique.
    pub(super) fn tags(&mut self, at: &str, tags: &[String]) -> Vec<String> {
        if tags.len() > bounds::TAGS_MAX {
            self.errors.push(FieldError::new(
                at,
                "too_many",
                format!("must be at most {} tags", bounds::TAGS_MAX),
            ));
            return Vec::new();
        }
        let mut kept: Vec<String> = Vec::with_capacity(tags.len());
        for (ix, tag) in tags.iter().enumerate() {
            let tag = tag.trim();
            self.line(&format!("{at}/{ix}"), tag, 1, bounds::TAG_CHARS_MAX);
            if kept.iter().any(|other| other == tag) {
                self.error(&format!("{at}/{ix}"), "duplicate", "must be unique among the tags");
            }
            kept.push(tag.to_owned());
        }
        kept
    }

    pub(super) fn priority(&mut self, at: &str, priority: Option<u8>) {
        if priority.is_some_and(|priority| !(1..=10).contains(&priority)) {
            self.error(at, "out_of_range", "must be between 1 (highest) and 10");
        }
    }

    pub(super) fn timeout(&mut self, at: &str, ms: Option<u64>) {
        if ms.is_some_and(|ms| !(bounds::TIMEOUT_MS_MIN..=bounds::TIMEOUT_MS_MAX).contains(&ms)) {
            self.error(at, "out_of_range", "must be between 1000 (1 s) and 2592000000 (30 days)");
        }
    }

    pub(super) fn estimate(&mut self, at: &str, ms: Option<u64>) {
        if ms.is_some_and(|ms| ms > bounds::TIMEOUT_MS_MAX) {
            self.error(at, "out_of_range", "must be at most 2592000000 (30 days)");
        }
    }

    pub(super) fn scheduled_at(&mut self, at: Option<Millis>) {
        let latest = self.settings.now.saturating_add(bounds::SCHEDULE_AHEAD_MS_MAX);
        if at.is_some_and(|at| at < 0 || at > latest) {
            self.error("/scheduled_at", "out_of_range", "must be a time within the next ten years");
        }
    }

    pub(super) fn metadata(&mut self, at: &str, metadata: &BTreeMap<String, ExactJson>) {
        if metadata.len() > bounds::METADATA_ENTRIES_MAX {
            let message = format!("must have at most {} entries", bounds::METADATA_ENTRIES_MAX);
            self.errors.push(FieldError::new(at, "too_many", message));
        }
        let mut bytes = 0;
        for (key, value) in metadata {
            let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._/-".contains(c);
            if key.is_empty()
                || key.len() > bounds::METADATA_KEY_CHARS_MAX
                || !key.chars().all(fits)
            {
                self.error(at, "invalid_key", "keys must be 1-63 of a-z 0-9 . _ / -");
                return;
            }
            bytes += key.len() + value.len();
        }
        if bytes > bounds::METADATA_BYTES_MAX {
            let message = format!("must be at most {} bytes of JSON", bounds::METADATA_BYTES_MAX);
            self.errors.push(FieldError::new(at, "too_large", message));
        }
    }

    /// What a job takes of its environment; one slot unless it says otherwise.
    pub(super) fn resources(&mut self, resources: BTreeMap<String, u64>) -> BTreeMap<String, u64> {
        if resources.is_empty() {
            return BTreeMap::from([("slots".to_owned(), 1)]);
        }
        if resources.len() > bounds::RESOURCES_MAX {
            let message = format!("must name at most {} resources", bounds::RESOURCES_MAX);
            self.errors.push(FieldError::new("/resources", "too_many", message));
        }
        for (name, amount) in &resources {
            let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            if name.is_empty() || name.len() > bounds::KEY_CHARS_MAX || !name.chars().all(fits) {
                self.error("/resources", "invalid_key", "names must be 1-64 of A-Z a-z 0-9 . _ -");
            } else if *amount > bounds::RESOURCE_AMOUNT_MAX {
                let message = format!("must be at most {}", bounds::RESOURCE_AMOUNT_MAX);
                self.errors.push(FieldError::new(
                    format!("/resources/{name}"),
                    "out_of_range",
                    message,
                ));
            }
        }
        resources
    }

    pub(super) fn policy(&mut self, at: &str, policy: Option<&RetryPolicy>) {
        if let Some(policy) = policy {
            self.errors.extend(policy.check(at));
            self.policies_read_input |= policy.reads_job_input();
        }
    }

    /// The job's input. A policy is asked while a failure is decided, where nothing can be fetched: what one reads travels in
    /// the event.
    pub(super) fn input(&mut self, raw: Option<Box<RawValue>>) -> Option<Payload> {
        let fits = |raw: &RawValue| raw.get().len() <= self.settings.bounds.payload_bytes_max;
        match raw {
            Some(raw) if self.policies_read_input && fits(&raw) => Some(Payload::inlined(raw)),
            raw => self.payload("/input", raw),
        }
    }
}
