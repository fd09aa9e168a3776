//! Evaluating what a node needs before it starts: whether it runs, its input, its list, its branch. Pure: payloads that
//! are not at hand come in through a function, and without them there is no answer.
//! Always holds: the same order and payloads give the same answer, whoever evaluates. An error is an answer too.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::ITEMS_MAX;
use super::order::{Asked, EvaluationOrder, KnownPart, OUTPUT_OF_JOB, Source, flow_of};
use crate::bounds;
use crate::exact_json::ExactJson;
use crate::expression::{
    ExpressionError, JobPart, Key, NodePart, Reference, Scope, Template, Value, holds_text,
};
use crate::ids::Millis;
use crate::job::plan::{PlanCondition, Predicate, Taken};
use crate::node::attempt::AttemptError;
use crate::payload::{Payload, StoredPayload};

/// What was found for one node.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Evaluated {
    /// Its position, or [`OUTPUT_OF_JOB`].
    pub node: u32,
    /// Since when it waited for this.
    pub since: Millis,
    /// In which run of the groups around it.
    #[serde(default)]
    pub run: u32,
    pub is: EvaluatedAs,
}

/// What was found.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvaluatedAs {
    /// It does not run: its `when` does not hold.
    Bypassed,
    /// It runs with the input that it has.
    Ready,
    /// Its input or record.
    Input(Box<RawValue>),
    /// What its group goes over.
    List {
        list: Box<RawValue>,
        /// How many items it has.
        items: u32,
    },
    Branch(Taken),
    /// There is no value.
    Failed(AttemptError),
}

/// A payload that is not at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missing(pub StoredPayload);

/// Evaluates the nodes of one order, and fetches each payload once.
pub struct Evaluator<'o> {
    order: &'o EvaluationOrder,
    load: &'o mut (dyn FnMut(&StoredPayload) -> Option<Arc<str>> + Send),
    outputs: BTreeMap<u32, Value>,
    lists: BTreeMap<u32, Value>,
    job_input: Option<Value>,
    /// Inputs with expressions, by the node of the plan that has them: members of a list share theirs. One that was changed
    /// has its own, by its position.
    templates: BTreeMap<(u32, bool), Arc<ParsedInput>>,
}

/// What is written where a value is computed.
enum ParsedInput {
    Plain(ExactJson),
    Template(Template),
}

impl std::fmt::Debug for Evaluator<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Evaluator").field("nodes", &self.order.nodes.len()).finish_non_exhaustive()
    }
}

/// Why there is no value.
enum Fault {
    Missing(Missing),
    Failed(Box<AttemptError>),
}

impl From<Missing> for Fault {
    fn from(missing: Missing) -> Self {
        Self::Missing(missing)
    }
}

impl<'o> Evaluator<'o> {
    /// Of this order. `load` gives the JSON text of a stored payload.
    pub fn new(
        order: &'o EvaluationOrder,
        load: &'o mut (dyn FnMut(&StoredPayload) -> Option<Arc<str>> + Send),
    ) -> Self {
        Self {
            order,
            load,
            outputs: BTreeMap::new(),
            lists: BTreeMap::new(),
            job_input: None,
            templates: BTreeMap::new(),
        }
    }

    /// What is found for one of the order's nodes.
    ///
    /// # Errors
    /// A payload that it reads is not at hand.
    pub fn evaluate(&mut self, asked: &Asked) -> Result<Evaluated, Missing> {
        let is = match self.value_of(asked) {
            Ok(is) => is,
            Err(Fault::Failed(error)) => EvaluatedAs::Failed(*error),
            Err(Fault::Missing(missing)) => return Err(missing),
        };
        Ok(Evaluated { node: asked.node, since: asked.since, run: asked.run, is })
    }

    fn value_of(&mut self, asked: &Asked) -> Result<EvaluatedAs, Fault> {
        let plan = &self.order.plan;
        if asked.node == OUTPUT_OF_JOB {
            let Some(output) = &plan.output else { return Ok(EvaluatedAs::Ready) };
            let scope = self.scope(asked)?;
            let json = self.computed("output", (OUTPUT_OF_JOB, false), output, &scope)?;
            return Ok(EvaluatedAs::Input(raw(&json)));
        }
        let node = plan.node(asked.node);
        let scope = self.scope(asked)?;
        if let Some(when) = node.flow.as_ref().and_then(|flow| flow.when.as_ref())
            && !holds(when, &scope).map_err(|error| scope.failed("when", "", &error))?
        {
            return Ok(EvaluatedAs::Bypassed);
        }
        if let Some(condition) = node.branches() {
            return Ok(EvaluatedAs::Branch(taken(condition, &scope)?));
        }
        let Some(input) = node.input.as_ref().filter(|_| node.computes_input()) else {
            return Ok(EvaluatedAs::Ready);
        };
        let name = match (node.group(), node.is_checkpoint()) {
            (Some(_), _) => "for_each",
            (None, true) => "record",
            (None, false) => "input",
        };
        let of = match plan.changed(asked.node) {
            Some(_) => (asked.node, true),
            None => (plan.place(asked.node).node, false),
        };
        let json = self.computed(name, of, input, &scope)?;
        if node.group().is_none() {
            return Ok(EvaluatedAs::Input(raw(&json)));
        }
        let items = items_of(json.as_str()).map_err(|message| wrong_list(&message))?;
        Ok(EvaluatedAs::List { list: raw(&json), items })
    }

