//! The lease loop against an engine that is played by a script over real HTTP: what it asks, what it reports, and
//! how it ends. The script checks that no lease is held beyond the concurrency and none is reported twice.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Mutex;
use std::sync::MutexGuard;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::super::attempt::StopSignal;
use super::super::raw;
use super::*;
use crate::api::EngineArgs;

#[derive(Debug, Default)]
struct Script {
    /// Leases to be handed out.
    ready: VecDeque<String>,
    held: BTreeSet<String>,
    held_at_most: usize,
    /// What was recorded for each lease.
    recorded: BTreeMap<String, String>,
    /// Requests still to be answered with 503.
    away: u32,
    /// Leases whose heartbeat says cancel.
    cancel: BTreeSet<String>,
    /// Leases that count as another's.
    lost: BTreeSet<String>,
    /// Leases whose output is refused.
    refuse_output: BTreeSet<String>,
    /// Requests for work that came with a report.
    asked_with_report: usize,
    /// Once so many leases are recorded or lost, the worker is told to leave.
    leave_after: usize,
}

#[derive(Clone, Default)]
struct Engine {
    script: Arc<Mutex<Script>>,
    more: Arc<Notify>,
    leave: CancellationToken,
}

impl Engine {
    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn grant(&self, max: usize) -> Vec<Value> {
        let mut script = self.script();
        let count = max.min(script.ready.len());
        let granted: Vec<String> = script.ready.drain(..count).collect();
        script.held.extend(granted.iter().cloned());
        script.held_at_most = script.held_at_most.max(script.held.len());
        let lease = |id: &String| {
            json!({ "lease": id, "job_id": "j", "node": id, "attempt": 1, "epoch": 1, "attempt_key": id, "idempotency_key": id,
                    "kind": "do", "action_type": null, "input": {}, "expires_at": "", "heartbeat_ms": 50 })
        };
        granted.iter().map(lease).collect()
    }

    fn is_away(&self) -> bool {
        let mut script = self.script();
        let away = script.away > 0;
        script.away = script.away.saturating_sub(1);
        away
    }
}

