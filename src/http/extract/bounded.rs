//! Lists and maps of a body that stop being read at their bound: what is longer is refused with its place and the number
//! that is allowed, before anything is made of the rest. A body of 8 MiB can name 700,000 nodes in 11 bytes each, and a
//! node as it is read takes half a kilobyte.
//!
//! Always holds: what a body costs while it is read has a bound that does not depend on how it is written. Bounds that an
//! operator may change, and what counts over a whole body (edges, values of metadata), are told to the thread that reads it
//! (`within`), because a deserializer has no other way to know them. Absent: bounds of single values, which are no lists.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use domain::bounds::Bounds;
use domain::node::spec::GROUP_DEPTH_MAX;
use serde::de::{DeserializeOwned, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::pointer;

/// Values (numbers, texts, keys, lists) of one metadata or list of artifacts: a value takes up to 90 bytes in memory and as
/// little as two in a body.
const VALUES_MAX: usize = 2_000;
/// The same over a whole body: 30 for each of 20,000 nodes.
const BODY_VALUES_MAX: usize = 600_000;
/// What the messages here begin with, from which they are known as such.
pub(in crate::http) const TOO_MANY: &str = "must have at most ";
/// The same of what stands too far inside.
pub(in crate::http) const TOO_DEEP: &str = "is nested deeper than ";

/// Before the place inside a value, where the error is met in its text: the way to the value is told by whoever reads the
/// body, and what follows the line break is what is wrong there.
pub(super) const BELOW: &str = "below ";
/// What serde calls bad syntax in a text that was read once already: a number that is none.
const NO_VALUE: &str = "invalid type: a number, expected a number in range";

/// What may still come of a body.
#[derive(Debug, Clone, Copy)]
struct RemainingBody {
    nodes_max: usize,
    nodes: usize,
    /// Groups around what is read now.
    groups: usize,
    fan_max: usize,
    payload_bytes_max: usize,
    edges_max: usize,
    edges: usize,
    /// Nodes that branches name: as many as there may be edges, because each depends on its condition.
    named: usize,
    values: usize,
}

thread_local! {
    static LEFT: Cell<Option<RemainingBody>> = const { Cell::new(None) };
}

/// Reads a body (`read`, on this thread alone and at once) within these bounds. What is read outside of it has none.
pub fn within<T>(bounds: &Bounds, read: impl FnOnce() -> T) -> T {
    /// Whatever was there is there again, also when reading panics.
    struct Before(Option<RemainingBody>);
    impl Drop for Before {
        fn drop(&mut self) {
            LEFT.set(self.0);
        }
    }
    let left = RemainingBody {
        nodes_max: bounds.nodes_max,
        nodes: bounds.nodes_max,
        groups: 0,
        fan_max: bounds.fan_max,
        payload_bytes_max: bounds.payload_bytes_max,
        edges_max: bounds.edges_max,
        edges: bounds.edges_max,
        named: bounds.edges_max,
        values: BODY_VALUES_MAX,
    };
    let _before = Before(LEFT.replace(Some(left)));
    read()
}

fn left() -> RemainingBody {
    // Of what is read without being told the bounds nothing is passed over: whoever takes it refuses it.
    let unbounded = || RemainingBody {
        nodes_max: usize::MAX,
        nodes: usize::MAX,
        groups: 0,
        fan_max: usize::MAX,
        payload_bytes_max: usize::MAX,
        edges_max: usize::MAX,
        edges: usize::MAX,
        named: usize::MAX,
        values: usize::MAX,
    };
    LEFT.get().unwrap_or_else(unbounded)
}

/// Nodes of one job, members included.
pub fn nodes_max() -> usize {
    left().nodes_max
}

/// Whether the body may have one more node.
pub fn is_room_for_a_node() -> bool {
    left().nodes > 0
}

/// Takes the place of one node; whether there was one.
pub fn take_node() -> bool {
    take(1, |left| &mut left.nodes)
}

/// Reads the members of a group; none when too many groups stand around it.
pub fn one_deeper<T>(read: impl FnOnce() -> T) -> Option<T> {
    let Some(mut now) = LEFT.get() else { return Some(read()) };
    if now.groups == GROUP_DEPTH_MAX {
        return None;
    }
    now.groups += 1;
    LEFT.set(Some(now));
    let read = read();
    // What it took of the body stays taken.
    if let Some(mut now) = LEFT.get() {
        now.groups -= 1;
        LEFT.set(Some(now));
    }
    Some(read)
}

/// Bytes of one input or output: what is larger is refused, and not looked into.
pub fn payload_bytes_max() -> usize {
    left().payload_bytes_max
}

/// A list of at most `MAX` items.
pub fn list<'de, const MAX: usize, T, D>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    deserializer.deserialize_seq(Items { max: MAX, of: PhantomData })
}

/// The same, where there may be none.
pub fn given_list<'de, const MAX: usize, T, D>(deserializer: D) -> Result<Option<Vec<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Ok(Option::<List<MAX, T>>::deserialize(deserializer)?.map(|list| list.0))
}

struct List<const MAX: usize, T>(Vec<T>);

impl<'de, const MAX: usize, T: Deserialize<'de>> Deserialize<'de> for List<MAX, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        list::<MAX, T, D>(deserializer).map(Self)
    }
}

