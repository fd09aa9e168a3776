//! Groups that go over a list: a member an item, with paths of their own, lists in lists, empty ones.

use domain::job::command::JobCommand;
use domain::job::spec::CompleteWhen;
use domain::job::status::JobStatus;
use domain::node::hold::Hold;
use domain::node::status::NodeStatus;

use crate::build::{job, node};
use crate::live::Live;
use crate::trees::{ends_when, for_each, gets, group};

#[test]
fn a_literal_list_makes_a_member_an_item_and_an_empty_one_none() {
    let spec =
        job(vec![for_each("g", &[], "[7, \"b\", null]", gets("\"${{ item }}\"", node("", &[])))]);
    let mut live = Live::submit(spec);
    live.evaluate();
    assert_eq!(live.those(NodeStatus::Ready), ["g[0]", "g[1]", "g[2]"]);
    assert_eq!((live.input("g[0]"), live.input("g[1]")), ("7".to_owned(), "\"b\"".to_owned()));
    assert_eq!(live.input("g[2]"), "null");
    for item in 0..3 {
        live.complete_with(&format!("g[{item}]"), &item.to_string());
    }
    assert_eq!(live.state.head.status, JobStatus::Completed);
    assert_eq!(live.output(), "[0,1,2]");

    for (complete_when, status) in [
        (CompleteWhen::All, JobStatus::Completed),
        (CompleteWhen::TolerateAtMostPercent(0), JobStatus::Completed),
        // Nobody completed.
        (CompleteWhen::Any, JobStatus::Failed),
        (CompleteWhen::AtLeast(1), JobStatus::Failed),
    ] {
        let empty = ends_when(for_each("g", &[], "[]", node("", &[])), complete_when);
        let live = Live::submit(job(vec![empty]));
        assert_eq!(live.state.head.status, status, "{complete_when:?}");
    }
}

#[test]
fn a_template_of_several_nodes_is_there_for_each_item_with_paths_of_their_own() {
    let steps = vec![
        gets("{\"n\": \"${{ item * 10 + index }}\"}", node("a", &[])),
        gets("\"${{ nodes.a.output + item }}\"", node("b", &["a"])),
    ];
    let mut live = Live::submit(job(vec![for_each("each", &[], "[1, 2]", group("", &[], steps))]));
    assert_eq!(live.those(NodeStatus::Ready), ["each[0]/a", "each[1]/a"]);
    assert_eq!(live.input("each[1]/a"), "{\"n\":21}");
    live.complete_with("each[1]/a", "40");
    assert_eq!(live.input("each[1]/b"), "42");
    live.complete("each[1]/b");
    live.complete_with("each[0]/a", "1");
    live.complete_with("each[0]/b", "2");
    assert_eq!(live.output(), "[{\"a\":1,\"b\":2},{\"a\":40,\"b\":null}]");
}

#[test]
fn lists_in_lists_name_their_members_by_both() {
    let inner = for_each("", &[], "\"${{ item }}\"", gets("\"${{ item }}\"", node("", &[])));
    let mut live = Live::submit(job(vec![for_each("m", &[], "[[1, 2], [], [3]]", inner)]));
    assert_eq!(live.those(NodeStatus::Ready), ["m[0][0]", "m[0][1]", "m[2][0]"]);
    assert_eq!(live.status("m[1]"), NodeStatus::Completed);
    for (path, output) in [("m[0][0]", "1"), ("m[0][1]", "2"), ("m[2][0]", "3")] {
        assert_eq!(live.input(path), output);
        live.complete_with(path, output);
    }
    assert_eq!(live.output(), "[[1,2],[],[3]]");
}

#[test]
fn a_list_comes_from_an_output_in_memory_or_stored() {
    for bytes in [10, 5_000] {
        let each = for_each(
            "each",
            &["fetch"],
            "\"${{ nodes.fetch.output.items }}\"",
            gets("{\"item\": \"${{ item.id }}\", \"at\": \"${{ index }}\"}", node("", &[])),
        );
        let join = gets("\"${{ size(nodes.each.output) }}\"", node("join", &["each"]));
        let mut live = Live::submit(job(vec![node("fetch", &[]), each, join]));
        let text = "x".repeat(bytes);
        let output = format!("{{\"text\": \"{text}\", \"items\": [{{\"id\": 5}}, {{\"id\": 6}}]}}");
        live.complete_with("fetch", &output);
        assert_eq!(live.evaluate() > 0, bytes > 2_048);
        assert_eq!(live.those(NodeStatus::Ready), ["each[0]", "each[1]"]);
        assert_eq!(live.hold("each"), Some(Hold::Members));
        assert_eq!(live.input("each[1]"), "{\"item\":6,\"at\":1}");
        live.complete("each[0]");
        live.complete("each[1]");
        assert_eq!(live.input("join"), "2");
    }
}

