//! Texts and values with expressions in them.

use super::{Data, ErrorClass};
use crate::exact_json::ExactJson;
use crate::expression::{Template, TextTemplate};

fn text(text: &str) -> Result<String, (ErrorClass, usize)> {
    let parsed = TextTemplate::parse(text).map_err(|error| (error.class, error.column))?;
    let Some(template) = parsed else { return Ok("none".to_owned()) };
    template.json(&Data::default()).map_err(|error| (error.class, error.column))
}

fn value(json: &str) -> Result<String, (String, ErrorClass)> {
    let Ok(json) = serde_json::from_str::<ExactJson>(json) else { panic!("no JSON: {json}") };
    let template = Template::parse(&json).map_err(|error| (error.pointer, error.error.class))?;
    let Some(template) = template else { return Ok("none".to_owned()) };
    let value = template.evaluate(&Data::default(), 100_000);
    value.map(|value| value.as_str().to_owned()).map_err(|error| (error.pointer, error.error.class))
}

#[test]
fn a_whole_expression_keeps_its_type_and_within_a_text_it_becomes_text() {
    for (template, expected) in [
        ("${{ 1 + 1 }}", "2"),
        ("${{1}}", "1"),
        ("${{ job.input.list }}", "[1,2,3]"),
        ("${{ null }}", "null"),
        (" ${{ 1 }}", "\" 1\""),
        ("${{ 1 }}${{ 2 }}", "\"12\""),
        ("a ${{ job.input.name }} b ${{ job.input.n }} c", "\"a Ada b 3 c\""),
        ("${{ 2.0 }}/${{ 2.5 }}/${{ true }}/${{ null }}", "\"2/2.5/true/null\""),
        ("x ${{ [1, 'a'] }} ${{ {'a': 1} }}", r#""x [1,\"a\"] {\"a\":1}""#),
        (
            "at ${{ timestamp(0) }} for ${{ duration('90s') }}",
            "\"at 1970-01-01T00:00:00Z for 90s\"",
        ),
        ("plain", "none"),
        ("$ {{ 1 }} $", "none"),
    ] {
        assert_eq!(text(template).as_deref(), Ok(expected), "{template}");
    }
}

#[test]
fn the_lexer_says_where_an_expression_ends() {
    for (template, expected) in [
        ("${{ '}}' }}", "\"}}\""),
        ("${{ {'a': {'b': 1}} }}", r#"{"a":{"b":1}}"#),
        ("${{ {'a': {'b': 1}}}}", r#"{"a":{"b":1}}"#),
        ("${{ '${{' }} x", "\"${{ x\""),
        ("${{ 1 // }}\n + 1 }}", "2"),
        ("${{ r'\\' }}}}", "\"\\\\}}\""),
        ("${{ \"\"\"a}}\"b\"\"\" }}", "\"a}}\\\"b\""),
    ] {
        assert_eq!(text(template).as_deref(), Ok(expected), "{template}");
    }
    assert_eq!(text("a ${{ 1"), Err((ErrorClass::Syntax, 8)));
    assert_eq!(text("a ${{ }}"), Err((ErrorClass::Syntax, 7)));
    assert_eq!(text("ä ${{ 1 + x }}"), Err((ErrorClass::UnknownName, 11)));
    assert_eq!(text("${{ 'a }}"), Err((ErrorClass::Syntax, 5)));
    assert_eq!(text("${{ 1 } }"), Err((ErrorClass::Syntax, 7)));
    let long = text(&format!("${{{{ {} 1 }}}}", "1 + ".repeat(300)));
    assert_eq!(long.map_err(|(class, _)| class), Err(ErrorClass::Budget));
}

#[test]
fn only_the_texts_of_a_value_are_replaced() {
    for (json, expected) in [
        (
            r#"{"b": "${{ 1 }}", "a": 123456789012345678901234567890}"#,
            r#"{"b":1,"a":123456789012345678901234567890}"#,
        ),
        (
            r#"["\u0024{{ job.input.name }}", "\ud83d\ude00", 1.50]"#,
            r#"["Ada","\ud83d\ude00",1.50]"#,
        ),
        (r#""n: ${{ nodes.a.output.n }}""#, "\"n: 41\""),
        (
            r#"{"a": {"b": ["x", {"c": "${{ job.input.map }}"}]}}"#,
            r#"{"a":{"b":["x",{"c":{"a":1,"a-b":2}}]}}"#,
        ),
        (r#"{"a": "plain", "\u0041": 1}"#, "none"),
    ] {
        assert_eq!(value(json).as_deref(), Ok(expected), "{json}");
    }
}

#[test]
fn a_mistake_in_a_value_has_its_pointer() {
    for (json, pointer, class) in [
        (r#"{"a/b": [0, {"~": "${{ x }}"}]}"#, "/a~1b/1/~0", ErrorClass::UnknownName),
        (r#"{"a": "${{ 1 }}", "b": "${{ 1 / 0 }}"}"#, "/b", ErrorClass::DivisionByZero),
        (r#"{"a": {"${{ 1 }}": 1}}"#, "/a", ErrorClass::Syntax),
        (r#""${{ ""#, "", ErrorClass::Syntax),
    ] {
        assert_eq!(value(json), Err((pointer.to_owned(), class)), "{json}");
    }
}

#[test]
fn a_value_is_bounded_as_a_whole() {
    let many =
        |count: usize, text: &str| format!("[{}]", vec![format!("\"{text}\""); count].join(","));
    assert!(value(&many(200, "${{ 1 }}")).is_ok());
    assert_eq!(value(&many(201, "${{ 1 }}")), Err(("/200".to_owned(), ErrorClass::Budget)));
    let each =
        "${{ job.input.list.map(x, job.input.list.map(y, x * y * x * y * x * y * x * y)) == 1 }}";
    assert_eq!(
        value(&many(190, each)).map_err(|(_, class)| class),
        Err(ErrorClass::Budget),
        "one budget for all"
    );
    let long =
        format!("[{}]", vec![format!("\"{}${{{{ 1 }}}}\"", "a".repeat(60_000)); 2].join(","));
    assert_eq!(
        value(&long).map_err(|(_, class)| class),
        Err(ErrorClass::Budget),
        "of at most 100,000 bytes"
    );
    let references = serde_json::from_str::<ExactJson>(r#"["${{ item }} ${{ job.id }}"]"#).ok();
    let template = references.and_then(|json| Template::parse(&json).ok().flatten());
    let read = template.iter().flat_map(Template::references);
    let read: Vec<_> =
        read.map(|(reference, pointer, column)| (reference.to_string(), pointer, column)).collect();
    assert_eq!(read, [("item".to_owned(), "/0", 5), ("job.id".to_owned(), "/0", 17)]);
}
