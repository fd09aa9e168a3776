//! Every rule of the checker is seen to fail: a run that is right is recorded, and told again with one lie in it. The
//! checker must name that lie, and find nothing in the run as it was.

use std::collections::BTreeMap;

use domain::ids::JobId;
use domain::job::command::{JobCommand, Outcome};
use domain::job::spec::JobSpec;
use domain::node::attempt::AttemptError;
use orrery::engine::core::message::Granted;
use orrery::event_store::contract::EventStore as _;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::checker::{Exported, is_first_answer, is_outcome, is_unchanged, judge};
use super::client::{Commanded, Log, Reported, Submission};
use super::load::shape;
use super::process::says_it_panicked;
use crate::harness::falsified_history::{nth, retold, told};
use crate::harness::jobs::{node, poll, spec, subject};
use crate::harness::lab::{Lab, recorded, report_of, wait};

/// Longer than what travels in an event.
const LARGE_BYTES: usize = 5_000;

/// A run: what its client knows, and what the engine exports.
struct Run {
    log: Log,
    exports: Vec<Exported>,
}

/// The jobs, by their number: a diamond; one that is cancelled while its first node runs; one that fails once.
const DIAMOND: usize = 0;
const CANCELLED: usize = 1;
const RETRIED: usize = 2;

fn named(name: &str) -> JobSpec {
    let nodes = shape(name.split('-').next().unwrap_or_default());
    let nodes = nodes
        .iter()
        .map(|(key, parents)| node(key, &parents.iter().map(String::as_str).collect::<Vec<_>>()));
    JobSpec { name: name.to_owned(), ..spec(nodes.collect()) }
}

fn submitted(log: &mut Log, name: &str, id: Option<JobId>) {
    log.submissions.push(Submission {
        key: format!("key-{name}"),
        path: "/api/v1/jobs",
        body: "{}".to_owned(),
        name: name.to_owned(),
        acked: id.map(|id| (201, json!({ "id": id.to_string() }))),
        unknown: id.is_none(),
    });
}

