//! Tokens into a tree, by the precedence of operators. Chains of operators, signs, conditionals and selections are read in
//! loops; only brackets recurse, and their nesting is bounded.
//! Always holds: at most `NODES_MAX` nodes are ever made, so whatever walks a tree goes at most that deep.
//! Absent: calls and names (`calls.rs`, `names.rs`).

use super::budget::{NESTING_MAX, NODES_MAX, PARENTHESES_MAX, SOURCE_BYTES_MAX};
use super::error::{ErrorClass, ExpressionError};
use super::lexer::{Lexer, Token, too_long};
use super::reference::Reference;
use super::tree::{NodeId, Operator, Syntax, Tree, TreeNode};
use super::value::{Key, Value};

pub(super) type Parsed<T = NodeId> = Result<T, ExpressionError>;

/// Words that programs around an expression may need; they are no names, but may stand behind a dot.
const RESERVED: [&str; 17] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];
/// Words that are never names.
const KEYWORDS: [&str; 4] = ["true", "false", "null", "in"];

/// Reads one expression.
#[derive(Debug)]
pub(super) struct Parser<'s> {
    lexer: Lexer<'s>,
    pub(super) token: Token,
    pub(super) column: usize,
    nodes: Vec<TreeNode>,
    /// Nodes of the text that were made into one.
    joined: usize,
    pub(super) references: Vec<(Reference, usize)>,
    /// The variables of the comprehensions around, outermost first.
    pub(super) variables: Vec<String>,
    nesting: usize,
    parentheses: usize,
}

/// Reads a text that is one expression.
pub(super) fn parse(source: &str) -> Parsed<Tree> {
    if source.len() > SOURCE_BYTES_MAX {
        return Err(too_long(1));
    }
    Parser::read(Lexer::whole(source)).map(|(tree, _)| tree)
}

/// Reads the expression behind a `${{`; also where the text goes on behind its `}}`.
pub(super) fn parse_embedded(text: &str, start: usize, column: usize) -> Parsed<(Tree, usize)> {
    Parser::read(Lexer::embedded(text, start, column))
}

impl<'s> Parser<'s> {
    fn read(lexer: Lexer<'s>) -> Parsed<(Tree, usize)> {
        let mut parser = Self {
            lexer,
            token: Token::End,
            column: 1,
            nodes: Vec::new(),
            joined: 0,
            references: Vec::new(),
            variables: Vec::new(),
            nesting: 0,
            parentheses: 0,
        };
        parser.advance()?;
        if parser.token == Token::End {
            return Err(ExpressionError::syntax(parser.column, "the expression is empty"));
        }
        let root = parser.expression()?;
        if parser.token != Token::End {
            return Err(parser.unexpected("an operator or the end"));
        }
        let Self { lexer, nodes, references, .. } = parser;
        Ok((Tree { nodes, root, references }, lexer.end()))
    }

    /// A whole expression: an operation, or a chain of conditionals.
    pub(super) fn expression(&mut self) -> Parsed {
        let mut branches = Vec::new();
        let mut last = self.operation(1)?;
        while self.token.is("?") {
            let column = self.column;
            self.advance()?;
            let then = self.operation(1)?;
            self.expect(":")?;
            branches.push((column, last, then));
            last = self.operation(1)?;
        }
        for (column, condition, then) in branches.into_iter().rev() {
            last = self.add(column, Syntax::Conditional { condition, then, otherwise: last })?;
        }
        Ok(last)
    }

    /// Operators that bind at least so strongly.
    fn operation(&mut self, strength_min: u8) -> Parsed {
        let mut left = self.signed()?;
        loop {
            let word = match &self.token {
                Token::Symbol(symbol) => symbol,
                Token::Name(name) => name.as_str(),
                Token::Int(_)
                | Token::Double(_)
                | Token::Text(_)
                | Token::Quoted(_)
                | Token::End => break,
            };
            let Some((operator, strength)) = Operator::of(word) else { break };
            if strength < strength_min {
                break;
            }
            let column = self.column;
            self.advance()?;
            let right = self.operation(strength + 1)?;
            left = self.add(column, Syntax::Binary { operator, left, right })?;
        }
        Ok(left)
    }

