//! Expressions: a subset of CEL over what a job and its nodes have, evaluated without a clock, a random number or IO.
//! `docs/expressions.md` is the language, `docs/decisions/0029` why it is our own.
//! Always holds: whatever the text and the data are, reading and evaluating ends within the bounds of `budget.rs`, in a
//! value or an error with its class and column. Absent: static types; names and syntax are checked when an expression is
//! read, types when it runs.

mod budget;
mod calls;
mod compiled;
mod conversions;
mod error;
mod evaluate;
mod fold;
mod functions;
mod json;
mod lexer;
mod literals;
mod names;
mod numbers;
mod operators;
mod parser;
mod patterns;
mod reference;
mod template;
mod text;
mod times;
mod tree;
mod value;

#[cfg(test)]
mod tests;

pub use budget::{
    Budget, COMPREHENSIONS_MAX, MADE_BYTES_MAX, NESTING_MAX, NODES_MAX, PARENTHESES_MAX,
    SOURCE_BYTES_MAX, STEPS_MAX, TEMPLATE_EXPRESSIONS_MAX,
};
pub use compiled::Expression;
pub use error::{ErrorClass, ExpressionError};
pub use evaluate::Scope;
pub use reference::{JobPart, NodePart, Reference};
pub use template::{Template, TemplateError};
pub use text::{OPENING, TextTemplate};
pub(crate) use text::{holds_text, references_of};
pub use value::{Key, List, Map, Value};
