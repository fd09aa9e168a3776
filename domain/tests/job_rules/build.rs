//! Jobs and contexts for the tests: a small language of random graphs and options, checked like any submission, and a
//! `Live` job that decides and applies one command after the other.

use std::sync::Arc;

use domain::bounds::Bounds;
use domain::ids::{Claim, CommandId, Epoch, JobId, Millis, Namespace, WorkerName};
use domain::job::check::{CheckSettings, check};
use domain::job::command::{JobCommand, LeaseOrder, Outcome, Report, Submission};
use domain::job::plan::CheckedSpec;
use domain::job::spec::{CompleteWhen, JobSpec, Start};
use domain::node::attempt::AttemptError;
use domain::node::spec::{DependencyCondition, NodeSpec, Timeouts};
use domain::payload::Hash;
use domain::retry::policy::{JitterMode, OnExhausted, RetryPolicy, Strategy as Waits};
use domain::retry::rules::RetryRule;
use domain::retry::spec::RetrySpec;
use domain::subject::context::Context;
use domain::subject::envelope::CommandMark;
use orrery_model::random_trees::Chance;
use proptest::prelude::*;

/// When every test begins.
pub(crate) const T0: Millis = 1_000_000;
/// How long running attempts may go on after an ending is decided.
pub(crate) const GRACE_MS: Millis = 30_000;

/// `no wait, so many executions`.
pub(crate) fn retry(max_attempts: u32, wait_ms: u64) -> RetryPolicy {
    RetryPolicy {
        strategy: Waits::LinearBackoff,
        max_attempts,
        base_delay_ms: wait_ms,
        step_delay_ms: Some(0),
        max_delay_ms: wait_ms.max(1),
        jitter: JitterMode::None,
        ..RetryPolicy::default()
    }
}

/// A node of this key behind these parents.
pub(crate) fn node(key: &str, depends_on: &[&str]) -> NodeSpec {
    NodeSpec {
        key: key.to_owned(),
        depends_on: depends_on.iter().map(|key| (*key).to_owned()).collect(),
        ..NodeSpec::default()
    }
}

/// A job of these nodes, whose failures are final.
pub(crate) fn job(nodes: Vec<NodeSpec>) -> JobSpec {
    JobSpec { name: "job".to_owned(), nodes, retry: Some(retry(1, 0).into()), ..JobSpec::default() }
}

pub(crate) fn checked(spec: JobSpec) -> CheckedSpec {
    let settings = CheckSettings { bounds: Bounds::default(), queue_timeout_ms: None, now: T0 };
    match check(spec, &settings) {
        Ok(spec) => spec,
        Err(errors) => panic!("the test's job is not valid: {errors:?}"),
    }
}

pub(crate) fn context(now: Millis) -> Context {
    Context {
        now,
        dice: domain::dice::Dice::of(0),
        incarnation: 1,
        grace_ms: GRACE_MS,
        actor: Arc::from("test"),
        command: None,
        correlation: None,
        expected_version: None,
        heard: Vec::new(),
        keyed_commands_max: 1_000,
    }
}

pub(crate) fn mark(id: u32, body: u32) -> CommandMark {
    let Ok(id) = CommandId::parse(&format!("c{id}")) else { panic!("a command id") };
    CommandMark { id, body: Hash::of(&body.to_be_bytes()), keyed: true }
}

pub(crate) fn submission(spec: CheckedSpec) -> JobCommand {
    let namespace = Namespace::default_namespace();
    let id = JobId::from_key(&namespace, "test");
    JobCommand::Submit(Arc::new(Submission { namespace, id, spec, trace_id: "0".repeat(32) }))
}

pub(crate) fn lease(nodes: Vec<u32>) -> JobCommand {
    let (Ok(worker), Ok(claim)) = (WorkerName::parse("w"), Claim::parse("c")) else {
        panic!("names")
    };
    JobCommand::Lease(Arc::new(LeaseOrder {
        worker,
        claim: Some(claim),
        lease_ms: 30_000,
        nodes,
        changes: u32::MAX,
    }))
}

pub(crate) fn report(node: u32, epoch: Epoch, hash: u32, outcome: Outcome) -> JobCommand {
    let hash = Hash::of(&hash.to_be_bytes());
    JobCommand::Report(Box::new(Report { node, epoch, hash, outcome }))
}

pub(crate) fn completes(output: Option<&str>) -> Outcome {
    let output =
        output.and_then(|text| serde_json::value::RawValue::from_string(text.to_owned()).ok());
    Outcome::Complete { output, warnings: Vec::new(), artifacts: Vec::new() }
}

pub(crate) fn fails(retryable: bool) -> Outcome {
    let error = AttemptError {
        error_type: "E".to_owned(),
        message: "no".to_owned(),
        retryable: Some(retryable),
        ..AttemptError::default()
    };
    Outcome::Fail { error, details: None }
}

/// A policy of one of six kinds: plain ones, one with a rule that counts for itself, one with a total time, one that leaves what
/// is used up to a person.
fn drawn_policy(most: u32, wait: u64, kind: u64) -> RetrySpec {
    let plain = retry(most, wait);
    let policy = match kind {
        1 => {
            let rule = RetryRule {
                types: vec!["E".to_owned()],
                max_attempts: Some(3),
                ..RetryRule::default()
            };
            RetryPolicy { rules: vec![rule], ..plain }
        }
        2 => RetryPolicy { total_ms: Some(1_000), ..plain },
        4 => RetryPolicy { on_exhausted: OnExhausted::Pause, ..plain },
        _ => plain,
    };
    policy.into()
}

