//! Data that flows: evaluated in the decision or beside the committer, kept for every attempt, failed with a class of its
//! own; lists from outputs; the job's own output.

use domain::job::command::JobCommand;
use domain::job::flow::{Evaluated, EvaluatedAs};
use domain::job::spec::JobSpec;
use domain::job::status::JobStatus;
use domain::node::hold::Hold;
use domain::node::spec::NodeSpec;
use domain::node::status::NodeStatus;
use domain::subject::answer::Answer;

use crate::build::{T0, job, node, retry};
use crate::live::Live;
use crate::trees::{cleanup, condition, for_each, gets, group, raw, when};

fn large(of: usize) -> String {
    format!("{{\"n\": 7, \"text\": \"{}\"}}", "x".repeat(of))
}

#[test]
fn what_is_in_memory_is_evaluated_in_the_event_that_made_it_due() {
    let nodes = vec![
        node("a", &[]),
        gets(
            "{\"n\": \"${{ nodes.a.output.n + 1 }}\", \"id\": \"${{ job.id }}\"}",
            node("b", &["a"]),
        ),
        gets("\"is ${{ nodes.a.status }} after ${{ nodes.a.attempts }}\"", node("c", &["a"])),
    ];
    let mut live = Live::submit(job(nodes));
    let events = live.events.len();
    live.complete_with("a", "{\"n\": 41}");
    assert_eq!(live.events.len(), events + 2);
    assert_eq!(live.input("b"), format!("{{\"n\":42,\"id\":\"{}\"}}", live.state.id));
    assert_eq!(live.input("c"), "\"is completed after 1\"");
}

#[test]
fn what_is_stored_beside_the_stream_is_evaluated_beside_the_committer() {
    let nodes = vec![
        node("a", &[]),
        gets("\"${{ nodes.a.output.n }}\"", node("b", &["a"])),
        gets("\"${{ nodes.a.output }}\"", node("c", &["a"])),
    ];
    let mut live = Live::submit(job(nodes));
    live.complete_with("a", &large(5_000));
    assert_eq!(live.stand(), "a completed, b waiting, c waiting");
    assert_eq!(live.hold("b"), Some(Hold::Evaluating));
    assert_eq!(live.evaluate(), 2);
    assert_eq!(live.input("b"), "7");
    // A large input is stored too, and named by the event.
    assert!(live.input("c").len() > 5_000);
    live.complete("b");
    live.complete("c");
    assert_eq!(live.state.head.status, JobStatus::Completed);
}

#[test]
fn whichever_command_makes_a_large_input_due_its_payload_is_stored() {
    let input = |last: &str| {
        format!("[\"${{{{ job.input }}}}\", \"${{{{ job.input }}}}\", \"${{{{ {last} }}}}\"]")
    };
    let with_input =
        |spec: JobSpec| JobSpec { input: Some(raw(&format!("\"{}\"", "x".repeat(2_000)))), ..spec };
    let spec = |a: NodeSpec| {
        let catch = gets(&input("nodes.a.status"), when("b", &["a"], "${{ true }}"));
        let clean = gets(&input("job.status"), cleanup("c", &[], &[]));
        with_input(JobSpec { timeout_ms: Some(50_000), ..job(vec![a, catch, clean]) })
    };
    let is_large = |live: &Live, key: &str, last: &str| {
        let text = live.input(key);
        assert!(text.len() > 4_000 && text.ends_with(last), "{key}: {}, {text}", live.stand());
    };
    // A report, a time-out, a cancel, a deadline; `Live` proves that what an event names is stored.
    let mut live = Live::submit(spec(node("a", &[])));
    live.fail("a");
    is_large(&live, "b", "\"failed\"]");
    let mut slow = node("a", &[]);
    slow.timeouts.queue_ms = Some(1_000);
    let mut live = Live::submit(spec(slow));
    live.wake_at(T0 + 1_000);
    is_large(&live, "b", "\"timeout\"]");
    let mut live = Live::submit(spec(node("a", &[])));
    live.cancel();
    is_large(&live, "c", "\"cancelled\"]");
    let mut live = Live::submit(spec(node("a", &[])));
    live.wake_at(T0 + 50_000);
    is_large(&live, "c", "\"timeout\"]");
    // A start, a grant, a retry of a group, a submission itself.
    let root = || gets(&input("size(job.id)"), node("a", &[]));
    let mut live =
        Live::submit(JobSpec { scheduled_at: Some(T0 + 10), ..with_input(job(vec![root()])) });
    live.wake_at(T0 + 10);
    is_large(&live, "a", "36]");
    let asks = JobSpec { environment: Some("pool".to_owned()), ..with_input(job(vec![root()])) };
    let mut live = Live::submit(asks);
    assert!(live.ask(&JobCommand::TakeGrant { number: 1 }).is_ok());
    is_large(&live, "a", "36]");
    let again = NodeSpec { retry: Some(retry(2, 100).into()), ..group("g", &[], vec![root()]) };
    let mut live = Live::submit(with_input(job(vec![again])));
    is_large(&live, "g/a", "36]");
    live.fail_once("g/a");
    live.wake_at(T0 + 100);
    is_large(&live, "g/a", "36]");
}

