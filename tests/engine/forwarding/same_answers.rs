//! Whatever is asked at the engine that does not drive the subject gets the answer of the one that does: status, body,
//! ETag, also when it is asked again.

use axum::http::Method;
use serde_json::{Value, json};

use super::two_services::{Pair, call, driver_of};
use crate::api::service::{Answer, Service};

/// A script of requests about one job of engine 1, asked at `asked`; work is leased where it is ready.
struct Script<'a> {
    asked: &'a Service,
    driver: &'a Service,
    id: String,
    seen: Vec<(String, u16, String, Value)>,
}

impl Script<'_> {
    fn saw(&mut self, what: &str, answer: &Answer) -> Value {
        let text = answer.text.replace(&self.id, "JOB");
        let mut body: Value = serde_json::from_str(&text).expect("JSON");
        for result in body["results"].as_array_mut().into_iter().flatten() {
            // The proof at its end covers the job's id.
            let lease = result["lease"].as_str().expect("a lease").to_owned();
            result["lease"] = json!(lease.split('.').take(3).collect::<Vec<_>>());
        }
        self.seen.push((
            what.to_owned(),
            answer.status.as_u16(),
            answer.header("etag").to_owned(),
            body.clone(),
        ));
        body
    }

    async fn job(
        &mut self,
        method: Method,
        end: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> Value {
        let path = format!("/api/v1/jobs/{}{end}", self.id);
        let answer = call(self.asked, method.clone(), &path, headers, body.as_ref()).await;
        self.saw(&format!("{method} {end} {headers:?}"), &answer)
    }

    async fn lease(&self, queue: &str) -> String {
        let path = format!("/api/v1/queues/{queue}/lease");
        let wanted = json!({"worker": "w", "max": 1});
        let leased = call(self.driver, Method::POST, &path, &[], Some(&wanted)).await.ok(200);
        leased["leases"][0]["lease"].as_str().expect("work").to_owned()
    }

    async fn report(&mut self, verb: &str, item: Value) {
        let body = json!({ "items": [item] });
        let answer =
            call(self.asked, Method::POST, &format!("/api/v1/leases/{verb}"), &[], Some(&body))
                .await;
        self.saw(verb, &answer);
    }
}

fn body(queue: &str, marker: &str) -> Value {
    let nodes: Vec<Value> = (0..4)
        .map(|at| json!({"key": format!("n{at}"), "queue": queue, "input": {"at": at, "long": "x".repeat(3_000)}}))
        .collect();
    json!({"name": marker, "input": {"a": [1.50, "\u{e4}"]}, "nodes": nodes})
}

/// The job is submitted with a key, at the engine asked, until its id is one of engine 1.
async fn submitted<'a>(pair: &'a Pair, asked: usize, queue: &str) -> Script<'a> {
    let mut script = Script {
        asked: &pair.engines[asked],
        driver: &pair.engines[0],
        id: String::new(),
        seen: Vec::new(),
    };
    for number in 0..64 {
        let key = format!("{queue}-{number}");
        let headers = [("idempotency-key", key.as_str())];
        let body = body(queue, "the same");
        let post = |body: Value| async move {
            call(script.asked, Method::POST, "/api/v1/jobs", &headers, Some(&body)).await
        };
        let made = post(body.clone()).await;
        let id = made.ok(201)["id"].as_str().expect("an id").to_owned();
        if driver_of(&id) != 1 {
            let cancelled =
                call(script.asked, Method::DELETE, &format!("/api/v1/jobs/{id}"), &[], None).await;
            assert!(cancelled.status.is_success());
            continue;
        }
        let again = post(body.clone()).await;
        let mut other = body;
        other["name"] = json!("another");
        let reused = post(other).await;
        script.id = id;
        script.saw("submit", &made);
        script.saw("submit again", &again);
        script.saw("submit another", &reused);
        assert_eq!((made.status, &made.text), (again.status, &again.text));
        assert_eq!(reused.status.as_u16(), 422);
        return script;
    }
    panic!("no job of engine 1 in 64")
}

