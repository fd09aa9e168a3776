//! The names of an expression: what they read is found while it is parsed. A node's key is a word behind `nodes.` or a
//! text in brackets; a key that is computed is refused, because nobody could say what it reads.

use super::error::{ErrorClass, ExpressionError};
use super::lexer::Token;
use super::parser::{Parsed, Parser};
use super::reference::{JobPart, NodePart, ROOTS, Reference};
use super::tree::Syntax;

impl Parser<'_> {
    /// What begins with this name, which is no variable's.
    pub(super) fn root(&mut self, name: &str, column: usize) -> Parsed {
        match name {
            "item" => self.reading(column, Reference::Item),
            "index" => self.reading(column, Reference::Index),
            "error" => self.reading(column, Reference::Error),
            "attempt" => self.reading(column, Reference::Attempt),
            "job" => {
                let words = JobPart::ALL.map(JobPart::as_str);
                let (word, at) = self.part("job", &words)?;
                let part = JobPart::ALL.into_iter().find(|part| part.as_str() == word);
                let part = part.ok_or_else(|| unknown(at, "part of a job", &word, &words))?;
                self.join(1);
                self.reading(column, Reference::Job(part))
            }
            "nodes" => {
                let Some((key, _)) = self.key()? else {
                    return Err(incomplete(
                        column,
                        "`nodes` goes on with a node's key: nodes.fetch.output, or nodes[\"a-b\"].output",
                    ));
                };
                let words = NodePart::ALL.map(NodePart::as_str);
                let (word, at) = self.part("a node", &words)?;
                let part = NodePart::ALL.into_iter().find(|part| part.as_str() == word);
                let part = part.ok_or_else(|| unknown(at, "part of a node", &word, &words))?;
                self.join(2);
                self.reading(column, Reference::Node { key, part })
            }
            _ => {
                let mut known: Vec<String> = ROOTS.map(str::to_owned).to_vec();
                known.extend(self.variables.iter().cloned());
                Err(ExpressionError::unknown_name(column, "name", name, known))
            }
        }
    }

    fn reading(&mut self, column: usize, reference: Reference) -> Parsed {
        let known = self.references.iter().position(|(own, _)| *own == reference);
        let place = known.unwrap_or_else(|| {
            self.references.push((reference, column));
            self.references.len() - 1
        });
        self.add(column, Syntax::Read(place))
    }

    fn part(&mut self, of: &str, words: &[&str]) -> Parsed<(String, usize)> {
        let column = self.column;
        match self.key()? {
            Some(part) => Ok(part),
            None => Err(ExpressionError {
                allowed: words.iter().map(|word| (*word).to_owned()).collect(),
                ..incomplete(
                    column,
                    &format!(
                        "{of} is read by its parts: .{}; a key that is no plain name stands in brackets, as in \
                         nodes[\"a-b\"].output",
                        words.join(", .")
                    ),
                )
            }),
        }
    }

    /// `.name` or `["text"]`, and its column.
    fn key(&mut self) -> Parsed<Option<(String, usize)>> {
        if self.token.is(".") {
            self.advance()?;
            let column = self.column;
            return Ok(Some((self.field()?, column)));
        }
        if !self.token.is("[") {
            return Ok(None);
        }
        self.advance()?;
        let column = self.column;
        let Token::Text(text) = &mut self.token else {
            return Err(incomplete(
                column,
                "what is read must be known before it runs: write the key as a string",
            ));
        };
        let text = std::mem::take(text);
        self.advance()?;
        self.expect("]")?;
        Ok(Some((text, column)))
    }
}

fn unknown(column: usize, what: &str, word: &str, words: &[&str]) -> ExpressionError {
    let allowed = words.iter().map(|word| (*word).to_owned()).collect();
    ExpressionError::unknown_name(column, what, word, allowed)
}

fn incomplete(column: usize, message: &str) -> ExpressionError {
    ExpressionError::new(ErrorClass::UnknownName, column, message.to_owned())
}
