//! More than can be taken on, as clients see it: what is refused, how cheaply, and what is never refused.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, Method};
use futures_util::{FutureExt as _, StreamExt as _, stream};
use orrery::engine::core::CoreSettings;
use orrery::engine::core::urgency::Urgency;
use orrery::environment::Clock as _;
use orrery::http::peers::PeerAddress;
use orrery::http::shedding::urgency_of;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tower::ServiceExt as _;

use super::service::{Answer, Service, one_node, request};

const LEASE: &str = "/api/v1/queues/default/lease";

/// An engine for which every delay is too long.
async fn overloaded() -> Service {
    let core = CoreSettings { delay_max_ms: -1, ..CoreSettings::default() };
    let service = Service::start_with(core, |_| {}).await;
    // The core says what it refuses after its first turn.
    service.get("/api/v1/queues").await.ok(200);
    service
}

/// Lets a request begin.
async fn begun<'a>(
    service: &'a Service,
    path: &'a str,
    body: &'a Value,
) -> Pin<Box<dyn Future<Output = Answer> + 'a>> {
    let mut answer: Pin<Box<dyn Future<Output = Answer> + 'a>> = Box::pin(service.post(path, body));
    for _ in 0..20 {
        tokio::select! {
            biased;
            early = &mut answer => panic!("answered at once: {}", early.text),
            () = tokio::task::yield_now() => {}
        }
    }
    answer
}

/// An answer for which nothing more has to happen.
async fn soon(answer: impl Future<Output = Answer>) -> Answer {
    let mut answer = pin!(answer);
    for _ in 0..200 {
        if let Some(answer) = answer.as_mut().now_or_never() {
            return answer;
        }
        tokio::task::yield_now().await;
    }
    panic!("there is no answer");
}

/// A body that begins with `text` and of which nothing more ever comes.
fn stalled(text: &'static str) -> Body {
    let first = stream::once(async move { Ok::<_, Infallible>(Bytes::from(text)) });
    Body::from_stream(first.chain(stream::pending()))
}

#[tokio::test]
async fn a_submission_is_refused_before_its_body_is_read() {
    let service = overloaded().await;
    for path in ["/api/v1/jobs", "/api/v1/jobs/batch"] {
        let mut submission = request(Method::POST, path, &[], Some(""));
        *submission.body_mut() = stalled("{");
        let refused = soon(service.send(submission)).await;
        refused.problem(503, "overloaded");
        assert_eq!(refused.header("retry-after"), "1");
    }
    let refused = service.post(LEASE, &json!({"worker": "w"})).await;
    refused.problem(503, "overloaded");
}

#[tokio::test]
async fn reports_heartbeats_cancels_reads_and_health_are_taken_when_new_jobs_are_not() {
    let service = overloaded().await;
    let report = json!({"items": [{"lease": "x"}]});
    for path in ["complete", "heartbeat", "release"] {
        let answer = service.post(&format!("/api/v1/leases/{path}"), &report).await;
        assert_eq!(answer.ok(200)["results"][0]["error"]["code"], "lease_lost", "{path}");
    }
    let missing = "/api/v1/jobs/00000000-0000-7000-8000-000000000000";
    service.call(Method::DELETE, missing, &[], None).await.problem(404, "job_not_found");
    service.get(missing).await.problem(404, "job_not_found");
    service.get("/livez").await.ok(200);
    assert!(service.get("/metrics").await.text.contains("orrery_command_queue"));
}

#[tokio::test]
async fn every_route_of_the_api_has_its_urgency() {
    let service = Service::start().await;
    let document = service.get("/openapi.json").await.json();
    let mut submits = 0;
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        for (method, _) in item.as_object().into_iter().flatten() {
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method");
            let urgency = urgency_of(&method, path);
            assert_eq!(urgency.is_some(), path.starts_with("/api/"), "{method} {path}");
            let reads = method == Method::GET && path.starts_with("/api/");
            assert_eq!(urgency == Some(Urgency::Read), reads, "{method} {path}");
            submits += u32::from(urgency == Some(Urgency::Submit));
        }
    }
    assert_eq!(submits, 2, "one job, and many");
}

