//! Pages of nodes in MongoDB: readable, guarded by seq, and gone with their job.

use std::sync::Arc;

use bson::spec::BinarySubtype;
use bson::{Bson, Document, doc};
use orrery::engine::core::kinds::Entity;
use orrery::view::contract::{Columns, Document as Shown, NodePage, View};

use super::Database;
use super::queries::columns;
use crate::harness::jobs;
use crate::harness::lab::Lab;
use crate::storage::samples::NOW;

/// A job of 120 nodes, half-way, as its driver has it: its document with these pages.
fn shown(seq: u64, pages: &[u32]) -> Shown {
    let mut lab = Lab::new();
    let subject = lab.submit(0, 7, jobs::fan(118));
    let first = lab.lease(0, jobs::poll("worker", 1));
    lab.complete(0, &first[0]);
    if seq > 3 {
        // Some of them run by then.
        lab.lease(0, jobs::poll("worker", 5));
    }
    let Some((_, Entity::Job(job))) = lab.core_of(0).committed_state(&subject) else {
        panic!("no job")
    };
    let page = |number: &u32| {
        let first = 100 * usize::try_from(*number).expect("small");
        let states = job.nodes.iter().skip(first).take(100).cloned().collect();
        NodePage { number: *number, first, plan: Arc::clone(&job.plan), states }
    };
    Shown {
        subject,
        seq,
        columns: Columns::Job(Box::new(columns("fan"))),
        body: "{}".into(),
        nodes: pages.iter().map(page).collect(),
    }
}

async fn pages(database: &Database) -> Vec<Document> {
    let nodes = database.connection.database().collection::<Document>("nodes");
    let mut cursor = nodes.find(doc! {}).sort(doc! { "_id": 1 }).await.expect("pages");
    let mut found = Vec::new();
    while cursor.advance().await.expect("a page") {
        found.push(cursor.deserialize_current().expect("a page"));
    }
    found
}

fn statuses(page: &Document) -> Vec<&str> {
    let nodes = page.get_array("nodes").expect("nodes").iter();
    nodes.filter_map(|node| node.as_document()?.get_str("status").ok()).collect()
}

#[tokio::test]
#[ignore = "needs a mongod: scripts/test fetches one"]
async fn pages_are_readable_and_an_older_one_never_replaces_a_newer_one() {
    let database = Database::fresh().await;
    let view = database.view();
    view.flush(vec![shown(3, &[0, 1])]).await.expect("flushed");
    let found = pages(&database).await;
    assert_eq!(found.iter().map(|page| statuses(page).len()).collect::<Vec<_>>(), [100, 20]);
    let id = found[0].get("job_id").expect("an id");
    assert!(matches!(id, Bson::Binary(binary) if binary.subtype == BinarySubtype::Uuid));
    let first = found[0].get_array("nodes").expect("nodes")[0].as_document().expect("a node");
    assert_eq!(first.get_str("key").ok(), Some("first"));
    assert_eq!(first.get_str("status").ok(), Some("completed"));
    assert!(first.get_datetime("started_at").is_ok() && first.get_datetime("since").is_ok());

    let newer = shown(9, &[0]);
    // In one flush, in two, and by an engine that has seen nothing: the newest stays.
    view.flush(vec![newer.clone(), shown(3, &[0])]).await.expect("flushed");
    database.view().flush(vec![shown(3, &[0, 1])]).await.expect("passed over");
    let found = pages(&database).await;
    let seqs: Vec<_> = found.iter().filter_map(|page| page.get_i64("seq").ok()).collect();
    assert_eq!(seqs, [9, 3]);
    assert!(statuses(&found[0]).contains(&"running"));
    database.end().await;
}

/// The server checks a page's own fields only (0006), for its cost; what it holds has the form all the same that the
/// schema of before describes in full.
#[tokio::test]
#[ignore = "needs a mongod: scripts/test fetches one"]
async fn every_page_has_the_form_that_its_first_schema_describes() {
    let database = Database::fresh().await;
    database.view().flush(vec![shown(9, &[0, 1])]).await.expect("flushed");
    let text = include_str!("../../../../migrations/0005_nodes.json");
    let migration: Document = serde_json::from_str(text).expect("a migration");
    let commands = migration.get_array("commands").expect("commands").iter();
    let mut schema =
        commands.filter_map(|command| command.as_document()?.get_document("validator").ok());
    let schema = schema.next().cloned().expect("a validator");
    let nodes = database.connection.database().collection::<Document>("nodes");
    assert_eq!(nodes.count_documents(schema.clone()).await.expect("a count"), 2);
    let wrong = doc! { "$set": { "nodes.3.status": "asleep" } };
    nodes.update_one(doc! {}, wrong).await.expect("changed");
    assert_eq!(nodes.count_documents(schema).await.expect("a count"), 1, "it looks into each node");
    database.end().await;
}

#[tokio::test]
#[ignore = "needs a mongod: scripts/test fetches one"]
async fn pages_go_with_their_job_and_a_late_flush_brings_none_back() {
    let database = Database::fresh().await;
    let view = database.view();
    view.flush(vec![shown(3, &[0, 1])]).await.expect("flushed");
    let columns = Columns::Deleted { keep_until: NOW + 90_000 };
    let gone = Shown { seq: 12, columns, body: "".into(), ..shown(3, &[]) };
    view.flush(vec![gone]).await.expect("flushed");
    for late in [view, database.view()] {
        late.flush(vec![shown(9, &[0, 1])]).await.expect("passed over");
    }
    let found = pages(&database).await;
    assert_eq!(found.len(), 2);
    for page in found {
        assert!(page.get("nodes").is_none() && page.get("job_id").is_none(), "{page}");
        assert_eq!(page.get_i64("seq").ok(), Some(12));
        assert!(page.get_datetime("keep_until").is_ok());
    }
    database.end().await;
}