async fn played(pair: &Pair, asked: usize, queue: &str) -> Vec<(String, u16, String, Value)> {
    let mut script = submitted(pair, asked, queue).await;
    let s = &mut script;
    let (get, post, patch) = (Method::GET, Method::POST, Method::PATCH);
    s.job(get.clone(), "", &[], None).await;
    s.job(patch.clone(), "", &[("if-match", "\"1\"")], Some(json!({"name": "new"}))).await;
    s.job(patch, "", &[("if-match", "\"1\"")], Some(json!({"name": "newer"}))).await;
    s.job(post.clone(), "/start", &[], None).await;
    let key = [("idempotency-key", "pause")];
    let paused = s.job(post.clone(), "/pause", &key, None).await;
    assert_eq!(s.job(post.clone(), "/pause", &key, None).await, paused, "the first answer again");
    s.job(post.clone(), "/pause", &[], None).await;
    s.job(post.clone(), "/resume", &[], None).await;
    for verb in ["complete", "release", "fail", "complete"] {
        let lease = s.lease(queue).await;
        s.report("heartbeat", json!({ "lease": lease })).await;
        let item = match verb {
            "complete" => json!({"lease": lease, "output": {"big": "y".repeat(3_000)}}),
            "fail" => {
                json!({"lease": lease, "error": {"type": "E", "message": "m", "class": "validation", "details": [1]}})
            }
            _ => json!({ "lease": lease }),
        };
        s.report(verb, item.clone()).await;
        s.report(verb, item).await;
        s.report("heartbeat", json!({ "lease": lease })).await;
    }
    for part in ["", "/nodes", "/nodes/n0", "/nodes/nothing", "/progress", "/graph", "/history"] {
        s.job(get.clone(), part, &[], None).await;
    }
    s.job(post.clone(), "/cancel", &[], Some(json!({"reason": "enough"}))).await;
    s.job(post, "/resume", &[], None).await;
    s.job(get, "", &[], None).await;
    script.seen
}

