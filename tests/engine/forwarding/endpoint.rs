//! The route where engines ask one another: who is refused, and that no body does harm.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{Method, Request as HttpRequest, header};
use domain::job::command::JobCommand;
use domain::subject::answer::Answer;
use orrery::config::Secret;
use orrery::engine::core::message::{Request, Response};
use orrery::engine::forwarding::wire::{
    ITEMS_MAX, MEDIA_TYPE, PeerRequest, RECORD_END, Said, decode_said, encode_batch,
};
use orrery::engine::forwarding::{BODY_BYTES_MAX, PATH, PROOF, PeerDirectory};
use orrery::membership::contract::Life;
use orrery::membership::peers::Peers;
use serde_json::json;

use super::two_services::{Pair, SECRET, life, living};
use super::values::{Draw, requests};
use crate::api::service::{self, Service, one_node};

/// When the pair's clock begins.
const SENT_AT: i64 = 1_700_000_000_000;

fn post(body: Vec<u8>, proof: Option<&str>) -> HttpRequest<Body> {
    let mut request = HttpRequest::new(Body::from(body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = PATH.parse().expect("a path");
    let headers = request.headers_mut();
    headers.insert(header::HOST, "127.0.0.1".parse().expect("a value"));
    headers.insert(header::CONTENT_TYPE, MEDIA_TYPE.parse().expect("a value"));
    if let Some(proof) = proof {
        headers.insert(PROOF, proof.parse().expect("a value"));
    }
    request
}

/// What engine `from` of the pair sends to this life, at that time.
fn proven(pair: &Pair, from: u32, (to, sent_at): (Life, i64), body: Vec<u8>) -> HttpRequest<Body> {
    let others = &pair.others[from as usize - 1];
    let (proof, _) = others.prove(to, sent_at, &body).expect("it is known");
    post(body, Some(&proof))
}

/// What the first engine sends to the second.
fn signed(pair: &Pair, body: Vec<u8>) -> HttpRequest<Body> {
    proven(pair, 1, (life(2), SENT_AT), body)
}

fn batch(asked: &[PeerRequest]) -> Vec<u8> {
    batch_to(life(2), asked)
}

fn batch_to(to: Life, asked: &[PeerRequest]) -> Vec<u8> {
    batch_from(1, to, asked)
}

fn batch_from(from: u32, to: Life, asked: &[PeerRequest]) -> Vec<u8> {
    let encoded: Vec<_> = asked.iter().map(|asked| asked.encode().expect("a JSON")).collect();
    encode_batch(from, to, SENT_AT, encoded.iter().map(|asked| (1_000, asked.as_slice())))
}

/// What engine `from` is answered by the other one.
async fn answers(pair: &Pair, from: u32, body: Vec<u8>) -> Vec<(u32, Said)> {
    let to = 3 - from;
    let others = &pair.others[from as usize - 1];
    let (proof, mut answers) = others.prove(life(to), SENT_AT, &body).expect("it is known");
    let answer = pair.engines[to as usize - 1].send(post(body, Some(&proof))).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("content-type")),
        (200, MEDIA_TYPE),
        "{}",
        answer.text
    );
    let records = answer.text.as_bytes().split(|byte| *byte == RECORD_END);
    let mut said: Vec<_> = records
        .filter(|record| !record.is_empty())
        .map(|record| answers.open(record).expect("it is proven"))
        .filter(|record| !record.is_empty())
        .map(|record| decode_said(record).expect("an answer"))
        .collect();
    said.sort_by_key(|(n, _)| *n);
    said
}