#[test]
fn an_answer_counts_once_and_only_for_who_waits_for_it() {
    let nodes = vec![node("a", &[]), gets("\"${{ nodes.a.output.n }}\"", node("b", &["a"]))];
    let mut live = Live::submit(job(nodes));
    live.complete_with("a", &large(5_000));
    let found = live.found();
    let stale: Vec<Evaluated> =
        found.iter().cloned().map(|found| Evaluated { since: found.since - 1, ..found }).collect();
    let nothing = |live: &mut Live, found: Vec<Evaluated>| {
        matches!(live.ask(&JobCommand::Evaluated(found)), Ok(Answer::Nothing))
    };
    assert!(nothing(&mut live, stale));
    let unknown = found.iter().cloned().map(|found| Evaluated { node: 99, ..found }).collect();
    assert!(nothing(&mut live, unknown));
    assert!(live.ask(&JobCommand::Evaluated(found.clone())).is_ok());
    assert!(nothing(&mut live, found.clone()));
    live.lease("b");
    assert!(nothing(&mut live, found));
    assert_eq!(live.input("b"), "7");
}

#[test]
fn an_answer_that_stands_twice_in_one_command_counts_once() {
    let nodes = vec![
        node("a", &[]),
        crate::trees::checkpoint("b", &["a"], "\"${{ nodes.a.output.n }}\""),
        node("c", &["b"]),
    ];
    let mut live = Live::submit(job(nodes));
    live.complete_with("a", &large(5_000));
    let found = live.found();
    let twice = found.iter().chain(&found).cloned().collect();
    assert!(live.ask(&JobCommand::Evaluated(twice)).is_ok());
    assert_eq!(live.stand(), "a completed, b completed, c ready");
}

#[test]
fn an_answer_that_comes_when_the_job_ends_changes_nothing() {
    let nodes = vec![node("a", &[]), gets("\"${{ nodes.a.output.n }}\"", node("b", &["a"]))];
    let mut live = Live::submit(job(nodes));
    live.complete_with("a", &large(5_000));
    let found = live.found();
    live.cancel();
    assert_eq!(live.state.head.status, JobStatus::Cancelled);
    assert!(matches!(live.ask(&JobCommand::Evaluated(found)), Ok(Answer::Nothing)));
}

#[test]
fn an_answer_to_an_earlier_try_of_a_group_is_not_taken_for_one_to_the_next() {
    let members = vec![
        node("a", &[]),
        gets("\"${{ nodes.a.output.n }}\"", node("b", &["a"])),
        node("c", &[]),
    ];
    let again = NodeSpec { retry: Some(retry(2, 0).into()), ..group("g", &[], members) };
    let mut live = Live::submit(job(vec![again]));
    live.complete_with("g/a", &large(5_000));
    let found = live.found();
    live.fail_once("g/c");
    live.wake_at(live.now);
    live.complete_with("g/a", &large(5_000).replace('7', "8"));
    // The same node waits since the same millisecond.
    assert!(matches!(live.ask(&JobCommand::Evaluated(found)), Ok(Answer::Nothing)));
    live.evaluate();
    assert_eq!(live.input("g/b"), "8");
}

#[test]
fn every_attempt_gets_the_input_that_was_evaluated_once() {
    let nodes = vec![
        node("a", &[]),
        NodeSpec {
            retry: Some(retry(3, 0).into()),
            ..gets("\"${{ nodes.a.output }}\"", node("b", &["a"]))
        },
    ];
    let mut live = Live::submit(job(nodes));
    live.complete_with("a", "\"once\"");
    for _ in 0..2 {
        assert_eq!(live.input("b"), "\"once\"");
        live.fail_once("b");
        live.wake_at(live.now);
    }
    let prepared = live.events.iter().flat_map(|event| &event.flow).flat_map(|flow| &flow.prepared);
    assert_eq!(prepared.count(), 1);
    live.complete("b");
    assert!(live.state.prepared.is_empty(), "it is not kept longer than it is needed");
}

