//! Documents of `engines`: `_id` = the engine's number, its tenure's end `until`, and once it is evicted `evicted_at`,
//! which nothing takes away; a day later the document goes by itself.
//! Always holds: numbers come from one counter and are never given twice, also when a join was answered by silence.

use bson::{Document, doc};
use mongodb::Collection;
use mongodb::options::ReturnDocument;

use super::store::{CLUSTER, MongoMembership, damaged, of_call};
use crate::environment::mongodb::{DocumentFields, Undecodable, millis_of, to_stored};
use crate::membership::contract::{
    EngineId, EngineRecord, Introduction, MembershipError, MembershipResult, Renewal, TENURE,
};

/// The document of `meta` that counts the starts.
const COUNTER: &str = "engines";

impl MongoMembership {
    fn documents(&self) -> Collection<Document> {
        self.connection.database().collection("engines")
    }

    pub(super) async fn begin_life(
        &self,
        introduction: &Introduction,
    ) -> MembershipResult<EngineId> {
        let next = doc! { "$add": [{ "$ifNull": ["$last", 0_i64] }, 1_i64] };
        let counted = self.meta("an engine's number", COUNTER, doc! { "$set": { "last": next } });
        let number =
            counted.await?.get_i64("last").ok().and_then(|last| EngineId::try_from(last).ok());
        let Some(engine) = number else {
            let told = "`last` of the counter of engines is not a number of an engine";
            return Err(MembershipError::Damaged(told.to_owned()));
        };
        let literal = |text: &str| doc! { "$literal": text };
        let born = vec![doc! { "$set": {
            "name": literal(&introduction.name_of(engine)),
            "address": literal(&introduction.address),
            "version": literal(&introduction.version),
            "public_key": literal(&introduction.public_key),
            "schema_version": 1,
            "started_at": "$$NOW",
            "renewed_at": "$$NOW",
            "until": until(),
            "leaving": false,
        } }];
        let engines = self.documents();
        let which = doc! { "_id": i64::from(engine) };
        let joined = self.connection.calls().make("an engine's joining", async move {
            engines.update_one(which, born).upsert(true).await.map(drop)
        });
        joined.await.map_err(of_call)?;
        self.forget_secret().await?;
        Ok(engine)
    }

    /// Engines of before keys were shown kept the secret between them in clear.
    async fn forget_secret(&self) -> MembershipResult<()> {
        let meta = self.connection.database().collection::<Document>("meta");
        let forgotten = self.connection.calls().make("forgetting the old secret", async move {
            meta.delete_one(doc! { "_id": CLUSTER }).await.map(drop)
        });
        forgotten.await.map_err(of_call)
    }

    pub(super) async fn renew_tenure(
        &self,
        me: EngineId,
        leaving: bool,
    ) -> MembershipResult<Renewal> {
        let longer = vec![doc! { "$set": {
            "renewed_at": "$$NOW", "until": until(), "leaving": leaving,
        } }];
        let which = doc! { "_id": i64::from(me), "evicted_at": { "$exists": false } };
        let engines = self.documents();
        let renewed = self.connection.calls().make("an engine's renewal", async move {
            engines.find_one_and_update(which, longer).return_document(ReturnDocument::After).await
        });
        let Some(renewed) = renewed.await.map_err(of_call)? else { return Ok(Renewal::Evicted) };
        let at = renewed.get_datetime("renewed_at").ok().map(|at| millis_of(*at));
        Ok(Renewal::Held { at })
    }

    /// One update decides: a tenure that is over, or that never was, is evicted; one that holds is left alone.
    pub(super) async fn evict_engine(&self, engine: EngineId) -> MembershipResult<bool> {
        let over = doc! { "$lt": ["$until", "$$NOW"] };
        // A missing end is before every time; a missing field set to what is missing stays away.
        let evicted = vec![doc! { "$set": { "evicted_at": {
            "$ifNull": ["$evicted_at", { "$cond": [over, "$$NOW", "$$REMOVE"] }],
        } } }];
        let which = doc! { "_id": i64::from(engine) };
        let engines = self.documents();
        let after = self.connection.calls().make("the eviction of an engine", async move {
            engines
                .find_one_and_update(which, evicted)
                .upsert(true)
                .return_document(ReturnDocument::After)
                .await
        });
        let after = after.await.map_err(of_call)?;
        Ok(after.is_some_and(|after| after.get_datetime("evicted_at").is_ok()))
    }

    /// One update decides: only an engine at this address that is not leaving is evicted whatever its tenure says.
    pub(super) async fn evict_engine_at(
        &self,
        engine: EngineId,
        address: &str,
    ) -> MembershipResult<bool> {
        let evicted = vec![doc! { "$set": {
            "evicted_at": { "$ifNull": ["$evicted_at", "$$NOW"] },
        } }];
        let which = doc! {
            "_id": i64::from(engine), "address": address, "leaving": { "$ne": true },
        };
        let engines = self.documents();
        let after = self.connection.calls().make("the eviction of an engine", async move {
            engines.find_one_and_update(which, evicted).return_document(ReturnDocument::After).await
        });
        let after = after.await.map_err(of_call)?;
        Ok(after.is_some_and(|after| after.get_datetime("evicted_at").is_ok()))
    }

    pub(super) async fn end_life(&self, me: EngineId) -> MembershipResult<()> {
        let evicted = vec![doc! { "$set": {
            "evicted_at": { "$ifNull": ["$evicted_at", "$$NOW"] }, "until": "$$NOW",
        } }];
        let which = doc! { "_id": i64::from(me) };
        let engines = self.documents();
        let ended = self.connection.calls().make("an engine's leaving", async move {
            engines.update_one(which, evicted).await.map(drop)
        });
        ended.await.map_err(of_call)
    }

    pub(super) async fn read_engines(&self) -> MembershipResult<Vec<EngineRecord>> {
        let fields = doc! {
            "name": 1, "address": 1, "version": 1, "public_key": 1, "started_at": 1, "renewed_at": 1, "leaving": 1,
            "lives": { "$gte": ["$until", "$$NOW"] },
        };
        let filter = doc! { "evicted_at": { "$exists": false } };
        let found = self.all("the engines", &self.engines, filter, fields).await?;
        let read: Result<_, Undecodable> =
            found.iter().map(|document| record_of(DocumentFields(document))).collect();
        read.map_err(damaged)
    }
}

fn record_of(fields: DocumentFields<'_>) -> Result<EngineRecord, Undecodable> {
    let number = EngineId::try_from(fields.number("_id")?);
    let flag = |field| Ok(fields.find(field)?.and_then(bson::RawBsonRef::as_bool).unwrap_or(false));
    Ok(EngineRecord {
        engine: number.map_err(|_| Undecodable { field: "_id", problem: "is too large" })?,
        name: fields.text("name")?.to_owned(),
        address: fields.text("address")?.to_owned(),
        version: fields.text("version")?.to_owned(),
        // One of before keys were shown has none.
        public_key: fields.text("public_key").unwrap_or_default().to_owned(),
        started_at: fields.millis("started_at")?,
        renewed_at: fields.millis("renewed_at")?,
        lives: flag("lives")?,
        leaving: flag("leaving")?,
    })
}

fn until() -> Document {
    let tenure_ms = to_stored(u64::try_from(TENURE.as_millis()).unwrap_or(u64::MAX));
    doc! { "$add": ["$$NOW", tenure_ms] }
}
