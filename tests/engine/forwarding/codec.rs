//! The JSON of requests and answers between engines: nothing is lost on the way, what a later version adds is passed
//! over, what it asks anew is not understood, and bytes that are no request never do harm.

use orrery::engine::core::message::{Names, Request, Response};
use orrery::engine::forwarding::wire::{
    ITEMS_MAX, PeerRequest, RECORD_END, RequestBatch, Said, WireError, decode_said, encode_batch,
    encode_said,
};
use proptest::prelude::*;

use super::two_services::life;
use super::values::{Draw, job, requests, responses};

/// The JSON of version 1, a line each: what engines of that version send and read.
fn samples() -> String {
    let at = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/engine/forwarding/samples_v1.jsonl");
    std::fs::read_to_string(at).expect("the samples")
}

fn encoded(request: &Request) -> Vec<u8> {
    PeerRequest::Request(Box::new(request.clone())).encode().expect("it has a JSON")
}

/// There and back, in a batch, on clocks that differ by `ahead`.
fn sent(request: &Request, ahead: i64) -> Result<Request, WireError> {
    let body = encode_batch(3, life(2), 1_000, [(50, encoded(request).as_slice())]);
    let batch = RequestBatch::decode(&body)?;
    assert_eq!((batch.from, batch.items.len(), batch.items[0].within_ms), (3, 1, 50));
    match batch.items[0].asked(batch.at, 1_000 + ahead)? {
        PeerRequest::Request(request) => Ok(*request),
        other => panic!("{other:?}"),
    }
}

fn said(record: &[u8]) -> Said {
    decode_said(record).expect("an answer").1
}

fn answered(response: &Response) -> Response {
    let mut record = Vec::new();
    encode_said(9, &Said::Response(Box::new(response.clone())), &mut record);
    assert_eq!(record.pop(), Some(RECORD_END));
    assert!(!record.contains(&RECORD_END), "nothing else looks like its end");
    match decode_said(&record).expect("an answer") {
        (9, Said::Response(response)) => *response,
        other => panic!("{other:?}"),
    }
}

/// All that is shown of a job is; its nodes stay where they are.
fn same(one: &Response, other: &Response) {
    use orrery::engine::core::message::Shown;
    use orrery::view::resources::job::JobResource;
    let job = |response: &Response| match response {
        Response::Command { shown: Some(Shown::Job(job)), .. }
        | Response::Read(Some(Shown::Job(job))) => {
            Some(serde_json::to_string(&JobResource::of(job, 5)).expect("a JSON"))
        }
        _ => None,
    };
    assert_eq!(job(one), job(other));
    match (one, other) {
        (Response::Command { answer: one, .. }, Response::Command { answer: other, .. }) => {
            assert_eq!(format!("{one:?}"), format!("{other:?}"));
        }
        _ if job(one).is_some() => {}
        _ => assert_eq!(format!("{one:?}"), format!("{other:?}")),
    }
}