#[test]
fn an_expression_without_a_value_fails_its_node_without_an_attempt() {
    let cases = [
        ("\"${{ nodes.a.output.missing }}\"", "nodes.a.output"),
        ("\"${{ 1 + nodes.a.output.text }}\"", "nodes.a.output"),
        ("\"${{ 10 / (nodes.a.output.n - 7) }}\"", "nodes.a.output"),
    ];
    for (input, reads) in cases {
        for bytes in [10, 5_000] {
            let nodes = vec![
                node("a", &[]),
                NodeSpec { retry: Some(retry(5, 0).into()), ..gets(input, node("b", &["a"])) },
                node("c", &["b"]),
            ];
            let mut live = Live::submit(job(nodes));
            live.complete_with("a", &large(bytes));
            live.evaluate();
            assert_eq!(live.stand(), "a completed, b failed", "{input}");
            let b = live.at("b");
            assert_eq!(live.state.nodes[b as usize].attempt, 0);
            assert_eq!(live.error(), (Some("b"), "expression"));
            let message = live.state.head.error.as_ref().map(|error| error.message.clone());
            let message = message.unwrap_or_default();
            assert!(message.contains(reads) && message.contains("input"), "{message}");
        }
    }
}

#[test]
fn an_expression_of_when_or_of_a_branch_without_a_value_fails_its_node_too() {
    let nodes = vec![
        node("a", &[]),
        when("x", &["a"], "${{ nodes.a.output.no.such }}"),
        condition("c", &["a"], &[("${{ nodes.a.output }}", "y")], ""),
        node("y", &["c"]),
        when(
            "catch",
            &["x", "c"],
            "${{ nodes.x.error.class == 'expression' && nodes.c.error.class == 'expression' }}",
        ),
    ];
    let mut live = Live::submit(job(nodes));
    live.complete_with("a", "{}");
    assert_eq!(live.stand(), "a completed, x failed, c failed, catch ready");
    live.complete("catch");
    // The branch is what only the failed condition led to.
    assert_eq!(live.status("y"), NodeStatus::Skipped);
    assert_eq!(live.state.head.status, JobStatus::Completed);
}

#[test]
fn a_group_gives_a_list_or_an_object_with_null_for_who_has_none() {
    let members = vec![node("a", &[]), NodeSpec { optional: true, ..node("b", &[]) }];
    let nodes = vec![
        group("g", &[], members),
        for_each("e", &[], "[1, 2]", NodeSpec { optional: true, ..node("", &[]) }),
        gets(
            "{\"g\": \"${{ nodes.g.output }}\", \"e\": \"${{ nodes.e.output }}\"}",
            node("x", &["g", "e"]),
        ),
    ];
    let mut live = Live::submit(job(nodes));
    live.complete_with("g/a", "{\"n\": 1}");
    live.fail("g/b");
    live.fail("e[0]");
    live.complete_with("e[1]", "2");
    assert_eq!(live.input("x"), "{\"g\":{\"a\":{\"n\":1},\"b\":null},\"e\":[null,2]}");
}

#[test]
fn a_group_that_did_not_complete_gives_nothing() {
    let optional =
        NodeSpec { optional: true, ..group("g", &[], vec![node("a", &[]), node("b", &["a"])]) };
    let nodes = vec![optional, gets("\"${{ nodes.g.output }}\"", node("x", &["g"]))];
    let mut live = Live::submit(job(nodes));
    live.complete_with("g/a", "1");
    live.fail("g/b");
    assert_eq!(live.input("x"), "null");
    // Also in the output of the job, where it would be a part of it.
    let alone = NodeSpec { optional: true, ..group("g", &[], vec![node("a", &[])]) };
    let mut live = Live::submit(job(vec![alone, node("y", &[])]));
    live.fail("g/a");
    live.complete_with("y", "3");
    assert_eq!(live.output(), "{\"y\":3}");
}