struct Items<T> {
    max: usize,
    of: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Items<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sequence")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
        let mut read = Vec::new();
        while read.len() < self.max {
            match items.next_element()? {
                Some(item) => read.push(item),
                None => return Ok(read),
            }
        }
        at_end::<A>(&mut items, || format!("{TOO_MANY}{} items", self.max))?;
        Ok(read)
    }
}

/// The list ends here, or it has too many items: one more is looked at and nothing is made of it.
pub fn at_end<'de, A: SeqAccess<'de>>(
    items: &mut A,
    too_many: impl FnOnce() -> String,
) -> Result<(), A::Error> {
    match items.next_element::<IgnoredAny>()? {
        None => Ok(()),
        Some(_) => Err(A::Error::custom(too_many())),
    }
}

/// The parents of a node: so many of it, and so many edges of the whole body.
pub fn parents<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    deserializer.deserialize_seq(Keys {
        what: "parents",
        in_all: "edges",
        left: |left| &mut left.edges,
    })
}

/// The nodes that a branch of a condition names: so many of it, and so many of the whole body.
pub fn named<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    deserializer.deserialize_seq(Keys {
        what: "nodes",
        in_all: "nodes of branches",
        left: |left| &mut left.named,
    })
}

/// The same, where there may be none.
pub fn given_named<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<String>>, D::Error> {
    struct Named(Vec<String>);
    impl<'de> Deserialize<'de> for Named {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            named(deserializer).map(Self)
        }
    }
    Ok(Option::<Named>::deserialize(deserializer)?.map(|named| named.0))
}

/// Keys of nodes: as many as a node may have neighbours, and so many of the whole body.
struct Keys {
    what: &'static str,
    in_all: &'static str,
    left: fn(&mut RemainingBody) -> &mut usize,
}

impl<'de> Visitor<'de> for Keys {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sequence")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<String>, A::Error> {
        let RemainingBody { fan_max, edges_max, .. } = left();
        let mut read = Vec::new();
        while let Some(key) = items.next_element()? {
            if read.len() == fan_max {
                return Err(A::Error::custom(format!("{TOO_MANY}{fan_max} {}", self.what)));
            }
            if !take(1, self.left) {
                let message = format!("{TOO_MANY}{edges_max} {} in all", self.in_all);
                return Err(A::Error::custom(message));
            }
            read.push(key);
        }
        Ok(read)
    }
}

/// Takes so many of what is left of a body; whether there were.
fn take(count: usize, of: impl FnOnce(&mut RemainingBody) -> &mut usize) -> bool {
    let Some(mut now) = LEFT.get() else { return true };
    let left = of(&mut now);
    let Some(rest) = left.checked_sub(count) else { return false };
    *left = rest;
    LEFT.set(Some(now));
    true
}

/// Amounts by name, at most `MAX`.
pub fn amounts<'de, const MAX: usize, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, u64>, D::Error> {
    struct Amounts<const MAX: usize>;
    impl<'de, const MAX: usize> Visitor<'de> for Amounts<MAX> {
        type Value = BTreeMap<String, u64>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a map")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
            let mut read = BTreeMap::new();
            while let Some((name, amount)) = entries.next_entry()? {
                read.insert(name, amount);
                if read.len() > MAX {
                    return Err(A::Error::custom(format!("{TOO_MANY}{MAX} resources")));
                }
            }
            Ok(read)
        }
    }
    deserializer.deserialize_map(Amounts::<MAX>)
}

/// JSON of any shape that is kept as values: counted in its text before anything is made of it.
pub fn values<'de, T: DeserializeOwned, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    let text = Box::<RawValue>::deserialize(deserializer)?;
    let count = values_in(text.get().as_bytes());
    if count > VALUES_MAX {
        return Err(D::Error::custom(format!("{TOO_MANY}{VALUES_MAX} values")));
    }
    if !take(count, |left| &mut left.values) {
        let message = format!("{TOO_MANY}{BODY_VALUES_MAX} values together with those before");
        return Err(D::Error::custom(message));
    }
    let mut reader = serde_json::Deserializer::from_str(text.get());
    serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let (at, inner) = (pointer::of(error.path()), error.inner());
        let message = if inner.is_data() { inner.to_string() } else { NO_VALUE.to_owned() };
        D::Error::custom(format!("{BELOW}{at}\n{message}"))
    })
}

/// The same, where there may be none.
pub fn given_values<'de, T: DeserializeOwned, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    values::<Option<T>, D>(deserializer)
}

/// At least as many values (keys of objects among them) as stand in this JSON.
fn values_in(text: &[u8]) -> usize {
    let (mut count, mut in_string, mut escaped) = (1, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b',' | b':' | b'[' | b'{' if !in_string => count += 1,
            _ => {}
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_in_their_text() {
        for (text, count) in
            [("7", 1), ("[]", 2), ("[1,2]", 3), (r#"{"a":1}"#, 3), (r#"["a,b:[\"{",1]"#, 3)]
        {
            assert_eq!(values_in(text.as_bytes()), count, "{text}");
        }
    }

    #[test]
    fn what_is_left_of_a_body_ends_with_it() {
        let small = Bounds { nodes_max: 2, ..Bounds::default() };
        within(&small, || {
            assert_eq!(nodes_max(), 2);
            assert!(take(BODY_VALUES_MAX, |left| &mut left.values));
            assert!(!take(1, |left| &mut left.values));
            within(&Bounds::default(), || assert!(take(1, |left| &mut left.values)));
            assert!(!take(1, |left| &mut left.values));
        });
        assert_eq!(nodes_max(), usize::MAX);
    }
}
