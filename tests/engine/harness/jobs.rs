//! Jobs that tests submit: checked specifications made of few words.

use domain::bounds::Bounds;
use domain::ids::{Claim, JobId, Millis, Namespace, QueueName, SubjectId, WorkerName};
use domain::job::check::{CheckSettings, check};
use domain::job::command::Submission;
use domain::job::spec::JobSpec;
use domain::node::spec::NodeSpec;
use orrery::engine::core::message::LeaseRequest;
use uuid::Uuid;

/// When every test begins.
pub(crate) const START: Millis = 1_800_000_000_000;

pub(crate) fn node(key: &str, parents: &[&str]) -> NodeSpec {
    let depends_on = parents.iter().map(|parent| (*parent).to_owned()).collect();
    NodeSpec { key: key.to_owned(), depends_on, ..NodeSpec::default() }
}

pub(crate) fn spec(nodes: Vec<NodeSpec>) -> JobSpec {
    JobSpec { name: "a job".to_owned(), nodes, ..JobSpec::default() }
}

/// One node.
pub(crate) fn single() -> JobSpec {
    spec(vec![node("a", &[])])
}

/// a -> b, c -> d.
pub(crate) fn diamond() -> JobSpec {
    spec(vec![node("a", &[]), node("b", &["a"]), node("c", &["a"]), node("d", &["b", "c"])])
}

/// One node, then `width` of them, then one.
pub(crate) fn fan(width: usize) -> JobSpec {
    let keys: Vec<String> = (0..width).map(|at| format!("m{at}")).collect();
    let mut nodes = vec![node("first", &[])];
    nodes.extend(keys.iter().map(|key| node(key, &["first"])));
    let parents: Vec<&str> = keys.iter().map(String::as_str).collect();
    nodes.push(node("last", &parents));
    spec(nodes)
}

pub(crate) fn in_environment(mut job: JobSpec, name: &str) -> JobSpec {
    job.environment = Some(name.to_owned());
    job
}

pub(crate) fn namespace() -> Namespace {
    Namespace::default_namespace()
}

pub(crate) fn subject(number: u128) -> SubjectId {
    SubjectId::job(namespace(), JobId(Uuid::from_u128(number)))
}

pub(crate) fn submission(id: JobId, job: JobSpec, now: Millis) -> Submission {
    let settings = CheckSettings { bounds: Bounds::default(), queue_timeout_ms: None, now };
    let spec = check(job, &settings).expect("a job that is right");
    Submission { namespace: namespace(), id, spec, trace_id: "0".repeat(32) }
}

/// A request that does not wait.
pub(crate) fn poll(worker: &str, max: usize) -> LeaseRequest {
    LeaseRequest {
        namespace: namespace(),
        queue: QueueName::default_queue(),
        action_types: Vec::new(),
        worker: WorkerName::parse(worker).expect("a name"),
        claim: None,
        lease_ms: 30_000,
        max,
        wait_until: 0,
        correlation: None,
    }
}

pub(crate) fn claim(word: &str) -> Claim {
    Claim::parse(word).expect("a claim")
}
