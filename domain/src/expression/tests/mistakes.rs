//! What is said about mistakes: class, place, what is allowed.

use super::json;
use crate::expression::{ErrorClass, Expression, ExpressionError};

fn error(source: &str) -> ExpressionError {
    match json(source) {
        Ok(value) => panic!("{source} is {value}"),
        Err(error) => error,
    }
}

#[test]
fn mistakes_have_their_place() {
    for (source, class, column) in [
        ("", ErrorClass::Syntax, 1),
        ("  ", ErrorClass::Syntax, 3),
        ("1 +", ErrorClass::Syntax, 4),
        ("1 2", ErrorClass::Syntax, 3),
        ("(1", ErrorClass::Syntax, 3),
        ("[1, 2", ErrorClass::Syntax, 6),
        ("'ä' + 'a\\q'", ErrorClass::Syntax, 9),
        ("1 = 2", ErrorClass::Syntax, 3),
        ("a ? b", ErrorClass::UnknownName, 1),
        ("true ? 1", ErrorClass::Syntax, 9),
        ("job.input.", ErrorClass::Syntax, 11),
        ("job.input.true", ErrorClass::Syntax, 11),
        ("1u", ErrorClass::Syntax, 1),
        ("while", ErrorClass::Syntax, 1),
        ("\n\n  x", ErrorClass::UnknownName, 5),
        ("'😀' + x", ErrorClass::UnknownName, 7),
        ("1 + job.input.name", ErrorClass::Type, 3),
        ("job.input.map.b", ErrorClass::NoSuchKey, 15),
        ("job.input.list[7]", ErrorClass::Index, 15),
        ("1 + 2 / 0", ErrorClass::DivisionByZero, 7),
        ("size(1)", ErrorClass::Type, 1),
        ("'a'.matches('(')", ErrorClass::Syntax, 5),
        ("9223372036854775808", ErrorClass::Syntax, 1),
        ("a.b{c: 1}", ErrorClass::UnknownName, 1),
        ("1..2", ErrorClass::Syntax, 3),
        ("01x", ErrorClass::Syntax, 1),
        ("@", ErrorClass::Syntax, 1),
    ] {
        let error = error(source);
        assert_eq!((error.class, error.column), (class, column), "{source}: {error}");
    }
}

#[test]
fn an_unknown_name_comes_with_those_there_are() {
    let roots = ["job", "nodes", "item", "index", "error", "attempt"];
    assert_eq!(error("input").allowed, roots);
    assert_eq!(error("[1].all(x, y)").allowed, [&roots[..], &["x"]].concat());
    assert_eq!(error("job.inputs").allowed, ["input", "id", "status", "error"]);
    assert_eq!(error("nodes.a.out").allowed, ["output", "status", "error", "attempts"]);
    assert_eq!(error("nodes.a").allowed, ["output", "status", "error", "attempts"]);
    assert!(error("upper('a')").allowed.contains(&"startsWith".to_owned()));
}

#[test]
fn messages_say_what_to_write() {
    for (source, told) in [
        ("1 + 1.5", "double(x)"),
        ("1.5 * 2", "double(x)"),
        ("'a' + 1", "string(x)"),
        ("nodes.a-b.output", "nodes[\"a-b\"]"),
        ("nodes[item].output", "known before it runs"),
        ("1u", "uint is no part"),
        ("b'a'", "bytes are no part"),
        ("true & false", "&&"),
        ("startsWith('a', 'b')", "text.startsWith(prefix)"),
        ("map([1], x, x)", "x.map(v, ...)"),
        ("job.input.other", "has(x.other)"),
        ("nodes.a.error", "has(nodes.a.error)"),
        ("timestamp(0).getHours('Europe/Paris')", "+02:00"),
        ("1.0 / 0.0", "JSON has not"),
        ("${{ 1 }}", "stands around"),
    ] {
        let error = error(source);
        assert!(error.message.contains(told), "{source}: {error}");
    }
}

#[test]
fn values_are_not_repeated_and_names_only_shortened() {
    let secret = error("int(job.input.name + '5577')");
    assert!(!secret.message.contains("5577") && !secret.message.contains("Ada"), "{secret}");
    assert!(error(&"a".repeat(1_000)).message.len() < 200);
}

#[test]
fn an_expression_that_can_be_read_says_so_without_data() {
    let source = "nodes.fetch.output.items.filter(i, i.ok).map(i, {'id': i.id, 'n': size(i.name)})";
    assert!(Expression::parse(source).is_ok());
}
