//! Who the store is: one document in `meta`, made by the first engine.
//! Always holds: the id is drawn once; the newest record's time there is at most `NEWEST_EVERY` and one append
//! behind (it is a floor for the clock at start, beside the server's own time).
//! Absent: raising the incarnation, which a restore does.

use std::time::Duration;

use bson::{Document, doc};
use domain::ids::Millis;
use mongodb::Collection;
use mongodb::options::ReturnDocument;

use super::records::{BY_ID, EVENTS};
use crate::config::Secret;
use crate::environment::draw_secret;
use crate::environment::mongodb::{
    CollectionQuery, DocumentFields, MongoConnection, StartError, to_date,
};

/// Between two writes of the newest record's time.
pub(super) const NEWEST_EVERY: Duration = Duration::from_secs(1);
/// The document's id.
const STORE: &str = "store";
/// Its field with the key that leases are authenticated under.
const LEASE_KEY: &str = "lease_key";

/// What was found, or made.
#[derive(Debug)]
pub(super) struct StoreIdentity {
    pub(super) store_id: String,
    pub(super) incarnation: u32,
    pub(super) newest_at: Millis,
    pub(super) lease_key: Secret,
}

pub(super) fn collection(connection: &MongoConnection) -> Collection<Document> {
    connection.database().collection("meta")
}

/// Reads the identity, making it with this id when there is none.
pub(super) async fn load(
    connection: &MongoConnection,
    new_store_id: &str,
) -> Result<StoreIdentity, StartError> {
    let meta = collection(connection);
    let fresh = doc! { "$setOnInsert": {
        "store_id": new_store_id,
        "incarnation": 1_i64,
        "newest_at": to_date(0),
        LEASE_KEY: draw_secret().reveal(),
    } };
    let found = connection.calls().make("the store's identity", async move {
        meta.find_one_and_update(doc! { "_id": STORE }, fresh)
            .upsert(true)
            .return_document(ReturnDocument::After)
            .await
    });
    let mut found = found.await?.unwrap_or_default();
    if !found.contains_key(LEASE_KEY) {
        found = draw_lease_key(connection).await?;
    }
    let wrong = |problem: String| {
        StartError::Schema(format!(
            "the document \"store\" of the collection meta cannot be read: {problem}"
        ))
    };
    let raw = bson::RawDocumentBuf::try_from(&found).map_err(|error| wrong(error.to_string()))?;
    let fields = DocumentFields(&raw);
    let read = || {
        Ok::<_, crate::environment::mongodb::Undecodable>(StoreIdentity {
            store_id: fields.text("store_id")?.to_owned(),
            incarnation: u32::try_from(fields.number("incarnation")?).unwrap_or(u32::MAX),
            newest_at: fields.millis("newest_at")?,
            lease_key: Secret::new(fields.text(LEASE_KEY)?),
        })
    };
    read().map_err(|problem| wrong(problem.to_string()))
}

/// Gives a store of before leases were authenticated its key. Of several engines that do so the first one's stays.
async fn draw_lease_key(connection: &MongoConnection) -> Result<Document, StartError> {
    let meta = collection(connection);
    let made = connection.calls().make("the key of leases", async move {
        let missing = doc! { "_id": STORE, LEASE_KEY: { "$exists": false } };
        let key = doc! { "$set": { LEASE_KEY: draw_secret().reveal() } };
        meta.update_one(missing, key).await?;
        meta.find_one(doc! { "_id": STORE }).await
    });
    Ok(made.await?.unwrap_or_default())
}

/// The time of the last record in the order of ids: of one of the youngest jobs, since ids begin with their time. 0
/// when there is none, so that a store is only ever called empty when it is.
pub(super) async fn newest_of_last(connection: &MongoConnection) -> Result<Millis, StartError> {
    let query = CollectionQuery {
        filter: doc! { "at": { "$exists": true } },
        sort: doc! { "_id": -1 },
        index: BY_ID,
        fields: doc! { "at": 1 },
        limit: 1,
        ..CollectionQuery::default()
    };
    let (events, deadline) = (connection.collection(EVENTS), connection.calls().deadline());
    let last = connection.calls().make("the last record", async move {
        let mut cursor = query.run(&events, deadline).await?;
        Ok(if cursor.advance().await? { Some(cursor.current().to_owned()) } else { None })
    });
    Ok(last.await?.and_then(|last| DocumentFields(&last).millis("at").ok()).unwrap_or(0))
}

/// Keeps the newest record's time.
pub(super) async fn keep_newest(
    meta: Collection<Document>,
    newest_at: Millis,
) -> mongodb::error::Result<()> {
    let change = doc! { "$max": { "newest_at": to_date(newest_at) } };
    meta.update_one(doc! { "_id": STORE }, change).await.map(drop)
}