#[test]
fn the_output_of_a_job_is_evaluated_when_it_settles() {
    let spec = |bytes: usize| {
        let output =
            Some(raw("{\"n\": \"${{ nodes.a.output.n }}\", \"b\": \"${{ nodes.b.status }}\"}"));
        let nodes = vec![node("a", &[]), NodeSpec { optional: true, ..node("b", &[]) }];
        let mut live = Live::submit(JobSpec { output, ..job(nodes) });
        live.complete_with("a", &large(bytes));
        live.fail("b");
        live
    };
    let live = spec(10);
    assert_eq!(
        (live.state.head.status, live.output().as_str()),
        (JobStatus::Completed, "{\"n\":7,\"b\":\"failed\"}")
    );
    let mut live = spec(5_000);
    assert_eq!(live.state.head.ending, Some(JobStatus::Completed));
    assert_eq!(live.state.head.status, JobStatus::Running);
    assert_eq!(live.evaluate(), 1);
    assert_eq!(
        (live.state.head.status, live.output().as_str()),
        (JobStatus::Completed, "{\"n\":7,\"b\":\"failed\"}")
    );
}

#[test]
fn an_output_without_a_value_fails_the_job_and_says_so_also_behind_cleanups_and_handled_failures() {
    for bytes in [10, 5_000] {
        let output = Some(raw("\"${{ nodes.a.output.no.such }}\""));
        let nodes = vec![
            node("a", &[]),
            node("b", &[]),
            when("catch", &["b"], "${{ nodes.b.status == 'failed' }}"),
            gets("\"${{ job.error.class }}\"", cleanup("c", &[], &[])),
        ];
        let mut live = Live::submit(JobSpec { output, ..job(nodes) });
        live.complete_with("a", &large(bytes));
        live.fail("b");
        live.complete("catch");
        live.evaluate();
        assert_eq!(live.input("c"), "\"expression\"");
        live.complete("c");
        assert_eq!(live.state.head.status, JobStatus::Failed);
        assert_eq!(live.error(), (None, "expression"));
    }
}

#[test]
fn a_job_that_is_ended_while_its_output_is_evaluated_ends_at_once() {
    let output = Some(raw("\"${{ nodes.a.output.n }}\""));
    let mut live = Live::submit(JobSpec { output, ..job(vec![node("a", &[])]) });
    live.complete_with("a", &large(5_000));
    let found = live.found();
    live.cancel();
    assert_eq!(live.state.head.status, JobStatus::Cancelled);
    assert!(matches!(live.ask(&JobCommand::Evaluated(found)), Ok(Answer::Nothing)));

    let output = Some(raw("\"${{ nodes.a.output.n }}\""));
    let spec = JobSpec { output, timeout_ms: Some(5_000), ..job(vec![node("a", &[])]) };
    let mut live = Live::submit(spec);
    live.complete_with("a", &large(5_000));
    live.wake_at(T0 + 5_000);
    assert_eq!(live.state.head.status, JobStatus::Timeout);
}

#[test]
fn outputs_that_nothing_reads_are_not_kept() {
    let nodes = vec![
        node("a", &[]),
        node("b", &["a"]),
        gets("\"${{ nodes.b.output }}\"", node("c", &["b"])),
    ];
    let mut live = Live::submit(job(nodes));
    live.complete_with("a", "1");
    live.complete_with("b", "2");
    assert_eq!(live.state.outputs.keys().copied().collect::<Vec<_>>(), [live.at("b")]);
}

#[test]
fn what_only_names_the_input_of_the_job_is_known_at_once() {
    let nodes = vec![
        gets("\"${{ job.input.n * 2 }}\"", node("a", &[])),
        for_each("e", &[], "\"${{ job.input.list }}\"", node("", &[])),
    ];
    let input = Some(raw("{\"n\": 4, \"list\": [1, 2]}"));
    let live = Live::submit(JobSpec { input, ..job(nodes) });
    assert_eq!(live.input("a"), "8");
    assert_eq!(live.those(NodeStatus::Ready), ["a", "e[0]", "e[1]"]);
    let evaluated = live.events[0].flow.as_ref().map_or(0, |flow| flow.prepared.len());
    assert_eq!(evaluated, 0);
}

#[test]
fn an_answer_says_failed_or_bypassed_for_who_waits() {
    let nodes = vec![
        node("a", &[]),
        when("x", &["a"], "${{ nodes.a.output.n > 100 }}"),
        when("y", &["a"], "${{ nodes.a.output.none }}"),
        node("behind", &["x"]),
    ];
    let mut live = Live::submit(job(nodes));
    live.complete_with("a", &large(5_000));
    let found = live.found();
    assert!(
        matches!(found[0].is, EvaluatedAs::Bypassed)
            && matches!(found[1].is, EvaluatedAs::Failed(_))
    );
    live.evaluate();
    assert_eq!(live.stand(), "a completed, x ~skipped, y failed, behind ~skipped");
}
