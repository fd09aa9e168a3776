//! A text with expressions in it. One that is an expression from its first character to its last keeps that value's type;
//! in any other each expression becomes text.
//! Always holds: the lexer, not the first `}}`, says where an expression ends. Absent: an escape; `${{ '${{' }}` is a text
//! that looks like the beginning of one.

use super::budget::{Budget, TEMPLATE_EXPRESSIONS_MAX};
use super::compiled::Expression;
use super::error::{At, ErrorClass, ExpressionError};
use super::evaluate::Scope;
use super::reference::Reference;
use super::value::{VALUE_BYTES, Value};

/// What opens an expression.
pub const OPENING: &str = "${{";

/// A text that has at least one expression.
#[derive(Debug, Clone)]
pub struct TextTemplate {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone)]
enum Piece {
    Text(String),
    Expression(Expression),
}

impl TextTemplate {
    /// Reads a text; none where no expression stands in it.
    pub fn parse(text: &str) -> Result<Option<Self>, ExpressionError> {
        let mut pieces = Vec::new();
        let (mut at, mut column, mut expressions) = (0, 1, 0);
        while let Some(place) = text[at..].find(OPENING) {
            if place > 0 {
                pieces.push(Piece::Text(text[at..at + place].to_owned()));
            }
            let start = at + place + OPENING.len();
            column += text[at..start].chars().count();
            expressions += 1;
            if expressions > TEMPLATE_EXPRESSIONS_MAX {
                return Err(too_many(column));
            }
            let (expression, end) = Expression::parse_embedded(text, start, column)?;
            pieces.push(Piece::Expression(expression));
            column += text[start..end].chars().count();
            at = end;
        }
        if pieces.is_empty() {
            return Ok(None);
        }
        if at < text.len() {
            pieces.push(Piece::Text(text[at..].to_owned()));
        }
        Ok(Some(Self { pieces }))
    }

    /// The expressions in it.
    pub fn expressions(&self) -> impl Iterator<Item = &Expression> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Expression(expression) => Some(expression),
            Piece::Text(_) => None,
        })
    }

    /// What its expressions read, with the columns.
    pub fn references(&self) -> impl Iterator<Item = (&Reference, usize)> {
        self.expressions().flat_map(Expression::references)
    }

    /// Its value in this scope.
    pub fn evaluate(&self, scope: &dyn Scope) -> Result<Value, ExpressionError> {
        self.evaluate_within(scope, &mut Budget::default())
    }

    /// Its value, with what is left of a budget.
    pub fn evaluate_within(
        &self,
        scope: &dyn Scope,
        budget: &mut Budget,
    ) -> Result<Value, ExpressionError> {
        if let [Piece::Expression(whole)] = self.pieces.as_slice() {
            return whole.evaluate_within(scope, budget);
        }
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(own) => text.push_str(own),
                Piece::Expression(expression) => {
                    let column = expression.column();
                    let value = expression.evaluate_within(scope, budget)?;
                    budget.make(VALUE_BYTES + value.bytes()).at(column)?;
                    text.push_str(&value.to_text().at(column)?);
                }
            }
        }
        Ok(Value::text(&text))
    }

    /// The JSON of its value.
    pub(super) fn json_within(
        &self,
        scope: &dyn Scope,
        budget: &mut Budget,
    ) -> Result<String, ExpressionError> {
        let column = self.expressions().next().map_or(1, Expression::column);
        self.evaluate_within(scope, budget)?.to_json().at(column)
    }

    /// The JSON of its value.
    pub fn json(&self, scope: &dyn Scope) -> Result<String, ExpressionError> {
        self.json_within(scope, &mut Budget::default())
    }
}

/// More expressions than one value may have.
pub(super) fn too_many(column: usize) -> ExpressionError {
    ExpressionError::new(
        ErrorClass::Budget,
        column,
        format!("one value has at most {TEMPLATE_EXPRESSIONS_MAX} expressions"),
    )
}

/// Whether a text that is one expression, with `${{ }}` or without, holds.
pub(crate) fn holds_text(text: &str, scope: &dyn Scope) -> Result<bool, ExpressionError> {
    let value = if text.contains(OPENING) {
        match TextTemplate::parse(text)? {
            Some(template) => template.evaluate(scope)?,
            None => Value::Null,
        }
    } else {
        Expression::parse(text)?.evaluate(scope)?
    };
    if let Value::Bool(holds) = value {
        return Ok(holds);
    }
    Err(ExpressionError {
        class: ErrorClass::Type,
        message: format!("must be true or false, and is a {}", value.type_name()),
        column: 1,
        allowed: Vec::new(),
    })
}

/// What a text that is one expression reads, with `${{ }}` or without.
pub(crate) fn references_of(text: &str) -> Result<Vec<(Reference, usize)>, ExpressionError> {
    let owned = |(reference, column): (&Reference, usize)| (reference.clone(), column);
    if text.contains(OPENING) {
        let template = TextTemplate::parse(text)?;
        return Ok(template.iter().flat_map(TextTemplate::references).map(owned).collect());
    }
    Ok(Expression::parse(text)?.references().map(owned).collect())
}