#[tokio::test]
async fn who_is_no_engine_of_the_deployment_is_refused_and_nothing_is_done() {
    let pair = Pair::start().await;
    let second = &pair.engines[1];
    let before = second.store.appends();
    let body = batch(&[PeerRequest::Request(Box::new(requests(&Draw::fixed()).remove(0)))]);
    // A stranger knows all that is shown, and has the first engine's number and key, but not its own half of it.
    let (seen, peers) = Peers::new(Secret::new(SECRET));
    seen.tell(BTreeMap::from([(2, living(&pair.homes[1], &pair.keys[1]))]));
    let stranger = PeerDirectory::new(1, peers);
    let forged = stranger.prove(life(2), SENT_AT, &body).expect("it is known").0;
    let of_another_body = pair.others[0].prove(life(2), SENT_AT, b"{}").expect("it is known").0;
    for proof in [None, Some(""), Some("no"), Some(forged.as_str()), Some(of_another_body.as_str())]
    {
        let answer = second.send(post(body.clone(), proof)).await;
        assert_eq!(answer.status.as_u16(), 401, "{proof:?}: {}", answer.text);
        assert!(!answer.text.contains("between"), "{}", answer.text);
    }
    let unseen = PeerDirectory::new(9, Peers::new(Secret::new(SECRET)).1);
    assert!(unseen.prove(life(2), SENT_AT, &body).is_none(), "it has seen nobody");
    assert_eq!(second.store.appends(), before);
}

#[tokio::test]
async fn a_body_is_taken_once() {
    let pair = Pair::start().await;
    let second = &pair.engines[1];
    let body = batch(&[PeerRequest::Request(Box::new(requests(&Draw::fixed()).remove(0)))]);
    let (proof, _) = pair.others[0].prove(life(2), SENT_AT, &body).expect("it is known");
    assert_eq!(second.send(post(body.clone(), Some(&proof))).await.status.as_u16(), 200);
    let before = second.store.appends();
    let again = second.send(post(body.clone(), Some(&proof))).await;
    assert_eq!((again.status.as_u16(), again.text.as_str()), (400, "the body was sent before\n"));
    // Nor does it mean anything at the engine that sent it.
    let back = pair.engines[0].send(post(body, Some(&proof))).await;
    assert_eq!(back.status.as_u16(), 421, "{}", back.text);
    assert_eq!(second.store.appends(), before);
}

#[tokio::test]
async fn a_body_that_nobody_proved_takes_no_room_however_large_it_is() {
    let pair = Pair::start().await;
    let mut announced = post(vec![b' '; BODY_BYTES_MAX], Some("1;2;5;7;3;x;y"));
    let length = BODY_BYTES_MAX.to_string();
    announced.headers_mut().insert(header::CONTENT_LENGTH, length.parse().expect("a value"));
    *announced.body_mut() = Body::from_stream(futures_util::stream::pending::<
        Result<axum::body::Bytes, std::convert::Infallible>,
    >());
    // It is refused although not a byte of it comes.
    assert_eq!(pair.engines[1].send(announced).await.status.as_u16(), 401);
}

#[tokio::test]
async fn an_engine_that_is_alone_has_no_such_route() {
    let alone = Service::start().await;
    let body = batch(&[PeerRequest::Shown(Vec::new())]);
    alone.send(post(body, Some("no"))).await.problem(404, "unknown_route");
}

