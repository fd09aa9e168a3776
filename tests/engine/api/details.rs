//! Nodes, graph, progress and history of one job, and what of them is refused.

use serde_json::{Value, json};

use super::service::{Service, chain};

async fn half_done(service: &Service) -> String {
    let id = service.job(&chain()).await;
    let work = json!({"worker": "w"});
    let leased = service.post("/api/v1/queues/default/lease", &work).await.ok(200);
    let report = json!({"items": [{"lease": leased["leases"][0]["lease"], "output": {"n": 1}}]});
    service.post("/api/v1/leases/complete", &report).await.ok(200);
    format!("/api/v1/jobs/{id}")
}

#[tokio::test]
async fn nodes_are_listed_and_shown_with_their_attempts() {
    let service = Service::start().await;
    let path = half_done(&service).await;
    let list = service.get(&format!("{path}/nodes")).await.ok(200);
    assert_eq!((&list["nodes"][0]["key"], &list["total_count"]), (&"a".into(), &2.into()));
    let ready = service.get(&format!("{path}/nodes?status=ready&page_size=1")).await.ok(200);
    assert_eq!((&ready["nodes"][0]["key"], &ready["total_count"]), (&"b".into(), &1.into()));
    let first = service.get(&format!("{path}/nodes?page_size=1")).await.ok(200);
    let next = first["next_cursor"].as_str().expect("there is more");
    let second = service.get(&format!("{path}/nodes?page_size=1&cursor={next}")).await.ok(200);
    assert_eq!((&second["nodes"][0]["key"], &second["has_next"]), (&"b".into(), &false.into()));
    let node = service.get(&format!("{path}/nodes/a")).await.ok(200);
    assert_eq!((&node["status"], &node["output"]), (&"completed".into(), &json!({"n": 1})));
    assert_eq!(node["input"], json!({"x": 1.5}));
    assert_eq!(node["attempts"][0]["worker"], "w");
    assert_eq!(
        (&node["attempts"][0]["outcome"], &node["attempt"]),
        (&"completed".into(), &1.into())
    );
    for key in ["c", "a%2Fb", "a%5B3%5D", "%20"] {
        service.get(&format!("{path}/nodes/{key}")).await.problem(404, "node_not_found");
    }
}

#[tokio::test]
async fn the_graph_and_the_progress_agree() {
    let service = Service::start().await;
    let path = half_done(&service).await;
    let graph = service.get(&format!("{path}/graph")).await.ok(200);
    assert_eq!(graph["edges"], json!([{"from": "a", "to": "b"}]));
    assert_eq!(graph["critical_path"], json!(["b"]));
    let progress = service.get(&format!("{path}/progress")).await.ok(200);
    assert_eq!(progress["critical_path"], graph["critical_path"]);
    assert_eq!(
        (&progress["nodes"]["completed"], &progress["nodes"]["total"]),
        (&1.into(), &2.into())
    );
    assert!(progress["percent"].as_f64().is_some_and(|percent| 0.0 < percent && percent < 100.0));
}

#[tokio::test]
async fn a_history_is_dense_and_its_export_has_an_end() {
    let service = Service::start().await;
    let path = half_done(&service).await;
    let version = service.get(&path).await.ok(200)["version"].clone();
    let history = service.get(&format!("{path}/history?page_size=1000")).await.ok(200);
    let rows = history["events"].as_array().expect("rows");
    let events: Vec<&Value> = rows.iter().filter(|row| row["derived"] == false).collect();
    for (position, event) in events.iter().enumerate() {
        assert_eq!(event["seq"], position + 1);
    }
    assert_eq!(events.last().expect("an event")["seq"], version);
    assert_eq!(history["total_count"], rows.len());
    let export = service.get(&format!("{path}/history?format=ndjson")).await;
    assert_eq!(export.header("content-type"), "application/x-ndjson");
    let lines: Vec<Value> =
        export.text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let closing = lines.last().expect("a closing line");
    assert_eq!((&closing["count"], lines.len()), (&version, events.len() + 1));
    assert_eq!(closing["head"], events.last().expect("an event")["hash"]);
    for wrong in ["format=csv", "format=ndjson&page=1", "page_size=1001", "since=1"] {
        service.get(&format!("{path}/history?{wrong}")).await.problem(422, "validation_failed");
    }
}

#[tokio::test]
async fn the_details_of_a_job_that_is_not_there_are_not_found() {
    let service = Service::start().await;
    let strange = "00000000-0000-7000-8000-000000000000";
    for end in ["nodes", "nodes/a", "graph", "progress", "history", "history?format=ndjson"] {
        for id in [strange, "x"] {
            let answer = service.get(&format!("/api/v1/jobs/{id}/{end}")).await;
            answer.problem(404, "job_not_found");
        }
    }
}
