//! Values of one type as another, where the language's definition has it. Nothing is converted unless it is written so.

use super::budget::Budget;
use super::error::Mistake;
use super::value::{VALUE_BYTES, Value};
use super::{numbers, operators, times};

pub(super) fn to_bool(of: &Value) -> Result<Value, Mistake> {
    match of {
        Value::Bool(_) => Ok(of.clone()),
        Value::Text(text) => match &**text {
            "1" | "t" | "true" | "TRUE" | "True" => Ok(Value::Bool(true)),
            "0" | "f" | "false" | "FALSE" | "False" => Ok(Value::Bool(false)),
            _ => Err(Mistake::of_type("bool takes \"true\" or \"false\"; this string is neither")),
        },
        Value::Null
        | Value::Int(_)
        | Value::Double(_)
        | Value::List(_)
        | Value::Map(_)
        | Value::Timestamp(_)
        | Value::Duration(_) => Err(operators::wrong("bool", "a bool or a string", of)),
    }
}

pub(super) fn to_int(of: &Value) -> Result<Value, Mistake> {
    match of {
        Value::Int(_) => Ok(of.clone()),
        Value::Double(double) => numbers::int_of(*double).map(Value::Int).ok_or_else(|| {
            Mistake::overflow("int takes doubles within 64 bits; this one is beyond them")
        }),
        Value::Text(text) => text.parse().map(Value::Int).map_err(|_| {
            Mistake::of_type("int takes digits of a number of 64 bits; this string has others")
        }),
        Value::Timestamp(at) => Ok(Value::Int(at.timestamp())),
        Value::Null | Value::Bool(_) | Value::List(_) | Value::Map(_) | Value::Duration(_) => {
            Err(operators::wrong("int", "an int, a double, a string or a timestamp", of))
        }
    }
}

pub(super) fn to_double(of: &Value) -> Result<Value, Mistake> {
    match of {
        Value::Double(_) => Ok(of.clone()),
        Value::Int(int) => Ok(Value::Double(numbers::double_of(*int))),
        Value::Text(text) => text
            .parse()
            .map(Value::Double)
            .map_err(|_| Mistake::of_type("double takes a number; this string is none")),
        Value::Null
        | Value::Bool(_)
        | Value::List(_)
        | Value::Map(_)
        | Value::Timestamp(_)
        | Value::Duration(_) => Err(operators::wrong("double", "a double, an int or a string", of)),
    }
}

pub(super) fn to_string(of: &Value, budget: &mut Budget) -> Result<Value, Mistake> {
    let text = match of {
        Value::Text(_) => return Ok(of.clone()),
        Value::Double(double) => numbers::text_of(*double),
        Value::Bool(_) | Value::Int(_) | Value::Timestamp(_) | Value::Duration(_) => {
            of.to_text()?
        }
        Value::Null | Value::List(_) | Value::Map(_) => {
            return Err(operators::wrong(
                "string",
                "a string, a number, a bool, a timestamp or a duration",
                of,
            ));
        }
    };
    budget.make(VALUE_BYTES + text.len())?;
    Ok(Value::text(&text))
}

pub(super) fn to_timestamp(of: &Value) -> Result<Value, Mistake> {
    match of {
        Value::Timestamp(_) => Ok(of.clone()),
        Value::Text(text) => times::timestamp(text).map(Value::Timestamp),
        Value::Int(seconds) => times::timestamp_of_seconds(*seconds).map(Value::Timestamp),
        Value::Null
        | Value::Bool(_)
        | Value::Double(_)
        | Value::List(_)
        | Value::Map(_)
        | Value::Duration(_) => Err(operators::wrong(
            "timestamp",
            "a string in RFC 3339 or seconds since 1970 as an int",
            of,
        )),
    }
}

pub(super) fn to_duration(of: &Value) -> Result<Value, Mistake> {
    match of {
        Value::Duration(_) => Ok(of.clone()),
        Value::Text(text) => times::duration(text).map(Value::Duration),
        Value::Null
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Double(_)
        | Value::List(_)
        | Value::Map(_)
        | Value::Timestamp(_) => {
            Err(operators::wrong("duration", "a string such as \"1h30m\"", of))
        }
    }
}
