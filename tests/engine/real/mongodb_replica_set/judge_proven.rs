//! Every rule of the judge is seen to find what breaks it: a run that is right is told again with one lie in it, which the
//! judge must name. No process runs here, and no MongoDB.

use domain::ids::{JobId, LeaseId, SubjectId};
use domain::job::command::Outcome;
use orrery::event_store::contract::EventStore as _;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::judge::{Made, judge};
use super::workers::Reported;
use crate::harness::falsified_history::{retold, told};
use crate::harness::jobs::{node, poll, spec, subject};
use crate::harness::lab::{Lab, recorded, report_of, wait};

/// A run of one job of three nodes, `a` before `b`; the first attempt of `c` was given back.
struct Run {
    job: Value,
    made: Made,
    reports: Vec<Reported>,
}

fn of() -> SubjectId {
    subject(1)
}

fn right_run() -> Run {
    let mut lab = Lab::new();
    let job = lab.submit(0, 1, spec(vec![node("a", &[]), node("b", &["a"]), node("c", &[])]));
    let mut reports = Vec::new();
    let mut gives_back = true;
    loop {
        let granted = lab.lease(0, poll("worker", 10));
        if granted.is_empty() {
            break;
        }
        for one in &granted {
            if one.lease.node == 2 && std::mem::take(&mut gives_back) {
                let released = Outcome::Release { undelivered: false };
                assert!(recorded(&lab.ask(0, report_of(one, released, b"not now"))));
                continue;
            }
            // What the engine keeps in the event, and what it keeps beside.
            let pad = "y".repeat(if one.lease.node == 1 { 5_000 } else { 5 });
            let output = json!({ "of": one.lease.to_string(), "pad": pad }).to_string();
            let raw = Some(RawValue::from_string(output.clone()).expect("JSON"));
            let done =
                Outcome::Complete { output: raw, warnings: Vec::new(), artifacts: Vec::new() };
            assert!(recorded(&lab.ask(0, report_of(one, done, output.as_bytes()))));
            reports.push(Reported { lease: one.lease, output, acknowledged: true });
        }
    }
    let part = wait(lab.store.read(&job, 1, usize::MAX)).expect("a stream");
    let lines = part.records.iter().flat_map(|record| record.body.split(|byte| *byte == b'\n'));
    let lines: Vec<Vec<u8>> = lines.map(<[u8]>::to_vec).collect();
    let first = json!({ "id": JobId(job.id).to_string() });
    let nodes = json!([{"key": "a"}, {"key": "b", "depends_on": ["a"]}, {"key": "c"}]);
    let made = Made {
        id: JobId(job.id).to_string(),
        name: "workflow-0".to_owned(),
        again: first.clone(),
        first,
        export: told(&of(), &lines),
    };
    Run { job: json!({ "nodes": nodes }), made, reports }
}

impl Run {
    fn retell(&mut self, lie: impl FnOnce(&mut Vec<Value>)) {
        self.made.export = retold(&of(), &self.made.export, lie);
    }

    fn judged(&self) -> Result<(), String> {
        judge(&self.job, std::slice::from_ref(&self.made), &self.reports)
    }

    /// The report on a node.
    fn of_node(&mut self, node: u32) -> &mut Reported {
        self.reports.iter_mut().find(|report| report.lease.node == node).expect("a report")
    }
}

/// Where a node is leased for the n-th time, and its attempt there.
fn leased(events: &[Value], node: u32, number: usize) -> (usize, usize) {
    let attempts = events.iter().enumerate().flat_map(|(at, event)| {
        let attempts = event["fact"]["leased"]["attempts"].as_array().cloned().unwrap_or_default();
        attempts.into_iter().enumerate().map(move |(place, attempt)| (at, place, attempt))
    });
    let mut of_node = attempts.filter(|(.., attempt)| attempt["node"] == node);
    let (at, place, _) = of_node.nth(number).expect("such a lease");
    (at, place)
}

