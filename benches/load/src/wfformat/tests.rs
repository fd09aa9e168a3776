//! The import of recorded workflows: small documents made here for each rule and each error, and the recorded
//! runs of `ORRERY_WORKFLOWS_DIR`, when they are asked for.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::*;
use crate::document;

fn import(document: &Value) -> Result<ImportedJob, WfFormatError> {
    job_of(document.to_string().as_bytes(), "default")
}

fn workflow(tasks: &Value, runs: &Value) -> Value {
    json!({ "name": "small", "schemaVersion": "1.5", "description": "",
            "workflow": { "specification": { "tasks": tasks }, "execution": { "tasks": runs } } })
}

fn task(id: &str, parents: &[&str], children: &[&str]) -> Value {
    json!({ "id": id, "name": id, "parents": parents, "children": children })
}

#[test]
fn tasks_become_nodes_with_their_id_runtime_and_edges() {
    let runs = json!([{ "id": "b#1", "runtimeInSeconds": 2.5, "command": { "program": "sort" } }]);
    let tasks = json!([task("b#1", &["a.1"], &[]), task("a.1", &[], &["b#1"])]);
    let job = serde_json::to_value(import(&workflow(&tasks, &runs)).expect("a job")).expect("JSON");
    assert_eq!(
        job,
        json!({
            "name": "small",
            "metadata": { "wfformat.schema_version": "1.5" },
            "nodes": [
                { "key": "t0", "name": "b#1", "type": "task", "queue": "default", "depends_on": ["t1"],
                  "input": { "runtime_s": 2.5, "program": "sort" }, "metadata": { "wfformat.id": "b#1" } },
                { "key": "t1", "name": "a.1", "type": "task", "queue": "default",
                  "input": { "runtime_s": 0.0 }, "metadata": { "wfformat.id": "a.1" } },
            ]
        })
    );
}

/// A document of 1.4, whose edges name tasks by name.
fn flat(tasks: &Value) -> Value {
    json!({ "name": "flat", "schemaVersion": "1.4", "workflow": { "makespanInSeconds": 3, "tasks": tasks } })
}

#[test]
fn a_file_of_1_4_has_its_tasks_runtimes_and_edges_in_one_place() {
    let document = flat(&json!([
        { "name": "split_ID0000001", "id": "ID0000001", "type": "compute", "parents": [],
          "children": ["sort_ID0000002"], "runtimeInSeconds": 2.5, "command": { "program": "split", "arguments": [] },
          "files": [], "cores": 1, "category": "split" },
        { "name": "sort_ID0000002", "id": "ID0000002", "parents": ["split_ID0000001"], "children": [] },
    ]));
    let job = import(&document).expect("a job");
    let facts: Vec<_> = job
        .nodes
        .iter()
        .map(|node| {
            (
                node.name.as_str(),
                node.metadata["wfformat.id"].as_str(),
                node.depends_on.clone(),
                node.input.runtime_s,
            )
        })
        .collect();
    let expected = [
        ("split_ID0000001", "ID0000001", Vec::new(), 2.5),
        ("sort_ID0000002", "ID0000002", vec!["t0".to_owned()], 0.0),
    ];
    assert_eq!(facts, expected);
    assert_eq!(job.nodes[0].input.program.as_deref(), Some("split"));
    assert_eq!(job.metadata["wfformat.schema_version"], "1.4");
}

#[test]
fn files_before_1_5_name_edges_by_id_too_and_may_tell_them_once() {
    let by_id = flat(&json!([
        { "name": "a", "id": "1", "runtime": 4.0 },
        { "name": "b", "id": "2", "parents": ["1"], "runtime": 1.0 },
    ]));
    let job = import(&by_id).expect("a job");
    assert_eq!(
        (job.nodes[0].input.runtime_s, &job.nodes[1].depends_on),
        (4.0, &vec!["t0".to_owned()])
    );
    let unnamed = flat(&json!([{ "name": "a" }, { "name": "b", "parents": ["a"] }]));
    assert_eq!(import(&unnamed).expect("a job").nodes[1].depends_on, ["t0"]);
}

#[test]
fn an_edge_of_1_4_that_means_nothing_or_two_things_is_named() {
    let shared = flat(&json!([
        { "name": "a", "id": "1" }, { "name": "a", "id": "2" }, { "name": "b", "id": "3", "parents": ["a"] },
    ]));
    assert_eq!(import(&shared).err(), Some(WfFormatError::SharedName("a".to_owned())));
    let unknown = flat(&json!([{ "name": "a", "id": "1", "parents": ["x"] }]));
    let expected =
        WfFormatError::UnknownTask { task: "1".to_owned(), other: "x".to_owned(), role: "parent" };
    assert_eq!(import(&unknown).err(), Some(expected));
    let one_sided = flat(&json!([
        { "name": "a", "id": "1", "children": [] }, { "name": "b", "id": "2", "parents": ["a"], "children": [] },
    ]));
    assert!(matches!(import(&one_sided), Err(WfFormatError::OneSided { .. })));
}