#[tokio::test]
async fn so_many_requests_of_a_namespace_wait_for_work_and_no_more() {
    let service = Service::start_with(CoreSettings::default(), |settings| {
        settings.server.long_polls_max = 3;
        settings.server.long_polls_namespace_max = 2;
    })
    .await;
    let body = json!({"worker": "w", "wait_ms": 20_000});
    let _one = begun(&service, LEASE, &body).await;
    let two = begun(&service, LEASE, &body).await;
    let refused = soon(service.post(LEASE, &body)).await;
    refused.problem(429, "too_many_waiting");
    assert_eq!(refused.header("retry-after"), "1");
    service.post(LEASE, &json!({"worker": "w", "wait_ms": 0})).await.ok(200);
    drop(two);
    let _again = begun(&service, LEASE, &body).await;
}

#[tokio::test]
async fn a_body_of_which_nothing_more_comes_is_given_up() {
    let service = Service::start().await;
    for begin in ["", "{\"name\": \"never whole\""] {
        let mut submission = request(Method::POST, "/api/v1/jobs", &[], Some(""));
        *submission.body_mut() = stalled(begin);
        let mut answer = Box::pin(service.send(submission));
        for _ in 0..20 {
            tokio::select! {
                biased;
                early = &mut answer => panic!("answered at once: {}", early.text),
                () = tokio::task::yield_now() => {}
            }
        }
        service.clock.advance(Duration::from_secs(10));
        soon(answer).await.problem(408, "body_too_slow");
    }
}

/// A submission of which so many bytes come at a time, and what it is answered.
async fn dripped(service: &Service, text: &str, bytes: usize, every: Duration) -> Answer {
    let (pieces, mut coming) = mpsc::channel(1);
    let body = stream::poll_fn(move |context| coming.poll_recv(context));
    let mut submission = request(Method::POST, "/api/v1/jobs", &[], Some(""));
    *submission.body_mut() = Body::from_stream(body.map(Ok::<_, Infallible>));
    let mut answer = Box::pin(service.send(submission));
    for piece in text.as_bytes().chunks(bytes) {
        for _ in 0..20 {
            if let Some(answer) = (&mut answer).now_or_never() {
                return answer;
            }
            tokio::task::yield_now().await;
        }
        service.clock.advance(every);
        if pieces.send(Bytes::from(piece.to_vec())).await.is_err() {
            break;
        }
    }
    drop(pieces);
    // A large one is read by a thread of its own.
    answer.await
}

#[tokio::test]
async fn a_body_that_keeps_coming_fast_enough_is_read_to_its_end() {
    let service = Service::start().await;
    let mut job = one_node();
    job["nodes"][0]["input"] = json!("x".repeat(100_000));
    let text = job.to_string();
    // All together longer than a body may stand still, but 10,000 bytes a second.
    let piece = text.len().div_ceil(15);
    dripped(&service, &text, piece, Duration::from_millis(700)).await.ok(201);
    let more = dripped(&service, &text, text.len().div_ceil(3), Duration::from_secs(6)).await;
    more.ok(201);
}

#[tokio::test]
async fn a_body_that_drips_is_given_up_however_steadily_it_does() {
    let service = Service::start().await;
    let before = service.clock.now_ms();
    let text = one_node().to_string();
    let given_up = dripped(&service, &text, 1, Duration::from_secs(3)).await;
    let problem = given_up.problem(408, "body_too_slow");
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("8192 a second")));
    let took = service.clock.now_ms() - before;
    assert!((10_000..13_000).contains(&took), "after {took} ms");
}

/// Bytes of which it shows whether somebody holds them.
struct Watched(Arc<Vec<u8>>);

