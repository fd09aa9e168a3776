//! The jobs of `examples/`: each is accepted as it is and runs to its end with a worker that answers by action type.
//! Always holds: every file of the folder is run. Absent: the examples of docs/jobs.md (`pages`).

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::service::Service;

/// Rounds of a worker over all queues of a job.
const ROUNDS_MAX: usize = 200;

/// A job that is over, with what was seen on the way.
pub(super) struct Finished {
    pub(super) job: Value,
    /// Path, action type and input of each attempt, in order.
    pub(super) attempts: Vec<(String, String, Value)>,
    nodes: Vec<Value>,
}

impl Finished {
    /// How a node ended.
    pub(super) fn status(&self, key: &str) -> &str {
        let node = self.nodes.iter().find(|node| node["key"] == key);
        node.and_then(|node| node["status"].as_str()).unwrap_or("none")
    }

    fn output(&self, key: &str) -> Value {
        let node = self.nodes.iter().find(|node| node["key"] == key);
        node.map_or(Value::Null, |node| node["output"].clone())
    }

    /// The inputs that attempts of this action type got, in order.
    fn inputs(&self, action: &str) -> Vec<&Value> {
        let of = self.attempts.iter().filter(|(_, known, _)| known == action);
        of.map(|(_, _, input)| input).collect()
    }

    /// The action types in the order in which they were begun.
    pub(super) fn order(&self) -> Vec<&str> {
        self.attempts.iter().map(|(_, action, _)| action.as_str()).collect()
    }
}

/// The queues that a job's nodes wait in.
fn queues(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("queue").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|field| queues(field, found));
        }
        Value::Array(items) => items.iter().for_each(|item| queues(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Runs a job to its end. `work` makes of an action type and an input the output, or the type of an error.
pub(super) async fn run(
    service: &Service,
    job: &Value,
    work: impl Fn(&str, &Value) -> Result<Value, &'static str>,
) -> Finished {
    let id = service.job(job).await;
    let path = format!("/api/v1/jobs/{id}");
    let mut names = BTreeSet::from(["default".to_owned()]);
    queues(job, &mut names);
    let mut attempts = Vec::new();
    for _ in 0..ROUNDS_MAX {
        for queue in &names {
            let poll = json!({"worker": "w", "max": 100});
            let leased = service.post(&format!("/api/v1/queues/{queue}/lease"), &poll).await;
            for lease in leased.ok(200)["leases"].as_array().into_iter().flatten() {
                let action = lease["action_type"].as_str().unwrap_or_default();
                let (verb, item) = match work(action, &lease["input"]) {
                    Ok(output) => ("complete", json!({"lease": lease["lease"], "output": output})),
                    Err(error) => {
                        let error = json!({"type": error, "message": format!("{error}!")});
                        ("fail", json!({"lease": lease["lease"], "error": error}))
                    }
                };
                let report = json!({"items": [item]});
                let answer = service.post(&format!("/api/v1/leases/{verb}"), &report).await.ok(200);
                assert_eq!(answer["results"][0]["outcome"], "recorded", "{answer}");
                let node = lease["node"].as_str().unwrap_or_default().to_owned();
                attempts.push((node, action.to_owned(), lease["input"].clone()));
            }
        }
        let now = service.get(&path).await.ok(200);
        let over = ["completed", "failed", "timeout", "cancelled", "aborted"];
        if now["ending"].is_null() && over.iter().any(|status| now["status"] == *status) {
            let nodes = service.get(&format!("{path}/nodes?page_size=100")).await.ok(200);
            let nodes = nodes["nodes"].as_array().cloned().unwrap_or_default();
            return Finished { job: now, attempts, nodes };
        }
        service.pass(Duration::from_secs(2)).await;
    }
    let explained = service.get(&format!("{path}/explain")).await;
    panic!("the job does not end: {}", explained.text);
}

fn example(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name);
    let text = std::fs::read_to_string(path).expect("an example");
    serde_json::from_str(&text).expect("an example is JSON")
}

#[test]
fn every_example_is_run_here_and_told_in_the_page_of_examples() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let files = std::fs::read_dir(&folder).expect("the folder of examples");
    let files = files.map(|file| file.expect("a file").file_name().into_string().expect("text"));
    let files: BTreeSet<String> =
        files.filter(|file| !matches!(file.as_str(), "README.md" | "policies")).collect();
    let run = ["catch.json", "deploy.json", "etl.json", "nightly.json", "test-suite.json"];
    assert_eq!(files, run.map(str::to_owned).into());
    let page = std::fs::read_to_string(folder.join("README.md")).expect("a page");
    for file in files {
        assert!(page.contains(&format!("[{file}]({file})")), "{file}");
    }
}

