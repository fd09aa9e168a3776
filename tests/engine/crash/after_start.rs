//! What a list shows of an engine that was killed before its view was written, as soon as it serves again.

use super::client::Link;
use super::process::{Engine, Started};

/// Jobs of one batch, and how many batches.
const BATCH: usize = 100;
const BATCHES: usize = 6;

async fn started(engine: &mut Engine) -> Link {
    match engine.start(None).await {
        Started::At(url) => Link::new(tokio::sync::watch::channel(Some(url)).1),
        Started::Ended(status) => panic!("{status}: {}", engine.said()),
    }
}

#[tokio::test]
async fn a_consistent_list_right_after_a_start_has_all_that_was_acknowledged_before() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut engine = Engine::on(folder.path(), &[("ORRERY__ENGINE__VIEW_FLUSH_MS", "3000")]);
    let link = started(&mut engine).await;
    for batch in 0..BATCHES {
        let job = |at| format!(r#"{{"name":"job-{batch}-{at}","nodes":[{{"key":"a"}}]}}"#);
        let jobs: Vec<String> = (0..BATCH).map(job).collect();
        let body = format!(r#"{{"jobs":[{}]}}"#, jobs.join(","));
        let path = "/api/v1/jobs/batch";
        let (status, answer) = link.until_answered(("POST", path, &body, ""), || {}).await;
        assert_eq!(status, 200, "{answer}");
        assert!(answer["results"][BATCH - 1]["id"].is_string(), "{answer}");
    }
    engine.kill();
    let link = started(&mut engine).await;
    let listed = link.get("/api/v1/jobs?page_size=1&consistent=true").await;
    assert_eq!(listed["total_count"], BATCH * BATCHES, "as soon as it is answered at all");
}
