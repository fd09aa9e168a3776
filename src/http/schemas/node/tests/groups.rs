//! Groups: members, templates, their depth and their number.

use std::fmt::Write as _;

use domain::bounds::Bounds;
use domain::job::spec::CompleteWhen;
use domain::node::spec::{MembersSpec, NodeKind};

use super::{node, read, read_within, refused};
use crate::http::extract::json::parse;
use crate::http::schemas::job::JobBody;

#[test]
fn a_group_has_members_or_a_template() {
    let spec = node(
        r#""type": "parallel_group", "max_parallel": 2, "complete_when": {"at_least": 1},
           "retry": {"max_attempts": 2}, "timeouts": {"attempt_ms": 5000, "total_ms": 9000},
           "nodes": [{"key": "x"}, {"key": "y", "depends_on": ["x"]}]"#,
    );
    assert!(spec.retry.is_some());
    assert_eq!((spec.timeouts.attempt_ms, spec.timeouts.total_ms), (Some(5_000), Some(9_000)));
    let NodeKind::ParallelGroup(group) = spec.kind else { panic!("a group") };
    assert_eq!((group.max_parallel, group.complete_when), (Some(2), CompleteWhen::AtLeast(1)));
    let MembersSpec::Nodes(members) = group.members else { panic!("members") };
    assert_eq!((members[0].key.as_str(), members[1].depends_on.len()), ("x", 1));

    let spec = node(
        r#""type": "sequential_group", "for_each": "${{ job.input.list }}", "complete_when": {"tolerate": {"count": 3}},
           "template": {"key": "not used", "action_type": "x", "input": {"of": "${{ item }}"}}"#,
    );
    let NodeKind::SequentialGroup(group) = spec.kind else { panic!("a group") };
    assert_eq!(group.complete_when, CompleteWhen::TolerateCount(3));
    let MembersSpec::ForEach { list, template } = group.members else { panic!("a template") };
    assert_eq!(list.get(), r#""${{ job.input.list }}""#);
    assert_eq!((template.key.as_str(), template.action_type.as_deref()), ("", Some("x")));
    let input = template.input.as_ref().map(|input| input.get());
    assert_eq!(input, Some(r#"{"of": "${{ item }}"}"#));
    node("\"type\": \"parallel_group\", \"for_each\": [\n1,\n2], \"template\": {}");
}

#[test]
fn a_group_that_is_wrong_is_refused_at_the_field() {
    for group in ["parallel_group", "sequential_group"] {
        for (more, errors) in [
            ("", &[("/nodes", "required")][..]),
            (r#", "for_each": []"#, &[("/template", "required")]),
            (r#", "template": {}"#, &[("/for_each", "required")]),
            (r#", "nodes": [], "for_each": []"#, &[("/for_each", "invalid_value")]),
            (r#", "nodes": [], "template": {}"#, &[("/template", "invalid_value")]),
            (r#", "nodes": {}"#, &[("/nodes", "wrong_type")]),
            (r#", "nodes": [1]"#, &[("/nodes/0", "wrong_type")]),
            (r#", "nodes": [{}]"#, &[("/nodes/0/key", "required")]),
            (r#", "nodes": [{"key": null}]"#, &[("/nodes/0/key", "wrong_type")]),
            (r#", "nodes": [{"key": "x", "nope": 1}]"#, &[("/nodes/0/nope", "unknown_field")]),
            (r#", "template": []"#, &[("/template", "wrong_type")]),
            (
                r#", "for_each": [], "template": {"depends_on": ["a"]}"#,
                &[("/template/depends_on", "invalid_value")],
            ),
            (r#", "for_each": 5, "template": {}"#, &[("/for_each", "wrong_type")]),
            (r#", "for_each": {"a": 1}, "template": {}"#, &[("/for_each", "wrong_type")]),
            (r#", "for_each": ["\ud800"], "template": {}"#, &[("/for_each", "invalid_value")]),
            (r#", "nodes": [], "complete_when": {}"#, &[("/complete_when", "invalid_value")]),
            (
                r#", "nodes": [], "complete_when": {"tolerate": {}}"#,
                &[("/complete_when/tolerate", "invalid_value")],
            ),
            (
                r#", "nodes": [], "complete_when": {"at_least": -1}"#,
                &[("/complete_when/at_least", "out_of_range")],
            ),
            (
                r#", "nodes": [], "complete_when": {"tolerate": {"percent": 300}}"#,
                &[("/complete_when/tolerate/percent", "out_of_range")],
            ),
            (
                r#", "nodes": [], "complete_when": {"most": 1}"#,
                &[("/complete_when/most", "unknown_field")],
            ),
        ] {
            refused(&format!(r#""type": "{group}"{more}"#), errors);
        }
    }
    let parallel = |more: &str| format!(r#""type": "parallel_group", "nodes": [], {more}"#);
    refused(&parallel(r#""max_parallel": "2""#), &[("/max_parallel", "wrong_type")]);
    refused(&parallel(r#""max_parallel": -1"#), &[("/max_parallel", "out_of_range")]);
}

#[test]
fn what_is_wrong_with_members_has_the_whole_way_there() {
    refused(
        r#""type": "parallel_group", "nodes": [
            {"key": "x"},
            {"key": "y", "type": "sequential_group", "nodes": [
                {"type": "checkpoint", "queue": "q"}
            ]},
            {"key": "z", "type": "parallel_group", "for_each": [1], "template": {
                "type": "cleanup", "run_on": [], "input": ["\ud800"], "retry": {"breaker": {}}
            }},
            {"key": "w", "type": "parallel_group", "complete_when": {"all": false}, "nodes": []}
        ], "optional": true, "dependency_condition": "conditional""#,
        &[
            ("/when", "required"),
            ("/nodes/1/nodes/0/queue", "unknown_field"),
            ("/nodes/1/nodes/0/key", "required"),
            ("/nodes/2/template/input", "invalid_value"),
            ("/nodes/2/template/run_on", "out_of_range"),
            ("/nodes/2/template/retry/breaker", "not_available"),
            ("/nodes/3/complete_when", "invalid_value"),
        ],
    );
}

/// Groups in one another, with a task inside the last.
fn nested(groups: usize, opening: &str, closing: &str) -> String {
    format!(
        r#"{{"name": "n", "nodes": [{}{{"key": "t"}}{}]}}"#,
        opening.repeat(groups),
        closing.repeat(groups)
    )
}

#[test]
fn groups_stand_in_one_another_to_the_depth_that_is_allowed() {
    let listed = r#"{"key": "g", "type": "parallel_group", "nodes": ["#;
    let made = r#"{"key": "g", "type": "sequential_group", "for_each": [1], "template": "#;
    assert!(read(&nested(8, listed, "]}")).is_ok());
    assert!(read(&nested(8, made, "}")).is_ok());
    let too_deep = |way: &str| vec![(way.to_owned(), "too_deep".to_owned())];
    let errors = read(&nested(9, listed, "]}")).err().unwrap_or_default();
    assert_eq!(errors, too_deep(&format!("{}/nodes", "/nodes/0".repeat(9))));
    let errors = read(&nested(9, made, "}")).err().unwrap_or_default();
    assert_eq!(errors, too_deep(&format!("/nodes/0{}", "/template".repeat(9))));
    // Beside one another they may be as many as nodes may be.
    let group = format!("{}{{\"key\": \"t\"}}{}", listed.repeat(8), "]}".repeat(8));
    let beside = vec![group; 3].join(",");
    assert!(read(&format!(r#"{{"name": "n", "nodes": [{beside}]}}"#)).is_ok());
    // As deep as the inputs of the deepest members may be.
    let input = format!("{}{}", "[".repeat(64), "]".repeat(64));
    let deepest = nested(8, listed, "]}").replace(r#""t""#, &format!(r#""t", "input": {input}"#));
    assert!(read(&deepest).is_ok());
}

#[test]
fn members_and_templates_count_as_nodes() {
    let bounds = Bounds { nodes_max: 4, ..Bounds::default() };
    let refusal = |text: &str| read_within(text, &bounds).err().unwrap_or_default();
    let too_many = |pointer: &str| vec![(pointer.to_owned(), "too_many".to_owned())];
    let group = |members: usize| {
        let mut text = String::new();
        for member in 0..members {
            let comma = if member == 0 { "" } else { "," };
            write!(text, r#"{comma}{{"key": "m{member}"}}"#).unwrap_or_default();
        }
        format!(r#"{{"key": "g", "type": "parallel_group", "nodes": [{text}]}}"#)
    };
    let job = |nodes: &str| format!(r#"{{"name": "n", "nodes": [{nodes}]}}"#);
    assert_eq!(refusal(&job(&group(3))), []);
    assert_eq!(refusal(&job(&group(4))), too_many("/nodes"));
    assert_eq!(refusal(&job(&group(5))), too_many("/nodes/0/nodes"));
    assert_eq!(refusal(&job(&format!("{}, {{\"key\": \"a\"}}", group(3)))), too_many("/nodes"));
    let made = r#"{"key": "g", "type": "parallel_group", "for_each": [], "template": {}}"#;
    assert_eq!(refusal(&job(&format!("{made}, {made}"))), []);
    assert_eq!(refusal(&job(&format!("{made}, {made}, {made}"))), too_many("/nodes"));
    let counted = parse::<JobBody>(job(&format!("{}, {made}", group(1))).as_bytes(), &bounds);
    assert_eq!(counted.map(|body| body.node_count()).ok(), Some(4));
}
