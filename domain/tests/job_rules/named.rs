//! Jobs that name kept policies: each is in the plan once, decides about failures as if it were written out, and survives
//! what is stored and what is passed on.

use std::collections::BTreeSet;
use std::sync::Arc;

use domain::bounds::{self, Bounds};
use domain::ids::{Namespace, PolicyId, PolicyName};
use domain::job::check::{CheckSettings, check_with};
use domain::job::command::Submission;
use domain::job::plan::{CheckedSpec, Plan};
use domain::job::spec::JobSpec;
use domain::job::summary::JobSnapshot;
use domain::node::spec::NodeSpec;
use domain::node::status::NodeStatus;
use domain::payload::Payload;
use domain::refusal::FieldError;
use domain::retry::named::{NamedPolicies, NamedPolicy};
use domain::retry::policy::RetryPolicy;
use domain::retry::spec::RetrySpec;

use crate::build::{T0, node, retry, submission};
use crate::live::Live;
use crate::trees::{group, raw};

fn kept(name: &str, version: u64, policy: RetryPolicy) -> Arc<NamedPolicy> {
    let Ok(name) = PolicyName::parse_given(name) else { panic!("{name} is a name") };
    let id = PolicyId::of_name(&Namespace::default_namespace(), &name);
    Arc::new(NamedPolicy { id, name, version, policy: Arc::new(policy) })
}

fn naming(reference: &str, node: NodeSpec) -> NodeSpec {
    NodeSpec { retry: Some(RetrySpec::Named(reference.to_owned())), ..node }
}

fn job_of(nodes: Vec<NodeSpec>) -> JobSpec {
    JobSpec { name: "job".to_owned(), nodes, ..JobSpec::default() }
}

/// Looks up what the job names among these, by name or id, and checks it.
fn checked_with(spec: JobSpec, known: &[Arc<NamedPolicy>]) -> Result<CheckedSpec, Vec<FieldError>> {
    let settings = CheckSettings { bounds: Bounds::default(), queue_timeout_ms: None, now: T0 };
    let find = |text: &str| {
        let mut known = known.iter();
        known.find(|of| of.name.as_str() == text || of.id.to_string() == text).cloned()
    };
    let references: BTreeSet<String> =
        spec.policy_references().into_iter().map(str::to_owned).collect();
    let references = references.iter().map(String::as_str).collect();
    check_with(spec, &settings, &NamedPolicies::of(&references, find))
}

fn submitted(spec: JobSpec, known: &[Arc<NamedPolicy>]) -> Live {
    match checked_with(spec, known) {
        Ok(spec) => Live::submit_checked(spec),
        Err(errors) => panic!("{errors:?}"),
    }
}

fn of(plan: &Plan, ix: u32) -> Option<u64> {
    plan.own_retry(plan.node(ix))?.named.map(|named| named.version)
}

#[test]
fn a_policy_stands_in_the_plan_once_however_it_is_named_and_by_how_many() {
    let (a, b) = (kept("a", 4, retry(2, 0)), kept("b", 9, retry(3, 0)));
    let mut nodes: Vec<NodeSpec> =
        (0..500).map(|ix| naming("a", node(&format!("n{ix}"), &[]))).collect();
    nodes.push(naming(&a.id.to_string(), node("by_id", &[])));
    nodes.push(naming("b", group("g", &[], vec![naming("b", node("m", &[])), node("own", &[])])));
    let spec = JobSpec { retry: Some(RetrySpec::Named("a".to_owned())), ..job_of(nodes) };
    let live = submitted(spec, &[Arc::clone(&a), b]);
    let plan = &live.state.plan;
    let versions: Vec<u64> = plan.policies.iter().map(|policy| policy.version).collect();
    assert_eq!(versions, [4, 9]);
    assert_eq!((of(plan, 0), of(plan, 500), of(plan, live.at("g"))), (Some(4), Some(4), Some(9)));
    assert_eq!(plan.job_retry().and_then(|own| own.named).map(|named| named.version), Some(4));
    assert!(Arc::ptr_eq(&plan.retry_of(plan.node(0)), &a.policy), "shared in memory");
    let text = serde_json::to_string(&live.events[0]).unwrap_or_default();
    assert_eq!(text.matches("max_attempts").count(), 2, "{text}");
    // Shown as a whole it has the job's own, and no other.
    let shown = serde_json::to_string(&JobSnapshot::of(&live.state)).unwrap_or_default();
    let read: JobSnapshot = serde_json::from_str(&shown).unwrap_or_else(|e| panic!("{e}: {shown}"));
    assert_eq!(read.plan.policies.len(), 1);
    assert_eq!(read.plan.job_retry().and_then(|own| own.named), Some(a.as_ref()));
}

