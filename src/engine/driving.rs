//! What other engines wrote for the groups that this one drives, read when its tenure is renewed. The part of the handle
//! that only the driver's service uses. Absent: who drives what (`peers` is told it).

use domain::ids::GroupId;
use futures_util::stream::{self, StreamExt};

use crate::engine::core::message::Input;
use crate::engine::executor::{Message, count_notices};
use crate::engine::handle::{Engine, EngineError};

/// Groups whose append notices are read at once.
const READS_MAX: usize = 8;

impl Engine {
    /// Reads what other engines appended to subjects of these groups, and tells the core.
    ///
    /// # Errors
    /// What keeps the store from answering; what was read before is told.
    pub async fn read_notices(&self, groups: Vec<GroupId>) -> Result<(), EngineError> {
        let reads: Vec<_> = groups.into_iter().map(|group| self.store.notices(group)).collect();
        let mut reads = stream::iter(reads).buffered(READS_MAX);
        while let Some(notices) = reads.next().await {
            let notices = notices?;
            count_notices("read", notices.len());
            if !notices.is_empty() {
                let told = Message::StoreCompleted(Input::Notices { notices });
                self.inputs.send(told).await.map_err(|_| EngineError::Stopping)?;
            }
        }
        Ok(())
    }
}
