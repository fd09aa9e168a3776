//! Engines that break off, lie, or are of another version: what they were asked is decided here, once, and what they had
//! answered before counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::http::Method;
use domain::ids::{JobId, SubjectId};
use orrery::engine::core::message::{Names, Request, Response};
use orrery::engine::forward::Forward as _;
use orrery::engine::forwarding::wire::{MEDIA_TYPE, RECORD_END, Said, encode_said};
use orrery::engine::forwarding::{Forwarding, PeerDirectory};
use orrery::environment::{Clock as _, SimulatedClock};
use orrery::event_store::contract::EventStore as _;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::two_services::{Pair, STARTED_AT, call};
use crate::api::service::Answer;
use crate::harness::jobs::namespace;

const SOON: Duration = Duration::from_secs(2);

/// The events of a stream as they are stored.
pub(super) async fn events(pair: &Pair, subject: &SubjectId) -> Vec<String> {
    let part = pair.engines[0].store.read(subject, 1, usize::MAX).await.expect("a store");
    let text = |body: &[u8]| String::from_utf8(body.to_vec()).expect("text");
    let lines = part.records.iter().flat_map(|record| record.body.split(|byte| *byte == b'\n'));
    lines.map(text).collect()
}

/// Reads a request whole: its head, and as many bytes as that says. Answers its proof.
async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut read = Vec::new();
    loop {
        let head = read.windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(head) = head {
            let text = String::from_utf8_lossy(&read[..head]).to_ascii_lowercase();
            let length = text.lines().find_map(|line| line.strip_prefix("content-length:"))?;
            let length: usize = length.trim().parse().ok()?;
            if read.len() >= head + 4 + length {
                let proof = text.lines().find_map(|line| line.strip_prefix("orrery-proof:"))?;
                return Some(proof.trim().to_owned());
            }
        }
        if stream.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
    }
}

/// What a stand-in for an engine does after its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    /// Answers the next request.
    Goes,
    /// Closes the connection before the answer has its end.
    Breaks,
    /// Goes on answering, up to `POURED_MAX` bytes.
    Pours,
}

const PIECE: usize = 1_024 * 1_024;
/// Far more than any engine should read of one answer.
const POURED_MAX: usize = 256 * PIECE;

/// A stand-in for an engine.
struct StandIn {
    address: String,
    asked: Arc<AtomicUsize>,
    poured: Arc<AtomicUsize>,
}

impl StandIn {
    /// That answers each request with these bytes after a good head, as engine 2 of the pair, whose key it has.
    async fn start(pair: &Pair, answer: Vec<u8>, then: Then) -> Self {
        let (others, clock) = (pair.others[1].clone(), pair.clock.clone());
        Self::start_as(Some((others, clock)), answer, then).await
    }

    /// With nothing but its words when it is nobody.
    async fn start_as(
        engine: Option<(PeerDirectory, SimulatedClock)>,
        answer: Vec<u8>,
        then: Then,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let (asked, poured) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let counters = (Arc::clone(&asked), Arc::clone(&poured));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, engine.clone(), answer.clone(), then, counters.clone()));
            }
        });
        Self { address, asked, poured }
    }
}

/// The answer with the proof of each of its records; what has no end stays as it is.
fn proven(engine: &(PeerDirectory, SimulatedClock), proof: &str, answer: &[u8]) -> Vec<u8> {
    let (others, clock) = engine;
    let mut proof = others.check(proof, clock.now_ms()).expect("it is for this engine").answers;
    let mut sealed = Vec::new();
    let mut rest = answer;
    while let Some(end) = rest.iter().position(|byte| *byte == RECORD_END) {
        let begins = sealed.len();
        sealed.extend_from_slice(&rest[..end]);
        proof.seal(&mut sealed, begins);
        sealed.push(RECORD_END);
        rest = &rest[end + 1..];
    }
    sealed.extend_from_slice(rest);
    sealed
}

