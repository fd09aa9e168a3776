//! What the documents of the view look like in BSON.
//! Always holds: what a deletion leaves has `keep_until` and no `namespace`, so that no list finds it; a field that a
//! job lacks is missing, not null, so that partial indexes leave it out.
//! Absent: reading and writing.

use std::sync::Arc;

use bson::raw::{RawArrayBuf, RawDocumentBuf, cstr};
use bson::{Bson, Document as Bsons, doc};
use domain::ids::{FoundBy, SubjectId};
use domain::job::plan::Plan;
use domain::job::state::NodeState;
use domain::job::status::JobStatus;

use crate::environment::mongodb::{
    DocumentFields, Undecodable, to_date, to_stored, uuid_bson, uuid_raw,
};
use crate::view::contract::{Columns, Document, JobColumns, NodePage};

/// Raised with every change of a document's form.
const SCHEMA_VERSION: i32 = 1;
/// Where pages of nodes are.
pub(super) const NODES: &str = "nodes";

/// A document's `_id`.
pub(super) fn id_of(subject: &SubjectId) -> Bsons {
    doc! { "namespace": subject.namespace.as_str(), "id": uuid_bson(subject.id) }
}

/// The same as bytes.
pub(super) fn raw_id(subject: &SubjectId) -> RawDocumentBuf {
    let mut id = RawDocumentBuf::new();
    id.append(cstr!("namespace"), subject.namespace.as_str());
    id.append(cstr!("id"), uuid_raw(subject.id.as_bytes()));
    id
}

/// A document as it is stored.
pub(super) fn stored(document: &Document) -> RawDocumentBuf {
    let subject = &document.subject;
    let mut stored = RawDocumentBuf::new();
    stored.append(cstr!("_id"), raw_id(subject));
    stored.append(cstr!("schema_version"), SCHEMA_VERSION);
    stored.append(cstr!("seq"), to_stored(document.seq));
    match &document.columns {
        Columns::Deleted { keep_until } => {
            stored.append(cstr!("keep_until"), to_date(*keep_until));
            return stored;
        }
        Columns::Named { name } => {
            owner(&mut stored, subject);
            stored.append(cstr!("name"), name.as_str());
            append_times(&mut stored, &document.body);
        }
        Columns::Job(job) => {
            owner(&mut stored, subject);
            append_job(&mut stored, job);
        }
    }
    stored.append(cstr!("body"), &*document.body);
    stored
}

/// A page's `_id`: behind its job's, so that the pages of a job lie together.
pub(super) fn raw_page_id(subject: &SubjectId, page: u32) -> RawDocumentBuf {
    let mut id = raw_id(subject);
    id.append(cstr!("page"), i64::from(page));
    id
}

/// A page of nodes as it is stored.
pub(super) fn stored_page(subject: &SubjectId, seq: u64, page: &NodePage) -> RawDocumentBuf {
    let mut stored = RawDocumentBuf::new();
    stored.append(cstr!("_id"), raw_page_id(subject, page.number));
    stored.append(cstr!("schema_version"), SCHEMA_VERSION);
    stored.append(cstr!("seq"), to_stored(seq));
    stored.append(cstr!("namespace"), subject.namespace.as_str());
    stored.append(cstr!("job_id"), uuid_raw(subject.id.as_bytes()));
    let first = u32::try_from(page.first).unwrap_or(u32::MAX);
    let mut nodes = RawArrayBuf::new();
    for (ix, state) in (first..).zip(&page.states) {
        nodes.push(stored_node(&page.plan, ix, state));
    }
    stored.append(cstr!("nodes"), nodes);
    stored
}

/// A key is a value here, as everything that callers named.
fn stored_node(plan: &Plan, ix: u32, state: &NodeState) -> RawDocumentBuf {
    let (path, plan) = (plan.path(ix), plan.node(ix));
    let mut node = RawDocumentBuf::new();
    node.append(cstr!("key"), path.as_str());
    node.append(cstr!("status"), state.status.as_str());
    node.append(cstr!("since"), to_date(state.since));
    node.append(cstr!("queue"), plan.queue.as_str());
    if let Some(action) = &plan.action_type {
        node.append(cstr!("action_type"), action.as_str());
    }
    if state.attempt > 0 {
        node.append(cstr!("attempt"), i64::from(state.attempt));
        node.append(cstr!("epoch"), to_stored(state.epoch.0));
    }
    for (field, at) in [
        (cstr!("first_ready_at"), state.first_ready),
        (cstr!("started_at"), state.started),
        (cstr!("due_at"), state.due),
    ] {
        if at > 0 {
            node.append(field, to_date(at));
        }
    }
    node
}

