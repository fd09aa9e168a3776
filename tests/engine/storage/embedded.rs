//! What only the embedded pair has: the folder and its lock, formats, files cut by a crash, a full disk.
//! A crash is played by copying the files of a running store: that is what the next process would find.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use orrery::event_store::contract::{Appended, EventStore, EventStoreError};
use orrery::event_store::sqlite::{
    DataFolder, FolderError, Inspection, SqliteEventStore, SqliteSettings,
};

use super::samples::{NOW, append, fill, item, item_of, job, payload, record};

/// The store in a folder, made when it is missing.
pub(crate) fn store_in(folder: &Path) -> SqliteEventStore {
    try_store_in(folder, SqliteSettings::default()).expect("a store")
}

fn try_store_in(folder: &Path, settings: SqliteSettings) -> Result<SqliteEventStore, FolderError> {
    let folder = Arc::new(DataFolder::open(folder)?);
    SqliteEventStore::open(folder, "store-a", settings)
}

#[tokio::test]
async fn a_reopened_store_has_everything_it_had() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("made/on/demand");
    let store = store_in(&path);
    fill(&store, &job(1), 5).await;
    let mut late = item(&job(2), 1);
    late.record.at = NOW + 7;
    append(&store, late).await;
    fill(&store, &job(3), 1).await;
    let before = store.read(&job(1), 1, usize::MAX).await.expect("a part");
    drop(store);
    let folder = Arc::new(DataFolder::open(&path).expect("the folder"));
    let store =
        SqliteEventStore::open(folder, "another id", SqliteSettings::default()).expect("a store");
    let info = store.info().await.expect("info");
    assert_eq!((info.store_id.as_str(), info.incarnation, info.newest_at), ("store-a", 1, NOW + 7));
    assert_eq!(store.read(&job(1), 1, usize::MAX).await, Ok(before));
    assert_eq!(append(&store, item(&job(1), 7)).await, Appended::Conflict);
    assert_eq!(append(&store, item(&job(1), 6)).await, Appended::Committed);
    assert_eq!(append(&store, item(&job(4), 1)).await, Appended::Committed);
}

#[tokio::test]
async fn files_copied_or_cut_at_any_point_hold_a_prefix() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store_in(folder.path());
    for first in 1..=40 {
        let answers = store.append(vec![item(&job(1), first), item(&job(2), first)]).await;
        assert_eq!(answers, Ok(vec![Appended::Committed; 2]));
    }
    let wal = fs::read(folder.path().join("events.db-wal")).expect("a log of writes");
    let main = fs::read(folder.path().join("events.db")).expect("a file");
    drop(store);
    let mut heads = Vec::new();
    for kept in (0..=wal.len()).rev().step_by(wal.len() / 25) {
        let copy = tempfile::tempdir().expect("a folder");
        fs::write(copy.path().join("events.db"), &main).expect("written");
        fs::write(copy.path().join("events.db-wal"), &wal[..kept]).expect("written");
        let store = match try_store_in(copy.path(), SqliteSettings::default()) {
            Ok(store) => store,
            Err(error) => panic!("cut at {kept}: {error}"),
        };
        let one = store.read(&job(1), 1, usize::MAX).await.expect("a part").records;
        let two = store.read(&job(2), 1, usize::MAX).await.expect("a part").records;
        assert_eq!(one.len(), two.len(), "a batch is there as a whole");
        let expected: Vec<_> =
            (1..).map(|first| item(&job(1), first).record).take(one.len()).collect();
        assert_eq!(one, expected);
        let next = one.len() as u64 + 1;
        assert_eq!(append(&store, item(&job(1), next)).await, Appended::Committed);
        heads.push(one.len());
    }
    assert_eq!(heads.first(), Some(&40), "the whole copy has all that was answered");
    assert!(heads.is_sorted_by(|later, earlier| later >= earlier));
}

