//! Why a job or a node does not go on, over HTTP: every word there is, each with who ends it and when.

use std::time::Duration;

use axum::http::Method;
use domain::ids::{JobId, SubjectId};
use serde_json::{Value, json};
use uuid::Uuid;

use super::service::{Service, chain, one_node};
use crate::harness::jobs::namespace;
use crate::storage::samples;

const JOBS: &str = "/api/v1/jobs";

async fn explained(service: &Service, path: &str) -> Value {
    service.get(&format!("{path}/explain")).await.ok(200)
}

/// A job, by its path.
async fn path_of(service: &Service, body: &Value) -> String {
    format!("{JOBS}/{}", service.job(body).await)
}

async fn lease(service: &Service) -> String {
    let leased = service.post("/api/v1/queues/default/lease", &json!({"worker": "w1"})).await;
    let leased = leased.ok(200)["leases"][0]["lease"].clone();
    leased.as_str().expect("work").to_owned()
}

async fn report(service: &Service, verb: &str, item: Value) {
    let answer = service.post(&format!("/api/v1/leases/{verb}"), &json!({ "items": [item] })).await;
    assert_eq!(answer.ok(200)["results"][0]["outcome"], "recorded");
}

async fn fails(service: &Service, retryable: bool) {
    let lease = lease(service).await;
    let error =
        json!({"type": "E", "message": "no", "class": "unavailable", "retryable": retryable});
    report(service, "fail", json!({"lease": lease, "error": error})).await;
}

fn words(said: &Value) -> Vec<(&str, &str)> {
    let waits = said["waits"].as_array().expect("waits").iter();
    let word = |value: &'_ Value| value.as_str().map(str::to_owned);
    assert!(waits.clone().all(|wait| word(&wait["message"]).is_some_and(|text| !text.is_empty())));
    waits
        .map(|wait| {
            (wait["code"].as_str().expect("a code"), wait["ends_on"].as_str().expect("an event"))
        })
        .collect()
}

#[tokio::test]
async fn a_job_that_has_not_started_names_its_time_or_who_starts_it() {
    let service = Service::start().await;
    let later =
        json!({"name": "later", "scheduled_at": "2023-11-14T23:13:20Z", "nodes": [{"key": "a"}]});
    let path = path_of(&service, &later).await;
    let said = explained(&service, &path).await;
    assert_eq!(words(&said), [("scheduled_start", "time")]);
    assert_eq!(said["waits"][0]["wakes_at"], "2023-11-14T23:13:20.000Z");
    assert_eq!(said["next_due_at"], "2023-11-14T23:13:20.000Z");
    let by_hand = json!({"name": "by hand", "start": "manual", "nodes": [{"key": "a"}]});
    let path = path_of(&service, &by_hand).await;
    let said = explained(&service, &path).await;
    assert_eq!(words(&said), [("manual_start", "start")]);
    assert_eq!((&said["next_due_at"], &said["status"]), (&Value::Null, &"pending".into()));
}

#[tokio::test]
async fn ready_work_says_who_polls_and_running_work_whose_lease_it_is() {
    let service = Service::start().await;
    let path = path_of(&service, &chain()).await;
    let said = explained(&service, &path).await;
    assert_eq!(words(&said), [("worker", "lease"), ("parents", "parents")]);
    let workers = &said["waits"][0]["workers"];
    assert_eq!((&workers["queue"], &workers["ready"]), (&"default".into(), &1.into()));
    assert_eq!((&workers["waiting_polls"], &workers["before"]), (&0.into(), &0.into()));
    assert!(
        said["waits"][0]["message"].as_str().is_some_and(|m| m.contains("no worker has asked"))
    );

    // Somebody who waits there for work of another kind.
    let poll = json!({"worker": "w0", "wait_ms": 20_000, "action_types": ["other"]}).to_string();
    let waits = service.call(Method::POST, "/api/v1/queues/default/lease", &[], Some(&poll));
    tokio::pin!(waits);
    for _ in 0..50 {
        tokio::select! {
            biased;
            answer = &mut waits => panic!("{answer:?}"),
            () = tokio::task::yield_now() => {}
        }
    }
    let said = explained(&service, &path).await;
    assert_eq!(said["waits"][0]["workers"]["waiting_polls"], 1);

    lease(&service).await;
    let said = explained(&service, &path).await;
    assert_eq!(words(&said), [("attempt", "report"), ("parents", "parents")]);
    let attempt = &said["waits"][0]["attempts"][0];
    assert_eq!((&attempt["node"], &attempt["worker"]), (&"a".into(), &"w1".into()));
    assert_eq!(attempt["lease_expires_at"], "2023-11-14T22:13:50.000Z");
    assert_eq!(said["driving"]["memory"], "held");

    let said = explained(&service, &format!("{path}/nodes/b")).await;
    assert_eq!(words(&said), [("parents", "parents"), ("attempt", "report")]);
    assert_eq!(said["waits"][0]["waits_for"], json!(["a"]));
    assert_eq!((&said["node"]["key"], &said["node"]["status"]), (&"b".into(), &"pending".into()));
}

