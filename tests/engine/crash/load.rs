//! What a cell asks of the engine: jobs of many shapes, workers that take and report, people that cancel, pause and
//! start. Every task goes on through the crash, as clients do: it asks again until it is answered, but for every
//! third submission whose answer never came, which is left so.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;
use tokio::task::JoinSet;

use super::client::{Called, Commanded, Link, Reported, Submission};
use super::process::pause;

/// How much.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    /// Jobs.
    pub(super) jobs: usize,
    /// Bytes of the large payloads.
    pub(super) large_bytes: usize,
    /// Every so many-th job has them.
    pub(super) large_every: usize,
}

pub(super) const SMALL: Size = Size { jobs: 24, large_bytes: 5_000, large_every: 6 };
pub(super) const WHOLE: Size = Size { jobs: 50, large_bytes: 20_000, large_every: 5 };
/// Twice what a WAL holds before it is copied.
pub(super) const HEAVY: Size = Size { jobs: 20, large_bytes: 250_000, large_every: 1 };

/// What kind of job has this number, and so what its name begins with.
const KINDS: [&str; 10] = [
    "single",
    "chain",
    "diamond",
    "fan",
    "retried",
    "cancelled",
    "paused",
    "failing",
    "manual",
    "later",
];

pub(super) fn kind_of(number: usize) -> &'static str {
    KINDS[number % KINDS.len()]
}

/// The edges of a kind, as (node, its parents).
pub(super) fn shape(kind: &str) -> Vec<(String, Vec<String>)> {
    let node = |key: &str, parents: &[&str]| {
        (key.to_owned(), parents.iter().map(|parent| (*parent).to_owned()).collect())
    };
    match kind {
        "chain" | "cancelled" | "paused" => {
            vec![node("a", &[]), node("b", &["a"]), node("c", &["b"]), node("d", &["c"])]
        }
        "diamond" => {
            vec![node("a", &[]), node("b", &["a"]), node("c", &["a"]), node("d", &["b", "c"])]
        }
        "fan" => {
            let leaves: Vec<String> = (0..6).map(|leaf| format!("leaf{leaf}")).collect();
            let mut nodes = vec![node("root", &[])];
            nodes.extend(leaves.iter().map(|leaf| node(leaf, &["root"])));
            nodes.push(("end".to_owned(), leaves));
            nodes
        }
        "failing" => vec![node("a", &[]), node("bad", &["a"]), node("never", &["bad"])],
        _ => vec![node("a", &[]), node("b", &["a"])],
    }
}

