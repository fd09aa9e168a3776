//! The value of a tree. `&&`, `||`, `all` and `exists` pass over an error when another operand decides, as the language's
//! definition has it; a spent budget is the one error nothing passes over.
//! Always holds: every node that is evaluated is a step, so an evaluation ends; recursion goes at most as deep as a tree
//! has nodes.

use std::sync::Arc;

use super::budget::{Budget, COMPREHENSIONS_MAX};
use super::error::{At, ErrorClass, ExpressionError, Mistake};
use super::functions::{self, Function};
use super::operators;
use super::patterns::Patterns;
use super::reference::Reference;
use super::tree::{Comprehension, Form, NodeId, Operator, Syntax, Tree};
use super::value::{Key, List, Map, VALUE_BYTES, Value};

/// What an expression reads from.
pub trait Scope {
    /// The value of a reference; none where there is no such thing. Asked once for each reference of an expression.
    fn read(&self, reference: &Reference) -> Option<Value>;
}

type Evaluated<T = Value> = Result<T, ExpressionError>;

/// One evaluation of a tree.
pub(super) struct Evaluation<'e> {
    tree: &'e Tree,
    scope: &'e dyn Scope,
    budget: &'e mut Budget,
    /// What was read, by its reference.
    read: Vec<Reading>,
    /// The values of the comprehensions around, outermost first.
    variables: [Value; COMPREHENSIONS_MAX],
    patterns: Patterns,
}

/// What became of a reference.
#[derive(Clone)]
enum Reading {
    NotYet,
    Done(Option<Value>),
}

/// What a comprehension goes over.
enum Items {
    List(Arc<List>),
    Keys(Arc<Map>),
}

impl Items {
    fn of(value: &Value) -> Option<Self> {
        if let Value::List(list) = value {
            return Some(Self::List(Arc::clone(list)));
        }
        let Value::Map(map) = value else { return None };
        Some(Self::Keys(Arc::clone(map)))
    }

    fn len(&self) -> usize {
        match self {
            Self::List(list) => list.items().len(),
            Self::Keys(map) => map.entries().len(),
        }
    }

    fn at(&self, place: usize) -> Value {
        match self {
            Self::List(list) => list.items()[place].clone(),
            Self::Keys(map) => map.entries()[place].0.value(),
        }
    }
}

impl<'e> Evaluation<'e> {
    pub(super) fn new(tree: &'e Tree, scope: &'e dyn Scope, budget: &'e mut Budget) -> Self {
        let read = vec![Reading::NotYet; tree.references.len()];
        Self {
            tree,
            scope,
            budget,
            read,
            variables: [const { Value::Null }; COMPREHENSIONS_MAX],
            patterns: Patterns::default(),
        }
    }

    /// The value of a node.
    pub(super) fn value(&mut self, id: NodeId) -> Evaluated {
        let tree = self.tree;
        let node = &tree.nodes[id];
        let column = node.column;
        self.budget.step(1).at(column)?;
        match &node.kind {
            Syntax::Constant(value) => Ok(value.clone()),
            Syntax::Variable(place) => Ok(self.variables[*place].clone()),
            Syntax::Read(place) => self.read(*place).cloned().ok_or_else(|| {
                let reference = &tree.references[*place].0;
                ExpressionError::new(
                    ErrorClass::NoSuchKey,
                    column,
                    format!("there is no {reference}; has({reference}) asks first"),
                )
            }),
            Syntax::IsThere(place) => Ok(Value::Bool(self.read(*place).is_some())),
            Syntax::Select { of, field } => operators::select(&self.value(*of)?, field).at(column),
            Syntax::Has { of, field } => {
                let of = self.value(*of)?;
                operators::field(&of, field).map(|value| Value::Bool(value.is_some())).at(column)
            }
            Syntax::Index { of, key } => {
                let (of, key) = (self.value(*of)?, self.value(*key)?);
                operators::index(&of, &key).at(column)
            }
            Syntax::Not(of) => Ok(Value::Bool(!self.truth(*of, "!", column)?)),
            Syntax::Negate(of) => operators::negative(&self.value(*of)?).at(column),
            Syntax::Binary { operator, left, right } => {
                self.binary(*operator, *left, *right, column)
            }
            Syntax::Conditional { condition, then, otherwise } => {
                let taken = if self.truth(*condition, "?:", column)? { then } else { otherwise };
                self.value(*taken)
            }
            Syntax::List(items) => self.list(items, column),
            Syntax::Map(entries) => self.map(entries, column),
            Syntax::Call { function, arguments } => self.call(*function, arguments, column),
            Syntax::Comprehension(comprehension) => self.comprehension(*comprehension, column),
        }
    }

    fn read(&mut self, place: usize) -> Option<&Value> {
        let own = &mut self.read[place];
        if matches!(own, Reading::NotYet) {
            *own = Reading::Done(self.scope.read(&self.tree.references[place].0));
        }
        let Reading::Done(value) = own else { return None };
        value.as_ref()
    }

    fn truth(&mut self, id: NodeId, name: &str, column: usize) -> Evaluated<bool> {
        let value = self.value(id)?;
        let Value::Bool(truth) = value else {
            return Err(operators::wrong(name, "a bool", &value)).at(column);
        };
        Ok(truth)
    }

