//! Jobs drawn at random: small graphs and trees with every option that jobs have today, so that each rule meets each other.
//! Always holds: what is drawn passes the check of submissions.

use std::sync::Arc;

use domain::bounds::Bounds;
use domain::ids::{CommandId, JobId, Millis, SubjectId};
use domain::job::check::{CheckSettings, check};
use domain::job::command::Submission;
use domain::job::spec::{CompleteWhen, JobSpec, Start};
use domain::node::spec::{DependencyCondition, NodeSpec, Timeouts};
use domain::payload::Hash;
use domain::retry::policy::{JitterMode, OnExhausted, RetryPolicy, Strategy};
use domain::retry::rules::RetryRule;
use domain::subject::envelope::CommandMark;
use orrery_model::random_trees::plant_tree;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::dice::Dice;
use crate::harness::jobs;

/// The queues that nodes and workers know.
pub(crate) const QUEUES: [&str; 2] = ["default", "other"];
/// The kinds of work.
pub(crate) const ACTIONS: [&str; 2] = ["cook", "wash"];
/// The one environment with limits.
pub(crate) const POOL: &str = "pool";

/// A job somebody wants, and what became of it.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) subject: SubjectId,
    pub(crate) submission: Arc<Submission>,
    pub(crate) mark: Option<CommandMark>,
    /// A 2xx left an engine.
    pub(crate) acked: bool,
    /// Whoever wanted it has given up without an answer: it exists or not.
    pub(crate) forgotten: bool,
    pub(crate) tries: u32,
}

/// `trees`: how many of a thousand branch, fan out and pass data.
pub(crate) fn order(
    dice: &mut Dice,
    number: usize,
    now: Millis,
    in_pool: u64,
    trees: u64,
) -> Order {
    let id = JobId(Uuid::from_u128(u128::from(dice.draw()) << 64 | number as u128));
    // What came later is drawn apart, so that it does not shift what seeds have always drawn.
    let mut more = Dice::new(dice.clone().draw());
    let mut spec = spec(dice, now, in_pool);
    if more.chance(trees) {
        plant_tree(&mut more, &mut spec, &mut |dice: &mut Dice| node(dice, 0));
    }
    let settings = CheckSettings { bounds: Bounds::default(), queue_timeout_ms: None, now };
    let spec = check(spec, &settings).expect("a drawn job is right");
    let submission =
        Submission { namespace: jobs::namespace(), id, spec, trace_id: "0".repeat(32) };
    let mark = dice.chance(600).then(|| mark(&format!("submit {number}"), true));
    let subject = SubjectId::job(jobs::namespace(), id);
    Order {
        subject,
        submission: Arc::new(submission),
        mark,
        acked: false,
        forgotten: false,
        tries: 0,
    }
}

pub(crate) fn mark(id: &str, keyed: bool) -> CommandMark {
    let id = CommandId::parse(id).expect("a command id");
    CommandMark { id, body: Hash::of(b"a body"), keyed }
}

fn spec(dice: &mut Dice, now: Millis, in_pool: u64) -> JobSpec {
    let many = dice.pick(&[1, 2, 3, 4, 4, 6, 6, 9, 14]);
    let nodes: Vec<NodeSpec> = (0..many).map(|at| node(dice, at)).collect();
    let scheduled = dice.chance(150).then(|| now + dice.wait(0, 90_000));
    let manual = scheduled.is_none() && dice.chance(80);
    JobSpec {
        name: format!("job {}", dice.below(100)),
        job_type: dice.chance(500).then(|| dice.pick(&["meal", "laundry"]).to_owned()),
        priority: dice.chance(500).then(|| u8::try_from(dice.between(1, 10)).expect("a priority")),
        tags: if dice.chance(300) { vec!["tag".to_owned()] } else { Vec::new() },
        input: dice.chance(100).then(|| raw("{\"a\":1}")),
        scheduled_at: scheduled,
        start: if manual { Start::Manual } else { Start::Auto },
        timeout_ms: dice.chance(200).then(|| dice.pick(&[3_000, 20_000, 60_000])),
        environment: dice.chance(in_pool).then(|| POOL.to_owned()),
        max_parallel: dice.chance(250).then(|| dice.pick(&[1, 2, 3])),
        fail_fast: dice.chance(200),
        complete_when: complete_when(dice),
        retry: dice.chance(600).then(|| policy(dice).into()),
        output: dice.chance(100).then(|| raw("[1]")),
        nodes,
        ..JobSpec::default()
    }
}

