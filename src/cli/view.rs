//! `orrery view rebuild [DIR]`: throws the documents that lists are made of away and makes them from the streams.
//!
//! Decides: which folder, and what is said. Absent: the making (`app::maintenance`); an engine that finds no view makes
//! one by itself while it serves.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use orrery_client::bar::{Bar, BarUnit};
use orrery_client::console::Console;
use orrery_client::failure::CliFailure;

use super::folder;
use crate::app::maintenance;

/// Arguments of `orrery view`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ViewArgs {
    #[command(subcommand)]
    verb: ViewVerb,
}

#[derive(Debug, Clone, Subcommand)]
enum ViewVerb {
    /// Throw the view of a stopped engine away and make it from the streams
    Rebuild {
        /// The data folder [default: the configured one]
        dir: Option<PathBuf>,
        /// The engine's settings, to know its folder
        #[arg(long, value_name = "FILE", env = "ORRERY_CONFIG")]
        config: Option<PathBuf>,
    },
}

/// Makes the view anew.
///
/// # Errors
/// An engine runs on the folder (4), it is no data folder (3), or something in it cannot be read (1).
pub(crate) async fn run(args: ViewArgs, console: &Console) -> Result<(), CliFailure> {
    let ViewVerb::Rebuild { dir, config } = args.verb;
    let dir = folder::chosen(dir.as_deref(), config)?;
    let bar = Bar::begin(console, "view", BarUnit::Streams);
    let made = maintenance::rebuild_view(&dir, &mut |done, all| bar.set(done, all)).await;
    drop(bar);
    let made = made.map_err(folder::failure)?;
    let (documents, dir) = (made.documents, dir.display());
    if made.left_out > 0 {
        return Err(CliFailure::Failed(format!(
            "{documents} documents made; {} streams cannot be read and are left out: orrery check {dir}",
            made.left_out
        )));
    }
    console.say(&format!("{documents} documents made from the streams in {dir}"));
    Ok(())
}
