//! What a body costs: the peak of a real engine's memory over bodies of the worst shapes, accepted and refused. Linux
//! only (`/proc`); a process of its own for each, because what one leaves free the next one fills.

use serde_json::{Value, json};

use super::process::EngineProcess;

/// No body costs more times its bytes.
const TIMES_MAX: usize = 12;
/// The largest body of the defaults.
const LARGEST: usize = 8 * 1_024 * 1_024;
/// What small bodies may cost beside that, because what they make has a bound in number and not in bytes: 20,000 nodes in
/// 300 KB are made into nodes that take what nodes take.
const BESIDE: usize = 40 * 1_024 * 1_024;

/// `before`, then `each` with its number as often as it fits, then `after`.
fn filled(before: &str, each: impl Fn(usize) -> String, after: &str, bytes: usize) -> String {
    let mut text = before.to_owned();
    for number in 0.. {
        let piece = each(number);
        if text.len() + piece.len() + after.len() + 1 > bytes {
            break;
        }
        if number > 0 {
            text.push(',');
        }
        text.push_str(&piece);
    }
    text.push_str(after);
    text
}

fn same(piece: &'static str) -> impl Fn(usize) -> String {
    move |_| piece.to_owned()
}

struct Shape {
    what: &'static str,
    path: &'static str,
    body: String,
    status: u16,
}

const JOBS: &str = "/api/v1/jobs";
const BATCH: &str = "/api/v1/jobs/batch";
const COMPLETE: &str = "/api/v1/leases/complete";

