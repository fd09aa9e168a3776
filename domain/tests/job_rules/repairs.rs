//! Nodes that are changed while they have not run.

use std::sync::Arc;

use domain::bounds::Bounds;
use domain::ids::{Namespace, PolicyId, PolicyName};
use domain::job::check::{CheckSettings, check_node_patch, node_patch_policies};
use domain::job::command::{JobCommand, LeaseOrder};
use domain::job::plan::NodeField;
use domain::job::repair::{NodePatchSpec, TimeoutsPatch};
use domain::job::spec::JobSpec;
use domain::job::status::JobStatus;
use domain::node::hold::Hold;
use domain::node::spec::{NodeSpec, Timeouts};
use domain::node::status::NodeStatus;
use domain::planted::{self, Planted};
use domain::refusal::{FieldError, Refusal};
use domain::retry::named::{NamedPolicies, NamedPolicy};
use domain::retry::spec::RetrySpec;
use domain::subject::answer::Answer;
use serde_json::value::RawValue;

use crate::build::{T0, job, lease, node, retry};
use crate::live::Live;
use crate::trees::{for_each, group};

fn text(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).unwrap_or_else(|error| panic!("{error}: {json}"))
}

fn patch_with(
    live: &mut Live,
    path: &str,
    spec: NodePatchSpec,
    known: &[Arc<NamedPolicy>],
) -> Result<Answer, Refusal> {
    let settings = CheckSettings { bounds: Bounds::default(), queue_timeout_ms: None, now: T0 };
    let references = node_patch_policies(&spec);
    let find = |text: &str| known.iter().find(|known| known.name.as_str() == text).cloned();
    let named = NamedPolicies::of(&references, find);
    let patch =
        check_node_patch(spec, Some("night"), &settings, &named).map_err(Refusal::Invalid)?;
    let reason = Some("night".to_owned());
    live.ask(&JobCommand::PatchNode { node: path.to_owned(), patch: Box::new(patch), reason })
}

fn patch(live: &mut Live, path: &str, spec: NodePatchSpec) -> Result<Answer, Refusal> {
    patch_with(live, path, spec, &[])
}

fn input(json: &str) -> NodePatchSpec {
    NodePatchSpec { input: Some(Some(text(json))), ..NodePatchSpec::default() }
}

fn errors(answer: Result<Answer, Refusal>) -> Vec<(String, String)> {
    let Err(Refusal::Invalid(errors)) = answer else { panic!("{answer:?}") };
    let told = |error: FieldError| (error.pointer, error.code.into_owned());
    errors.into_iter().map(told).collect()
}

#[test]
fn each_field_is_another_one_and_the_event_says_what_it_was() {
    let mut live = Live::submit(job(vec![node("a", &[]), node("b", &["a"])]));
    let spec = NodePatchSpec {
        queue: Some(Some("large".to_owned())),
        action_type: Some(Some("heavy".to_owned())),
        priority: Some(Some(1)),
        timeouts: TimeoutsPatch { attempt_ms: Some(Some(9_000)), ..TimeoutsPatch::default() },
        retry: Some(Some(RetrySpec::from(retry(4, 0)))),
        input: Some(Some(text("7"))),
        at_most_once: Some(true),
    };
    assert!(patch(&mut live, "b", spec).is_ok());
    let b = live.at("b");
    let spec = live.state.plan.node(b);
    assert_eq!((spec.queue.as_str(), spec.at_most_once), ("large", true));
    assert_eq!(live.state.priority_of(b), 1);
    assert_eq!(live.state.plan.timeouts_of(spec).attempt_ms, Some(9_000));
    assert_eq!((live.state.plan.max_attempts_of(spec), live.input("b")), (4, "7".to_owned()));
    assert_eq!(live.state.plan.submitted(b).queue.as_str(), "default");
    let changed = live.state.plan.changed(b).map(|changed| changed.fields.len());
    assert_eq!((changed, live.state.plan.changed(live.at("a"))), (Some(7), None));
    let event = live.events.last().unwrap_or_else(|| panic!("no event"));
    let repair = event.fact.repair().unwrap_or_else(|| panic!("no change: {event:?}"));
    assert_eq!(repair.was.queue.as_ref().map(ToString::to_string).as_deref(), Some("default"));
    assert_eq!((repair.was.priority, repair.was.input.clone()), (Some(None), Some(None)));
    assert_eq!(event.by.reason.as_deref(), Some("night"));
    live.complete("a");
    live.complete("b");
    assert_eq!(live.state.head.status, JobStatus::Completed);
}

#[test]
fn what_changes_nothing_writes_nothing_and_what_is_taken_away_is_the_jobs() {
    let own = NodeSpec { priority: Some(2), retry: Some(retry(9, 0).into()), ..node("a", &[]) };
    let mut live = Live::submit(job(vec![own]));
    let same = NodePatchSpec { priority: Some(Some(2)), ..NodePatchSpec::default() };
    assert!(matches!(patch(&mut live, "a", same), Ok(Answer::Done { seq: 1 })));
    let none =
        NodePatchSpec { priority: Some(None), retry: Some(None), ..NodePatchSpec::default() };
    assert!(patch(&mut live, "a", none).is_ok());
    assert_eq!(live.state.priority_of(0), 5);
    assert_eq!(live.state.plan.max_attempts_of(live.state.plan.node(0)), 1);
    assert_eq!(
        live.state.plan.changed(0).map(|of| of.fields.clone()),
        Some(vec![NodeField::Priority, NodeField::Retry])
    );
}

