//! The conformance suite of event stores. Each case is a sentence about the contract; `each_store!` runs it against
//! every implementation.

use orrery::event_store::contract::{
    AppendNotice, Appended, EventStore, Snapshot, Tombstone, WakeUp, WakeUpMove,
};

use super::samples::{
    NOW, append, fill, item, item_of, job, job_in, jobs_of_one_group, payload, record,
};

const ALL: usize = usize::MAX;

/// One test for each case and implementation.
macro_rules! each_store {
    ($($case:ident),+ $(,)?) => {
        mod in_memory {
            $(#[tokio::test] async fn $case() {
                let store = orrery_testing::event_store::MemoryEventStore::new("store-a");
                super::$case(&store).await;
            })+
        }
        mod delayed_in_memory {
            $(#[tokio::test] async fn $case() {
                use orrery_testing::event_store::{Faults, MemoryEventStore};
                let faults = Faults { seed: 7, delay_turns_max: 3, ..Faults::default() };
                super::$case(&MemoryEventStore::with_faults("store-a", faults)).await;
            })+
        }
        mod embedded {
            $(#[tokio::test] async fn $case() {
                let folder = tempfile::tempdir().expect("a folder");
                super::$case(&crate::storage::embedded::store_in(folder.path())).await;
            })+
        }
        mod on_mongodb {
            $(#[tokio::test] #[ignore = "needs a mongod: scripts/test fetches one"] async fn $case() {
                let database = crate::storage::mongodb::Database::fresh().await;
                super::$case(&database.event_store().await).await;
                database.end().await;
            })+
        }
        mod with_every_write_repeated_in_memory {
            $(#[tokio::test] async fn $case() {
                let store = std::sync::Arc::new(orrery_testing::event_store::MemoryEventStore::new("store-a"));
                super::$case(&crate::storage::lost_answers::LossyStore::all_repeated(store)).await;
            })+
        }
        mod with_every_write_repeated_embedded {
            $(#[tokio::test] async fn $case() {
                let folder = tempfile::tempdir().expect("a folder");
                let store = std::sync::Arc::new(crate::storage::embedded::store_in(folder.path()));
                super::$case(&crate::storage::lost_answers::LossyStore::all_repeated(store)).await;
            })+
        }
        mod with_every_write_repeated_on_mongodb {
            $(#[tokio::test] #[ignore = "needs a mongod: scripts/test fetches one"] async fn $case() {
                let database = crate::storage::mongodb::Database::fresh().await;
                let store = std::sync::Arc::new(database.event_store().await);
                super::$case(&crate::storage::lost_answers::LossyStore::all_repeated(store)).await;
                database.end().await;
            })+
        }
    };
}

each_store! {
    a_new_store_is_empty_and_names_itself,
    an_append_needs_the_expected_head,
    the_same_record_again_is_committed_also_when_others_followed,
    another_record_at_a_taken_seq_conflicts,
    one_conflict_in_a_batch_leaves_the_others_alone,
    sequence_numbers_are_dense_over_records_of_any_size,
    reading_from_the_middle_of_a_record_starts_with_that_record,
    a_read_is_cut_by_bytes_and_goes_on_where_it_ended,
    a_record_of_12_mib_comes_back_byte_for_byte,
    the_newest_time_is_that_of_the_newest_record,
    marks_begin_with_the_stream_and_move_only_from_the_expected_number,
    live_shows_what_is_due_in_subject_order_page_by_page,
    a_retired_stream_has_no_mark_until_it_gets_a_new_one,
    subjects_come_in_order_and_without_deleted_ones,
    the_higher_notice_stays_and_a_clear_takes_no_newer_one,
    payloads_belong_to_their_subject_and_come_with_the_record,
    the_newest_snapshot_stays,
    a_deleted_stream_leaves_a_tombstone_that_refuses_late_appends,
    a_stream_may_begin_again_when_its_tombstone_is_over,
    a_deletion_needs_the_expected_head_and_can_be_repeated,
    namespaces_keep_apart,
    appends_side_by_side_give_each_seq_to_one,
}