#[test]
fn each_kind_of_bad_file_is_named() {
    let owned = str::to_owned;
    let no_runs = json!([]);
    let table = [
        (workflow(&json!([]), &no_runs), WfFormatError::Empty),
        (json!({ "workflow": { "tasks": [] } }), WfFormatError::Empty),
        (json!({ "workflow": {} }), WfFormatError::NoSpecification),
        (json!({}), WfFormatError::NoSpecification),
        (
            workflow(&json!([task("a", &[], &[]), task("a", &[], &[])]), &no_runs),
            WfFormatError::DoubledId(owned("a")),
        ),
        (
            workflow(&json!([task("a", &["x"], &[])]), &no_runs),
            WfFormatError::UnknownTask { task: owned("a"), other: owned("x"), role: "parent" },
        ),
        (
            workflow(&json!([task("a", &[], &["b"]), task("b", &[], &[])]), &no_runs),
            WfFormatError::OneSided { task: owned("a"), other: owned("b"), role: "child" },
        ),
        (
            workflow(&json!([task("a", &["b"], &[]), task("b", &[], &[])]), &no_runs),
            WfFormatError::OneSided { task: owned("a"), other: owned("b"), role: "parent" },
        ),
        (workflow(&json!([task("a", &["a"], &["a"])]), &no_runs), WfFormatError::Cycle(owned("a"))),
        (
            workflow(&json!([task("a", &[], &[])]), &json!([{ "id": "z" }])),
            WfFormatError::UnknownExecution(owned("z")),
        ),
        (
            workflow(&json!([task("a", &[], &[])]), &json!([{ "id": "a" }, { "id": "a" }])),
            WfFormatError::DoubledExecution(owned("a")),
        ),
        (
            workflow(
                &json!([task("a", &[], &[])]),
                &json!([{ "id": "a", "runtimeInSeconds": -1.0 }]),
            ),
            WfFormatError::BadRuntime(owned("a"), -1.0),
        ),
    ];
    for (document, expected) in table {
        assert_eq!(import(&document).expect_err("a bad file"), expected, "{document}");
    }
    assert!(matches!(job_of(b"[1,", "default"), Err(WfFormatError::NotJson(_))));
}

#[test]
fn a_cycle_is_named_by_a_task_that_is_on_it() {
    // start -> a -> b -> a, b -> end: neither `start` nor `end` is on the cycle.
    let tasks = json!([
        task("end", &["b"], &[]),
        task("start", &[], &["a"]),
        task("a", &["start", "b"], &["b"]),
        task("b", &["a"], &["a", "end"]),
    ]);
    match import(&workflow(&tasks, &json!([]))) {
        Err(WfFormatError::Cycle(task)) => assert!(task == "a" || task == "b", "{task}"),
        other => panic!("a cycle must be refused: {other:?}"),
    }
}

#[test]
fn an_edge_told_more_than_once_is_one_edge() {
    let tasks = json!([task("a", &[], &["b", "b"]), task("b", &["a", "a"], &[])]);
    let job = import(&workflow(&tasks, &json!([]))).expect("a job");
    assert_eq!(job.nodes[1].depends_on, ["t0"]);
}

#[test]
fn a_name_is_cut_to_what_a_job_may_have() {
    assert_eq!(cut("  ab c  ", 3), "ab");
    assert_eq!(cut(&"ü".repeat(300), NAME_CHARS_MAX).chars().count(), NAME_CHARS_MAX);
}

#[test]
#[ignore = "needs recorded workflows: ORRERY_WORKFLOWS_DIR"]
fn every_recorded_workflow_keeps_its_tasks_and_edges() {
    let folder = std::env::var_os("ORRERY_WORKFLOWS_DIR").map(PathBuf::from);
    let folder = folder.expect("ORRERY_WORKFLOWS_DIR is a folder");
    let mut seen = 0;
    for entry in std::fs::read_dir(&folder).expect("the folder of recorded workflows") {
        let path = entry.expect("an entry").path();
        if !path.to_string_lossy().ends_with(".json.gz") {
            continue;
        }
        let bytes = document::read(&path).expect("a readable file");
        let document: Value = serde_json::from_slice(&bytes).expect("JSON");
        let tasks = document
            .pointer("/workflow/specification/tasks")
            .and_then(Value::as_array)
            .expect("tasks");
        let job =
            job_of(&bytes, "default").unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let edges = |task: &Value| task["parents"].as_array().map_or(0, Vec::len);
        assert_eq!(job.nodes.len(), tasks.len(), "{}", path.display());
        assert_eq!(
            job.nodes.iter().map(|node| node.depends_on.len()).sum::<usize>(),
            tasks.iter().map(edges).sum::<usize>(),
            "{}",
            path.display()
        );
        for (node, task) in job.nodes.iter().zip(tasks) {
            assert_eq!(task["id"], node.metadata["wfformat.id"].as_str());
        }
        seen += 1;
    }
    assert!(seen > 0, "no recorded workflows in {}", folder.display());
}
