//! `orrery import wfformat FILE`: a recorded workflow execution becomes a job document.
//!
//! Decides: where the job goes. Always: the file is checked whole before a byte is written. Absent: reading the file
//! and the format itself (`orrery_bench::wfformat`, which the bench needs too), and submitting:
//! `orrery import wfformat FILE | orrery submit -` does both.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "every other failure of a file is told in the system's words"
)]

use std::io;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use orrery_bench::{document, wfformat};
use orrery_client::console::Console;
use orrery_client::failure::CliFailure;

/// Arguments of `orrery import`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ImportArgs {
    #[command(subcommand)]
    format: ImportFormat,
}

#[derive(Debug, Clone, Subcommand)]
enum ImportFormat {
    /// A WfFormat 1.4 or 1.5 document, plain or gzipped: one task node for each task
    Wfformat(WfformatArgs),
}

#[derive(Debug, Clone, Args)]
struct WfformatArgs {
    /// The file, or - for standard input
    file: PathBuf,
    /// The queue that the tasks are offered on
    #[arg(long, value_name = "NAME", default_value = "default")]
    queue: String,
    /// Its levels as groups, one after the other, instead of edges
    #[arg(long)]
    groups: bool,
}

/// Prints the job document.
///
/// # Errors
/// When the file cannot be read, or says something that no job can mean.
pub(crate) fn run(args: &ImportArgs, console: &Console) -> Result<(), CliFailure> {
    let ImportFormat::Wfformat(args) = &args.format;
    let name = args.file.display();
    let bytes = document::read(&args.file).map_err(|cause| match cause.kind() {
        io::ErrorKind::NotFound => CliFailure::NotFound(format!("{name}: no such file")),
        _ => CliFailure::Failed(format!("{name}: {cause}")),
    })?;
    let job = wfformat::job_of(&bytes, &args.queue)
        .map_err(|cause| CliFailure::Failed(format!("{name}: {cause}")))?;
    let written = if args.groups {
        job.as_groups().map(|job| job.to_string())
    } else {
        serde_json::to_string(&job)
    };
    let text = written.map_err(|cause| CliFailure::Failed(cause.to_string()))?;
    console.text(&text)?;
    let edges: usize = job.nodes.iter().map(|node| node.depends_on.len()).sum();
    console.say(&format!(
        "{} nodes, {edges} edges; next: orrery submit --watch <the document>",
        job.nodes.len()
    ));
    Ok(())
}