/// Options of a random node.
fn some_node() -> impl Strategy<Value = NodeSpec> {
    let times = || prop_oneof![6 => Just(None), 1 => (1u64..20).prop_map(|s| Some(s * 1_000))];
    let timeouts = (times(), times(), times());
    let flags =
        (any::<bool>(), any::<bool>(), prop::bool::weighted(0.3), prop::bool::weighted(0.2));
    let own = (prop::option::weighted(0.3, 1u8..=10), prop::option::weighted(0.4, 1u32..4));
    (flags, timeouts, own, 0u64..3).prop_map(
        |((any_of, skip, optional, once), (queue_ms, attempt_ms, total_ms), own, wait)| NodeSpec {
            dependency_condition: if any_of {
                DependencyCondition::Any
            } else {
                DependencyCondition::All
            },
            skip_on_failure: skip,
            optional,
            at_most_once: once,
            timeouts: Timeouts { queue_ms, attempt_ms, total_ms },
            priority: own.0,
            retry: own.1.map(|most| drawn_policy(most, wait * 700, u64::from(any_of) * 2 + wait)),
            ..NodeSpec::default()
        },
    )
}

/// Random graphs: edges go from earlier to later nodes of a random order, which is not the order of positions.
fn some_nodes() -> impl Strategy<Value = Vec<NodeSpec>> {
    let rows = prop::collection::vec((some_node(), any::<u16>(), any::<u32>()), 1..11);
    (rows, 1u32..4).prop_map(|(rows, density)| {
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_by_key(|ix| rows[*ix].2);
        let mut nodes: Vec<NodeSpec> = rows.iter().map(|(node, _, _)| node.clone()).collect();
        for (rank, ix) in order.iter().enumerate() {
            nodes[*ix].key = format!("n{ix}");
            let chosen = order[..rank].iter().enumerate().filter(|(bit, _)| {
                let bits = u32::from(rows[*ix].1);
                (bits >> bit) & 1 == 1 && u32::try_from(*bit).unwrap_or(0) % density == 0
            });
            nodes[*ix].depends_on = chosen.map(|(_, parent)| format!("n{parent}")).collect();
        }
        nodes
    })
}

/// Random jobs.
pub(crate) fn some_job() -> impl Strategy<Value = JobSpec> {
    let complete_when = prop_oneof![
        3 => Just(CompleteWhen::All),
        1 => Just(CompleteWhen::Any),
        1 => Just(CompleteWhen::AtLeast(1)),
        1 => (0u32..3).prop_map(CompleteWhen::TolerateCount),
        1 => (0u8..=100).prop_map(CompleteWhen::TolerateAtMostPercent),
    ];
    let start = (prop::bool::weighted(0.15), prop::option::weighted(0.2, 0i64..5_000));
    let limits = (prop::option::weighted(0.5, 1u32..4), prop::bool::weighted(0.3));
    let rest = (prop::bool::weighted(0.25), prop::option::weighted(0.3, 1u64..60));
    (some_nodes(), complete_when, start, limits, rest).prop_map(
        |(nodes, complete_when, start, (max_parallel, fail_fast), (asks, timeout))| JobSpec {
            complete_when,
            start: if start.0 { Start::Manual } else { Start::Auto },
            scheduled_at: start.1.map(|ms| T0 + ms),
            max_parallel,
            fail_fast,
            environment: asks.then(|| "elsewhere".to_owned()),
            timeout_ms: timeout.map(|s| s * 1_000),
            retry: Some(retry(2, 500).into()),
            ..job(nodes)
        },
    )
}

/// A time-out that most nodes do not have.
fn some_ms<C: Chance>(chance: &mut C) -> Option<u64> {
    chance.percent(8).then(|| 1_000 + chance.number_below(20) * 1_000)
}

/// Options of a random task of a tree.
pub(crate) fn some_task<C: Chance>(chance: &mut C) -> NodeSpec {
    let most = 1 + u32::try_from(chance.number_below(3)).unwrap_or(0);
    NodeSpec {
        skip_on_failure: chance.percent(30),
        optional: chance.percent(20),
        at_most_once: chance.percent(10),
        timeouts: Timeouts {
            queue_ms: some_ms(chance),
            attempt_ms: some_ms(chance),
            total_ms: some_ms(chance),
        },
        priority: chance.percent(20).then(|| chance.one_of(&[1, 3, 5, 10])),
        retry: chance
            .percent(40)
            .then(|| drawn_policy(most, chance.one_of(&[0, 700]), chance.number_below(6))),
        ..NodeSpec::default()
    }
}

/// Options of a random job that is a tree; its nodes are drawn later.
pub(crate) fn tree_job<C: Chance>(chance: &mut C) -> JobSpec {
    JobSpec {
        max_parallel: chance.one_of(&[None, None, Some(1), Some(2), Some(3)]),
        fail_fast: chance.percent(20),
        environment: chance.percent(15).then(|| "elsewhere".to_owned()),
        timeout_ms: chance.percent(15).then(|| 1_000 + chance.number_below(60) * 1_000),
        cleanup_timeout_ms: chance.percent(20).then_some(3_000),
        retry: Some(retry(2, chance.one_of(&[0, 500])).into()),
        ..job(Vec::new())
    }
}
