//! The values of the language. Texts, lists and maps are shared, so passing one on costs nothing, and each knows its
//! size, so making one of many shared parts is paid for in full.
//! Always holds: the entries of a map are sorted by key, without duplicates; so the same data gives the same answer
//! everywhere. Absent: uint and bytes, which JSON has not.

use std::sync::Arc;

use chrono::{DateTime, Utc};

/// Bytes that a value is counted for beside its content.
pub(super) const VALUE_BYTES: usize = 16;

/// One value. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub enum Value {
    #[default]
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(Arc<str>),
    List(Arc<List>),
    Map(Arc<Map>),
    Timestamp(DateTime<Utc>),
    /// Counted in nanoseconds.
    Duration(i64),
}

/// Values in order.
#[derive(Debug)]
pub struct List {
    items: Vec<Value>,
    bytes: usize,
}

/// Values by key.
#[derive(Debug)]
pub struct Map {
    entries: Vec<(Key, Value)>,
    bytes: usize,
}

/// What a map is looked up by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    Bool(bool),
    Int(i64),
    Text(Arc<str>),
}

impl Value {
    pub(crate) fn text(text: &str) -> Self {
        Self::Text(Arc::from(text))
    }

    pub(crate) fn list(items: Vec<Self>) -> Self {
        let bytes = VALUE_BYTES + items.iter().map(Self::bytes).sum::<usize>();
        Self::List(Arc::new(List { items, bytes }))
    }

    /// A map of these entries; of two with one key the later one counts.
    pub(crate) fn map(mut entries: Vec<(Key, Self)>) -> Self {
        entries.reverse();
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        entries.dedup_by(|later, kept| later.0 == kept.0);
        let bytes = entries.iter().map(|(key, value)| key.bytes() + value.bytes()).sum::<usize>();
        Self::Map(Arc::new(Map { entries, bytes: VALUE_BYTES + bytes }))
    }

    /// What it is counted for: its whole content, shared or not.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Null
            | Self::Bool(_)
            | Self::Int(_)
            | Self::Double(_)
            | Self::Timestamp(_)
            | Self::Duration(_) => VALUE_BYTES,
            Self::Text(text) => VALUE_BYTES + text.len(),
            Self::List(list) => list.bytes,
            Self::Map(map) => map.bytes,
        }
    }

    /// The name of its type.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Double(_) => "double",
            Self::Text(_) => "string",
            Self::List(_) => "list",
            Self::Map(_) => "map",
            Self::Timestamp(_) => "timestamp",
            Self::Duration(_) => "duration",
        }
    }
}

impl List {
    /// The items in order.
    pub fn items(&self) -> &[Value] {
        &self.items
    }
}

impl Map {
    /// The entries, sorted by key.
    pub fn entries(&self) -> &[(Key, Value)] {
        &self.entries
    }

    /// The value under a text.
    pub fn field(&self, name: &str) -> Option<&Value> {
        let place = self.entries.binary_search_by(|(key, _)| match key {
            Key::Bool(_) | Key::Int(_) => std::cmp::Ordering::Less,
            Key::Text(text) => (**text).cmp(name),
        });
        place.ok().map(|place| &self.entries[place].1)
    }

    /// The value under a key.
    pub fn get(&self, key: &Key) -> Option<&Value> {
        let place = self.entries.binary_search_by(|(held, _)| held.cmp(key));
        place.ok().map(|place| &self.entries[place].1)
    }
}

impl Key {
    /// The value as a key: a double that is a whole number is one as its int is, as they are equal.
    pub(super) fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Bool(value) => Some(Self::Bool(*value)),
            Value::Int(value) => Some(Self::Int(*value)),
            Value::Text(text) => Some(Self::Text(Arc::clone(text))),
            Value::Double(value) => super::numbers::whole(*value).map(Self::Int),
            Value::Null
            | Value::List(_)
            | Value::Map(_)
            | Value::Timestamp(_)
            | Value::Duration(_) => None,
        }
    }

    pub(super) fn value(&self) -> Value {
        match self {
            Self::Bool(value) => Value::Bool(*value),
            Self::Int(value) => Value::Int(*value),
            Self::Text(text) => Value::Text(Arc::clone(text)),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Bool(_) | Self::Int(_) => VALUE_BYTES,
            Self::Text(text) => VALUE_BYTES + text.len(),
        }
    }
}
