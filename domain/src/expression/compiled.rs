//! An expression, ready to be evaluated as often as it is asked for.

use super::budget::Budget;
use super::error::{At, ExpressionError};
use super::evaluate::{Evaluation, Scope};
use super::reference::Reference;
use super::tree::{Syntax, Tree};
use super::value::Value;
use super::{fold, parser};

/// A parsed expression.
#[derive(Debug, Clone)]
pub struct Expression {
    tree: Tree,
}

impl Expression {
    /// Reads a text that is one expression, without `${{ }}` around it.
    pub fn parse(source: &str) -> Result<Self, ExpressionError> {
        parser::parse(source).map(Self::of)
    }

    /// Reads the expression behind a `${{` of a text, and where the text goes on.
    pub(super) fn parse_embedded(
        text: &str,
        start: usize,
        column: usize,
    ) -> Result<(Self, usize), ExpressionError> {
        let (tree, end) = parser::parse_embedded(text, start, column)?;
        Ok((Self::of(tree), end))
    }

    fn of(mut tree: Tree) -> Self {
        fold::fold(&mut tree);
        Self { tree }
    }

    /// What it reads, each once, with the column where it first stands. Also what stands behind a condition that never
    /// holds: a name that does not exist is a mistake wherever it stands.
    pub fn references(&self) -> impl Iterator<Item = (&Reference, usize)> {
        self.tree.references.iter().map(|(reference, column)| (reference, *column))
    }

    /// Its value, where it has one whatever is read.
    pub fn constant(&self) -> Option<&Value> {
        let Syntax::Constant(value) = &self.tree.nodes[self.tree.root].kind else { return None };
        Some(value)
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
        Evaluation::new(&self.tree, scope, budget).value(self.tree.root)
    }

    /// The JSON of its value.
    pub fn json(&self, scope: &dyn Scope) -> Result<String, ExpressionError> {
        let value = self.evaluate(scope)?;
        value.to_json().at(self.column())
    }

    /// Where an error of the whole is shown.
    pub(super) fn column(&self) -> usize {
        self.tree.nodes[self.tree.root].column
    }
}
