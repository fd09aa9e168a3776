//! Every shape of node, well and badly: what the domain is given, and the pointer and code of what is refused.

mod groups;

use domain::bounds::Bounds;
use domain::job::spec::JobSpec;
use domain::node::spec::{DependencyCondition, NodeKind, NodeSpec, NodeType, RunOn};

use crate::http::extract::json::parse;
use crate::http::problem::Problem;
use crate::http::schemas::job::JobBody;

/// The job, or pointers and codes of what is wrong.
fn read(text: &str) -> Result<JobSpec, Vec<(String, String)>> {
    read_within(text, &Bounds::default())
}

fn read_within(text: &str, bounds: &Bounds) -> Result<JobSpec, Vec<(String, String)>> {
    let read = parse::<JobBody>(text.as_bytes(), bounds);
    read.and_then(|body| body.into_spec().map_err(Problem::invalid)).map_err(|problem| {
        let shown = serde_json::to_value(problem.body(None, None)).unwrap_or_default();
        let word = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let errors = shown["errors"].as_array().cloned().unwrap_or_default();
        errors.iter().map(|error| (word(&error["pointer"]), word(&error["code"]))).collect()
    })
}

/// A job whose second node is this one.
fn with_node(node: &str) -> String {
    format!(r#"{{"name": "n", "nodes": [{{"key": "a"}}, {{"key": "b", {node}}}]}}"#)
}

fn node(more: &str) -> NodeSpec {
    match read(&with_node(more)).map(|job| job.nodes.into_iter().nth(1)) {
        Ok(Some(node)) => node,
        other => panic!("{more}: {other:?}"),
    }
}

#[track_caller]
fn refused(more: &str, expected: &[(&str, &str)]) {
    let errors = read(&with_node(more)).err().unwrap_or_default();
    let errors: Vec<(&str, &str)> =
        errors.iter().map(|(pointer, code)| (pointer.as_str(), code.as_str())).collect();
    let expected: Vec<(String, &str)> =
        expected.iter().map(|(pointer, code)| (format!("/nodes/1{pointer}"), *code)).collect();
    let expected: Vec<(&str, &str)> =
        expected.iter().map(|(pointer, code)| (pointer.as_str(), *code)).collect();
    assert_eq!(errors, expected, "{more}");
}

/// Of each type the least that it must have.
const LEAST: [(NodeType, &str); 6] = [
    (NodeType::Task, r#""type": "task""#),
    (
        NodeType::Condition,
        r#""type": "condition", "branches": [{"when": "${{ true }}", "then": []}]"#,
    ),
    (NodeType::ParallelGroup, r#""type": "parallel_group", "nodes": [{"key": "m"}]"#),
    (NodeType::SequentialGroup, r#""type": "sequential_group", "nodes": [{"key": "m"}]"#),
    (NodeType::Checkpoint, r#""type": "checkpoint""#),
    (NodeType::Cleanup, r#""type": "cleanup""#),
];

#[test]
fn each_type_is_read_with_the_least_and_with_what_all_have() {
    let common = r#""name": "N", "depends_on": ["a"], "skip_on_failure": true, "optional": true, "priority": 3,
        "estimated_duration_ms": 5, "tags": ["t"], "metadata": {"m": 1},
        "dependency_condition": "conditional", "when": "${{ nodes.a.status == 'failed' }}""#;
    for (node_type, least) in LEAST {
        assert_eq!(node(least).kind.node_type(), node_type);
        let spec = node(&format!("{least}, {common}"));
        assert_eq!((spec.key.as_str(), spec.name.as_deref()), ("b", Some("N")));
        assert_eq!(spec.depends_on, ["a"]);
        assert!(spec.skip_on_failure && spec.optional);
        assert_eq!((spec.priority, spec.estimated_duration_ms), (Some(3), Some(5)));
        assert_eq!((spec.tags.len(), spec.metadata.len()), (1, 1));
        assert_eq!(spec.dependency_condition, DependencyCondition::Conditional);
        assert_eq!(spec.when.as_deref(), Some("${{ nodes.a.status == 'failed' }}"));
    }
}

#[test]
fn what_a_type_does_not_have_is_refused_with_the_name_of_the_type() {
    use NodeType::{Checkpoint, Cleanup, Condition, ParallelGroup, SequentialGroup, Task};
    let work = &[Task, Cleanup][..];
    let groups = &[ParallelGroup, SequentialGroup][..];
    let repeated = &[Task, Cleanup, ParallelGroup, SequentialGroup][..];
    let table = [
        (r#""queue": "q""#, "/queue", work),
        (r#""action_type": "x""#, "/action_type", work),
        (r#""input": {"n": 1}"#, "/input", work),
        (r#""executor": "worker""#, "/executor", work),
        (r#""at_most_once": true"#, "/at_most_once", work),
        (r#""retry": {"max_attempts": 2}"#, "/retry", repeated),
        (r#""timeouts": {"attempt_ms": 5000}"#, "/timeouts", repeated),
        (r#""timeouts": {"total_ms": 5000}"#, "/timeouts", repeated),
        (r#""branches": []"#, "/branches", &[Condition]),
        (r#""default": ["a"]"#, "/default", &[Condition]),
        (r#""nodes": []"#, "/nodes", groups),
        (r#""for_each": [1]"#, "/for_each", groups),
        (r#""template": {}"#, "/template", groups),
        (r#""max_parallel": 2"#, "/max_parallel", &[ParallelGroup]),
        (r#""complete_when": {"any": true}"#, "/complete_when", groups),
        (r#""record": {}"#, "/record", &[Checkpoint]),
        (r#""run_on": ["always"]"#, "/run_on", &[Cleanup]),
        (r#""affects_outcome": true"#, "/affects_outcome", &[Cleanup]),
        (r#""job": {}"#, "/job", &[]),
        (r#""to": {}"#, "/to", &[]),
        (r#""event_type": "x""#, "/event_type", &[]),
        (r#""data": {}"#, "/data", &[]),
    ];
    for (node_type, least) in LEAST {
        for (more, pointer, types) in table {
            // What it must have stands there already.
            if !types.contains(&node_type) {
                refused(&format!("{least}, {more}"), &[(pointer, "unknown_field")]);
            }
        }
        let errors = parse::<JobBody>(
            with_node(&format!("{least}, \"to\": 1")).as_bytes(),
            &Bounds::default(),
        )
        .map(JobBody::into_spec);
        let Ok(Err(errors)) = errors else { panic!("{least} has no `to`") };
        assert_eq!(errors[0].message, format!("a {} has no such field", node_type.as_str()));
    }
    let queued = r#""timeouts": {"queue_ms": 5000}"#;
    for (node_type, least) in LEAST {
        let pointer = if groups.contains(&node_type) { "/timeouts/queue_ms" } else { "/timeouts" };
        if !work.contains(&node_type) {
            refused(&format!("{least}, {queued}"), &[(pointer, "unknown_field")]);
        }
    }
    refused(
        r#""type": "condition", "http": {}"#,
        &[("/http", "unknown_field"), ("/http", "not_available"), ("/branches", "required")],
    );
}

#[test]
fn what_asks_for_nothing_is_refused_of_nobody() {
    let nothing = r#""queue": null, "action_type": null, "input": null, "executor": null, "at_most_once": false,
        "retry": null, "timeouts": {}, "default": null, "for_each": null, "template": null, "max_parallel": null,
        "complete_when": null, "record": null, "hold": null, "run_on": null, "affects_outcome": false, "when": null,
        "job": null, "to": null"#;
    for (_, least) in LEAST {
        let branches = if least.contains("branches") { "" } else { r#", "branches": null"# };
        let nodes = if least.contains("nodes") { "" } else { r#", "nodes": null"# };
        node(&format!("{least}, {nothing}{branches}{nodes}"));
    }
}

#[test]
fn types_that_come_later_are_named_and_nothing_else_is_said_of_them() {
    for (later, more) in [
        ("sub_job", r#""job": {"name": "x"}, "queue": "q""#),
        ("notification", r#""to": {}, "event_type": "x", "data": {}"#),
    ] {
        refused(&format!(r#""type": "{later}", {more}"#), &[("/type", "node_type_not_available")]);
    }
    for (_, least) in LEAST {
        for later in ["compensation", "fallback", "resources", "concurrency_key"] {
            let pointer = format!("/{later}");
            refused(&format!(r#"{least}, "{later}": {{}}"#), &[(&pointer, "not_available")]);
        }
    }
    for work in ["task", "cleanup"] {
        let http = format!(r#""type": "{work}", "executor": "http", "http": {{}}"#);
        refused(&http, &[("/executor", "not_available"), ("/http", "not_available")]);
    }
    let hold = r#""type": "checkpoint", "record": {}, "hold": {"for_ms": 1000}"#;
    refused(hold, &[("/hold", "not_available")]);
}

#[test]
fn a_condition_has_branches_in_order() {
    let spec = node(
        r#""type": "condition", "default": ["d"],
           "branches": [{"when": "${{ 1 > 2 }}", "then": ["a", "c"]}, {"when": "x", "then": []}]"#,
    );
    let NodeKind::Condition { branches, default } = spec.kind else { panic!("a condition") };
    assert_eq!(branches.len(), 2);
    assert_eq!((branches[0].when.as_str(), branches[0].then.len()), ("${{ 1 > 2 }}", 2));
    assert_eq!((branches[1].when.as_str(), branches[1].then.len()), ("x", 0));
    assert_eq!(default, ["d"]);
    let condition = |more: &str| format!(r#""type": "condition", {more}"#);
    for (more, pointer, code) in [
        (r#""default": []"#, "/branches", "required"),
        (r#""branches": []"#, "/branches", "out_of_range"),
        (r#""branches": {}"#, "/branches", "wrong_type"),
        (r#""branches": [1]"#, "/branches/0", "wrong_type"),
        (r#""branches": [{"then": []}]"#, "/branches/0/when", "required"),
        (r#""branches": [{"when": "x"}]"#, "/branches/0/then", "required"),
        (r#""branches": [{"when": true, "then": []}]"#, "/branches/0/when", "wrong_type"),
        (r#""branches": [{"when": "x", "then": "a"}]"#, "/branches/0/then", "wrong_type"),
        (r#""branches": [{"when": "x", "then": [1]}]"#, "/branches/0/then/0", "wrong_type"),
        (
            r#""branches": [{"when": "x", "then": [], "else": []}]"#,
            "/branches/0/else",
            "unknown_field",
        ),
        (r#""branches": [{"when": "x", "then": []}], "default": "a""#, "/default", "wrong_type"),
        (
            r#""branches": [{"when": "x", "then": []}], "default": [null]"#,
            "/default/0",
            "wrong_type",
        ),
    ] {
        refused(&condition(more), &[(pointer, code)]);
    }
    let many = vec![r#"{"when": "x", "then": []}"#; 101].join(",");
    refused(&condition(&format!(r#""branches": [{many}]"#)), &[("/branches", "too_many")]);
    let names = vec![r#""a""#; 5_001].join(",");
    let wide = format!(r#""branches": [{{"when": "x", "then": [{names}]}}]"#);
    refused(&condition(&wide), &[("/branches/0/then", "too_many")]);
}

#[test]
fn the_names_in_branches_have_a_bound_of_their_own() {
    let bounds = Bounds { edges_max: 3, ..Bounds::default() };
    let job = |names: &str| {
        format!(
            r#"{{"name": "n", "nodes": [{{"key": "a"}}, {{"key": "b", "depends_on": ["a", "a", "a"]}},
                {{"key": "c", "type": "condition", "default": [{names}], "branches": [{{"when": "x", "then": ["a"]}}]}}]}}"#
        )
    };
    assert!(read_within(&job(r#""a", "a""#), &bounds).is_ok());
    let errors = read_within(&job(r#""a", "a", "a""#), &bounds).err().unwrap_or_default();
    assert_eq!(errors, [("/nodes/2/branches/0/then".to_owned(), "too_many".to_owned())]);
}

#[test]
fn a_checkpoint_records_what_is_given() {
    let spec = node(r#""type": "checkpoint", "record": {"n": "${{ nodes.a.output }}"}"#);
    let NodeKind::Checkpoint { record } = spec.kind else { panic!("a checkpoint") };
    assert_eq!(
        record.map(|record| record.get().to_owned()).as_deref(),
        Some(r#"{"n": "${{ nodes.a.output }}"}"#)
    );
    let deep = format!("{}{}", "[".repeat(65), "]".repeat(65));
    let checkpoint = |record: &str| format!(r#""type": "checkpoint", "record": {record}"#);
    refused(&checkpoint(&deep), &[("/record", "too_deep")]);
    refused(&checkpoint(r#""\ud800""#), &[("/record", "invalid_value")]);
}

#[test]
fn a_cleanup_says_after_which_ends_it_runs() {
    let spec = node(
        r#""type": "cleanup", "run_on": ["failure", "cancel"], "affects_outcome": true, "queue": "q", "action_type": "x",
           "input": {}, "at_most_once": true, "retry": {"max_attempts": 2}, "timeouts": {"queue_ms": 5000}"#,
    );
    let NodeKind::Cleanup { run_on, affects_outcome } = spec.kind else { panic!("a cleanup") };
    assert_eq!((run_on.as_slice(), affects_outcome), (&[RunOn::Failure, RunOn::Cancel][..], true));
    assert_eq!((spec.queue.as_deref(), spec.at_most_once), (Some("q"), true));
    let NodeKind::Cleanup { run_on, affects_outcome } = node(r#""type": "cleanup""#).kind else {
        panic!("a cleanup")
    };
    assert_eq!((run_on.as_slice(), affects_outcome), (&[][..], false));
    let cleanup = |more: &str| format!(r#""type": "cleanup", {more}"#);
    for (more, pointer, code) in [
        (r#""run_on": []"#, "/run_on", "out_of_range"),
        (r#""run_on": "always""#, "/run_on", "wrong_type"),
        (r#""run_on": ["never"]"#, "/run_on/0", "invalid_value"),
        (r#""run_on": ["success", "always", "success"]"#, "/run_on/2", "duplicate"),
        (
            r#""run_on": ["always", "success", "failure", "cancel", "always"]"#,
            "/run_on",
            "too_many",
        ),
        (r#""affects_outcome": "yes""#, "/affects_outcome", "wrong_type"),
    ] {
        refused(&cleanup(more), &[(pointer, code)]);
    }
}

#[test]
fn when_stands_with_conditional_and_only_there() {
    for (more, pointer, code) in [
        (r#""dependency_condition": "conditional""#, "/when", "required"),
        (r#""when": "${{ true }}""#, "/when", "invalid_value"),
        (r#""dependency_condition": "any", "when": "${{ true }}""#, "/when", "invalid_value"),
        (r#""dependency_condition": "conditional", "when": true"#, "/when", "wrong_type"),
        (r#""dependency_condition": "some""#, "/dependency_condition", "invalid_value"),
        (r#""dependency_condition": 5"#, "/dependency_condition", "wrong_type"),
        (r#""dependency_condition": null"#, "/dependency_condition", "wrong_type"),
        (r#""dependency_condition": ["all"]"#, "/dependency_condition", "wrong_type"),
        (r#""dependency_condition": {"at_least": 2}"#, "/dependency_condition", "invalid_value"),
        (
            r#""dependency_condition": {"tolerate": {"count": 1}}"#,
            "/dependency_condition",
            "invalid_value",
        ),
        (r#""dependency_condition": "at_least""#, "/dependency_condition", "invalid_value"),
    ] {
        refused(more, &[(pointer, code)]);
    }
    let text = with_node(r#""dependency_condition": {"at_least": 2}"#);
    let body = parse::<JobBody>(text.as_bytes(), &Bounds::default()).map(JobBody::into_spec);
    let Ok(Err(errors)) = body else { panic!("parents are not counted") };
    for word in ["parallel_group", "complete_when", "at_least", "`when`"] {
        assert!(errors[0].message.contains(word), "{}", errors[0].message);
    }
}

#[test]
fn a_job_may_end_early_and_bounds_its_cleanups() {
    let job = |more: &str| read(&format!(r#"{{"name": "n", "nodes": [{{"key": "a"}}], {more}}}"#));
    let Ok(spec) =
        job(r#""complete_early": true, "cleanup_timeout_ms": 5000, "output": "${{ 1 }}""#)
    else {
        panic!("a job")
    };
    assert_eq!((spec.complete_early, spec.cleanup_timeout_ms), (true, Some(5_000)));
    for (more, pointer, code) in [
        (r#""complete_early": 1"#, "/complete_early", "wrong_type"),
        (r#""cleanup_timeout_ms": "5 s""#, "/cleanup_timeout_ms", "wrong_type"),
        (r#""cleanup_timeout_ms": -1"#, "/cleanup_timeout_ms", "out_of_range"),
    ] {
        assert_eq!(job(more).err(), Some(vec![(pointer.to_owned(), code.to_owned())]));
    }
}
