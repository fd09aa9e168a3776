//! The hash chain of a subject's events, and the verifier of an exported history (format: `docs/history-format.md`).
//! A chain value covers the one before it and one event's JSON as written; nothing is ever encoded again to check it.
//! Invariant: a changed, missing, moved or cut entry is found, by its number (`every_damage_is_found_where_it_is`).
//! Absent on purpose: protection against somebody who writes the whole chain anew; for that, keep heads elsewhere.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::ids::{Millis, SubjectId};
use crate::payload::Hash;

/// Opens every genesis value, so that no chain value of another purpose can be one.
const GENESIS_PREFIX: &[u8] = b"orrery history 1\n";

/// The chain value before a subject's first event: sha-256 of a fixed line and the subject's text. Histories of two
/// subjects cannot be exchanged for one another.
pub fn genesis(subject: &SubjectId) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(GENESIS_PREFIX);
    hasher.update(subject.to_string().as_bytes());
    hasher.finalize().into()
}

/// The chain value after an event: sha-256 of the value before it (32 bytes), the length of the event's JSON (8 bytes,
/// big endian) and the JSON as written.
pub fn chain(previous: [u8; 32], event_json: &[u8]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(previous);
    hasher.update((event_json.len() as u64).to_be_bytes());
    hasher.update(event_json);
    hasher.finalize().into()
}

/// One line of an export, without its line end. `event_json` is the text as written, on one line.
pub fn export_line(seq: u64, previous: [u8; 32], hash: [u8; 32], event_json: &str) -> String {
    let (previous, hash) = (Hash(previous).hex(), Hash(hash).hex());
    format!(r#"{{"seq":{seq},"prev_hash":"{previous}","hash":"{hash}","event":{event_json}}}"#)
}

/// The closing line of an export, without its line end. Without it an export does not verify.
pub fn closing_line(count: u64, head: [u8; 32], exported_at: Millis) -> String {
    let exported_at = DateTime::<Utc>::from_timestamp_millis(exported_at).unwrap_or_default();
    closing_text(count, Hash(head), &exported_at.to_rfc3339_opts(SecondsFormat::Millis, true))
}

fn closing_text(count: u64, head: Hash, exported_at: &str) -> String {
    format!(r#"{{"count":{count},"head":"{}","exported_at":"{exported_at}"}}"#, head.hex())
}

/// What a whole, undamaged export says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// Events in it.
    pub count: u64,
    /// The chain value after the last one.
    pub head: Hash,
}

/// The first thing that is wrong with an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("entry {index}: {what}")]
pub struct Damage {
    /// Number of the first wrong entry, from 1; one more than the entries there are when the closing line is wrong.
    pub index: u64,
    /// What is wrong with it.
    pub what: DamageKind,
}

/// What is wrong with an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DamageKind {
    /// Neither an entry nor a closing line, letter for letter.
    #[error("the line is not in the export's form")]
    Malformed,
    /// Another number than the next one.
    #[error("the entry here has the number {found}")]
    Number { found: u64 },
    /// Its `prev_hash` is not the chain value before it.
    #[error("prev_hash is not the hash before it")]
    PreviousHash,
    /// Its `hash` does not follow from its event.
    #[error("hash does not follow from the event")]
    Hash,
    /// The text ends without a closing line.
    #[error("the closing line is missing")]
    Unclosed,
    /// The closing line counts otherwise.
    #[error("the closing line counts {found} entries")]
    Count {
        /// What it counts.
        found: u64,
    },
    /// The closing line names another head.
    #[error("the closing line names another head")]
    Head,
    /// Something follows the closing line.
    #[error("there is more after the closing line")]
    AfterClosing,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry<'a> {
    seq: u64,
    prev_hash: Hash,
    hash: Hash,
    #[serde(borrow)]
    event: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Closing<'a> {
    count: u64,
    head: Hash,
    exported_at: &'a str,
}

/// Checks an export line by line, holding one chain value and one number.
#[derive(Debug, Clone)]
pub struct Verifier {
    head: [u8; 32],
    count: u64,
    closed: bool,
}

impl Verifier {
    /// For the export of this subject's history.
    pub fn new(subject: &SubjectId) -> Self {
        Self { head: genesis(subject), count: 0, closed: false }
    }

    /// Takes the next line, without its line end. After damage the verifier must not be used again.
    pub fn line(&mut self, line: &[u8]) -> Result<(), Damage> {
        if self.closed {
            return Err(self.damage(DamageKind::AfterClosing));
        }
        let line = std::str::from_utf8(line).map_err(|_| self.damage(DamageKind::Malformed))?;
        match (serde_json::from_str(line), serde_json::from_str(line)) {
            (Ok(entry), _) => self.entry(&entry, line),
            (_, Ok(closing)) => self.closing(&closing, line),
            (Err(_), Err(_)) => Err(self.damage(DamageKind::Malformed)),
        }
    }

    /// After the last line.
    pub fn finish(self) -> Result<Verified, Damage> {
        if self.closed {
            Ok(Verified { count: self.count, head: Hash(self.head) })
        } else {
            Err(self.damage(DamageKind::Unclosed))
        }
    }

    fn entry(&mut self, entry: &Entry<'_>, line: &str) -> Result<(), Damage> {
        let hash = chain(self.head, entry.event.get().as_bytes());
        let wrong = if entry.seq != self.count + 1 {
            Some(DamageKind::Number { found: entry.seq })
        } else if entry.prev_hash.0 != self.head {
            Some(DamageKind::PreviousHash)
        } else if entry.hash.0 != hash {
            Some(DamageKind::Hash)
        } else if export_line(entry.seq, self.head, hash, entry.event.get()) != line {
            Some(DamageKind::Malformed)
        } else {
            None
        };
        if let Some(what) = wrong {
            return Err(self.damage(what));
        }
        self.count += 1;
        self.head = hash;
        Ok(())
    }

    fn closing(&mut self, closing: &Closing<'_>, line: &str) -> Result<(), Damage> {
        let wrong = if closing.count != self.count {
            Some(DamageKind::Count { found: closing.count })
        } else if closing.head.0 != self.head {
            Some(DamageKind::Head)
        } else if DateTime::parse_from_rfc3339(closing.exported_at).is_err()
            || closing_text(closing.count, closing.head, closing.exported_at) != line
        {
            Some(DamageKind::Malformed)
        } else {
            None
        };
        self.closed = true;
        wrong.map_or(Ok(()), |what| Err(self.damage(what)))
    }

    fn damage(&self, what: DamageKind) -> Damage {
        Damage { index: self.count + 1, what }
    }
}

/// Checks a whole export. The last line may lack its line end.
pub fn verify(subject: &SubjectId, export: &[u8]) -> Result<Verified, Damage> {
    let mut verifier = Verifier::new(subject);
    let export = export.strip_suffix(b"\n").unwrap_or(export);
    for line in export.split(|byte| *byte == b'\n') {
        verifier.line(line)?;
    }
    verifier.finish()
}

#[cfg(test)]
#[path = "history_tests.rs"]
mod tests;
