//! A JSON value with expressions in its texts. Only those texts are replaced: everything else keeps its digits and its
//! order.
//! Always holds: all expressions of a template share one budget. Absent: expressions in keys, which are refused.

use std::borrow::Cow;
use std::ops::Range;

use super::budget::{Budget, TEMPLATE_EXPRESSIONS_MAX};
use super::error::{ErrorClass, ExpressionError};
use super::evaluate::Scope;
use super::reference::Reference;
use super::text::{OPENING, TextTemplate, too_many};
use crate::exact_json::ExactJson;

/// A JSON value in which at least one text has an expression.
#[derive(Debug, Clone)]
pub struct Template {
    json: ExactJson,
    fields: Vec<Field>,
}

/// A text of the value that has expressions.
#[derive(Debug, Clone)]
struct Field {
    /// Where it stands in the JSON, with its quotes.
    range: Range<usize>,
    pointer: String,
    text: TextTemplate,
}

/// What is wrong with an expression of a template, and in which text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{pointer}: {error}")]
pub struct TemplateError {
    /// RFC 6901, from the template on.
    pub pointer: String,
    /// The column is one of the text there.
    pub error: ExpressionError,
}

impl Template {
    /// Finds the expressions of a value; none where there is none.
    pub fn parse(json: &ExactJson) -> Result<Option<Self>, TemplateError> {
        // An escape may hide one.
        if !json.as_str().contains(OPENING) && !json.as_str().contains("\\u") {
            return Ok(None);
        }
        let mut fields = Vec::new();
        let mut expressions = 0;
        let mut walk = Walk::new(json.as_str());
        while let Some(found) = walk.next_text() {
            let text = unescaped(&json.as_str()[found.range.clone()]);
            if !text.contains(OPENING) {
                walk.learn(found.is_key, &text);
                continue;
            }
            let pointer = walk.pointer();
            if found.is_key {
                let error = ExpressionError::syntax(1, "an expression cannot stand in a key");
                return Err(TemplateError { pointer, error });
            }
            let parsed = match TextTemplate::parse(&text) {
                Ok(parsed) => parsed,
                Err(error) => return Err(TemplateError { pointer, error }),
            };
            let Some(text) = parsed else { continue };
            expressions += text.expressions().count();
            if expressions > TEMPLATE_EXPRESSIONS_MAX {
                return Err(TemplateError { pointer, error: too_many(1) });
            }
            fields.push(Field { range: found.range, pointer, text });
        }
        Ok((!fields.is_empty()).then(|| Self { json: json.clone(), fields }))
    }

    /// What its expressions read, with the pointer of the text and the column in it.
    pub fn references(&self) -> impl Iterator<Item = (&Reference, &str, usize)> {
        self.fields.iter().flat_map(|field| {
            let own = field.text.references();
            own.map(|(reference, column)| (reference, field.pointer.as_str(), column))
        })
    }

    /// The value with its expressions evaluated, of at most so many bytes.
    pub fn evaluate(
        &self,
        scope: &dyn Scope,
        bytes_max: usize,
    ) -> Result<ExactJson, TemplateError> {
        let mut budget = Budget::default();
        let mut written = String::new();
        let mut at = 0;
        for field in &self.fields {
            written.push_str(&self.json.as_str()[at..field.range.start]);
            let json = field.text.json_within(scope, &mut budget);
            written.push_str(&json.map_err(|error| field.wrong(error))?);
            at = field.range.end;
            if written.len() > bytes_max {
                let message =
                    format!("the value with its expressions has more than {bytes_max} bytes");
                return Err(field.wrong(ExpressionError::new(ErrorClass::Budget, 1, message)));
            }
        }
        written.push_str(&self.json.as_str()[at..]);
        serde_json::from_str(&written).map_err(|_| TemplateError {
            pointer: String::new(),
            error: ExpressionError::new(
                ErrorClass::Type,
                1,
                "the value is nested too deep to be JSON",
            ),
        })
    }
}

impl Field {
    fn wrong(&self, error: ExpressionError) -> TemplateError {
        TemplateError { pointer: self.pointer.clone(), error }
    }
}

/// The text of a JSON string with its quotes.
fn unescaped(quoted: &str) -> Cow<'_, str> {
    serde_json::from_str(quoted).unwrap_or_default()
}

/// Goes over the strings of a JSON text without recursion, and knows where each stands.
struct Walk<'t> {
    text: &'t str,
    at: usize,
    way: Vec<Step>,
}

/// One step of the way from the root.
enum Step {
    /// The key, once it was read.
    Field(Option<String>),
    Item(usize),
}

struct FoundText {
    range: Range<usize>,
    is_key: bool,
}

impl<'t> Walk<'t> {
    fn new(text: &'t str) -> Self {
        Self { text, at: 0, way: Vec::new() }
    }

    /// The next string, key or value.
    fn next_text(&mut self) -> Option<FoundText> {
        while let Some(byte) = self.text.as_bytes().get(self.at) {
            self.at += 1;
            match byte {
                b'{' => self.way.push(Step::Field(None)),
                b'[' => self.way.push(Step::Item(0)),
                b'}' | b']' => {
                    self.way.pop();
                }
                b',' => match self.way.last_mut() {
                    Some(Step::Field(key)) => *key = None,
                    Some(Step::Item(place)) => *place += 1,
                    None => {}
                },
                b'"' => {
                    let start = self.at - 1;
                    self.at = end_of_string(self.text.as_bytes(), self.at);
                    let is_key = matches!(self.way.last(), Some(Step::Field(None)));
                    return Some(FoundText { range: start..self.at, is_key });
                }
                _ => {}
            }
        }
        None
    }

    /// Remembers a key as part of the way.
    fn learn(&mut self, is_key: bool, text: &str) {
        if is_key && let Some(Step::Field(key)) = self.way.last_mut() {
            *key = Some(text.to_owned());
        }
    }

    /// RFC 6901, to where it stands.
    fn pointer(&self) -> String {
        let mut pointer = String::new();
        for step in &self.way {
            match step {
                Step::Field(Some(key)) => {
                    pointer.push('/');
                    pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
                }
                Step::Field(None) => {}
                Step::Item(place) => {
                    pointer.push('/');
                    pointer.push_str(&place.to_string());
                }
            }
        }
        pointer
    }
}

/// Behind the quote that closes the string that begins before `at`.
fn end_of_string(text: &[u8], mut at: usize) -> usize {
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    text.len()
}
