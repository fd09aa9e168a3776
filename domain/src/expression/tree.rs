//! A parsed expression: nodes in one list, each naming its children by their places. Nothing in it is nested, so dropping
//! or copying it never recurses.
//! Always holds: children stand before their parents, and the root is the last node that was added.

use super::functions::Function;
use super::reference::Reference;
use super::value::Value;

/// A node's place in its tree.
pub(super) type NodeId = usize;

/// A parsed expression.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    pub(super) nodes: Vec<TreeNode>,
    pub(super) root: NodeId,
    /// What is read, each once, with the column where it first stands.
    pub(super) references: Vec<(Reference, usize)>,
}

/// A node, with the column an error in it is shown at.
#[derive(Debug, Clone)]
pub(super) struct TreeNode {
    pub(super) column: usize,
    pub(super) kind: Syntax,
}

/// What a node does.
#[derive(Debug, Clone)]
pub(super) enum Syntax {
    Constant(Value),
    /// Reads what the tree's reference of this place names.
    Read(usize),
    /// Whether that is there.
    IsThere(usize),
    /// The value that a comprehension around it goes over.
    Variable(usize),
    Select {
        of: NodeId,
        field: Box<str>,
    },
    Has {
        of: NodeId,
        field: Box<str>,
    },
    Index {
        of: NodeId,
        key: NodeId,
    },
    Not(NodeId),
    Negate(NodeId),
    Binary {
        operator: Operator,
        left: NodeId,
        right: NodeId,
    },
    Conditional {
        condition: NodeId,
        then: NodeId,
        otherwise: NodeId,
    },
    List(Vec<NodeId>),
    Map(Vec<(NodeId, NodeId)>),
    /// A method's receiver is its first argument.
    Call {
        function: Function,
        arguments: Vec<NodeId>,
    },
    Comprehension(Comprehension),
}

/// An operator with two sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// A loop over the items of a list or the keys of a map.
#[derive(Debug, Clone, Copy)]
pub(super) struct Comprehension {
    pub(super) form: Form,
    pub(super) over: NodeId,
    /// The variable's place among those of the loops around.
    pub(super) variable: usize,
    /// Which items count; all, where `map` has none.
    pub(super) condition: Option<NodeId>,
    /// What `map` makes of an item.
    pub(super) result: Option<NodeId>,
}

/// What a comprehension asks or makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    All,
    Exists,
    ExistsOne,
    Filter,
    Map,
}

impl Operator {
    /// The operator that a token stands for, and how strongly it binds.
    pub(super) fn of(word: &str) -> Option<(Self, u8)> {
        Some(match word {
            "||" => (Self::Or, 1),
            "&&" => (Self::And, 2),
            "==" => (Self::Equal, 3),
            "!=" => (Self::NotEqual, 3),
            "<" => (Self::Less, 3),
            "<=" => (Self::LessOrEqual, 3),
            ">" => (Self::Greater, 3),
            ">=" => (Self::GreaterOrEqual, 3),
            "in" => (Self::In, 3),
            "+" => (Self::Add, 4),
            "-" => (Self::Subtract, 4),
            "*" => (Self::Multiply, 5),
            "/" => (Self::Divide, 5),
            "%" => (Self::Remainder, 5),
            _ => return None,
        })
    }

    /// As it is written.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Or => "||",
            Self::And => "&&",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::In => "in",
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
        }
    }
}

impl Form {
    /// The form with this name.
    pub(super) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "all" => Self::All,
            "exists" => Self::Exists,
            "exists_one" => Self::ExistsOne,
            "filter" => Self::Filter,
            "map" => Self::Map,
            _ => return None,
        })
    }
}

impl Syntax {
    /// Calls `visit` with every child.
    pub(super) fn children(&self, mut visit: impl FnMut(NodeId)) {
        match self {
            Self::Constant(_) | Self::Read(_) | Self::IsThere(_) | Self::Variable(_) => {}
            Self::Select { of, .. } | Self::Has { of, .. } | Self::Not(of) | Self::Negate(of) => {
                visit(*of);
            }
            Self::Index { of, key } => [*of, *key].into_iter().for_each(visit),
            Self::Binary { left, right, .. } => [*left, *right].into_iter().for_each(visit),
            Self::Conditional { condition, then, otherwise } => {
                [*condition, *then, *otherwise].into_iter().for_each(visit);
            }
            Self::List(items) => items.iter().copied().for_each(visit),
            Self::Map(entries) => entries.iter().for_each(|(key, value)| {
                visit(*key);
                visit(*value);
            }),
            Self::Call { arguments, .. } => arguments.iter().copied().for_each(visit),
            Self::Comprehension(own) => {
                let body = [Some(own.over), own.condition, own.result];
                body.into_iter().flatten().for_each(visit);
            }
        }
    }
}
