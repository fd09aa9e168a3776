//! The database's schema, brought up to what this engine needs: collections, indexes, rules for documents.
//! Always holds: migrations run in the order of their numbers, each once, by one engine at a time; an interrupted one
//! is run again (every command may be repeated); one that was applied never changes (its checksum says so); a schema
//! newer than this engine is left alone.
//! Absent: going back. A migration only adds; what is no longer needed goes a release later.

mod files;
mod runner;

pub use self::files::{Migration, Migrations};
pub use self::runner::{MigrationStatus, Migrator};