fn owner(stored: &mut RawDocumentBuf, subject: &SubjectId) {
    stored.append(cstr!("namespace"), subject.namespace.as_str());
    stored.append(cstr!("id"), uuid_raw(subject.id.as_bytes()));
}

/// When it was made and changed last: what its text says, as dates that people can sort by. One that says nothing has none.
fn append_times(stored: &mut RawDocumentBuf, body: &str) {
    let times = serde_json::from_str::<Times<'_>>(body).unwrap_or_default();
    let at = |text: Option<&str>| bson::DateTime::parse_rfc3339_str(text?).ok();
    if let Some(at) = at(times.created_at) {
        stored.append(cstr!("created_at"), at);
    }
    if let Some(at) = at(times.updated_at) {
        stored.append(cstr!("updated_at"), at);
    }
}

/// What is taken of a text.
#[derive(Default, serde::Deserialize)]
struct Times<'a> {
    #[serde(borrow)]
    created_at: Option<&'a str>,
    #[serde(borrow)]
    updated_at: Option<&'a str>,
}

fn append_job(stored: &mut RawDocumentBuf, job: &JobColumns) {
    stored.append(cstr!("name"), job.name.as_str());
    stored.append(cstr!("status"), job.status);
    stored.append(cstr!("priority"), i32::from(job.priority));
    stored.append(cstr!("environment"), job.environment.as_str());
    if let Some(job_type) = &job.job_type {
        stored.append(cstr!("job_type"), job_type.as_str());
    }
    if let Some(parent) = &job.parent_job_id {
        stored.append(cstr!("parent_job_id"), uuid_raw(parent.as_bytes()));
    }
    if let Some(who) = &job.triggered_by {
        stored.append(cstr!("triggered_by"), who.as_str());
    }
    if let Some(class) = &job.error_class {
        stored.append(cstr!("error_class"), class.as_str());
    }
    if !job.tags.is_empty() {
        let tags: RawArrayBuf = job.tags.iter().map(String::as_str).collect();
        stored.append(cstr!("tags"), tags);
    }
    stored.append(cstr!("created_at"), to_date(job.created_at));
    stored.append(cstr!("updated_at"), to_date(job.updated_at));
}

/// The document of this subject; none when it is what a deletion left.
pub(super) fn document(
    subject: &SubjectId,
    fields: DocumentFields<'_>,
) -> Result<Option<Document>, Undecodable> {
    if fields.find("keep_until")?.is_some() {
        return Ok(None);
    }
    let columns = match subject.kind.found_by() {
        FoundBy::Id => Columns::Job(Box::new(job(fields)?)),
        FoundBy::Name => Columns::Named { name: fields.text("name")?.to_owned() },
    };
    let (seq, body) = (fields.number("seq")?, body(fields)?);
    Ok(Some(Document { subject: subject.clone(), seq, columns, body, nodes: Vec::new() }))
}

/// What lists answer with.
pub(super) fn body(fields: DocumentFields<'_>) -> Result<Arc<str>, Undecodable> {
    fields.text("body").map(Arc::from)
}

fn job(fields: DocumentFields<'_>) -> Result<JobColumns, Undecodable> {
    let wrong = |field, problem| Undecodable { field, problem };
    let text = |field| Ok::<_, Undecodable>(fields.text_or_none(field)?.map(str::to_owned));
    let status = JobStatus::parse(fields.text("status")?)
        .ok_or_else(|| wrong("status", "is no status of a job"))?;
    let priority = u8::try_from(fields.number("priority")?)
        .map_err(|_| wrong("priority", "is not from 1 to 10"))?;
    Ok(JobColumns {
        name: fields.text("name")?.to_owned(),
        status: status.as_str(),
        job_type: text("job_type")?,
        environment: fields.text("environment")?.to_owned(),
        parent_job_id: match fields.find("parent_job_id")? {
            Some(_) => Some(fields.uuid("parent_job_id")?),
            None => None,
        },
        triggered_by: text("triggered_by")?,
        error_class: text("error_class")?,
        priority,
        tags: match fields.find("tags")? {
            Some(_) => fields.texts("tags")?,
            None => Vec::new(),
        },
        created_at: fields.millis("created_at")?,
        updated_at: fields.millis("updated_at")?,
    })
}

/// A document's id as a note of the quarantine names it.
pub(super) fn noted_id(fields: DocumentFields<'_>) -> Bson {
    fields.find("_id").ok().flatten().and_then(|id| Bson::try_from(id).ok()).unwrap_or(Bson::Null)
}