async fn serve(
    mut stream: TcpStream,
    engine: Option<(PeerDirectory, SimulatedClock)>,
    answer: Vec<u8>,
    then: Then,
    (asked, poured): (Arc<AtomicUsize>, Arc<AtomicUsize>),
) -> Option<()> {
    loop {
        let proof = read_request(&mut stream).await?;
        let answer = match &engine {
            Some(engine) => proven(engine, &proof, &answer),
            None => answer.clone(),
        };
        asked.fetch_add(1, Ordering::Relaxed);
        let more = match then {
            Then::Goes => 0,
            Then::Breaks => 1,
            Then::Pours => POURED_MAX,
        };
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: {MEDIA_TYPE}\r\ncontent-length: {}\r\n\r\n",
            answer.len() + more
        );
        stream.write_all(&[head.as_bytes(), &answer].concat()).await.ok()?;
        match then {
            Then::Goes => {}
            Then::Breaks => return None,
            Then::Pours => {
                for _ in 0..POURED_MAX / PIECE {
                    stream.write_all(&vec![b' '; PIECE]).await.ok()?;
                    poured.fetch_add(PIECE, Ordering::Relaxed);
                }
            }
        }
    }
}

/// A job of engine 2, paused at engine 1 while somebody stands in for engine 2: the answer, and how often the pause is
/// recorded.
async fn paused_beside(pair: &Pair, stands_in: &StandIn) -> (Answer, usize) {
    let body = json!({"name": "j", "nodes": [{"key": "a", "queue": "q"}]});
    let job = pair.job_of(2, &body).await;
    pair.move_second_to(&stands_in.address);
    let path = format!("/api/v1/jobs/{job}/pause");
    let paused = call(&pair.engines[0], Method::POST, &path, &[], None).await;
    let subject = SubjectId::job(namespace(), JobId::parse(&job).expect("an id"));
    let recorded = events(pair, &subject).await;
    (paused, recorded.iter().filter(|event| event.contains("paused")).count())
}

/// It is decided here, once, and was asked for once.
async fn is_decided_here(answer: Vec<u8>, then: Then) {
    let (pair, shown) = (Pair::start().await, String::from_utf8_lossy(&answer).into_owned());
    let stands_in = StandIn::start(&pair, answer, then).await;
    let (paused, pauses) = paused_beside(&pair, &stands_in).await;
    assert_eq!(paused.ok(200)["status"], "paused", "{shown:?}");
    assert_eq!((pauses, stands_in.asked.load(Ordering::Relaxed)), (1, 1), "{shown:?}");
}

fn record(n: u32, said: &Said) -> Vec<u8> {
    let mut record = Vec::new();
    encode_said(n, said, &mut record);
    record
}