#[test]
fn what_runs_or_is_over_is_what_it_is() {
    let mut live = Live::submit(job(vec![node("a", &[]), node("b", &["a"])]));
    let spec = || NodePatchSpec { at_most_once: Some(true), ..NodePatchSpec::default() };
    let running = live.lease("a");
    let refused = patch(&mut live, "a", spec());
    assert!(
        matches!(refused, Err(Refusal::NodeState { current: NodeStatus::Running, .. })),
        "{refused:?}"
    );
    assert!(live.report(running, crate::build::fails(false)).is_ok());
    assert!(matches!(
        patch(&mut live, "a", spec()),
        Err(Refusal::NodeState { current: NodeStatus::Failed, .. })
    ));
    assert!(matches!(patch(&mut live, "x", spec()), Err(Refusal::NodeNotFound)));
    assert_eq!(
        (live.state.head.status, live.status("b")),
        (JobStatus::Failed, NodeStatus::Pending)
    );
    assert!(patch(&mut live, "b", spec()).is_ok(), "a failed job may be tried again");
    let mut live = Live::submit(job(vec![node("a", &[])]));
    live.cancel();
    assert!(matches!(patch(&mut live, "a", spec()), Err(Refusal::JobState { .. })));
}

/// Nodes that are leased by an order of before one of the two was changed.
fn leased_by_an_older_order() -> usize {
    let mut live = Live::submit(job(vec![node("a", &[]), node("b", &[])]));
    let JobCommand::Lease(order) = lease(vec![0, 1]) else { panic!("a lease") };
    let order = Arc::new(LeaseOrder { changes: 0, ..LeaseOrder::clone(&order) });
    let spec = NodePatchSpec { queue: Some(Some("x".to_owned())), ..NodePatchSpec::default() };
    assert!(patch(&mut live, "b", spec).is_ok());
    match live.ask(&JobCommand::Lease(order)) {
        Ok(Answer::Leased(attempts)) => attempts.len(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_lease_that_was_chosen_before_the_change_leaves_the_node() {
    assert_eq!(leased_by_an_older_order(), 1);
    planted::plant(Some(Planted::RepairOvertaken));
    let leased = leased_by_an_older_order();
    planted::plant(None);
    assert_eq!(leased, 2, "the planted bug leases it all the same");
}

#[test]
fn a_wait_for_a_retry_goes_on_and_the_new_policy_judges_the_next_failure() {
    let own = NodeSpec { retry: Some(retry(2, 5_000).into()), ..node("a", &[]) };
    let mut live = Live::submit(job(vec![own]));
    live.fail_once("a");
    let due = live.state.nodes[0].due;
    let spec =
        NodePatchSpec { retry: Some(Some(retry(3, 100).into())), ..NodePatchSpec::default() };
    assert!(patch(&mut live, "a", spec).is_ok());
    assert_eq!((live.status("a"), live.state.nodes[0].due), (NodeStatus::Retrying, due));
    live.wake_at(due);
    live.fail_once("a");
    assert_eq!((live.status("a"), live.state.nodes[0].due), (NodeStatus::Retrying, due + 100));
    live.wake_at(due + 100);
    live.fail_once("a");
    assert_eq!(live.status("a"), NodeStatus::Failed);
}

#[test]
fn a_named_policy_is_kept_once_and_an_unknown_one_is_refused() {
    let name = PolicyName::parse_given("p").unwrap_or_else(|error| panic!("{error}"));
    let id = PolicyId::of_name(&Namespace::default_namespace(), &name);
    let policy = Arc::new(retry(7, 0));
    let known = [Arc::new(NamedPolicy { id, name, version: 3, policy })];
    let mut live = Live::submit(job(vec![node("a", &[]), node("b", &[])]));
    let named = |text: &str| NodePatchSpec {
        retry: Some(Some(RetrySpec::Named(text.to_owned()))),
        ..NodePatchSpec::default()
    };
    assert!(patch_with(&mut live, "a", named("p"), &known).is_ok());
    assert!(patch_with(&mut live, "b", named("p"), &known).is_ok());
    let plan = &live.state.plan;
    assert_eq!((plan.policies.len(), plan.max_attempts_of(plan.node(1))), (1, 7));
    let refused = errors(patch_with(&mut live, "b", named("q"), &known));
    assert_eq!(refused, [("/retry/policy_id".to_owned(), "unknown_policy".to_owned())]);
}

#[test]
fn time_outs_hold_at_once() {
    let mut live = Live::submit(job(vec![node("a", &[])]));
    let timeouts = TimeoutsPatch { queue_ms: Some(Some(2_000)), ..TimeoutsPatch::default() };
    assert!(patch(&mut live, "a", NodePatchSpec { timeouts, ..NodePatchSpec::default() }).is_ok());
    assert_eq!(live.state.next_due(), Some(T0 + 2_000));
    let timeouts = TimeoutsPatch { queue_ms: Some(None), ..TimeoutsPatch::default() };
    assert!(patch(&mut live, "a", NodePatchSpec { timeouts, ..NodePatchSpec::default() }).is_ok());
    assert_eq!(live.state.next_due(), None);
    assert_eq!(live.state.plan.timeouts_of(live.state.plan.node(0)), Timeouts::default());
}

#[test]
fn a_new_input_reads_what_comes_before_it_also_what_was_not_read_before() {
    let nodes = vec![node("a", &[]), node("b", &["a"]), node("c", &["b"]), node("d", &[])];
    let mut live = Live::submit(JobSpec { input: Some(text(r#"{"n": 4}"#)), ..job(nodes) });
    assert!(
        patch(&mut live, "c", input(r#"["${{ nodes.a.output }}", "${{ job.input.n }}"]"#)).is_ok()
    );
    assert!(patch(&mut live, "d", input(r#""${{ job.input.n + 1 }}""#)).is_ok());
    assert_eq!(live.input("d"), "5", "evaluated at once");
    let refused = errors(patch(&mut live, "b", input(r#"["${{ nodes.d.output }}"]"#)));
    assert_eq!(refused, [("/input/0".to_owned(), "expression".to_owned())]);
    live.complete_with("a", "[1]");
    live.complete("b");
    assert_eq!(live.input("c"), "[[1],4]");
    let refused = errors(patch(&mut live, "c", input(r#""${{ nodes.b.output }}""#)));
    assert_eq!(refused, [("/input".to_owned(), "not_kept".to_owned())]);
    assert!(patch(&mut live, "c", input(r#""${{ nodes.a.output[0] }}""#)).is_ok());
    assert_eq!((live.status("c"), live.input("c").as_str()), (NodeStatus::Ready, "1"));
}

#[test]
fn an_input_that_reads_what_is_stored_is_evaluated_beside_the_committer() {
    let first = NodeSpec { input: Some(text(r#""${{ nodes.a.output }}""#)), ..node("b", &["a"]) };
    let nodes = vec![node("a", &[]), first, node("c", &["a"])];
    let mut live = Live::submit(job(nodes));
    live.complete_with("a", &format!(r#""{}""#, "x".repeat(3_000)));
    assert_eq!(live.evaluate(), 1);
    let stale = {
        // Still under way for what the node read before.
        assert!(patch(&mut live, "b", input(r#"{"n": "${{ size(nodes.a.output) }}"}"#)).is_ok());
        assert_eq!(live.hold("b"), Some(Hold::Evaluating));
        live.found()
    };
    assert!(patch(&mut live, "b", input(r#"{"m": "${{ size(nodes.a.output) }}"}"#)).is_ok());
    assert!(matches!(live.ask(&JobCommand::Evaluated(stale)), Ok(Answer::Nothing)));
    assert_eq!(live.evaluate(), 1);
    assert_eq!((live.status("b"), live.input("b").as_str()), (NodeStatus::Ready, r#"{"m":3000}"#));
}

#[test]
fn members_are_changed_one_by_one_and_groups_in_what_they_have() {
    let member = NodeSpec { input: Some(text(r#""${{ item }}""#)), ..node("", &[]) };
    let each = for_each("e", &[], "[1, 2, 3]", member);
    let both = group("g", &[], vec![node("m", &[]), node("n", &["m"])]);
    let mut live = Live::submit(job(vec![each, both]));
    assert!(patch(&mut live, "e[1]", input(r#""${{ item * 10 }}""#)).is_ok());
    let inputs = ["e[0]", "e[1]", "e[2]"].map(|key| live.input(key));
    assert_eq!(inputs, ["1", "20", "3"]);
    assert!(patch(&mut live, "g/n", input("3")).is_ok());
    assert_eq!(live.input("g/n"), "3");
    let spec = || NodePatchSpec {
        queue: Some(Some("x".to_owned())),
        priority: Some(Some(1)),
        at_most_once: Some(false),
        ..NodePatchSpec::default()
    };
    let refused = errors(patch(&mut live, "g", spec()));
    let pointers: Vec<&str> = refused.iter().map(|(pointer, _)| pointer.as_str()).collect();
    assert_eq!(pointers, ["/queue", "/at_most_once"]);
    let spec = NodePatchSpec { retry: Some(Some(retry(2, 0).into())), ..NodePatchSpec::default() };
    assert!(patch(&mut live, "g", spec).is_ok());
    live.fail("g/m");
    assert_eq!(live.status("g"), NodeStatus::Retrying);
    live.wake_at(live.now + 1);
    assert_eq!((live.status("g"), live.status("g/m")), (NodeStatus::Waiting, NodeStatus::Ready));
    assert_eq!(live.input("g/n"), "3", "also when its group runs again");
}
