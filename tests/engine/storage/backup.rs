//! Copies of a store in use: whole or not there, and a store of a later incarnation once an engine opens one.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use orrery::event_store::contract::{Appended, EventStore};
use orrery::event_store::sqlite::{
    BackupError, DataFolder, FolderError, Inspection, SqliteEventStore, SqliteSettings, back_up,
};

use super::embedded::store_in;
use super::samples::{NOW, append, fill, item, job, payload};

fn restored(folder: &Path, opened_at: i64) -> SqliteEventStore {
    let folder = Arc::new(DataFolder::open(folder).expect("the folder"));
    let settings = SqliteSettings { opened_at, ..SqliteSettings::default() };
    SqliteEventStore::open(folder, "not asked for", settings).expect("a store")
}

#[tokio::test]
async fn a_copy_of_a_store_in_use_holds_what_was_committed_before_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, copy) = (folder.path().join("data"), folder.path().join("copy"));
    let store = store_in(&data);
    fill(&store, &job(1), 300).await;
    let mut named = item(&job(2), 1);
    named.payloads.push(payload("large"));
    append(&store, named).await;
    let before = store.read(&job(1), 1, usize::MAX).await.expect("a part");
    let made = back_up(&data, &copy, NOW).expect("a copy");
    assert_eq!((made.streams, made.newest_at), (2, NOW));
    fill(&store, &job(3), 1).await;
    assert_eq!(append(&store, item(&job(1), 301)).await, Appended::Committed, "it serves on");

    let restored = restored(&copy, 0);
    assert_eq!(restored.read(&job(1), 1, usize::MAX).await.expect("a part"), before);
    assert_eq!(restored.mark(&job(1)).await, store.mark(&job(1)).await);
    let hash = payload("large").hash;
    assert!(restored.payloads(&job(2), &[hash]).await.expect("an answer")[0].is_some());
    let absent = restored.read(&job(3), 1, usize::MAX).await.expect("a part");
    assert!(absent.records.is_empty(), "what came later is not in it");
}

#[tokio::test]
async fn an_incarnation_is_raised_once_a_restore_and_never_given_twice() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, copy) = (folder.path().join("data"), folder.path().join("copy"));
    let store = store_in(&data);
    fill(&store, &job(1), 1).await;
    back_up(&data, &copy, NOW).expect("a copy");
    let again = folder.path().join("again");
    fs::create_dir(&again).expect("made");
    fs::copy(copy.join("events.db"), again.join("events.db")).expect("copied");
    let looked = Arc::new(DataFolder::open(&copy).expect("the folder"));
    Inspection::open(&looked).expect("a look").faults().expect("no faults");
    drop((SqliteEventStore::open_for_reading(Arc::clone(&looked)).expect("a store"), looked));

    let info = |store: SqliteEventStore| async move { store.info().await.expect("info") };
    let first = info(restored(&copy, NOW)).await;
    assert_eq!(first.store_id, "store-a");
    assert!(first.incarnation > 1, "looking at a copy is no restore, opening it is one");
    assert_eq!(info(restored(&copy, NOW + 60_000)).await, first, "the next opening is none");
    let original = store.info().await.expect("info");
    assert_eq!(
        first.lease_key, original.lease_key,
        "the leases of before are void by their epochs"
    );
    let second = info(restored(&again, NOW + 2_000)).await;
    assert!(second.incarnation > first.incarnation, "the same copy restored again is another one");
    assert_eq!(info(restored(&data.join("new"), NOW)).await.incarnation, 1);
    assert_eq!(store.info().await.expect("info").incarnation, 1, "the original goes on as it was");
}

#[tokio::test]
async fn a_store_of_before_leases_were_authenticated_gets_a_key_and_keeps_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let key = async |folder: &Path| restored(folder, 0).info().await.expect("info").lease_key;
    let drawn = key(folder.path()).await;
    assert_eq!(drawn.reveal().len(), 64, "256 bits in hexadecimal digits");
    assert_eq!(key(folder.path()).await, drawn);
    let file = rusqlite::Connection::open(folder.path().join("events.db")).expect("a file");
    let removed = file.execute("DELETE FROM meta WHERE key = 'lease_key'", []).expect("written");
    assert_eq!(removed, 1);
    drop(file);
    let looked = Arc::new(DataFolder::open(folder.path()).expect("the folder"));
    let beside = SqliteEventStore::open_for_reading(Arc::clone(&looked)).expect("a store");
    assert_eq!(
        beside.info().await.expect("info").lease_key.reveal(),
        "",
        "looking changes nothing"
    );
    drop((beside, looked));
    let anew = key(folder.path()).await;
    assert_ne!(anew, drawn);
    assert_eq!(key(folder.path()).await, anew);
}

#[tokio::test]
async fn a_copy_goes_to_a_free_place_or_nowhere() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    fill(&store_in(&data), &job(1), 3).await;
    let to = folder.path().join("taken");
    fs::create_dir(&to).expect("made");
    back_up(&data, &to, NOW).expect("an empty folder is free");
    let refused = back_up(&data, &to, NOW).expect_err("it is not empty any more");
    assert!(matches!(refused, BackupError::Taken { .. }), "{refused}");
    let refused = back_up(&data, &to.join("events.db"), NOW).expect_err("a file is no folder");
    assert!(matches!(refused, BackupError::Taken { .. }), "{refused}");
    let refused = back_up(&folder.path().join("none"), &to, NOW).expect_err("nothing to copy");
    assert!(matches!(refused, BackupError::Folder(FolderError::NoStore { .. })), "{refused}");
    let below = folder.path().join("missing/below");
    assert!(matches!(back_up(&data, &below, NOW), Err(BackupError::Failed { .. })));
}

#[tokio::test]
async fn a_copy_that_was_cut_off_is_never_taken_for_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, copy) = (folder.path().join("data"), folder.path().join("copy"));
    fill(&store_in(&data), &job(1), 3).await;
    let partial = folder.path().join("copy.partial");
    fs::create_dir(&partial).expect("made");
    fs::write(partial.join("events.db"), "half").expect("written");
    let refused = back_up(&data, &copy, NOW).expect_err("refused").to_string();
    assert!(refused.contains("copy.partial exists"), "{refused}");
    assert!(!copy.exists() && partial.join("events.db").exists());
    fs::remove_dir_all(&partial).expect("removed");
    back_up(&data, &copy, NOW).expect("a copy");
    assert!(!partial.exists());

    // A damaged original gives no copy, and leaves nothing at its place.
    let file = data.join("events.db");
    let mut bytes = fs::read(&file).expect("a file");
    let end = bytes.len();
    bytes[4_096..end].fill(0xA5);
    fs::write(&file, bytes).expect("written");
    let other = folder.path().join("other");
    assert!(back_up(&data, &other, NOW).is_err());
    assert!(!other.exists() && !folder.path().join("other.partial").exists());
}

#[tokio::test]
async fn a_copy_is_not_mixed_with_the_log_of_another_store() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, copy) = (folder.path().join("data"), folder.path().join("copy"));
    let store = store_in(&data);
    fill(&store, &job(1), 3).await;
    back_up(&data, &copy, NOW).expect("a copy");
    fill(&store, &job(2), 3).await;
    fs::copy(data.join("events.db-wal"), copy.join("events.db-wal")).expect("copied");
    let lock = Arc::new(DataFolder::open(&copy).expect("the folder"));
    let refused =
        SqliteEventStore::open(lock, "x", SqliteSettings::default()).expect_err("refused");
    assert!(refused.to_string().contains("belongs to another store"), "{refused}");
}
