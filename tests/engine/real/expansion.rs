//! A job that goes over a list, killed in the middle: when the expansion is appended, between the orders in which its members'
//! inputs are evaluated, and while the members are reported. Nothing is lost and nothing doubled: each member comes to be
//! once, with its own item, is evaluated once and recorded once.

use std::collections::BTreeSet;

use domain::ids::{JobId, Namespace, SubjectId};
use domain::job::fact::{AttemptFact, JobFact};
use domain::job::flow::Prepared;
use serde_json::{Value, json};

use super::process::{EngineProcess, pause, run};
use super::recorded_outcomes;

/// Items of the list: four orders of evaluations.
const ITEMS: usize = 2_000;
/// Members that are leased at once.
const LEASED: usize = 200;
/// Members of one report.
const REPORTED: usize = 20;
/// Reports of the same before a test gives up.
const REPORTS_MAX: usize = 1_000;

const LEASE: &str = "/api/v1/queues/members/lease";
const COMPLETE: &str = "/api/v1/leases/complete";

/// The list is the output of the first node, and too large to stand in an event: it is read and evaluated beside the
/// committer, so that the expansion is an event of its own.
fn job() -> Value {
    json!({ "name": "over a list", "output": { "all": "${{ nodes.each.output }}" }, "nodes": [
        { "key": "list", "queue": "list" },
        { "key": "each", "type": "parallel_group", "depends_on": ["list"],
          "for_each": "${{ nodes.list.output.items }}",
          "template": { "queue": "members", "input": { "of": "${{ item.of }}", "number": "${{ index }}" } } }] })
}

fn item(number: usize) -> Value {
    json!({ "of": format!("item {}", number * 7) })
}

/// What a member is given, and reports.
fn own(number: usize) -> Value {
    json!({ "of": item(number)["of"], "number": number })
}

#[tokio::test]
async fn an_expansion_that_is_killed_in_its_middle_loses_and_doubles_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().to_str().expect("a path");
    let engine = EngineProcess::start(folder.path()).await;
    let events = async || {
        let checked = run(&["check", data, "--output", "json"]);
        let checked: Value = serde_json::from_str(&checked).expect("JSON");
        assert_eq!(checked["wrong"], 0, "{checked}");
        checked["events"].as_u64().expect("a count")
    };
    expanded_through_kills(engine, events).await;
}

/// Runs the job on an engine that is killed again and again. `events`: how many the store has, asked while no engine runs.
pub(super) async fn expanded_through_kills(
    mut engine: EngineProcess,
    events: impl AsyncFn() -> u64,
) {
    let (status, made) = engine.post("/api/v1/jobs", &job(), None).await;
    assert_eq!(status, 201, "{made}");
    let id = made["id"].as_str().expect("an id").to_owned();
    killed_while_it_expands(&mut engine, events).await;
    killed_while_members_are_reported(&mut engine).await;

    let ended = engine.until(&id, |job| job["completed_at"].is_string()).await;
    assert_eq!(ended["status"], "completed", "{}", ended["error"]);
    assert_eq!(ended["nodes"]["completed"], ITEMS + 2, "{}", ended["nodes"]);
    let all = ended["output"]["all"].as_array().expect("a list");
    let expected: Vec<Value> = (0..ITEMS).map(own).collect();
    assert!(*all == expected, "each member's output is at its place, once");
    let export = engine.text(&format!("/api/v1/jobs/{id}/history?format=ndjson")).await;
    each_member_once(&id, &export);
    engine.stop();
}

async fn leased(engine: &EngineProcess, path: &str) -> Vec<Value> {
    let ask = json!({ "worker": "w", "max": LEASED, "wait_ms": 20_000, "lease_ms": 3_600_000 });
    let answer = engine.until_answered(path, &ask).await;
    let leases = answer["leases"].as_array().expect("leases").clone();
    assert!(!leases.is_empty(), "there is work: {answer}");
    leases
}

/// The events of the expansion and of the first orders become durable one by one, each with a kill before and after it.
async fn killed_while_it_expands(engine: &mut EngineProcess, events: impl AsyncFn() -> u64) {
    let list = leased(engine, "/api/v1/queues/list/lease").await;
    let items: Vec<Value> = (0..ITEMS).map(item).collect();
    let report = json!({ "items": [{ "lease": list[0]["lease"], "output": { "items": items } }] });
    engine.kill();
    let before = events().await;
    // The report is durable, and the expansion about to be.
    engine.kill_and_arm_ready("effect.append:2").await;
    engine.until_groups(|mine, _| mine == 64).await;
    engine.posting(COMPLETE, &report).await;
    engine.until_aborted().await;
    assert_eq!(events().await, before + 1, "the list is reported, and not expanded");
    for (point, durable) in [
        ("effect.append:1", 1),
        // The expansion, which nobody heard of.
        ("effect.appended:1", 2),
        ("effect.append:1", 2),
        // The first members' inputs.
        ("effect.appended:1", 3),
        ("effect.append:2", 4),
    ] {
        engine.kill_and_arm(point);
        engine.until_aborted().await;
        assert_eq!(events().await, before + durable, "{point}");
    }
    engine.kill_and_restart().await;
    assert_eq!(reported(engine, &report).await, 1, "the report of before is known");
}