    fn signed(&mut self) -> Parsed {
        let mut signs = Vec::new();
        while self.token.is("!") || self.token.is("-") {
            signs.push((self.column, self.token.is("-")));
            self.advance()?;
        }
        // The sign before a number is the number's own.
        let is_number = matches!(self.token, Token::Int(_) | Token::Double(_));
        let negative = is_number && signs.pop_if(|(_, minus)| *minus).is_some();
        let mut of = self.member(negative)?;
        for (column, minus) in signs.into_iter().rev() {
            of = self.add(column, if minus { Syntax::Negate(of) } else { Syntax::Not(of) })?;
        }
        Ok(of)
    }

    fn member(&mut self, negative: bool) -> Parsed {
        let mut of = self.primary(negative)?;
        loop {
            if self.token.is(".") {
                self.advance()?;
                let column = self.column;
                let field = self.field()?;
                of = if self.token.is("(") {
                    self.method(of, &field, column)?
                } else {
                    self.add(column, Syntax::Select { of, field: field.into() })?
                };
            } else if self.token.is("[") {
                let column = self.column;
                self.advance()?;
                let key = self.nested(Self::expression)?;
                self.expect("]")?;
                of = self.add(column, Syntax::Index { of, key })?;
            } else {
                return Ok(of);
            }
        }
    }

    /// The name behind a dot.
    pub(super) fn field(&mut self) -> Parsed<String> {
        match &mut self.token {
            Token::Name(name) if !KEYWORDS.contains(&name.as_str()) => {
                let name = std::mem::take(name);
                self.advance()?;
                Ok(name)
            }
            Token::Quoted(name) => {
                let name = std::mem::take(name);
                self.advance()?;
                Ok(name)
            }
            Token::Int(_)
            | Token::Double(_)
            | Token::Text(_)
            | Token::Name(_)
            | Token::Symbol(_)
            | Token::End => Err(self.unexpected("a name; other keys are written [\"key\"]")),
        }
    }

    fn primary(&mut self, negative: bool) -> Parsed {
        let column = self.column;
        match std::mem::replace(&mut self.token, Token::End) {
            Token::Int(magnitude) => {
                let int = if negative {
                    0_i64.checked_sub_unsigned(magnitude)
                } else {
                    i64::try_from(magnitude).ok()
                };
                let Some(int) = int else {
                    return Err(ExpressionError::syntax(column, "the number is no int of 64 bits"));
                };
                self.constant(column, Value::Int(int))
            }
            Token::Double(double) => {
                self.constant(column, Value::Double(if negative { -double } else { double }))
            }
            Token::Text(text) => self.constant(column, Value::text(&text)),
            Token::Name(name) => self.named(&name, column),
            Token::Symbol("(") => {
                self.advance()?;
                self.parentheses += 1;
                if self.parentheses > PARENTHESES_MAX {
                    return Err(too_deep(column));
                }
                let inner = self.expression()?;
                self.parentheses -= 1;
                self.expect(")")?;
                Ok(inner)
            }
            Token::Symbol("[") => {
                self.advance()?;
                let items = self.nested(|parser| parser.list("]", Self::expression))?;
                self.add(column, Syntax::List(items))
            }
            Token::Symbol("{") => self.map(column),
            Token::Symbol(".") => {
                self.advance()?;
                let column = self.column;
                let name = self.field()?;
                self.root(&name, column)
            }
            other @ (Token::Symbol(_) | Token::Quoted(_) | Token::End) => {
                self.token = other;
                Err(self.unexpected("a value"))
            }
        }
    }

    fn constant(&mut self, column: usize, value: Value) -> Parsed {
        self.advance()?;
        self.add(column, Syntax::Constant(value))
    }

