//! Taking the stream of a deleted job away: the tombstone keeps its first answer, so that a late repeat of the
//! submission gets it, and everything else of the job goes.
//! Always holds: it may be repeated; a stream whose head is another is left alone. Absent: the decision to delete,
//! which is an event of the job.

use std::sync::Arc;

use domain::ids::{Millis, SubjectId};
use domain::job::state::JobState;
use domain::job::summary::JobSnapshot;
use domain::subject::answer::FirstAnswer;
use domain::subject::envelope::CommandMark;
use serde_json::value::RawValue;

use crate::engine::loader;
use crate::event_store::contract::{
    ChainHash, EventStore, EventStoreError, StoreResult, Tombstone,
};
use crate::view::resources::job::JobResource;

/// Replaces the stream by its tombstone. Answers whether its head was the expected one.
///
/// # Errors
/// The store's own, and `Damaged` where the first event cannot be read.
pub async fn remove(
    store: &dyn EventStore,
    subject: &SubjectId,
    seq: u64,
    chain: ChainHash,
    keep_until: Millis,
) -> StoreResult<bool> {
    let mut made: Option<(JobState, Option<CommandMark>)> = None;
    let genesis = domain::history::genesis(subject);
    let end = loader::fold_part(store, subject, 0, genesis, |seq, _, event, _| {
        if let (1, Some(event)) = (seq, event.job()) {
            made = JobState::create(event).map(|job| (job, event.by.command.clone()));
        }
    });
    if end.await?.deleted {
        return Ok(true);
    }
    let Some((job, command)) = made else { return Ok(false) };
    let first = FirstAnswer { id: job.id, command, job: shown(store, subject, &job).await? };
    let first_answer =
        serde_json::to_vec(&first).map_err(|error| damaged(subject, &error.to_string()))?;
    store
        .delete(subject, seq, Tombstone { count: seq, hash: chain, first_answer }, keep_until)
        .await
}

/// The job as it was made, with its input.
async fn shown(
    store: &dyn EventStore,
    subject: &SubjectId,
    job: &JobState,
) -> StoreResult<Arc<RawValue>> {
    let snapshot = JobSnapshot::of(job);
    let mut shown = JobResource::as_changed(&snapshot);
    if let (Some(input), _) = snapshot.stored() {
        let found = store.payloads(subject, &[input.sha256.0]).await?.into_iter().flatten().next();
        let text = found.and_then(|bytes| String::from_utf8(bytes.to_vec()).ok());
        shown.input = text.and_then(|text| RawValue::from_string(text).ok()).map(Arc::from);
    }
    let text = serde_json::value::to_raw_value(&shown);
    text.map(Arc::from).map_err(|error| damaged(subject, &error.to_string()))
}

fn damaged(subject: &SubjectId, reason: &str) -> EventStoreError {
    EventStoreError::Damaged { subject: subject.to_string(), reason: reason.to_owned() }
}
