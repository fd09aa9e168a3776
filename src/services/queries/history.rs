//! A job's history: pages of rows for people, and the export that verifies (`docs/history-format.md`).
//! Always holds: rows come from the events as written; an export carries each event's text untouched and ends with its
//! closing line only when everything before it was read and its chain held.

mod flow;

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::history::{closing_line, export_line, genesis};
use domain::ids::{JobId, Millis, Namespace, SubjectId};
use domain::job::detail::JobDetail;
use domain::job::event::JobEvent;
use domain::job::fact::{AdmissionFact, JobFact, Submitted};
use domain::job::plan::Plan;
use domain::job::rows;
use domain::job::status::JobStatus;
use domain::payload::Hash;
use domain::refusal::Refusal;
use domain::time_text::rfc3339;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use utoipa::ToSchema;

use self::flow::FlowRow;
use super::Queries;
use crate::engine::error::EngineError;
use crate::engine::handle::Engine;
use crate::event_store::contract::ChainHash;
use crate::view::resources::words::JobStatusWord;

/// A page of rows.
#[derive(Debug)]
pub struct HistoryPage {
    pub events: Vec<HistoryRow>,
    /// Rows in all.
    pub total: u64,
    /// The job's version: the seq of its newest event.
    pub version: u64,
    /// When it was so.
    pub as_of: Millis,
}

/// A row of history.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = HistoryRow)]
pub struct HistoryRow {
    /// Of its event; dense from 1.
    #[schema(minimum = 1)]
    pub seq: u64,
    /// The name of the fact.
    #[serde(rename = "type")]
    pub event_type: &'static str,
    #[schema(format = "date-time")]
    pub at: String,
    /// The node's key; null: the job as a whole, or several nodes.
    pub node: Option<String>,
    pub attempt: Option<u32>,
    pub from: Option<&'static str>,
    pub to: Option<&'static str>,
    /// Who caused it: a caller, a worker, or the engine.
    #[schema(value_type = String)]
    pub actor: Arc<str>,
    /// Why, in words.
    pub reason: Option<String>,
    /// Ties together what one request caused.
    pub correlation_id: Option<String>,
    /// The fact as written.
    #[schema(value_type = Value)]
    pub data: Option<Box<RawValue>>,
    /// What was evaluated, came to be, or ended without an attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub flow: Option<FlowRow>,
    /// The state the job will end in, where the event decided that.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<JobStatusWord>, nullable = false)]
    pub ending: Option<JobStatus>,
    /// The chain before its event.
    pub prev_hash: String,
    /// The chain after its event.
    pub hash: String,
    /// A further transition of the event above.
    pub derived: bool,
}

impl Queries {
    /// Rows of a job's history after the first `skip`, at most `take`.
    ///
    /// # Errors
    /// `JobNotFound`, and what keeps the store from answering.
    pub async fn history(
        &self,
        namespace: &Namespace,
        job: JobId,
        skip: u64,
        take: usize,
    ) -> Result<HistoryPage, EngineError> {
        let subject = SubjectId::job(namespace.clone(), job);
        let (plan, total, version, mark) = self
            .details
            .with(namespace, job, |detail| {
                let plan = Arc::clone(&detail.state.plan);
                (plan, detail.rows, detail.seq(), detail.mark_before(skip))
            })
            .await?;
        let as_of = self.clock.now_ms();
        let (mut seq, mut chain, row) = mark
            .map_or_else(|| (0, genesis(&subject), 0), |mark| (mark.seq, mark.chain, mark.rows));
        let mut reader = Reader { plan, skip: skip - row, take, before: chain, events: Vec::new() };
        while skip < total && reader.events.len() < take {
            let end = self
                .engine
                .streams()
                .fold_part(&subject, seq, chain, |seq, line, event, after| {
                    if let Some(event) = event.job() {
                        reader.read(seq, line, event, after);
                    }
                })
                .await?;
            if end.complete || end.deleted {
                break;
            }
            (seq, chain) = (end.seq, end.chain);
        }
        Ok(HistoryPage { events: reader.events, total, version, as_of })
    }

    /// The export of a job's history, to be taken part by part.
    ///
    /// # Errors
    /// `JobNotFound`, and what keeps the store from answering.
    pub async fn history_export(
        &self,
        namespace: &Namespace,
        job: JobId,
    ) -> Result<HistoryExport, EngineError> {
        let subject = SubjectId::job(namespace.clone(), job);
        let head = self.details.with(namespace, job, JobDetail::seq).await?;
        if head == 0 {
            return Err(Refusal::JobNotFound.into());
        }
        let chain = genesis(&subject);
        Ok(HistoryExport {
            engine: self.engine.clone(),
            subject,
            head,
            seq: 0,
            chain,
            closed: false,
        })
    }
}