#[test]
fn a_list_waits_for_its_evaluation_within_a_group_with_places() {
    let each = |key: &str| {
        let list = "\"${{ nodes.fetch.output.items }}\"";
        for_each(key, &["fetch"], list, gets("\"${{ item }}\"", node("", &[])))
    };
    let inner = vec![node("fetch", &[]), each("e"), each("f")];
    let outer = crate::trees::places(group("g", &[], inner), 1);
    let mut live = Live::submit(job(vec![outer]));
    let text = "x".repeat(5_000);
    live.complete_with("g/fetch", &format!("{{\"items\": [1], \"text\": \"{text}\"}}"));
    assert_eq!(
        (live.hold("g/e"), live.hold("g/f")),
        (Some(Hold::Evaluating), Some(Hold::Evaluating))
    );
    live.evaluate();
    assert_eq!((live.hold("g/e"), live.hold("g/f")), (Some(Hold::Members), Some(Hold::Limit)));
    live.complete("g/e[0]");
    live.complete("g/f[0]");
    assert_eq!(live.state.head.status, JobStatus::Completed);
}

#[test]
fn a_list_that_is_none_or_too_long_fails_its_group_with_a_class() {
    let long = format!("[{}]", vec!["0"; 10_001].join(","));
    for (output, class, word) in [
        ("{\"a\": 1}", "expression", "list"),
        ("\"text\"", "expression", "list"),
        ("null", "expression", "list"),
        (long.as_str(), "", "10001"),
    ] {
        let each = for_each("e", &["a"], "\"${{ nodes.a.output }}\"", node("", &[]));
        let mut live = Live::submit(job(vec![node("a", &[]), each]));
        live.complete_with("a", output);
        live.evaluate();
        assert_eq!(live.status("e"), NodeStatus::Failed, "{}", live.stand());
        assert_eq!(live.state.head.status, JobStatus::Failed);
        let error = live.state.head.error.clone().unwrap_or_else(|| panic!("an error"));
        assert!(class.is_empty() || error.class == class, "{error:?}");
        assert!(error.message.contains(word), "{error:?}");
        assert_eq!(error.node.as_deref(), Some("e"));
    }
}

#[test]
fn members_beyond_the_bound_of_a_job_fail_their_group() {
    let list = format!("[{}]", vec!["0"; 10_000].join(","));
    let each = |key: &str| for_each(key, &[], &list, group("", &[], vec![node("m", &[])]));
    let spec = job(vec![ends_when(each("e"), CompleteWhen::Any), each("f")]);
    let live = Live::submit_large(spec);
    assert_eq!(live.status("f"), NodeStatus::Failed);
    assert_eq!(live.status("e"), NodeStatus::Failed, "it is larger than a job by itself");
    let error = live.state.head.error.as_deref().map(|error| error.error_type.as_str());
    assert_eq!(error, Some("TooManyNodes"));
}

#[test]
fn members_are_evaluated_in_slices_and_offered_as_they_come() {
    // The first in the decision where the list is in memory, none where it is stored.
    for (item, at_once) in [("0", 64), ("\"longer\"", 0)] {
        let list = format!("[{}]", vec![item; 1_000].join(","));
        let each =
            for_each("e", &[], &list, gets("[\"${{ item }}\", \"${{ index }}\"]", node("", &[])));
        let mut live = Live::submit_large(job(vec![each]));
        let mut seen = live.state.count(NodeStatus::Ready);
        assert_eq!(seen, at_once);
        while live.state.count(NodeStatus::Waiting) > 1 {
            let found = live.found();
            assert!(found.len() <= 500);
            assert!(live.ask(&JobCommand::Evaluated(found)).is_ok());
            assert!(live.state.count(NodeStatus::Ready) > seen);
            seen = live.state.count(NodeStatus::Ready);
        }
        assert_eq!(seen, 1_000);
        for index in [0, 63, 64, 999] {
            assert_eq!(live.input(&format!("e[{index}]")), format!("[{item},{index}]"));
        }
        assert_eq!(live.state.contradictions(), Vec::<String>::new());
    }
}
