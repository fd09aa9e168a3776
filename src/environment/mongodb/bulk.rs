//! Many documents or statements in one command, made here: the driver has no bulk writes for servers before 8.0, and
//! its insertMany writes a record of the session beside every batch, for a second try that stored nonces and seqs make
//! safe anyway.
//! Always holds: one command is at most so many statements and bytes; they run in no order and one's failure leaves
//! the others alone; a majority has what is answered.
//! Absent: trying statements again. They are written so that repeating one is safe.

use std::collections::BTreeMap;

use bson::raw::{RawArrayBuf, RawDocumentBuf, cstr};
use bson::{Document, rawdoc};
use mongodb::Database;

use super::failure::of_code;
use super::{CallError, Calls, Cause};

/// Statements in one command.
pub const BULK_STATEMENTS_MAX: usize = 1_000;
/// Bytes of statements in one command; the server takes 16 MiB.
pub const BULK_BYTES_MAX: usize = 8 * 1_024 * 1_024;

/// What a statement does.
#[derive(Debug, Clone)]
pub enum BulkStatement {
    /// Changes what matches `filter`.
    Update {
        filter: RawDocumentBuf,
        /// Operators, or a whole document.
        change: RawDocumentBuf,
        /// All that match, not one.
        many: bool,
        /// A new document when nothing matches.
        upsert: bool,
    },
    /// Deletes all that match.
    Delete(RawDocumentBuf),
}

/// What became of a command.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BulkAnswer {
    /// Documents that matched (or were upserted).
    pub matched: u64,
    /// Statements that failed with a duplicate key, by their index.
    pub duplicates: Vec<usize>,
}

/// What became of documents that were inserted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inserted {
    /// The server's number for it, by the document's place.
    pub failed: BTreeMap<usize, i32>,
    /// Set when no majority confirmed the others.
    pub unconfirmed: bool,
}

impl BulkStatement {
    fn bytes(&self) -> usize {
        match self {
            Self::Update { filter, change, .. } => {
                filter.as_bytes().len() + change.as_bytes().len() + 64
            }
            Self::Delete(filter) => filter.as_bytes().len() + 64,
        }
    }

    fn is_delete(&self) -> bool {
        matches!(self, Self::Delete(_))
    }

    fn to_raw(&self) -> RawDocumentBuf {
        let mut raw = RawDocumentBuf::new();
        match self {
            Self::Update { filter, change, many, upsert } => {
                raw.append(cstr!("q"), filter);
                raw.append(cstr!("u"), change);
                raw.append(cstr!("multi"), *many);
                raw.append(cstr!("upsert"), *upsert);
            }
            Self::Delete(filter) => {
                raw.append(cstr!("q"), filter);
                raw.append(cstr!("limit"), 0_i32);
            }
        }
        raw
    }
}

/// Cuts statements (all updates or all deletes) into commands' worth: how many go into the next.
pub(super) fn next_command(statements: &[BulkStatement]) -> usize {
    let mut bytes = 0;
    let fits = statements.iter().take(BULK_STATEMENTS_MAX).take_while(|statement| {
        bytes += statement.bytes();
        bytes <= BULK_BYTES_MAX
    });
    // One that is too large goes alone; the server says so.
    fits.count().max(1).min(statements.len())
}

/// Inserts documents, in as many commands as their bytes need.
///
/// # Errors
/// When nothing is known of some document.
pub(super) async fn insert(
    calls: &Calls,
    what: &'static str,
    database: &Database,
    collection: &str,
    documents: &[RawDocumentBuf],
) -> Result<Inserted, CallError> {
    let (mut inserted, mut at) = (Inserted::default(), 0);
    while at < documents.len() {
        let rest = documents.get(at..).unwrap_or_default();
        let mut bytes = 0;
        let fits = rest.iter().take_while(|document| {
            bytes += document.as_bytes().len();
            bytes <= BULK_BYTES_MAX
        });
        let count = fits.count().max(1);
        let answer = insert_some(calls, what, database, collection, rest.iter().take(count)).await;
        let part = match answer {
            // A primary that is no longer one, or a connection that broke: the next one is waited for once. What the
            // first try wrote is there then, and is told by its nonce or seq.
            Err(CallError { cause: Cause::Unreachable(_), .. }) => {
                insert_some(calls, what, database, collection, rest.iter().take(count)).await?
            }
            other => other?,
        };
        inserted.failed.extend(part.failed.into_iter().map(|(place, code)| (at + place, code)));
        inserted.unconfirmed |= part.unconfirmed;
        at += count;
    }
    Ok(inserted)
}