fn draw() -> impl Strategy<Value = Draw> {
    let text = prop_oneof!["[a-z]{1,9}", "\\PC{1,40}", Just("\u{1}\"\\\n\u{1e}".to_owned())];
    (text, any::<u64>(), any::<bool>()).prop_map(|(text, number, given)| Draw {
        text,
        number,
        given,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_request_arrives_as_it_was_sent(draw in draw()) {
        for request in requests(&draw) {
            let arrived = sent(&request, 0).expect("it is understood");
            prop_assert_eq!(format!("{request:?}"), format!("{arrived:?}"));
        }
    }

    #[test]
    fn every_answer_arrives_as_it_was_given(draw in draw()) {
        let job = job();
        for response in responses(&draw, &job) {
            same(&response, &answered(&response));
        }
    }

    #[test]
    fn bytes_that_are_no_batch_or_answer_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(RequestBatch::decode(&bytes).is_err());
        prop_assert!(decode_said(&bytes).is_err());
    }

    /// Whatever becomes of a body on the way, reading it ends, and what can be read is a request or is not.
    #[test]
    fn a_damaged_body_is_read_or_refused(which in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        let all = requests(&Draw::fixed());
        let mut body = encode_batch(1, life(2), 0, [(1, encoded(which.get(&all)).as_slice())]);
        let at = at.index(body.len());
        if cut { body.truncate(at) } else { body[at] = byte }
        if let Ok(batch) = RequestBatch::decode(&body) {
            for item in &batch.items {
                drop(item.asked(batch.at, 5));
            }
        }
    }
}

#[test]
fn the_json_of_version_1_stays() {
    let job = job();
    let asked = requests(&Draw::fixed()).iter().map(encoded).collect::<Vec<_>>();
    let said = responses(&Draw::fixed(), &job).into_iter().map(|response| {
        let mut record = Vec::new();
        encode_said(0, &Said::Response(Box::new(response)), &mut record);
        record.pop();
        record
    });
    // A line each: what was raw and had its breaks between tokens has spaces there.
    let lines = asked.into_iter().chain(said);
    let lines = lines.map(|json| String::from_utf8(json).expect("text").replace('\n', " "));
    let lines: Vec<String> = lines.collect();
    let now = lines.join("\n") + "\n";
    let then = samples();
    if now != then {
        let at = std::env::temp_dir().join("orrery-samples_v1.jsonl");
        std::fs::write(&at, &now).expect("a place for it");
        let mut pairs = now.lines().zip(then.lines());
        let first = pairs.find(|(now, then)| now != then);
        panic!("other JSON than before, now in {}: {first:?}", at.display());
    }
}

#[test]
fn an_engine_of_version_1_reads_its_samples() {
    for line in samples().lines() {
        let read = if line.starts_with("{\"n\"") {
            matches!(said(line.as_bytes()), Said::Response(_))
        } else {
            serde_json::from_str::<PeerRequest>(line).is_ok()
        };
        assert!(read, "{line}");
    }
}

#[test]
fn moments_of_the_askers_clock_arrive_as_moments_of_the_readers() {
    for request in requests(&Draw::fixed()) {
        let arrived = sent(&request, 300_000).expect("it is understood");
        match (request, arrived) {
            (Request::Lease(here), Request::Lease(there))
            | (Request::NextWork { request: here, .. }, Request::NextWork { request: there, .. }) =>
            {
                assert_eq!(there.wait_until - here.wait_until, 300_000);
            }
            (here, there) => assert_eq!(format!("{here:?}"), format!("{there:?}")),
        }
    }
}

#[test]
fn what_a_later_version_adds_is_passed_over_and_what_it_asks_anew_is_not_understood() {
    let body = br#"{"v":1,"from":1,"to":{"engine":2,"started_at":4,"hall":"x"},"at":5,"zone":"b","items":[
        {"n":0,"within_ms":9,"hops":1,"asked":{"request":{"read":{"subject":"job/default/00000000-0000-0000-0000-000000000007","fields":["a"]}}}},
        {"n":1,"within_ms":9,"asked":{"request":{"teleport":{"to":"mars"}}}},
        {"n":2,"within_ms":9,"asked":{"gossip":[1,2]}},
        {"n":3,"within_ms":9,"asked":{"request":{"command":{"subject":"planet/default/00000000-0000-0000-0000-000000000007","command":{"job":"start"},"caller":{"actor":"x"}}}}},
        {"n":4,"within_ms":9,"asked":{"request":{"command":{"subject":"job/default/00000000-0000-0000-0000-000000000007","command":{"job":"start"},"caller":{"actor":"x","badge":1}}}}}]}"#;
    let batch = RequestBatch::decode(body).expect("a batch");
    let read: Vec<bool> = batch.items.iter().map(|item| item.asked(5, 5).is_ok()).collect();
    assert_eq!(read, [true, false, false, false, true]);
    let refused = batch.items[1].asked(5, 5).expect_err("unknown").to_string();
    assert!(!refused.contains("mars"), "an error never repeats what was sent: {refused}");

    assert!(matches!(said(br#"{"n":1,"said":{"sung":[]},"by":2}"#), Said::NotUnderstood(_)));
    assert!(matches!(said(br#"{"n":1,"said":{"response":{"poem":1}}}"#), Said::NotUnderstood(_)));
}

#[test]
fn a_body_of_another_version_or_size_is_refused_with_the_reason() {
    let other = RequestBatch::decode(br#"{"v":2,"letters":[]}"#).expect_err("another version");
    assert_eq!(other, WireError::Version(2));
    let also =
        RequestBatch::decode(br#"{"v":2,"from":1,"at":5,"items":[]}"#).expect_err("another one");
    assert_eq!(also, WireError::Version(2));
    let read = encoded(&Request::Queues {
        namespace: crate::harness::jobs::namespace(),
        part: Names::default(),
    });
    let many = std::iter::repeat_n((1, read.as_slice()), ITEMS_MAX + 1);
    let many = RequestBatch::decode(&encode_batch(1, life(2), 0, many)).expect_err("too many");
    assert_eq!(many, WireError::TooMany(ITEMS_MAX + 1));
    let deep = format!(
        "{{\"v\":1,\"from\":1,\"to\":{{\"engine\":2,\"started_at\":0}},\"at\":0,\"items\":{}1",
        "[".repeat(100_000)
    );
    assert!(matches!(RequestBatch::decode(deep.as_bytes()), Err(WireError::Malformed(_))));
}