#[test]
fn a_named_policy_decides_as_if_it_were_written_out() {
    let known = [kept("twice", 1, retry(2, 500))];
    let mut live = submitted(job_of(vec![naming("twice", node("a", &[])), node("b", &[])]), &known);
    assert_eq!(live.state.plan.max_attempts_of(live.state.plan.node(0)), 2);
    live.fail_once("a");
    assert_eq!(live.status("a"), NodeStatus::Retrying, "{}", live.stand());
    live.wake_at(T0 + 500);
    live.fail_once("a");
    assert_eq!(live.status("a"), NodeStatus::Failed);
    // A group that names one runs its members again.
    let members = vec![naming("once", node("m", &[]))];
    let known = [kept("twice", 1, retry(2, 500)), kept("once", 2, retry(1, 0))];
    let mut live = submitted(job_of(vec![naming("twice", group("g", &[], members))]), &known);
    live.fail_once("g/m");
    assert_eq!(live.status("g"), NodeStatus::Retrying, "{}", live.stand());
}

#[test]
fn what_a_named_policy_reads_of_the_job_travels_in_its_first_event() {
    let when = Some("job.input.n > 1".to_owned());
    let known = [kept("reads", 1, RetryPolicy { when, ..retry(2, 0) })];
    let long = format!(r#"{{"n":2,"text":"{}"}}"#, "x".repeat(10_000));
    let spec = JobSpec { input: Some(raw(&long)), ..job_of(vec![naming("reads", node("a", &[]))]) };
    let mut live = submitted(spec, &known);
    assert!(live.state.plan.input.as_ref().and_then(Payload::inline).is_some());
    live.fail_once("a");
    assert_eq!(live.status("a"), NodeStatus::Retrying, "{}", live.stand());
}

#[test]
fn what_is_not_there_or_too_much_is_refused_where_it_is_named() {
    let errors = |spec: JobSpec, known: &[Arc<NamedPolicy>]| -> Vec<(String, String)> {
        let errors = checked_with(spec, known).err().unwrap_or_default();
        errors.into_iter().map(|error| (error.pointer, error.code.into_owned())).collect()
    };
    let unknown = |pointer: &str| (pointer.to_owned(), "unknown_policy".to_owned());
    let nodes = vec![node("a", &[]), group("g", &[], vec![naming("x", node("m", &[]))])];
    let spec = JobSpec { retry: Some(RetrySpec::Named("y".to_owned())), ..job_of(nodes) };
    let expected = [unknown("/retry/policy_id"), unknown("/nodes/1/nodes/0/retry/policy_id")];
    assert_eq!(errors(spec, &[kept("a", 1, retry(2, 0))]), expected);

    let types = vec!["x".repeat(100); bounds::POLICY_LIST_MAX];
    let large = RetryPolicy { retryable_error_types: types, ..retry(2, 0) };
    let known: Vec<_> = (0..200).map(|n| kept(&format!("p{n}"), n, large.clone())).collect();
    let nodes = (0..200).map(|n| naming(&format!("p{n}"), node(&format!("n{n}"), &[])));
    let refused = errors(job_of(nodes.collect()), &known);
    assert!(refused.iter().all(|(_, code)| code == "too_large") && !refused.is_empty());
    let most = bounds::JOB_POLICIES_BYTES_MAX / (bounds::POLICY_LIST_MAX * 103);
    let first = refused.first().map_or("", |(pointer, _)| pointer.as_str());
    assert!((most - 4..=most).any(|n| first == format!("/nodes/{n}/retry/policy_id")), "{first}");
}

#[test]
fn a_plan_that_refers_to_a_policy_that_it_lacks_is_not_read() {
    let known = [kept("a", 1, retry(2, 0))];
    let spec = checked_with(job_of(vec![naming("a", node("a", &[]))]), &known);
    let command = submission(spec.unwrap_or_else(|errors| panic!("{errors:?}")));
    let domain::job::command::JobCommand::Submit(passed) = command else { panic!("a submission") };
    let text = serde_json::to_string(&*passed).unwrap_or_default();
    assert!(serde_json::from_str::<Submission>(&text).is_ok(), "{text}");
    let wrong = text.replace(r#""retry_named":0"#, r#""retry_named":1"#);
    assert_ne!(wrong, text);
    assert!(serde_json::from_str::<Submission>(&wrong).is_err());
}