async fn a_new_store_is_empty_and_names_itself(store: &dyn EventStore) {
    let info = store.info().await.expect("info");
    assert_eq!((info.store_id.as_str(), info.incarnation, info.newest_at), ("store-a", 1, 0));
    let part = store.read(&job(1), 1, ALL).await.expect("a part");
    assert!(part.records.is_empty() && part.complete && part.tombstone.is_none());
    assert_eq!(store.mark(&job(1)).await, Ok(None));
    assert_eq!(store.snapshot(&job(1)).await, Ok(None));
    assert_eq!(store.payloads(&job(1), &[[0; 32]]).await, Ok(vec![None]));
    assert_eq!(store.live(job(1).group(), i64::MAX, None, ALL).await, Ok(vec![]));
}

async fn an_append_needs_the_expected_head(store: &dyn EventStore) {
    assert_eq!(append(store, item(&job(1), 2)).await, Appended::Conflict);
    assert_eq!(append(store, item(&job(1), 1)).await, Appended::Committed);
    assert_eq!(append(store, item(&job(1), 3)).await, Appended::Conflict);
    assert_eq!(append(store, item(&job(1), 2)).await, Appended::Committed);
    let part = store.read(&job(1), 1, ALL).await.expect("a part");
    assert_eq!(part.records.iter().map(|record| record.first).collect::<Vec<_>>(), [1, 2]);
}

async fn the_same_record_again_is_committed_also_when_others_followed(store: &dyn EventStore) {
    fill(store, &job(1), 3).await;
    assert_eq!(append(store, item(&job(1), 1)).await, Appended::Committed);
    assert_eq!(append(store, item(&job(1), 3)).await, Appended::Committed);
    let part = store.read(&job(1), 1, ALL).await.expect("a part");
    assert_eq!(part.records.len(), 3);
    assert_eq!(store.mark(&job(1)).await.expect("a mark").map(|mark| mark.number), Some(1));
}

async fn another_record_at_a_taken_seq_conflicts(store: &dyn EventStore) {
    fill(store, &job(1), 2).await;
    for first in [1, 2] {
        let rival = item_of(&job(1), record(first, 1, 77, 0));
        assert_eq!(append(store, rival).await, Appended::Conflict);
    }
    let part = store.read(&job(1), 1, ALL).await.expect("a part");
    assert!(part.records.iter().all(|record| record.nonce != 77));
}

async fn one_conflict_in_a_batch_leaves_the_others_alone(store: &dyn EventStore) {
    use Appended::{Committed, Conflict};
    fill(store, &job(2), 1).await;
    let mut refused = item_of(&job(2), record(1, 1, 99, 0));
    refused.payloads.push(payload("refused"));
    let batch = vec![item(&job(1), 1), refused, item(&job(3), 1), item(&job(4), 5)];
    let answers = store.append(batch).await.expect("answers");
    assert_eq!(answers, [Committed, Conflict, Committed, Conflict]);
    for (subject, records) in [(1, 1), (2, 1), (3, 1), (4, 0)] {
        let part = store.read(&job(subject), 1, ALL).await.expect("a part");
        assert_eq!(part.records.len(), records, "job {subject}");
    }
    assert_eq!(store.payloads(&job(2), &[payload("refused").hash]).await, Ok(vec![None]));
}

async fn sequence_numbers_are_dense_over_records_of_any_size(store: &dyn EventStore) {
    let mut next = 1;
    for count in [1, 5, 2, 1_000, 1] {
        let written = item_of(&job(1), record(next, count, u128::from(next), 0));
        assert_eq!(append(store, written).await, Appended::Committed);
        next += u64::from(count);
    }
    let part = store.read(&job(1), 1, ALL).await.expect("a part");
    let mut expected = 1;
    for record in &part.records {
        assert_eq!(record.first, expected);
        expected += u64::from(record.count);
    }
    assert_eq!(expected, next);
}

async fn reading_from_the_middle_of_a_record_starts_with_that_record(store: &dyn EventStore) {
    for (first, count) in [(1, 3), (4, 10), (14, 1)] {
        append(store, item_of(&job(1), record(first, count, u128::from(first), 0))).await;
    }
    for (from, firsts) in [
        (0, vec![1, 4, 14]),
        (3, vec![1, 4, 14]),
        (4, vec![4, 14]),
        (13, vec![4, 14]),
        (14, vec![14]),
        (15, vec![]),
    ] {
        let part = store.read(&job(1), from, ALL).await.expect("a part");
        assert_eq!(
            part.records.iter().map(|record| record.first).collect::<Vec<_>>(),
            firsts,
            "from {from}"
        );
        assert!(part.complete);
    }
}