/// Reports until each is answered; how many were known already.
async fn reported(engine: &EngineProcess, report: &Value) -> usize {
    for _ in 0..REPORTS_MAX {
        let answer = engine.until_answered(COMPLETE, report).await;
        let results = answer["results"].as_array().expect("results");
        let count = |outcome: &str| results.iter().filter(|of| of["outcome"] == outcome).count();
        let (recorded, replayed) = (count("recorded"), count("replayed"));
        if recorded + replayed == results.len() {
            return replayed;
        }
        let later = |of: &Value| {
            of["outcome"] != "refused" || of["error"]["status"].as_u64().is_some_and(|of| of >= 500)
        };
        assert!(results.iter().all(later), "{answer}");
        pause().await;
    }
    panic!("the report was not taken: {report}");
}

fn reports(leases: &[Value]) -> Vec<Value> {
    let entry = |lease: &Value| json!({ "lease": lease["lease"], "output": lease["input"] });
    let report = |some: &[Value]| json!({ "items": some.iter().map(entry).collect::<Vec<_>>() });
    leases.chunks(REPORTED).map(report).collect()
}

/// Reports one after the other, each of which is an append, until the engine is gone.
async fn aborted_in_a_report(engine: &mut EngineProcess, reports: &[Value], point: &str) {
    engine.kill_and_arm_ready(point).await;
    engine.until_groups(|mine, _| mine == 64).await;
    for report in reports {
        if !engine.posting(COMPLETE, report).await {
            break;
        }
    }
    engine.until_aborted().await;
}

/// Reports all at once, and kills the engine as soon as one is answered, in the midst of the others.
async fn killed_among_reports(engine: &mut EngineProcess, reports: &[Value]) {
    let posting = reports.iter().map(|report| Box::pin(engine.posting(COMPLETE, report)));
    let (answered, _, _others) = futures_util::future::select_all(posting).await;
    assert!(answered);
    engine.kill();
}

async fn killed_while_members_are_reported(engine: &mut EngineProcess) {
    let mut seen = BTreeSet::new();
    let mut known = 0;
    for turn in 0.. {
        if seen.len() == ITEMS {
            break;
        }
        let leases = leased(engine, LEASE).await;
        for lease in &leases {
            let number = lease["input"]["number"].as_u64().expect("a number");
            let number = usize::try_from(number).expect("small");
            assert!(seen.insert(number), "{number} is leased twice");
            assert_eq!(lease["node"], format!("each[{number}]"));
            assert_eq!(lease["input"], own(number));
        }
        let reports = reports(&leases);
        let point = match turn {
            // Before an append, and after it, when nobody has heard of it.
            1 => Some("effect.append:2"),
            2 => Some("effect.appended:1"),
            4 => Some("effect.appended:3"),
            _ => None,
        };
        if let Some(point) = point {
            aborted_in_a_report(engine, &reports, point).await;
            engine.kill_and_restart().await;
        } else if [3, 5].contains(&turn) {
            killed_among_reports(engine, &reports).await;
            engine.kill_and_restart().await;
        }
        for report in &reports {
            known += reported(engine, report).await;
        }
    }
    assert!(known > 0, "some were recorded whose answer was lost");
}

/// One expansion; each of its members evaluated once and completed once.
fn each_member_once(id: &str, export: &str) {
    let subject =
        SubjectId::job(Namespace::default_namespace(), JobId::parse(id).expect("a job id"));
    domain::history::verify(&subject, export.as_bytes()).expect("the chain holds");
    let mut added = Vec::new();
    let (mut evaluated, mut completed) = (BTreeSet::new(), BTreeSet::new());
    let mut lists = 0;
    for event in recorded_outcomes::events(export) {
        let flow = event.flow.unwrap_or_default();
        added.extend(flow.added.iter().map(|of| (of.first, of.count)));
        for (node, prepared) in &flow.prepared {
            lists += usize::from(matches!(prepared, Prepared::List { .. }));
            assert!(evaluated.insert(*node), "node {node} is evaluated twice");
        }
        if let JobFact::Attempt(AttemptFact::Completed { attempt, .. }) = event.fact {
            assert!(completed.insert(attempt.node), "node {} is recorded twice", attempt.node);
            assert_eq!(attempt.attempt, 1, "no attempt was lost");
        }
    }
    let items = u32::try_from(ITEMS).expect("small");
    let [(first, count)] = added[..] else { panic!("one expansion and no other: {added:?}") };
    assert_eq!((count, lists), (items, 1));
    let members: BTreeSet<u32> = (first..first + items).collect();
    assert!(evaluated.is_superset(&members), "each member has its input");
    // Beside them the list, and the job's output.
    assert!(completed.is_superset(&members) && completed.len() == ITEMS + 1, "each has completed");
}