    fn binary(
        &mut self,
        operator: Operator,
        left: NodeId,
        right: NodeId,
        column: usize,
    ) -> Evaluated {
        let decisive = operator == Operator::Or;
        if !decisive && operator != Operator::And {
            let (left, right) = (self.value(left)?, self.value(right)?);
            return operators::apply(operator, &left, &right, self.budget).at(column);
        }
        let mut decision = Decision::new(decisive);
        for side in [left, right] {
            let truth = self.truth(side, operator.as_str(), column);
            if decision.is_made_by(truth)? {
                break;
            }
        }
        decision.made().map(Value::Bool)
    }

    fn list(&mut self, items: &[NodeId], column: usize) -> Evaluated {
        let mut values = Vec::with_capacity(items.len());
        for item in items {
            values.push(self.value(*item)?);
        }
        self.made(values, column)
    }

    /// A list that is paid for.
    fn made(&mut self, values: Vec<Value>, column: usize) -> Evaluated {
        self.budget.make(VALUE_BYTES).at(column)?;
        for value in &values {
            self.budget.make(value.bytes()).at(column)?;
        }
        Ok(Value::list(values))
    }

    fn map(&mut self, entries: &[(NodeId, NodeId)], column: usize) -> Evaluated {
        let mut made: Vec<(Key, Value)> = Vec::with_capacity(entries.len());
        self.budget.make(VALUE_BYTES).at(column)?;
        for (key, value) in entries {
            let column = self.tree.nodes[*key].column;
            let key = self.value(*key)?;
            // A double may be equal to an int, and yet is no key that can be written.
            let known = Key::of(&key)
                .filter(|_| !matches!(key, Value::Double(_)))
                .ok_or_else(|| {
                    operators::wrong("the key of a map", "a string, an int or a bool", &key)
                })
                .at(column)?;
            if made.iter().any(|(own, _)| *own == known) {
                return Err(Mistake::of_type("a map has a key twice")).at(column);
            }
            let value = self.value(*value)?;
            self.budget.make(key.bytes() + value.bytes()).at(column)?;
            made.push((known, value));
        }
        Ok(Value::map(made))
    }

    fn call(&mut self, function: Function, arguments: &[NodeId], column: usize) -> Evaluated {
        let mut values = Vec::with_capacity(arguments.len());
        for argument in arguments {
            values.push(self.value(*argument)?);
        }
        functions::call(function, &values, self.budget, &mut self.patterns).at(column)
    }

    fn comprehension(&mut self, own: Comprehension, column: usize) -> Evaluated {
        let over = self.value(own.over)?;
        let items = Items::of(&over)
            .ok_or_else(|| {
                operators::wrong(
                    "all, exists, exists_one, filter and map",
                    "a list or a map",
                    &over,
                )
            })
            .at(column)?;
        match own.form {
            Form::All | Form::Exists => {
                let mut decision = Decision::new(own.form == Form::Exists);
                for place in 0..items.len() {
                    let counts = self.counts(&own, items.at(place), column);
                    if decision.is_made_by(counts)? {
                        break;
                    }
                }
                decision.made().map(Value::Bool)
            }
            Form::ExistsOne => {
                let mut count = 0;
                for place in 0..items.len() {
                    count += usize::from(self.counts(&own, items.at(place), column)?);
                }
                Ok(Value::Bool(count == 1))
            }
            Form::Filter | Form::Map => {
                let mut values = Vec::new();
                self.budget.make(VALUE_BYTES).at(column)?;
                for place in 0..items.len() {
                    let item = items.at(place);
                    if !self.counts(&own, item.clone(), column)? {
                        continue;
                    }
                    let value = match own.result {
                        Some(result) => self.with(&own, item, result)?,
                        None => item,
                    };
                    self.budget.make(value.bytes()).at(column)?;
                    values.push(value);
                }
                Ok(Value::list(values))
            }
        }
    }

    /// Whether an item meets the condition.
    fn counts(&mut self, own: &Comprehension, item: Value, column: usize) -> Evaluated<bool> {
        self.budget.step(1).at(column)?;
        let Some(condition) = own.condition else { return Ok(true) };
        let value = self.with(own, item, condition)?;
        let Value::Bool(truth) = value else {
            return Err(operators::wrong("the condition of a list", "a bool", &value)).at(column);
        };
        Ok(truth)
    }

    /// The value of a body for one item.
    fn with(&mut self, own: &Comprehension, item: Value, body: NodeId) -> Evaluated {
        self.variables[own.variable] = item;
        self.value(body)
    }
}

/// Truths, of which one decides and errors count only if none does.
struct Decision {
    decisive: bool,
    is_decided: bool,
    error: Option<ExpressionError>,
}

impl Decision {
    fn new(decisive: bool) -> Self {
        Self { decisive, is_decided: false, error: None }
    }

    /// Takes one more; whether nothing else matters.
    fn is_made_by(&mut self, truth: Evaluated<bool>) -> Evaluated<bool> {
        match truth {
            Ok(value) if value == self.decisive => self.is_decided = true,
            Ok(_) => {}
            Err(error) if error.class == ErrorClass::Budget => return Err(error),
            Err(error) => {
                self.error.get_or_insert(error);
            }
        }
        Ok(self.is_decided)
    }

    fn made(self) -> Evaluated<bool> {
        match self.error {
            Some(error) if !self.is_decided => Err(error),
            Some(_) | None => Ok(if self.is_decided { self.decisive } else { !self.decisive }),
        }
    }
}
