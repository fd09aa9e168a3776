//! What must hold at the end of a cell, read from the client's log and the engine's exports alone: everything
//! acknowledged is there once, as it was sent; what was never answered is there once or not at all; nothing started
//! before its parents or after an acknowledged cancel; epochs only grew; chains hold.

use std::collections::{BTreeMap, BTreeSet};

use domain::ids::{JobId, LeaseId, Namespace, SubjectId};
use domain::job::event::{EndingCause, JobEvent, JobFact};
use domain::payload::{Hash, Payload};
use serde_json::Value;
use serde_json::value::RawValue;

use super::client::{Link, Log};
use super::load::{all_jobs, job_id, say, shape};

/// What the engine exports of a job.
struct Exported {
    name: String,
    id: String,
    /// The history as ndjson.
    history: String,
    /// Outputs by node.
    outputs: BTreeMap<String, Value>,
}

/// Asks for everything, sends every acknowledged write once more, and checks.
pub(super) async fn check(link: &Link) {
    let log = link.with_log(std::mem::take);
    let mut exports = Vec::new();
    for job in all_jobs(link).await {
        exports.push(exported(link, &job).await);
    }
    check_submissions(&log, &exports);
    let mut completed = 0;
    for export in &exports {
        completed += check_history(&log, export);
    }
    let acked = log.reports.iter().filter(|report| {
        report.output.is_some() && outcome(report.outcome.as_ref()).is_some_and(|o| o != "refused")
    });
    assert!(acked.count() <= completed, "more completions were acknowledged than there are");
    check_commands(&log, &exports);
    first_answers_come_again(link, &log).await;
    for export in &exports {
        let now = link.text(&format!("/api/v1/jobs/{}/history?format=ndjson", export.id)).await;
        let body = |text: &str| text.lines().rev().skip(1).map(str::to_owned).collect::<Vec<_>>();
        let (now, then) = (body(&now), body(&export.history));
        let newer = &now[..now.len() - then.len().min(now.len())];
        assert!(now == then, "{}: a repeat changed the job: {newer:?}", export.name);
    }
}

async fn exported(link: &Link, shown: &Value) -> Exported {
    let (id, name) = (text_of(shown, "id"), text_of(shown, "name"));
    let job = link.get(&format!("/api/v1/jobs/{id}")).await;
    // The list comes from the view, the job from its stream.
    for field in ["status", "version", "nodes", "name"] {
        assert_eq!(job[field], shown[field], "{name}: the view shows another {field}");
    }
    let nodes = link.get(&format!("/api/v1/jobs/{id}/nodes?page_size=100")).await;
    let outputs = nodes["nodes"].as_array().expect("nodes").iter();
    let outputs = outputs.map(|node| (text_of(node, "key"), node["output"].clone())).collect();
    let history = link.text(&format!("/api/v1/jobs/{id}/history?format=ndjson")).await;
    Exported { name, id, history, outputs }
}

fn text_of(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().to_owned()
}

/// Acknowledged: once, with the id that was answered. Never answered: once or not at all. Nothing else exists.
fn check_submissions(log: &Log, exports: &[Exported]) {
    for submission in &log.submissions {
        let found: Vec<&str> = exports
            .iter()
            .filter(|export| export.name == submission.name)
            .map(|export| export.id.as_str())
            .collect();
        let name = &submission.name;
        if let Some((_, answer)) = &submission.acked {
            let id = job_id(answer).expect("an id");
            assert_eq!(found, [id.as_str()], "{name} was acknowledged");
        } else {
            assert!(submission.unknown, "{name} was never sent");
            assert!(found.len() <= 1, "{name} is there {} times", found.len());
        }
    }
    let known: BTreeSet<&str> = log.submissions.iter().map(|s| s.name.as_str()).collect();
    for export in exports {
        assert!(known.contains(export.name.as_str()), "{} was never submitted", export.name);
    }
}

