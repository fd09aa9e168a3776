//! An expression that is tried out, with the data it reads. Always holds: the data is read only when its size is known, and
//! a name that is not in it is an error before anything is evaluated, as it is when a job is taken in.
//! Absent: the language, which is the domain's.

use std::collections::BTreeMap;

use domain::bounds::Bounds;
use domain::expression::{
    Expression, ExpressionError, JobPart, NodePart, OPENING, Reference, Scope, TextTemplate, Value,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use validator::Validate;

use crate::http::extract::json::parse;
use crate::http::problem::{Code, Problem};

/// Bytes of the data: four times the largest input of a job.
const DATA_BYTES_MAX: usize = 1 << 20;

/// An expression and what it reads.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = EvaluateExpression)]
pub struct EvaluateBody {
    /// Bare or in `${{ }}`, at most 1,024 bytes; or a text with several in `${{ }}`.
    #[schema(examples("nodes.fetch.output.n + 1"))]
    expression: String,
    /// What the expression reads, at most 1 MiB; absent: nothing.
    #[serde(default)]
    #[schema(value_type = Option<EvaluationData>)]
    data: Option<Box<RawValue>>,
}

/// What an expression reads.
#[derive(Debug, Default, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EvaluationData {
    /// What is read as `job`.
    #[serde(default)]
    job: JobData,
    /// What is read as `nodes`, by the nodes' keys.
    #[serde(default)]
    nodes: BTreeMap<String, NodeData>,
    /// What is read as `item`.
    #[serde(default, deserialize_with = "super::given")]
    #[schema(value_type = Option<serde_json::Value>)]
    item: Option<Box<RawValue>>,
    /// What is read as `index`.
    #[serde(default, deserialize_with = "super::given")]
    #[schema(value_type = Option<serde_json::Value>)]
    index: Option<Box<RawValue>>,
    /// What `when` of a retry policy reads as `error`.
    #[serde(default, deserialize_with = "super::given")]
    #[schema(value_type = Option<serde_json::Value>)]
    error: Option<Box<RawValue>>,
    /// What `when` of a retry policy reads as `attempt`.
    #[serde(default, deserialize_with = "super::given")]
    #[schema(value_type = Option<serde_json::Value>)]
    attempt: Option<Box<RawValue>>,
}

/// What an expression reads of a job.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JobData {
    /// What is read as `job.input`.
    #[serde(default, deserialize_with = "super::given")]
    #[schema(value_type = Option<serde_json::Value>)]
    input: Option<Box<RawValue>>,
    /// What is read as `job.id`.
    #[serde(default, deserialize_with = "super::given")]
    #[schema(value_type = Option<serde_json::Value>)]
    id: Option<Box<RawValue>>,
    /// What is read as `job.status`.
    #[serde(default, deserialize_with = "super::given")]
    #[schema(value_type = Option<serde_json::Value>)]
    status: Option<Box<RawValue>>,
    /// What is read as `job.error`.
    #[serde(default, deserialize_with = "super::given")]
    #[schema(value_type = Option<serde_json::Value>)]
    error: Option<Box<RawValue>>,
}

/// What an expression reads of a node.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NodeData {
    /// What is read as its `output`.
    #[serde(default, deserialize_with = "super::given")]
    #[schema(value_type = Option<serde_json::Value>)]
    output: Option<Box<RawValue>>,
    /// What is read as its `status`.
    #[serde(default, deserialize_with = "super::given")]
    #[schema(value_type = Option<serde_json::Value>)]
    status: Option<Box<RawValue>>,
    /// What is read as its `error`.
    #[serde(default, deserialize_with = "super::given")]
    #[schema(value_type = Option<serde_json::Value>)]
    error: Option<Box<RawValue>>,
    /// What is read as its `attempts`.
    #[serde(default, deserialize_with = "super::given")]
    #[schema(value_type = Option<serde_json::Value>)]
    attempts: Option<Box<RawValue>>,
}

/// The value of an expression.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ExpressionValue)]
pub struct EvaluationAnswer {
    /// Whatever JSON it is.
    #[schema(value_type = serde_json::Value)]
    value: Box<RawValue>,
}

impl EvaluateBody {
    /// The value of the expression.
    pub fn evaluated(self, bounds: &Bounds) -> Result<EvaluationAnswer, Problem> {
        let data = match &self.data {
            None => EvaluationData::default(),
            Some(data) if data.get().len() > DATA_BYTES_MAX => {
                let message = format!("must be at most {DATA_BYTES_MAX} bytes of JSON");
                return Err(Problem::field("/data", "too_large", message));
            }
            Some(data) => {
                parse(data.get().as_bytes(), bounds).map_err(|problem| problem.below("/data"))?
            }
        };
        let json = json_of(self.expression.trim(), &data).map_err(|error| {
            // Columns are those of the text that was sent.
            let blanks = self.expression.chars().take_while(|c| c.is_whitespace()).count();
            Problem::expression(
                "/expression",
                ExpressionError { column: error.column + blanks, ..error },
            )
        })?;
        let value = RawValue::from_string(json).map_err(|_| {
            Problem::new(Code::InternalError, "the value could not be written as JSON")
        })?;
        Ok(EvaluationAnswer { value })
    }
}

fn json_of(text: &str, data: &EvaluationData) -> Result<String, ExpressionError> {
    // An expression may itself have a string that looks like the beginning of one.
    let bare = Expression::parse(text);
    if bare.is_err()
        && text.contains(OPENING)
        && let Some(template) = TextTemplate::parse(text)?
    {
        data.must_have(template.references())?;
        return template.json(data);
    }
    let expression = bare?;
    data.must_have(expression.references())?;
    expression.json(data)
}

impl EvaluationData {
    /// Whether there is everything that is read; parts of a node or of the job may be missing, and are asked for by `has`.
    fn must_have<'r>(
        &self,
        references: impl Iterator<Item = (&'r Reference, usize)>,
    ) -> Result<(), ExpressionError> {
        for (reference, column) in references {
            let missing = match reference {
                Reference::Node { key, .. } if !self.nodes.contains_key(key) => {
                    let known = self.nodes.keys().cloned().collect();
                    return Err(ExpressionError::unknown_name(column, "node", key, known));
                }
                Reference::Job(_) | Reference::Node { .. } => false,
                Reference::Item => self.item.is_none(),
                Reference::Index => self.index.is_none(),
                Reference::Error => self.error.is_none(),
                Reference::Attempt => self.attempt.is_none(),
            };
            if missing {
                let name = reference.to_string();
                return Err(ExpressionError::unknown_name(column, "value", &name, Vec::new()));
            }
        }
        Ok(())
    }
}

impl Scope for EvaluationData {
    fn read(&self, reference: &Reference) -> Option<Value> {
        let raw = match reference {
            Reference::Job(JobPart::Input) => &self.job.input,
            Reference::Job(JobPart::Id) => &self.job.id,
            Reference::Job(JobPart::Status) => &self.job.status,
            Reference::Job(JobPart::Error) => &self.job.error,
            Reference::Node { key, part } => {
                let node = self.nodes.get(key)?;
                match part {
                    NodePart::Output => &node.output,
                    NodePart::Status => &node.status,
                    NodePart::Error => &node.error,
                    NodePart::Attempts => &node.attempts,
                }
            }
            Reference::Item => &self.item,
            Reference::Index => &self.index,
            Reference::Error => &self.error,
            Reference::Attempt => &self.attempt,
        };
        Value::from_json(raw.as_deref()?.get())
    }
}
