//! What in an expression depends on nothing it reads, evaluated once and for all. What fails stays as it is: it may stand
//! behind a condition that never holds.
//! Always holds: a folded expression has the value it had before.

use super::budget::Budget;
use super::evaluate::{Evaluation, Scope};
use super::reference::Reference;
use super::tree::{Syntax, Tree, TreeNode};
use super::value::Value;

/// Folding costs at most this, so that taking an expression in costs no more than evaluating it.
const STEPS_MAX: usize = 1_000;
/// A folded value lives as long as its expression.
const BYTES_MAX: usize = 4 * 1_024;

struct Nothing;

impl Scope for Nothing {
    fn read(&self, _: &Reference) -> Option<Value> {
        None
    }
}

/// Puts values in the place of what has one whatever is read.
pub(super) fn fold(tree: &mut Tree) {
    let constant = constants(tree);
    let mut budget = Budget::of(STEPS_MAX, BYTES_MAX);
    let mut folded = Vec::new();
    let mut open = vec![tree.root];
    while let Some(id) = open.pop() {
        let kind = &tree.nodes[id].kind;
        if !constant[id] {
            kind.children(|child| open.push(child));
        } else if !matches!(kind, Syntax::Constant(_))
            && let Ok(value) = Evaluation::new(tree, &Nothing, &mut budget).value(id)
        {
            folded.push((id, value));
        }
    }
    for (id, value) in folded {
        tree.nodes[id].kind = Syntax::Constant(value);
    }
}

/// Which nodes depend on nothing. Children stand before their parents.
fn constants(tree: &Tree) -> Vec<bool> {
    // Of each node the outermost variable it uses; reading counts as one further out than all.
    let mut outermost: Vec<Option<usize>> = Vec::with_capacity(tree.nodes.len());
    for TreeNode { kind, .. } in &tree.nodes {
        let mut own = if let Syntax::Variable(place) = kind {
            Some(place + 1)
        } else {
            matches!(kind, Syntax::Read(_) | Syntax::IsThere(_)).then_some(0)
        };
        let bound =
            if let Syntax::Comprehension(own) = kind { own.variable + 1 } else { usize::MAX };
        kind.children(|child| {
            let of = outermost[child].filter(|place| *place < bound);
            own = [own, of].into_iter().flatten().min();
        });
        outermost.push(own);
    }
    outermost.into_iter().map(|place| place.is_none()).collect()
}
