//! The client's side of a cell: calls that are answered, or not, and the log of all of them. The log and what the
//! engine exports are all that the checker reads.
//! Always holds: a call is in the log before it is sent; an answer that never came, or says that nobody knows, is
//! `Unknown`, never a failure.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;

use super::process::pause;

/// A call that takes longer has an unknown outcome: longer than any wait of the engine.
const ANSWER_MAX: Duration = Duration::from_secs(20);
/// Calls before a test gives up on an answer.
const CALLS_MAX: usize = 5_000;

/// "The disk is full".
const FULL: u16 = 507;

/// What came back.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Called {
    Answered(u16, Value),
    Unknown,
}

/// A submission, by its key.
#[derive(Debug, Clone)]
pub(super) struct Submission {
    pub(super) key: String,
    /// Its path: a batch of one is another route.
    pub(super) path: &'static str,
    pub(super) body: String,
    /// The job's name, drawn from the key.
    pub(super) name: String,
    pub(super) acked: Option<(u16, Value)>,
    /// Somebody may have taken it.
    pub(super) unknown: bool,
}

/// What a worker said of an attempt.
#[derive(Debug, Clone)]
pub(super) struct Reported {
    pub(super) lease: String,
    pub(super) path: &'static str,
    /// The item, as sent.
    pub(super) item: String,
    /// The output, as sent; none of a failure.
    pub(super) output: Option<String>,
    /// The first answer that was not unknown.
    pub(super) outcome: Option<Value>,
}

/// A command to a job that was acknowledged.
#[derive(Debug, Clone)]
pub(super) struct Commanded {
    pub(super) job: String,
    pub(super) what: &'static str,
}

#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) submissions: Vec<Submission>,
    pub(super) reports: Vec<Reported>,
    pub(super) commands: Vec<Commanded>,
    /// Answers with 507.
    pub(super) full: usize,
}

/// The way to the engine, wherever it is just now.
#[derive(Debug, Clone)]
pub(super) struct Link {
    http: reqwest::Client,
    url: watch::Receiver<Option<String>>,
    pub(super) log: Arc<Mutex<Log>>,
}

impl Link {
    pub(super) fn new(url: watch::Receiver<Option<String>>) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().timeout(ANSWER_MAX).build();
        Self { http: http.expect("a client"), url, log: Arc::default() }
    }

    /// One call, once the engine is up.
    pub(super) async fn call(&self, method: &str, path: &str, body: &str, key: &str) -> Called {
        let mut url = self.url.clone();
        let base = url.wait_for(Option::is_some).await.expect("the cell lives").clone();
        let url = format!("{}{path}", base.unwrap_or_default());
        let method = reqwest::Method::from_bytes(method.as_bytes()).expect("a method");
        let mut request = self.http.request(method, url);
        if !body.is_empty() {
            request = request.header("content-type", "application/json").body(body.to_owned());
        }
        if !key.is_empty() {
            request = request.header("Idempotency-Key", key);
        }
        let Ok(answer) = request.send().await else { return Called::Unknown };
        let status = answer.status().as_u16();
        match answer.json::<Value>().await {
            Ok(body) if body["code"] == "outcome_unknown" => Called::Unknown,
            // A batch of one is answered by its item.
            Ok(body) if body["results"][0]["error"]["code"] == "outcome_unknown" => Called::Unknown,
            Ok(body) if path == "/api/v1/jobs/batch" && body["results"][0]["error"].is_object() => {
                let error = body["results"][0]["error"].clone();
                let status = error["status"].as_u64().and_then(|status| u16::try_from(status).ok());
                Called::Answered(status.unwrap_or(500), error)
            }
            Ok(body) => {
                self.with_log(|log| log.full += usize::from(status == FULL));
                Called::Answered(status, body)
            }
            Err(_) => Called::Unknown,
        }
    }

    /// Calls until there is an answer that is not "come again"; `unknown` hears of every one that stayed away.
    pub(super) async fn until_answered(
        &self,
        (method, path, body, key): (&str, &str, &str, &str),
        mut unknown: impl FnMut(),
    ) -> (u16, Value) {
        let mut last = Called::Unknown;
        for _ in 0..CALLS_MAX {
            match self.call(method, path, body, key).await {
                Called::Answered(status, body) if status < 500 && status != 429 => {
                    return (status, body);
                }
                Called::Unknown => unknown(),
                again @ Called::Answered(..) => last = again,
            }
            pause().await;
        }
        panic!("no answer to {method} {path}: {last:?}");
    }

    pub(super) async fn get(&self, path: &str) -> Value {
        let (status, body) = self.until_answered(("GET", path, "", ""), || {}).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// A text, once there is one: a refusal until later, or an answer that breaks off, is not it.
    pub(super) async fn text(&self, path: &str) -> String {
        let mut last = String::new();
        for _ in 0..CALLS_MAX {
            let base = self.url.borrow().clone().unwrap_or_default();
            match self.http.get(format!("{base}{path}")).send().await {
                Ok(answer) => {
                    let status = answer.status();
                    match answer.text().await {
                        Ok(text) if status == 200 => return text,
                        text => last = format!("{status}: {text:?}"),
                    }
                }
                Err(error) => last = error.to_string(),
            }
            pause().await;
        }
        panic!("no text from {path}: {last}");
    }

    pub(super) fn with_log<T>(&self, act: impl FnOnce(&mut Log) -> T) -> T {
        act(&mut self.log.lock().expect("the log"))
    }
}
