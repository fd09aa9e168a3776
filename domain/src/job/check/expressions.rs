//! The expressions of a submission: parsed, their names looked up, and evaluated at once where all that they read is the
//! job's input.

use std::sync::Arc;

use serde_json::value::RawValue;

use super::Check;
use super::names::{Namer, NodeNames};
use crate::exact_json::ExactJson;
use crate::expression::{
    ExpressionError, JobPart, OPENING, Reference, Scope, Template, Value, holds_text, references_of,
};
use crate::job::plan::{NodeFlow, Predicate};
use crate::refusal::FieldError;

/// Values that are evaluated at a submission at most; the rest is evaluated when it becomes due.
const EVALUATED_AT_ONCE_MAX: usize = 2_000;
/// Bytes of all values that are evaluated at a submission.
const EVALUATED_BYTES_MAX: usize = 8 * 1_024 * 1_024;

/// What is known of a job while it is submitted.
pub(super) struct KnownInput {
    input_text: Option<Arc<str>>,
    /// Parsed when it is read first.
    input: Option<Value>,
    evaluated: usize,
    bytes: usize,
}

impl KnownInput {
    pub(super) fn of(input: Option<&RawValue>) -> Self {
        let input_text = input.map(|raw| Arc::from(raw.get()));
        Self { input_text, input: None, evaluated: 0, bytes: 0 }
    }

    /// Of a job whose input is not at hand: nothing is evaluated at once.
    pub(super) fn absent() -> Self {
        Self { input_text: None, input: None, evaluated: EVALUATED_AT_ONCE_MAX, bytes: 0 }
    }

    fn scope(&mut self) -> SubmissionScope {
        if self.input.is_none() {
            let text = self.input_text.as_deref().unwrap_or("null");
            self.input = Some(Value::from_json(text).unwrap_or_default());
        }
        SubmissionScope { input: self.input.clone().unwrap_or_default() }
    }

    /// Whether one more may be evaluated now.
    fn has_room(&mut self) -> bool {
        self.evaluated += 1;
        self.evaluated <= EVALUATED_AT_ONCE_MAX && self.bytes <= EVALUATED_BYTES_MAX
    }
}

struct SubmissionScope {
    input: Value,
}

impl Scope for SubmissionScope {
    fn read(&self, reference: &Reference) -> Option<Value> {
        matches!(reference, Reference::Job(JobPart::Input)).then(|| self.input.clone())
    }
}

fn is_known_at_once(reference: &Reference) -> bool {
    *reference == Reference::Job(JobPart::Input)
}

impl Check<'_> {
    /// A JSON value that may have expressions: as it is, or evaluated, or noted in `flow` as still to be.
    pub(super) fn template(
        &mut self,
        at: &str,
        raw: Box<RawValue>,
        namer: Namer,
        names: &mut NodeNames<'_>,
        flow: &mut NodeFlow,
    ) -> Option<Box<RawValue>> {
        // What is too large is refused where it is stored, and nothing is made of it before. An escape may hide an expression.
        if raw.get().len() > self.settings.bounds.payload_bytes_max {
            return Some(raw);
        }
        if !raw.get().contains(OPENING) && !raw.get().contains("\\u") {
            return Some(raw);
        }
        let Ok(json) = serde_json::from_str::<ExactJson>(raw.get()) else {
            self.error(at, "invalid_value", "holds an escape or a number that stands for nothing");
            return None;
        };
        let template = match Template::parse(&json) {
            Ok(None) => return Some(raw),
            Ok(Some(template)) => template,
            Err(error) => {
                self.wrong_expression(&format!("{at}{}", error.pointer), &error.error);
                return None;
            }
        };
        let errors = self.errors.len();
        for (reference, pointer, column) in template.references() {
            if let Err(error) = names.add(namer, reference, column, false, flow) {
                self.wrong_expression(&format!("{at}{pointer}"), &error);
            }
        }
        if self.errors.len() > errors {
            return None;
        }
        let at_once = template.references().all(|(reference, ..)| is_known_at_once(reference));
        if !at_once || !self.known.has_room() {
            flow.computes_input = true;
            return Some(raw);
        }
        let most = self.settings.bounds.payload_bytes_max;
        match template.evaluate(&self.known.scope(), most) {
            Ok(json) => {
                self.known.bytes += json.len();
                RawValue::from_string(json.as_str().to_owned()).ok()
            }
            Err(error) => {
                self.wrong_expression(&format!("{at}{}", error.pointer), &error.error);
                None
            }
        }
    }

    /// A text that is one expression and holds or does not.
    pub(super) fn predicate(
        &mut self,
        at: &str,
        text: &str,
        namer: Namer,
        names: &mut NodeNames<'_>,
        flow: &mut NodeFlow,
    ) -> Option<Predicate> {
        let references = match references_of(text) {
            Ok(references) => references,
            Err(error) => {
                self.wrong_expression(at, &error);
                return None;
            }
        };
        let errors = self.errors.len();
        for (reference, column) in &references {
            if let Err(error) = names.add(namer, reference, *column, true, flow) {
                self.wrong_expression(at, &error);
            }
        }
        if self.errors.len() > errors {
            return None;
        }
        let at_once = references.iter().all(|(reference, _)| is_known_at_once(reference));
        if !at_once || !self.known.has_room() {
            return Some(Predicate::Text(Arc::from(text)));
        }
        match holds_text(text, &self.known.scope()) {
            Ok(holds) => Some(Predicate::Known(holds)),
            Err(error) => {
                self.wrong_expression(at, &error);
                None
            }
        }
    }

    pub(super) fn wrong_expression(&mut self, at: &str, error: &ExpressionError) {
        self.errors.push(FieldError::new(
            at,
            "expression",
            format!("{}: {error}", error.class.as_str()),
        ));
    }
}
