//! What each part of the language gives.

use super::{are, fail};
use crate::expression::{ErrorClass, Expression, Reference, Value};

#[test]
fn literals_are_read_as_they_are_written() {
    are(&[
        ("42", "42"),
        ("0xFF", "255"),
        ("-0x10", "-16"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("9223372036854775807", "9223372036854775807"),
        ("1.5", "1.5"),
        (".5e1", "5.0"),
        ("2e3", "2000.0"),
        ("true", "true"),
        ("null", "null"),
        ("// a comment\n1 // and another", "1"),
        ("[1, 'a', null,]", r#"[1,"a",null]"#),
        ("{'a': {'b': [true]}, 'c': 1,}", r#"{"a":{"b":[true]},"c":1}"#),
        ("{}", "{}"),
        ("[]", "[]"),
    ]);
}

#[test]
fn strings_have_every_escape_of_the_language() {
    are(&[
        (r#""a\"b""#, r#""a\"b""#),
        (r"'\\ \? \` \a \b \f \n \r \t \v'", r#""\\ ? ` \u0007 \b \f \n \r \t \u000b""#),
        (r"'\x41\X42\u0043\U0001F600\101\377'", "\"ABC😀Aÿ\""),
        (r"r'\n\d'", r#""\\n\\d""#),
        (r#"R"a\""#, r#""a\\""#),
        ("'''a\n'b' \"c\"'''", r#""a\n'b' \"c\"""#),
        ("\"\"\"a\\tb\"\"\"", r#""a\tb""#),
        ("r'''\\'''", r#""\\""#),
        ("''", "\"\""),
    ]);
    fail(
        ErrorClass::Syntax,
        &[
            "'a",
            "'a\nb'",
            r"'\q'",
            r"'\u12'",
            r"'\ud800'",
            r"'\U00110000'",
            r"'\400'",
            r"'\x+1'",
            "b'a'",
            "rb'a'",
        ],
    );
}

#[test]
fn numbers_are_calculated_within_their_own_kind() {
    are(&[
        ("1 + 2 * 3 - 4 / 2 % 3", "5"),
        ("-7 / 2", "-3"),
        ("-7 % 3", "-1"),
        ("(1 + 2) * 3", "9"),
        ("1.5 + 2.0 * 2.0", "5.5"),
        ("-job.input.n", "-3"),
        ("--3", "3"),
        ("1.0 / 0.0 > 1e300", "true"),
        ("0.0 / 0.0 == 0.0 / 0.0", "false"),
        ("double(job.input.n) + job.input.d", "5.5"),
    ]);
    fail(
        ErrorClass::Overflow,
        &[
            "9223372036854775807 + 1",
            "-9223372036854775808 - 1",
            "9223372036854775807 * 2",
            "-(-9223372036854775808)",
            "-9223372036854775808 / -1",
            "1.0 / 0.0",
            "[0.0 / 0.0]",
        ],
    );
    fail(ErrorClass::DivisionByZero, &["1 / 0", "1 % 0", "job.input.n / (3 - job.input.n)"]);
    fail(
        ErrorClass::Type,
        &["1 + 1.0", "1.5 % 1.0", "'a' + 1", "'a' * 2", "null + null", "-'a'", "[1] - [1]"],
    );
}

#[test]
fn values_are_compared_across_numbers_and_nothing_else() {
    are(&[
        ("1 == 1.0", "true"),
        ("1 < 1.5 && 1.5 < 2", "true"),
        ("9007199254740993 == 9007199254740992.0", "true"),
        ("1 == 'a'", "false"),
        ("1 != null", "true"),
        ("null == null", "true"),
        ("'a' < 'b'", "true"),
        ("'Z' < 'a' && 'a' < 'ä'", "true"),
        ("false < true", "true"),
        ("[1, 2.0] == [1.0, 2]", "true"),
        ("[1] == [1, 2]", "false"),
        ("{'a': 1, 'b': [2]} == {'b': [2.0], 'a': 1.0}", "true"),
        ("{1: 'a'} == {1: 'a', 2: 'b'}", "false"),
        ("{'a': 1} == {'b': 1}", "false"),
    ]);
    fail(ErrorClass::Type, &["1 < 'a'", "null < null", "[1] < [2]", "true < 1", "{} >= {}"]);
}

#[test]
fn errors_beside_a_deciding_operand_are_passed_over() {
    are(&[
        ("false && 1 / 0 > 1", "false"),
        ("1 / 0 > 1 && false", "false"),
        ("true || 1 / 0 > 1", "true"),
        ("1 / 0 > 1 || true", "true"),
        ("'a' && false", "false"),
        ("true || 'a'", "true"),
        ("!true || !false", "true"),
        ("true ? 1 : 1 / 0", "1"),
        ("false ? 1 / 0 : true ? 2 : 3", "2"),
        ("[1, 0].exists(x, 1 / x == 1)", "true"),
        ("[0, 2].all(x, 4 / x == 4)", "false"),
    ]);
    fail(
        ErrorClass::DivisionByZero,
        &["1 / 0 > 1 && true", "1 / 0 > 1 || false", "[1, 0].all(x, 1 / x == 1)"],
    );
    fail(ErrorClass::Type, &["'a' && true", "1 ? 2 : 3", "!1", "null || false"]);
}

#[test]
fn lists_and_maps_are_looked_into() {
    are(&[
        ("job.input.list[0]", "1"),
        ("[1, 2][1.0]", "2"),
        ("job.input.map['a-b']", "2"),
        ("job.input.map.`a-b`", "2"),
        ("{1: 'a', true: 'b'}[1]", "\"a\""),
        ("{1: 'a'}[1.0]", "\"a\""),
        ("{'for': 1}.for", "1"),
        ("2 in job.input.list", "true"),
        ("2.0 in job.input.list", "true"),
        ("'a' in job.input.map", "true"),
        ("'c' in {'a': 1}", "false"),
        ("1.0 in {1: 2} && !(1.5 in {1: 2})", "true"),
        ("[1] + [2, 3] + []", "[1,2,3]"),
        ("size(job.input.list) + job.input.map.size()", "5"),
        ("has(job.input.name) && !has(job.input.other) && has(job.input.none)", "true"),
        ("has(job.input.map.a)", "true"),
        ("has(nodes.a.output) && !has(nodes.a.error)", "true"),
    ]);
    fail(ErrorClass::Index, &["[1][1]", "[1][-1]", "[1][0.5]", "[][0]"]);
    fail(
        ErrorClass::NoSuchKey,
        &["job.input.other", "job.input.map['b']", "{1: 2}[1.5]", "nodes.a.error"],
    );
    fail(
        ErrorClass::Type,
        &[
            "[1]['a']",
            "{'a': 1}[null]",
            "job.input.name.first",
            "has(job.input.n.m)",
            "1 in 2",
            "null in {}",
            "{1.5: 1}",
            "{null: 1}",
        ],
    );
    fail(ErrorClass::Type, &["{job.input.name: 1, 'Ada': 2}", "{1: 2}"]);
    fail(ErrorClass::Syntax, &["{'a': 1, 'a': 2}", "has(job.input['name'])", "has('a')"]);
}

#[test]
fn comprehensions_go_over_lists_and_the_keys_of_maps() {
    are(&[
        ("[1, 2, 3].all(x, x > 0)", "true"),
        ("[].all(x, x > 0)", "true"),
        ("[1, 2, 3].exists(x, x > 2)", "true"),
        ("[].exists(x, true)", "false"),
        ("[1, 2, 3].exists_one(x, x > 2)", "true"),
        ("[1, 2, 3].exists_one(x, x > 1)", "false"),
        ("[1, 2, 3].map(x, x * x)", "[1,4,9]"),
        ("[1, 2, 3].map(x, x > 1, x * x)", "[4,9]"),
        ("job.input.list.filter(x, x % 2 == 1)", "[1,3]"),
        ("{'b': 1, 'a': 2}.map(k, k)", r#"["a","b"]"#),
        ("{'b': 1, 'a': 2}.filter(k, k > 'a')", r#"["b"]"#),
        ("job.input.list.map(x, job.input.list.filter(y, y < x))", "[[],[1],[1,2]]"),
        ("[1, 2].map(x, x + 1).map(x, x + 1).filter(x, x > 3)", "[4]"),
        ("[[1], [2]].map(x, x.map(x, x + 1))", "[[2],[3]]"),
        ("[1].map(job, job + 1)", "[2]"),
        ("[1].map(job, .job.input.n)", "[3]"),
    ]);
    fail(
        ErrorClass::Type,
        &["1.map(x, x)", "'ab'.all(c, true)", "[1].filter(x, x)", "[1].all(x, 'a')"],
    );
    fail(ErrorClass::DivisionByZero, &["[0, 1].exists_one(x, 1 / x == 1)", "[0].map(x, 1 / x)"]);
    fail(
        ErrorClass::Syntax,
        &[
            "[1].map(1, 2)",
            "[1].map(x)",
            "[1].all(x, true, x)",
            "[1].map(x.y, 1)",
            "[1].map(in, 1)",
        ],
    );
    fail(ErrorClass::Budget, &["[1].map(x, [1].map(y, [1].map(z, z)))"]);
    fail(ErrorClass::UnknownName, &["[1].map(x, x) == x"]);
}

#[test]
fn texts_are_looked_into() {
    are(&[
        ("size('πέντε')", "5"),
        ("'😀'.size()", "1"),
        (
            "'foobar'.startsWith('foo') && 'foobar'.endsWith('bar') && 'foobar'.contains('ob')",
            "true",
        ),
        ("'a' + job.input.name + 'b'", "\"aAdab\""),
        ("'abc'.matches('^[a-c]+$')", "true"),
        ("matches('abc', 'd')", "false"),
        (r"job.input.name.matches(r'^\w{3}$')", "true"),
    ]);
    fail(
        ErrorClass::Type,
        &["1.startsWith('a')", "'a'.contains(1)", "size(1)", "'a'.matches(job.input.name + '(')"],
    );
    fail(
        ErrorClass::Syntax,
        &["'a'.matches('(')", "'a'.startsWith()", "size()", "size(1, 2)", "'a'.matches('a', 'b')"],
    );
}

#[test]
fn values_are_converted_where_it_is_written() {
    are(&[
        ("int('-12') + int(1.9) + int(-1.9) + int(3)", "-9"),
        ("int(timestamp('2009-02-13T23:31:30Z'))", "1234567890"),
        ("double('1e3') + double(2) + double(0.5)", "1002.5"),
        ("string(1) + string(2.0) + string(2.5) + string(true) + string('x')", "\"122.5truex\""),
        ("string(duration('1m1ms'))", "\"60.001s\""),
        ("bool('true') && bool('T') == false || true", "true"),
        ("bool('0')", "false"),
        ("json('{\"a\": [1, 2.5]}').a", "[1,2.5]"),
        ("dyn([1, 'a'])[1]", "\"a\""),
    ]);
    fail(
        ErrorClass::Type,
        &["int('a')", "int('1.5')", "int(true)", "double('x')", "bool('TrUe')", "bool(1)"],
    );
    fail(
        ErrorClass::Type,
        &["string(null)", "string([1])", "json('{')", "json(1)", "timestamp(1.5)", "duration(1)"],
    );
    fail(ErrorClass::Overflow, &["int(1e19)", "int(-9223372036854775808.0)", "int(1.0 / 0.0)"]);
}

#[test]
fn times_and_durations_are_calculated() {
    are(&[
        ("timestamp('2026-01-31T12:00:00+02:00')", "\"2026-01-31T10:00:00Z\""),
        ("timestamp('2026-01-31T12:00:00.5Z') + duration('36h')", "\"2026-02-02T00:00:00.500Z\""),
        ("timestamp(0) - duration('1s')", "\"1969-12-31T23:59:59Z\""),
        ("timestamp('2026-01-02T00:00:00Z') - timestamp('2026-01-01T00:00:00Z')", "\"86400s\""),
        ("duration('1h30m') + duration('-1.5s')", "\"5398.5s\""),
        (
            "[duration('0'), duration('-0.5s'), duration('1us'), duration('1.5h')]",
            r#"["0s","-0.5s","0.000001s","5400s"]"#,
        ),
        ("timestamp('2026-01-31T12:00:00Z') < timestamp('2026-01-31T12:00:01Z')", "true"),
        ("duration('60s') == duration('1m')", "true"),
    ]);
    let parts = "[t.getFullYear(), t.getMonth(), t.getDate(), t.getDayOfMonth(), t.getDayOfWeek(), t.getDayOfYear(), \
                 t.getHours(), t.getMinutes(), t.getSeconds(), t.getMilliseconds()]";
    let at = "timestamp('2009-02-13T23:31:20.123456789Z')";
    are(&[
        (&format!("[{at}].map(t, {parts})"), "[[2009,1,13,12,5,43,23,31,20,123]]"),
        (&format!("{at}.getDate('+11:00') * 100 + {at}.getHours('02:00')"), "1401"),
        (&format!("{at}.getMinutes('-02:30') + {at}.getDayOfWeek('UTC')"), "6"),
        ("duration('3730.5s').getMinutes() + duration('3730.5s').getMilliseconds()", "562"),
        ("duration('10000s').getHours() + duration('3s').getSeconds()", "5"),
    ]);
    fail(
        ErrorClass::Type,
        &[
            "timestamp('2026-01-31')",
            "timestamp('2026-01-31 12:00:00Z')",
            "duration('1d')",
            "duration('')",
        ],
    );
    fail(
        ErrorClass::Type,
        &["duration('1h').getDate()", "timestamp(0).getHours('Europe/Paris')", "'a'.getHours()"],
    );
    fail(
        ErrorClass::Type,
        &["timestamp(0) + timestamp(0)", "duration('1s') - timestamp(0)", "duration('1.s.')"],
    );
    fail(
        ErrorClass::Overflow,
        &[
            "timestamp('0000-01-01T00:00:00Z')",
            "timestamp(253402300800)",
            "timestamp('9999-12-31T23:59:59Z') + duration('1s')",
            "timestamp('9999-12-31T23:59:59Z') - timestamp('0001-01-01T00:00:00Z')",
            "duration('320000000000s')",
            "duration('200000000000h')",
        ],
    );
}

#[test]
fn what_is_read_is_known_before_it_runs() {
    are(&[
        ("nodes.a.output.n + 1", "42"),
        ("nodes['b-2'].status", "\"failed\""),
        ("nodes.`b-2`.status", "\"failed\""),
        ("job.id + string(item) + string(index)", "\"j-170\""),
        ("job['input'].n", "3"),
    ]);
    let source = "nodes.a.output.n > 1 ? job.input.x : nodes['b-2'].status + nodes.a.output.m + string(item)";
    let expression = Expression::parse(source);
    let Ok(expression) = expression else { panic!("{expression:?}") };
    let read = |(reference, column): (&Reference, usize)| (reference.to_string(), column);
    assert_eq!(
        expression.references().map(read).collect::<Vec<_>>(),
        [
            ("nodes.a.output".to_owned(), 1),
            ("job.input".to_owned(), 24),
            ("nodes[\"b-2\"].status".to_owned(), 38),
            ("item".to_owned(), 86),
        ]
    );
    fail(
        ErrorClass::UnknownName,
        &["x", "job", "job.output", "nodes", "nodes.a", "nodes.a.result", "nodes.a-b.output"],
    );
    fail(
        ErrorClass::UnknownName,
        &["nodes[job.input.name].output", "nodes.all(n, true)", "now()", "'a'.upper()", "size"],
    );
}

#[test]
fn what_depends_on_nothing_is_evaluated_when_it_is_read() {
    let constant = |source: &str| {
        let expression = Expression::parse(source).ok()?;
        expression.constant().map(Value::to_json)
    };
    assert_eq!(constant("[1, 2].map(x, x * 2).exists(y, y == 4)"), Some(Ok("true".to_owned())));
    assert_eq!(constant("1 / 0"), None, "it may stand where it is never evaluated");
    assert_eq!(constant("[1].map(x, item)"), None);
    assert_eq!(constant("has(job.input.a)"), None);
    are(&[
        ("false ? 1 / 0 : 2 * 3", "6"),
        ("job.input.list.map(x, [1, 2].map(y, y * x))", "[[1,2],[2,4],[3,6]]"),
        ("job.input.list.map(x, x + [1, 2].map(z, z)[0])", "[2,3,4]"),
    ]);
}