impl AsRef<[u8]> for Watched {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

fn watched(bytes: &[u8]) -> (Bytes, Weak<Vec<u8>>) {
    let held = Arc::new(bytes.to_vec());
    let watch = Arc::downgrade(&held);
    (Bytes::from_owner(Watched(held)), watch)
}

#[tokio::test]
async fn a_request_that_waits_keeps_nothing_of_what_it_came_in() {
    let service = Service::start().await;
    let mut asks = request(Method::POST, LEASE, &[], Some(""));
    let (body, body_watch) = watched(br#"{"worker": "w", "wait_ms": 20000, "claim": "c"}"#);
    *asks.body_mut() = Body::from(body);
    let mut watches = vec![body_watch];
    for (name, value) in
        [("orrery-namespace", "mine"), ("x-request-id", "r-1"), ("accept-encoding", "gzip")]
    {
        let (bytes, watch) = watched(value.as_bytes());
        let value = HeaderValue::from_maybe_shared(bytes).expect("a value");
        asks.headers_mut().insert(name, value);
        watches.push(watch);
    }
    let mut answer = Box::pin(service.send(asks));
    for _ in 0..20 {
        assert!((&mut answer).now_or_never().is_none(), "it waits");
        tokio::task::yield_now().await;
    }
    let held = watches.iter().filter(|watch| watch.upgrade().is_some()).count();
    assert_eq!(held, 0, "of body and three headers");
    service.clock.advance(Duration::from_secs(20));
    let answer = answer.await;
    answer.ok(200);
    assert_eq!(answer.header("x-request-id"), "r-1");
}

#[tokio::test]
async fn a_request_that_waits_is_answered_at_its_deadline() {
    let service = Service::start_with(CoreSettings::default(), |settings| {
        settings.server.request_timeout = Duration::from_secs(5);
    })
    .await;
    let body = json!({"worker": "w", "wait_ms": 20_000});
    let answer = begun(&service, LEASE, &body).await;
    service.clock.advance(Duration::from_secs(5));
    soon(answer).await.problem(503, "outcome_unknown");
}

#[tokio::test]
async fn the_answer_of_a_request_that_waited_is_compressed_for_who_takes_that() {
    let service = Service::start().await;
    let text = json!({"worker": "w", "wait_ms": 20_000}).to_string();
    // Until the end: what is not taken is leased to the next.
    let mut answers = Vec::new();
    for (encoding, taken) in [("gzip", Some("gzip")), ("br;q=0", None)] {
        let headers = [("accept-encoding", encoding)];
        let asks = request(Method::POST, LEASE, &headers, Some(&text));
        let mut answer = Box::pin(service.router.clone().oneshot(asks));
        for _ in 0..20 {
            assert!((&mut answer).now_or_never().is_none(), "it waits");
            tokio::task::yield_now().await;
        }
        service.post("/api/v1/jobs", &one_node()).await.ok(201);
        let Ok(answer) = answer.await;
        let told = answer.headers().get("content-encoding").map(HeaderValue::as_bytes);
        assert_eq!(told, taken.map(str::as_bytes));
        assert_eq!(answer.headers()["vary"], "accept-encoding");
        answers.push(answer);
    }
}

/// So many submissions that announce much, send a byte and then nothing; each is waited for.
async fn announced<'a>(
    service: &'a Service,
    path: &'static str,
    count: usize,
    first: &'static str,
) -> Vec<Pin<Box<dyn Future<Output = Answer> + 'a>>> {
    let mut held: Vec<Pin<Box<dyn Future<Output = Answer> + 'a>>> = Vec::new();
    for _ in 0..count {
        let mut submission =
            request(Method::POST, path, &[("content-length", "1000000")], Some(""));
        *submission.body_mut() = stalled(first);
        held.push(Box::pin(service.send(submission)));
    }
    for _ in 0..20 {
        for answer in &mut held {
            if let Some(early) = answer.now_or_never() {
                panic!("answered at once: {}", early.text);
            }
        }
        tokio::task::yield_now().await;
    }
    held
}

#[tokio::test]
async fn a_body_is_charged_as_it_comes_and_not_as_it_is_announced() {
    let service = Service::start_with(CoreSettings::default(), |settings| {
        settings.server.body_max_bytes = 1_000_000;
        settings.server.bodies_max_bytes = 4_000_000;
        settings.server.urgent_bodies_max_bytes = 1_000_000;
        settings.server.submissions_max = 10;
    })
    .await;
    // 200 MB are announced to each, and more submissions than may be worked on.
    let _submissions = announced(&service, "/api/v1/jobs", 200, "{").await;
    let _reports = announced(&service, "/api/v1/leases/complete", 200, "{").await;
    let id = service.job(&one_node()).await;
    let leased = service.post(LEASE, &json!({"worker": "w"})).await.ok(200);
    let report = json!({"items": [{"lease": leased["leases"][0]["lease"]}]});
    let reported = service.post("/api/v1/leases/complete", &report).await.ok(200);
    assert_eq!(reported["results"][0]["outcome"], "recorded");
    service
        .call(Method::DELETE, &format!("/api/v1/jobs/{id}"), &[], None)
        .await
        .problem(409, "invalid_job_state");
}