/// Hashes, leases and histories name the job: they differ where it does.
fn without_names(
    mut seen: Vec<(String, u16, String, Value)>,
    queue: &str,
) -> Vec<(String, u16, String, Value)> {
    fn strip(value: &mut Value, queue: &str) {
        match value {
            Value::Object(fields) => {
                for name in ["hash", "prev_hash", "sha256", "command"] {
                    fields.remove(name);
                }
                fields.values_mut().for_each(|value| strip(value, queue));
            }
            Value::Array(items) => items.iter_mut().for_each(|value| strip(value, queue)),
            Value::String(text) => *text = text.replace(queue, "QUEUE"),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    for (.., body) in &mut seen {
        strip(body, queue);
    }
    seen
}

#[tokio::test]
async fn an_engine_that_does_not_drive_a_job_answers_like_the_one_that_does() {
    let pair = Pair::start().await;
    let here = without_names(played(&pair, 0, "qa").await, "qa");
    let there = without_names(played(&pair, 1, "qb").await, "qb");
    assert_eq!(here.len(), there.len());
    for (here, there) in here.iter().zip(&there) {
        assert_eq!(here, there);
    }
    let ends: Vec<u16> = here.iter().map(|(_, status, ..)| *status).collect();
    for status in [200, 201, 404, 409, 412, 422] {
        assert!(ends.contains(&status), "{status} is among {ends:?}");
    }
}

#[tokio::test]
async fn environments_are_the_same_from_both_sides() {
    let pair = Pair::start().await;
    let path = "/api/v1/environments";
    for (number, asked) in [0, 1, 0, 1, 0, 1].into_iter().enumerate() {
        let name = format!("lab-{number}");
        let body = json!({"name": name, "capacity": {"gpu": 2}});
        let (one, other) = (&pair.engines[asked], &pair.engines[1 - asked]);
        let made = call(one, Method::POST, path, &[("idempotency-key", &name)], Some(&body)).await;
        let again =
            call(other, Method::POST, path, &[("idempotency-key", &name)], Some(&body)).await;
        made.ok(201);
        assert_eq!(
            (made.status, &made.text, made.header("etag")),
            (again.status, &again.text, again.header("etag"))
        );
        call(other, Method::POST, path, &[], Some(&body)).await.problem(409, "environment_exists");
        let at = format!("{path}/{name}");
        let read = [one, other].map(|service| service.get(&at));
        let [here, there] = read;
        assert_eq!(here.await.text, there.await.text);
        let wider = json!({"capacity": {"gpu": 3}});
        let stale = [("if-match", "\"9\"")];
        call(other, Method::PUT, &at, &stale, Some(&wider)).await.problem(412, "version_mismatch");
        call(other, Method::PUT, &at, &[], Some(&wider)).await.ok(200);
        assert_eq!(one.get(&at).await.json()["capacity"]["gpu"], 3);
        assert!(call(one, Method::DELETE, &at, &[], None).await.status.is_success());
        other.get(&at).await.problem(404, "environment_not_found");
    }
}

#[tokio::test]
async fn a_batch_is_split_by_driver_and_answered_in_its_order() {
    let pair = Pair::start().await;
    let jobs: Vec<Value> = (0..40)
        .map(|at| {
            let mut job = body("batch", &format!("job {at}"));
            if at % 10 == 9 {
                job["nodes"][0]["depends_on"] = json!(["nothing"]);
            }
            job
        })
        .collect();
    let batch = json!({ "jobs": jobs });
    let headers = [("idempotency-key", "batch")];
    let path = "/api/v1/jobs/batch";
    let made = call(&pair.engines[0], Method::POST, path, &headers, Some(&batch)).await;
    let again = call(&pair.engines[1], Method::POST, path, &headers, Some(&batch)).await;
    assert_eq!(
        made.ok(200),
        again.ok(200),
        "the same batch at the other engine makes no other jobs"
    );
    let mut driven = [0, 0];
    for (at, result) in made.json()["results"].as_array().expect("results").iter().enumerate() {
        if at % 10 == 9 {
            assert_eq!(result["error"]["errors"][0]["code"], "unknown_node");
            continue;
        }
        let id = result["id"].as_str().expect("an id");
        driven[driver_of(id) as usize - 1] += 1;
        let shown = pair.engines[at % 2].get(&format!("/api/v1/jobs/{id}")).await.ok(200);
        assert_eq!(shown["name"], format!("job {at}"));
    }
    assert!(driven.iter().all(|jobs| *jobs > 5), "both engines drive some: {driven:?}");
}

#[tokio::test]
async fn queues_and_workers_are_summed_over_the_living_engines_and_a_silent_one_is_named() {
    let pair = Pair::start().await;
    pair.job_of(1, &body("sums", "one")).await;
    pair.job_of(2, &body("sums", "two")).await;
    for service in &pair.engines {
        let polled = json!({"worker": "w", "max": 1});
        service.post("/api/v1/queues/sums/lease", &polled).await.ok(200);
    }
    let lists = [
        pair.engines[0].get("/api/v1/queues").await.ok(200),
        pair.engines[1].get("/api/v1/queues").await.ok(200),
    ];
    for list in &lists {
        let queue = &list["queues"][0];
        assert_eq!((&queue["queue"], &queue["running"]), (&"sums".into(), &2.into()));
        assert!(queue["ready"].as_u64() >= Some(6), "{queue}");
        assert_eq!(list.get("silent_engines"), None);
    }
    assert_eq!(lists[0]["queues"], lists[1]["queues"]);
    let workers = pair.engines[1].get("/api/v1/workers").await.ok(200);
    assert_eq!((&workers["workers"][0]["leased"], &workers["total_count"]), (&2.into(), &1.into()));

    pair.move_second_to(&super::two_services::nobody().await);
    let alone = pair.engines[0].get("/api/v1/queues").await.ok(200);
    assert_eq!(alone["queues"][0]["running"], 1);
    assert_eq!(alone["silent_engines"], json!([2]));
}

#[tokio::test]
async fn a_consistent_list_shows_what_the_other_engine_has_acknowledged_or_says_503() {
    let pair = Pair::start().await;
    let id = pair.job_of(2, &body("lists", "of the second")).await;
    let path = "/api/v1/jobs?page_size=100&consistent=true";
    let list = pair.pass_until(pair.engines[0].get(path)).await.ok(200);
    let shown = list["jobs"].as_array().expect("jobs").iter().any(|job| job["id"] == id.as_str());
    assert!(shown, "{list}");
    pair.move_second_to(&super::two_services::nobody().await);
    let refused = pair.pass_until(pair.engines[0].get(path)).await;
    refused.problem(503, "view_behind");
}