fn body(number: usize, size: Size) -> (String, String) {
    let kind = kind_of(number);
    let name = format!("{kind}-{number}");
    let bytes = if number.is_multiple_of(size.large_every) { size.large_bytes } else { 20 };
    let mut nodes = String::new();
    for (key, parents) in shape(kind) {
        let fails = match (kind, key.as_str()) {
            ("retried", "a") => 1,
            ("failing", "bad") => 9,
            _ => 0,
        };
        let pad = "x".repeat(bytes);
        let parents: Vec<String> = parents.iter().map(|parent| format!("\"{parent}\"")).collect();
        let _ = write!(
            nodes,
            r#"{}{{"key":"{key}","depends_on":[{}],"input":{{"fails":{fails},"bytes":{bytes},"pad":"{pad}"}}}}"#,
            if nodes.is_empty() { "" } else { "," },
            parents.join(","),
        );
    }
    let more = match kind {
        "manual" => r#","start":"manual""#,
        "later" => r#","scheduled_at":"2035-01-01T00:00:00.000Z""#,
        _ => "",
    };
    let retry = r#"{"strategy":"immediate","max_attempts":2,"jitter":{"mode":"none"}}"#;
    let body = format!(r#"{{"name":"{name}","retry":{retry}{more},"nodes":[{nodes}]}}"#);
    (name, body)
}

/// Everything a cell asks; returns when every job that exists has ended.
pub(super) async fn run(link: &Link, size: Size) {
    let over = Arc::new(AtomicBool::new(false));
    // They end with this: who outlived a cell that failed would fail for want of an engine, and look like the cause.
    let (mut workers, mut clients) = (JoinSet::new(), JoinSet::new());
    for number in 0..3 {
        workers.spawn(work(link.clone(), number, Arc::clone(&over)));
    }
    for first in 0..4 {
        let link = link.clone();
        clients.spawn(async move {
            for number in (first..size.jobs).step_by(4) {
                submit_and_steer(&link, number, size).await;
            }
        });
    }
    while let Some(client) = clients.join_next().await {
        client.expect("a client");
    }
    until_all_ended(link).await;
    look_back(link).await;
    over.store(true, Ordering::Relaxed);
    while let Some(worker) = workers.join_next().await {
        worker.expect("a worker");
    }
}

async fn submit_and_steer(link: &Link, number: usize, size: Size) {
    let (name, body) = body(number, size);
    let (path, body) = match number % 7 {
        3 => ("/api/v1/jobs/batch", format!(r#"{{"jobs":[{body}]}}"#)),
        _ => ("/api/v1/jobs", body),
    };
    let key = format!("key-{name}");
    let entry = Submission { key, path, body, name, acked: None, unknown: false };
    let at = link.with_log(|log| {
        log.submissions.push(entry.clone());
        log.submissions.len() - 1
    });
    let answer = loop {
        match link.call("POST", entry.path, &entry.body, &entry.key).await {
            Called::Unknown => {
                link.with_log(|log| log.submissions[at].unknown = true);
                if number.is_multiple_of(3) {
                    // Nobody will ever know from the client.
                    pause().await;
                    return;
                }
            }
            Called::Answered(status, _) if status >= 500 || status == 429 => {}
            Called::Answered(status, body) => break (status, body),
        }
        pause().await;
    };
    assert!(answer.0 == 201 || answer.0 == 200, "{}: {answer:?}", entry.name);
    let id = job_id(&answer.1).expect("an id");
    link.with_log(|log| log.submissions[at].acked = Some(answer));
    steer(link, kind_of(number), &id).await;
}

/// The id in the answer to a submission, single or of a batch.
pub(super) fn job_id(answer: &Value) -> Option<String> {
    let id = answer.get("id").unwrap_or_else(|| &answer["results"][0]["id"]);
    id.as_str().map(str::to_owned)
}

async fn steer(link: &Link, kind: &str, id: &str) {
    let commands: &[&'static str] = match kind {
        // A paused job lets others pass by before it goes on.
        "paused" => &["pause", "resume"],
        "cancelled" | "later" => &["cancel"],
        "manual" => &["start"],
        _ => &[],
    };
    for what in commands {
        let path = format!("/api/v1/jobs/{id}/{what}");
        let key = format!("{what}-{id}");
        let (status, _) = link.until_answered(("POST", &path, "{}", &key), || {}).await;
        if status < 300 {
            link.with_log(|log| log.commands.push(Commanded { job: id.to_owned(), what }));
        }
    }
}

async fn work(link: Link, number: usize, over: Arc<AtomicBool>) {
    let mut claim = 0;
    while !over.load(Ordering::Relaxed) {
        claim += 1;
        let wanted = format!(
            r#"{{"worker":"w{number}","max":4,"wait_ms":100,"lease_ms":5000,"claim":"c{number}-{claim}"}}"#
        );
        let (status, body) =
            link.until_answered(("POST", "/api/v1/queues/default/lease", &wanted, ""), || {}).await;
        assert_eq!(status, 200, "{body}");
        let mut leases = body["leases"].as_array().cloned().unwrap_or_default();
        while !leases.is_empty() {
            claim += 1;
            leases = report(&link, &leases, &format!("c{number}-{claim}")).await;
        }
    }
}

/// Reports what was leased, failures apart; answers the next work that came with it.
async fn report(link: &Link, leases: &[Value], claim: &str) -> Vec<Value> {
    let mut next = Vec::new();
    for path in ["/api/v1/leases/fail", "/api/v1/leases/complete"] {
        let entries: Vec<Reported> = leases.iter().filter_map(|lease| entry(lease, path)).collect();
        if entries.is_empty() {
            continue;
        }
        let first = link.with_log(|log| {
            log.reports.extend(entries.iter().cloned());
            log.reports.len() - entries.len()
        });
        let more = format!(
            r#","lease":{{"queue":"default","worker":"{claim}","max":2,"lease_ms":5000,"claim":"{claim}{}"}}"#,
            if path.ends_with("fail") { "f" } else { "" }
        );
        let answer = say(link, path, &entries, &more).await;
        link.with_log(|log| {
            for (at, result) in answer["results"].as_array().into_iter().flatten().enumerate() {
                log.reports[first + at].outcome = Some(result.clone());
            }
        });
        next.extend(answer["leases"].as_array().cloned().unwrap_or_default());
    }
    next
}

/// Sends reports until they are answered.
pub(super) async fn say(link: &Link, path: &str, entries: &[Reported], more: &str) -> Value {
    let items: Vec<&str> = entries.iter().map(|entry| entry.item.as_str()).collect();
    let body = format!(r#"{{"items":[{}]{more}}}"#, items.join(","));
    loop {
        let (status, answer) = link.until_answered(("POST", path, &body, ""), || {}).await;
        assert_eq!(status, 200, "{answer}");
        let results = answer["results"].as_array().expect("results");
        assert_eq!(results.len(), entries.len(), "{answer}");
        // An item alone may be of unknown outcome, or refused until later.
        let again =
            |result: &Value| result["error"]["status"].as_u64().is_some_and(|status| status >= 500);
        if !results.iter().any(again) {
            return answer;
        }
        pause().await;
    }
}

fn entry(lease: &Value, wanted: &'static str) -> Option<Reported> {
    let id = lease["lease"].as_str()?.to_owned();
    let attempt = lease["attempt"].as_u64()?;
    let fails = lease["input"]["fails"].as_u64()? >= attempt;
    let path = if fails { "/api/v1/leases/fail" } else { "/api/v1/leases/complete" };
    let bytes = usize::try_from(lease["input"]["bytes"].as_u64()?).ok()?;
    let (item, output) = if fails {
        let error = r#"{"type":"Boom","message":"as planned","retryable":true}"#;
        (format!(r#"{{"lease":"{id}","error":{error}}}"#), None)
    } else {
        let output = format!(r#"{{"of":"{id}","pad":"{}"}}"#, "y".repeat(bytes));
        (format!(r#"{{"lease":"{id}","output":{output}}}"#), Some(output))
    };
    (path == wanted).then_some(Reported { lease: id, path, item, output, outcome: None })
}

async fn until_all_ended(link: &Link) {
    loop {
        let jobs = all_jobs(link).await;
        let open = jobs.iter().filter(|job| {
            let name = job["name"].as_str().unwrap_or_default();
            // Nobody steers a job whose submission was never answered.
            let left = ["manual", "later"].iter().any(|kind| name.starts_with(kind))
                && job["status"] == "pending";
            job["completed_at"].is_null() && !(left && is_unknown(link, name))
        });
        if open.count() == 0 {
            return;
        }
        pause().await;
    }
}

/// Ended jobs leave the memory; whoever asks for one has it loaded.
async fn look_back(link: &Link) {
    let answers: Vec<Value> = link.with_log(|log| {
        log.submissions.iter().filter_map(|s| Some(s.acked.as_ref()?.1.clone())).collect()
    });
    for id in answers.iter().filter_map(job_id) {
        link.get(&format!("/api/v1/jobs/{id}")).await;
    }
}

fn is_unknown(link: &Link, name: &str) -> bool {
    link.with_log(|log| log.submissions.iter().any(|s| s.name == name && s.acked.is_none()))
}

/// Every job there is, as the lists show them.
pub(super) async fn all_jobs(link: &Link) -> Vec<Value> {
    let mut jobs = Vec::new();
    for page in 1.. {
        let path =
            format!("/api/v1/jobs?page={page}&page_size=100&consistent=true&sort=created_at");
        let body = link.get(&path).await;
        jobs.extend(body["jobs"].as_array().cloned().unwrap_or_default());
        if body["has_next"] != true {
            break;
        }
    }
    jobs
}