#[tokio::test]
async fn what_an_engine_of_another_version_does_not_understand_is_decided_here_once() {
    let not_understood = record(0, &Said::NotUnderstood("not of a known shape".to_owned()));
    // And what it says in words that are not known here.
    let newer = [&br#"{"n":0,"said":{"sung":[1]},"by":"a newer one"}"#[..], &[RECORD_END]].concat();
    for answer in [not_understood, newer] {
        is_decided_here(answer, Then::Goes).await;
    }
}

#[tokio::test]
async fn what_an_engine_breaks_off_in_the_middle_of_is_decided_here_once() {
    let whole = record(0, &Said::Heard);
    for end in [0, 1, whole.len() / 2, whole.len() - 1] {
        is_decided_here(whole[..end].to_vec(), Then::Breaks).await;
    }
}

#[tokio::test]
async fn an_engine_that_talks_nonsense_or_says_nothing_of_what_was_asked_is_passed_over() {
    let other_number = record(7, &Said::Heard);
    let nonsense = [&b"\xff\x00{{"[..], &[RECORD_END]].concat();
    for answer in [Vec::new(), vec![RECORD_END; 9], other_number, nonsense] {
        is_decided_here(answer, Then::Goes).await;
    }
}

#[tokio::test]
async fn what_somebody_else_says_in_an_engines_place_is_not_believed() {
    // It is at the engine's address, and has heard what is asked; it has not the engine's key.
    let pair = Pair::start().await;
    let answered =
        record(0, &Said::Response(Box::new(Response::Queues { facts: Vec::new(), known: 0 })));
    let alive = [&[RECORD_END][..], &answered].concat();
    for answer in [answered, alive] {
        let stands_in = StandIn::start_as(None, answer, Then::Goes).await;
        let (paused, pauses) = paused_beside(&pair, &stands_in).await;
        assert_eq!(paused.ok(200)["status"], "paused");
        assert_eq!((pauses, stands_in.asked.load(Ordering::Relaxed)), (1, 1));
        pair.move_second_to(&pair.homes[1]);
    }
}

#[tokio::test]
async fn what_was_answered_before_an_engine_broke_off_counts() {
    let pair = Pair::start().await;
    let answered =
        record(0, &Said::Response(Box::new(Response::Queues { facts: Vec::new(), known: 0 })));
    let half =
        record(1, &Said::Response(Box::new(Response::Queues { facts: Vec::new(), known: 0 })));
    let half = [&answered[..], &half[..half.len() / 2]].concat();
    pair.move_second_to(&StandIn::start(&pair, half, Then::Breaks).await.address);
    let forwarding = Forwarding::new(pair.others[0].clone(), Arc::new(pair.clock.clone()));
    let forwarding = forwarding.expect("a client");
    let read = || {
        forwarding.forward(
            2,
            Request::Queues { namespace: namespace(), part: Names::default() },
            SOON,
        )
    };
    // Asked in one breath, they travel together.
    let (first, second) = tokio::join!(read(), read());
    assert!(matches!(first, Some(Response::Queues { .. })), "{first:?}");
    assert!(second.is_none(), "{second:?}");
}

#[tokio::test]
async fn an_answer_without_an_end_is_given_up_at_its_bound() {
    let pair = Pair::start().await;
    let stands_in = StandIn::start(&pair, Vec::new(), Then::Pours).await;
    let (paused, pauses) = paused_beside(&pair, &stands_in).await;
    assert_eq!((paused.ok(200)["status"].clone(), pauses), (json!("paused"), 1));
    let poured = stands_in.poured.load(Ordering::Relaxed);
    assert!(poured < POURED_MAX / 2, "{poured} bytes were read");
}

#[tokio::test]
async fn a_request_larger_than_a_body_may_be_is_not_sent_and_not_lost() {
    let pair = Pair::start().await;
    let StandIn { address, asked, .. } = StandIn::start(&pair, Vec::new(), Then::Goes).await;
    pair.move_second_to(&address);
    let forwarding = Forwarding::new(pair.others[0].clone(), Arc::new(pair.clock.clone()));
    let forwarding = forwarding.expect("a client");
    let mut all = super::values::requests(&super::values::Draw::fixed());
    let large = all.iter_mut().find_map(|request| match request {
        Request::Command { caller, .. } => {
            caller.actor = Arc::from("x".repeat(17 * 1_024 * 1_024));
            Some(request.clone())
        }
        _ => None,
    });
    let answer = forwarding.forward(2, large.expect("a command"), SOON).await;
    assert!(answer.is_none());
    assert_eq!(asked.load(Ordering::Relaxed), 0, "nothing was sent");
    let small = forwarding
        .forward(2, Request::Queues { namespace: namespace(), part: Names::default() }, SOON)
        .await;
    assert!(small.is_none() && asked.load(Ordering::Relaxed) == 1, "the line goes on");
}

#[tokio::test]
async fn a_command_kind_of_a_newer_engine_changes_nothing_here_and_says_so() {
    let pair = Pair::start().await;
    let second = &pair.engines[1];
    let job = pair.job_of(2, &json!({"name": "j", "nodes": [{"key": "a"}]})).await;
    let before = second.store.appends();
    let body = json!({"v": 1, "from": 1, "to": {"engine": 2, "started_at": STARTED_AT}, "at": 1_700_000_000_000_i64, "items": [{"n": 0, "within_ms": 900, "asked":
        {"request": {"command": {"subject": format!("job/default/{job}"), "command": {"job": {"teleport": {}}},
                                 "caller": {"actor": "x"}}}}}]});
    let body = body.to_string().into_bytes();
    let to = super::two_services::life(2);
    let proof = pair.others[0].prove(to, 1_700_000_000_000, &body).expect("it is known").0;
    let headers = [("content-type", MEDIA_TYPE), (orrery::engine::forwarding::PROOF, &proof)];
    let text = String::from_utf8(body).expect("text");
    let answer =
        second.call(Method::POST, orrery::engine::forwarding::PATH, &headers, Some(&text)).await;
    let said = answer.text.split('\u{1f}').next().expect("a record");
    let said: Value = serde_json::from_str(said).expect("JSON");
    let why = said["said"]["not_understood"].as_str().expect("it is not understood").to_owned();
    assert!(why.contains("not of a known shape") && !why.contains("teleport"), "{why}");
    assert_eq!(second.store.appends(), before);
}
