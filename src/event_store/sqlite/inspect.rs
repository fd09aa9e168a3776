//! A look at the file of the streams from below the contract: what SQLite says of its pages, and what belongs to
//! nothing. Only for proving a stored folder; an engine never needs it.
//! Always holds: nothing is written. Absent: events and their meaning.

use std::collections::{BTreeMap, BTreeSet};

use domain::ids::SubjectId;
use rusqlite::{Connection, params};
use sha2::{Digest, Sha256};

use super::folder::{DataFolder, FolderError};
use super::keys::subject_at;
use super::rows::FileFault;
use super::{connections, rows, startup_check, streams};
use crate::environment::Unfiled;
use crate::event_store::contract::KeptPayload;

/// What SQLite names of a damaged file at most.
const PAGE_FAULTS_MAX: u32 = 100;

/// The file of the streams of a stopped engine.
#[derive(Debug)]
pub struct Inspection {
    file: Connection,
    /// What the index in the file does not say yet.
    unfiled: Unfiled,
    named: String,
}

impl Inspection {
    /// Opens the file for reading.
    ///
    /// # Errors
    /// There is none, or it cannot be opened.
    pub fn open(folder: &DataFolder) -> Result<Self, FolderError> {
        let path = folder.events_file();
        startup_check::before(&path)?;
        let (file, named) = (connections::open_beside(&path)?, path.display().to_string());
        match streams::load(&file, i64::MAX) {
            Ok(unfiled) => Ok(Self { file, unfiled, named }),
            Err(error) => Err(FolderError::Unreadable { file: named, reason: error.to_string() }),
        }
    }

    /// How many streams there are.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn streams(&self) -> Result<u64, FolderError> {
        let count = self.file.query_row("SELECT count(*) FROM streams", [], |row| row.get(0));
        let count: i64 = count.map_err(|error| self.unreadable(&error))?;
        Ok(count.try_into().unwrap_or(0))
    }

    /// Damaged pages and indexes, then rows of no stream and streams of no rows.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn faults(&self) -> Result<Vec<FileFault>, FolderError> {
        let mut faults = self.page_faults().map_err(|error| self.unreadable(&error))?;
        if faults.is_empty() {
            faults = self.rows().map_err(|error| self.unreadable(&error))?;
            faults.extend(self.strays().map_err(|error| self.unreadable(&error))?);
        }
        Ok(faults)
    }

    /// The payloads of a subject, each hashed anew.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn payloads_of(&self, subject: &SubjectId) -> Result<Vec<KeptPayload>, FolderError> {
        self.kept(subject).map_err(|error| self.unreadable(&error))
    }

    fn unreadable(&self, error: &rusqlite::Error) -> FolderError {
        FolderError::Unreadable { file: self.named.clone(), reason: error.to_string() }
    }

    fn page_faults(&self) -> rusqlite::Result<Vec<FileFault>> {
        let mut said = self.file.prepare(&format!("PRAGMA integrity_check({PAGE_FAULTS_MAX})"))?;
        let said = said.query_map([], |row| row.get::<_, String>(0))?;
        let faults = said.filter(|line| !matches!(line.as_deref(), Ok("ok")));
        faults.map(|what| Ok(FileFault { place: "events.db".to_owned(), what: what? })).collect()
    }

    /// Rows that are not what was written.
    fn rows(&self) -> rusqlite::Result<Vec<FileFault>> {
        let mut faults = rows::small(&self.file)?;
        let streams = rows::streams(&self.file)?;
        if streams.faults.is_empty() && !rows::is_indexed(&self.file, &streams)? {
            let what = "the index of streams is not what the streams say".to_owned();
            faults.push(FileFault { place: "events.db".to_owned(), what });
        }
        faults.extend(streams.faults);
        faults.extend(streams.marks);
        faults.extend(rows::large(&self.file, |stream| self.named(stream))?);
        Ok(faults)
    }

    /// Whose stream has this number.
    fn named(&self, stream: i64) -> String {
        match streams::named(&self.file, stream) {
            Ok(Some(subject)) => subject.to_string(),
            Ok(None) | Err(_) => format!("stream number {stream}"),
        }
    }

    fn strays(&self) -> rusqlite::Result<Vec<FileFault>> {
        let mut faults = Vec::new();
        let mut streams: BTreeMap<i64, SubjectId> = BTreeMap::new();
        let mut all = self.file.prepare("SELECT kind, namespace, id, stream FROM streams")?;
        let mut rows = all.query([])?;
        let mut names = BTreeSet::new();
        while let Some(row) = rows.next()? {
            let Ok(subject) = subject_at(row, 0) else { continue };
            if !names.insert(subject.clone()) {
                let what = "there is another stream of it".to_owned();
                faults.push(FileFault { place: subject.to_string(), what });
            }
            streams.insert(row.get(3)?, subject);
        }
        for table in ["records", "payloads", "snapshots", "wakes"] {
            let mut used = self.file.prepare(&format!("SELECT DISTINCT stream FROM {table}"))?;
            let mut used: Vec<i64> =
                used.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
            used.sort_unstable();
            let of_nothing = used.iter().filter(|stream| !streams.contains_key(stream));
            faults.extend(of_nothing.map(|stream| FileFault {
                place: format!("stream number {stream}"),
                what: format!("{table} of a stream that does not exist"),
            }));
            if table == "records" {
                let empty =
                    streams.iter().filter(|(stream, _)| used.binary_search(stream).is_err());
                faults.extend(empty.map(|(_, subject)| FileFault {
                    place: subject.to_string(),
                    what: "a stream without records".to_owned(),
                }));
            }
        }
        self.tombstones_of_living(&mut faults)?;
        Ok(faults)
    }

    fn tombstones_of_living(&self, faults: &mut Vec<FileFault>) -> rusqlite::Result<()> {
        let mut both = self.file.prepare(
            "SELECT kind, namespace, id FROM tombstones INTERSECT SELECT kind, namespace, id FROM streams",
        )?;
        let mut rows = both.query([])?;
        while let Some(row) = rows.next()? {
            faults.push(FileFault {
                place: subject_at(row, 0)?.to_string(),
                what: "a stream beside its tombstone".to_owned(),
            });
        }
        Ok(())
    }

    fn kept(&self, subject: &SubjectId) -> rusqlite::Result<Vec<KeptPayload>> {
        let Some(stream) = streams::find(&self.file, &self.unfiled, subject)? else {
            return Ok(Vec::new());
        };
        self.file
            .prepare_cached("SELECT hash, body FROM payloads WHERE stream = ?1 ORDER BY hash")?
            .query_and_then(params![stream], |row| {
                let (hash, body) = (row.get(0)?, row.get_ref(1)?.as_blob()?);
                let computed: [u8; 32] = Sha256::digest(body).into();
                Ok(KeptPayload { hash, bytes: body.len() as u64, intact: computed == hash })
            })?
            .collect()
    }
}