/// Reports on an attempt, as a worker of the load does.
fn report(lab: &mut Lab, log: &mut Log, granted: &Granted, fails: bool) {
    let lease = granted.lease.to_string();
    let bytes = if granted.lease.node == 3 { LARGE_BYTES } else { 10 };
    let text = format!(r#"{{"of":"{lease}","pad":"{}"}}"#, "y".repeat(bytes));
    let (path, output, outcome) = if fails {
        let error = AttemptError {
            error_type: "Boom".to_owned(),
            message: "as planned".to_owned(),
            class: "application".to_owned(),
            retryable: Some(true),
            ..AttemptError::default()
        };
        ("/api/v1/leases/fail", None, Outcome::Fail { error, details: None })
    } else {
        let raw = RawValue::from_string(text.clone()).expect("JSON");
        let outcome =
            Outcome::Complete { output: Some(raw), warnings: Vec::new(), artifacts: Vec::new() };
        ("/api/v1/leases/complete", Some(text.clone()), outcome)
    };
    let answer = lab.ask(0, report_of(granted, outcome, text.as_bytes()));
    assert!(recorded(&answer), "{answer:?}");
    let outcome = Some(json!({ "lease": lease, "outcome": "recorded" }));
    log.reports.push(Reported { lease, path, item: String::new(), output, outcome });
}

/// Works until there is nothing; the first attempt of `fails` fails.
fn work(lab: &mut Lab, log: &mut Log, mut fails: bool) {
    loop {
        let granted = lab.lease(0, poll("worker", 10));
        if granted.is_empty() {
            return;
        }
        for one in &granted {
            report(lab, log, one, std::mem::take(&mut fails));
        }
        lab.advance(60_000);
    }
}

fn right_run() -> Run {
    let (mut lab, mut log) = (Lab::new(), Log::default());
    let names = ["diamond-2", "cancelled-5", "retried-4"];
    for (number, name) in (1..).zip(names) {
        let job = lab.submit(0, number, named(name));
        submitted(&mut log, name, Some(JobId(job.id)));
        if number == 2 {
            let granted = lab.lease(0, poll("worker", 10));
            lab.command(0, &job, JobCommand::Cancel { reason: None });
            log.commands.push(Commanded { job: job.id.to_string(), what: "cancel" });
            report(&mut lab, &mut log, &granted[0], false);
        }
        work(&mut lab, &mut log, number == 3);
    }
    // One whose submission was never answered, and never came.
    submitted(&mut log, "single-0", None);
    let exports = (1..).zip(names).map(|(number, name)| exported(&lab, &log, number, name));
    let exports = exports.collect();
    Run { log, exports }
}

fn exported(lab: &Lab, log: &Log, number: u128, name: &str) -> Exported {
    let of = subject(number);
    let part = wait(lab.store.read(&of, 1, usize::MAX)).expect("a stream");
    let records = part.records.iter().flat_map(|record| record.body.split(|byte| *byte == b'\n'));
    let lines: Vec<Vec<u8>> = records.map(<[u8]>::to_vec).collect();
    let id = JobId(of.id).to_string();
    let outputs =
        log.reports.iter().filter(|report| report.lease.contains(&id)).filter_map(|report| {
            let lease = orrery::http::lease_tokens::unproven(&report.lease).expect("a lease");
            let key = shape(name.split('-').next()?)[lease.node as usize].0.clone();
            Some((key, serde_json::from_str(report.output.as_deref()?).expect("JSON")))
        });
    let outputs: BTreeMap<String, Value> = outputs.collect();
    let shown =
        json!({ "id": id, "name": name, "status": "over", "version": lines.len(), "nodes": {} });
    let history = told(&of, &lines);
    Exported { name: name.to_owned(), id, job: shown.clone(), shown, history, outputs }
}

impl Run {
    /// Tells the history of a job again, otherwise, with a chain that holds.
    fn retell(&mut self, job: usize, lie: impl FnOnce(&mut Vec<Value>)) {
        let export = &mut self.exports[job];
        export.history = retold(&subject(job as u128 + 1), &export.history, lie);
    }
}

/// A lie, and what the checker must say of it.
type Lie = (&'static str, fn(&mut Run));

const LIES_OF_SUBMISSIONS: &[Lie] = &[
    ("diamond-2 was acknowledged as", |run| drop(run.exports.remove(DIAMOND))),
    ("diamond-2 was acknowledged as", |run| {
        run.log.submissions[DIAMOND].acked = Some((201, json!({ "id": "another" })));
    }),
    ("diamond-2 was acknowledged as", |run| {
        let again = run.exports[DIAMOND].clone();
        run.exports.push(again);
    }),
    ("single-0 is there 2 times", |run| {
        for _ in 0..2 {
            let twice = Exported { name: "single-0".to_owned(), ..run.exports[DIAMOND].clone() };
            run.exports.push(twice);
        }
    }),
    ("single-0 was never sent", |run| run.log.submissions[3].unknown = false),
    ("stranger-1 was never submitted", |run| {
        let stranger = Exported { name: "stranger-1".to_owned(), ..run.exports[DIAMOND].clone() };
        run.exports.push(stranger);
    }),
    ("diamond-2: the view shows another status", |run| {
        run.exports[DIAMOND].shown["status"] = json!("running");
    }),
    ("diamond-2: the view shows another version", |run| {
        run.exports[DIAMOND].shown["version"] = json!(1);
    }),
    ("diamond-2: the view shows another nodes", |run| {
        run.exports[DIAMOND].shown["nodes"] = json!({ "completed": 1 });
    }),
    ("cancelled-5: cancel was acknowledged, and is not there", |run| {
        // As if the end had come by a deadline.
        run.retell(CANCELLED, |events| {
            let ending = nth(events, "ending_decided", 0);
            events[ending]["fact"]["ending_decided"]["why"] = json!("deadline");
        });
    }),
    ("diamond-2: pause was acknowledged, and is not there", |run| command(run, "pause")),
    ("diamond-2: resume was acknowledged, and is not there", |run| command(run, "resume")),
    ("diamond-2: start was acknowledged, and is not there", |run| command(run, "start")),
    ("cancel of a job that is not there", |run| {
        "another".clone_into(&mut run.log.commands[0].job);
    }),
];

fn command(run: &mut Run, what: &'static str) {
    let job = run.exports[DIAMOND].id.clone();
    run.log.commands.push(Commanded { job, what });
}

const LIES_OF_HISTORIES: &[Lie] = &[
    ("diamond-2: the chain does not hold", |run| {
        let history = &mut run.exports[DIAMOND].history;
        *history = history.replacen("worker/worker", "worker/another", 1);
    }),
    ("diamond-2: the chain does not hold", |run| {
        let history = &mut run.exports[DIAMOND].history;
        *history = history.lines().next().expect("a line").to_owned() + "\n";
    }),
    ("cancelled-5: something started after its end was decided", |run| {
        run.retell(CANCELLED, |events| {
            let mut late = events[nth(events, "leased", 0)].clone();
            late["fact"]["leased"]["attempts"][0]["node"] = json!(1);
            events.insert(nth(events, "ending_decided", 0) + 1, late);
        });
    }),
    ("diamond-2: something started after its end was decided", |run| {
        run.retell(DIAMOND, |events| {
            let late = events[nth(events, "leased", 0)].clone();
            events.push(late);
        });
    }),
    ("retried-4: an epoch did not grow", |run| {
        run.retell(RETRIED, |events| {
            let (first, second) = (nth(events, "leased", 0), nth(events, "leased", 1));
            let epoch = events[first]["fact"]["leased"]["attempts"][0]["epoch"].clone();
            events[second]["fact"]["leased"]["attempts"][0]["epoch"] = epoch;
        });
    }),
    ("diamond-2: b before its parent", |run| {
        run.retell(DIAMOND, |events| {
            let (done, next) = (nth(events, "completed", 0), nth(events, "leased", 1));
            events.swap(done, next);
        });
    }),
    ("diamond-2: d before its parent", |run| {
        // Of two parents one is enough to wait for.
        run.retell(DIAMOND, |events| {
            let (done, next) = (nth(events, "completed", 2), nth(events, "leased", 2));
            events.swap(done, next);
        });
    }),
    ("retried-4: a stale attempt completed", |run| {
        run.retell(RETRIED, |events| {
            let done = nth(events, "completed", 0);
            let epoch =
                events[nth(events, "leased", 0)]["fact"]["leased"]["attempts"][0]["epoch"].clone();
            events[done]["fact"]["completed"]["attempt"]["epoch"] = epoch;
        });
    }),
    ("retried-4: a stale attempt failed", |run| {
        run.retell(RETRIED, |events| {
            let again = events[nth(events, "failed", 0)].clone();
            events.insert(nth(events, "leased", 1) + 1, again);
        });
    }),
    ("diamond-2: a node completed twice", |run| {
        run.retell(DIAMOND, |events| {
            let done = nth(events, "completed", 0);
            events.insert(done, events[done].clone());
        });
    }),
];

const LIES_OF_REPORTS: &[Lie] = &[
    ("diamond-2: a completed, and nobody said so", |run| drop(run.log.reports.remove(0))),
    ("diamond-2: a has another output than was sent", |run| {
        run.log.reports[0].output = Some(r#"{"of":"another"}"#.to_owned());
    }),
    ("diamond-2: d has another output than was sent", |run| {
        run.log.reports[3].output = Some(r#"{"of":"another"}"#.to_owned());
    }),
    ("diamond-2: d shows other bytes", |run| {
        run.exports[DIAMOND].outputs.insert("d".to_owned(), json!("others"));
    }),
    ("diamond-2: a completed without its output", |run| {
        run.retell(DIAMOND, |events| {
            let done = nth(events, "completed", 0);
            events[done]["fact"]["completed"]["output"] = Value::Null;
        });
    }),
    ("diamond-2: the report on", |run| {
        run.retell(DIAMOND, |events| events.truncate(nth(events, "completed", 3)));
    }),
    ("retried-4: the report on", |run| {
        // Its failure is forgotten, as if the lease had run out.
        run.retell(RETRIED, |events| drop(events.remove(nth(events, "failed", 0))));
    }),
    ("retried-4: the report on", |run| {
        // The first attempt was said to have completed; it is the second that did.
        let failed = run.log.reports.iter().position(|report| report.output.is_none());
        run.log.reports[failed.expect("a failure")].output = Some("{}".to_owned());
    }),
];

#[test]
fn a_run_that_is_right_is_found_right() {
    let run = right_run();
    judge(&run.log, &run.exports).expect("nothing is wrong");
    // The three ways the runs differ are really there.
    let all: String = run.exports.iter().map(|export| export.history.as_str()).collect();
    for fact in ["ending_decided", "\"failed\"", "sha256", "completed"] {
        assert!(all.contains(fact), "no {fact} in the run");
    }
}

#[test]
fn each_rule_names_the_run_that_breaks_it() {
    for (said, lie) in [LIES_OF_SUBMISSIONS, LIES_OF_HISTORIES, LIES_OF_REPORTS].concat() {
        let mut run = right_run();
        lie(&mut run);
        let found = judge(&run.log, &run.exports).expect_err(said);
        assert!(found.contains(said), "{found} instead of {said}");
    }
}

#[test]
fn repeats_that_get_another_answer_or_leave_a_trace_are_named() {
    let mut run = right_run();
    let (submission, report) = (&run.log.submissions[DIAMOND], &run.log.reports[0]);
    let first = submission.acked.clone().expect("an answer");
    assert_eq!(is_first_answer(submission, &first), Ok(()));
    let other = is_first_answer(submission, &(200, first.1.clone())).expect_err("another status");
    assert!(other.contains("another answer than the first"), "{other}");
    is_first_answer(submission, &(first.0, json!({}))).expect_err("another body");
    let result = |outcome: &str| json!({ "outcome": outcome });
    assert_eq!(is_outcome(report, &result("replayed"), "replayed"), Ok(()));
    is_outcome(report, &result("recorded"), "replayed").expect_err("recorded twice");
    is_outcome(report, &result("refused"), "replayed").expect_err("forgotten");
    is_outcome(report, &result("replayed"), "refused").expect_err("another report counts");
    let before = run.exports[DIAMOND].clone();
    let exported_later = before.history.replace("1970-01-01", "1970-01-02");
    assert_eq!(is_unchanged(&before, &exported_later), Ok(()));
    run.retell(DIAMOND, |events| {
        let again = events[nth(events, "completed", 3)].clone();
        events.push(again);
    });
    let changed = is_unchanged(&before, &run.exports[DIAMOND].history).expect_err("an event more");
    assert!(changed.contains("a repeat changed the job"), "{changed}");
    is_unchanged(&before, "").expect_err("no history");
}

#[test]
fn a_panic_is_heard() {
    assert!(says_it_panicked("thread 'main' panicked at src/main.rs:1:1:\nno"));
    assert!(!says_it_panicked("listening on 127.0.0.1:1;"));
}