#[tokio::test]
async fn bodies_that_have_come_leave_room_for_what_finishes_and_stops_work() {
    const PIECE: &str = match std::str::from_utf8(&[b' '; 100_000]) {
        Ok(spaces) => spaces,
        Err(_) => "",
    };
    let service = Service::start_with(CoreSettings::default(), |settings| {
        settings.server.body_max_bytes = 1_000_000;
        settings.server.bodies_max_bytes = 2_000_000;
        settings.server.urgent_bodies_max_bytes = 1_000_000;
    })
    .await;
    let submissions = announced(&service, "/api/v1/jobs", 9, PIECE).await;
    let large = json!({"name": "n", "description": "x".repeat(60_000), "nodes": []});
    let refused = service.post("/api/v1/jobs", &large).await;
    refused.problem(503, "overloaded");
    let _leases = announced(&service, LEASE, 9, PIECE).await;
    let wide = json!({"worker": "x".repeat(200_000)});
    service.post(LEASE, &wide).await.problem(503, "overloaded");
    // Everything but what finishes and stops work is at its bound.
    let report = json!({"items": [{"lease": "x".repeat(200_000)}]});
    service.post("/api/v1/leases/complete", &report).await.ok(200);
    let missing = "/api/v1/jobs/00000000-0000-7000-8000-000000000000/cancel";
    let why = json!({"reason": "x".repeat(500)});
    service.post(missing, &why).await.problem(404, "job_not_found");
    drop(submissions);
    service.post("/api/v1/jobs", &one_node()).await.ok(201);
}

/// As if it came over a connection from there.
fn from(mut request: axum::http::Request<Body>, address: &str) -> axum::http::Request<Body> {
    let address = format!("{address}:7").parse().expect("an address");
    request.extensions_mut().insert(PeerAddress::at(address));
    request
}

#[tokio::test]
async fn no_address_takes_the_places_and_the_bytes_of_all_whatever_namespaces_it_invents() {
    let service = Service::start_with(CoreSettings::default(), |settings| {
        settings.server.long_polls_max = 8;
        settings.server.long_polls_namespace_max = 6;
        settings.server.body_max_bytes = 1_000_000;
        settings.server.bodies_max_bytes = 2_000_000;
    })
    .await;
    let body = json!({"worker": "w", "wait_ms": 20_000}).to_string();
    let poll = |namespace: &str, address: &str| {
        let headers = [("orrery-namespace", namespace)];
        Box::pin(service.send(from(request(Method::POST, LEASE, &headers, Some(&body)), address)))
    };
    let mut held = Vec::new();
    for number in 0..6 {
        let mut poll = poll(["one", "two"][number % 2], "10.0.0.1");
        for _ in 0..20 {
            assert!((&mut poll).now_or_never().is_none(), "it waits");
            tokio::task::yield_now().await;
        }
        held.push(poll);
    }
    let refused = soon(poll("three", "10.0.0.1")).await;
    let refused = refused.problem(429, "too_many_waiting");
    assert!(refused["detail"].as_str().is_some_and(|detail| detail.contains("your address")));
    let mut other = poll("four", "10.0.0.2");
    for _ in 0..20 {
        assert!((&mut other).now_or_never().is_none(), "another address has its place");
        tokio::task::yield_now().await;
    }
    // Of the bytes as well: three quarters of what reads and leases may hold.
    let sent = |address: &str, bytes: usize| {
        let text = json!({"worker": "x".repeat(bytes)}).to_string();
        let mut asks = request(Method::POST, LEASE, &[], Some(""));
        let first = stream::once(async move { Ok::<_, Infallible>(Bytes::from(text)) });
        *asks.body_mut() = Body::from_stream(first.chain(stream::pending()));
        Box::pin(service.send(from(asks, address)))
    };
    let mut bodies = [sent("10.0.0.1", 700_000), sent("10.0.0.1", 700_000)];
    for body in &mut bodies {
        for _ in 0..20 {
            assert!(body.now_or_never().is_none(), "there is room");
            tokio::task::yield_now().await;
        }
    }
    let refused = soon(sent("10.0.0.1", 200_000)).await.problem(503, "overloaded");
    assert!(refused["detail"].as_str().is_some_and(|detail| detail.contains("your address")));
    let mut other = sent("10.0.0.2", 200_000);
    for _ in 0..20 {
        assert!((&mut other).now_or_never().is_none(), "another address has room");
        tokio::task::yield_now().await;
    }
}
