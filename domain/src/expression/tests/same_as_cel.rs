//! The `cel` crate as oracle: random expressions of the subset give the same value, or both give an error.
//!
//! Left out are the places where that crate departs from the language's definition, each with a table test of ours:
//! order of null and of maps, sums of lists and maps, errors that `all` and `exists` pass over, two signs in a row.

use std::collections::BTreeMap;
use std::sync::Arc;

use cel::objects::Key as CelKey;
use cel::{Context, Program, Value as CelValue};
use proptest::prelude::*;

use super::Data;
use crate::expression::value::Key;
use crate::expression::{Expression, Value};

const INPUT: &str = r#"{"n": 3, "z": 0, "d": 2.5, "s": "abc", "e": "", "t": true, "l": [1, 2, 3], "w": ["a", "abc"], "m": {"a": 1}}"#;

fn of_ours(value: &Value) -> CelValue {
    match value {
        Value::Null | Value::Timestamp(_) | Value::Duration(_) => CelValue::Null,
        Value::Bool(value) => CelValue::Bool(*value),
        Value::Int(value) => CelValue::Int(*value),
        Value::Double(value) => CelValue::Float(*value),
        Value::Text(text) => CelValue::String(Arc::new(text.to_string())),
        Value::List(list) => CelValue::List(Arc::new(list.items().iter().map(of_ours).collect())),
        Value::Map(map) => {
            let entries = map.entries().iter().map(|(key, value)| {
                let key = match key {
                    Key::Bool(key) => CelKey::Bool(*key),
                    Key::Int(key) => CelKey::Int(*key),
                    Key::Text(key) => CelKey::String(Arc::new(key.to_string())),
                };
                (key, of_ours(value))
            });
            CelValue::from(entries.collect::<std::collections::HashMap<_, _>>())
        }
    }
}

/// A value as a text in which equal values are equal texts.
#[expect(clippy::wildcard_enum_match_arm, reason = "the others are written as they are")]
fn shown(value: &CelValue) -> String {
    match value {
        CelValue::List(list) => {
            format!("[{}]", list.iter().map(shown).collect::<Vec<_>>().join(", "))
        }
        CelValue::Map(map) => {
            let entries = map.map.iter().map(|(key, value)| (format!("{key:?}"), shown(value)));
            format!("{:?}", entries.collect::<BTreeMap<_, _>>())
        }
        CelValue::Float(value) if value.is_nan() => "NaN".to_owned(),
        other => format!("{other:?}"),
    }
}

fn theirs(source: &str) -> Option<String> {
    let program = Program::compile(source).ok()?;
    let mut context = Context::default();
    let input = Value::from_json(INPUT)?;
    let job = std::collections::HashMap::from([(CelKey::from("input"), of_ours(&input))]);
    context.add_variable_from_value("job", CelValue::from(job));
    program.execute(&context).ok().map(|value| shown(&value))
}

fn ours(source: &str) -> Option<String> {
    let value = Expression::parse(source).ok()?.evaluate(&Data::of(INPUT)).ok()?;
    Some(shown(&of_ours(&value)))
}

fn leaf() -> impl Strategy<Value = String> {
    prop_oneof![
        (-9_i64..10).prop_map(|n| n.to_string()),
        Just("9223372036854775807".to_owned()),
        prop_oneof![Just("0.0"), Just("1.0"), Just("2.5"), Just("-0.5"), Just("1e3")]
            .prop_map(str::to_owned),
        prop_oneof![Just("''"), Just("'a'"), Just("\"abc\""), Just("r'\\d'"), Just("'\\u00e4\\n'")]
            .prop_map(str::to_owned),
        prop_oneof![Just("true"), Just("false"), Just("null"), Just("[]"), Just("{}")]
            .prop_map(str::to_owned),
        prop_oneof![
            Just("n"),
            Just("z"),
            Just("d"),
            Just("s"),
            Just("e"),
            Just("t"),
            Just("l"),
            Just("w"),
            Just("m"),
            Just("x")
        ]
        .prop_map(|name| format!("job.input.{name}")),
    ]
}

/// What is added, beside lists: that crate also adds maps to them.
fn number_or_text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("1"),
        Just("9223372036854775807"),
        Just("2.5"),
        Just("'a'"),
        Just("job.input.s"),
        Just("job.input.d"),
        Just("null")
    ]
    .prop_map(str::to_owned)
}

fn expression() -> impl Strategy<Value = String> {
    leaf().prop_recursive(4, 24, 3, |inner| {
        let operator = prop_oneof![
            Just("-"),
            Just("*"),
            Just("/"),
            Just("%"),
            Just("=="),
            Just("!="),
            Just("&&"),
            Just("||"),
            Just("in")
        ];
        let added = prop_oneof![
            number_or_text(),
            inner.clone().prop_map(|a| format!("[{a}]")),
            Just("job.input.l".to_owned())
        ];
        let number = (-9_i64..10).prop_map(|n| n.to_string());
        let order = prop_oneof![Just("<"), Just("<="), Just(">"), Just(">=")];
        let method = prop_oneof![Just("startsWith"), Just("endsWith"), Just("contains")];
        let conversion = prop_oneof![Just("size"), Just("double"), Just("int")];
        let loops = prop_oneof![
            Just("map(v, v)"),
            Just("map(v, [v, v])"),
            Just("filter(v, v == 2)"),
            Just("filter(v, v != 'a')"),
            Just("all(v, v == v)"),
            Just("exists(v, v == 'abc')"),
            Just("exists_one(v, v == 1)"),
            Just("map(v, v != 1, v)"),
        ];
        prop_oneof![
            (inner.clone(), operator, inner.clone()).prop_map(|(a, o, b)| format!("({a} {o} {b})")),
            (added.clone(), added).prop_map(|(a, b)| format!("({a} + {b})")),
            (number.clone(), order, prop_oneof![number, Just("2.5".to_owned())])
                .prop_map(|(a, o, b)| format!("({a} {o} {b})")),
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
            inner.clone().prop_map(|a| format!("!({a})")),
            inner.clone().prop_map(|a| format!("[{a}, {a}]")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{{'k': [{a}, {b}]}}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("[{a}, {b}][1]")),
            (inner.clone(), method, inner.clone()).prop_map(|(a, m, b)| format!("({a}).{m}({b})")),
            (conversion, inner.clone()).prop_map(|(f, a)| format!("{f}({a})")),
            (inner, loops).prop_map(|(a, l)| format!("({a}).{l}")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_expressions_have_the_same_value_or_both_an_error(source in expression()) {
        // Beyond the bounds of ours there is nothing to compare.
        prop_assume!(source.len() <= crate::expression::SOURCE_BYTES_MAX);
        prop_assert_eq!(ours(&source), theirs(&source), "{}", source);
    }
}
