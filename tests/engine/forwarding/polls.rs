//! Workers that ask one engine for work that another one drives: what waits gets it at once, what finds nothing ends in
//! time, and what was granted to somebody who is gone is given back uncounted.

use std::sync::Arc;
use std::time::Duration;

use axum::http::Method;
use domain::ids::{JobId, QueueName, SubjectId, WorkerName};
use futures_util::{FutureExt as _, StreamExt as _};
use orrery::engine::core::message::{LeaseRequest, Request, Response};
use orrery::engine::forward::Forward as _;
use orrery::engine::forwarding::wire::{MEDIA_TYPE, PeerRequest, encode_batch};
use orrery::engine::forwarding::{Forwarding, PATH, PROOF};
use orrery::environment::Clock as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::two_services::{Pair, driver_of, key_driven_by, life};
use crate::api::service::Service;
use crate::harness::jobs::namespace;

const QUEUE: &str = "far";
/// Longer than any test lasts.
const LONG_MS: u64 = 20_000;
/// By the hint, not by its repetition a second later. (How long it takes in real time: `scripts/engines`.)
const BY_THE_HINT: Duration = Duration::from_millis(900);
/// Moments at which somebody goes away that are tried: in turns of the runtime after the request.
const TURNS_MAX: usize = 30;

/// A job of one node that engine 2 drives, without a retry, so that an attempt that counts is its last.
async fn job_of_second(service: &Service, number: usize) -> String {
    let body = json!({"name": "j", "retry": {"strategy": "none"}, "nodes": [{"key": "a", "queue": QUEUE}]});
    let key = key_driven_by(2, &format!("key-{number}"));
    let headers = [("idempotency-key", key.as_str())];
    let made = service.call(Method::POST, "/api/v1/jobs", &headers, Some(&body.to_string())).await;
    let id = made.ok(201)["id"].as_str().expect("an id").to_owned();
    assert_eq!(driver_of(&id), 2);
    id
}

fn wanted(wait_ms: u64) -> Value {
    json!({"worker": "w", "max": 1, "wait_ms": wait_ms})
}

async fn http_poll(service: &Service, wait_ms: u64) -> Vec<Value> {
    let path = format!("/api/v1/queues/{QUEUE}/lease");
    let leased = service.post(&path, &wanted(wait_ms)).await.ok(200);
    leased["leases"].as_array().expect("leases").clone()
}

async fn waiting_polls(service: &Service) -> u64 {
    let queues = service.get("/api/v1/queues").await.ok(200);
    let queues = queues["queues"].as_array().cloned().unwrap_or_default();
    queues.iter().filter_map(|queue| queue["waiting_polls"].as_u64()).sum()
}