/// An export on its way: bounded parts of whole lines.
#[derive(Debug)]
pub struct HistoryExport {
    engine: Engine,
    subject: SubjectId,
    /// It ends with the newest event at its beginning, or a few later.
    head: u64,
    seq: u64,
    chain: ChainHash,
    closed: bool,
}

impl HistoryExport {
    /// The next lines; none when it is over.
    ///
    /// # Errors
    /// What keeps the store from answering: the export must then be broken off, so that it does not verify.
    pub async fn next(&mut self) -> Result<Option<String>, EngineError> {
        if self.closed {
            return Ok(None);
        }
        let mut lines = String::new();
        let mut before = self.chain;
        let end = self
            .engine
            .streams()
            .fold_part(&self.subject, self.seq, self.chain, |seq, line, _, after| {
                lines.push_str(&export_line(seq, before, after, &String::from_utf8_lossy(line)));
                lines.push('\n');
                before = after;
            })
            .await?;
        (self.seq, self.chain) = (end.seq, end.chain);
        if end.complete || end.deleted || end.seq >= self.head {
            lines.push_str(&closing_line(self.seq, self.chain, self.engine.now()));
            lines.push('\n');
            self.closed = true;
        }
        Ok(Some(lines))
    }
}

/// Collects the rows of one page.
struct Reader {
    plan: Arc<Plan>,
    /// Rows still to be passed over.
    skip: u64,
    take: usize,
    before: ChainHash,
    events: Vec<HistoryRow>,
}

impl Reader {
    fn read(&mut self, seq: u64, line: &[u8], event: &JobEvent, after: ChainHash) {
        let before = std::mem::replace(&mut self.before, after);
        let count = rows::count(event);
        let room = self.take - self.events.len();
        if self.skip >= count || room == 0 {
            self.skip -= count.min(self.skip);
            return;
        }
        let skip = usize::try_from(std::mem::take(&mut self.skip)).unwrap_or(usize::MAX);
        let (prev_hash, hash) = (Hash(before).hex(), Hash(after).hex());
        let shown = rows::rows(event).skip(skip).take(room).map(|row| HistoryRow {
            seq,
            event_type: match (row.derived, row.node) {
                (false, _) => event.fact.type_name(),
                (true, Some(_)) => "node_status_changed",
                (true, None) => "job_status_changed",
            },
            at: rfc3339(event.by.at),
            node: row.node.map(|ix| self.plan.path(ix)),
            attempt: row.attempt,
            from: row.transition.map(|(from, _)| from),
            to: row.transition.map(|(_, to)| to),
            actor: Arc::clone(&event.by.actor),
            reason: event.by.reason.clone(),
            correlation_id: event.by.correlation.as_ref().map(ToString::to_string),
            data: if row.derived { None } else { data(line, event) },
            flow: event
                .flow
                .as_deref()
                .filter(|_| !row.derived)
                .map(|flow| FlowRow::of(flow, &self.plan)),
            ending: event.ending.as_ref().filter(|_| !row.derived).map(|ending| ending.to),
            prev_hash: prev_hash.clone(),
            hash: hash.clone(),
            derived: row.derived,
        });
        self.events.extend(shown);
    }
}

#[derive(Deserialize)]
struct FactOf<'a> {
    #[serde(borrow)]
    fact: &'a RawValue,
}

/// What a fact says, as written.
fn data(line: &[u8], event: &JobEvent) -> Option<Box<RawValue>> {
    if let JobFact::Admission(AdmissionFact::Submitted(submitted)) = &event.fact {
        return to_raw_value(&abstract_of(submitted)).ok();
    }
    let written: FactOf<'_> = serde_json::from_slice(line).ok()?;
    // A fact without anything to say is a word, any other an object with one field.
    let parts: BTreeMap<&str, &RawValue> = serde_json::from_str(written.fact.get()).ok()?;
    parts.into_values().next().map(ToOwned::to_owned)
}

fn abstract_of(submitted: &Submitted) -> serde_json::Value {
    let plan = &submitted.plan;
    serde_json::json!({
        "name": submitted.about.name,
        "priority": submitted.about.priority,
        "environment": plan.environment.as_str(),
        "nodes": plan.node_count(),
        "edges": plan.graph.edge_count(),
        "scheduled_at": submitted.scheduled_at.map(rfc3339),
        "timeout_ms": submitted.timeout_ms,
        "trace_id": submitted.trace_id,
    })
}