#[tokio::test]
async fn a_failed_node_says_when_it_is_tried_again_or_what_it_keeps_from_starting() {
    let service = Service::start().await;
    let path = path_of(&service, &chain()).await;
    fails(&service, true).await;
    let said = explained(&service, &format!("{path}/nodes/a")).await;
    assert_eq!(words(&said), [("retry", "time")]);
    assert_eq!(said["waits"][0]["wakes_at"], said["next_due_at"]);
    assert_eq!(said["node"]["error_class"], "unavailable");

    let nodes = json!([{"key": "a"}, {"key": "b", "depends_on": ["a"]}, {"key": "c"}]);
    let path = path_of(&service, &json!({"name": "n", "max_parallel": 1, "nodes": nodes})).await;
    let said = explained(&service, &format!("{path}/nodes/c")).await;
    assert_eq!(words(&said), [("place", "place")]);
    fails(&service, false).await;
    let said = explained(&service, &path).await;
    assert_eq!(words(&said), [("worker", "lease"), ("blocked", "job_end")]);
    let said = explained(&service, &format!("{path}/nodes/b")).await;
    assert_eq!(said["waits"][0]["waits_for"], json!(["a"]));
    report(&service, "complete", json!({"lease": lease(&service).await})).await;
    let said = explained(&service, &path).await;
    assert_eq!((&said["ended"]["code"], &said["wait_count"]), (&"failed".into(), &0.into()));
    assert_eq!(said["ended"]["because_of"], json!(["a"]));
    let said = explained(&service, &format!("{path}/nodes/b")).await;
    assert_eq!(said["ended"]["code"], "blocked");
}

#[tokio::test]
async fn people_are_named_where_they_are_waited_for_or_have_decided() {
    let service = Service::start().await;
    let path = path_of(&service, &one_node()).await;
    service.post(&format!("{path}/pause"), &json!({"reason": "lunch"})).await.ok(200);
    let said = explained(&service, &path).await;
    assert_eq!(words(&said), [("paused", "resume")]);
    assert!(said["waits"][0]["message"].as_str().is_some_and(|m| m.contains("by client (lunch)")));
    service.post(&format!("{path}/resume"), &json!({})).await.ok(200);
    let held = lease(&service).await;
    service.post(&format!("{path}/cancel"), &json!({"reason": "enough"})).await.ok(200);
    let said = explained(&service, &path).await;
    assert_eq!(words(&said), [("ending", "report")]);
    assert_eq!(said["waits"][0]["wakes_at"], "2023-11-14T22:13:50.000Z");
    assert_eq!(said["waits"][0]["attempts"][0]["worker"], "w1");
    report(&service, "complete", json!({"lease": held})).await;
    let said = explained(&service, &path).await;
    assert_eq!(said["ended"]["code"], "cancelled");
    assert_eq!(said["ended"]["message"], "cancelled by client (enough)");

    let once = json!([{"key": "a", "at_most_once": true, "timeouts": {"attempt_ms": 1_000}}]);
    let path = path_of(&service, &json!({"name": "once", "nodes": once})).await;
    lease(&service).await;
    service.pass(Duration::from_secs(1)).await;
    let said = explained(&service, &path).await;
    assert_eq!(words(&said), [("paused", "resume"), ("outcome_unknown", "resume")]);
}

#[tokio::test]
async fn a_queued_job_says_how_its_environment_stands_and_who_comes_before() {
    let service = Service::start().await;
    let gpu = json!({"name": "gpu", "capacity": {"slots": 1}});
    service.post("/api/v1/environments", &gpu).await.ok(201);
    let job =
        json!({"name": "j", "environment": "gpu", "timeout_ms": 60_000, "nodes": [{"key": "a"}]});
    let mut paths = Vec::new();
    for _ in 0..3 {
        paths.push(path_of(&service, &job).await);
        service.pass(Duration::from_millis(10)).await;
    }
    let said = explained(&service, &paths[2]).await;
    assert_eq!(words(&said), [("grant", "grant")]);
    let environment = &said["waits"][0]["environment"];
    assert_eq!((&environment["name"], &environment["used"]), (&"gpu".into(), &json!({"slots": 1})));
    assert_eq!(environment["asks"], json!({"waiting": 2, "before": 1}));
    assert_eq!((&environment["exists"], &environment["hopeless"]), (&true.into(), &false.into()));
    assert_eq!(said["waits"][0]["times_out_at"], said["deadline"]);
    assert_eq!(words(&explained(&service, &paths[0]).await), [("worker", "lease")]);
    // What it asks for grew out of the environment.
    let none = r#"{"capacity": {"slots": 0}}"#;
    service.call(Method::PUT, "/api/v1/environments/gpu", &[], Some(none)).await.ok(200);
    let said = explained(&service, &paths[1]).await;
    assert_eq!(said["waits"][0]["environment"]["hopeless"], true, "{said}");
}

