//! Any JSON of a caller, kept as it was written: an integer of thirty digits stays one, which a parsed value would round.
//! Always holds: it is one line without spaces between its tokens, and whoever reads JSON can read it (numbers in range,
//! escapes that are text). Absent: a bound on its size, which belongs to the field that holds it.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::value::RawValue;

/// One JSON value. Cheap to clone.
#[derive(Clone)]
pub struct ExactJson(Arc<RawValue>);

impl ExactJson {
    /// The JSON text.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// Bytes of the JSON text.
    pub fn len(&self) -> usize {
        self.as_str().len()
    }

    /// Never true: the shortest JSON text is one byte.
    pub fn is_empty(&self) -> bool {
        self.as_str().is_empty()
    }
}

impl From<&serde_json::Value> for ExactJson {
    fn from(value: &serde_json::Value) -> Self {
        // The text of a value is JSON.
        let raw = RawValue::from_string(value.to_string());
        Self(Arc::from(raw.unwrap_or_else(|_| RawValue::NULL.to_owned())))
    }
}

impl PartialEq for ExactJson {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for ExactJson {}

impl fmt::Debug for ExactJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for ExactJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ExactJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        // Skipping over a value looks neither at its escapes nor at the size of its numbers.
        if serde_json::from_str::<serde_json::Value>(raw.get()).is_err() {
            return Err(D::Error::custom(
                "invalid type: JSON that cannot be read, expected JSON with numbers in the range of 64-bit floats and \
                 escapes that are text",
            ));
        }
        let compact = compact(raw.get());
        if compact.len() == raw.get().len() {
            return Ok(Self(Arc::from(raw)));
        }
        RawValue::from_string(compact).map(|raw| Self(Arc::from(raw))).map_err(D::Error::custom)
    }
}

/// The text without white space between its tokens.
fn compact(text: &str) -> String {
    let mut compact = String::with_capacity(text.len());
    let (mut in_text, mut is_escaped) = (false, false);
    for c in text.chars() {
        if in_text || !matches!(c, ' ' | '\t' | '\n' | '\r') {
            compact.push(c);
        }
        match c {
            '"' if !is_escaped => in_text = !in_text,
            '\\' if in_text && !is_escaped => {
                is_escaped = true;
                continue;
            }
            _ => {}
        }
        is_escaped = false;
    }
    compact
}

/// The canonical text of a body: its fields sorted, no spaces, numbers to the digit. None where it is no JSON.
///
/// The depth of the text must be bounded by whoever calls: it is walked by recursion.
pub fn canonical(text: &str) -> Option<String> {
    let raw: &RawValue = serde_json::from_str(text).ok()?;
    let mut written = String::with_capacity(text.len());
    write_canonical(raw, &mut written)?;
    Some(written)
}

fn write_canonical(raw: &RawValue, written: &mut String) -> Option<()> {
    use std::borrow::Cow;
    use std::collections::BTreeMap;

    let text = raw.get();
    match text.as_bytes().first()? {
        b'{' => {
            let fields: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(text).ok()?;
            written.push('{');
            for (position, (key, value)) in fields.into_iter().enumerate() {
                if position > 0 {
                    written.push(',');
                }
                written.push_str(&serde_json::to_string(&key).ok()?);
                written.push(':');
                write_canonical(value, written)?;
            }
            written.push('}');
        }
        b'[' => {
            let items: Vec<&RawValue> = serde_json::from_str(text).ok()?;
            written.push('[');
            for (position, item) in items.into_iter().enumerate() {
                if position > 0 {
                    written.push(',');
                }
                write_canonical(item, written)?;
            }
            written.push(']');
        }
        // The same text may be escaped in many ways.
        b'"' => {
            let value: Cow<'_, str> = serde_json::from_str(text).ok()?;
            written.push_str(&serde_json::to_string(&value).ok()?);
        }
        _ => written.push_str(text),
    }
    Some(())
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test says what it expects")]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_written_to_the_digit_on_one_line() {
        for (text, kept) in [
            ("123456789012345678901234567890", "123456789012345678901234567890"),
            ("{ \"a\" : [ 1.50,\n 2 ] }", "{\"a\":[1.50,2]}"),
            (r#"" \" a\\ ""#, r#"" \" a\\ ""#),
            (r#"[" \\\" ", 1]"#, r#"[" \\\" ",1]"#),
        ] {
            let value: ExactJson = serde_json::from_str(text).expect("JSON");
            assert_eq!(serde_json::to_string(&value).expect("JSON"), kept);
        }
    }

    #[test]
    fn what_other_readers_could_not_read_is_refused() {
        for text in ["1e999", r#""\ud800""#, r#"{"a": -1e400}"#] {
            assert!(serde_json::from_str::<ExactJson>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn canonical_texts_differ_only_where_bodies_do() {
        let one = canonical(r#"{"b": [1, 2], "a": {"d": 1, "c": "\u0041"}}"#);
        assert_eq!(one, canonical(r#"{"a":{"c":"A","d":1},"b":[1,2]}"#));
        assert_eq!(one.as_deref(), Some(r#"{"a":{"c":"A","d":1},"b":[1,2]}"#));
        assert_ne!(canonical("[9007199254740993]"), canonical("[9007199254740992]"));
        assert_ne!(
            canonical("[100000000000000000000001]"),
            canonical("[100000000000000000000002]")
        );
        assert_eq!(canonical("{\"a\":"), None);
    }
}
