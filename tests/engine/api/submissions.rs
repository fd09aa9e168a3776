//! Jobs of all node types that are wrong, one fault each: the pointer and the code that name it, and that nothing is stored.
//! Then what can only be wrong while the job runs: a classified failure of the node. Absent: shapes that are met while a
//! body is read, which `src/http/schemas/node/tests.rs` has in full; some of each are here, over the whole way.

use serde_json::{Value, json};

use super::examples::run;
use super::service::Service;

const JOBS: &str = "/api/v1/jobs";

/// Nodes as text, then the pointer and the code of the first error.
type Wrong = (&'static str, &'static str, &'static str);

fn job(nodes: &Value) -> Value {
    json!({"name": "n", "input": {"n": 1, "list": [1, 2]}, "nodes": nodes})
}

async fn all_refused(table: &[Wrong]) {
    let service = Service::start().await;
    let before = service.store.appends();
    for (nodes, pointer, code) in table {
        let nodes: Value = serde_json::from_str(nodes).expect("nodes are JSON");
        is_refused(&service, &job(&nodes), pointer, code).await;
    }
    assert_eq!(service.store.appends(), before, "something was stored");
}

async fn is_refused(service: &Service, body: &Value, pointer: &str, code: &str) {
    let answer = service.post(JOBS, body).await;
    assert_eq!(answer.status.as_u16(), 422, "{body}: {}", answer.text);
    let problem = answer.json();
    let error = &problem["errors"][0];
    assert_eq!((&error["pointer"], &error["code"]), (&pointer.into(), &code.into()), "{problem}");
    assert!(error["message"].as_str().is_some_and(|text| text.len() > 5), "{problem}");
}

#[rustfmt::skip]
const SHAPES: &[Wrong] = &[
    (r#"[{"key": "a", "type": "group"}]"#, "/nodes/0/type", "invalid_value"),
    (r#"[{"key": "a", "type": "notification"}]"#, "/nodes/0/type", "node_type_not_available"),
    (r#"[{"key": "a", "branches": []}]"#, "/nodes/0/branches", "unknown_field"),
    (r#"[{"key": "a", "dependency_condition": {"tolerate": {"count": 1}}}]"#, "/nodes/0/dependency_condition", "invalid_value"),
    (r#"[{"key": "a", "dependency_condition": "conditional"}]"#, "/nodes/0/when", "required"),
    (r#"[{"key": "a", "type": "condition"}]"#, "/nodes/0/branches", "required"),
    (r#"[{"key": "a", "type": "condition", "branches": [{"when": 1, "then": []}]}]"#, "/nodes/0/branches/0/when", "wrong_type"),
    (r#"[{"key": "g", "type": "parallel_group"}]"#, "/nodes/0/nodes", "required"),
    (r#"[{"key": "g", "type": "parallel_group", "nodes": []}]"#, "/nodes/0/nodes", "required"),
    (r#"[{"key": "g", "type": "parallel_group", "nodes": [{"key": "a b"}]}]"#, "/nodes/0/nodes/0/key", "invalid_format"),
    (r#"[{"key": "g", "type": "parallel_group", "nodes": [{"key": "m"}], "max_parallel": 0}]"#, "/nodes/0/max_parallel", "out_of_range"),
    (r#"[{"key": "g", "type": "sequential_group", "nodes": [{"key": "m"}], "max_parallel": 1}]"#, "/nodes/0/max_parallel", "unknown_field"),
    (r#"[{"key": "g", "type": "parallel_group", "nodes": [{"key": "m"}], "complete_when": {"at_least": 2}}]"#, "/nodes/0/complete_when/at_least", "out_of_range"),
    (r#"[{"key": "g", "type": "parallel_group", "nodes": [{"key": "m"}], "complete_when": {"tolerate": {"percent": 101}}}]"#, "/nodes/0/complete_when/tolerate/percent", "out_of_range"),
    (r#"[{"key": "g", "type": "parallel_group", "nodes": [{"key": "m"}], "timeouts": {"total_ms": 999}}]"#, "/nodes/0/timeouts/total_ms", "out_of_range"),
    (r#"[{"key": "g", "type": "parallel_group", "nodes": [{"key": "m"}], "retry": {"max_attempts": 0}}]"#, "/nodes/0/retry/max_attempts", "out_of_range"),
    (r#"[{"key": "g", "type": "parallel_group", "nodes": [{"key": "m"}], "queue": "q"}]"#, "/nodes/0/queue", "unknown_field"),
    (r#"[{"key": "g", "type": "parallel_group", "for_each": [1], "template": {"priority": 11}}]"#, "/nodes/0/template/priority", "out_of_range"),
    (r#"[{"key": "a", "type": "checkpoint", "hold": {"signal": "s"}}]"#, "/nodes/0/hold", "not_available"),
    (r#"[{"key": "a"}, {"key": "b", "type": "cleanup", "run_on": []}]"#, "/nodes/1/run_on", "out_of_range"),
    (r#"[{"key": "a"}, {"key": "b", "type": "cleanup", "queue": "a b"}]"#, "/nodes/1/queue", "invalid_format"),
];

#[tokio::test]
async fn shapes_that_are_wrong_are_refused_over_the_whole_way() {
    all_refused(SHAPES).await;
    let service = Service::start().await;
    let mut body = job(&json!([{"key": "a"}]));
    body["cleanup_timeout_ms"] = json!(5);
    is_refused(&service, &body, "/cleanup_timeout_ms", "out_of_range").await;
}

#[rustfmt::skip]
const REFERENCES: &[Wrong] = &[
    (r#"[{"key": "a", "depends_on": ["b"]}]"#, "/nodes/0/depends_on/0", "unknown_node"),
    // Out of a group, on the group itself, and into one.
    (r#"[{"key": "a"}, {"key": "g", "type": "parallel_group", "nodes": [{"key": "m", "depends_on": ["a"]}]}]"#, "/nodes/1/nodes/0/depends_on/0", "unknown_node"),
    (r#"[{"key": "g", "type": "parallel_group", "nodes": [{"key": "m", "depends_on": ["g"]}]}]"#, "/nodes/0/nodes/0/depends_on/0", "unknown_node"),
    (r#"[{"key": "g", "type": "parallel_group", "nodes": [{"key": "m"}]}, {"key": "a", "depends_on": ["m"]}]"#, "/nodes/1/depends_on/0", "unknown_node"),
    (r#"[{"key": "g", "type": "parallel_group", "nodes": [{"key": "m"}]}, {"key": "a", "depends_on": ["g/m"]}]"#, "/nodes/1/depends_on/0", "unknown_node"),
    (r#"[{"key": "a"}, {"key": "g", "type": "parallel_group", "for_each": [1], "template": {"depends_on": ["a"]}}]"#, "/nodes/1/template/depends_on", "invalid_value"),
    // In a circle, inside a group and through one.
    (r#"[{"key": "g", "type": "parallel_group", "nodes": [{"key": "x", "depends_on": ["y"]}, {"key": "y", "depends_on": ["x"]}]}]"#, "/nodes/0/nodes/0/depends_on", "cycle"),
    (r#"[{"key": "a", "depends_on": ["g"]}, {"key": "g", "type": "parallel_group", "nodes": [{"key": "m"}], "depends_on": ["a"]}]"#, "/nodes/0/depends_on", "cycle"),
    (r#"[{"key": "g", "type": "parallel_group", "nodes": [{"key": "m"}, {"key": "m"}]}]"#, "/nodes/0/nodes/1/key", "duplicate"),
    // From branches.
    (r#"[{"key": "c", "type": "condition", "branches": [{"when": "${{ true }}", "then": ["a"]}]}, {"key": "a"}]"#, "/nodes/0/branches/0/then/0", "not_dependent"),
    (r#"[{"key": "c", "type": "condition", "branches": [{"when": "${{ true }}", "then": []}], "default": ["a"]}, {"key": "a"}]"#, "/nodes/0/default/0", "not_dependent"),
    (r#"[{"key": "c", "type": "condition", "branches": [{"when": "${{ true }}", "then": ["nobody"]}]}]"#, "/nodes/0/branches/0/then/0", "unknown_node"),
    (r#"[{"key": "c", "type": "condition", "branches": [{"when": "${{ true }}", "then": ["a", "a"]}]}, {"key": "a", "depends_on": ["c"]}]"#, "/nodes/0/branches/0/then/1", "duplicate"),
    // Around cleanups.
    (r#"[{"key": "a", "type": "cleanup"}]"#, "/nodes", "required"),
    (r#"[{"key": "a", "depends_on": ["b"]}, {"key": "b", "type": "cleanup"}]"#, "/nodes/0/depends_on/0", "invalid_value"),
    (r#"[{"key": "a"}, {"key": "b", "type": "cleanup", "depends_on": ["nobody"]}]"#, "/nodes/1/depends_on/0", "unknown_node"),
    (r#"[{"key": "g", "type": "parallel_group", "nodes": [{"key": "m", "type": "cleanup"}]}]"#, "/nodes/0/nodes/0/type", "invalid_value"),
];

#[tokio::test]
async fn references_that_lead_nowhere_are_refused() {
    all_refused(REFERENCES).await;
}

#[rustfmt::skip]
const EXPRESSIONS: &[Wrong] = &[
    (r#"[{"key": "a"}, {"key": "b", "input": "${{ nodes.a.output }}"}]"#, "/nodes/1/input", "expression"),
    (r#"[{"key": "g", "type": "parallel_group", "nodes": [{"key": "m"}]}, {"key": "a", "depends_on": ["g"], "input": "${{ nodes.m.output }}"}]"#, "/nodes/1/input", "expression"),
    (r#"[{"key": "g", "type": "parallel_group", "nodes": [{"key": "m", "input": "${{ nodes.g.output }}"}]}]"#, "/nodes/0/nodes/0/input", "expression"),
    (r#"[{"key": "a"}, {"key": "b", "depends_on": ["a"], "dependency_condition": "conditional", "when": "${{ 1 }}"}]"#, "/nodes/1/when", "expression"),
    (r#"[{"key": "a"}, {"key": "b", "depends_on": ["a"], "dependency_condition": "conditional", "when": "${{ nodes.b.status }}"}]"#, "/nodes/1/when", "expression"),
    (r#"[{"key": "c", "type": "condition", "branches": [{"when": "${{ job.input.list }}", "then": []}]}]"#, "/nodes/0/branches/0/when", "expression"),
    (r#"[{"key": "a"}, {"key": "k", "type": "checkpoint", "record": {"x": "${{ nodes.a.output }}"}}]"#, "/nodes/1/record/x", "expression"),
    (r#"[{"key": "a"}, {"key": "k", "type": "cleanup", "input": "${{ nodes.nobody.output }}"}]"#, "/nodes/1/input", "expression"),
    (r#"[{"key": "g", "type": "parallel_group", "for_each": "${{ nodes.a.output }}", "template": {}}]"#, "/nodes/0/for_each", "expression"),
    (r#"[{"key": "g", "type": "parallel_group", "for_each": "${{ item }}", "template": {}}]"#, "/nodes/0/for_each", "expression"),
    (r#"[{"key": "g", "type": "parallel_group", "for_each": "${{ job.input.n }}", "template": {}}]"#, "/nodes/0/for_each", "invalid_value"),
    (r#"[{"key": "g", "type": "parallel_group", "for_each": "no expression", "template": {}}]"#, "/nodes/0/for_each", "invalid_value"),
    (r#"[{"key": "g", "type": "parallel_group", "for_each": {"a": 1}, "template": {}}]"#, "/nodes/0/for_each", "wrong_type"),
    (r#"[{"key": "g", "type": "parallel_group", "for_each": [1], "template": {"input": {"${{ item }}": 1}}}]"#, "/nodes/0/template/input", "expression"),
    (r#"[{"key": "g", "type": "parallel_group", "for_each": [1], "template": {"input": "${{ items }}"}}]"#, "/nodes/0/template/input", "expression"),
];

#[tokio::test]
async fn expressions_that_cannot_have_a_value_are_refused_where_they_stand() {
    all_refused(EXPRESSIONS).await;
    let service = Service::start().await;
    let long = json!([{
        "key": "g", "type": "parallel_group", "for_each": vec![1; 10_001], "template": {},
    }]);
    is_refused(&service, &job(&long), "/nodes/0/for_each", "invalid_value").await;
    let mut body = job(&json!([{"key": "a"}]));
    body["output"] = json!({"x": "${{ nodes.b.output }}"});
    is_refused(&service, &body, "/output/x", "expression").await;
}

#[tokio::test]
async fn the_message_about_an_expression_begins_with_its_class() {
    let service = Service::start().await;
    let long = format!("${{{{ {} }}}}", "1 + ".repeat(400) + "1");
    let deep = format!("${{{{ {}1{} }}}}", "[".repeat(40), "]".repeat(40));
    for (expression, class) in [
        ("${{ 1 + }}", "syntax"),
        ("${{ 1", "syntax"),
        ("${{ '\u{7} }}", "syntax"),
        ("${{ nope(1) }}", "unknown_name"),
        ("${{ secrets.a }}", "unknown_name"),
        ("${{ nodes.b.output }}", "unknown_name"),
        ("${{ nodes.z.output }}", "unknown_name"),
        ("${{ nodes.a.input }}", "unknown_name"),
        ("${{ job.status }}", "unknown_name"),
        ("${{ item }}", "unknown_name"),
        ("${{ job.input.missing }}", "no_such_key"),
        ("${{ job.input.list[7] }}", "index"),
        ("${{ 1 + 'a' }}", "type"),
        ("${{ 1 / 0 }}", "division_by_zero"),
        ("${{ 9223372036854775807 + job.input.n }}", "overflow"),
        (long.as_str(), "budget"),
        (deep.as_str(), "budget"),
    ] {
        let nodes =
            json!([{"key": "a"}, {"key": "b", "depends_on": ["a"], "input": {"x": [expression]}}]);
        let problem = service.post(JOBS, &job(&nodes)).await.problem(422, "validation_failed");
        let error = &problem["errors"][0];
        assert_eq!(error["pointer"], "/nodes/1/input/x/0", "{problem}");
        let message = error["message"].as_str().unwrap_or_default();
        assert!(message.starts_with(&format!("{class}: ")), "{expression:.60}: {message}");
    }
}

/// The error of a job whose first node gives this and whose second fails for it, without an attempt.
async fn failed(second: &Value, first_gives: &Value) -> Value {
    let service = Service::start().await;
    let nodes = json!([{"key": "a", "action_type": "first"}, second]);
    let done = run(&service, &job(&nodes), |_, _| Ok(first_gives.clone())).await;
    assert_eq!(done.job["status"], "failed", "{}", done.job);
    assert_eq!(done.order(), ["first"], "the second has no attempt");
    assert_eq!(done.status("b"), "failed");
    let error = done.job["error"].clone();
    assert_eq!((&error["node"], &error["class"]), (&"b".into(), &"expression".into()), "{error}");
    error
}

#[track_caller]
fn says(error: &Value, error_type: &str, words: &str) {
    assert_eq!(error["type"], error_type, "{error}");
    assert!(error["message"].as_str().is_some_and(|text| text.contains(words)), "{error}");
}

#[tokio::test]
async fn what_is_wrong_only_while_the_job_runs_fails_its_node_with_a_class() {
    let list = json!({
        "key": "b", "type": "parallel_group", "depends_on": ["a"],
        "for_each": "${{ nodes.a.output.list }}", "template": {},
    });
    says(&failed(&list, &json!({"list": 5})).await, "type", "must be a list");
    says(&failed(&list, &json!({"list": vec![0; 10_001]})).await, "type", "10000");
    says(&failed(&list, &json!({})).await, "no_such_key", "nodes.a.output");
    let task = |input: &str| json!({"key": "b", "depends_on": ["a"], "input": {"x": input}});
    let error = failed(&task("${{ nodes.a.output.n + 1.5 }}"), &json!({"n": 1})).await;
    says(&error, "type", "double(");
    let large = json!({"text": "x".repeat(200_000)});
    let error = failed(&task("${{ nodes.a.output.text + nodes.a.output.text }}"), &large).await;
    says(&error, "budget", "input/x");
}
