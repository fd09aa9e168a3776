//! A right that one process holds at a time: a document that expires by the server's clock.
//! Always holds: whoever takes it gets a number higher than all before (the fence); holding on needs the owner and
//! the fence, so that one that slept through its expiry finds out.
//! Absent: any clock but the server's.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "every other failure of the driver is no duplicate"
)]

use std::time::Duration;

use bson::oid::ObjectId;
use bson::{Bson, Document, doc};
use mongodb::Collection;
use mongodb::error::{Error, ErrorKind, WriteFailure};
use mongodb::options::ReturnDocument;

use super::failure::DUPLICATE_KEY;
use super::{CallError, MongoConnection, to_stored};

/// The right itself; only `take` makes one.
#[derive(Debug)]
pub struct Lock {
    connection: MongoConnection,
    locks: Collection<Document>,
    name: &'static str,
    owner: ObjectId,
    held: Duration,
    fence: i64,
}

impl Lock {
    /// Takes the right of this name for `held`, unless somebody has it: then says so with `None`. `who` is shown to
    /// people.
    ///
    /// # Errors
    /// When nothing is known of it.
    pub async fn take(
        connection: &MongoConnection,
        name: &'static str,
        who: &str,
        held: Duration,
    ) -> Result<Option<Self>, CallError> {
        let locks: Collection<Document> = connection.database().collection("locks");
        let owner = ObjectId::new();
        // The document decides by itself whether it is free: a missing time is before every other.
        let when_free = |new: Bson, old: &str| doc! { "$cond": ["$free", new, old] };
        let fence = doc! { "$add": [{ "$ifNull": ["$fence", 0_i64] }, 1_i64] };
        let until = doc! { "$add": ["$$NOW", millis(held)] };
        let ours = vec![
            doc! { "$set": { "free": { "$lt": ["$until", "$$NOW"] } } },
            doc! { "$set": {
                "owner": when_free(owner.into(), "$owner"),
                "who": when_free(doc! { "$literal": who }.into(), "$who"),
                "fence": when_free(fence.into(), "$fence"),
                "until": when_free(until.into(), "$until"),
            } },
            doc! { "$unset": "free" },
        ];
        let asked = locks.clone();
        let taken = connection.calls().make("the taking of a lock", async move {
            let taken = asked
                .find_one_and_update(doc! { "_id": name }, ours)
                .upsert(true)
                .return_document(ReturnDocument::After)
                .await;
            match taken {
                // Somebody else made it at the same moment.
                Err(error) if is_duplicate(&error) => Ok(None),
                other => other,
            }
        });
        let taken = taken.await?.unwrap_or_default();
        if taken.get_object_id("owner").ok() != Some(owner) {
            return Ok(None);
        }
        let fence = taken.get_i64("fence").unwrap_or(0);
        Ok(Some(Self { connection: connection.clone(), locks, name, owner, held, fence }))
    }

    /// Grows with every taking.
    pub fn fence(&self) -> i64 {
        self.fence
    }

    /// How long it is held without being renewed.
    pub fn held(&self) -> Duration {
        self.held
    }

    /// Holds on; false when it is somebody else's by now.
    ///
    /// # Errors
    /// When nothing is known of it: it may run out meanwhile.
    pub async fn renew(&self) -> Result<bool, CallError> {
        let longer = vec![doc! { "$set": { "until": { "$add": ["$$NOW", millis(self.held)] } } }];
        let (locks, ours) = (self.locks.clone(), self.ours());
        let renewed = self
            .connection
            .calls()
            .make("the renewal of a lock", async move { locks.update_one(ours, longer).await });
        Ok(renewed.await?.matched_count == 1)
    }

    /// Lets go of it.
    ///
    /// # Errors
    /// When nothing is known of it: then it runs out.
    pub async fn release(&self) -> Result<(), CallError> {
        let free = vec![doc! { "$set": { "until": "$$NOW" } }];
        let (locks, ours) = (self.locks.clone(), self.ours());
        let released = self
            .connection
            .calls()
            .make("the end of a lock", async move { locks.update_one(ours, free).await.map(drop) });
        released.await
    }

    fn ours(&self) -> Document {
        doc! { "_id": self.name, "owner": self.owner, "fence": self.fence }
    }
}

fn millis(held: Duration) -> i64 {
    to_stored(u64::try_from(held.as_millis()).unwrap_or(u64::MAX))
}

fn is_duplicate(error: &Error) -> bool {
    match &*error.kind {
        ErrorKind::Command(refused) => refused.code == DUPLICATE_KEY,
        ErrorKind::Write(WriteFailure::WriteError(refused)) => refused.code == DUPLICATE_KEY,
        _ => false,
    }
}
