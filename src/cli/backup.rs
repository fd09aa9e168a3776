//! `orrery backup DIR`: a copy of a data folder, made beside the engine that uses it.
//!
//! Decides: which folder, and what is said. Always: DIR has its name only when the copy is whole and synced. Absent:
//! the copying (`app::maintenance`), and a restore: an engine is started on the copy.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use orrery_client::bar::{Bar, BarUnit};
use orrery_client::console::{Console, Format};
use orrery_client::failure::CliFailure;
use serde_json::json;

use super::folder;
use crate::app::maintenance;
use crate::event_store::sqlite::BackupError;

/// How often the bar moves.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Arguments of `orrery backup`.
#[derive(Debug, Clone, Args)]
pub(crate) struct BackupArgs {
    /// The folder of the backup: it must not exist yet, or be empty
    dir: PathBuf,
    /// The data folder to copy [default: the configured one]
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// The engine's settings, to know its folder
    #[arg(long, value_name = "FILE", env = "ORRERY_CONFIG")]
    config: Option<PathBuf>,
    /// How the result is shown
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// Makes the copy.
///
/// # Errors
/// The place is taken (4), the data folder is none (3), or the disk says no (1).
pub(crate) async fn run(args: BackupArgs, console: &Console) -> Result<(), CliFailure> {
    let data = folder::chosen(args.data.as_deref(), args.config)?;
    let bar = Bar::begin(console, "backup", BarUnit::Bytes);
    let (from, to) = (data.clone(), args.dir.clone());
    let mut copying = tokio::task::spawn_blocking(move || maintenance::back_up(&from, &to));
    let made = loop {
        if let Ok(made) = tokio::time::timeout(LOOK_EVERY, &mut copying).await {
            break made.map_err(|panic| CliFailure::Failed(panic.to_string()))?;
        }
        let (done, all) = maintenance::backup_progress(&data, &args.dir);
        bar.set(done, all);
    };
    drop(bar);
    let made = made.map_err(|error| match &error {
        BackupError::Folder(error) => folder::of_folder(error),
        BackupError::Taken { .. } | BackupError::Partial { .. } => {
            CliFailure::Conflict(error.to_string())
        }
        BackupError::Failed { .. } => CliFailure::Failed(error.to_string()),
    })?;
    let dir = args.dir.display().to_string();
    if args.output == Format::Json {
        return console.json(&json!({
            "folder": dir,
            "streams": made.streams,
            "bytes": made.bytes,
            "newest_at": domain::time_text::rfc3339(made.newest_at),
        }));
    }
    console.say(&format!(
        "{} streams, {} bytes in {dir}; prove it: orrery check {dir}; restore it: orrery serve --data <a copy of {dir}>",
        made.streams, made.bytes
    ));
    Ok(())
}
