//! Patterns of `matches`: RE2's language, matched in time linear in the text, each within a bound of size.
//! Always holds: what a pattern costs is paid in steps before it runs, more a byte the larger the pattern is.
//! Absent: what RE2 has not either (references back, looking around).

use regex::{Regex, RegexBuilder};

use super::budget::Budget;
use super::error::{ErrorClass, Mistake};

/// How large a compiled pattern may be, and how many steps 16 bytes of text then take: the first size that it fits counts.
/// A larger one keeps more states in view for every byte.
const SIZES: [(usize, usize); 4] =
    [(2 * 1_024, 1), (8 * 1_024, 4), (32 * 1_024, 16), (64 * 1_024, 32)];
const BYTES: usize = 16;
/// Memory for the states that are met while a text is read; beyond it they are forgotten and made again.
const STATES_BYTES_MAX: usize = 64 * 1_024;
/// A pattern from data is bounded as one that stands in the expression is.
const PATTERN_BYTES_MAX: usize = 1_024;
/// Groups in groups.
const GROUPS_NESTED_MAX: u32 = 50;
/// Steps of compiling a pattern.
const COMPILE_STEPS: usize = 500;

/// A pattern ready to run.
#[derive(Debug)]
pub(super) struct Pattern {
    regex: Regex,
    /// What `BYTES` of text cost.
    steps: usize,
}

/// The patterns of one evaluation: one in a comprehension is compiled once.
#[derive(Debug, Default)]
pub(super) struct Patterns {
    compiled: Vec<(Box<str>, Pattern)>,
}

impl Patterns {
    /// Whether the pattern is found anywhere in the text.
    pub(super) fn matches(
        &mut self,
        text: &str,
        pattern: &str,
        budget: &mut Budget,
    ) -> Result<bool, Mistake> {
        let known = self.compiled.iter().position(|(own, _)| **own == *pattern);
        let place = if let Some(place) = known {
            place
        } else {
            budget.step(COMPILE_STEPS)?;
            self.compiled.push((pattern.into(), compile(pattern)?));
            self.compiled.len() - 1
        };
        let Pattern { regex, steps } = &self.compiled[place].1;
        budget.step(text.len() * steps / BYTES)?;
        Ok(regex.is_match(text))
    }
}

/// The pattern, if it can be read and is small enough.
pub(super) fn compile(pattern: &str) -> Result<Pattern, Mistake> {
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(Mistake::new(
            ErrorClass::Budget,
            format!("a pattern has at most {PATTERN_BYTES_MAX} bytes"),
        ));
    }
    let translated = translated(pattern);
    for (size, steps) in SIZES {
        let built = RegexBuilder::new(&translated)
            .size_limit(size)
            .dfa_size_limit(STATES_BYTES_MAX)
            .nest_limit(GROUPS_NESTED_MAX)
            .build();
        match built {
            Ok(regex) => return Ok(Pattern { regex, steps }),
            Err(regex::Error::CompiledTooBig(_)) => {}
            Err(_) => {
                return Err(Mistake::of_type(
                    "matches takes a pattern of RE2; this string is none",
                ));
            }
        }
    }
    Err(Mistake::new(
        ErrorClass::Budget,
        "the pattern is too large; repeat less of it, or fewer times",
    ))
}

