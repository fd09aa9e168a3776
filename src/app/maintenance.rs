//! What is done to a data folder beside or without an engine: copied, proved, its view made anew.
//! Always holds: a copy disturbs nobody; a proof changes nothing; whoever needs the folder for itself holds its lock,
//! and is refused by name while an engine runs. Absent: words for people (`cli`).

use std::path::Path;
use std::sync::Arc;

use domain::ids::GroupId;
use serde::Serialize;

use super::AppError;
use crate::engine::check::{Beside, Finding, check_stream};
use crate::engine::rebuild::{self, Rebuilt};
use crate::environment::Surroundings;
use crate::event_store::contract::{EventStore, EventStoreError};
use crate::event_store::sqlite::{
    self, BackedUp, BackupError, DataFolder, Inspection, SqliteEventStore,
};
use crate::view::sqlite::{ShownDocuments, SqliteView};

/// Streams listed at once.
const SUBJECTS_PAGE: usize = 1_000;
/// Findings that are kept; the rest is counted.
const FINDINGS_MAX: usize = 1_000;

/// How much of something is done, and of how much.
pub type Progress<'a> = &'a mut (dyn FnMut(u64, u64) + Send);

/// Copies the streams of a data folder, in use or not. Blocks.
///
/// # Errors
/// The place is taken, the folder is none, or the disk says no.
pub fn back_up(data: &Path, to: &Path) -> Result<BackedUp, BackupError> {
    sqlite::back_up(data, to, Surroundings::system().clock.now_ms())
}

/// How many bytes a copy under way has, and its original.
pub fn backup_progress(data: &Path, to: &Path) -> (u64, u64) {
    sqlite::backup_progress(data, to)
}

/// Which view lies in a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ViewFound {
    /// The whole view of these streams: it was compared with them.
    Compared,
    /// None, or not the whole view of these streams: the next engine makes it anew.
    ToBeMade,
}

/// What a proof came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckReport {
    /// Streams that were looked at.
    pub streams: u64,
    /// Events in them, as far as they could be read.
    pub events: u64,
    /// Which view there is.
    pub view: ViewFound,
    /// How many things are wrong.
    pub wrong: u64,
    /// The first of them, at most 1,000.
    pub findings: Vec<Finding>,
}

/// Proves the data folder of a stopped engine.
///
/// # Errors
/// The folder is in use, is none, or cannot be read at all.
pub async fn check(data: &Path, progress: Progress<'_>) -> Result<CheckReport, AppError> {
    let folder = Arc::new(DataFolder::open_existing(data)?);
    let store = SqliteEventStore::open_for_reading(Arc::clone(&folder))?;
    let file = Inspection::open(&folder)?;
    let info = store.info().await?;
    let mut findings: Vec<Finding> = file.faults()?.into_iter().map(of_file).collect();
    let shown = match ShownDocuments::open(&folder.view_file())? {
        Some(shown) if shown.is_whole_for(&info.view_id())? => Some(shown),
        Some(_) | None => None,
    };
    if let Some(shown) = &shown {
        findings.extend(shown.page_faults()?.into_iter().map(of_view));
    }
    let view = if shown.is_some() { ViewFound::Compared } else { ViewFound::ToBeMade };
    let (all, mut streams, mut events, mut wrong) = (file.streams()?, 0, 0, 0);
    for group in GroupId::all() {
        let mut after = None;
        loop {
            let subjects = store.subjects(group, after, SUBJECTS_PAGE).await?;
            let Some(last) = subjects.last().cloned() else { break };
            for subject in &subjects {
                let document = shown.as_ref().map(|shown| shown.get(subject)).transpose()?;
                let beside = Beside {
                    payloads: &file.payloads_of(subject)?,
                    shown: document.as_ref().map(Option::as_ref),
                    incarnation: info.incarnation,
                };
                match check_stream(&store, subject, &beside, &mut findings).await {
                    Ok(count) => events += count,
                    Err(EventStoreError::Damaged { subject, reason }) => {
                        findings.push(Finding {
                            subject,
                            seq: None,
                            what: "unreadable",
                            detail: reason,
                        });
                    }
                    Err(error) => return Err(error.into()),
                }
                streams += 1;
            }
            wrong += forget_beyond(&mut findings);
            progress(streams, all);
            after = Some(last);
        }
    }
    if let Some(shown) = &shown {
        documents_of_nothing(&store, shown, &mut findings).await?;
    }
    wrong += forget_beyond(&mut findings) + findings.len() as u64;
    Ok(CheckReport { streams, events, view, wrong, findings })
}

fn of_file(fault: sqlite::FileFault) -> Finding {
    Finding { subject: fault.place, seq: None, what: "file", detail: fault.what }
}

fn of_view(detail: String) -> Finding {
    Finding { subject: "view.db".to_owned(), seq: None, what: "file", detail }
}

/// Answers how many were let go of.
fn forget_beyond(findings: &mut Vec<Finding>) -> u64 {
    let beyond = findings.len().saturating_sub(FINDINGS_MAX);
    findings.truncate(FINDINGS_MAX);
    beyond as u64
}

async fn documents_of_nothing(
    store: &dyn EventStore,
    shown: &ShownDocuments,
    findings: &mut Vec<Finding>,
) -> Result<(), AppError> {
    let mut subjects = Vec::new();
    shown.subjects(|subject| subjects.push(subject))?;
    for subject in subjects {
        let part = store.read(&subject, 1, 1).await;
        if part.is_ok_and(|part| part.records.is_empty()) {
            findings.push(Finding {
                subject: subject.to_string(),
                seq: None,
                what: "view",
                detail: "the view shows it, and it has no stream".to_owned(),
            });
        }
    }
    Ok(())
}

/// Throws the view of a stopped engine away and makes it anew from the streams.
///
/// # Errors
/// The folder is in use, is none, or cannot be read or written.
pub async fn rebuild_view(data: &Path, progress: Progress<'_>) -> Result<Rebuilt, AppError> {
    let folder = Arc::new(DataFolder::open_existing(data)?);
    let store = SqliteEventStore::open_for_reading(Arc::clone(&folder))?;
    let view_id = store.info().await?.view_id();
    let all = Inspection::open(&folder)?.streams()?;
    let view = SqliteView::make_anew(&folder.view_file())?;
    rebuild::rebuild_view(&store, &view, (&view_id, false), |seen| progress(seen, all))
        .await
        .map_err(AppError::Rebuild)
}
