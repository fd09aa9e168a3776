//! Reads of streams for what the core does not keep: payloads, wake-ups, and the events themselves; and of what a driver
//! keeps beside them.
//! Always holds: what is read of a stream is committed, and the hash chain has been checked on the way.

use std::sync::Arc;

use domain::ids::{GroupId, JobId, Millis, SubjectId};
use domain::payload::{Payload, StoredPayload};
use serde_json::value::RawValue;

use crate::engine::core::kinds::EntityEvent;
use crate::engine::core::kinds::NEVER;
use crate::engine::core::message::{Request, Response, SubjectInspection};
use crate::engine::error::EngineError;
use crate::engine::loader::{self, PartEnd};
use crate::engine::shared::Shared;
use crate::event_store::contract::ChainHash;

/// When a parked subject is taken up again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WakesAt {
    /// By itself, then at the latest.
    At(Millis),
    /// When somebody asks something of it.
    Asked,
}

/// The streams behind what the core shows. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Streams(pub(super) Arc<Shared>);

impl Streams {
    /// A payload as raw JSON, fetched where it is stored beside the stream.
    ///
    /// # Errors
    /// What keeps the store from answering, and `Damaged` where the bytes are gone or not JSON.
    pub async fn raw(
        &self,
        subject: &SubjectId,
        payload: &Payload,
    ) -> Result<Arc<RawValue>, EngineError> {
        match payload {
            Payload::Inline(raw) => Ok(Arc::clone(raw)),
            Payload::Stored(stored) => self.stored(subject, *stored).await,
        }
    }

    /// A stored payload as raw JSON.
    ///
    /// # Errors
    /// What keeps the store from answering, and `Damaged` where the bytes are gone or not JSON.
    pub async fn stored(
        &self,
        subject: &SubjectId,
        payload: StoredPayload,
    ) -> Result<Arc<RawValue>, EngineError> {
        let hashes = [payload.sha256.0];
        let found = self.0.store.payloads(subject, &hashes).await?.into_iter().next().flatten();
        let text = found.and_then(|bytes| String::from_utf8(bytes.to_vec()).ok());
        let raw = text.and_then(|text| RawValue::from_string(text).ok());
        raw.map(Arc::from).ok_or_else(|| EngineError::Damaged("a payload is missing".to_owned()))
    }

    /// What the driver of a subject keeps of it beside its state, of these nodes, and of a job's ask at an environment. When
    /// the driver does not answer, this engine says what it has itself, and that it does not drive.
    ///
    /// # Errors
    /// What keeps the engine from answering.
    pub async fn inspection(
        &self,
        subject: &SubjectId,
        nodes: Vec<u32>,
        ask: Option<JobId>,
    ) -> Result<SubjectInspection, EngineError> {
        let response =
            self.0.ask(Request::Inspect { subject: subject.clone(), nodes, ask }).await?;
        if let Response::Inspection(inspection) = response {
            return Ok(inspection);
        }
        Err(response.not_asked_for())
    }

    /// A stream's wake-up: when it is looked at at the latest. None: it is retired, or there is no such stream.
    ///
    /// # Errors
    /// What keeps the store from answering.
    pub async fn wakes_at(&self, subject: &SubjectId) -> Result<Option<WakesAt>, EngineError> {
        let mark = self.0.store.mark(subject).await?;
        Ok(mark.map(|mark| if mark.due == NEVER { WakesAt::Asked } else { WakesAt::At(mark.due) }))
    }

    /// Calls `each` with every event after `after`, in order: its seq, its JSON as written, itself, the chain after it.
    /// Answers the stream's head.
    ///
    /// # Errors
    /// What keeps the store from answering, and `Damaged`.
    pub async fn fold(
        &self,
        subject: &SubjectId,
        after: u64,
        chain: ChainHash,
        each: impl FnMut(u64, &[u8], &EntityEvent, ChainHash) + Send,
    ) -> Result<u64, EngineError> {
        let (seq, _, _) = loader::fold(self.0.store.as_ref(), subject, after, chain, each).await?;
        Ok(seq)
    }

    /// As `fold`, one bounded read only. `after` must be 0 or where an earlier part or the stream ended.
    ///
    /// # Errors
    /// As `fold`.
    pub async fn fold_part(
        &self,
        subject: &SubjectId,
        after: u64,
        chain: ChainHash,
        each: impl FnMut(u64, &[u8], &EntityEvent, ChainHash) + Send,
    ) -> Result<PartEnd, EngineError> {
        Ok(loader::fold_part(self.0.store.as_ref(), subject, after, chain, each).await?)
    }

    /// The streams of a group, in order, at most `max`.
    ///
    /// # Errors
    /// What keeps the store from answering.
    pub async fn subjects(
        &self,
        group: GroupId,
        after: Option<SubjectId>,
        max: usize,
    ) -> Result<Vec<SubjectId>, EngineError> {
        Ok(self.0.store.subjects(group, after, max).await?)
    }
}
