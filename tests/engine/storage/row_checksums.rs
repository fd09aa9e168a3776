//! Rows of `events.db` that are changed below the store, as bits that flip on a disk would: each is named by whoever
//! reads it, or changes nothing that anything rests on. The sums are computed here once more, so that other tests can
//! change a file in ways that only replay finds.

use std::path::Path;
use std::sync::Arc;

use domain::ids::{GroupId, JobId, Millis, SubjectId};
use orrery::event_store::contract::{
    AppendNotice, Appended, EventStore, EventStoreError, Snapshot, Tombstone, WakeUpMove,
};
use orrery::event_store::sqlite::{DataFolder, FolderError, Inspection};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, params};
use uuid::Uuid;

use super::embedded::store_in;
use super::samples::{NOW, append, fill, item, item_of, job, namespace, record};

/// Far after everything else.
const LATER: Millis = NOW + 3_600_000;

#[derive(Default)]
struct Summed(Vec<u8>);

impl Summed {
    /// The columns of a row from here to there, each as it is.
    fn columns(mut self, row: &Row<'_>, columns: std::ops::Range<usize>) -> Self {
        for column in columns {
            match row.get_ref(column).expect("a column") {
                ValueRef::Integer(value) => self.0.extend(value.to_le_bytes()),
                ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
                    self.0.extend((bytes.len() as u64).to_le_bytes());
                    self.0.extend(bytes);
                }
                other => panic!("{other:?}"),
            }
        }
        self
    }

    fn optional(mut self, row: &Row<'_>, column: usize) -> Self {
        let value: Option<i64> = row.get(column).expect("a number");
        self.0.extend(i64::from(value.is_some()).to_le_bytes());
        self.0.extend(value.into_iter().flat_map(i64::to_le_bytes));
        self
    }

    fn sum(self) -> i64 {
        i64::from(crc32fast::hash(&self.0).cast_signed())
    }
}

/// Gives every record, snapshot and stream the sum of what it says now: a change that no sum finds.
pub(crate) fn make_sums_fit(file: &Connection) {
    let each = |sql: &str, set: &str, sums: &dyn Fn(&Row<'_>) -> Vec<i64>| {
        let mut all = file.prepare(sql).expect("a statement");
        let all = all.query_map([], |row| Ok((row.get::<_, Vec<u8>>(0)?, sums(row))));
        let all: Vec<(Vec<u8>, Vec<i64>)> =
            all.expect("rows").map(|row| row.expect("a row")).collect();
        for (key, sums) in all {
            let more = sums.get(1).copied();
            file.execute(set, params![key, sums[0], more]).expect("written");
        }
    };
    each(
        "SELECT CAST(position AS BLOB), stream, first, count, at, newest, nonce, hash FROM records",
        "UPDATE records SET sum = ?2 WHERE CAST(position AS BLOB) = ?1 AND ?3 IS NULL",
        &|row| {
            let summed = Summed::default().columns(row, 1..5).optional(row, 5);
            vec![summed.columns(row, 6..8).sum()]
        },
    );
    each(
        "SELECT CAST(stream AS BLOB), stream, seq, hash, body FROM snapshots",
        "UPDATE snapshots SET sum = ?2 WHERE CAST(stream AS BLOB) = ?1 AND ?3 IS NULL",
        &|row| vec![Summed::default().columns(row, 1..5).sum()],
    );
    let group = |row: &Row<'_>| {
        let id = Uuid::from_slice(row.get_ref(3)?.as_blob()?).expect("an id");
        Ok::<_, rusqlite::Error>(SubjectId::job(namespace("default"), JobId(id)).group().index())
    };
    let place = move |row: &Row<'_>| {
        let mut summed = Summed::default();
        summed.0.extend(i64::from(group(row).expect("a group")).to_le_bytes());
        summed.columns(row, 1..4)
    };
    each(
        "SELECT CAST(stream AS BLOB), kind, namespace, id, stream FROM streams",
        "UPDATE streams SET sum = ?2 WHERE CAST(stream AS BLOB) = ?1 AND ?3 IS NULL",
        &|row| vec![place(row).columns(row, 4..5).sum()],
    );
    each(
        "SELECT CAST(stream AS BLOB), kind, namespace, id, stream, due, mark FROM wakes JOIN streams USING (stream)",
        "UPDATE wakes SET sum = ?2 WHERE CAST(stream AS BLOB) = ?1 AND ?3 IS NULL",
        &|row| vec![place(row).columns(row, 4..7).sum()],
    );
}