#[tokio::test]
async fn it_says_who_drives_a_job_and_whether_it_is_in_memory() {
    let service = Service::start().await;
    let by_hand = json!({"name": "by hand", "start": "manual", "nodes": [{"key": "a"}]});
    let parked = path_of(&service, &by_hand).await;
    let done = path_of(&service, &one_node()).await;
    report(&service, "complete", json!({"lease": lease(&service).await})).await;
    service.pass(Duration::from_millis(300)).await;
    let said = explained(&service, &parked).await;
    let driving = &said["driving"];
    assert_eq!((&driving["memory"], &driving["parked_until"]), (&"parked".into(), &Value::Null));
    assert_eq!((&driving["engine"], &driving["answers"]), (&1.into(), &true.into()));
    assert_eq!((&driving["name"], &driving["lease_until"]), (&"engine-1".into(), &Value::Null));
    let said = explained(&service, &done).await;
    assert_eq!(said["driving"]["memory"], "retired");
    assert_eq!((&said["ended"]["code"], &said["node"]), (&"completed".into(), &Value::Null));
    let later =
        json!({"name": "later", "scheduled_at": "2023-11-15T22:13:20Z", "nodes": [{"key": "a"}]});
    let later = path_of(&service, &later).await;
    service.pass(Duration::from_millis(300)).await;
    let said = explained(&service, &later).await;
    assert_eq!(said["driving"]["parked_until"], "2023-11-15T22:13:20.000Z");
    assert_eq!(service.engine.counts().subjects, 0, "a look brings nothing into memory");
}

#[tokio::test]
async fn a_job_that_cannot_be_read_says_so() {
    let service = Service::start().await;
    let id = JobId(Uuid::from_u128(77));
    let subject = SubjectId::job(namespace(), id);
    samples::append(service.store.as_ref(), samples::item(&subject, 1)).await;
    for path in [format!("{JOBS}/{id}"), format!("{JOBS}/{id}/nodes/a")] {
        let answer = service.get(&format!("{path}/explain")).await;
        let said = answer.ok(200);
        assert_eq!(words(&said), [("unreadable", "repair")]);
        assert_eq!((&said["status"], &said["version"]), (&Value::Null, &Value::Null));
        assert_eq!((answer.header("etag"), &said["driving"]["engine"]), ("", &1.into()));
    }
    service.get(&format!("{JOBS}/{id}/nodes")).await.problem(500, "stored_data_damaged");
}

#[tokio::test]
async fn what_is_not_there_is_not_found_and_the_tag_is_the_jobs() {
    let service = Service::start().await;
    let path = path_of(&service, &one_node()).await;
    let tag = service.get(&path).await.header("etag").to_owned();
    for end in ["explain", "nodes/a/explain"] {
        let answer = service.get(&format!("{path}/{end}")).await;
        assert_eq!(answer.header("etag"), tag);
        // What the engines know of it changes without its version.
        let known = [("if-none-match", tag.as_str())];
        let again = service.call(Method::GET, &format!("{path}/{end}"), &known, None).await;
        again.ok(200);
        service.get(&format!("{path}/{end}?a=1")).await.problem(422, "validation_failed");
        let elsewhere = [("orrery-namespace", "other")];
        let answer = service.call(Method::GET, &format!("{path}/{end}"), &elsewhere, None).await;
        answer.problem(404, "job_not_found");
        let strange = format!("{JOBS}/00000000-0000-7000-8000-000000000000/{end}");
        service.get(&strange).await.problem(404, "job_not_found");
        service.get(&format!("{JOBS}/x/{end}")).await.problem(404, "job_not_found");
    }
    service.get(&format!("{path}/nodes/b/explain")).await.problem(404, "node_not_found");
}

#[tokio::test]
async fn every_part_of_an_explanation_is_there_when_it_says_something() {
    let service = Service::start().await;
    let gpu = json!({"name": "gpu", "capacity": {"slots": 1}});
    service.post("/api/v1/environments", &gpu).await.ok(201);
    let running = path_of(&service, &chain()).await;
    let ready = explained(&service, &running).await;
    lease(&service).await;
    let runs = explained(&service, &format!("{running}/nodes/a")).await;
    let queued = json!({"name": "q", "environment": "gpu", "nodes": [{"key": "a"}]});
    path_of(&service, &queued).await;
    service.pass(Duration::from_millis(10)).await;
    let queued = path_of(&service, &queued).await;
    service.pass(Duration::from_millis(10)).await;
    let queued = explained(&service, &queued).await;
    let cancelled = path_of(&service, &one_node()).await;
    service.post(&format!("{cancelled}/cancel"), &json!({})).await.ok(200);
    let cancelled = explained(&service, &cancelled).await;
    for (part, answered) in [
        ("workers", &ready["waits"][0]["workers"]),
        ("driving", &ready["driving"]),
        ("node", &runs["node"]),
        ("attempts", &runs["waits"][0]["attempts"][0]),
        ("environment", &queued["waits"][0]["environment"]),
        ("asks", &queued["waits"][0]["environment"]["asks"]),
        ("ended", &cancelled["ended"]),
    ] {
        assert!(answered.is_object(), "{part} is not answered");
    }
}
