//! What one tenant may take up: each bound is refused with its own words before anything is stored, what is there goes on,
//! and there is room again when something ends.

use axum::http::Method;
use domain::bounds::Quotas;
use orrery::engine::core::CoreSettings;
use serde_json::{Value, json};

use super::service::{Answer, Service, one_node};

const JOBS: &str = "/api/v1/jobs";

async fn with(quotas: Quotas) -> Service {
    Service::start_with(CoreSettings { quotas, ..CoreSettings::default() }, |_| {}).await
}

/// Refused with these words in its detail, and nothing is stored.
async fn refused(service: &Service, asked: impl Future<Output = Answer>, words: &str) {
    let before = service.store.appends();
    let answer = asked.await;
    let problem = answer.problem(429, "quota_exceeded");
    let detail = problem["detail"].as_str().expect("a detail");
    assert!(detail.contains(words), "{detail}");
    assert_eq!(answer.header("retry-after"), "30");
    assert_eq!(service.store.appends(), before, "nothing is stored");
}

/// Leases one node and completes it.
async fn one_done(service: &Service) {
    let ask = json!({"worker": "w", "max": 1});
    let leased = service.post("/api/v1/queues/default/lease", &ask).await.ok(200);
    let items = json!({"items": [{"lease": leased["leases"][0]["lease"], "output": {}}]});
    let done = service.post("/api/v1/leases/complete", &items).await.ok(200);
    assert_eq!(done["results"][0]["outcome"], "recorded", "{done}");
}

#[tokio::test]
async fn a_namespace_has_so_many_live_jobs_and_room_again_when_one_ends() {
    let service = with(Quotas { live_jobs_max: 2, ..Quotas::default() }).await;
    let first = service
        .call(Method::POST, JOBS, &[("idempotency-key", "k")], Some(&one_node().to_string()))
        .await;
    let first = first.ok(201);
    service.post(JOBS, &one_node()).await.ok(201);
    refused(&service, service.post(JOBS, &one_node()), "default has 2 jobs").await;
    // All of a batch at once: what is decided and not yet stored counts too.
    let batch = json!({"jobs": [one_node(), one_node()]});
    let results = service.post("/api/v1/jobs/batch", &batch).await.ok(200);
    let code = |at: usize| results["results"][at]["error"]["code"].clone();
    assert_eq!((code(0), code(1)), (json!("quota_exceeded"), json!("quota_exceeded")));
    // What was taken is answered again, and another namespace has its own.
    let again = service
        .call(Method::POST, JOBS, &[("idempotency-key", "k")], Some(&one_node().to_string()))
        .await;
    assert_eq!(again.ok(201)["id"], first["id"]);
    let elsewhere = [("orrery-namespace", "other")];
    service.call(Method::POST, JOBS, &elsewhere, Some(&one_node().to_string())).await.ok(201);
    one_done(&service).await;
    let results = service.post("/api/v1/jobs/batch", &batch).await.ok(200);
    let errors = [0, 1].map(|at: usize| results["results"][at]["error"]["code"].clone());
    assert_eq!(errors.iter().filter(|code| **code == "quota_exceeded").count(), 1, "{results}");
}

#[tokio::test]
async fn a_job_whose_queues_would_be_too_many_is_refused_whole_and_one_with_a_queue_for_each_node_is_taken()
 {
    let queues = |prefix: &str, count: usize| {
        let nodes: Vec<Value> = (0..count)
            .map(|at| json!({"key": format!("n{at}"), "queue": format!("{prefix}-{at}")}))
            .collect();
        json!({"name": "wide", "nodes": nodes})
    };
    let service = with(Quotas { queues_max: 20_000, ..Quotas::default() }).await;
    let wide = service.post(JOBS, &queues("a", 20_000)).await.ok(201);
    refused(&service, service.post(JOBS, &queues("b", 1)), "more than 20000 queues").await;
    // Queues that are in use are nothing new.
    service.post(JOBS, &queues("a", 10)).await.ok(201);
    let page = service.get("/api/v1/queues?page_size=2").await.ok(200);
    assert_eq!(page["total_count_at_least"], 10_000, "{page}");
    assert_eq!(page["queues"][1]["ready"], 2, "{page}");
    let cancel = format!("/api/v1/jobs/{}/cancel", wide["id"].as_str().expect("an id"));
    service.post(&cancel, &json!({})).await.ok(200);
    service.post(JOBS, &queues("b", 100)).await.ok(201);
}

#[tokio::test]
async fn a_request_that_would_wait_at_one_more_queue_is_refused_and_one_that_does_not_wait_is_answered()
 {
    let service = with(Quotas { queues_max: 1, ..Quotas::default() }).await;
    service.post(JOBS, &one_node()).await.ok(201);
    let ask = |wait_ms: u64| json!({"worker": "w", "wait_ms": wait_ms});
    let lease = "/api/v1/queues/other/lease";
    refused(&service, service.post(lease, &ask(10_000)), "more than 1 queues").await;
    assert_eq!(service.post(lease, &ask(0)).await.ok(200)["leases"], json!([]));
}

