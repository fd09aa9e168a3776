//! What must hold at the end of a cell, read from the client's log and the engine's exports alone: everything
//! acknowledged is there once, as it was sent; what was never answered is there once or not at all; nothing started
//! before its parents or after an acknowledged cancel; epochs only grew; chains hold.
//! Always holds: a rule is a function of what was read, so that `doctored` can break each of them by itself.

use std::collections::{BTreeMap, BTreeSet};

use domain::ids::{JobId, LeaseId, Namespace, SubjectId};
use domain::job::event::JobEvent;
use domain::job::fact::{
    AdmissionFact, AttemptFact, EndingFact, FailureFact, JobFact, SteeringFact,
};
use domain::job::outcome::EndingCause;
use domain::payload::{Hash, Payload};
use serde_json::Value;
use serde_json::value::RawValue;

use super::client::{Link, Log, Reported, Submission};
use super::load::{all_jobs, job_id, say, shape};

/// The rule that is broken, and where.
pub(super) type Checked<T = ()> = Result<T, String>;

macro_rules! hold {
    ($holds:expr, $($said:tt)+) => {
        if !$holds {
            return Err(format!($($said)+));
        }
    };
}

/// What the engine exports of a job.
#[derive(Debug, Clone)]
pub(super) struct Exported {
    pub(super) name: String,
    pub(super) id: String,
    /// As the list shows it, from the view.
    pub(super) shown: Value,
    /// As it is, from its stream.
    pub(super) job: Value,
    /// The history as ndjson.
    pub(super) history: String,
    /// Outputs by node.
    pub(super) outputs: BTreeMap<String, Value>,
}

/// Asks for everything, sends every acknowledged write once more, and checks.
pub(super) async fn check(link: &Link) -> Checked {
    let log = link.with_log(std::mem::take);
    let mut exports = Vec::new();
    for job in all_jobs(link).await {
        exports.push(exported(link, job).await);
    }
    judge(&log, &exports)?;
    first_answers_come_again(link, &log).await?;
    for export in &exports {
        let now = link.text(&format!("/api/v1/jobs/{}/history?format=ndjson", export.id)).await;
        is_unchanged(export, &now)?;
    }
    Ok(())
}

async fn exported(link: &Link, shown: Value) -> Exported {
    let (id, name) = (text_of(&shown, "id"), text_of(&shown, "name"));
    let job = link.get(&format!("/api/v1/jobs/{id}")).await;
    let nodes = link.get(&format!("/api/v1/jobs/{id}/nodes?page_size=100")).await;
    let outputs = nodes["nodes"].as_array().expect("nodes").iter();
    let outputs = outputs.map(|node| (text_of(node, "key"), node["output"].clone())).collect();
    let history = link.text(&format!("/api/v1/jobs/{id}/history?format=ndjson")).await;
    Exported { name, id, shown, job, history, outputs }
}

fn text_of(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().to_owned()
}

/// Everything that needs no further question.
pub(super) fn judge(log: &Log, exports: &[Exported]) -> Checked {
    for export in exports {
        // The list comes from the view, the job from its stream.
        for field in ["status", "version", "nodes", "name"] {
            let same = export.job[field] == export.shown[field];
            hold!(same, "{}: the view shows another {field}", export.name);
        }
    }
    check_submissions(log, exports)?;
    for export in exports {
        check_history(log, export)?;
    }
    check_commands(log, exports)
}

/// Acknowledged: once, with the id that was answered. Never answered: once or not at all. Nothing else exists.
fn check_submissions(log: &Log, exports: &[Exported]) -> Checked {
    for submission in &log.submissions {
        let found: Vec<&str> = exports
            .iter()
            .filter(|export| export.name == submission.name)
            .map(|export| export.id.as_str())
            .collect();
        let name = &submission.name;
        if let Some((_, answer)) = &submission.acked {
            let id = job_id(answer).unwrap_or_default();
            hold!(found == [id.as_str()], "{name} was acknowledged as {id}, and is {found:?}");
        } else {
            hold!(submission.unknown, "{name} was never sent");
            hold!(found.len() <= 1, "{name} is there {} times", found.len());
        }
    }
    let known: BTreeSet<&str> = log.submissions.iter().map(|s| s.name.as_str()).collect();
    for export in exports {
        hold!(known.contains(export.name.as_str()), "{} was never submitted", export.name);
    }
    Ok(())
}

