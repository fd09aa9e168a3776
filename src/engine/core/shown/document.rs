//! The document that people see of a subject, made of its state.

use std::sync::Arc;

use domain::ids::{Millis, SubjectId};
use domain::job::state::JobState;
use domain::job::summary::JobSnapshot;

use crate::engine::core::entity::Entity;
use crate::engine::json_text;
use crate::view::contract::{Columns, Document, JobColumns};
use crate::view::resources::environment::EnvironmentResource;
use crate::view::resources::job::JobResource;

/// How long a deleted subject's seq stays in the view, so that no late flush brings it back.
const TOMBSTONE_KEPT_MS: Millis = 24 * 3_600 * 1_000;
/// Most documents are shorter.
const DOCUMENT_BYTES_USUAL: usize = 1_536;

/// The document that shows a subject after `seq` events.
pub(crate) fn document(subject: &SubjectId, entity: &Entity, seq: u64) -> Option<Document> {
    let (columns, body) = match entity {
        Entity::Job(job) if job.head.deleted => {
            let keep_until = deleted_until(job.head.updated_at);
            (Columns::Deleted { keep_until }, Some(String::new()))
        }
        Entity::Job(job) => {
            let shown = JobResource::as_changed(&JobSnapshot::of(job));
            (Columns::Job(Box::new(columns(job))), json(&shown))
        }
        Entity::Environment(environment) if environment.deleted => {
            let keep_until = deleted_until(environment.updated_at);
            (Columns::Deleted { keep_until }, Some(String::new()))
        }
        Entity::Environment(environment) => {
            let name = environment.name.to_string();
            (Columns::Named { name }, json(&EnvironmentResource::from(&**environment)))
        }
    };
    let body: Arc<str> = Arc::from(body?);
    Some(Document { subject: subject.clone(), seq, columns, body, nodes: Vec::new() })
}

/// Until when it is remembered that something was deleted at `at`, in the stream and in the view.
pub(crate) fn deleted_until(at: Millis) -> Millis {
    at.saturating_add(TOMBSTONE_KEPT_MS)
}

/// One allocation for most documents instead of a few that grow.
fn json(shown: &impl serde::Serialize) -> Option<String> {
    let mut text = Vec::with_capacity(DOCUMENT_BYTES_USUAL);
    json_text::write(&mut text, shown).ok()?;
    String::from_utf8(text).ok()
}

fn columns(job: &JobState) -> JobColumns {
    JobColumns {
        name: job.head.about.name.clone(),
        status: job.head.status.as_str(),
        job_type: job.plan.job_type.clone(),
        environment: job.plan.environment.to_string(),
        parent_job_id: None,
        triggered_by: job.plan.triggered_by.clone(),
        error_class: job.head.error.as_ref().map(|error| error.class.clone()),
        priority: job.head.about.priority,
        tags: job.head.about.tags.clone(),
        created_at: job.head.created_at,
        updated_at: job.head.updated_at,
    }
}
