//! A data folder of format 2 (`format_2.db.gz`, made by the engine of commit 680f014: 24 jobs of two namespaces, some with
//! ids from keys, some parked, some over, a payload, an environment) opened by this one.

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use domain::ids::{GroupId, SubjectId};
use orrery::event_store::contract::{EventStore, WakeUp};
use orrery::event_store::sqlite::{
    DataFolder, FolderError, Inspection, SqliteEventStore, SqliteSettings,
};
use rusqlite::Connection;

use super::embedded::store_in;

const FILE: &[u8] = include_bytes!("format_2.db.gz");

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let mut file = Vec::new();
    flate2::read::GzDecoder::new(FILE).read_to_end(&mut file).expect("a file");
    std::fs::write(folder.path().join("events.db"), file).expect("written");
    folder
}

/// What the old tables say: each subject with its records, bytes of payloads, and mark.
type Said = (SubjectId, i64, i64, Option<(i64, i64)>);

fn said(folder: &Path) -> Vec<Said> {
    let file = Connection::open(folder.join("events.db")).expect("a file");
    let sql = "SELECT kind, namespace, id, due, mark,
                   (SELECT count(*) FROM records WHERE records.stream = streams.stream),
                   (SELECT count(*) FROM payloads WHERE payloads.stream = streams.stream) FROM streams";
    let mut all = file.prepare(sql).expect("a statement");
    let all = all.query_map([], |row| {
        let kind = if row.get::<_, i64>(0)? == 0 { "job" } else { "environment" };
        let id = uuid::Uuid::from_bytes(row.get(2)?);
        let subject = SubjectId::parse(&format!("{kind}/{}/{id}", row.get::<_, String>(1)?));
        let mark = row.get::<_, Option<i64>>(3)?.zip(row.get::<_, Option<i64>>(4)?);
        Ok((subject.expect("a subject"), row.get(5)?, row.get(6)?, mark))
    });
    let mut all: Vec<Said> = all.expect("rows").collect::<Result<_, _>>().expect("rows");
    all.sort();
    all
}

async fn has(store: &SqliteEventStore, said: &[Said]) {
    let mut listed = Vec::new();
    for group in GroupId::all() {
        listed.extend(store.subjects(group, None, 1_000).await.expect("subjects"));
        let live = store.live(group, i64::MAX, None, 1_000).await.expect("marks");
        let marked = said.iter().filter_map(|(subject, _, _, mark)| {
            let (due, number) = (*mark)?;
            let number = u64::try_from(number).expect("a number");
            Some(WakeUp { subject: subject.clone(), due, number })
        });
        let expected: Vec<_> = marked.filter(|mark| mark.subject.group() == group).collect();
        assert_eq!(live, expected);
    }
    listed.sort();
    assert_eq!(listed, said.iter().map(|(subject, ..)| subject.clone()).collect::<Vec<_>>());
    for (subject, records, _, mark) in said {
        let part = store.read(subject, 1, usize::MAX).await.expect("a part");
        assert_eq!(i64::try_from(part.records.len()), Ok(*records), "{subject}");
        let found = store.mark(subject).await.expect("an answer");
        let number = |mark: &WakeUp| i64::try_from(mark.number).expect("a number");
        assert_eq!(found.map(|mark| (mark.due, number(&mark))), *mark, "{subject}");
    }
}

#[tokio::test]
async fn a_folder_of_the_format_before_has_everything_it_had() {
    let folder = folder();
    let said = said(folder.path());
    assert_eq!((said.len(), said.iter().filter(|one| one.3.is_some()).count()), (25, 14));
    let store = store_in(folder.path());
    has(&store, &said).await;
    let before = store.info().await;
    drop(store);
    let held = DataFolder::open(folder.path()).expect("the folder");
    let look = Inspection::open(&held).expect("a look");
    assert_eq!(look.faults().expect("an answer"), []);
    for (subject, _, payloads, _) in &said {
        let kept = look.payloads_of(subject).expect("payloads");
        assert_eq!(i64::try_from(kept.len()), Ok(*payloads), "{subject}");
        assert!(kept.iter().all(|payload| payload.intact));
    }
    drop((look, held));
    // A second start has nothing to do.
    let store = store_in(folder.path());
    has(&store, &said).await;
    assert_eq!(store.info().await, before);
}

#[test]
fn a_folder_of_the_format_before_is_only_read_by_who_may_bring_it_on() {
    let folder = folder();
    let bytes = std::fs::read(folder.path().join("events.db")).expect("a file");
    let held = DataFolder::open(folder.path()).expect("the folder");
    let refused = Inspection::open(&held).expect_err("refused").to_string();
    assert!(refused.contains("format 2: start an engine on it once"), "{refused}");
    assert_eq!(std::fs::read(folder.path().join("events.db")).expect("a file"), bytes);
}

#[tokio::test]
async fn what_is_damaged_is_not_carried_over() {
    for (set, is_refused) in [
        ("sum = sum + 1", true),
        ("stream = stream + 100", true),
        ("id = zeroblob(16)", true),
        ("due = due + 4096, mark = mark", false),
        ("due = NULL, mark = NULL", false),
    ] {
        let folder = folder();
        let marked = said(folder.path()).into_iter().find(|one| one.3.is_some()).expect("a mark").0;
        let file = Connection::open(folder.path().join("events.db")).expect("a file");
        let sql = format!("UPDATE streams SET {set} WHERE id = x'{}'", marked.id.simple());
        assert_eq!(file.execute(&sql, []).expect("changed"), 1);
        drop(file);
        let held = Arc::new(DataFolder::open(folder.path()).expect("the folder"));
        let opened = SqliteEventStore::open(held, "another", SqliteSettings::default());
        if is_refused {
            let refused = opened.map(drop).expect_err(set);
            assert!(matches!(refused, FolderError::Damaged { .. }), "{set}: {refused}");
            let file = Connection::open(folder.path().join("events.db")).expect("a file");
            let format = file.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0));
            assert_eq!(format, Ok(2), "it is left as it was");
        } else {
            let mark = opened.expect("a store").mark(&marked).await.expect("an answer");
            assert_eq!(mark.map(|mark| mark.due), Some(0), "{set}: it is looked at now");
        }
    }
}
