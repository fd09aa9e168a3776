//! Keys: dotted paths, their flattening out of TOML, and the nearest known one to a mistyped one.
//! The known keys and their types are those of the defaults; `services.NAME.*` mirrors `services.default.*`.

use std::collections::BTreeMap;

use toml::{Table, Value};

/// Services that may have settings of their own. A service not listed here gets `services.default`.
pub(super) const SERVICE_NAMES: &[&str] =
    &["driver", "housekeeping", "job_scheduler", "retry_manager", "view_writer"];

/// Keys whose values are secret: masked when shown, and possible as `<key>_file`.
pub(super) const SECRET_KEYS: &[&str] = &["cluster.secret", "storage.uri"];

/// The defaults, compiled in.
const DEFAULTS: &str = include_str!("../../config/default.toml");

/// A value as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Raw {
    Bool(bool),
    Int(i64),
    Text(String),
    /// A list, a float, a date: no key of ours takes one.
    Other,
}

impl Raw {
    /// What a value of this type is called in an error.
    pub(super) fn expected(&self) -> &'static str {
        match self {
            Self::Bool(_) => "true or false",
            Self::Int(_) => "a whole number",
            Self::Text(_) => "text",
            Self::Other => "a single value",
        }
    }

    /// The text of the environment or a flag, read as a value of the same type as this one.
    pub(super) fn parse_like(&self, text: &str) -> Option<Self> {
        match self {
            Self::Bool(_) => text.trim().parse().ok().map(Self::Bool),
            Self::Int(_) => text.trim().replace('_', "").parse().ok().map(Self::Int),
            Self::Text(_) => Some(Self::Text(text.to_owned())),
            Self::Other => None,
        }
    }

    pub(super) fn same_type(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

/// Dotted key to value.
pub(super) type Flat = BTreeMap<String, Raw>;

/// The defaults, flattened.
pub(super) fn defaults() -> Result<Flat, String> {
    flatten(DEFAULTS)
}

/// Reads TOML into dotted keys; the error says where and why not.
pub(super) fn flatten(toml: &str) -> Result<Flat, String> {
    let tables: Table = toml.parse().map_err(|error: ::toml::de::Error| error.to_string())?;
    let mut flat = Flat::new();
    // Tables within tables, without recursion: a file of a million brackets must not end the stack.
    let mut open: Vec<(String, Value)> = tables.into_iter().collect();
    while let Some((key, value)) = open.pop() {
        let raw = match value {
            Value::Table(table) => {
                open.extend(
                    table.into_iter().map(|(name, value)| (format!("{key}.{name}"), value)),
                );
                continue;
            }
            Value::Boolean(value) => Raw::Bool(value),
            Value::Integer(value) => Raw::Int(value),
            Value::String(value) => Raw::Text(value),
            Value::Array(_) | Value::Float(_) | Value::Datetime(_) => Raw::Other,
        };
        flat.insert(key, raw);
    }
    Ok(flat)
}

/// The default's key that says which type `key` has: itself, or its twin under `services.default`.
pub(super) fn template(key: &str) -> Option<String> {
    let Some(rest) = key.strip_prefix("services.") else {
        return Some(key.to_owned());
    };
    let (name, setting) = rest.split_once('.')?;
    (name == "default" || SERVICE_NAMES.contains(&name))
        .then(|| format!("services.default.{setting}"))
}

/// The known key closest to `key` by edits; ties go to the first in alphabetical order.
pub(super) fn nearest(key: &str, defaults: &Flat) -> String {
    let mut known: Vec<String> = defaults.keys().cloned().collect();
    for name in SERVICE_NAMES {
        let duplicates = defaults.keys().filter_map(|key| key.strip_prefix("services.default."));
        known.extend(duplicates.map(|setting| format!("services.{name}.{setting}")));
    }
    known.sort_unstable();
    known.into_iter().min_by_key(|candidate| edits(key, candidate)).unwrap_or_default()
}

/// Edits (insert, delete, replace a character) that turn `a` into `b`.
fn edits(a: &str, b: &str) -> usize {
    // A key longer than this is no typing error, and the work is the product of the lengths.
    let a: Vec<char> = a.chars().take(200).collect();
    let mut row: Vec<usize> = (0..=a.len()).collect();
    for (above, right) in b.chars().enumerate() {
        let mut diagonal = above;
        let mut left = above + 1;
        for (cell, down) in row.iter_mut().zip(std::iter::once(None).chain(a.iter().map(Some))) {
            let Some(down) = down else {
                diagonal = std::mem::replace(cell, left);
                continue;
            };
            let replaced = diagonal + usize::from(*down != right);
            let best = replaced.min(left + 1).min(*cell + 1);
            diagonal = std::mem::replace(cell, best);
            left = best;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted_as_levenshtein_does() {
        for (a, b, n) in [
            ("", "", 0),
            ("abc", "", 3),
            ("", "abc", 3),
            ("kitten", "sitting", 3),
            ("flaw", "lawn", 2),
        ] {
            assert_eq!(edits(a, b), n, "{a} to {b}");
        }
    }

    #[test]
    fn a_mistyped_key_finds_the_one_that_was_meant() -> Result<(), String> {
        let defaults = defaults()?;
        for (typed, meant) in [
            ("server.listn", "server.listen"),
            ("engine.cancel_grace", "engine.cancel_grace_ms"),
            ("services.job_sheduler.heartbeat_ms", "services.job_scheduler.heartbeat_ms"),
            ("log.levl", "log.level"),
        ] {
            assert_eq!(nearest(typed, &defaults), meant);
        }
        Ok(())
    }
}