/// The same pattern in the words of our library: RE2's `\d`, `\s`, `\w` and `\b` know ASCII only, its classes know no
/// operators, and `\Q...\E` is text.
fn translated(pattern: &str) -> String {
    let mut written = String::with_capacity(pattern.len() * 2);
    let mut rest = pattern;
    let mut in_class = false;
    while let Some(c) = rest.chars().next() {
        let behind = &rest[c.len_utf8()..];
        let used = match c {
            '\\' if !in_class && behind.starts_with('Q') => {
                let text = &behind[1..];
                let end = text.find("\\E").unwrap_or(text.len());
                written.push_str(&regex::escape(&text[..end]));
                1 + 1 + (end + 2).min(text.len())
            }
            '\\' => 1 + escape(behind, in_class, &mut written),
            '[' if !in_class => {
                in_class = true;
                // A bracket right behind the beginning is one of the class.
                let negated = behind.starts_with('^');
                let bracket = behind[usize::from(negated)..].starts_with(']');
                written.push_str(if negated { "[^" } else { "[" });
                written.push_str(if bracket { "\\]" } else { "" });
                1 + usize::from(negated) + usize::from(bracket)
            }
            '[' => {
                // The name of a class, or a bracket that is one of the class.
                let name = behind.strip_prefix(':').and_then(|name| name.find(":]"));
                let length = name.map_or(1, |end| end + 4);
                written.push_str(if length == 1 { "\\" } else { "" });
                written.push_str(&rest[..length]);
                length
            }
            '&' | '~' if in_class => {
                written.extend(['\\', c]);
                1
            }
            _ => {
                in_class &= c != ']';
                written.push(c);
                c.len_utf8()
            }
        };
        rest = &rest[used..];
    }
    written
}

/// Writes what stands behind a backslash; how much that was.
fn escape(behind: &str, in_class: bool, written: &mut String) -> usize {
    let Some(c) = behind.chars().next() else {
        written.push('\\');
        return 0;
    };
    match c {
        'd' => written.push_str("[0-9]"),
        'D' => written.push_str("[^0-9]"),
        'w' => written.push_str("[0-9A-Za-z_]"),
        'W' => written.push_str("[^0-9A-Za-z_]"),
        's' => written.push_str("[\\t\\n\\x0C\\r ]"),
        'S' => written.push_str("[^\\t\\n\\x0C\\r ]"),
        'b' if !in_class => written.push_str("(?-u:\\b)"),
        'B' if !in_class => written.push_str("(?-u:\\B)"),
        '<' | '>' => written.push(c),
        _ => written.extend(['\\', c]),
    }
    c.len_utf8()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(text: &str, pattern: &str) -> Result<bool, Mistake> {
        Patterns::default().matches(text, pattern, &mut Budget::default())
    }

    #[test]
    fn patterns_mean_what_they_mean_in_re2() {
        for (text, pattern, expected) in [
            ("hubba", "ubb", true),
            ("", "^$", true),
            ("x\ny", "x$", false),
            ("x\ny", "(?m)x$", true),
            ("٣", "^\\d$", false),
            ("ä", "^\\w$", false),
            ("ä", "^\\W$", true),
            ("\u{a0}", "\\s", false),
            ("_9", "^[\\w]+$", true),
            ("-", "^[^\\d]$", true),
            ("a[&&]b", "^[a-b[&\\]]+$", true),
            ("]", "^[]]$", true),
            ("a.b", "\\Qa.b\\E$", true),
            ("axb", "^\\Qa.b", false),
            ("Ä", "(?i)ä", true),
            ("λ", "^\\p{Greek}$", true),
            ("k", "^[[:alpha:]]$", true),
            ("a b", "a\\b", true),
            ("<", "\\<", true),
        ] {
            assert_eq!(matches(text, pattern), Ok(expected), "{text:?} and {pattern:?}");
        }
    }

    #[test]
    fn what_is_no_pattern_or_too_large_is_an_error() {
        let class = |pattern: &str| matches("a", pattern).map_err(|mistake| mistake.class);
        for pattern in ["(", "a(?=b)", "(a)\\1", "[", "\\"] {
            assert_eq!(class(pattern), Err(ErrorClass::Type), "{pattern}");
        }
        for pattern in ["(((a{100}){100}){100}){100}", "\\pL{1000}"] {
            assert_eq!(class(pattern), Err(ErrorClass::Budget), "{pattern}");
        }
        assert_eq!(class(&"a".repeat(PATTERN_BYTES_MAX + 1)), Err(ErrorClass::Budget));
        assert_eq!(class(&"(".repeat(500)), Err(ErrorClass::Type));
    }
}