/// Until as many polls wait at an engine.
async fn until_polls(pair: &Pair, at: usize, polls: u64) {
    pair.pass_until(async {
        while waiting_polls(&pair.engines[at]).await != polls {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// The one piece of work, taken where its job is driven; its attempt is the first that counts.
async fn is_first_attempt(pair: &Pair, job: &str) {
    let leases = pair.pass_until(http_poll(&pair.engines[1], 5_000)).await;
    assert_eq!(leases.len(), 1, "it is there again: {leases:?}");
    assert_eq!((&leases[0]["job_id"], &leases[0]["attempt"]), (&json!(job), &json!(1)));
    let report = json!({"items": [{"lease": leases[0]["lease"]}]});
    let done = pair.engines[1].post("/api/v1/leases/complete", &report).await.ok(200);
    assert_eq!(done["results"][0]["outcome"], "recorded");
    let ended = pair.engines[1].get(&format!("/api/v1/jobs/{job}")).await.ok(200);
    assert_eq!(ended["status"], "completed");
}

fn forwarded_poll(pair: &Pair) -> Request {
    Request::Lease(LeaseRequest {
        namespace: namespace(),
        queue: QueueName::parse(QUEUE).expect("a queue"),
        action_types: Vec::new(),
        worker: WorkerName::parse("gone").expect("a worker"),
        claim: None,
        lease_ms: 30_000,
        max: 1,
        wait_until: pair.clock.now_ms() + i64::try_from(LONG_MS).expect("small"),
        correlation: None,
    })
}

#[tokio::test]
async fn a_poll_that_waits_at_one_engine_gets_work_that_appears_at_another_at_once() {
    let pair = Pair::start().await;
    for number in 0..5 {
        let mut polling = Box::pin(http_poll(&pair.engines[0], LONG_MS));
        tokio::select! {
            biased;
            early = &mut polling => panic!("there is no work yet: {early:?}"),
            () = until_polls(&pair, 0, 1) => {}
        }
        let before = pair.clock.monotonic();
        let job = job_of_second(&pair.engines[1], number).await;
        let leases = pair.pass_until(polling).await;
        assert_eq!(leases[0]["job_id"], job.as_str());
        let took = pair.clock.monotonic().saturating_sub(before);
        assert!(took <= BY_THE_HINT, "it took {took:?}");
    }
}

#[tokio::test]
async fn a_poll_across_engines_that_finds_nothing_ends_in_time() {
    let pair = Pair::start().await;
    // Work that is announced and gone when it is asked for: the poll goes on waiting, and not for longer.
    let mut polling = Box::pin(http_poll(&pair.engines[0], 3_000));
    tokio::select! {
        biased;
        early = &mut polling => panic!("there is no work yet: {early:?}"),
        () = until_polls(&pair, 0, 1) => {}
    }
    let before = pair.clock.monotonic();
    let queue = vec![announced()];
    pair.engines[0].engine.cluster().announced(2, queue).await;
    assert!(pair.pass_until(polling).await.is_empty());
    let waited = pair.clock.monotonic().saturating_sub(before).as_millis();
    assert!((2_500..=3_100).contains(&waited), "it waited {waited} ms");
}

fn announced() -> orrery::engine::core::message::Announced {
    let queue = QueueName::parse(QUEUE).expect("a queue");
    orrery::engine::core::message::Announced {
        namespace: namespace(),
        queue,
        kinds: Vec::new(),
        ready: 1,
    }
}

/// How often a job's work was leased to nobody and given back.
async fn given_back(pair: &Pair, job: &str) -> usize {
    let subject = SubjectId::job(namespace(), JobId::parse(job).expect("an id"));
    let events = super::faulty_peers::events(pair, &subject).await;
    events.iter().filter(|event| event.contains("\"undelivered\":true")).count()
}

async fn turns(count: usize) {
    for _ in 0..count {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn work_granted_to_an_engine_that_is_gone_is_given_back_uncounted() {
    let pair = Pair::start().await;
    let second = &pair.engines[1];
    let mut released = 0;
    for gone_after in 0..TURNS_MAX {
        let job = job_of_second(second, gone_after).await;
        let asked = PeerRequest::Request(Box::new(forwarded_poll(&pair))).encode().expect("a JSON");
        let body = encode_batch(1, life(2), pair.clock.now_ms(), [(1_000, asked.as_slice())]);
        let mut request = axum::http::Request::new(axum::body::Body::from(body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = PATH.parse().expect("a path");
        let sent_at = pair.clock.now_ms();
        let (proof, _) = pair.others[0].prove(life(2), sent_at, &body).expect("it is known");
        let host = ("host", "127.0.0.1");
        for (name, value) in [host, ("content-type", MEDIA_TYPE), (PROOF, &proof)] {
            request.headers_mut().insert(name, value.parse().expect("a value"));
        }
        let Ok(response) = second.router.clone().oneshot(request).await;
        let mut answer = response.into_body().into_data_stream();
        // Its request is on the way; the answer is not taken before the connection breaks.
        assert!(answer.next().now_or_never().is_none(), "it is not decided yet");
        turns(gone_after).await;
        drop(answer);
        is_first_attempt(&pair, &job).await;
        released += given_back(&pair, &job).await;
    }
    assert!(released > 0, "some were granted before it was noticed");
}

#[tokio::test]
async fn work_that_comes_back_for_a_worker_who_is_gone_is_given_back_uncounted() {
    let pair = Pair::start().await;
    let forwarding = Forwarding::new(pair.others[0].clone(), Arc::new(pair.clock.clone()));
    let forwarding = forwarding.expect("a client");
    let mut released = 0;
    for gone_after in 0..TURNS_MAX {
        let job = job_of_second(&pair.engines[1], gone_after).await;
        let mut asked = forwarding.forward(2, forwarded_poll(&pair), Duration::from_secs(2));
        let mut came = (&mut asked).now_or_never();
        for _ in 0..gone_after {
            tokio::task::yield_now().await;
            came = came.or_else(|| (&mut asked).now_or_never());
        }
        drop(asked);
        if let Some(Some(Response::Leases(granted))) = came {
            // The worker was there for long enough, and works.
            assert_eq!(granted.len(), 1);
            pair.engines[1].engine.leases().give_back(&namespace(), &[granted[0].lease]);
            is_first_attempt(&pair, &job).await;
        } else {
            is_first_attempt(&pair, &job).await;
            released += given_back(&pair, &job).await;
        }
    }
    assert!(released > 0, "some were gone before the answer came");
}

#[tokio::test]
async fn a_worker_gets_its_answer_though_the_engine_that_was_asked_for_it_ends() {
    let pair = Pair::start().await;
    let polls = (0..3).map(|_| http_poll(&pair.engines[0], 4_000));
    let mut polling = Box::pin(futures_util::future::join_all(polls));
    let hinted = async {
        until_polls(&pair, 0, 3).await;
        pair.engines[0].engine.cluster().announced(2, vec![announced()]).await;
    };
    tokio::select! {
        biased;
        early = &mut polling => panic!("there is no work: {early:?}"),
        () = hinted => {}
    }
    // As SIGTERM does: whoever waits there is answered, then nothing is.
    pair.engines[1].engine.end_waits().await;
    pair.engines[1].engine.stop().await;
    let before = pair.clock.monotonic();
    let mut held = Vec::new();
    for number in 0..3 {
        // What it drove is decided here; its groups come to this engine when they are taken over.
        held.push(job_of_second(&pair.engines[0], 10 + number).await);
    }
    pair.engines[0].engine.cluster().routes(vec![Some(1); 64], vec![1]).await;
    let answers = pair.pass_until(polling).await;
    let mut jobs: Vec<_> = answers.iter().flatten().map(|lease| lease["job_id"].clone()).collect();
    jobs.sort_by_key(Value::to_string);
    held.sort();
    assert_eq!(jobs, held);
    let took = pair.clock.monotonic().saturating_sub(before);
    assert!(took < Duration::from_secs(3), "it took {took:?}");
}

#[tokio::test]
async fn a_request_that_waits_for_a_job_is_answered_at_the_engine_that_does_not_drive_it() {
    let pair = Pair::start().await;
    let job = job_of_second(&pair.engines[1], 0).await;
    let path = format!("/api/v1/jobs/{job}?wait_ms={LONG_MS}&until=ended");
    let mut asking = Box::pin(pair.engines[0].get(&path));
    tokio::select! {
        biased;
        answer = &mut asking => panic!("it has not ended: {}", answer.text),
        leases = pair.pass_until(http_poll(&pair.engines[1], 5_000)) => {
            let report = json!({"items": [{"lease": leases[0]["lease"]}]});
            pair.engines[1].post("/api/v1/leases/complete", &report).await.ok(200);
        }
    }
    let before = pair.clock.monotonic();
    let ended = pair.pass_until(asking).await.ok(200);
    assert_eq!(ended["status"], "completed", "{ended}");
    let took = pair.clock.monotonic().saturating_sub(before);
    assert!(took <= BY_THE_HINT, "it took {took:?}");
}