async fn a_read_is_cut_by_bytes_and_goes_on_where_it_ended(store: &dyn EventStore) {
    let written: Vec<_> = (1..=5).map(|first| record(first, 1, u128::from(first), 100)).collect();
    for record in &written {
        append(store, item_of(&job(1), record.clone())).await;
    }
    let (mut read, mut parts) = (Vec::new(), 0);
    loop {
        let from = read.len() as u64 + 1;
        let part = store.read(&job(1), from, 250).await.expect("a part");
        read.extend(part.records);
        parts += 1;
        if part.complete {
            break;
        }
    }
    assert_eq!((read, parts), (written.clone(), 3));
    let part = store.read(&job(1), 2, 0).await.expect("a part");
    assert_eq!(
        (part.records, part.complete),
        (vec![written[1].clone()], false),
        "at least one record"
    );
}

async fn a_record_of_12_mib_comes_back_byte_for_byte(store: &dyn EventStore) {
    let big = record(1, 20_000, 1, 12 * 1_024 * 1_024);
    assert_eq!(append(store, item_of(&job(1), big.clone())).await, Appended::Committed);
    let part = store.read(&job(1), 1, 1_024).await.expect("a part");
    assert!(part.records == [big] && part.complete);
}

async fn the_newest_time_is_that_of_the_newest_record(store: &dyn EventStore) {
    let mut late = item(&job(1), 1);
    late.record.at = NOW + 5_000;
    append(store, late).await;
    fill(store, &job(2), 1).await;
    assert_eq!(store.info().await.expect("info").newest_at, NOW + 5_000);
    let mut refused = item(&job(1), 7);
    refused.record.at = NOW + 9_000;
    append(store, refused).await;
    assert_eq!(store.info().await.expect("info").newest_at, NOW + 5_000);
}

async fn marks_begin_with_the_stream_and_move_only_from_the_expected_number(
    store: &dyn EventStore,
) {
    fill(store, &job(1), 2).await;
    let move_to = |expected, due| WakeUpMove { subject: job(1), expected, due };
    let mark = |due, number| Ok(Some(WakeUp { subject: job(1), due, number }));
    assert_eq!(store.mark(&job(1)).await, mark(NOW, 1));
    assert_eq!(store.move_wake_ups(vec![move_to(1, Some(NOW + 10))]).await, Ok(vec![true]));
    assert_eq!(store.move_wake_ups(vec![move_to(1, Some(NOW + 20))]).await, Ok(vec![false]));
    assert_eq!(store.move_wake_ups(vec![move_to(0, Some(NOW + 20))]).await, Ok(vec![false]));
    assert_eq!(store.mark(&job(1)).await, mark(NOW + 10, 2));
    let stranger = WakeUpMove { subject: job(9), expected: 0, due: Some(NOW) };
    let both = vec![stranger, move_to(2, Some(NOW - 5))];
    assert_eq!(store.move_wake_ups(both).await, Ok(vec![false, true]));
    assert_eq!(store.mark(&job(1)).await, mark(NOW - 5, 3));
}

async fn live_shows_what_is_due_in_subject_order_page_by_page(store: &dyn EventStore) {
    let subjects = jobs_of_one_group(7);
    let group = subjects[0].group();
    for (place, subject) in subjects.iter().enumerate().rev() {
        let mut first = item(subject, 1);
        // The later the subject, the earlier it is due, so that the two orders differ.
        first.wake = Some(NOW - i64::try_from(place).expect("small"));
        append(store, first).await;
    }
    append(
        store,
        item(
            &(1_u128..100)
                .map(|number| job(number << 80))
                .find(|s| s.group() != group)
                .expect("one"),
            1,
        ),
    )
    .await;
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = store.live(group, NOW - 1, after.clone(), 4).await.expect("marks");
        let Some(last) = page.last() else { break };
        after = Some(last.subject.clone());
        seen.extend(page.into_iter().map(|mark| mark.subject));
    }
    assert_eq!(seen, subjects[1..]);
    assert_eq!(store.live(group, NOW - 7, None, ALL).await, Ok(vec![]));
}