/// Attempts by node and epoch whose outcome is recorded.
#[derive(Default)]
struct Outcomes {
    completed: BTreeMap<u32, u64>,
    failed: BTreeSet<(u32, u64)>,
}

/// Verifies the chain and walks the events.
fn check_history(log: &Log, export: &Exported) -> Checked {
    let name = &export.name;
    let id = JobId::parse(&export.id).map_err(|_| format!("{name} has no id"))?;
    let subject = SubjectId::job(Namespace::default_namespace(), id);
    let verified = domain::history::verify(&subject, export.history.as_bytes());
    verified.map_err(|damage| format!("{name}: the chain does not hold: {damage}"))?;
    let kind = name.split('-').next().unwrap_or_default();
    let nodes = shape(kind);
    let position = |key: &str| nodes.iter().position(|(node, _)| node == key);
    let (mut epochs, mut outcomes) = (BTreeMap::<u32, u64>::new(), Outcomes::default());
    let mut over = false;
    for event in events(&export.history)? {
        match &event.fact {
            JobFact::Attempt(AttemptFact::Leased { attempts, .. }) => {
                hold!(!over, "{name}: something started after its end was decided");
                for attempt in attempts {
                    let before = epochs.insert(attempt.node, attempt.epoch.0).unwrap_or(0);
                    hold!(attempt.epoch.0 > before, "{name}: an epoch did not grow");
                    let (key, parents) = &nodes[attempt.node as usize];
                    for parent in parents {
                        let parent = position(parent).and_then(|at| u32::try_from(at).ok());
                        let settled = parent.is_some_and(|at| outcomes.completed.contains_key(&at));
                        hold!(settled, "{name}: {key} before its parent");
                    }
                }
            }
            JobFact::Attempt(AttemptFact::Completed { attempt, output, .. }) => {
                let newest = epochs.get(&attempt.node) == Some(&attempt.epoch.0);
                hold!(newest, "{name}: a stale attempt completed");
                let before = outcomes.completed.insert(attempt.node, attempt.epoch.0);
                hold!(before.is_none(), "{name}: a node completed twice");
                let lease = LeaseId { job: id, node: attempt.node, epoch: attempt.epoch };
                let key = &nodes[attempt.node as usize].0;
                check_output(log, export, lease, key, output.as_ref())?;
            }
            JobFact::Failure(FailureFact::Failed(failure)) => {
                let newest = epochs.get(&failure.attempt.node) == Some(&failure.attempt.epoch.0);
                hold!(newest, "{name}: a stale attempt failed");
                outcomes.failed.insert((failure.attempt.node, failure.attempt.epoch.0));
            }
            JobFact::Ending(EndingFact::EndingDecided { why: EndingCause::Requested }) => {
                over = true;
            }
            _ => {}
        }
        over |= event.job.last().is_some_and(|(_, to)| to.is_terminal());
    }
    check_acked_reports(log, export, id, &outcomes)
}

fn events(history: &str) -> Checked<Vec<JobEvent>> {
    #[derive(serde::Deserialize)]
    struct Line<'a> {
        #[serde(borrow)]
        event: &'a RawValue,
    }
    let mut events = Vec::new();
    for line in history.lines() {
        let Ok(line) = serde_json::from_str::<Line<'_>>(line) else { continue };
        let event = serde_json::from_str(line.event.get());
        events.push(event.map_err(|error| format!("an event cannot be read: {error}"))?);
    }
    Ok(events)
}

/// A recorded output is one that was sent for this very attempt, byte for byte.
fn check_output(
    log: &Log,
    export: &Exported,
    lease: LeaseId,
    key: &str,
    output: Option<&Payload>,
) -> Checked {
    let name = &export.name;
    // The text that was sent ends with its proof, which no history has.
    let is_of = |text: &str| orrery::http::lease_tokens::unproven(text) == Some(lease);
    let mut sent = log.reports.iter().filter(|report| is_of(&report.lease));
    let Some(bytes) = sent.find_map(|report| report.output.as_deref()) else {
        return Err(format!("{name}: {key} completed, and nobody said so"));
    };
    match output {
        Some(Payload::Inline(raw)) => {
            hold!(raw.get() == bytes, "{name}: {key} has another output than was sent");
        }
        Some(Payload::Stored(stored)) => {
            let same = stored.sha256 == Hash::of(bytes.as_bytes());
            hold!(same, "{name}: {key} has another output than was sent");
            let sent = serde_json::from_str::<Value>(bytes).ok();
            hold!(export.outputs.get(key) == sent.as_ref(), "{name}: {key} shows other bytes");
        }
        None => return Err(format!("{name}: {key} completed without its output")),
    }
    Ok(())
}

