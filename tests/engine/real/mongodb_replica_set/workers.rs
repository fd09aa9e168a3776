//! Workers that keep a log of what they sent and were told, and ask whichever engine answers. The log and the exported
//! histories are all that is checked.
//! Always holds: a report is in the log before it is sent; an answer that never came is not one.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::ids::LeaseId;
use orrery::environment::SystemClock;
use orrery::http::lease_tokens;
use serde_json::{Value, json};

use crate::real::process::pause;

/// An engine that does not answer for so long is left for the other one.
const ANSWER_MAX: Duration = Duration::from_secs(4);

/// One report.
#[derive(Debug, Clone)]
pub(super) struct Reported {
    pub(super) lease: LeaseId,
    /// As sent.
    pub(super) output: String,
    /// An engine said that it is recorded.
    pub(super) acknowledged: bool,
}

/// What all workers share.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) clock: SystemClock,
    pub(super) reports: Mutex<Vec<Reported>>,
    pub(super) acknowledged: AtomicUsize,
    pub(super) over: AtomicBool,
}

impl Log {
    pub(super) fn begin() -> Self {
        Self {
            clock: SystemClock::start(),
            reports: Mutex::default(),
            acknowledged: AtomicUsize::default(),
            over: AtomicBool::default(),
        }
    }
}

/// The engines as clients know them.
#[derive(Debug, Clone)]
pub(super) struct Engines {
    http: reqwest::Client,
    urls: Vec<String>,
}

impl Engines {
    pub(super) fn new(urls: Vec<String>) -> Self {
        let http = reqwest::Client::builder().no_proxy().timeout(ANSWER_MAX).build();
        Self { http: http.expect("a client"), urls }
    }

    /// Posts to one engine after the other, from `first` on, until one answers with success.
    pub(super) async fn post(
        &self,
        first: usize,
        path: &str,
        body: &Value,
        key: Option<&str>,
        over: &AtomicBool,
    ) -> Option<Value> {
        let mut at = first;
        while !over.load(Ordering::Relaxed) {
            let url = format!("{}{path}", self.urls[at % self.urls.len()]);
            let mut request = self.http.post(url).json(body);
            if let Some(key) = key {
                request = request.header("Idempotency-Key", key);
            }
            if let Ok(answer) = request.send().await {
                let status = answer.status().as_u16();
                let again = !(400..429).contains(&status);
                assert!(again, "{path}: {:?}", answer.text().await);
                if status < 300
                    && let Ok(answer) = answer.json().await
                {
                    return Some(answer);
                }
            }
            at += 1;
            pause().await;
        }
        None
    }

    /// Gets from whichever engine answers with success.
    pub(super) async fn text(&self, path: &str) -> String {
        loop {
            for url in &self.urls {
                let Ok(answer) = self.http.get(format!("{url}{path}")).send().await else {
                    continue;
                };
                if answer.status().is_success()
                    && let Ok(text) = answer.text().await
                {
                    return text;
                }
            }
            pause().await;
        }
    }

    pub(super) async fn get(&self, path: &str) -> Value {
        serde_json::from_str(&self.text(path).await).expect("JSON")
    }
}

/// Takes and reports work until it is over.
pub(super) async fn work(engines: Engines, number: usize, log: Arc<Log>) {
    let mut claim = 0;
    loop {
        claim += 1;
        let wanted = json!({ "worker": format!("w{number}"), "max": 2, "wait_ms": 500, "lease_ms": 5_000,
                             "claim": format!("c{number}-{claim}") });
        let path = "/api/v1/queues/default/lease";
        let Some(answer) = engines.post(number, path, &wanted, None, &log.over).await else {
            return;
        };
        let leases = answer["leases"].as_array().cloned().unwrap_or_default();
        // A task takes its time, so that the run lasts longer than its faults.
        pause().await;
        let leases: Vec<&str> = leases.iter().filter_map(|lease| lease["lease"].as_str()).collect();
        if !leases.is_empty() {
            report(&engines, number, &leases, &log).await;
        }
    }
}

async fn report(engines: &Engines, number: usize, leases: &[&str], log: &Log) {
    let mut entries: Vec<Reported> = Vec::new();
    for lease in leases {
        let output = json!({ "of": lease, "by": number }).to_string();
        let lease = lease_tokens::unproven(lease).expect("a lease");
        entries.push(Reported { lease, output, acknowledged: false });
    }
    let first = {
        let mut reports = log.reports.lock().expect("the log");
        reports.extend(entries.iter().cloned());
        reports.len() - entries.len()
    };
    let items: Vec<Value> = entries
        .iter()
        .zip(leases)
        .map(|(entry, lease)| {
            let output: Value = serde_json::from_str(&entry.output).expect("JSON");
            json!({ "lease": lease, "output": output })
        })
        .collect();
    let mut left: Vec<usize> = (0..items.len()).collect();
    while !left.is_empty() {
        let body = json!({ "items": left.iter().map(|at| &items[*at]).collect::<Vec<_>>() });
        let path = "/api/v1/leases/complete";
        let Some(answer) = engines.post(number, path, &body, None, &log.over).await else { return };
        let results = answer["results"].as_array().cloned().expect("results");
        assert_eq!(results.len(), left.len(), "{answer}");
        let mut again = Vec::new();
        for (at, result) in left.into_iter().zip(results) {
            match result["outcome"].as_str() {
                Some("recorded" | "replayed") => {
                    log.reports.lock().expect("the log")[first + at].acknowledged = true;
                    log.acknowledged.fetch_add(1, Ordering::Relaxed);
                }
                // The lease ran out meanwhile, or the store does not answer just now.
                _ if result["error"]["status"].as_u64().is_some_and(|status| status >= 500) => {
                    again.push(at);
                }
                _ => {}
            }
        }
        left = again;
        if !left.is_empty() {
            pause().await;
        }
    }
}