async fn a_retired_stream_has_no_mark_until_it_gets_a_new_one(store: &dyn EventStore) {
    fill(store, &job(1), 1).await;
    let move_to = |expected, due| vec![WakeUpMove { subject: job(1), expected, due }];
    assert_eq!(store.move_wake_ups(move_to(1, None)).await, Ok(vec![true]));
    assert_eq!(store.mark(&job(1)).await, Ok(None));
    assert_eq!(store.live(job(1).group(), i64::MAX, None, ALL).await, Ok(vec![]));
    assert_eq!(store.move_wake_ups(move_to(1, Some(NOW))).await, Ok(vec![false]));
    assert_eq!(store.move_wake_ups(move_to(0, Some(NOW + 1))).await, Ok(vec![true]));
    let mark = WakeUp { subject: job(1), due: NOW + 1, number: 1 };
    assert_eq!(store.mark(&job(1)).await, Ok(Some(mark)));
    assert_eq!(
        append(store, item(&job(1), 2)).await,
        Appended::Committed,
        "retired is not deleted"
    );
}

async fn subjects_come_in_order_and_without_deleted_ones(store: &dyn EventStore) {
    let subjects = jobs_of_one_group(6);
    for subject in subjects.iter().rev() {
        fill(store, subject, 1).await;
    }
    store
        .move_wake_ups(vec![WakeUpMove { subject: subjects[1].clone(), expected: 1, due: None }])
        .await
        .expect("retired");
    store.delete(&subjects[4], 1, tombstone(1), NOW + 1).await.expect("deleted");
    let group = subjects[0].group();
    let first = store.subjects(group, None, 3).await.expect("subjects");
    assert_eq!(first, subjects[..3]);
    let rest = store.subjects(group, first.last().cloned(), ALL).await.expect("subjects");
    assert_eq!(rest, [subjects[3].clone(), subjects[5].clone()]);
}

async fn the_higher_notice_stays_and_a_clear_takes_no_newer_one(store: &dyn EventStore) {
    let notice = |seq| vec![AppendNotice { subject: job(1), seq }];
    // An append notice is written before the append it tells of, so there may be no stream yet.
    store.write_notices(notice(5)).await.expect("noticed");
    store.write_notices(notice(3)).await.expect("noticed");
    assert_eq!(store.notices(job(1).group()).await, Ok(notice(5)));
    store.clear_notices(notice(4)).await.expect("cleared");
    assert_eq!(store.notices(job(1).group()).await, Ok(notice(5)));
    store.clear_notices(notice(5)).await.expect("cleared");
    assert_eq!(store.notices(job(1).group()).await, Ok(vec![]));
}

async fn payloads_belong_to_their_subject_and_come_with_the_record(store: &dyn EventStore) {
    let (one, two) = (payload("one"), payload("two"));
    let mut first = item(&job(1), 1);
    first.payloads = vec![one.clone(), two.clone(), one.clone()];
    append(store, first).await;
    let mut second = item(&job(1), 2);
    second.payloads = vec![two.clone()];
    assert_eq!(append(store, second).await, Appended::Committed, "a payload may come again");
    fill(store, &job(2), 1).await;
    let asked = [two.hash, [9; 32], one.hash];
    let found = store.payloads(&job(1), &asked).await.expect("payloads");
    assert_eq!(found, [Some(two.bytes), None, Some(one.bytes)]);
    assert_eq!(store.payloads(&job(2), &asked).await, Ok(vec![None; 3]));
}

async fn the_newest_snapshot_stays(store: &dyn EventStore) {
    fill(store, &job(1), 3).await;
    let snapshot =
        |seq: u64| Snapshot { seq, hash: [1; 32], body: seq.to_string().into_bytes().into() };
    store.save_snapshot(&job(1), snapshot(2)).await.expect("saved");
    store.save_snapshot(&job(1), snapshot(3)).await.expect("saved");
    store.save_snapshot(&job(1), snapshot(1)).await.expect("passed over");
    assert_eq!(store.snapshot(&job(1)).await, Ok(Some(snapshot(3))));
    assert_eq!(store.snapshot(&job(2)).await, Ok(None));
}