/// Changes the file as a bit that flips would: no sum follows.
fn flip(folder: &Path, sql: &str) {
    let file = Connection::open(folder.join("events.db")).expect("a file");
    let changed = file.execute(sql, []).unwrap_or_else(|error| panic!("{sql}: {error}"));
    assert_eq!(changed, 1, "{sql}");
}

/// The wake-up of a job.
fn mark_of(subject: &SubjectId) -> String {
    format!("stream = (SELECT stream FROM streams WHERE {})", id_of(subject))
}

fn id_of(subject: &SubjectId) -> String {
    format!("id = x'{}'", subject.id.simple())
}

/// A folder with streams, marks far ahead, a snapshot, an append notice and a tombstone.
async fn stored() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store_in(folder.path());
    for number in 1..=4 {
        let mut first = item(&job(number), 1);
        first.wake = (number < 4).then_some(LATER);
        assert_eq!(append(&store, first).await, Appended::Committed);
        assert_eq!(append(&store, item(&job(number), 2)).await, Appended::Committed);
    }
    let kept = Snapshot { seq: 2, hash: [1; 32], body: Arc::from(&b"kept"[..]) };
    store.save_snapshot(&job(1), kept).await.expect("kept");
    store.write_notices(vec![AppendNotice { subject: job(1), seq: 2 }]).await.expect("noticed");
    fill(&store, &job(9), 3).await;
    let tombstone = Tombstone { count: 3, hash: [7; 32], first_answer: b"{}".to_vec() };
    assert_eq!(store.delete(&job(9), 3, tombstone, LATER).await, Ok(true));
    folder
}

/// What the rows of a stopped store are found to be.
fn faults(folder: &Path) -> Vec<String> {
    let folder = Arc::new(DataFolder::open(folder).expect("the folder"));
    let look = Inspection::open(&folder).expect("a look");
    let faults = look.faults().expect("an answer").into_iter();
    faults.map(|fault| format!("{}: {}", fault.place, fault.what)).collect()
}

#[tokio::test]
async fn the_sums_of_the_tests_are_those_of_the_store() {
    let folder = stored().await;
    let file = Connection::open(folder.path().join("events.db")).expect("a file");
    let all = || {
        let sql =
            "SELECT group_concat(sum) FROM streams UNION ALL SELECT group_concat(sum) FROM wakes
                   UNION ALL SELECT group_concat(sum) FROM records
                   UNION ALL SELECT group_concat(sum) FROM snapshots";
        let mut rows = file.prepare(sql).expect("a statement");
        let rows = rows.query_map([], |row| row.get::<_, String>(0));
        rows.expect("rows").map(|row| row.expect("a row")).collect::<Vec<_>>()
    };
    let before = all();
    make_sums_fit(&file);
    assert_eq!(all(), before);
    drop(file);
    assert_eq!(faults(folder.path()), Vec::<String>::new());
}

#[tokio::test]
async fn a_wake_up_that_is_not_what_was_written_is_due_at_once() {
    let flips = [
        "due = due + 4096",
        "due = due + 4096000000000",
        "mark = 3",
        "sum = sum + 1",
        "grp = (grp + 1) % 64",
        // It names another stream, and is in another bucket.
        "stream = 4",
        "stream = 900",
        "bucket = 7",
    ];
    for set in flips {
        let folder = stored().await;
        flip(folder.path(), &format!("UPDATE wakes SET {set} WHERE {}", mark_of(&job(1))));
        let named = faults(folder.path());
        let named =
            named.iter().any(|fault| fault.ends_with("its wake-up is not what was written"));
        assert!(named, "{set}");
        let store = store_in(folder.path());
        let due = store.live(job(1).group(), NOW, None, 10).await.expect("marks");
        let due: Vec<_> = due.into_iter().filter(|mark| mark.subject == job(1)).collect();
        assert_eq!(due.len(), 1, "{set}");
        assert_eq!(store.mark(&job(1)).await, Ok(due.first().cloned()), "{set}");
        let others = store.mark(&job(2)).await.expect("a mark").expect("a mark");
        assert_eq!((others.due, others.number), (LATER, 1), "{set}");
        // Whoever looks moves it on from there; one that needs no looking at was looked at once.
        let moved = WakeUpMove { subject: job(1), expected: due[0].number, due: Some(LATER) };
        assert_eq!(store.move_wake_ups(vec![moved]).await, Ok(vec![true]), "{set}");
        let needless = WakeUpMove { subject: job(4), expected: 1, due: None };
        assert_eq!(store.move_wake_ups(vec![needless]).await, Ok(vec![true]), "{set}");
        drop(store);
        assert_eq!(faults(folder.path()), Vec::<String>::new(), "{set}");
    }
}