#[tokio::test]
async fn a_namespace_has_so_many_environments_and_room_again_when_one_is_deleted() {
    let service = with(Quotas { environments_max: 1, ..Quotas::default() }).await;
    let path = "/api/v1/environments";
    service.post(path, &json!({"name": "one"})).await.ok(201);
    refused(&service, service.post(path, &json!({"name": "two"})), "has 1 environments").await;
    let replaced = service.call(Method::PUT, "/api/v1/environments/one", &[], Some("{}")).await;
    replaced.ok(200);
    let deleted = service.call(Method::DELETE, "/api/v1/environments/one", &[], None).await;
    assert_eq!(deleted.status.as_u16(), 204);
    service.post(path, &json!({"name": "two"})).await.ok(201);
}

#[tokio::test]
async fn there_are_so_many_namespaces_and_those_that_are_there_go_on() {
    let service = with(Quotas { namespaces_max: 1, ..Quotas::default() }).await;
    service.post(JOBS, &one_node()).await.ok(201);
    let (elsewhere, job) = ([("orrery-namespace", "other")], one_node().to_string());
    let other = || service.call(Method::POST, JOBS, &elsewhere, Some(&job));
    refused(&service, other(), "1 namespaces are in use").await;
    service.post(JOBS, &one_node()).await.ok(201);
    one_done(&service).await;
    refused(&service, other(), "1 namespaces are in use").await;
    one_done(&service).await;
    other().await.ok(201);
}

#[tokio::test]
async fn a_job_remembers_so_many_keys_for_a_day_and_a_cancel_is_always_taken() {
    let service = with(Quotas { keyed_commands_max: 3, ..Quotas::default() }).await;
    let id = service.job(&one_node()).await;
    let steers = |number: usize| {
        let verb = ["pause", "resume"][number % 2];
        let (service, path) = (&service, format!("/api/v1/jobs/{id}/{verb}"));
        let key = format!("k{number}");
        async move { service.call(Method::POST, &path, &[("idempotency-key", &key)], Some("{}")).await }
    };
    for number in 0..3 {
        steers(number).await.ok(200);
    }
    refused(&service, steers(3), "3 commands with an Idempotency-Key").await;
    // One that was taken is answered again, and one without a key is no matter.
    steers(1).await.ok(200);
    service.post(&format!("/api/v1/jobs/{id}/resume"), &json!({})).await.ok(200);
    // The moment of the last one is over a day ago.
    service.pass(std::time::Duration::from_secs(24 * 3_600 + 1)).await;
    for number in 4..7 {
        steers(number).await.ok(200);
    }
    refused(&service, steers(7), "3 commands with an Idempotency-Key").await;
    let (cancel, key) = (format!("/api/v1/jobs/{id}/cancel"), [("idempotency-key", "last")]);
    service.call(Method::POST, &cancel, &key, Some("{}")).await.ok(200);
}

#[tokio::test]
async fn queues_are_listed_page_by_page_and_the_oldest_is_the_one_that_waits_longest() {
    let service = Service::start().await;
    for (queue, priority) in [("a", 10), ("b", 1), ("c", 5)] {
        let job =
            json!({"name": "j", "priority": priority, "nodes": [{"key": "n", "queue": queue}]});
        service.post(JOBS, &job).await.ok(201);
        service.pass(std::time::Duration::from_secs(1)).await;
        let urgent = json!({"name": "j", "priority": 1, "nodes": [{"key": "n", "queue": queue}]});
        service.post(JOBS, &urgent).await.ok(201);
    }
    let (mut path, mut seen) = ("/api/v1/queues?page_size=1".to_owned(), Vec::new());
    loop {
        let page = service.get(&path).await.ok(200);
        assert_eq!(page["total_count"], 3, "{page}");
        let queue = page["queues"][0].clone();
        assert_eq!(queue["ready"], 2, "{page}");
        seen.push((queue["queue"].clone(), queue["oldest_ready_at"].clone()));
        let Some(next) = page["next_cursor"].as_str() else { break };
        path = format!("/api/v1/queues?page_size=1&cursor={next}");
    }
    let jobs = service.settled_list("/api/v1/jobs?sort=created_at").await.ok(200);
    let created = |at: usize| jobs["jobs"][at]["created_at"].clone();
    // The first of each pair, whatever its priority.
    let wanted = [("a", created(0)), ("b", created(2)), ("c", created(4))];
    assert_eq!(seen, wanted.map(|(queue, at)| (json!(queue), at)));
}