    /// A payload of this node of the plan with its expressions evaluated.
    fn computed(
        &mut self,
        name: &str,
        of: (u32, bool),
        payload: &Payload,
        scope: &FlowScope,
    ) -> Result<ExactJson, Fault> {
        let parsed = if let Some(parsed) = self.templates.get(&of) {
            Arc::clone(parsed)
        } else {
            let parsed = Arc::new(self.parsed(name, payload, scope)?);
            self.templates.insert(of, Arc::clone(&parsed));
            parsed
        };
        match &*parsed {
            ParsedInput::Plain(json) => Ok(json.clone()),
            ParsedInput::Template(template) => template
                .evaluate(scope, bounds::PAYLOAD_BYTES_MAX)
                .map_err(|error| scope.failed(name, &error.pointer, &error.error)),
        }
    }

    fn parsed(
        &mut self,
        name: &str,
        payload: &Payload,
        scope: &FlowScope,
    ) -> Result<ParsedInput, Fault> {
        let text = self.text(payload)?;
        let broken = || {
            let message = format!("{name}: what is stored of it is no JSON");
            Fault::Failed(Box::new(expression_error("syntax", &message)))
        };
        let json: ExactJson = serde_json::from_str(&text).map_err(|_| broken())?;
        let parsed = Template::parse(&json);
        let template = parsed.map_err(|error| scope.failed(name, &error.pointer, &error.error))?;
        Ok(template.map_or(ParsedInput::Plain(json), ParsedInput::Template))
    }

    fn text(&mut self, payload: &Payload) -> Result<Arc<str>, Missing> {
        match payload {
            Payload::Inline(raw) => Ok(Arc::from(raw.get())),
            Payload::Stored(stored) => (self.load)(stored).ok_or(Missing(*stored)),
        }
    }

    fn json(&mut self, payload: &Payload) -> Result<Value, Missing> {
        Ok(Value::from_json(&self.text(payload)?).unwrap_or(Value::Null))
    }

    /// The values of all that a node reads.
    fn scope(&mut self, asked: &Asked) -> Result<FlowScope, Missing> {
        let plan = Arc::clone(&self.order.plan);
        let mut nodes = Vec::with_capacity(asked.known.len());
        for (key, part, known) in &asked.known {
            let value = match known {
                KnownPart::Is(value) => value.clone(),
                KnownPart::Output(of) => self.output(*of)?,
            };
            nodes.push((Arc::clone(key), *part, value));
        }
        let of_job = asked.node == OUTPUT_OF_JOB;
        let flow = flow_of(&plan, asked.node);
        let job_input = match (&plan.input, flow.is_some_and(|flow| flow.reads_job_input)) {
            (Some(input), true) => {
                let value = match &self.job_input {
                    Some(value) => value.clone(),
                    None => self.json(input)?,
                };
                self.job_input = Some(value.clone());
                value
            }
            (Some(_) | None, _) => Value::Null,
        };
        let mut item = None;
        if !of_job
            && flow.is_some_and(|flow| flow.reads_item)
            && let Some((expansion, index)) = plan.item_of(asked.node)
        {
            let list = if let Some(list) = self.lists.get(&expansion.first) {
                list.clone()
            } else {
                let list = self.json(&expansion.list)?;
                self.lists.insert(expansion.first, list.clone());
                list
            };
            let Value::List(list) = &list else { return Ok(FlowScope::default()) };
            let value = list.items().get(index as usize).cloned().unwrap_or(Value::Null);
            item = Some((value, i64::from(index)));
        }
        Ok(FlowScope {
            nodes,
            job_input,
            job_id: Some(Value::text(&self.order.job_id.to_string())),
            job_status: asked.job.status.clone(),
            job_error: asked.job.error.clone(),
            item,
        })
    }

    fn output(&mut self, of: u32) -> Result<Value, Missing> {
        if let Some(value) = self.outputs.get(&of) {
            return Ok(value.clone());
        }
        let order = self.order;
        let value = match order.outputs.get(&of) {
            Some(source) => self.assemble(source)?,
            None => Value::Null,
        };
        self.outputs.insert(of, value.clone());
        Ok(value)
    }

