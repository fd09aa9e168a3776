//! The fields that jobs, nodes and patches share: texts, tags, metadata, times.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::Check;
use crate::bounds;
use crate::exact_json::ExactJson;
use crate::ids::Millis;
use crate::payload::Payload;
use crate::refusal::FieldError;
use crate::subject::labels;

impl Check<'_> {
    pub(super) fn error(&mut self, at: &str, code: &'static str, message: &str) {
        self.errors.push(FieldError::new(at, code, message));
    }

    pub(super) fn text(&mut self, at: &str, text: &str, least: usize, most: usize) {
        labels::text(at, text, least, most, &mut self.errors);
    }

    pub(super) fn line(&mut self, at: &str, line: &str, least: usize, most: usize) {
        labels::line(at, line, least, most, &mut self.errors);
    }

    pub(super) fn tags(&mut self, at: &str, tags: &[String]) -> Vec<String> {
        labels::tags(at, tags, &mut self.errors)
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
        labels::metadata(at, metadata, &mut self.errors);
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

    /// The job's input. A policy is asked while a failure is decided, where nothing can be fetched: what one reads travels in
    /// the event.
    pub(super) fn input(&mut self, raw: Option<Box<RawValue>>) -> Option<Payload> {
        let fits = |raw: &RawValue| raw.get().len() <= self.settings.bounds.payload_bytes_max;
        match raw {
            Some(raw) if self.policies.reads_job_input && fits(&raw) => Some(Payload::inlined(raw)),
            raw => self.payload("/input", raw),
        }
    }
}
