//! The route where engines ask one another: who is refused, and that no body does harm.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Method, Request as HttpRequest, header};
use domain::job::command::{Answer, JobCommand};
use orrery::config::Secret;
use orrery::engine::core::message::{Request, Response};
use orrery::engine::forwarding::wire::{
    Asked, ITEMS_MAX, MEDIA_TYPE, RECORD_END, Said, decode_said, encode_batch,
};
use orrery::engine::forwarding::{BODY_BYTES_MAX, Others, PATH, SIGNATURE};
use orrery::membership::contract::Life;
use orrery::membership::peers::Peers;
use serde_json::json;

use super::pair::{Pair, SECRET, life};
use super::values::{Draw, requests};
use crate::api::service::{self, Service, one_node};

/// When the pair's clock begins.
const SENT_AT: i64 = 1_700_000_000_000;

fn post(body: Vec<u8>, signature: Option<&str>) -> HttpRequest<Body> {
    let mut request = HttpRequest::new(Body::from(body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = PATH.parse().expect("a path");
    let headers = request.headers_mut();
    headers.insert(header::HOST, "127.0.0.1".parse().expect("a value"));
    headers.insert(header::CONTENT_TYPE, MEDIA_TYPE.parse().expect("a value"));
    if let Some(signature) = signature {
        headers.insert(SIGNATURE, signature.parse().expect("a value"));
    }
    request
}

fn sign(secret: &str, body: &[u8]) -> String {
    Others::new(1, Peers::new(Secret::new(secret)).1).sign(body)
}

fn signed(body: Vec<u8>) -> HttpRequest<Body> {
    let signature = sign(SECRET, &body);
    post(body, Some(&signature))
}

fn batch(asked: &[Asked]) -> Vec<u8> {
    batch_to(life(2), asked)
}

fn batch_to(to: Life, asked: &[Asked]) -> Vec<u8> {
    let encoded: Vec<_> = asked.iter().map(|asked| asked.encode().expect("a JSON")).collect();
    encode_batch(1, to, SENT_AT, encoded.iter().map(|asked| (1_000, asked.as_slice())))
}

async fn answers(service: &Service, body: Vec<u8>) -> Vec<(u32, Said)> {
    let answer = service.send(signed(body)).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("content-type")),
        (200, MEDIA_TYPE),
        "{}",
        answer.text
    );
    let records = answer.text.as_bytes().split(|byte| *byte == RECORD_END);
    let mut said: Vec<_> = records
        .filter(|record| !record.is_empty())
        .map(|record| decode_said(record).expect("an answer"))
        .collect();
    said.sort_by_key(|(n, _)| *n);
    said
}

#[tokio::test]
async fn who_does_not_know_the_secret_is_refused_and_nothing_is_done() {
    let pair = Pair::start().await;
    let second = &pair.engines[1];
    let before = second.store.appends();
    let body = batch(&[Asked::Request(Box::new(requests(&Draw::fixed()).remove(0)))]);
    let other = sign("guessed", &body);
    let of_another_body = sign(SECRET, b"{}");
    for signature in
        [None, Some(""), Some("no"), Some(other.as_str()), Some(of_another_body.as_str())]
    {
        let answer = second.send(post(body.clone(), signature)).await;
        assert_eq!(answer.status.as_u16(), 401, "{signature:?}: {}", answer.text);
        assert!(!answer.text.contains("between"), "{}", answer.text);
    }
    assert_eq!(second.store.appends(), before);
}

#[tokio::test]
async fn an_engine_that_is_alone_has_no_such_route() {
    let alone = Service::start().await;
    alone.send(signed(batch(&[Asked::Shown(Vec::new())]))).await.problem(404, "unknown_route");
}

#[tokio::test]
async fn bodies_that_are_too_large_or_of_another_kind_are_refused() {
    let pair = Pair::start().await;
    let second = &pair.engines[1];
    let mut announced = signed(b"{}".to_vec());
    let length = (BODY_BYTES_MAX + 1).to_string();
    announced.headers_mut().insert(header::CONTENT_LENGTH, length.parse().expect("a value"));
    second.send(announced).await.problem(413, "body_too_large");
    second.send(signed(vec![b' '; BODY_BYTES_MAX + 1])).await.problem(413, "body_too_large");
    let mut json = signed(batch(&[Asked::Shown(Vec::new())]));
    json.headers_mut().insert(header::CONTENT_TYPE, "application/json".parse().expect("a value"));
    assert_eq!(second.send(json).await.status.as_u16(), 415);
}

