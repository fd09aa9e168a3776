//! What an expression may use, by construction: it cannot be long, deep, slow or large, whatever stands in it.
//! Always holds: a budget that was overdrawn once stays spent, so no operator that passes over errors goes on for free.
//! Absent: wall time, which would give another answer on another machine.

use super::error::{ErrorClass, Mistake};

/// Bytes of one expression's text.
pub const SOURCE_BYTES_MAX: usize = 1_024;
/// Literals, names, selections, operators and calls of one expression.
pub const NODES_MAX: usize = 200;
/// Nesting of brackets, arguments and maps: twice what the language's definition asks for.
pub const NESTING_MAX: usize = 24;
/// Nesting of plain parentheses, which make no node; the definition's own tests have 32.
pub const PARENTHESES_MAX: usize = 40;
/// Comprehensions (`all`, `map`, ...) inside one another's bodies.
pub const COMPREHENSIONS_MAX: usize = 2;
/// Steps of one evaluation: about one a node that is evaluated, more where texts and lists are read.
pub const STEPS_MAX: usize = 10_000;
/// Bytes of the values one evaluation makes. What it only reads and passes on is not counted.
pub const MADE_BYTES_MAX: usize = 256 * 1_024;
/// Expressions in one template; they share one evaluation's budget.
pub const TEMPLATE_EXPRESSIONS_MAX: usize = 200;

/// Bytes of text that are read in one step.
const TEXT_BYTES_A_STEP: usize = 256;
/// Items that are copied in one step.
const ITEMS_A_STEP: usize = 16;

/// What is left of an evaluation's steps and bytes.
#[derive(Debug, Clone)]
pub struct Budget {
    steps: usize,
    made_bytes: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { steps: STEPS_MAX, made_bytes: MADE_BYTES_MAX }
    }
}

impl Budget {
    pub(super) fn of(steps: usize, made_bytes: usize) -> Self {
        Self { steps, made_bytes }
    }

    #[cfg(test)]
    pub(super) fn steps_left(&self) -> usize {
        self.steps
    }

    #[cfg(test)]
    pub(super) fn bytes_left(&self) -> usize {
        self.made_bytes
    }

    pub(super) fn step(&mut self, steps: usize) -> Result<(), Mistake> {
        let left = self.steps.checked_sub(steps);
        self.steps = left.unwrap_or(0);
        left.map(drop).ok_or_else(|| {
            Mistake::new(
                ErrorClass::Budget,
                format!("takes more than {STEPS_MAX} steps; read fewer or smaller values"),
            )
        })
    }

    /// Text of this length is read.
    pub(super) fn read(&mut self, bytes: usize) -> Result<(), Mistake> {
        self.step(bytes / TEXT_BYTES_A_STEP)
    }

    /// That many items are copied.
    pub(super) fn copy(&mut self, items: usize) -> Result<(), Mistake> {
        self.step(items / ITEMS_A_STEP)
    }

    /// A value of this size is made.
    pub(super) fn make(&mut self, bytes: usize) -> Result<(), Mistake> {
        let Some(left) = self.made_bytes.checked_sub(bytes) else {
            (self.steps, self.made_bytes) = (0, 0);
            return Err(Mistake::new(
                ErrorClass::Budget,
                format!("makes values of more than {MADE_BYTES_MAX} bytes"),
            ));
        };
        self.made_bytes = left;
        Ok(())
    }
}
