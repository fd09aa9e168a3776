//! The language, area by area, as tables; what must never happen, whatever is written; and the same answers as another
//! evaluator of the language.

mod bombs;
mod language;
mod mistakes;
mod same_as_cel;
mod templates;

use super::{ErrorClass, Expression, ExpressionError, JobPart, NodePart, Reference, Scope, Value};

/// A job with an input, one node that is done, one that failed, and an item.
pub(super) struct Data {
    input: Value,
}

impl Data {
    fn of(input: &str) -> Self {
        let Some(input) = Value::from_json(input) else { panic!("no JSON: {input}") };
        Self { input }
    }
}

impl Default for Data {
    fn default() -> Self {
        Self::of(
            r#"{"n": 3, "d": 2.5, "name": "Ada", "list": [1, 2, 3], "map": {"a": 1, "a-b": 2}, "none": null}"#,
        )
    }
}

impl Scope for Data {
    fn read(&self, reference: &Reference) -> Option<Value> {
        let json = |text: &str| Value::from_json(text);
        match reference {
            Reference::Job(JobPart::Input) => Some(self.input.clone()),
            Reference::Job(JobPart::Id) => json("\"j-1\""),
            Reference::Node { key, part: NodePart::Output } if key == "a" => json(r#"{"n": 41}"#),
            Reference::Node { key, part: NodePart::Status } if key == "b-2" => json("\"failed\""),
            Reference::Item => json("7"),
            Reference::Index => json("0"),
            Reference::Error | Reference::Attempt | Reference::Job(_) | Reference::Node { .. } => {
                None
            }
        }
    }
}

/// The JSON of an expression's value.
fn json(source: &str) -> Result<String, ExpressionError> {
    Expression::parse(source)?.json(&Data::default())
}

fn class(source: &str) -> Result<String, ErrorClass> {
    json(source).map_err(|error| error.class)
}

#[track_caller]
fn are(table: &[(&str, &str)]) {
    for (source, expected) in table {
        assert_eq!(json(source).as_deref(), Ok(*expected), "{source}");
    }
}

#[track_caller]
fn fail(expected: ErrorClass, sources: &[&str]) {
    for source in sources {
        assert_eq!(class(source), Err(expected), "{source}");
    }
}