async fn lease(State(engine): State<Engine>, Json(ask): Json<Value>) -> Response {
    if engine.is_away() {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let max = usize::try_from(ask["max"].as_u64().unwrap_or(0)).unwrap_or(0);
    loop {
        let leases = engine.grant(max);
        if !leases.is_empty() {
            return Json(json!({ "leases": leases })).into_response();
        }
        engine.more.notified().await;
    }
}

async fn report(
    State(engine): State<Engine>,
    Path(verb): Path<String>,
    Json(batch): Json<Value>,
) -> Response {
    if engine.is_away() {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let mut results = Vec::new();
    for item in batch["items"].as_array().into_iter().flatten() {
        let id = item["lease"].as_str().unwrap_or_default().to_owned();
        results.push(answer(&mut engine.script(), &verb, &id, item));
    }
    let mut next = Vec::new();
    if let Some(max) = batch["lease"]["max"].as_u64() {
        engine.script().asked_with_report += 1;
        next = engine.grant(usize::try_from(max).unwrap_or(0));
    }
    let script = engine.script();
    if script.recorded.len() + script.lost.len() >= script.leave_after {
        engine.leave.cancel();
    }
    Json(json!({ "results": results, "leases": next })).into_response()
}

fn answer(script: &mut Script, verb: &str, id: &str, item: &Value) -> Value {
    if script.lost.contains(id) {
        return json!({ "lease": id, "outcome": "refused", "error": { "status": 409, "code": "lease_lost" } });
    }
    if verb == "heartbeat" {
        return json!({ "lease": id, "expires_at": "", "cancel": script.cancel.contains(id) });
    }
    if verb == "complete" && script.refuse_output.contains(id) {
        return json!({ "lease": id, "outcome": "refused", "error": { "status": 422, "code": "output_too_large" } });
    }
    script.held.remove(id);
    let class = item["error"]["class"].as_str().unwrap_or_default();
    let earlier =
        script.recorded.insert(id.to_owned(), format!("{verb} {class}").trim().to_owned());
    assert_eq!(earlier, None, "{id} was reported twice");
    json!({ "lease": id, "outcome": "recorded" })
}

/// Completes at once, but for attempts whose node begins with `slow`, which wait until they are stopped.
struct Quick;

impl RunAttempt for Quick {
    async fn run(&self, attempt: Attempt, mut stop: StopSignal) -> AttemptOutcome {
        if attempt.node.starts_with("slow") {
            return AttemptOutcome::of_stop(stop.requested().await);
        }
        if attempt.node.starts_with("host") {
            return AttemptOutcome::HostFault("no process is left".to_owned());
        }
        assert!(!attempt.node.starts_with("panic"), "this attempt panics");
        AttemptOutcome::completed(raw(&json!({ "node": attempt.node })))
    }
}

/// Plays a script to its end: the totals of the worker, and what the engine recorded.
async fn play(script: Script, concurrency: usize) -> (Totals, Engine) {
    let leave_at_once = script.leave_after == 0;
    let engine = Engine { script: Arc::new(Mutex::new(script)), ..Engine::default() };
    let routes = Router::new()
        .route("/api/v1/queues/q/lease", post(lease))
        .route("/api/v1/leases/{verb}", post(report))
        .with_state(engine.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let _serving =
        AbortOnDropHandle::new(tokio::spawn(axum::serve(listener, routes).into_future()));
    let client =
        Client::new(&EngineArgs { url, namespace: "default".to_owned() }).expect("a client");
    let settings = WorkerSettings {
        name: "w".to_owned(),
        queue: "q".to_owned(),
        concurrency,
        lease_ms: 30_000,
        wait_ms: 30_000,
        action_types: Vec::new(),
    };
    if leave_at_once {
        engine.leave.cancel();
    }
    let console = Console::of(Vec::new(), Vec::new());
    let totals = work(client, settings, Arc::new(Quick), console, engine.leave.clone())
        .await
        .expect("an orderly end");
    (totals, engine)
}

fn names(kind: &str, count: usize) -> VecDeque<String> {
    (0..count).map(|number| format!("{kind}{number}")).collect()
}

#[tokio::test]
async fn every_lease_is_worked_on_and_reported_once_and_never_more_than_the_concurrency_are_held() {
    let script = Script { ready: names("n", 200), leave_after: 200, ..Script::default() };
    let (totals, engine) = play(script, 7).await;
    let script = engine.script();
    assert_eq!(totals, Totals { completed: 200, ..Totals::default() });
    assert!(
        script.recorded.values().all(|recorded| recorded == "complete"),
        "{:?}",
        script.recorded
    );
    assert!(script.held_at_most <= 7, "{}", script.held_at_most);
    assert!(script.asked_with_report > 0, "the next work is asked for with a report");
}

#[tokio::test]
async fn an_engine_that_is_away_for_a_while_loses_nothing() {
    let script = Script { ready: names("n", 5), away: 3, leave_after: 5, ..Script::default() };
    let (totals, engine) = play(script, 2).await;
    assert_eq!(totals.completed, 5);
    assert_eq!(engine.script().recorded.len(), 5);
}

#[tokio::test]
async fn a_cancel_in_a_heartbeat_stops_the_attempt_which_reports_that_it_was_cancelled() {
    let script = Script {
        ready: names("slow", 1),
        cancel: BTreeSet::from(["slow0".to_owned()]),
        leave_after: 1,
        ..Script::default()
    };
    let (totals, engine) = play(script, 1).await;
    assert_eq!(totals, Totals { failed: 1, ..Totals::default() });
    assert_eq!(engine.script().recorded["slow0"], "fail cancelled");
}

#[tokio::test]
async fn a_lost_lease_stops_its_attempt_and_nothing_is_reported_for_it() {
    let script = Script {
        ready: VecDeque::from(["slow0".to_owned(), "n0".to_owned()]),
        lost: BTreeSet::from(["slow0".to_owned()]),
        leave_after: 2,
        ..Script::default()
    };
    // One place: the second lease can only be worked on when the first has given its place back.
    let (totals, engine) = play(script, 1).await;
    assert_eq!((totals.completed, totals.lost), (1, 1));
    assert_eq!(
        engine.script().recorded,
        BTreeMap::from([("n0".to_owned(), "complete".to_owned())])
    );
}

#[tokio::test]
async fn a_worker_that_leaves_gives_back_what_it_has_not_finished() {
    let ready = VecDeque::from(["slow0".to_owned(), "slow1".to_owned(), "n0".to_owned()]);
    let (totals, engine) = play(Script { ready, leave_after: 1, ..Script::default() }, 3).await;
    assert_eq!(totals, Totals { completed: 1, released: 2, ..Totals::default() });
    assert!(engine.script().held.is_empty(), "{:?}", engine.script().held);
    assert_eq!(engine.script().recorded["slow1"], "release");
}

#[tokio::test]
async fn what_the_host_cannot_run_is_given_back_and_the_worker_goes_on_after_a_rest() {
    let ready = VecDeque::from(["host0".to_owned(), "host1".to_owned(), "n0".to_owned()]);
    let (totals, engine) = play(Script { ready, leave_after: 3, ..Script::default() }, 2).await;
    assert_eq!(totals, Totals { completed: 1, released: 2, ..Totals::default() });
    assert_eq!(engine.script().recorded["host0"], "release");
}

#[tokio::test]
async fn an_attempt_that_panics_is_a_failure_and_the_worker_goes_on() {
    let ready = VecDeque::from(["panic0".to_owned(), "n0".to_owned()]);
    let (totals, engine) = play(Script { ready, leave_after: 2, ..Script::default() }, 1).await;
    assert_eq!(totals, Totals { completed: 1, failed: 1, ..Totals::default() });
    assert_eq!(engine.script().recorded["panic0"], "fail bug");
}

#[tokio::test]
async fn an_output_that_the_engine_refuses_becomes_a_failure() {
    let script = Script {
        ready: names("n", 2),
        refuse_output: BTreeSet::from(["n1".to_owned()]),
        leave_after: 2,
        ..Script::default()
    };
    let (totals, engine) = play(script, 2).await;
    assert_eq!(totals, Totals { completed: 1, failed: 1, ..Totals::default() });
    assert_eq!(engine.script().recorded["n1"], "fail validation");
}

#[tokio::test]
async fn a_worker_that_is_told_to_leave_at_once_leases_nothing() {
    let (totals, engine) = play(Script { ready: names("n", 3), ..Script::default() }, 2).await;
    assert_eq!(totals, Totals::default());
    assert_eq!(engine.script().held_at_most, 0, "no request for work was sent");
}