#[tokio::test]
async fn garbage_gets_a_clear_error_and_one_bad_item_touches_no_other() {
    let pair = Pair::start().await;
    let second = &pair.engines[1];
    let deep = [
        b"{\"v\":1,\"from\":1,\"to\":{\"engine\":2,\"started_at\":0},\"at\":0,\"items\":".to_vec(),
        vec![b'['; 1_000_000],
    ]
    .concat();
    let many = batch(&vec![Asked::Shown(Vec::new()); ITEMS_MAX + 1]);
    let garbage = [
        Vec::new(),
        b"null".to_vec(),
        vec![0xff; 99],
        b"{\"v\":1}".to_vec(),
        b"{\"v\":7}".to_vec(),
        deep,
        many,
    ];
    for body in garbage {
        let answer = second.send(signed(body)).await;
        assert_eq!(answer.status.as_u16(), 400, "{}", answer.text);
        assert!(answer.text.len() > 10, "it says why: {}", answer.text);
    }
    let mixed =
        br#"{"v":1,"from":1,"to":{"engine":2,"started_at":1699999999000},"at":1700000000000,"items":[{"n":4,"within_ms":9,"asked":{"request":{"sing":{}}}},
        {"n":7,"within_ms":1000,"asked":{"request":{"queues":{"namespace":"default"}}}},
        {"n":8,"within_ms":9,"asked":[[[]]]}]}"#;
    let said = answers(second, mixed.to_vec()).await;
    let kinds: Vec<_> = said
        .iter()
        .map(|(n, said)| match said {
            Said::Response(_) => (*n, "answered"),
            Said::NotUnderstood(_) => (*n, "not understood"),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(kinds, [(4, "not understood"), (7, "answered"), (8, "not understood")]);
}

#[tokio::test]
async fn the_same_command_again_gets_its_first_answer() {
    let pair = Pair::start().await;
    let job = pair.job_of(2, &json!({"name": "j", "nodes": one_node()["nodes"]})).await;
    let job = domain::ids::JobId::parse(&job).expect("an id");
    let mut all = requests(&Draw::fixed());
    let pause = all.iter_mut().find_map(|request| match request {
        Request::Command { subject, command, caller } => {
            let pause = matches!(
                command,
                orrery::engine::core::message::Command::Job(JobCommand::Pause { .. })
            );
            *subject =
                domain::ids::SubjectId::job(domain::ids::Namespace::default_namespace(), job);
            caller.actor = Arc::from("client");
            caller.expected_version = None;
            pause.then(|| request.clone())
        }
        _ => None,
    });
    let asked = [Asked::Request(Box::new(pause.expect("a pause")))];
    let answer = |said: Vec<(u32, Said)>| match said.into_iter().next() {
        Some((0, Said::Response(response))) => match *response {
            Response::Command { answer, .. } => answer,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    let Answer::Done { seq } = answer(answers(&pair.engines[1], batch(&asked)).await) else {
        panic!("it was not done")
    };
    for engine in [1, 0, 1] {
        // Also at the other engine, which then decides by itself.
        let to = life(if engine == 1 { 2 } else { 1 });
        let again = answer(answers(&pair.engines[engine], batch_to(to, &asked)).await);
        assert!(matches!(again, Answer::Replayed { seq: first } if first == seq), "{again:?}");
    }
}

#[tokio::test]
async fn a_body_that_was_captured_cannot_be_sent_again_when_its_ids_are_forgotten() {
    let pair = Pair::start().await;
    let second = &pair.engines[1];
    let body = batch(&[Asked::Shown(Vec::new())]);
    let minutes = |minutes: u64| std::time::Duration::from_mins(minutes);
    second.pass(minutes(4)).await;
    assert_eq!(second.send(signed(body.clone())).await.status.as_u16(), 200);
    second.pass(minutes(1)).await;
    let before = second.store.appends();
    let late = second.send(signed(body)).await;
    assert_eq!((late.status.as_u16(), late.text.as_str()), (400, "the body is of another time\n"));
    // Nor one of a time that is still to come.
    let early = encode_batch(1, life(2), SENT_AT + 900_000, [(9, &b"{}"[..])]);
    assert_eq!(second.send(signed(early)).await.status.as_u16(), 400);
    assert_eq!(second.store.appends(), before);
}

#[tokio::test]
async fn what_is_meant_for_another_engine_or_another_life_is_refused_and_nothing_is_done() {
    let pair = Pair::start().await;
    let second = &pair.engines[1];
    let before = second.store.appends();
    let asked = [Asked::Request(Box::new(requests(&Draw::fixed()).remove(0)))];
    let later = Life { started_at: life(2).started_at + 1, ..life(2) };
    for to in [life(1), life(3), later] {
        let answer = second.send(signed(batch_to(to, &asked))).await;
        assert_eq!(answer.status.as_u16(), 421, "{to:?}: {}", answer.text);
    }
    // The receiver is part of what is signed.
    let signature = sign(SECRET, &batch_to(life(1), &asked));
    let turned = second.send(post(batch_to(life(2), &asked), Some(&signature))).await;
    assert_eq!(turned.status.as_u16(), 401, "{}", turned.text);
    assert_eq!(second.store.appends(), before);
}

#[tokio::test]
async fn the_public_document_does_not_show_it() {
    let pair = Pair::start().await;
    let document = pair.engines[0].get("/openapi.json").await;
    assert!(!document.text.contains("internal/"));
    let read = service::request(Method::GET, PATH, &[], None);
    pair.engines[0].send(read).await.problem(405, "method_not_allowed");
}