#[tokio::test]
async fn bodies_that_are_too_large_or_of_another_kind_are_refused() {
    let pair = Pair::start().await;
    let second = &pair.engines[1];
    let mut announced = signed(&pair, b"{}".to_vec());
    let length = (BODY_BYTES_MAX + 1).to_string();
    announced.headers_mut().insert(header::CONTENT_LENGTH, length.parse().expect("a value"));
    second.send(announced).await.problem(413, "body_too_large");
    second.send(signed(&pair, vec![b' '; BODY_BYTES_MAX + 1])).await.problem(413, "body_too_large");
    let mut json = signed(&pair, batch(&[PeerRequest::Shown(Vec::new())]));
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
    let many = batch(&vec![PeerRequest::Shown(Vec::new()); ITEMS_MAX + 1]);
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
        let answer = second.send(signed(&pair, body)).await;
        assert_eq!(answer.status.as_u16(), 400, "{}", answer.text);
        assert!(answer.text.len() > 10, "it says why: {}", answer.text);
    }
    let mixed =
        br#"{"v":1,"from":1,"to":{"engine":2,"started_at":1699999999000},"at":1700000000000,"items":[{"n":4,"within_ms":9,"asked":{"request":{"sing":{}}}},
        {"n":7,"within_ms":1000,"asked":{"request":{"queues":{"namespace":"default"}}}},
        {"n":8,"within_ms":9,"asked":[[[]]]}]}"#;
    let said = answers(&pair, 1, mixed.to_vec()).await;
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
    let asked = [PeerRequest::Request(Box::new(pause.expect("a pause")))];
    let answer = |said: Vec<(u32, Said)>| match said.into_iter().next() {
        Some((0, Said::Response(response))) => match *response {
            Response::Command { answer, .. } => answer,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    let Answer::Done { seq } = answer(answers(&pair, 1, batch(&asked)).await) else {
        panic!("it was not done")
    };
    for engine in [1, 0, 1] {
        // Also at the other engine, which then decides by itself.
        let (from, to) = if engine == 1 { (1, 2) } else { (2, 1) };
        let body = batch_from(from, life(to), &asked);
        let again = answer(answers(&pair, from, body).await);
        assert!(matches!(again, Answer::Replayed { seq: first } if first == seq), "{again:?}");
    }
}

#[tokio::test]
async fn a_body_that_was_captured_cannot_be_sent_again_when_its_ids_are_forgotten() {
    let pair = Pair::start().await;
    let second = &pair.engines[1];
    let body = batch(&[PeerRequest::Shown(Vec::new())]);
    let minutes = |minutes: u64| std::time::Duration::from_mins(minutes);
    second.pass(minutes(4)).await;
    assert_eq!(second.send(signed(&pair, body.clone())).await.status.as_u16(), 200);
    second.pass(minutes(1)).await;
    let before = second.store.appends();
    let late = second.send(signed(&pair, body)).await;
    assert_eq!((late.status.as_u16(), late.text.as_str()), (400, "the body is of another time\n"));
    // Nor one of a time that is still to come.
    let early = encode_batch(1, life(2), SENT_AT + 900_000, [(9, &b"{}"[..])]);
    let early = proven(&pair, 1, (life(2), SENT_AT + 900_000), early);
    assert_eq!(second.send(early).await.status.as_u16(), 400);
    assert_eq!(second.store.appends(), before);
}

#[tokio::test]
async fn what_is_meant_for_another_engine_or_another_life_is_refused_and_nothing_is_done() {
    let pair = Pair::start().await;
    let second = &pair.engines[1];
    let before = second.store.appends();
    let asked = [PeerRequest::Request(Box::new(requests(&Draw::fixed()).remove(0)))];
    let later = Life { started_at: life(2).started_at + 1, ..life(2) };
    for to in [life(1), life(3), later] {
        let body = batch_to(to, &asked);
        let Some((proof, _)) = pair.others[0].prove(to, SENT_AT, &body) else {
            assert_ne!(to.engine, 2, "there is a way to it");
            continue;
        };
        let answer = second.send(post(body, Some(&proof))).await;
        assert_eq!(answer.status.as_u16(), 421, "{to:?}: {}", answer.text);
    }
    // The receiver is part of what is signed.
    let body = batch_to(life(2), &asked);
    let (proof, _) = pair.others[0].prove(later, SENT_AT, &body).expect("it is known");
    let turned = proof.replacen(&later.started_at.to_string(), &life(2).started_at.to_string(), 1);
    assert_ne!(turned, proof);
    let turned = second.send(post(body, Some(&turned))).await;
    assert_eq!(turned.status.as_u16(), 401, "{}", turned.text);
    // A body for another one under a proof for this one.
    let other = second.send(signed(&pair, batch_to(life(1), &asked))).await;
    assert_eq!(other.status.as_u16(), 400, "{}", other.text);
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
