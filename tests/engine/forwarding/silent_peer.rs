//! The other engine is gone, hangs, is slow, or knows another secret: whoever asked is answered all the same.

use std::sync::Arc;
use std::time::Duration;

use axum::http::Method;
use orrery::engine::core::message::{Names, Request, Response};
use orrery::engine::forward::Forward as _;
use orrery::engine::forwarding::Forwarding;
use orrery::environment::Clock as _;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::two_services::{Pair, SECRET, call, make, nobody};
use crate::harness::jobs::namespace;

const SOON: Duration = Duration::from_secs(2);

fn body(queue: &str) -> Value {
    json!({"name": "j", "nodes": [{"key": "a", "queue": queue}]})
}

fn forwarding(pair: &Pair) -> Forwarding {
    Forwarding::new(pair.others[0].clone(), Arc::new(pair.clock.clone())).expect("a client")
}

/// Every change of a job of engine 2, asked at engine 1.
async fn changes(pair: &Pair, id: &str) -> Vec<u16> {
    let mut statuses = Vec::new();
    for (verb, body) in
        [("pause", None), ("resume", None), ("cancel", Some(json!({"reason": "r"})))]
    {
        let path = format!("/api/v1/jobs/{id}/{verb}");
        statuses.push(
            call(&pair.engines[0], Method::POST, &path, &[], body.as_ref()).await.status.as_u16(),
        );
    }
    let read = pair.engines[0].get(&format!("/api/v1/jobs/{id}")).await;
    assert_eq!(read.ok(200)["status"], "cancelled");
    statuses
}

#[tokio::test]
async fn what_a_dead_engine_drives_is_decided_here_at_once() {
    let pair = Pair::start().await;
    let id = pair.job_of(2, &body("q")).await;
    pair.move_second_to(&nobody().await);
    let before = pair.clock.monotonic();
    assert_eq!(changes(&pair, &id).await, [200, 200, 200]);
    assert_eq!(pair.clock.monotonic(), before, "nobody waited");
}

#[tokio::test]
async fn an_engine_with_another_secret_is_not_asked_and_nothing_is_lost() {
    let pair = Pair::with_secrets([SECRET, "another"]).await;
    let id = pair.job_of(2, &body("q")).await;
    assert_eq!(changes(&pair, &id).await, [200, 200, 200]);
}

#[tokio::test]
async fn an_engine_that_hangs_is_given_up_soon_and_then_not_waited_for() {
    let pair = Pair::start().await;
    let id = pair.job_of(2, &body("q")).await;
    let hangs = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    pair.move_second_to(&hangs.local_addr().expect("an address").to_string());
    let held = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((connection, _)) = hangs.accept().await {
            held.push(connection);
        }
    });
    let began = pair.clock.monotonic();
    let path = format!("/api/v1/jobs/{id}");
    pair.pass_until(pair.engines[0].get(&path)).await.ok(200);
    let waited = pair.clock.monotonic().saturating_sub(began);
    assert!(waited >= Duration::from_millis(1_500) && waited < SOON, "{waited:?}");
    let again = pair.clock.monotonic();
    pair.engines[0].get(&path).await.ok(200);
    assert_eq!(pair.clock.monotonic(), again, "the second one did not wait");
    held.abort();
}

#[tokio::test]
async fn a_slow_answer_holds_up_no_other() {
    let pair = Pair::start().await;
    let forwarding = forwarding(&pair);
    // The view follows only as time goes on.
    pair.job_of(2, &body("slow")).await;
    let mut slow = forwarding.shown(2);
    for _ in 0..20 {
        let read = forwarding.forward(
            2,
            Request::Queues { namespace: namespace(), part: Names::default() },
            SOON,
        );
        tokio::select! {
            biased;
            early = &mut slow => panic!("no time has passed: {early}"),
            read = read => assert!(matches!(read, Some(Response::Queues { .. })), "{read:?}"),
        }
    }
    assert!(pair.pass_until(slow).await, "it comes in its own time");
}

#[tokio::test]
async fn an_engine_that_comes_back_is_asked_again() {
    let pair = Pair::start().await;
    let forwarding = forwarding(&pair);
    let read = || {
        forwarding.forward(
            2,
            Request::Queues { namespace: namespace(), part: Names::default() },
            SOON,
        )
    };
    pair.move_second_to(&nobody().await);
    assert!(read().await.is_none());
    pair.move_second_to(&pair.homes[1]);
    assert!(read().await.is_some(), "a new address is a new start");
    let empty = nobody().await;
    pair.move_second_to(&empty);
    assert!(read().await.is_none());
    // Somebody listens there by now.
    let listener = TcpListener::bind(&empty).await.expect("the port is free");
    let served = axum::serve(listener, make(&pair.engines[1].router));
    tokio::spawn(async move { served.await.expect("it serves") });
    assert!(read().await.is_none(), "it is not asked at once");
    pair.clock.advance(Duration::from_millis(250));
    assert!(read().await.is_some());
}
