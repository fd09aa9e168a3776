//! What only the embedded view has: a file that is kept, made anew, or set aside.

use std::fs;

use orrery::view::contract::{Columns, Document, View, ViewError};
use orrery::view::sqlite::SqliteView;

use super::samples::{job, namespace};

use crate::harness::view_document::One as _;

fn environment() -> Document {
    let columns = Columns::Named { name: "gpu".to_owned() };
    let subject = domain::ids::SubjectId { kind: domain::ids::SubjectKind::Environment, ..job(1) };
    Document { subject, seq: 4, columns, body: "{}".into(), nodes: Vec::new() }
}

#[tokio::test]
async fn a_reopened_view_has_everything_and_knows_its_store() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("view.db");
    let view = SqliteView::open(&file).expect("a view");
    assert_eq!(view.adopt("a", false).await, Ok(false));
    assert_eq!(view.adopt("a", true).await, Ok(false));
    view.flush(vec![environment()]).await.expect("flushed");
    drop(view);
    let view = SqliteView::open(&file).expect("a view");
    assert_eq!(view.adopt("a", false).await, Ok(true));
    let older = Document { seq: 3, ..environment() };
    view.flush(vec![older]).await.expect("passed over");
    assert_eq!(view.get(&environment().subject).await, Ok(Some(environment())));
}

#[tokio::test]
async fn what_was_synced_is_in_the_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let view = SqliteView::open(&folder.path().join("view.db")).expect("a view");
    view.flush(vec![environment()]).await.expect("flushed");
    view.sync().await.expect("synced");
    let copy = tempfile::tempdir().expect("a folder");
    for part in ["view.db", "view.db-wal"] {
        fs::copy(folder.path().join(part), copy.path().join(part)).expect("copied");
    }
    let view = SqliteView::open(&copy.path().join("view.db")).expect("a view");
    assert_eq!(view.get(&environment().subject).await, Ok(Some(environment())));
}

#[tokio::test]
async fn a_file_of_another_format_is_made_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("view.db");
    let view = SqliteView::open(&file).expect("a view");
    view.adopt("a", false).await.expect("adopted");
    view.adopt("a", true).await.expect("adopted");
    drop(view);
    let mut bytes = fs::read(&file).expect("a file");
    // The header's user_version, big-endian, is at byte 60.
    bytes[60..64].copy_from_slice(&999_u32.to_be_bytes());
    fs::write(&file, bytes).expect("written");
    let view = SqliteView::open(&file).expect("a view");
    assert_eq!(view.adopt("a", false).await, Ok(false), "it must be rebuilt");
    let page = view.named(namespace("default"), environment().subject.kind, 1, 10).await;
    assert!(page.expect("a page").items.is_empty());
}

#[tokio::test]
async fn a_damaged_file_is_set_aside_and_a_foreign_one_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("view.db");
    let damaged = b"this was a view before the disk had its way with it ".repeat(100);
    fs::write(&file, &damaged).expect("written");
    let view = SqliteView::open(&file).expect("a new view");
    assert_eq!(view.adopt("a", false).await, Ok(false));
    let aside = folder.path().join("view.db.damaged");
    assert_eq!(fs::read(aside).expect("the damaged file"), damaged);
    drop(view);
    let mut bytes = fs::read(&file).expect("a file");
    // The header's application_id is at byte 68.
    bytes[68..72].copy_from_slice(b"SPOT");
    fs::write(&file, &bytes).expect("written");
    let refused = SqliteView::open(&file).expect_err("refused");
    assert!(
        matches!(&refused, ViewError::Damaged(why) if why.contains("another program")),
        "{refused}"
    );
}
