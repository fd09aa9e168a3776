//! The faults of the in-memory pair: each does what it says, the seed decides all, and none is on by default.

use std::sync::Arc;

use futures_util::future::{join, poll_immediate};
use orrery::event_store::contract::{Appended, EventStore, EventStoreError};
use orrery::view::contract::{Columns, Document, View};
use orrery_testing::event_store::{AppendFault, Faults, MemoryEventStore};
use orrery_testing::view::{Faults as ViewFaults, MemoryView};

use super::samples::{append, fill, item, item_of, job, record};

use crate::harness::view_document::One as _;

#[tokio::test]
async fn a_lost_reply_is_settled_by_writing_the_same_record_again() {
    let store = MemoryEventStore::new("a");
    for (first, fault) in (1..).zip([AppendFault::ReplyLost, AppendFault::FailsBefore]) {
        store.lay_down([fault]);
        let lost = store.append(vec![item(&job(1), first)]).await;
        assert!(matches!(lost, Err(EventStoreError::Unavailable(_))));
        let landed = store.read(&job(1), first, usize::MAX).await.expect("a part").records.len();
        assert_eq!(landed, usize::from(fault == AppendFault::ReplyLost));
        assert_eq!(append(&store, item(&job(1), first)).await, Appended::Committed);
    }
    for (first, fault) in (3..).zip([AppendFault::UnknownAfter, AppendFault::UnknownBefore]) {
        store.lay_down([fault]);
        assert_eq!(append(&store, item(&job(1), first)).await, Appended::Unknown);
        assert_eq!(append(&store, item(&job(1), first)).await, Appended::Committed);
    }
    assert_eq!(store.read(&job(1), 1, usize::MAX).await.expect("a part").records.len(), 4);
}

#[tokio::test]
async fn a_full_store_takes_what_may_use_the_reserve_and_knows_what_it_has() {
    let store = MemoryEventStore::new("a");
    fill(&store, &job(1), 1).await;
    store.lay_down([AppendFault::Full]);
    let ordinary = |subject: u128, first| {
        let mut item = item(&job(subject), first);
        item.may_use_reserve = false;
        item
    };
    let batch = vec![ordinary(1, 1), ordinary(2, 1), item(&job(3), 1)];
    let answers = store.append(batch).await.expect("answers");
    assert_eq!(answers, [Appended::Committed, Appended::Full, Appended::Committed]);
}

#[tokio::test]
async fn a_rival_writes_first() {
    let faults = Faults { rival_per_mille: 1_000, ..Faults::default() };
    let store = MemoryEventStore::with_faults("a", faults);
    store.set_rival(Box::new(|item| (item.record.first == 2).then(|| record(2, 1, 4_711, 0))));
    assert_eq!(append(&store, item(&job(1), 1)).await, Appended::Committed);
    assert_eq!(append(&store, item(&job(1), 2)).await, Appended::Conflict);
    let part = store.read(&job(1), 2, usize::MAX).await.expect("a part");
    assert_eq!(part.records[0].nonce, 4_711);
}

/// What became of a hundred appends by two engines that share a store.
async fn outcomes(seed: u64) -> Vec<String> {
    let faults = Faults {
        seed,
        delay_turns_max: 4,
        append_fails_per_mille: 100,
        append_reply_lost_per_mille: 100,
        call_fails_per_mille: 100,
        ..Faults::default()
    };
    let store = Arc::new(MemoryEventStore::with_faults("a", faults));
    let engine = async |nonce: u128| {
        let mut seen = Vec::new();
        for _ in 0..50 {
            let head =
                store.read(&job(1), 1, usize::MAX).await.map(|part| part.records.len() as u64);
            let next = item_of(&job(1), record(head.clone().unwrap_or(0) + 1, 1, nonce, 0));
            seen.push(format!("{nonce} {head:?} {:?}", store.append(vec![next]).await));
        }
        seen
    };
    let (one, two) = join(engine(1), engine(2)).await;
    one.into_iter().chain(two).collect()
}

#[tokio::test]
async fn equal_seeds_give_equal_runs() {
    let (first, again, other) = (outcomes(1).await, outcomes(1).await, outcomes(2).await);
    assert_eq!(first, again);
    assert_ne!(first, other);
    for word in ["Unavailable", "Unknown", "Conflict", "Committed"] {
        assert!(first.iter().any(|line| line.contains(word)), "{word}");
    }
}

fn document(subject: u128, seq: u64) -> Document {
    let columns = Columns::Named { name: subject.to_string() };
    Document { subject: job(subject), seq, columns, body: "{}".into(), nodes: Vec::new() }
}

#[tokio::test]
async fn a_flush_that_landed_in_part_is_whole_when_it_is_repeated() {
    let faults = ViewFaults { seed: 3, flush_in_part_per_mille: 700, ..ViewFaults::default() };
    let view = MemoryView::with_faults(faults);
    let documents: Vec<_> = (1..=20).map(|subject| document(subject, 1)).collect();
    let mut failures = 0;
    while view.flush(documents.clone()).await.is_err() {
        failures += 1;
    }
    assert!(failures > 0);
    for document in documents {
        assert_eq!(view.get(&document.subject).await, Ok(Some(document.clone())));
    }
}

#[tokio::test]
async fn a_view_that_falls_behind_shows_what_it_had_until_it_resumes() {
    let view = MemoryView::default();
    view.flush(vec![document(1, 1)]).await.expect("flushed");
    view.stall();
    let mut held = view.flush(vec![document(1, 2)]);
    assert!(poll_immediate(&mut held).await.is_none());
    assert_eq!(view.get(&job(1)).await, Ok(Some(document(1, 1))));
    view.resume();
    held.await.expect("flushed");
    assert_eq!(view.get(&job(1)).await, Ok(Some(document(1, 2))));
}

#[tokio::test]
async fn a_loss_of_power_takes_what_was_not_synced() {
    let view = MemoryView::default();
    view.flush(vec![document(1, 1)]).await.expect("flushed");
    view.sync().await.expect("synced");
    view.flush(vec![document(1, 2), document(2, 1)]).await.expect("flushed");
    view.flush(vec![document(1, 3)]).await.expect("flushed");
    view.lose_unsynced();
    assert_eq!(view.get(&job(1)).await, Ok(Some(document(1, 1))));
    assert_eq!(view.get(&job(2)).await, Ok(None));
}