fn tombstone(count: u64) -> Tombstone {
    Tombstone { count, hash: [3; 32], first_answer: b"{\"id\":1}".to_vec() }
}

async fn a_deleted_stream_leaves_a_tombstone_that_refuses_late_appends(store: &dyn EventStore) {
    let mut first = item(&job(1), 1);
    first.payloads.push(payload("gone"));
    append(store, first).await;
    append(store, item(&job(1), 2)).await;
    let snapshot = Snapshot { seq: 2, hash: [1; 32], body: b"gone"[..].into() };
    store.save_snapshot(&job(1), snapshot).await.expect("saved");
    assert_eq!(store.delete(&job(1), 2, tombstone(2), NOW + 1_000).await, Ok(true));
    let part = store.read(&job(1), 1, ALL).await.expect("a part");
    assert_eq!((part.records.len(), part.complete, part.tombstone), (0, true, Some(tombstone(2))));
    assert_eq!(store.mark(&job(1)).await, Ok(None));
    assert_eq!(store.snapshot(&job(1)).await, Ok(None));
    assert_eq!(store.payloads(&job(1), &[payload("gone").hash]).await, Ok(vec![None]));
    for late in [item(&job(1), 1), item(&job(1), 3), item_of(&job(1), record(1, 1, 5, 0))] {
        assert_eq!(append(store, late).await, Appended::Conflict);
    }
}

async fn a_stream_may_begin_again_when_its_tombstone_is_over(store: &dyn EventStore) {
    fill(store, &job(1), 2).await;
    assert_eq!(store.delete(&job(1), 2, tombstone(2), NOW + 1_000).await, Ok(true));
    let mut create = item_of(&job(1), record(1, 1, 42, 0));
    create.record.at = NOW + 999;
    assert_eq!(append(store, create.clone()).await, Appended::Conflict);
    create.record.at = NOW + 1_000;
    assert_eq!(append(store, create.clone()).await, Appended::Committed);
    let part = store.read(&job(1), 1, ALL).await.expect("a part");
    assert_eq!((part.records, part.tombstone), (vec![create.record], None));
    assert_eq!(store.mark(&job(1)).await.expect("a mark").map(|mark| mark.number), Some(1));
}

async fn a_deletion_needs_the_expected_head_and_can_be_repeated(store: &dyn EventStore) {
    fill(store, &job(1), 2).await;
    assert_eq!(store.delete(&job(1), 1, tombstone(1), NOW + 1).await, Ok(false));
    assert_eq!(store.delete(&job(9), 1, tombstone(1), NOW + 1).await, Ok(false));
    assert_eq!(store.delete(&job(1), 2, tombstone(2), NOW + 1).await, Ok(true));
    assert_eq!(store.delete(&job(1), 2, tombstone(2), NOW + 1).await, Ok(true));
    assert_eq!(store.delete(&job(1), 1, tombstone(1), NOW + 1).await, Ok(false));
}

async fn namespaces_keep_apart(store: &dyn EventStore) {
    let (here, there) = (job_in("here", 1), job_in("there", 1));
    fill(store, &here, 2).await;
    let part = store.read(&there, 1, ALL).await.expect("a part");
    assert!(part.records.is_empty());
    fill(store, &there, 1).await;
    store.delete(&there, 1, tombstone(1), NOW + 1).await.expect("deleted");
    let part = store.read(&here, 1, ALL).await.expect("a part");
    assert_eq!(part.records.len(), 2);
    assert_eq!(store.subjects(here.group(), None, ALL).await, Ok(vec![here]));
}

async fn appends_side_by_side_give_each_seq_to_one(store: &dyn EventStore) {
    let rivals = (0..20).map(|nonce| append(store, item_of(&job(1), record(1, 1, nonce, 0))));
    let answers = futures_util::future::join_all(rivals).await;
    let won: Vec<_> =
        (0_u128..).zip(&answers).filter(|(_, a)| **a == Appended::Committed).collect();
    assert_eq!(won.len(), 1);
    assert_eq!(answers.iter().filter(|a| **a == Appended::Conflict).count(), 19);
    let part = store.read(&job(1), 1, ALL).await.expect("a part");
    assert_eq!(part.records.iter().map(|record| record.nonce).collect::<Vec<_>>(), [won[0].0]);
}
