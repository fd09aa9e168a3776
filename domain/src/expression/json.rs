//! Values from JSON and back. A number without fraction and exponent that fits 64 bits is an int and is written back as
//! such; every other number is a double. Times and durations become texts.
//! Always holds: what is written can be read by any reader of JSON; infinities, "not a number" and keys that are no texts
//! have no JSON and are errors.

use std::fmt;
use std::sync::Arc;

use chrono::SecondsFormat;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::error::{ErrorClass, Mistake};
use super::value::{Key, Value};
use super::{numbers, times};

impl Value {
    /// The value of a JSON text; none where it is no JSON or nested deeper than 127.
    pub fn from_json(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// The JSON of the value.
    pub(super) fn to_json(&self) -> Result<String, Mistake> {
        let mut written = String::new();
        write(self, &mut written)?;
        Ok(written)
    }

    /// The value within a text: texts as they are, scalars as `string(x)` gives them, the rest as JSON.
    pub(super) fn to_text(&self) -> Result<String, Mistake> {
        match self {
            Self::Text(text) => Ok(text.to_string()),
            Self::Bool(value) => Ok(value.to_string()),
            Self::Int(value) => Ok(value.to_string()),
            Self::Double(value) if value.is_finite() => Ok(numbers::text_of(*value)),
            Self::Timestamp(at) => Ok(at.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
            Self::Duration(nanos) => Ok(times::duration_text(*nanos)),
            Self::Null | Self::Double(_) | Self::List(_) | Self::Map(_) => self.to_json(),
        }
    }
}

/// Recursion is bounded by the nesting that JSON may have when it is read, and that an expression can add.
fn write(value: &Value, written: &mut String) -> Result<(), Mistake> {
    match value {
        Value::Null => written.push_str("null"),
        Value::Bool(value) => written.push_str(if *value { "true" } else { "false" }),
        Value::Int(value) => written.push_str(&value.to_string()),
        Value::Double(value) if value.is_finite() => written.push_str(&quoted(value)?),
        Value::Double(_) => {
            return Err(Mistake::overflow(
                "the result is infinite or not a number, which JSON has not",
            ));
        }
        Value::Text(text) => written.push_str(&quoted(&**text)?),
        Value::Timestamp(_) | Value::Duration(_) => written.push_str(&quoted(&value.to_text()?)?),
        Value::List(list) => {
            written.push('[');
            for (place, item) in list.items().iter().enumerate() {
                if place > 0 {
                    written.push(',');
                }
                write(item, written)?;
            }
            written.push(']');
        }
        Value::Map(map) => {
            written.push('{');
            for (place, (key, value)) in map.entries().iter().enumerate() {
                let Key::Text(key) = key else {
                    return Err(Mistake::of_type(
                        "the result has a map with a key that is no string, which JSON has not; write string(key)",
                    ));
                };
                if place > 0 {
                    written.push(',');
                }
                written.push_str(&quoted(&**key)?);
                written.push(':');
                write(value, written)?;
            }
            written.push('}');
        }
    }
    Ok(())
}

fn quoted<T: serde::Serialize + ?Sized>(value: &T) -> Result<String, Mistake> {
    serde_json::to_string(value)
        .map_err(|_| Mistake::new(ErrorClass::Type, "cannot be written as JSON"))
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Int(value))
    }

    #[expect(clippy::cast_precision_loss, reason = "beyond the ints a number is a double")]
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(i64::try_from(value).map_or(Value::Double(value as f64), Value::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Double(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::list(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some((key, value)) = map.next_entry::<std::borrow::Cow<'_, str>, Value>()? {
            entries.push((Key::Text(Arc::from(&*key)), value));
        }
        Ok(Value::map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_kind() {
        for (text, kind, written) in [
            ("7", "int", "7"),
            ("-9223372036854775808", "int", "-9223372036854775808"),
            ("9223372036854775807", "int", "9223372036854775807"),
            ("7.0", "double", "7.0"),
            ("1e2", "double", "100.0"),
        ] {
            let Some(value) = Value::from_json(text) else { panic!("{text}") };
            assert_eq!(value.type_name(), kind, "{text}");
            assert_eq!(value.to_json().as_deref(), Ok(written));
        }
    }

    #[test]
    fn json_comes_back_with_sorted_keys_and_the_last_of_two_equal_ones() {
        let text = r#"{"b":[null,true,"a\n"],"a":{},"b":{"ä":1.5}}"#;
        let json = Value::from_json(text).map(|value| value.to_json());
        assert_eq!(json, Some(Ok(r#"{"a":{},"b":{"ä":1.5}}"#.to_owned())));
        assert!(Value::from_json("{").is_none());
        assert!(Value::from_json(&"[".repeat(10_000)).is_none());
    }
}
