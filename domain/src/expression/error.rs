//! What is wrong with an expression, and where: a class that programs match on, a sentence for people, the column.
//! Always holds: nothing of the data an expression reads is repeated, only its types and sizes. Absent: pointers into a
//! body and codes of answers, which are the edge's.

use std::borrow::Cow;
use std::fmt;

/// The kind of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// The text is no expression.
    Syntax,
    /// A name or function that there is not.
    UnknownName,
    /// A value of a type that the operation does not take.
    Type,
    /// A map without the key, a node without the part.
    NoSuchKey,
    /// A place outside a list.
    Index,
    /// A number, time or duration beyond its range.
    Overflow,
    /// An int divided by zero.
    DivisionByZero,
    /// More text, nodes, nesting, steps or memory than an expression may use.
    Budget,
}

impl ErrorClass {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Syntax => "syntax",
            Self::UnknownName => "unknown_name",
            Self::Type => "type",
            Self::NoSuchKey => "no_such_key",
            Self::Index => "index",
            Self::Overflow => "overflow",
            Self::DivisionByZero => "division_by_zero",
            Self::Budget => "budget",
        }
    }
}

impl fmt::Display for ErrorClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a text is no expression, or why an expression has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} (column {column})")]
pub struct ExpressionError {
    /// What kind of error it is.
    pub class: ErrorClass,
    /// What is wrong and what is allowed.
    pub message: String,
    /// Where it stands in the text, in characters from 1.
    pub column: usize,
    /// The names that could stand there, where there is a list of them.
    pub allowed: Vec<String>,
}

impl ExpressionError {
    pub(super) fn new(
        class: ErrorClass,
        column: usize,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { class, message: message.into().into_owned(), column, allowed: Vec::new() }
    }

    pub(super) fn syntax(column: usize, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorClass::Syntax, column, message)
    }

    /// A name that is none of those that could stand there.
    pub fn unknown_name(column: usize, what: &str, name: &str, allowed: Vec<String>) -> Self {
        let shown: String = name.chars().take(NAME_CHARS_SHOWN).collect();
        let message = if allowed.is_empty() {
            format!("there is no {what} `{shown}`")
        } else {
            format!("there is no {what} `{shown}`; there is {}", listed(&allowed))
        };
        Self { allowed, ..Self::new(ErrorClass::UnknownName, column, message) }
    }
}

/// A name is repeated up to here: more of it tells nobody more.
const NAME_CHARS_SHOWN: usize = 64;
/// Names that a message lists; `allowed` has all of them.
const NAMES_LISTED: usize = 40;

fn listed(names: &[String]) -> String {
    let mut text = names.iter().take(NAMES_LISTED).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > NAMES_LISTED {
        text.push_str(", ...");
    }
    text
}

/// What an operation on values found wrong; the node that did it adds its column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mistake {
    pub(super) class: ErrorClass,
    pub(super) message: Cow<'static, str>,
}

impl Mistake {
    pub(super) fn new(class: ErrorClass, message: impl Into<Cow<'static, str>>) -> Self {
        Self { class, message: message.into() }
    }

    pub(super) fn of_type(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorClass::Type, message)
    }

    pub(super) fn overflow(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorClass::Overflow, message)
    }
}

/// Gives a mistake its place.
pub(super) trait At<T> {
    fn at(self, column: usize) -> Result<T, ExpressionError>;
}

impl<T> At<T> for Result<T, Mistake> {
    fn at(self, column: usize) -> Result<T, ExpressionError> {
        self.map_err(|mistake| ExpressionError::new(mistake.class, column, mistake.message))
    }
}
