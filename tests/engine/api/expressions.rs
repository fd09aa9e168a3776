//! Expressions, tried out over HTTP.

use serde_json::{Value, json};

use super::service::Service;

const EVALUATE: &str = "/api/v1/expressions/evaluate";

fn data() -> Value {
    json!({
        "job": {"input": {"n": 3, "big": 123_456_789_012_345_678_i64}, "id": "j-1"},
        "nodes": {"a": {"output": {"n": 41}, "status": "completed", "attempts": 1}, "b-2": {"status": "failed"}},
        "item": null,
        "index": 0,
    })
}

#[tokio::test]
async fn an_expression_is_evaluated_bare_in_braces_and_within_a_text() {
    let service = Service::start().await;
    let before = service.store.appends();
    for (expression, value) in [
        ("nodes.a.output.n + 1", json!(42)),
        ("${{ nodes.a.output.n + 1 }}", json!(42)),
        (" ${{ job.input }} ", json!({"n": 3, "big": 123_456_789_012_345_678_i64})),
        ("n: ${{ job.input.n }}, ${{ nodes['b-2'].status }}", json!("n: 3, failed")),
        ("'${{ 1 }}'", json!("${{ 1 }}")),
        ("item == null && index == 0", json!(true)),
        ("has(nodes.a.error) || has(job.error)", json!(false)),
        ("1.5 * 2.0", json!(3.0)),
    ] {
        let answer =
            service.post(EVALUATE, &json!({"expression": expression, "data": data()})).await;
        assert_eq!(answer.ok(200)["value"], value, "{expression}");
    }
    assert_eq!(
        service.post(EVALUATE, &json!({"expression": "1"})).await.ok(200),
        json!({"value": 1})
    );
    assert_eq!(service.store.appends(), before);
}

#[tokio::test]
async fn a_wrong_expression_is_told_with_class_and_column() {
    let service = Service::start().await;
    for (expression, class, column) in [
        ("1 +", "syntax", 4),
        ("  1 +", "syntax", 6),
        ("a ${{ 1 + }}", "syntax", 11),
        ("nodes.c.output", "unknown_name", 1),
        ("true || nodes.c.output", "unknown_name", 9),
        ("input.n", "unknown_name", 1),
        ("1 + 'a'", "type", 3),
        ("nodes.a.error", "no_such_key", 1),
        ("job.input.m", "no_such_key", 11),
        ("[1][1]", "index", 4),
        ("9223372036854775807 + job.input.n", "overflow", 21),
        ("1 / 0", "division_by_zero", 3),
        ("1.0 / 0.0", "overflow", 5),
        (&vec!["1"; 100_000].join("+"), "budget", 1),
        (&"(".repeat(10_000), "budget", 1),
    ] {
        let answer =
            service.post(EVALUATE, &json!({"expression": expression, "data": data()})).await;
        let problem = answer.problem(422, "expression");
        let error = &problem["errors"][0];
        assert_eq!(error["pointer"], "/expression", "{problem}");
        assert_eq!(
            (&error["class"], &error["column"]),
            (&json!(class), &json!(column)),
            "{problem}"
        );
    }
    let body = json!({"expression": "nodes.c.output", "data": data()});
    let problem = service.post(EVALUATE, &body).await.problem(422, "expression");
    assert_eq!(problem["errors"][0]["allowed"], json!(["a", "b-2"]));
}

#[tokio::test]
async fn bad_requests_are_refused() {
    let service = Service::start().await;
    for (body, pointer) in [
        (json!({}), "/expression"),
        (json!({"expression": 1}), "/expression"),
        (json!({"expression": "1", "other": 1}), "/other"),
        (json!({"expression": "1", "data": []}), "/data"),
        (json!({"expression": "1", "data": {"node": {}}}), "/data/node"),
        (json!({"expression": "1", "data": {"nodes": {"a": {"out": 1}}}}), "/data/nodes/a/out"),
        (json!({"expression": "1", "data": {"item": "a".repeat(1 << 20)}}), "/data"),
    ] {
        let problem = service.post(EVALUATE, &body).await.problem(422, "validation_failed");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
}