fn epoch(events: &mut [Value], (at, place): (usize, usize)) -> &mut Value {
    &mut events[at]["fact"]["leased"]["attempts"][place]["epoch"]
}

/// Where a node completes.
fn completed(events: &[Value], node: u32) -> usize {
    let is = |event: &Value| event["fact"]["completed"]["attempt"]["node"] == node;
    events.iter().position(is).expect("it completes")
}

/// A lie, and what the judge must say of it.
type Lie = (&'static str, fn(&mut Run));

const LIES: &[Lie] = &[
    ("the chain does not hold", |run| {
        run.made.export = run.made.export.replacen("worker", "another", 1);
    }),
    ("the chain does not hold", |run| {
        // Cut off, as if the rest had never been.
        let lines = run.made.export.lines().count();
        let kept: Vec<&str> = run.made.export.lines().take(lines - 2).collect();
        run.made.export = kept.join("\n") + "\n";
    }),
    ("an epoch did not grow", |run| {
        run.retell(|events| {
            let (first, second) = (leased(events, 2, 0), leased(events, 2, 1));
            let before = epoch(events, first).clone();
            *epoch(events, second) = before;
        });
    }),
    ("\"b\" before its parent", |run| {
        run.retell(|events| {
            let (done, next) = (completed(events, 0), leased(events, 1, 0).0);
            events.swap(done, next);
        });
    }),
    ("a stale attempt of node 2 counts", |run| {
        run.retell(|events| {
            let before = leased(events, 2, 0);
            let old = epoch(events, before).clone();
            let done = completed(events, 2);
            events[done]["fact"]["completed"]["attempt"]["epoch"] = old;
        });
    }),
    ("node 0 is recorded twice", |run| {
        run.retell(|events| {
            let done = completed(events, 0);
            events.insert(done, events[done].clone());
        });
    }),
    ("not every task is recorded", |run| {
        run.retell(|events| drop(events.remove(completed(events, 1))));
    }),
    ("completed, and nobody said so", |run| drop(run.reports.remove(0))),
    ("completed, and nobody said so", |run| run.of_node(2).lease.epoch.0 += 1),
    ("has another output", |run| "{}".clone_into(&mut run.of_node(0).output)),
    // Of one that lies beside the history, by its hash.
    ("has another output", |run| run.of_node(1).output.push(' ')),
    ("has another output", |run| {
        run.retell(|events| {
            let done = completed(events, 0);
            events[done]["fact"]["completed"]["output"] = Value::Null;
        });
    }),
    ("was acknowledged and is lost", |run| {
        // An attempt before the one that counts was said to be recorded, too.
        let mut other = run.of_node(2).clone();
        other.lease = LeaseId { epoch: domain::ids::Epoch(other.lease.epoch.0 - 1), ..other.lease };
        run.reports.push(other);
    }),
    ("the same submission gets another answer", |run| run.made.again["id"] = json!("another")),
    ("the same submission gets another answer", |run| run.made.again = Value::Null),
];

#[test]
fn a_run_that_is_right_is_found_right() {
    let mut run = right_run();
    run.judged().expect("nothing is wrong");
    // What nobody acknowledged may be there or not.
    run.of_node(0).acknowledged = false;
    run.judged().expect("nothing is wrong");
    let unknown = run.of_node(0).lease;
    let lease = LeaseId { epoch: domain::ids::Epoch(unknown.epoch.0 + 9), ..unknown };
    run.reports.push(Reported { lease, output: "{}".to_owned(), acknowledged: false });
    run.judged().expect("nothing is wrong");
}

#[test]
fn each_rule_names_the_run_that_breaks_it() {
    for (number, (said, lie)) in LIES.iter().enumerate() {
        let mut run = right_run();
        lie(&mut run);
        let found = run.judged().expect_err(said);
        assert!(found.starts_with("workflow-0: ") && found.contains(said), "lie {number}: {found}");
    }
}
