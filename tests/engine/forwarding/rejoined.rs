//! An engine that was evicted and has rejoined is heard and asked under its new number, on the real way.

use std::collections::BTreeMap;

use orrery::engine::forwarding::PeerDirectory;
use orrery::membership::peers::Peers;
use serde_json::{Value, json};

use super::two_services::{Pair, SECRET, STARTED_AT, drivers, life, living};

/// Polls until its word has come; each takes some turns of the runtime.
const POLLS_MAX: usize = 50;

#[tokio::test]
async fn work_of_an_engine_that_rejoined_is_found_by_who_polls_another() {
    let pair = Pair::start().await;
    pair.seen[1].rejoined(3);
    pair.seen[1].began_at(STARTED_AT);
    pair.engines[1].engine.cluster().external_id(3).await;
    pair.seen[0].tell(BTreeMap::from([(3, living(&pair.homes[1], &pair.keys[1]))]));
    let theirs = drivers().into_iter().map(|driver| driver.map(|of| if of == 2 { 3 } else { of }));
    pair.engines[0].engine.cluster().routes(theirs.collect(), vec![1, 3]).await;
    let id = pair.job_of(2, &json!({"name": "j", "nodes": [{"key": "a", "queue": "q"}]})).await;
    let poll = json!({"worker": "w", "max": 100, "wait_ms": 10});
    let mut found = false;
    for _ in 0..POLLS_MAX {
        let answer = pair.pass_until(pair.engines[0].post("/api/v1/queues/q/lease", &poll)).await;
        let leased: Value = answer.ok(200);
        let jobs = leased["leases"].as_array().expect("leases");
        found |= jobs.iter().any(|lease| lease["job_id"] == id.as_str());
        if found {
            break;
        }
    }
    assert!(found, "nobody heard of it");
}

#[test]
fn it_names_itself_by_the_number_that_others_know() {
    let (seen, peers) = Peers::new(orrery::config::Secret::new(SECRET));
    let others = PeerDirectory::new(2, peers);
    assert_eq!(others.me(), 2);
    assert!(!others.is_for_me(life(2)), "it has not seen when it began");
    seen.began_at(STARTED_AT);
    assert!(others.is_for_me(life(2)));
    seen.rejoined(3);
    assert_eq!(others.me(), 3);
    assert!(!others.is_for_me(life(2)) && !others.is_for_me(life(3)));
    seen.began_at(STARTED_AT + 1);
    assert!(!others.is_for_me(life(3)), "of the same number, and another life");
}