/// Streams enough that their index is filed.
async fn filed() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store_in(folder.path());
    let scattered =
        |number: u128| job(number.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835));
    for part in 0..34 {
        let items = (1..=500).map(|number| item(&scattered(part * 500 + number), 1)).collect();
        let answers = store.append(items).await.expect("answers");
        assert!(answers.iter().all(|answer| *answer == Appended::Committed));
    }
    // Each further commit files some.
    for seq in 2..=100 {
        assert_eq!(append(&store, item(&scattered(1), seq)).await, Appended::Committed);
    }
    for group in GroupId::all() {
        let mut listed = Vec::new();
        loop {
            let after = listed.last().cloned();
            let found = store.subjects(group, after, 100).await.expect("a page");
            if found.is_empty() {
                break;
            }
            listed.extend(found);
        }
        let mut expected: Vec<_> =
            (1..=17_000).map(scattered).filter(|of| of.group() == group).collect();
        expected.sort();
        assert_eq!(listed, expected);
    }
    for number in [1, 2, 8_500, 17_000] {
        let again = item_of(&scattered(number), record(1, 1, 77, 0));
        assert_eq!(
            append(&store, again).await,
            Appended::Conflict,
            "it is found where it was filed"
        );
    }
    folder
}

#[tokio::test]
async fn an_index_that_hides_a_stream_is_made_anew() {
    let folder = filed().await;
    let events = folder.path().join("events.db");
    let file = Connection::open(&events).expect("a file");
    let sql = "SELECT count(*), (SELECT value FROM meta WHERE key = 'filed_to') FROM ids";
    let (filed, to): (i64, i64) =
        file.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).expect("a row");
    assert!(filed >= 16_384 && (9_000..=17_000).contains(&to), "{filed} {to}");
    let named = file.query_row("SELECT id FROM streams WHERE stream = 9000", [], |row| row.get(0));
    let hidden =
        SubjectId::job(namespace("default"), JobId(Uuid::from_bytes(named.expect("an id"))));
    drop(file);
    for sql in [
        "DELETE FROM ids WHERE stream = 9000",
        "UPDATE ids SET key = key + 1 WHERE stream = 9000",
        "UPDATE ids SET stream = 16999 WHERE stream = 9000",
        "UPDATE ids SET grp = (grp + 1) % 64 WHERE stream = 9000",
    ] {
        let copy = tempfile::tempdir().expect("a folder");
        std::fs::copy(&events, copy.path().join("events.db")).expect("copied");
        flip(copy.path(), sql);
        let found = faults(copy.path());
        assert_eq!(
            found[0], "events.db: the index of streams is not what the streams say",
            "{sql}"
        );
        let store = store_in(copy.path());
        let part = store.read(&hidden, 1, usize::MAX).await.expect("a part");
        assert_eq!(part.records.len(), 1, "{sql}");
        assert_eq!(append(&store, item(&hidden, 2)).await, Appended::Committed, "{sql}");
        drop(store);
        assert_eq!(faults(copy.path()), Vec::<String>::new(), "{sql}");
    }
}

#[tokio::test]
async fn a_row_that_says_what_there_is_is_refused_by_name_at_the_start() {
    let (one, gone) = (id_of(&job(1)), id_of(&job(9)));
    let other = "id = x'00000000000000000000000000000077'";
    let streams = |set: &str| format!("UPDATE streams SET {set} WHERE {one}");
    let tombstones = |set: &str| format!("UPDATE tombstones SET {set} WHERE {gone}");
    for sql in [
        "UPDATE meta SET value = 0 WHERE key = 'incarnation'".to_owned(),
        "UPDATE meta SET value = 'store-b' WHERE key = 'store_id'".to_owned(),
        "UPDATE meta SET value = 5 WHERE key = 'newest_at'".to_owned(),
        streams("stream = 77"),
        streams("sum = sum + 1"),
        streams("namespace = 'defaulu'"),
        streams("kind = 1"),
        streams(other),
        tombstones("count = 2"),
        tombstones("hash = zeroblob(32)"),
        tombstones("first_answer = x'7b7c'"),
        tombstones("keep_until = 5"),
        tombstones(other),
        format!("UPDATE append_notices SET seq = 1 WHERE {one}"),
        format!("UPDATE append_notices SET {other} WHERE {one}"),
    ] {
        let folder = stored().await;
        flip(folder.path(), &sql);
        let held = Arc::new(DataFolder::open(folder.path()).expect("the folder"));
        let refused = orrery::event_store::sqlite::SqliteEventStore::open(
            held,
            "store-a",
            orrery::event_store::sqlite::SqliteSettings::default(),
        );
        let refused = refused.map(drop).expect_err(&sql);
        assert!(matches!(refused, FolderError::Damaged { .. }), "{sql}: {refused}");
        assert!(refused.to_string().contains("events.db is damaged"), "{sql}: {refused}");
    }
}

