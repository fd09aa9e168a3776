//! Wrong bodies of every kind, each with its status and pointer, on the body that has the most fields.

use super::*;
use crate::http::schemas::job::JobBody;

/// Status, code, and pointer and code of the first field error.
fn refused(text: &str) -> (u16, String, String, String) {
    let problem = match parse::<JobBody>(text.as_bytes(), &Bounds::default()) {
        Err(problem) => problem,
        Ok(body) => match body.into_spec() {
            Err(errors) => Problem::invalid(errors),
            Ok(_) => return (201, String::new(), String::new(), String::new()),
        },
    };
    let shown = serde_json::to_value(problem.body(None, None)).unwrap_or_default();
    let word = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let first = &shown["errors"][0];
    let status = problem.code().status().as_u16();
    (status, word(&shown["code"]), word(&first["pointer"]), word(&first["code"]))
}

fn invalid(pointer: &str, code: &str) -> (u16, String, String, String) {
    (422, "validation_failed".to_owned(), pointer.to_owned(), code.to_owned())
}

fn later(top: &str, pointer: &str) -> (u16, String, String, String) {
    (422, top.to_owned(), pointer.to_owned(), top.to_owned())
}

fn with_node(more: &str) -> String {
    format!(r#"{{"name": "n", "nodes": [{{"key": "a"}}, {{"key": "b", {more}}}]}}"#)
}

fn with_job(more: &str) -> String {
    format!(r#"{{"name": "n", "nodes": [{{"key": "a"}}], {more}}}"#)
}

#[test]
fn a_good_body_is_read() {
    assert_eq!(refused(&with_job(r#""priority": 3, "retry": {"max_attempts": 2}"#)).0, 201);
    let null = r#""description": null, "timeout_ms": null, "recovery": null, "input": null"#;
    assert_eq!(refused(&with_job(null)).0, 201);
    assert_eq!(refused(&with_node(r#""type": "task", "executor": "worker""#)).0, 201);
}

#[test]
fn what_is_not_json_is_400() {
    for text in [
        "",
        "{",
        "nul",
        r#"{"name": "n", "nodes": [{"key": "a"}]} x"#,
        "{\"name\": \"a\nb\"}",
        "\u{feff}{}",
        "{'a': 1}",
        // What is wrong with a field is met first here.
        r#"{"nope": }"#,
        r#"{"name": 5"#,
        "{} {}",
        "[1",
    ] {
        let (status, code, ..) = refused(text);
        assert_eq!((status, code.as_str()), (400, "malformed_json"), "{text:?}");
    }
    let broken = parse::<JobBody>(b"{\"name\": \"\xff\"}", &Bounds::default()).map(|_| ());
    assert_eq!(broken.map_err(|problem| problem.code()), Err(Code::MalformedJson));
}

#[test]
fn shapes_are_refused_with_their_pointer() {
    assert_eq!(refused("[]"), invalid("", "wrong_type"));
    assert_eq!(refused("{\"nodes\": []}"), invalid("/name", "required"));
    assert_eq!(refused(&with_job(r#""nope": 1"#)), invalid("/nope", "unknown_field"));
    assert_eq!(refused(&with_job(r#""name": "x""#)), invalid("/name", "duplicate_field"));
    assert_eq!(refused(&with_job(r#""priority": "high""#)), invalid("/priority", "wrong_type"));
    assert_eq!(refused(&with_job(r#""priority": 1.5"#)), invalid("/priority", "wrong_type"));
    assert_eq!(refused(&with_job(r#""priority": 300"#)), invalid("/priority", "out_of_range"));
    assert_eq!(refused(&with_job(r#""start": "soon""#)), invalid("/start", "invalid_value"));
    assert_eq!(refused(&with_job(r#""start": 5"#)), invalid("/start", "wrong_type"));
    assert_eq!(
        refused(&with_job(r#""metadata": {"a": 1e999}"#)),
        invalid("/metadata/a", "wrong_type")
    );
    let huge = format!("\"timeout_ms\": 1{}", "0".repeat(400));
    assert_eq!(refused(&with_job(&huge)), invalid("/timeout_ms", "wrong_type"));
    assert_eq!(refused(&with_job(r#""retry": [1]"#)), invalid("/retry/0", "wrong_type"));
    assert_eq!(refused(&with_job(r#""retry": []"#)), invalid("/retry", "wrong_type"));
    assert_eq!(refused(&with_node(r#""tags": [1]"#)), invalid("/nodes/1/tags/0", "wrong_type"));
    let unknown = refused(&with_node(r#""timeouts": {"a/b~": 1}"#));
    assert_eq!(unknown, invalid("/nodes/1/timeouts/a~1b~0", "unknown_field"));
    let when = refused(&with_job(r#""scheduled_at": "tomorrow""#));
    assert_eq!(when, invalid("/scheduled_at", "invalid_format"));
    for rule in ["{}", r#"{"all": false}"#, r#"{"all": true, "any": true}"#] {
        let refusal = refused(&with_job(&format!("\"complete_when\": {rule}")));
        assert_eq!(refusal, invalid("/complete_when", "invalid_value"));
    }
}

#[test]
fn a_message_never_repeats_the_value() {
    let Err(problem) =
        parse::<JobBody>(with_job(r#""priority": "s3cret""#).as_bytes(), &Bounds::default())
    else {
        panic!("a priority is a number")
    };
    let shown = serde_json::to_string(&problem.body(None, None)).unwrap_or_default();
    assert!(!shown.contains("s3cret"), "{shown}");
    assert!(shown.contains("an integer from 1 to 10"), "{shown}");
}

#[test]
fn what_comes_later_is_recognised() {
    let not_available = |pointer: &str| later("not_available", pointer);
    for (more, pointer) in [
        (r#""job_retry": {}"#, "/job_retry"),
        (r#""recovery": {"automatic": true}"#, "/recovery"),
        (r#""concurrency_key": "k""#, "/concurrency_key"),
        (r#""retry": {"breaker": {}}"#, "/retry/breaker"),
        (r#""retry": {"avoid_last_worker": true}"#, "/retry/avoid_last_worker"),
        (r#""retry": {"on_exhausted": "escalate"}"#, "/retry/on_exhausted"),
        (r#""retry": {"strategy": "circuit_breaker"}"#, "/retry/strategy"),
    ] {
        assert_eq!(refused(&with_job(more)), not_available(pointer), "{more}");
    }
    for (more, pointer) in [
        (r#""executor": "http""#, "/nodes/1/executor"),
        (r#""compensation": {}"#, "/nodes/1/compensation"),
        (r#""concurrency_key": "k""#, "/nodes/1/concurrency_key"),
    ] {
        assert_eq!(refused(&with_node(more)), not_available(pointer), "{more}");
    }
    let types = [
        r#""type": "sub_job", "job": {"name": "x"}"#,
        r#""type": "notification", "to": {}, "event_type": "x", "data": {}"#,
    ];
    for more in types {
        let refusal = refused(&with_node(more));
        assert_eq!(refusal, later("node_type_not_available", "/nodes/1/type"), "{more}");
    }
    assert_eq!(
        refused(&with_node(r#""branches": []"#)),
        invalid("/nodes/1/branches", "unknown_field")
    );
}

#[test]
fn nesting_is_bounded_before_anything_is_parsed() {
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(refused(&deep(100_000)), invalid("", "too_deep"));
    assert_eq!(refused(&with_node(&format!("\"input\": {}", deep(64)))).0, 201);
    let refusal = refused(&with_node(&format!("\"input\": {}", deep(65))));
    assert_eq!(refusal, invalid("/nodes/1/input", "too_deep"));
}

#[test]
fn a_payload_stays_the_text_it_was() {
    let text = with_node(r#""input": {"b": 1.50, "a": 10000000000000000000000}"#);
    let Ok(body) = parse::<JobBody>(text.as_bytes(), &Bounds::default()) else {
        panic!("readable")
    };
    let Ok(spec) = body.into_spec() else { panic!("convertible") };
    let input = spec.nodes[1].input.as_ref().map(|input| input.get().to_owned());
    assert_eq!(input.as_deref(), Some(r#"{"b": 1.50, "a": 10000000000000000000000}"#));
}