#[rustfmt::skip]
fn shapes() -> Vec<Shape> {
    let shape = |what, path, status, body: String| Shape { what, path, body, status };
    let large = LARGEST;
    let (job, end) = (r#"{"name":"n","nodes":["#, "]}");
    let one = r#"{"name":"n","nodes":[{"key":"a","#;
    let node = |more: &str| format!(r#"{{"key":"a",{more}}}"#);
    let deep = format!("{}{}", "[".repeat(70), "]".repeat(70));
    vec![
        shape("nodes of 11 bytes", JOBS, 422, filled(r#"{"nodes":["#, same(r#"{"key":""}"#), end, large)),
        shape("nodes of 11 bytes in a batch", BATCH, 200, filled(r#"{"jobs":[{"name":"n","nodes":["#, same(r#"{"key":""}"#), "]}]}", large)),
        shape("jobs without end", BATCH, 422, filled(r#"{"jobs":["#, same("{}"), end, large)),
        shape("a thousand jobs of small nodes", BATCH, 200, filled(r#"{"jobs":["#, |number| {
            let nodes: Vec<String> = (0..600).map(|key| format!(r#"{{"key":"{key:x}{number:x}"}}"#)).collect();
            format!(r#"{{"name":"n","start":"manual","nodes":[{}]}}"#, nodes.join(","))
        }, end, large)),
        shape("a thousand jobs of wrong nodes", BATCH, 200, filled(r#"{"jobs":["#, |_| {
            format!(r#"{{"name":"n","nodes":[{}]}}"#, vec![r#"{"key":"!","job":1,"to":1,"data":1}"#; 260].join(","))
        }, end, large)),
        shape("parents without end", JOBS, 422, filled(&format!(r#"{one}"depends_on":["#), same(r#""b""#), "]}]}", large)),
        shape("edges without end", JOBS, 422, filled(job, |_| node(&format!(r#""depends_on":[{}]"#, vec![r#""a""#; 4_000].join(","))), end, large)),
        shape("names in branches", JOBS, 422, filled(job, |_| node(&format!(r#""type":"condition","default":[{}]"#, vec![r#""a""#; 4_000].join(","))), end, large)),
        shape("branches of every node", JOBS, 422, filled(job, |_| node(&format!(r#""type":"condition","branches":[{}]"#, vec![r#"{"when":"","then":[]}"#; 100].join(","))), end, large)),
        shape("members without end", JOBS, 422, filled(&format!(r#"{one}"type":"parallel_group","nodes":["#), same(r#"{"key":""}"#), "]}]}", large)),
        shape("groups in one another", JOBS, 422, filled(job, |_| format!(r#"{}{{"key":""}}{}"#, r#"{"key":"","type":"parallel_group","nodes":["#.repeat(8), "]}".repeat(8)), end, large)),
        shape("templates without end", JOBS, 422, filled(job, |_| node(r#""type":"parallel_group","for_each":[],"template":{"type":"checkpoint","record":0}"#), end, large)),
        shape("tags without end", JOBS, 422, filled(r#"{"name":"n","tags":["#, same(r#""a""#), end, large)),
        shape("tags on every node", JOBS, 422, filled(job, |_| node(&format!(r#""tags":[{}]"#, vec![r#""a""#; 20].join(","))), end, large)),
        shape("metadata of many entries", JOBS, 422, filled(r#"{"name":"n","nodes":[{"key":"a"}],"metadata":{"#, |number| format!(r#""{number:x}":0"#), "}}", large)),
        shape("metadata of empty lists", JOBS, 422, filled(r#"{"name":"n","nodes":[{"key":"a"}],"metadata":{"a":["#, same("[]"), "]}}", large)),
        shape("metadata on every node", JOBS, 422, filled(job, |_| node(&format!(r#""metadata":{{"a":[{}]}}"#, vec!["[]"; 1_900].join(","))), end, large)),
        shape("resources without end", JOBS, 422, filled(r#"{"name":"n","nodes":[{"key":"a"}],"resources":{"#, |number| format!(r#""{number:x}":0"#), "}}", large)),
        shape("error types without end", JOBS, 422, filled(&format!(r#"{one}"retry":{{"retryable_error_types":["#), same(r#""a""#), "]}}]}", large)),
        shape("a long unknown field", JOBS, 422, format!(r#"{{"name":"n","{}":1}}"#, "x".repeat(large - 30))),
        shape("a long name", JOBS, 422, format!(r#"{{"name":"{}","nodes":[{{"key":"a"}}]}}"#, "x".repeat(large - 50))),
        shape("a long input", JOBS, 422, filled(&format!(r#"{one}"input":["\u0041","#), same("[]"), "]}]}", large)),
        shape("inputs full of expressions", JOBS, 422, filled(job, |_| node(&format!(r#""input":[{}]"#, vec![r#""${{""#; 30_000].join(","))), end, large)),
        shape("deep", JOBS, 422, format!(r#"{{"name":"n","nodes":[{{"key":"a","input":{deep}}}],"description":"{}"}}"#, "x".repeat(large - 400))),
        shape("no JSON at its end", JOBS, 400, filled(r#"{"nodes":["#, same(r#"{"key":""}"#), "]]", large)),
        shape("reports without end", COMPLETE, 422, filled(r#"{"items":["#, same(r#"{"lease":""}"#), end, large)),
        shape("a thousand reports with many small artifacts", COMPLETE, 200, filled(r#"{"items":["#, |number| {
            let items = if number < 300 { vec!["{}"; 100].join(",") } else { String::new() };
            format!(r#"{{"lease":"x","artifacts":[{items}]}}"#)
        }, end, 100_000)),
        shape("artifacts without end", COMPLETE, 422, filled(r#"{"items":[{"lease":"x","artifacts":["#, same("[]"), "]}]}", large)),
        shape("warnings without end", COMPLETE, 422, filled(r#"{"items":[{"lease":"x","warnings":["#, same(r#""""#), "]}]}", large)),
        shape("large outputs", COMPLETE, 200, filled(r#"{"items":["#, |_| format!(r#"{{"lease":"x","output":[{}]}}"#, vec!["[]"; 80_000].join(",")), end, large)),
        shape("action types without end", "/api/v1/queues/q/lease", 422, filled(r#"{"worker":"w","action_types":["#, same(r#""a""#), end, large)),
        shape("capacity without end", "/api/v1/environments", 422, filled(r#"{"name":"e","capacity":{"#, |number| format!(r#""{number:x}":0"#), "}}", large)),
        shape("a job of 20,000 small nodes", JOBS, 201, filled(r#"{"name":"n","start":"manual","nodes":["#, |number| format!(r#"{{"key":"{number:x}"}}"#), end, 295_000)),
        shape("a job of 2,000 large nodes", JOBS, 201, filled(r#"{"name":"n","start":"manual","nodes":["#, |number| format!(r#"{{"key":"k{number}","name":"{}","input":"{}"}}"#, "n".repeat(200), "i".repeat(3_800)), end, large)),
    ]
}

#[tokio::test]
async fn no_body_costs_more_than_twelve_times_its_bytes_at_its_peak() {
    let mut shown = Vec::new();
    let mut failed = Vec::new();
    for Shape { what, path, body, status } in shapes() {
        let folder = tempfile::tempdir().expect("a folder");
        let engine = EngineProcess::start(folder.path()).await;
        let bytes = body.len();
        // What any body of this kind costs the first time: connections, threads, statements.
        engine.post_text(path, r#"{"none":1}"#.to_owned()).await;
        let before = engine.peak_bytes();
        let (answered, answer) = engine.post_text(path, body).await;
        let cost = engine.peak_bytes() - before;
        let tenths = cost * 10 / bytes;
        let times = format!("{}.{}", tenths / 10, tenths % 10);
        shown.push(format!("{what}: {bytes} bytes, {cost} more at the peak, {times} times"));
        if answered != status {
            failed.push(format!("{what}: {answered} and not {status}: {answer:.300}"));
        }
        if cost > bytes * TIMES_MAX + if bytes < LARGEST / 2 { BESIDE } else { 0 } {
            failed.push(format!("{what}: {times} times its {bytes} bytes"));
        }
        if !status_is_accepted(status) {
            let problem: Value = serde_json::from_str(&answer).expect("a problem");
            assert!(answer.len() < 200_000, "{what}: an answer of {} bytes", answer.len());
            assert!(problem["code"].is_string(), "{what}: {answer:.300}");
        }
        let alive = json!({"name": "n", "nodes": [{"key": "a"}]});
        assert_eq!(engine.post(JOBS, &alive, None).await.0, 201, "{what}: it serves on");
    }
    assert!(failed.is_empty(), "{}\n\n{}", failed.join("\n"), shown.join("\n"));
}

fn status_is_accepted(status: u16) -> bool {
    (200..300).contains(&status)
}

/// Where a list is cut, and how many items it may have, are said.
#[tokio::test]
async fn a_list_that_is_too_long_is_refused_with_its_place_and_what_is_allowed() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = EngineProcess::start(folder.path()).await;
    let parents = format!(
        r#"{{"name":"n","nodes":[{{"key":"a"}},{{"key":"b","depends_on":[{}]}}]}}"#,
        vec![r#""a""#; 5_001].join(",")
    );
    for (path, body, pointer, message) in [
        (
            JOBS,
            format!(r#"{{"name":"n","nodes":[{}]}}"#, vec![r#"{"key":"a"}"#; 20_001].join(",")),
            "/nodes",
            "must have at most 20000 nodes",
        ),
        (JOBS, parents, "/nodes/1/depends_on", "must have at most 5000 parents"),
        (
            JOBS,
            format!(r#"{{"name":"n","nodes":[],"tags":[{}]}}"#, vec![r#""a""#; 21].join(",")),
            "/tags",
            "must have at most 20 items",
        ),
        (
            COMPLETE,
            format!(r#"{{"items":[{}]}}"#, vec![r#"{"lease":"a"}"#; 1_001].join(",")),
            "/items",
            "must have at most 1000 items",
        ),
    ] {
        let (status, answer) = engine.post_text(path, body).await;
        let answer: Value = serde_json::from_str(&answer).expect("a problem");
        let error = &answer["errors"][0];
        assert_eq!(status, 422, "{answer}");
        assert_eq!((&error["pointer"], &error["code"]), (&json!(pointer), &json!("too_many")));
        assert_eq!(error["message"], message);
    }
}

#[tokio::test]
async fn seven_of_the_worst_bodies_at_once_cost_little_more_than_two() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = EngineProcess::start(folder.path()).await;
    engine.post_text(JOBS, r#"{"none":1}"#.to_owned()).await;
    let before = engine.peak_bytes();
    let body = filled(r#"{"nodes":["#, same(r#"{"key":""}"#), "]}", LARGEST);
    let seven = (0..7).map(|_| engine.post_text(JOBS, body.clone()));
    for (status, answer) in futures_util::future::join_all(seven).await {
        assert_eq!(status, 422, "{answer:.300}");
    }
    let cost = engine.peak_bytes() - before;
    // The bodies themselves, each as it grew, and what two of them cost while they are read.
    assert!(cost < 7 * 3 * LARGEST + 2 * TIMES_MAX * LARGEST / 2, "{cost} bytes");
}

#[tokio::test]
async fn a_client_that_sends_too_much_reads_its_413() {
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;

    let folder = tempfile::tempdir().expect("a folder");
    let engine = EngineProcess::start(folder.path()).await;
    let url = engine.url();
    let address = url.trim_start_matches("http://");
    let head = |length: &str| {
        format!(
            "POST /api/v1/jobs HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n{length}\r\n\r\n"
        )
    };
    let twenty = 20 * 1_024 * 1_024;
    let piece = vec![b'x'; 64 * 1_024];
    // Announced, and in chunks that say nothing of how many follow.
    for is_chunked in [false, true] {
        let mut connection = TcpStream::connect(address).expect("a connection");
        let length = if is_chunked {
            "Transfer-Encoding: chunked".to_owned()
        } else {
            format!("Content-Length: {twenty}")
        };
        connection.write_all(head(&length).as_bytes()).expect("the head is taken");
        for _ in 0..twenty / piece.len() {
            if is_chunked {
                connection.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).expect("a chunk");
            }
            connection.write_all(&piece).expect("all of it is taken");
            if is_chunked {
                connection.write_all(b"\r\n").expect("its end");
            }
        }
        if is_chunked {
            connection.write_all(b"0\r\n\r\n").expect("the end");
        }
        let mut answer = [0_u8; 12];
        connection.read_exact(&mut answer).expect("an answer");
        assert_eq!(&answer, b"HTTP/1.1 413", "chunked: {is_chunked}");
    }
    // Whoever asks first is told before anything is sent.
    let mut connection = TcpStream::connect(address).expect("a connection");
    let length = format!("Expect: 100-continue\r\nContent-Length: {twenty}");
    connection.write_all(head(&length).as_bytes()).expect("the head is taken");
    let mut answer = [0_u8; 12];
    connection.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 413");
}
