//! The sweep takes away payloads whose record never came, and nothing else.

use std::sync::Arc;

use bson::{Document, doc};
use domain::ids::SubjectId;
use orrery::environment::SimulatedClock;
use orrery::event_store::contract::{
    AppendItem, Appended, EventStore, PayloadSweep, Swept, Tombstone,
};

use super::faults::Faulty;
use crate::storage::samples::{NOW, append, item, job, payload};

fn with_payload(subject: &SubjectId, first: u64, text: &str) -> AppendItem {
    let mut item = item(subject, first);
    item.payloads.push(payload(text));
    item
}

async fn payloads(faulty: &Faulty) -> u64 {
    let payloads = faulty.database.connection.database().collection::<Document>("payloads");
    payloads.count_documents(doc! {}).await.expect("a count")
}

#[tokio::test]
#[ignore = "needs a mongod: scripts/test fetches one"]
async fn payloads_whose_record_never_came_go_and_no_others() {
    let clock = SimulatedClock::at(NOW);
    let faulty = Faulty::new(Arc::new(clock.clone())).await;
    let store = &faulty.store;
    append(store, with_payload(&job(1), 1, "of a record")).await;
    append(store, with_payload(&job(2), 1, "of a stream that goes")).await;
    // The connection is cut when the payloads are in and the records are not, also for the second try.
    let events = format!("{}.events", faulty.database.connection.database().name());
    let cut = doc! { "closeConnection": true, "namespace": events };
    faulty.lay_down("insert", 4, cut).await;
    for lost in [with_payload(&job(1), 2, "lost"), with_payload(&job(3), 1, "lost")] {
        assert!(store.append(vec![lost]).await.is_err());
    }
    assert_eq!(payloads(&faulty).await, 4);
    let nothing = Swept { looked_at: 0, removed: 0, through: true };
    assert_eq!(store.sweep(NOW, 10).await, Ok(nothing), "they are too young");

    let stone = Tombstone { count: 1, hash: [1; 32], first_answer: b"{}".to_vec() };
    assert_eq!(store.delete(&job(2), 1, stone, NOW + 9_000).await, Ok(true));
    let (mut looked_at, mut removed) = (0, 0);
    loop {
        let step = store.sweep(NOW + 1, 1).await.expect("a step");
        assert!(step.looked_at <= 1, "{step:?}");
        looked_at += step.looked_at;
        removed += step.removed;
        if step.through {
            break;
        }
    }
    assert_eq!((looked_at, removed), (3, 2));
    assert_eq!(payloads(&faulty).await, 1);
    let kept = store.payloads(&job(1), &[payload("of a record").hash]).await.expect("payloads");
    assert_eq!(kept, [Some(payload("of a record").bytes)]);
    assert_eq!(store.sweep(NOW + 1, 10).await, Ok(nothing), "each is looked at once");

    // What comes later is looked at later, by any engine.
    clock.advance(std::time::Duration::from_mins(1));
    assert_eq!(append(store, with_payload(&job(1), 2, "later")).await, Appended::Committed);
    let another = faulty.database.event_store().await;
    let swept = another.sweep(NOW + 120_000, 10).await.expect("swept");
    assert_eq!((swept.looked_at, swept.removed), (1, 0));
    faulty.database.end().await;
}