fn complete_when(dice: &mut Dice) -> CompleteWhen {
    match dice.below(10) {
        0 => CompleteWhen::Any,
        1 => CompleteWhen::AtLeast(1),
        2 => CompleteWhen::TolerateCount(1),
        3 => CompleteWhen::TolerateAtMostPercent(50),
        _ => CompleteWhen::All,
    }
}

fn node(dice: &mut Dice, at: usize) -> NodeSpec {
    let parents = if at == 0 || dice.chance(200) { 0 } else { dice.below(4).min(at as u64) };
    let mut depends_on: Vec<String> =
        (0..parents).map(|_| format!("n{}", dice.index(at))).collect();
    depends_on.sort();
    depends_on.dedup();
    let queue = dice.chance(200).then(|| QUEUES[1].to_owned());
    NodeSpec {
        key: format!("n{at}"),
        queue,
        action_type: dice.chance(500).then(|| dice.pick(&ACTIONS).to_owned()),
        input: dice.chance(30).then(|| raw(&format!("\"{}\"", "x".repeat(3_000)))),
        depends_on,
        dependency_condition: dice.pick(&[
            DependencyCondition::All,
            DependencyCondition::All,
            DependencyCondition::Any,
        ]),
        skip_on_failure: dice.chance(250),
        optional: dice.chance(200),
        priority: dice.chance(200).then(|| u8::try_from(dice.between(1, 10)).expect("a priority")),
        timeouts: Timeouts {
            queue_ms: dice.chance(100).then(|| dice.pick(&[1_000, 10_000])),
            attempt_ms: dice.chance(150).then(|| dice.pick(&[1_000, 10_000])),
            total_ms: dice.chance(100).then(|| dice.pick(&[5_000, 30_000])),
        },
        retry: dice.chance(150).then(|| policy(dice).into()),
        at_most_once: dice.chance(120),
        ..NodeSpec::default()
    }
}

fn policy(dice: &mut Dice) -> RetryPolicy {
    let strategy = dice.pick(&[
        Strategy::Immediate,
        Strategy::LinearBackoff,
        Strategy::ExponentialBackoff,
        Strategy::FibonacciBackoff,
        Strategy::CustomBackoff,
        Strategy::None,
    ]);
    let jitter = dice.pick(&[
        JitterMode::None,
        JitterMode::Full,
        JitterMode::Equal,
        JitterMode::Proportional,
        // It grows by itself, which a list or no wait at all contradicts.
        if grows(strategy) { JitterMode::Decorrelated } else { JitterMode::Full },
    ]);
    let delays_ms = if strategy == Strategy::CustomBackoff { vec![10, 2_000] } else { Vec::new() };
    let rules = if dice.chance(200) { vec![rule(dice)] } else { Vec::new() };
    let on_exhausted = if dice.chance(100) { OnExhausted::Pause } else { OnExhausted::Fail };
    RetryPolicy {
        strategy,
        max_attempts: dice.pick(&[1, 2, 3, 5]),
        base_delay_ms: dice.pick(&[0, 100, 2_000]),
        max_delay_ms: dice.pick(&[1_000, 20_000]).max(2_000),
        delays_ms,
        jitter,
        rules,
        on_exhausted,
        ..RetryPolicy::default()
    }
}

/// For one of the classes that workers report.
fn rule(dice: &mut Dice) -> RetryRule {
    RetryRule {
        classes: vec![dice.pick(&["network.*", "validation"]).to_owned()],
        max_attempts: Some(dice.pick(&[1, 2, 4])),
        base_delay_ms: Some(dice.pick(&[0, 500])),
        ..RetryRule::default()
    }
}

fn grows(strategy: Strategy) -> bool {
    matches!(
        strategy,
        Strategy::LinearBackoff | Strategy::ExponentialBackoff | Strategy::FibonacciBackoff
    )
}

pub(crate) fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).expect("JSON")
}