#[tokio::test]
async fn a_record_that_is_not_what_was_written_makes_its_stream_damaged_and_no_other() {
    for set in [
        "count = 2",
        "at = at + 1",
        "newest = 9",
        "nonce = zeroblob(16)",
        "hash = zeroblob(32)",
        "sum = 0",
    ] {
        let folder = stored().await;
        let of_one = format!("(SELECT stream FROM streams WHERE {})", id_of(&job(1)));
        flip(
            folder.path(),
            &format!("UPDATE records SET {set} WHERE stream = {of_one} AND first = 2"),
        );
        let named = format!("{}: the row of a record is not what was written", job(1));
        assert_eq!(faults(folder.path()), [named.as_str()], "{set}");
        let store = store_in(folder.path());
        let damaged = store.read(&job(1), 1, usize::MAX).await.expect_err(set);
        let EventStoreError::Damaged { subject, reason } = &damaged else { panic!("{damaged}") };
        assert_eq!(*subject, job(1).to_string());
        assert!(reason.contains("not what was written"), "{reason}");
        assert_eq!(append(&store, item(&job(1), 3)).await, Appended::Conflict, "{set}");
        let other = store.read(&job(2), 1, usize::MAX).await.expect("a part");
        assert_eq!(other.records.len(), 2);
        assert_eq!(append(&store, item(&job(2), 3)).await, Appended::Committed, "{set}");
    }
}

#[tokio::test]
async fn a_snapshot_that_is_not_what_was_written_is_passed_over() {
    for set in ["seq = 1", "hash = zeroblob(32)", "body = x'6b657074 00'", "sum = 0"] {
        let folder = stored().await;
        flip(folder.path(), &format!("UPDATE snapshots SET {}", set.replace(' ', "")));
        let named = format!("{}: its snapshot is not what was written", job(1));
        assert_eq!(faults(folder.path()), [named.as_str()], "{set}");
        let store = store_in(folder.path());
        assert_eq!(store.snapshot(&job(1)).await, Ok(None), "{set}");
    }
}

#[tokio::test]
async fn what_changes_while_the_store_is_open_is_named_where_it_is_read() {
    let folder = stored().await;
    let store = store_in(folder.path());
    flip(folder.path(), &format!("UPDATE streams SET stream = 77 WHERE {}", id_of(&job(1))));
    flip(folder.path(), &format!("UPDATE wakes SET mark = 5 WHERE {}", mark_of(&job(2))));
    flip(folder.path(), &format!("UPDATE tombstones SET count = 9 WHERE {}", id_of(&job(9))));
    flip(folder.path(), &format!("UPDATE append_notices SET seq = 1 WHERE {}", id_of(&job(1))));
    for number in [1, 9] {
        let damaged = store.read(&job(number), 1, usize::MAX).await.expect_err("damaged");
        let EventStoreError::Damaged { subject, .. } = &damaged else { panic!("{damaged}") };
        assert_eq!(*subject, job(number).to_string());
    }
    assert_eq!(append(&store, item_of(&job(9), record(1, 1, 5, 0))).await, Appended::Conflict);
    let mark = store.mark(&job(2)).await.expect("a mark").expect("a mark");
    assert!(mark.due < NOW, "never too late");
    let notices = store.notices(job(1).group()).await;
    assert!(matches!(notices, Err(EventStoreError::Damaged { .. })), "{notices:?}");
}

#[test]
fn a_format_from_before_the_release_is_refused_untouched() {
    let folder = tempfile::tempdir().expect("a folder");
    drop(store_in(folder.path()));
    let path = folder.path().join("events.db");
    let mut bytes = std::fs::read(&path).expect("a file");
    // The header's user_version, big-endian, is at byte 60.
    bytes[60..64].copy_from_slice(&1_u32.to_be_bytes());
    std::fs::write(&path, &bytes).expect("written");
    let held = Arc::new(DataFolder::open(folder.path()).expect("the folder"));
    let refused = Inspection::open(&held).expect_err("refused");
    assert!(matches!(refused, FolderError::OlderFormat { found: 1, known: 4, .. }), "{refused}");
    assert!(refused.to_string().contains("events.db has format 1"), "{refused}");
    assert_eq!(std::fs::read(&path).expect("a file"), bytes);
}