/// What was answered as recorded is recorded, of that very attempt.
fn check_acked_reports(log: &Log, export: &Exported, id: JobId, outcomes: &Outcomes) -> Checked {
    for report in log.reports.iter().filter(|report| is_acked(report)) {
        let lease = orrery::http::lease_tokens::unproven(&report.lease).ok_or("no lease")?;
        if lease.job != id {
            continue;
        }
        let (node, epoch) = (lease.node, lease.epoch.0);
        let recorded = match report.output {
            Some(_) => outcomes.completed.get(&node) == Some(&epoch),
            None => outcomes.failed.contains(&(node, epoch)),
        };
        hold!(recorded, "{}: the report on {} is lost", export.name, report.lease);
    }
    Ok(())
}

fn is_acked(report: &Reported) -> bool {
    let outcome = report.outcome.as_ref().and_then(|result| result["outcome"].as_str());
    outcome.is_some_and(|outcome| outcome != "refused")
}

/// An acknowledged cancel is in the job's history; that nothing starts after it was checked there.
fn check_commands(log: &Log, exports: &[Exported]) -> Checked {
    for command in &log.commands {
        let Some(export) = exports.iter().find(|export| export.id == command.job) else {
            return Err(format!("{} of a job that is not there", command.what));
        };
        let found = events(&export.history)?.iter().any(|event| match command.what {
            "cancel" => {
                matches!(
                    event.fact,
                    JobFact::Ending(EndingFact::EndingDecided { why: EndingCause::Requested })
                )
            }
            "pause" => matches!(event.fact, JobFact::Steering(SteeringFact::Paused { .. })),
            "resume" => matches!(event.fact, JobFact::Steering(SteeringFact::Resumed)),
            _ => matches!(event.fact, JobFact::Admission(AdmissionFact::Started)),
        });
        hold!(found, "{}: {} was acknowledged, and is not there", export.name, command.what);
    }
    Ok(())
}

/// The same write again gets its first answer, and another one under the same name is refused.
async fn first_answers_come_again(link: &Link, log: &Log) -> Checked {
    for submission in &log.submissions {
        if submission.acked.is_some() {
            let (path, body, key) = (submission.path, submission.body.as_str(), &submission.key);
            let again = link.until_answered(("POST", path, body, key), || {}).await;
            is_first_answer(submission, &again)?;
        }
    }
    for report in log.reports.iter().filter(|report| is_acked(report)) {
        let again = say(link, report.path, std::slice::from_ref(report), "").await;
        is_outcome(report, &again["results"][0], "replayed")?;
        let other = format!(r#"{{"lease":"{}","output":{{"other":1}}}}"#, report.lease);
        let other = Reported { item: other, ..report.clone() };
        let answer = say(link, "/api/v1/leases/complete", &[other], "").await;
        is_outcome(report, &answer["results"][0], "refused")?;
    }
    Ok(())
}

pub(super) fn is_first_answer(submission: &Submission, again: &(u16, Value)) -> Checked {
    let same = submission.acked.as_ref() == Some(again);
    hold!(same, "{}: another answer than the first: {again:?}", submission.name);
    Ok(())
}

pub(super) fn is_outcome(report: &Reported, result: &Value, wanted: &str) -> Checked {
    hold!(result["outcome"] == wanted, "{}: not {wanted} but {result}", report.lease);
    Ok(())
}

/// Repeats leave no trace: the history is what it was, but for the time of the export.
pub(super) fn is_unchanged(export: &Exported, now: &str) -> Checked {
    let body = |text: &str| text.lines().rev().skip(1).map(str::to_owned).collect::<Vec<_>>();
    let (now, then) = (body(now), body(&export.history));
    let newer = &now[..now.len() - then.len().min(now.len())];
    let (is, was) = (now.len(), then.len());
    hold!(now == then, "{}: a repeat changed the job from {was} to {is}: {newer:?}", export.name);
    Ok(())
}
