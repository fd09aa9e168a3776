//! The document that people see of a subject, made of its state.

use std::sync::Arc;

use domain::ids::{Millis, SubjectId};

use crate::engine::core::kinds::Entity;
use crate::view::contract::{Columns, Document};

/// How long a deleted subject's seq stays in the view, so that no late flush brings it back.
const TOMBSTONE_KEPT_MS: Millis = 24 * 3_600 * 1_000;

/// The document that shows a subject after `seq` events.
pub(crate) fn document(subject: &SubjectId, entity: &Entity, seq: u64) -> Option<Document> {
    let (columns, body) = match entity.deleted_at() {
        Some(at) => (Columns::Deleted { keep_until: deleted_until(at) }, String::new()),
        None => entity.listed()?,
    };
    let body: Arc<str> = Arc::from(body);
    Some(Document { subject: subject.clone(), seq, columns, body, nodes: Vec::new() })
}

/// Until when it is remembered that something was deleted at `at`, in the stream and in the view.
pub(crate) fn deleted_until(at: Millis) -> Millis {
    at.saturating_add(TOMBSTONE_KEPT_MS)
}
