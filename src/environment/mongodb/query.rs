//! One query as data: what is looked for, in which order, through which index.
//! Always holds: it names its index, so that the server refuses it rather than scan a collection; values are typed
//! BSON, never a client's JSON; it is answered within its deadline by the server too.
//! Absent: running it.

use std::time::Duration;

use bson::{Document, RawDocumentBuf};
use mongodb::options::{FindOptions, Hint};
use mongodb::{Collection, Cursor};

/// What is asked of one collection.
#[derive(Debug, Clone, Default)]
pub struct CollectionQuery {
    pub filter: Document,
    /// The order; empty: that of the index.
    pub sort: Document,
    /// The index's name.
    pub index: &'static str,
    /// The fields that are read; empty: all.
    pub fields: Document,
    /// Where the walk through the index begins, itself included; empty: at its beginning.
    pub from: Document,
    /// Where the walk ends, itself excluded; empty: at its end.
    pub to: Document,
    /// Documents that are passed over.
    pub skip: u64,
    /// Documents at most; 0: all.
    pub limit: i64,
    /// Documents in an answer of the server at most; 0: as it likes.
    pub batch: u32,
}

impl CollectionQuery {
    /// As the driver takes it. The server gives up after `deadline` too.
    pub fn options(&self, deadline: Duration) -> FindOptions {
        let given = |document: &Document| (!document.is_empty()).then(|| document.clone());
        let mut options = FindOptions::default();
        options.hint = Some(Hint::Name(self.index.to_owned()));
        options.sort = given(&self.sort);
        options.projection = given(&self.fields);
        options.min = given(&self.from);
        options.max = given(&self.to);
        options.skip = (self.skip > 0).then_some(self.skip);
        options.limit = (self.limit > 0).then_some(self.limit);
        options.batch_size = (self.batch > 0).then_some(self.batch);
        options.max_time = Some(deadline);
        // With it the server would rather sort on its disk than refuse.
        options.allow_disk_use = Some(false);
        options
    }

    /// Asks the collection.
    ///
    /// # Errors
    /// What the driver says.
    pub async fn run(
        self,
        collection: &Collection<RawDocumentBuf>,
        deadline: Duration,
    ) -> mongodb::error::Result<Cursor<RawDocumentBuf>> {
        let options = self.options(deadline);
        collection.find(self.filter).with_options(options).await
    }
}
