//! Calls: functions, methods and the macros that bind a variable. How many arguments each takes, and which functions there
//! are, is known before an expression runs, and so is whether a pattern that stands in it can be read.

use super::budget::COMPREHENSIONS_MAX;
use super::error::{ErrorClass, ExpressionError};
use super::functions::{FUNCTIONS, Function, Signature};
use super::lexer::Token;
use super::parser::{Parsed, Parser};
use super::patterns;
use super::tree::{Comprehension, Form, NodeId, Syntax};
use super::value::Value;

/// The macros, for the list of what there is.
const MACROS: [&str; 6] = ["has", "all", "exists", "exists_one", "filter", "map"];

impl Parser<'_> {
    /// Reads `name(...)` from its bracket on.
    pub(super) fn function(&mut self, name: &str, column: usize) -> Parsed {
        if name == "has" {
            return self.has(column);
        }
        let Some(signature) = FUNCTIONS.iter().find(|own| own.name == name && own.is_function)
        else {
            return Err(Self::unknown_function(name, column));
        };
        let arguments = self.arguments()?;
        self.call(signature, arguments, 0, column)
    }

    /// Reads `of.name(...)` from its bracket on.
    pub(super) fn method(&mut self, of: NodeId, name: &str, column: usize) -> Parsed {
        if let Some(form) = Form::of(name) {
            return self.comprehension(of, form, column);
        }
        let Some(signature) = FUNCTIONS.iter().find(|own| own.name == name && own.is_method) else {
            return Err(Self::unknown_function(name, column));
        };
        let mut arguments = vec![of];
        arguments.extend(self.arguments()?);
        self.call(signature, arguments, 1, column)
    }

    fn call(
        &mut self,
        signature: &Signature,
        arguments: Vec<NodeId>,
        of: usize,
        column: usize,
    ) -> Parsed {
        if !signature.arguments.contains(&arguments.len()) {
            return Err(ExpressionError::syntax(
                column,
                format!(
                    "`{}` is written {}; here it has {} arguments",
                    signature.name,
                    signature.form,
                    arguments.len() - of
                ),
            ));
        }
        let function = signature.function;
        if function == Function::Matches
            && let Syntax::Constant(Value::Text(pattern)) = self.kind(arguments[1])
            && let Err(mistake) = patterns::compile(pattern)
        {
            // It stands in the text; what is too large stays so.
            let class =
                if mistake.class == ErrorClass::Type { ErrorClass::Syntax } else { mistake.class };
            return Err(ExpressionError::new(class, column, mistake.message));
        }
        self.add(column, Syntax::Call { function, arguments })
    }

    fn unknown_function(name: &str, column: usize) -> ExpressionError {
        let known = FUNCTIONS.iter().map(|own| own.name).chain(MACROS).map(str::to_owned).collect();
        let mut error = ExpressionError::unknown_name(column, "function", name, known);
        // Both are known, only not so.
        if let Some(own) = FUNCTIONS.iter().find(|own| own.name == name) {
            error.message = format!("`{name}` is written {}", own.form);
        } else if MACROS.contains(&name) {
            error.message = format!("`{name}` is written x.{name}(v, ...), and has(x.y)");
        }
        error
    }

    fn arguments(&mut self) -> Parsed<Vec<NodeId>> {
        self.expect("(")?;
        self.nested(|parser| {
            let mut arguments = Vec::new();
            if !parser.token.is(")") {
                arguments.push(parser.expression()?);
                while parser.token.is(",") {
                    parser.advance()?;
                    arguments.push(parser.expression()?);
                }
            }
            parser.expect(")")?;
            Ok(arguments)
        })
    }

    fn has(&mut self, column: usize) -> Parsed {
        let arguments = self.arguments()?;
        let kind = match arguments.as_slice() {
            [one] => match self.kind(*one) {
                Syntax::Select { of, field } => Some(Syntax::Has { of: *of, field: field.clone() }),
                Syntax::Read(place) => Some(Syntax::IsThere(*place)),
                Syntax::Constant(_)
                | Syntax::IsThere(_)
                | Syntax::Variable(_)
                | Syntax::Has { .. }
                | Syntax::Index { .. }
                | Syntax::Not(_)
                | Syntax::Negate(_)
                | Syntax::Binary { .. }
                | Syntax::Conditional { .. }
                | Syntax::List(_)
                | Syntax::Map(_)
                | Syntax::Call { .. }
                | Syntax::Comprehension(_) => None,
            },
            _ => None,
        };
        let kind = kind.ok_or_else(|| {
            ExpressionError::syntax(
                column,
                "`has` is written has(x.name); whether x has another key is written \"key\" in x",
            )
        })?;
        self.add(column, kind)
    }

    fn comprehension(&mut self, over: NodeId, form: Form, column: usize) -> Parsed {
        if self.variables.len() == COMPREHENSIONS_MAX {
            return Err(ExpressionError::new(
                ErrorClass::Budget,
                column,
                format!(
                    "all, exists, exists_one, filter and map stand at most {COMPREHENSIONS_MAX} deep in one another"
                ),
            ));
        }
        self.expect("(")?;
        let name_column = self.column;
        let name = match &self.token {
            Token::Name(_) => self.field()?,
            Token::Int(_)
            | Token::Double(_)
            | Token::Text(_)
            | Token::Quoted(_)
            | Token::Symbol(_)
            | Token::End => String::new(),
        };
        if name.is_empty() || !self.token.is(",") {
            return Err(ExpressionError::syntax(
                name_column,
                "first stands the name of the variable, as in list.all(x, x > 0)",
            ));
        }
        self.variables.push(name);
        let body = self.nested(|parser| {
            parser.advance()?;
            let first = parser.expression()?;
            if form != Form::Map || !parser.token.is(",") {
                return Ok((first, None));
            }
            parser.advance()?;
            Ok((first, Some(parser.expression()?)))
        })?;
        self.variables.pop();
        self.expect(")")?;
        let (condition, result) = match body {
            (first, None) if form == Form::Map => (None, Some(first)),
            (first, second) => (Some(first), second),
        };
        let variable = self.variables.len();
        let comprehension = Comprehension { form, over, variable, condition, result };
        self.add(column, Syntax::Comprehension(comprehension))
    }
}
