//! Text into tokens, one at a time, each with its column. It is the lexer that knows where an expression inside a text
//! ends: at the first `}}` that is in no string and closes no map.
//! Always holds: a token is read in time linear in its length. Absent: uint and bytes literals, which are refused by name.

use super::budget::SOURCE_BYTES_MAX;
use super::error::{ErrorClass, ExpressionError};
use super::literals;

/// A word, literal or sign.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// Without its sign, so that the smallest int can be written.
    Int(u64),
    Double(f64),
    Text(String),
    /// An identifier, a keyword or a reserved word.
    Name(String),
    /// A name in backticks, which may have dashes, dots, slashes and spaces.
    Quoted(String),
    Symbol(&'static str),
    End,
}

impl Token {
    pub(super) fn is(&self, symbol: &str) -> bool {
        matches!(self, Self::Symbol(own) if *own == symbol)
    }
}

/// Longest first, so that `<=` is not read as `<`.
const SYMBOLS: [&str; 24] = [
    "&&", "||", "==", "!=", "<=", ">=", "<", ">", "(", ")", "[", "]", "{", "}", ".", ",", ":", "?",
    "!", "-", "+", "*", "/", "%",
];

/// Reads the tokens of one expression.
#[derive(Debug)]
pub(super) struct Lexer<'s> {
    source: &'s str,
    start: usize,
    at: usize,
    /// Where the column was last counted.
    counted: (usize, usize),
    /// Whether it stands in a text and ends at `}}`.
    embedded: bool,
    open_braces: usize,
}

impl<'s> Lexer<'s> {
    /// Of a text that is one expression.
    pub(super) fn whole(source: &'s str) -> Self {
        Self { source, start: 0, at: 0, counted: (0, 1), embedded: false, open_braces: 0 }
    }

    /// Of the expression that begins behind a `${{`, at this place and column.
    pub(super) fn embedded(source: &'s str, start: usize, column: usize) -> Self {
        Self { source, start, at: start, counted: (start, column), embedded: true, open_braces: 0 }
    }

    /// Where the text goes on behind the expression.
    pub(super) fn end(&self) -> usize {
        self.at
    }

    /// The next token and its column.
    pub(super) fn next(&mut self) -> Result<(Token, usize), ExpressionError> {
        self.skip_blanks();
        let column = self.column();
        if self.at - self.start > SOURCE_BYTES_MAX {
            return Err(too_long(column));
        }
        let rest = self.rest();
        let Some(first) = rest.chars().next() else {
            if self.embedded {
                return Err(ExpressionError::syntax(
                    column,
                    "the expression has no end: `}}` is missing",
                ));
            }
            return Ok((Token::End, column));
        };
        if self.embedded && self.open_braces == 0 && rest.starts_with("}}") {
            self.at += 2;
            return Ok((Token::End, column));
        }
        let token = match first {
            '0'..='9' => self.number(column)?,
            '.' if rest[1..].starts_with(|c: char| c.is_ascii_digit()) => self.number(column)?,
            '"' | '\'' => self.text(0, column)?,
            '`' => self.quoted(column)?,
            '_' | 'a'..='z' | 'A'..='Z' => self.word(column)?,
            _ => self.symbol(first, column)?,
        };
        Ok((token, column))
    }

    fn rest(&self) -> &'s str {
        &self.source[self.at..]
    }

    fn column(&mut self) -> usize {
        let (at, column) = self.counted;
        self.counted = (self.at, column + self.source[at..self.at].chars().count());
        self.counted.1
    }

    fn skip_blanks(&mut self) {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start_matches([' ', '\t', '\n', '\r', '\x0C']);
            self.at += rest.len() - trimmed.len();
            if !trimmed.starts_with("//") {
                return;
            }
            self.at += trimmed.find('\n').unwrap_or(trimmed.len());
        }
    }

    fn symbol(&mut self, first: char, column: usize) -> Result<Token, ExpressionError> {
        let rest = self.rest();
        let Some(symbol) = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) else {
            let hint = match first {
                '=' => "; equality is written ==",
                '&' | '|' => "; and is written &&, or is written ||",
                '$' => "; ${{ stands around an expression, not within it",
                _ => "",
            };
            return Err(ExpressionError::syntax(
                column,
                format!("the character {first:?} means nothing here{hint}"),
            ));
        };
        self.at += symbol.len();
        match *symbol {
            "{" => self.open_braces += 1,
            "}" => self.open_braces = self.open_braces.saturating_sub(1),
            _ => {}
        }
        Ok(Token::Symbol(symbol))
    }

    /// A name, or a string that begins with letters.
    fn word(&mut self, column: usize) -> Result<Token, ExpressionError> {
        let rest = self.rest();
        let length =
            rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let word = &rest[..length];
        if rest[length..].starts_with(['"', '\'']) {
            match word {
                "r" | "R" => return self.text(1, column),
                "b" | "B" | "br" | "bR" | "Br" | "BR" | "rb" | "rB" | "Rb" | "RB" => {
                    return Err(ExpressionError::syntax(
                        column,
                        "bytes are no part of the language; write a string, without the b",
                    ));
                }
                _ => {}
            }
        }
        self.at += length;
        Ok(Token::Name(word.to_owned()))
    }

    fn quoted(&mut self, column: usize) -> Result<Token, ExpressionError> {
        let inside = &self.rest()[1..];
        let is_part =
            |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '/' | ' ');
        let length = inside.find(|c: char| !is_part(c)).unwrap_or(inside.len());
        if length == 0 || !inside[length..].starts_with('`') {
            return Err(ExpressionError::syntax(
                column,
                "a name in backticks has letters, digits, _ . - / and spaces, and ends with a backtick",
            ));
        }
        self.at += length + 2;
        Ok(Token::Quoted(inside[..length].to_owned()))
    }

    fn number(&mut self, column: usize) -> Result<Token, ExpressionError> {
        let (token, length) = literals::number(self.rest())
            .map_err(|message| ExpressionError::syntax(column, message))?;
        self.at += length;
        Ok(token)
    }

    /// A string whose prefix has this length: 0, or 1 for a raw one.
    fn text(&mut self, prefix: usize, column: usize) -> Result<Token, ExpressionError> {
        let rest = &self.rest()[prefix..];
        let triple = rest.starts_with("\"\"\"") || rest.starts_with("'''");
        let quote = &rest[..if triple { 3 } else { 1 }];
        let inside = &rest[quote.len()..];
        let raw = prefix > 0;
        let Some(length) = literals::end_of_text(inside, quote, raw) else {
            return Err(ExpressionError::syntax(
                column,
                format!("the string has no end: {quote} is missing"),
            ));
        };
        if length > SOURCE_BYTES_MAX {
            return Err(too_long(column));
        }
        let content = &inside[..length];
        if !triple && let Some(place) = content.find(['\n', '\r']) {
            let before = content[..place].chars().count();
            return Err(ExpressionError::syntax(
                column + prefix + 1 + before,
                "a string in single quotes stays on its line; write \\n, or three quotes around it",
            ));
        }
        let text = if raw {
            content.to_owned()
        } else {
            literals::unescaped(content).map_err(|(place, message)| {
                let before = content[..place].chars().count();
                ExpressionError::syntax(column + quote.len() + before, message)
            })?
        };
        self.at += prefix + quote.len() * 2 + length;
        Ok(Token::Text(text))
    }
}

/// Longer than an expression may be.
pub(super) fn too_long(column: usize) -> ExpressionError {
    ExpressionError::new(
        ErrorClass::Budget,
        column,
        format!("an expression has at most {SOURCE_BYTES_MAX} bytes"),
    )
}
