//! The migrations that this engine knows: the files of `migrations/`, compiled in.
//! Always holds: numbers are dense from 1; a checksum covers every byte of a file.
//! Absent: reading files at run time.

use std::fmt::Write;

use bson::Document;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::super::StartError;

/// Name and text of each file, in order. A file that was released is never changed.
const FILES: &[(&str, &str)] = &[
    ("event_store", include_str!("../../../../migrations/0001_event_store.json")),
    ("view", include_str!("../../../../migrations/0002_view.json")),
    ("membership", include_str!("../../../../migrations/0003_membership.json")),
    ("payload_sweep", include_str!("../../../../migrations/0004_payload_sweep.json")),
    ("nodes", include_str!("../../../../migrations/0005_nodes.json")),
    ("lean_pages", include_str!("../../../../migrations/0006_lean_pages.json")),
    ("environment_times", include_str!("../../../../migrations/0007_environment_times.json")),
    ("words", include_str!("../../../../migrations/0008_words.json")),
];

/// One step of the schema.
#[derive(Debug, Clone)]
pub struct Migration {
    /// Counted from 1.
    pub number: u32,
    /// What it is about.
    pub name: String,
    /// sha-256 of its text, as hexadecimal digits.
    pub checksum: String,
    /// Why it is.
    pub why: String,
    /// Run one after the other; each may be repeated.
    pub commands: Vec<Document>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    why: String,
    commands: Vec<Document>,
}

/// Migrations in order.
#[derive(Debug, Clone)]
pub struct Migrations(Vec<Migration>);

impl Migrations {
    /// Those of this engine.
    ///
    /// # Errors
    /// When a file cannot be read, which a test rules out.
    pub fn known() -> Result<Self, StartError> {
        Self::of(FILES)
    }

    /// Migrations of one's own, numbered from 1: for tests.
    ///
    /// # Errors
    /// When a text is not a migration.
    pub fn of(files: &[(&str, &str)]) -> Result<Self, StartError> {
        let parsed = (1..).zip(files).map(|(number, (name, text))| {
            let file: File = serde_json::from_str(text)
                .map_err(|error| StartError::Schema(format!("migration {number}: {error}")))?;
            let mut checksum = String::with_capacity(64);
            for byte in Sha256::digest(text.as_bytes()) {
                // Writing into a text never fails.
                let _ = write!(checksum, "{byte:02x}");
            }
            let (why, commands) = (file.why, file.commands);
            Ok(Migration { number, name: (*name).to_owned(), checksum, why, commands })
        });
        parsed.collect::<Result<_, _>>().map(Self)
    }

    /// Their order is kept.
    pub fn iter(&self) -> impl Iterator<Item = &Migration> {
        self.0.iter()
    }

    /// The newest one's number, 0 when there is none.
    pub fn newest(&self) -> u32 {
        self.0.last().map_or(0, |last| last.number)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::expect_used, reason = "a test that cannot go on says why")]

    use super::*;

    #[test]
    fn every_file_of_the_folder_is_a_migration_under_its_number() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations");
        let mut there: Vec<String> = std::fs::read_dir(folder)
            .expect("the folder")
            .filter_map(Result::ok)
            .filter(|entry| entry.path().extension().is_some_and(|ending| ending == "json"))
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        there.sort();
        let known = Migrations::known().expect("migrations");
        let expected: Vec<String> = known
            .iter()
            .map(|migration| format!("{:04}_{}.json", migration.number, migration.name))
            .collect();
        assert_eq!(there, expected);
        assert!(known.iter().all(|migration| !migration.commands.is_empty()));
    }
}