    /// Recursion goes as deep as groups are nested.
    fn assemble(&mut self, source: &Source) -> Result<Value, Missing> {
        match source {
            Source::Nothing => Ok(Value::Null),
            Source::Json(payload) => self.json(payload),
            Source::List(items) => {
                let values: Result<Vec<Value>, Missing> =
                    items.iter().map(|item| self.assemble(item)).collect();
                Ok(Value::list(values?))
            }
            Source::Object(fields) => {
                let mut entries = Vec::with_capacity(fields.len());
                for (key, source) in fields {
                    entries.push((Key::Text(Arc::clone(key)), self.assemble(source)?));
                }
                Ok(Value::map(entries))
            }
        }
    }
}

/// What the expressions of one node read.
#[derive(Default)]
struct FlowScope {
    nodes: Vec<(Arc<str>, NodePart, Value)>,
    job_input: Value,
    job_id: Option<Value>,
    job_status: Option<Value>,
    job_error: Option<Value>,
    item: Option<(Value, i64)>,
}

impl Scope for FlowScope {
    fn read(&self, reference: &Reference) -> Option<Value> {
        match reference {
            Reference::Job(JobPart::Input) => Some(self.job_input.clone()),
            Reference::Job(JobPart::Id) => self.job_id.clone(),
            Reference::Job(JobPart::Status) => self.job_status.clone(),
            Reference::Job(JobPart::Error) => self.job_error.clone(),
            Reference::Node { key, part } => self
                .nodes
                .iter()
                .find(|(of, what, _)| **of == **key && what == part)
                .map(|(_, _, value)| value.clone()),
            Reference::Item => self.item.as_ref().map(|(value, _)| value.clone()),
            Reference::Index => self.item.as_ref().map(|(_, index)| Value::Int(*index)),
            Reference::Error | Reference::Attempt => None,
        }
    }
}

impl FlowScope {
    fn failed(&self, name: &str, pointer: &str, error: &ExpressionError) -> Fault {
        let mut read: Vec<String> = self
            .nodes
            .iter()
            .map(|(key, part, _)| Reference::Node { key: key.to_string(), part: *part }.to_string())
            .collect();
        if self.item.is_some() {
            read.push("item".to_owned());
        }
        let reads = match read.as_slice() {
            [] => String::new(),
            some => format!("; it reads {}", some.join(", ")),
        };
        let message = format!("{name}{pointer}: {error}{reads}");
        Fault::Failed(Box::new(expression_error(error.class.as_str(), &message)))
    }
}

/// The error of a node whose expression has no value.
pub(super) fn expression_error(kind: &str, message: &str) -> AttemptError {
    AttemptError {
        error_type: kind.to_owned(),
        message: message.chars().take(bounds::ERROR_MESSAGE_CHARS_MAX).collect(),
        class: "expression".to_owned(),
        retryable: Some(false),
        ..AttemptError::default()
    }
}

fn wrong_list(message: &str) -> Fault {
    Fault::Failed(Box::new(expression_error("type", &format!("for_each: {message}"))))
}

/// How many items a JSON list has, if it may be gone over.
pub(crate) fn items_of(json: &str) -> Result<u32, String> {
    let Some(value) = Value::from_json(json) else { return Err("must be a list".to_owned()) };
    let Value::List(list) = &value else {
        return Err(format!("must be a list, and is a {}", value.type_name()));
    };
    let items = list.items().len();
    if items > ITEMS_MAX {
        return Err(format!("the list has {items} items; at most {ITEMS_MAX} are allowed"));
    }
    Ok(u32::try_from(items).unwrap_or(u32::MAX))
}

fn taken(condition: &PlanCondition, scope: &FlowScope) -> Result<Taken, Fault> {
    for (place, branch) in (0_u32..).zip(&condition.branches) {
        let name = format!("branches/{place}/when");
        if holds(&branch.when, scope).map_err(|error| scope.failed(&name, "", &error))? {
            return Ok(Taken::Branch(place));
        }
    }
    Ok(if condition.default.is_empty() { Taken::Nothing } else { Taken::Default })
}

fn holds(predicate: &Predicate, scope: &dyn Scope) -> Result<bool, ExpressionError> {
    match predicate {
        Predicate::Known(known) => Ok(*known),
        Predicate::Text(text) => holds_text(text, scope),
    }
}

fn raw(json: &ExactJson) -> Box<RawValue> {
    RawValue::from_string(json.as_str().to_owned()).unwrap_or_else(|_| RawValue::NULL.to_owned())
}