#[tokio::test]
async fn etl_fans_out_over_a_list_and_joins() {
    let service = Service::start().await;
    let done = run(&service, &example("etl.json"), |action, input| match action {
        "list_files" => Ok(json!({"files": [
            {"name": "a.csv", "bytes": 10}, {"name": "b.csv", "bytes": 20}, {"name": "c.csv", "bytes": 30},
        ]})),
        "load_file" => Ok(json!({"rows": input["bytes"].as_u64().map(|bytes| bytes * 2)})),
        "write_report" => Ok(json!({"url": "s3://reports/1"})),
        other => panic!("{other}"),
    })
    .await;
    assert_eq!(done.job["status"], "completed", "{}", done.job);
    assert_eq!(done.inputs("list_files"), [&json!({"bucket": "orders", "prefix": "2026-01-31/"})]);
    let mut loaded = done.inputs("load_file");
    loaded.sort_by_key(|input| input["part"].as_u64());
    assert_eq!(loaded.len(), 3);
    assert_eq!(loaded[1], &json!({"file": "b.csv", "bytes": 20, "part": 2}));
    assert_eq!(
        done.inputs("write_report"),
        [&json!({
            "title": "Orders of 2026-01-31: 3 files", "complete": true, "rows": [20, 40, 60],
        })]
    );
    assert_eq!(done.job["output"], json!({"report": "s3://reports/1", "files": 3}));
}

