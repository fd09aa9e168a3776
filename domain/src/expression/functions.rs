//! The functions of the language: one table of what there is and how it is written, and what each does.
//! Always holds: a function reads nothing but its arguments; there is no clock, no random number, no environment.

use std::ops::RangeInclusive;

use super::budget::Budget;
use super::error::{ErrorClass, Mistake};
use super::patterns::Patterns;
use super::times::{self, Part};
use super::value::Value;
use super::{conversions, operators};

/// What a call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    Size,
    StartsWith,
    EndsWith,
    Contains,
    Matches,
    Bool,
    Int,
    Double,
    Text,
    Timestamp,
    Duration,
    Json,
    Dyn,
    Part(Part),
}

/// How a function is called.
#[derive(Debug)]
pub(super) struct Signature {
    pub(super) name: &'static str,
    pub(super) function: Function,
    /// May be written `name(x)`.
    pub(super) is_function: bool,
    /// May be written `x.name()`.
    pub(super) is_method: bool,
    /// With the receiver.
    pub(super) arguments: RangeInclusive<usize>,
    /// As it is shown to whoever wrote it otherwise.
    pub(super) form: &'static str,
}

const fn conversion(name: &'static str, function: Function, form: &'static str) -> Signature {
    Signature { name, function, is_function: true, is_method: false, arguments: 1..=1, form }
}

const fn method(name: &'static str, function: Function, form: &'static str) -> Signature {
    Signature { name, function, is_function: false, is_method: true, arguments: 2..=2, form }
}

const fn part(name: &'static str, part: Part, form: &'static str) -> Signature {
    Signature { arguments: 1..=2, ..method(name, Function::Part(part), form) }
}

/// Every function there is.
pub(super) const FUNCTIONS: [Signature; 23] = [
    Signature { is_method: true, ..conversion("size", Function::Size, "size(x) or x.size()") },
    Signature {
        is_function: true,
        ..method("matches", Function::Matches, "text.matches(pattern) or matches(text, pattern)")
    },
    method("startsWith", Function::StartsWith, "text.startsWith(prefix)"),
    method("endsWith", Function::EndsWith, "text.endsWith(suffix)"),
    method("contains", Function::Contains, "text.contains(part)"),
    conversion("bool", Function::Bool, "bool(x)"),
    conversion("int", Function::Int, "int(x)"),
    conversion("double", Function::Double, "double(x)"),
    conversion("string", Function::Text, "string(x)"),
    conversion("timestamp", Function::Timestamp, "timestamp(\"2026-01-31T12:00:00Z\")"),
    conversion("duration", Function::Duration, "duration(\"1h30m\")"),
    conversion("json", Function::Json, "json(text)"),
    conversion("dyn", Function::Dyn, "dyn(x)"),
    part("getFullYear", Part::FullYear, "time.getFullYear() or time.getFullYear(\"+02:00\")"),
    part("getMonth", Part::Month, "time.getMonth() or time.getMonth(\"+02:00\")"),
    part("getDate", Part::Date, "time.getDate() or time.getDate(\"+02:00\")"),
    part(
        "getDayOfMonth",
        Part::DayOfMonth,
        "time.getDayOfMonth() or time.getDayOfMonth(\"+02:00\")",
    ),
    part("getDayOfWeek", Part::DayOfWeek, "time.getDayOfWeek() or time.getDayOfWeek(\"+02:00\")"),
    part("getDayOfYear", Part::DayOfYear, "time.getDayOfYear() or time.getDayOfYear(\"+02:00\")"),
    part(
        "getHours",
        Part::Hours,
        "time.getHours(), time.getHours(\"+02:00\") or duration.getHours()",
    ),
    part(
        "getMinutes",
        Part::Minutes,
        "time.getMinutes(), time.getMinutes(\"+02:00\") or duration.getMinutes()",
    ),
    part(
        "getSeconds",
        Part::Seconds,
        "time.getSeconds(), time.getSeconds(\"+02:00\") or duration.getSeconds()",
    ),
    part(
        "getMilliseconds",
        Part::Milliseconds,
        "time.getMilliseconds(), time.getMilliseconds(\"+02:00\") or duration.getMilliseconds()",
    ),
];

/// The value of a call; how many arguments there are was looked at when it was parsed.
pub(super) fn call(
    function: Function,
    arguments: &[Value],
    budget: &mut Budget,
    patterns: &mut Patterns,
) -> Result<Value, Mistake> {
    let of = &arguments[0];
    match function {
        Function::Size => size(of, budget),
        Function::StartsWith => {
            let (text, prefix) = texts("startsWith", arguments)?;
            Ok(Value::Bool(text.starts_with(prefix)))
        }
        Function::EndsWith => {
            let (text, suffix) = texts("endsWith", arguments)?;
            Ok(Value::Bool(text.ends_with(suffix)))
        }
        Function::Contains => {
            let (text, part) = texts("contains", arguments)?;
            budget.read(text.len())?;
            Ok(Value::Bool(text.contains(part)))
        }
        Function::Matches => {
            let (text, pattern) = texts("matches", arguments)?;
            patterns.matches(text, pattern, budget).map(Value::Bool)
        }
        Function::Bool => conversions::to_bool(of),
        Function::Int => conversions::to_int(of),
        Function::Double => conversions::to_double(of),
        Function::Text => conversions::to_string(of, budget),
        Function::Timestamp => conversions::to_timestamp(of),
        Function::Duration => conversions::to_duration(of),
        Function::Json => json(of, budget),
        Function::Dyn => Ok(of.clone()),
        Function::Part(part) => times::part(part, of, arguments.get(1)),
    }
}

fn size(of: &Value, budget: &mut Budget) -> Result<Value, Mistake> {
    let size = match of {
        Value::Text(text) => {
            budget.read(text.len())?;
            text.chars().count()
        }
        Value::List(list) => list.items().len(),
        Value::Map(map) => map.entries().len(),
        Value::Null
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Double(_)
        | Value::Timestamp(_)
        | Value::Duration(_) => {
            return Err(Mistake::of_type(format!(
                "size takes a string, a list or a map, not {}",
                of.type_name()
            )));
        }
    };
    Ok(Value::Int(i64::try_from(size).unwrap_or(i64::MAX)))
}

fn texts<'v>(name: &str, arguments: &'v [Value]) -> Result<(&'v str, &'v str), Mistake> {
    let [Value::Text(text), Value::Text(other)] = arguments else {
        let types: Vec<_> = arguments.iter().map(Value::type_name).collect();
        return Err(Mistake::of_type(format!(
            "{name} takes two strings, not {}",
            types.join(" and ")
        )));
    };
    Ok((text, other))
}

fn json(of: &Value, budget: &mut Budget) -> Result<Value, Mistake> {
    let Value::Text(text) = of else {
        return Err(operators::wrong("json", "a string", of));
    };
    budget.read(text.len())?;
    budget.make(text.len())?;
    let value = Value::from_json(text)
        .ok_or_else(|| Mistake::new(ErrorClass::Type, "json takes JSON; this string is none"))?;
    budget.make(value.bytes())?;
    Ok(value)
}