#[tokio::test]
async fn a_second_engine_is_refused_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store_in(folder.path());
    let refused =
        try_store_in(folder.path(), SqliteSettings::default()).expect_err("refused").to_string();
    let named = format!(
        "{} is in use by another engine (process {})",
        folder.path().display(),
        std::process::id()
    );
    assert!(refused.contains(&named), "{refused}");
    drop(store);
    fill(&store_in(folder.path()), &job(1), 1).await;
}

#[test]
fn a_newer_format_and_foreign_files_are_refused_untouched() {
    let folder = tempfile::tempdir().expect("a folder");
    drop(store_in(folder.path()));
    let file = folder.path().join("events.db");
    let mut bytes = fs::read(&file).expect("a file");
    // The header's user_version, big-endian, is at byte 60.
    bytes[60..64].copy_from_slice(&999_u32.to_be_bytes());
    fs::write(&file, &bytes).expect("written");
    let refused = try_store_in(folder.path(), SqliteSettings::default()).expect_err("refused");
    assert!(matches!(refused, FolderError::NewerFormat { found: 999, .. }), "{refused}");
    assert!(refused.to_string().contains("events.db has format 999"), "{refused}");
    assert_eq!(fs::read(&file).expect("a file"), bytes);

    fs::write(
        &file,
        b"not a database, but somebody's notes, long enough to be looked at".repeat(20),
    )
    .expect("written");
    let refused = try_store_in(folder.path(), SqliteSettings::default()).expect_err("refused");
    assert!(matches!(refused, FolderError::Foreign { .. }), "{refused}");
}

#[tokio::test]
async fn files_it_does_not_know_are_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("notes.txt"), "mine").expect("written");
    fs::create_dir(folder.path().join("backup")).expect("made");
    fill(&store_in(folder.path()), &job(1), 3).await;
    drop(store_in(folder.path()));
    assert_eq!(fs::read(folder.path().join("notes.txt")).expect("still there"), b"mine");
    assert!(folder.path().join("backup").is_dir());
}

#[test]
fn a_folder_that_cannot_be_used_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a-file");
    fs::write(&file, "x").expect("written");
    for path in [file.clone(), file.join("below")] {
        let refused = DataFolder::open(&path).expect_err("refused").to_string();
        assert!(refused.contains(&path.display().to_string()), "{refused}");
    }
    // A lock file that cannot be opened for writing stands for a folder without permission, which root never meets.
    let read_only = folder.path().join("read-only");
    fs::create_dir_all(read_only.join("engine.lock")).expect("made");
    let refused = DataFolder::open(&read_only).expect_err("refused").to_string();
    assert!(
        refused.contains("cannot be used: its lock file cannot be opened for writing"),
        "{refused}"
    );
}

#[cfg(unix)]
#[test]
fn a_new_folder_is_its_owners_only() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("data");
    drop(DataFolder::open(&path).expect("a folder"));
    assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o700);
}

#[tokio::test]
async fn a_full_store_refuses_what_may_wait_and_serves_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let limits = SqliteSettings {
        file_bytes_max: Some(1_024 * 1_024),
        reserve_bytes: 512 * 1_024,
        disk_free_min: 0,
        ..SqliteSettings::default()
    };
    let store = try_store_in(folder.path(), limits).expect("a store");
    let submit = |subject: u128| {
        let mut item = item_of(&job(subject), record(1, 1, subject, 60_000));
        item.may_use_reserve = false;
        item
    };
    let mut accepted = 0;
    while append(&store, submit(accepted + 1)).await == Appended::Committed {
        accepted += 1;
    }
    assert!((4..12).contains(&accepted), "{accepted}");
    assert_eq!(append(&store, item(&job(1), 2)).await, Appended::Committed, "from the reserve");
    assert_eq!(
        append(&store, submit(1)).await,
        Appended::Committed,
        "what is there is never called absent"
    );
    assert_eq!(append(&store, submit(99)).await, Appended::Full);
    // When the reserve is gone too, nothing that was there is lost and small things may still fit.
    let huge = item_of(&job(2), record(2, 1, 7, 2_000_000));
    let answers =
        store.append(vec![item(&job(1), 3), huge, item(&job(3), 2)]).await.expect("answers");
    assert_eq!(answers, [Appended::Committed, Appended::Full, Appended::Committed]);
    let part = store.read(&job(1), 1, usize::MAX).await.expect("a part");
    assert_eq!(part.records.len(), 3);
    drop(store);
    let roomy = store_in(folder.path());
    assert_eq!(append(&roomy, submit(accepted + 1)).await, Appended::Committed);
}

