//! The MongoDB membership behind the contract. Absent: what is in a document (`engines`, `groups`).

use bson::{RawDocumentBuf, doc};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use mongodb::Collection;
use mongodb::options::ReturnDocument;

use crate::environment::mongodb::{CallError, CollectionQuery, MongoConnection, Undecodable};
use crate::membership::contract::{
    EngineId, HandOver, Introduction, Membership, MembershipError, MembershipResult, Renewal,
    Roster, Take,
};

/// The index that both collections are read through.
const BY_ID: &str = "_id_";
/// The document of `meta` in which engines of before kept the secret between them.
pub(super) const CLUSTER: &str = "cluster";

/// The engines and groups of a database.
#[derive(Debug, Clone)]
pub struct MongoMembership {
    pub(super) connection: MongoConnection,
    pub(super) engines: Collection<RawDocumentBuf>,
    pub(super) groups: Collection<RawDocumentBuf>,
}

impl MongoMembership {
    /// Of this database; its collections must be there (migrations).
    pub fn new(connection: MongoConnection) -> Self {
        Self {
            engines: connection.collection("engines"),
            groups: connection.collection("groups"),
            connection,
        }
    }

    /// All documents that match, in the order of their ids. Both collections are small: dozens.
    pub(super) async fn all(
        &self,
        what: &'static str,
        collection: &Collection<RawDocumentBuf>,
        filter: bson::Document,
        fields: bson::Document,
    ) -> MembershipResult<Vec<RawDocumentBuf>> {
        let query = CollectionQuery {
            filter,
            sort: doc! { "_id": 1 },
            index: BY_ID,
            fields,
            ..CollectionQuery::default()
        };
        self.connection.find(what, collection, query).await.map_err(of_call)
    }

    /// One document of `meta`, changed by this pipeline and read back.
    pub(super) async fn meta(
        &self,
        what: &'static str,
        id: &'static str,
        change: bson::Document,
    ) -> MembershipResult<bson::Document> {
        let meta = self.connection.database().collection::<bson::Document>("meta");
        let changed = self.connection.calls().make(what, async move {
            meta.find_one_and_update(doc! { "_id": id }, vec![change])
                .upsert(true)
                .return_document(ReturnDocument::After)
                .await
        });
        Ok(changed.await.map_err(of_call)?.unwrap_or_default())
    }
}

#[expect(clippy::needless_pass_by_value, reason = "what a failed call leaves ends here")]
pub(super) fn of_call(error: CallError) -> MembershipError {
    MembershipError::Unavailable(error.to_string())
}

#[expect(clippy::needless_pass_by_value, reason = "what cannot be read ends here")]
pub(super) fn damaged(error: Undecodable) -> MembershipError {
    MembershipError::Damaged(error.to_string())
}

impl Membership for MongoMembership {
    fn join<'a>(
        &'a self,
        introduction: &'a Introduction,
    ) -> BoxFuture<'a, MembershipResult<EngineId>> {
        self.begin_life(introduction).boxed()
    }

    fn renew(&self, me: EngineId, leaving: bool) -> BoxFuture<'_, MembershipResult<Renewal>> {
        self.renew_tenure(me, leaving).boxed()
    }

    fn look(&self) -> BoxFuture<'_, MembershipResult<Roster>> {
        // The groups first: whoever drives one of them had joined before, and is among the engines unless evicted.
        async {
            let groups = self.read_groups().await?;
            Ok(Roster { engines: self.read_engines().await?, groups })
        }
        .boxed()
    }

    fn evict(&self, engine: EngineId) -> BoxFuture<'_, MembershipResult<bool>> {
        self.evict_engine(engine).boxed()
    }

    fn evict_at<'a>(
        &'a self,
        engine: EngineId,
        address: &'a str,
    ) -> BoxFuture<'a, MembershipResult<bool>> {
        self.evict_engine_at(engine, address).boxed()
    }

    fn take(&self, me: EngineId, takes: Vec<Take>) -> BoxFuture<'_, MembershipResult<()>> {
        async move { self.take_groups(me, &takes).await }.boxed()
    }

    fn hand_over(
        &self,
        me: EngineId,
        groups: Vec<HandOver>,
    ) -> BoxFuture<'_, MembershipResult<()>> {
        async move { self.hand_over_groups(me, &groups).await }.boxed()
    }

    fn leave(&self, me: EngineId) -> BoxFuture<'_, MembershipResult<()>> {
        self.end_life(me).boxed()
    }
}
