//! What a list says of its time holds for all living engines, whichever is asked, also for one that does not answer any more.

use std::time::Duration;

use orrery::engine::core::CoreSettings;
use serde_json::{Value, json};

use super::two_services::{Pair, SECRET, nobody};

/// The second engine shows nothing for so long after its last flush.
const FLUSH_MS: i64 = 20_000;

async fn lagging() -> Pair {
    let slow = CoreSettings { view_flush_ms: FLUSH_MS, ..CoreSettings::default() };
    let pair = Pair::with([SECRET, SECRET], [CoreSettings::default(), slow]).await;
    // What either took over at its start is read and shown.
    pass(&pair, 2 * FLUSH_MS).await;
    pair
}

async fn pass(pair: &Pair, ms: i64) {
    let ms = u64::try_from(ms).expect("a time");
    pair.clock.advance(Duration::from_millis(ms));
    for _ in 0..500 {
        tokio::task::yield_now().await;
        pair.clock.advance(Duration::from_millis(1));
    }
}

/// What an engine says of the time of a list.
async fn as_of(pair: &Pair, at: usize, path: &str) -> String {
    let list: Value = pair.pass_until(pair.engines[at].get(path)).await.ok(200);
    list["as_of"].as_str().expect("a time").to_owned()
}

async fn created(pair: &Pair, id: &str) -> String {
    let job = pair.engines[1].get(&format!("/api/v1/jobs/{id}")).await.ok(200);
    job["created_at"].as_str().expect("a time").to_owned()
}

#[tokio::test]
async fn a_list_is_as_old_as_the_engine_that_is_furthest_behind() {
    let pair = lagging().await;
    let id = pair.job_of(2, &json!({"name": "unshown", "nodes": [{"key": "a"}]})).await;
    let created = created(&pair, &id).await;
    pass(&pair, 3_000).await;
    for path in ["/api/v1/jobs", "/api/v1/environments"] {
        for at in [0, 1] {
            let as_of = as_of(&pair, at, path).await;
            assert!(
                as_of <= created,
                "engine {at} shows {path} as of {as_of}, and {created} is not shown"
            );
        }
    }
    // One that does not answer any more counts with what it said last.
    pair.move_second_to(&nobody().await);
    pass(&pair, 1_000).await;
    let silent = as_of(&pair, 0, "/api/v1/jobs").await;
    assert!(silent <= created, "{silent}");
}

#[tokio::test]
async fn a_list_is_as_new_as_what_all_engines_show() {
    let pair = lagging().await;
    let id = pair.job_of(2, &json!({"name": "shown", "nodes": [{"key": "a"}]})).await;
    let created = created(&pair, &id).await;
    pass(&pair, 2 * FLUSH_MS).await;
    for at in [0, 1] {
        let list: Value = pair.pass_until(pair.engines[at].get("/api/v1/jobs")).await.ok(200);
        assert!(list["as_of"].as_str() > Some(&created), "{list}");
        let jobs = list["jobs"].as_array().expect("jobs");
        assert!(jobs.iter().any(|job| job["id"] == id.as_str()), "{list}");
    }
}

#[tokio::test]
async fn what_a_start_has_not_read_and_shown_yet_does_not_count_as_shown() {
    let pair = lagging().await;
    let id = pair.job_of(2, &json!({"name": "unshown", "nodes": [{"key": "a"}]})).await;
    let created = created(&pair, &id).await;
    // The second dies; the first takes its groups and cannot write the view for a while.
    pair.view.stall();
    pair.clock.advance(Duration::from_secs(13));
    pair.engines[0].driver.step().await.expect("it evicts and takes");
    pair.forget_second();
    for _ in 0..20 {
        pass(&pair, 100).await;
        let as_of = as_of(&pair, 0, "/api/v1/jobs").await;
        assert!(as_of <= created, "as of {as_of}, and {created} is not shown");
    }
    pair.view.resume();
    pass(&pair, 500).await;
    let as_of = as_of(&pair, 0, "/api/v1/jobs").await;
    assert!(as_of > created, "{as_of}");
}