#[tokio::test]
async fn a_damaged_page_is_named_and_never_a_panic() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store_in(folder.path());
    for subject in 1..=20 {
        append(&store, item_of(&job(subject), record(1, 1, subject, 1_000))).await;
    }
    let expected = store.read(&job(7), 1, usize::MAX).await.expect("a part");
    drop(store);
    let whole = fs::read(folder.path().join("events.db")).expect("a file");
    let (mut damaged, mut unharmed) = (0, 0);
    for page in 0..whole.len() / 4_096 {
        let mut bytes = whole.clone();
        bytes[page * 4_096..(page + 1) * 4_096].fill(0xA5);
        let copy = tempfile::tempdir().expect("a folder");
        let file = copy.path().join("events.db");
        fs::write(&file, &bytes).expect("written");
        let refused = try_store_in(copy.path(), SqliteSettings::default()).expect_err("refused");
        assert!(refused.to_string().contains("events.db"), "{refused}");
        // The same while it is open.
        fs::write(&file, &whole).expect("written");
        let store = store_in(copy.path());
        fs::write(&file, &bytes).expect("written");
        match store.read(&job(7), 1, usize::MAX).await {
            Ok(part) => {
                assert!(part == expected, "page {page}");
                unharmed += 1;
            }
            Err(EventStoreError::Damaged { subject, .. }) => {
                assert_eq!(subject, job(7).to_string());
                damaged += 1;
            }
            Err(other) => panic!("page {page}: {other}"),
        }
        // Whatever is broken, an append is answered and the store lives on.
        let answers = store.append(vec![item(&job(7), 2)]).await;
        assert!(
            matches!(answers, Ok(_) | Err(EventStoreError::Damaged { .. })),
            "page {page}: {answers:?}"
        );
    }
    assert!(damaged > 0 && unharmed > 0, "{damaged} {unharmed}");
}

#[tokio::test]
async fn no_cut_leaves_a_payload_without_the_record_that_names_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store_in(folder.path());
    for first in 1..=30 {
        let mut named = item(&job(1), first);
        named.payloads.push(payload(&format!("{first} {}", "x".repeat(3_000))));
        assert_eq!(append(&store, named).await, Appended::Committed);
    }
    let mut conflicting = item(&job(1), 7);
    conflicting.record.nonce = 1;
    conflicting.payloads.push(payload("of nobody"));
    assert_eq!(append(&store, conflicting).await, Appended::Conflict);
    let wal = fs::read(folder.path().join("events.db-wal")).expect("a log of writes");
    let main = fs::read(folder.path().join("events.db")).expect("a file");
    drop(store);
    for kept in (0..=wal.len()).rev().step_by(wal.len() / 40) {
        let copy = tempfile::tempdir().expect("a folder");
        fs::write(copy.path().join("events.db"), &main).expect("written");
        fs::write(copy.path().join("events.db-wal"), &wal[..kept]).expect("written");
        let folder = Arc::new(DataFolder::open(copy.path()).expect("the folder"));
        let Ok(store) =
            SqliteEventStore::open(Arc::clone(&folder), "store-a", SqliteSettings::default())
        else {
            panic!("cut at {kept}");
        };
        let records = store.read(&job(1), 1, usize::MAX).await.expect("a part").records;
        let payloads = Inspection::open(&folder).expect("a look").payloads_of(&job(1));
        let payloads = payloads.expect("payloads");
        assert_eq!(payloads.len(), records.len(), "cut at {kept}");
        assert!(payloads.iter().all(|kept| kept.intact));
    }
}