    /// What begins with a name: a literal, a call, a variable, something that is read.
    fn named(&mut self, name: &str, column: usize) -> Parsed {
        match name {
            "true" | "false" => return self.constant(column, Value::Bool(name == "true")),
            "null" => return self.constant(column, Value::Null),
            "in" => return Err(ExpressionError::syntax(column, "`in` stands between two values")),
            _ if RESERVED.contains(&name) => {
                return Err(ExpressionError::syntax(
                    column,
                    format!("`{name}` is a reserved word, which cannot be a name"),
                ));
            }
            _ => {}
        }
        self.advance()?;
        if self.token.is("(") {
            return self.function(name, column);
        }
        match self.variables.iter().rposition(|variable| variable == name) {
            Some(variable) => self.add(column, Syntax::Variable(variable)),
            None => self.root(name, column),
        }
    }

    fn map(&mut self, column: usize) -> Parsed {
        self.advance()?;
        let entries = self.nested(|parser| {
            parser.list("}", |parser| {
                let key = parser.expression()?;
                parser.expect(":")?;
                Ok((key, parser.expression()?))
            })
        })?;
        for (place, (key, _)) in entries.iter().enumerate() {
            let text = self.literal_key(*key);
            if text.is_some()
                && entries[..place].iter().any(|(other, _)| self.literal_key(*other) == text)
            {
                return Err(ExpressionError::syntax(
                    self.nodes[*key].column,
                    "the map has this key twice",
                ));
            }
        }
        self.add(column, Syntax::Map(entries))
    }

    fn literal_key(&self, key: NodeId) -> Option<Key> {
        let Syntax::Constant(value) = self.kind(key) else { return None };
        Key::of(value)
    }

    /// Elements with commas between them, and maybe one behind them.
    fn list<T>(
        &mut self,
        end: &str,
        mut element: impl FnMut(&mut Self) -> Parsed<T>,
    ) -> Parsed<Vec<T>> {
        let mut elements = Vec::new();
        while !self.token.is(end) {
            elements.push(element(self)?);
            if !self.token.is(",") {
                break;
            }
            self.advance()?;
        }
        self.expect(end)?;
        Ok(elements)
    }

    /// Reads what stands inside brackets.
    pub(super) fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.nesting += 1;
        if self.nesting > NESTING_MAX {
            return Err(too_deep(self.column));
        }
        let inner = read(self)?;
        self.nesting -= 1;
        Ok(inner)
    }

    /// Adds a node.
    pub(super) fn add(&mut self, column: usize, kind: Syntax) -> Parsed {
        self.nodes.push(TreeNode { column, kind });
        if self.nodes.len() + self.joined > NODES_MAX {
            return Err(ExpressionError::new(
                ErrorClass::Budget,
                column,
                format!("an expression has at most {NODES_MAX} values, names, operators and calls"),
            ));
        }
        Ok(self.nodes.len() - 1)
    }

    /// Counts parts of the text that are no nodes of their own.
    pub(super) fn join(&mut self, nodes: usize) {
        self.joined += nodes;
    }

    pub(super) fn kind(&self, id: NodeId) -> &Syntax {
        &self.nodes[id].kind
    }

    pub(super) fn advance(&mut self) -> Parsed<()> {
        (self.token, self.column) = self.lexer.next()?;
        Ok(())
    }

    pub(super) fn expect(&mut self, symbol: &str) -> Parsed<()> {
        if self.token.is(symbol) {
            self.advance()
        } else {
            Err(self.unexpected(&format!("`{symbol}`")))
        }
    }

    pub(super) fn unexpected(&self, expected: &str) -> ExpressionError {
        let found = match &self.token {
            Token::Int(_) | Token::Double(_) => "a number".to_owned(),
            Token::Text(_) => "a string".to_owned(),
            Token::Name(name) => format!("`{}`", name.chars().take(64).collect::<String>()),
            Token::Quoted(_) => "a name in backticks".to_owned(),
            Token::Symbol(symbol) => format!("`{symbol}`"),
            Token::End => "the end".to_owned(),
        };
        ExpressionError::syntax(self.column, format!("found {found}, expected {expected}"))
    }
}

fn too_deep(column: usize) -> ExpressionError {
    ExpressionError::new(
        ErrorClass::Budget,
        column,
        format!(
            "an expression is nested at most {NESTING_MAX} deep in brackets and arguments, {PARENTHESES_MAX} in \
             parentheses"
        ),
    )
}