fn deploys(action: &str, risk: &str, fails: bool) -> Result<Value, &'static str> {
    match action {
        "lock" => Ok(json!({"token": "t-1", "current": "4.1.9"})),
        "assess" => Ok(json!({"risk": risk, "reasons": ["it is Friday"]})),
        "watch_errors" if fails => Err("TooManyErrors"),
        "ask_owner" | "roll_out" | "watch_errors" | "prepare" | "roll_back" | "unlock" => {
            Ok(json!({}))
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn deploy_takes_one_way_and_cleans_up() {
    let service = Service::start().await;
    let done =
        run(&service, &example("deploy.json"), |action, _| deploys(action, "low", false)).await;
    assert_eq!(done.job["status"], "completed", "{}", done.job);
    let order = ["lock", "assess", "roll_out", "watch_errors", "roll_out", "unlock"];
    assert_eq!(done.order(), order);
    assert_eq!(done.inputs("roll_out")[0]["replicas"], 1);
    assert_eq!(done.inputs("roll_out")[1]["replicas"], 6);
    for bypassed in ["ask", "at_once", "roll_back"] {
        assert_eq!(done.status(bypassed), "skipped", "{bypassed}");
    }
    let unlock = done.inputs("unlock")[0];
    assert_eq!(
        (&unlock["lock"]["token"], &unlock["outcome"]),
        (&"t-1".into(), &"completed".into())
    );
    let done =
        run(&service, &example("deploy.json"), |action, _| deploys(action, "high", false)).await;
    assert_eq!(done.order(), ["lock", "assess", "ask_owner", "roll_out", "unlock"]);
    assert_eq!(done.inputs("ask_owner"), [&json!({"reasons": ["it is Friday"]})]);
}

#[tokio::test]
async fn deploy_rolls_back_when_it_fails() {
    let service = Service::start().await;
    let done =
        run(&service, &example("deploy.json"), |action, _| deploys(action, "low", true)).await;
    assert_eq!(done.job["status"], "failed", "{}", done.job);
    assert_eq!(done.job["error"]["node"], "watch");
    let order = done.order();
    assert_eq!(order[order.len() - 2..], ["roll_back", "unlock"]);
    let input = done.inputs("roll_back")[0];
    assert_eq!(input["lock"]["current"], "4.1.9");
    assert_eq!(input["because"]["type"], "TooManyErrors");
    assert_eq!(done.inputs("unlock")[0]["outcome"], "failed");
}

#[tokio::test]
async fn a_test_suite_tolerates_a_failure() {
    let service = Service::start().await;
    let done = run(&service, &example("test-suite.json"), |action, input| match action {
        "build" => Ok(json!({"image": "ci/a1b2c3d"})),
        "run_suite" if input["suite"] == "browser" => Err("AssertionFailed"),
        "run_suite" => Ok(json!({"duration_ms": 1_000})),
        "summarize" => Ok(input.clone()),
        other => panic!("{other}"),
    })
    .await;
    assert_eq!(done.job["status"], "completed", "{}", done.job);
    assert_eq!(done.inputs("run_suite").len(), 5);
    let summary = json!({"passed": 4, "of": 5, "slowest_ms": [1_000, 1_000, 1_000, 1_000]});
    assert_eq!(done.inputs("summarize"), [&summary]);
    assert_eq!(done.job["output"], json!({"passed": 4}));
}

#[tokio::test]
async fn a_failure_that_is_caught_does_not_fail_the_job() {
    let service = Service::start().await;
    let done = run(&service, &example("catch.json"), |action, _| match action {
        "charge" => Err("CardDeclined"),
        "send_mail" | "close_order" => Ok(json!({})),
        other => panic!("{other}"),
    })
    .await;
    assert_eq!(done.job["status"], "completed", "{}", done.job);
    assert_eq!(done.order(), ["charge", "send_mail", "close_order"]);
    assert_eq!((done.status("charge"), done.status("ship")), ("failed", "skipped"));
    let text = "Your card was declined (attempt 1): CardDeclined!";
    assert_eq!(done.inputs("send_mail"), [&json!({"to": "ada@example.org", "text": text})]);
    assert_eq!(done.inputs("close_order"), [&json!({"order": 17, "shipped": false})]);
    let done = run(&service, &example("catch.json"), |action, _| match action {
        "charge" => Ok(json!({"receipt": "r-1"})),
        "ship" | "close_order" => Ok(json!({})),
        other => panic!("{other}"),
    })
    .await;
    assert_eq!(done.job["status"], "completed", "{}", done.job);
    assert_eq!(done.inputs("ship"), [&json!({"order": 17, "receipt": "r-1"})]);
    assert_eq!(done.inputs("close_order"), [&json!({"order": 17, "shipped": true})]);
}

#[tokio::test]
async fn nightly_goes_in_order_and_keeps_a_checkpoint() {
    let service = Service::start().await;
    let done = run(&service, &example("nightly.json"), |action, input| match action {
        "snapshot" => Ok(json!({"file": "/tmp/orders.dump", "bytes": 7})),
        "upload" => Ok(json!({"url": "s3://backups/orders"})),
        "verify" | "report" => Ok(json!({})),
        "vacuum" => Ok(json!({"freed_bytes": input["table"].as_str().map(str::len)})),
        "analyze" => Err("Busy"),
        other => panic!("{other}"),
    })
    .await;
    assert_eq!(done.job["status"], "completed", "{}", done.job);
    let order = done.order();
    assert_eq!(order[..6], ["snapshot", "upload", "verify", "vacuum", "vacuum", "vacuum"]);
    assert_eq!(order.last(), Some(&"report"));
    let tables: Vec<&Value> =
        done.inputs("vacuum").into_iter().map(|input| &input["table"]).collect();
    assert_eq!(tables, ["orders", "customers", "events"]);
    assert_eq!(done.inputs("verify"), [&json!({"url": "s3://backups/orders", "bytes": 7})]);
    assert_eq!(
        done.inputs("report"),
        [&json!({"backup": "s3://backups/orders", "freed": [6, 9, 6]})]
    );
    let record = json!({"database": "orders", "url": "s3://backups/orders", "bytes": 7});
    assert_eq!(done.output("backed_up"), record);
    let checkpoint = &done.job["checkpoints"][0];
    assert_eq!((&checkpoint["node"], &checkpoint["record"]), (&"backed_up".into(), &record));
}