/// Verifies the chain and walks the events. Answers how many attempts completed.
fn check_history(log: &Log, export: &Exported) -> usize {
    let name = &export.name;
    let id = JobId::parse(&export.id).expect("a job id");
    let subject = SubjectId::job(Namespace::default_namespace(), id);
    let verified = domain::history::verify(&subject, export.history.as_bytes());
    verified.unwrap_or_else(|damage| panic!("{name}: the chain does not hold: {damage}"));
    let kind = name.split('-').next().unwrap_or_default();
    let nodes = shape(kind);
    let position = |key: &str| nodes.iter().position(|(node, _)| node == key);
    let (mut epochs, mut completed) = (BTreeMap::<u32, u64>::new(), BTreeSet::<u32>::new());
    let mut over = false;
    for event in events(&export.history) {
        match &event.fact {
            JobFact::Leased { attempts, .. } => {
                assert!(!over, "{name}: something started after its end was decided");
                for attempt in attempts {
                    let before = epochs.insert(attempt.node, attempt.epoch.0).unwrap_or(0);
                    assert!(attempt.epoch.0 > before, "{name}: an epoch did not grow");
                    let (key, parents) = &nodes[attempt.node as usize];
                    for parent in parents {
                        let parent = position(parent).and_then(|at| u32::try_from(at).ok());
                        let parent = parent.expect("a parent");
                        assert!(completed.contains(&parent), "{name}: {key} before its parent");
                    }
                }
            }
            JobFact::Completed { attempt, output, .. } => {
                assert_eq!(epochs.get(&attempt.node), Some(&attempt.epoch.0), "{name}: stale");
                assert!(completed.insert(attempt.node), "{name}: a node completed twice");
                let lease = LeaseId { job: id, node: attempt.node, epoch: attempt.epoch };
                let key = &nodes[attempt.node as usize].0;
                check_output(log, export, &lease.to_string(), key, output.as_ref());
            }
            JobFact::EndingDecided { why: EndingCause::Requested } => over = true,
            _ => {}
        }
        over |= event.job.last().is_some_and(|(_, to)| to.is_terminal());
    }
    check_acked_reports(log, export, id, &completed);
    completed.len()
}

fn events(history: &str) -> Vec<JobEvent> {
    #[derive(serde::Deserialize)]
    struct Line<'a> {
        #[serde(borrow)]
        event: &'a RawValue,
    }
    let mut events = Vec::new();
    for line in history.lines() {
        let Ok(line) = serde_json::from_str::<Line<'_>>(line) else { continue };
        events.push(serde_json::from_str(line.event.get()).expect("an event"));
    }
    events
}

/// A recorded output is one that was sent for this very attempt, byte for byte.
fn check_output(log: &Log, export: &Exported, lease: &str, key: &str, output: Option<&Payload>) {
    let name = &export.name;
    let sent = log.reports.iter().find(|report| report.lease == lease && report.output.is_some());
    let sent = sent.unwrap_or_else(|| panic!("{name}: {key} completed, and nobody said so"));
    let bytes = sent.output.as_deref().expect("an output");
    match output {
        Some(Payload::Inline(raw)) => assert_eq!(raw.get(), bytes, "{name}: {key}"),
        Some(Payload::Stored(stored)) => {
            assert_eq!(stored.sha256, Hash::of(bytes.as_bytes()), "{name}: {key}");
            let sent: Value = serde_json::from_str(bytes).expect("JSON");
            assert!(export.outputs[key] == sent, "{name}: {key} has other bytes");
        }
        None => panic!("{name}: {key} completed without its output"),
    }
}

/// What was answered as recorded is recorded.
fn check_acked_reports(log: &Log, export: &Exported, id: JobId, completed: &BTreeSet<u32>) {
    for report in &log.reports {
        let lease = LeaseId::parse(&report.lease).expect("a lease");
        let acked = outcome(report.outcome.as_ref()).is_some_and(|outcome| outcome != "refused");
        if lease.job == id && acked && report.output.is_some() {
            assert!(completed.contains(&lease.node), "{}: {} is lost", export.name, report.lease);
        }
    }
}

fn outcome(result: Option<&Value>) -> Option<&str> {
    result?["outcome"].as_str()
}

/// An acknowledged cancel is in the job's history; that nothing starts after it was checked there.
fn check_commands(log: &Log, exports: &[Exported]) {
    for command in &log.commands {
        let export = exports.iter().find(|export| export.id == command.job).expect("the job");
        let found = events(&export.history).iter().any(|event| match command.what {
            "cancel" => {
                matches!(event.fact, JobFact::EndingDecided { why: EndingCause::Requested })
            }
            "pause" => matches!(event.fact, JobFact::Paused { .. }),
            "resume" => matches!(event.fact, JobFact::Resumed),
            _ => matches!(event.fact, JobFact::Started),
        });
        assert!(found, "{}: {} was acknowledged", export.name, command.what);
    }
}

/// The same write again gets its first answer, and another one under the same name is refused.
async fn first_answers_come_again(link: &Link, log: &Log) {
    for submission in &log.submissions {
        let Some(first) = &submission.acked else { continue };
        let (path, body, key) = (submission.path, submission.body.as_str(), &submission.key);
        let again = link.until_answered(("POST", path, body, key), || {}).await;
        assert_eq!(&again, first, "{}: the first answer", submission.name);
    }
    for report in &log.reports {
        if outcome(report.outcome.as_ref()).is_none_or(|outcome| outcome == "refused") {
            continue;
        }
        let again = say(link, report.path, std::slice::from_ref(report), "").await;
        assert_eq!(again["results"][0]["outcome"], "replayed", "{}: {again}", report.lease);
        let other = format!(r#"{{"lease":"{}","output":{{"other":1}}}}"#, report.lease);
        let other = super::client::Reported { item: other, ..report.clone() };
        let other = say(link, "/api/v1/leases/complete", &[other], "").await;
        assert_eq!(other["results"][0]["outcome"], "refused", "{}: {other}", report.lease);
    }
}