async fn insert_some(
    calls: &Calls,
    what: &'static str,
    database: &Database,
    collection: &str,
    documents: impl Iterator<Item = &RawDocumentBuf>,
) -> Result<Inserted, CallError> {
    let mut command = RawDocumentBuf::new();
    command.append(cstr!("insert"), collection);
    command.append(cstr!("documents"), documents.collect::<RawArrayBuf>());
    let answer = send(calls, what, database, command).await?;
    let mut failed = BTreeMap::new();
    for error in answer.get_array("writeErrors").into_iter().flatten() {
        let read =
            error.as_document().and_then(|e| Some((number(e, "index")?, e.get_i32("code").ok()?)));
        let (place, code) = read.ok_or_else(|| CallError { what, cause: garbled() })?;
        failed.insert(place, code);
    }
    Ok(Inserted { failed, unconfirmed: answer.contains_key("writeConcernError") })
}

async fn send(
    calls: &Calls,
    what: &'static str,
    database: &Database,
    mut command: RawDocumentBuf,
) -> Result<Document, CallError> {
    command.append(cstr!("ordered"), false);
    command.append(cstr!("writeConcern"), rawdoc! { "w": "majority", "j": true });
    let database = database.clone();
    calls.make(what, async move { database.run_raw_command(command).await }).await
}

/// Runs one command of updates or of deletes.
///
/// # Errors
/// When nothing is known of some statement, or one was refused for another reason than a duplicate key.
pub(super) async fn run(
    calls: &Calls,
    what: &'static str,
    database: &Database,
    collection: &str,
    statements: &[BulkStatement],
) -> Result<BulkAnswer, CallError> {
    let Some(first) = statements.first() else { return Ok(BulkAnswer::default()) };
    let mut list = RawArrayBuf::new();
    for statement in statements {
        list.push(statement.to_raw());
    }
    let (verb, name) = if first.is_delete() {
        (cstr!("delete"), cstr!("deletes"))
    } else {
        (cstr!("update"), cstr!("updates"))
    };
    let mut command = RawDocumentBuf::new();
    command.append(verb, collection);
    command.append(name, list);
    let answer = send(calls, what, database, command).await?;
    read(&answer).map_err(|cause| CallError { what, cause })
}

fn read(answer: &Document) -> Result<BulkAnswer, Cause> {
    let mut duplicates = Vec::new();
    for failed in answer.get_array("writeErrors").into_iter().flatten() {
        let failed = failed.as_document().ok_or_else(garbled)?;
        let code = failed.get_i32("code").map_err(|_| garbled())?;
        if code != super::failure::DUPLICATE_KEY {
            return Err(of_code(code, failed.get_str("errmsg").unwrap_or_default()));
        }
        duplicates.push(number(failed, "index").ok_or_else(garbled)?);
    }
    if let Ok(late) = answer.get_document("writeConcernError") {
        let message = late.get_str("errmsg").unwrap_or_default();
        return Err(Cause::Unreachable(format!("a majority did not confirm: {message}")));
    }
    let matched = number(answer, "n").ok_or_else(garbled)?;
    Ok(BulkAnswer { matched: u64::try_from(matched).unwrap_or(u64::MAX), duplicates })
}

fn number(document: &Document, field: &str) -> Option<usize> {
    let number = document.get_i32(field).map(i64::from).or_else(|_| document.get_i64(field));
    usize::try_from(number.ok()?).ok()
}

fn garbled() -> Cause {
    Cause::Unreachable("the answer to a bulk write cannot be read".to_owned())
}
