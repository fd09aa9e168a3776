//! `orrery import wfformat FILE`: a recorded workflow execution becomes a job document.
//!
//! Decides: how the file is read (plain or gzipped, `-` for standard input) and where the job goes. Always: the
//! file is checked whole before a byte is written. Absent: the format itself (`wfformat`), and submitting:
//! `orrery import wfformat FILE | orrery submit -` does both.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "every other failure of a file is told in the system's words"
)]

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::console::Console;
use super::failure::Failure;
use super::wfformat;

/// A file is not read beyond this, also when its compressed form is small. Real ones have a few MB.
const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;

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
}

/// Prints the job document.
///
/// # Errors
/// When the file cannot be read, or says something that no job can mean.
pub(crate) fn run(args: &ImportArgs, console: &Console) -> Result<(), Failure> {
    let ImportFormat::Wfformat(args) = &args.format;
    let name = args.file.display();
    let bytes = read(&args.file).map_err(|cause| match cause.kind() {
        io::ErrorKind::NotFound => Failure::NotFound(format!("{name}: no such file")),
        _ => Failure::Failed(format!("{name}: {cause}")),
    })?;
    let job = wfformat::job_of(&bytes, &args.queue)
        .map_err(|cause| Failure::Failed(format!("{name}: {cause}")))?;
    let document =
        serde_json::to_string(&job).map_err(|cause| Failure::Failed(cause.to_string()))?;
    console.text(&document)?;
    let edges: usize = job.nodes.iter().map(|node| node.depends_on.len()).sum();
    console.say(&format!(
        "{} nodes, {edges} edges; next: orrery submit --watch <the document>",
        job.nodes.len()
    ));
    Ok(())
}

/// Reads a file, or standard input for `-`, and unpacks it when it is gzipped.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let stream: Box<dyn Read> = if path == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        Box::new(File::open(path)?)
    };
    let bytes = bounded(stream)?;
    if bytes.starts_with(&[0x1f, 0x8b]) {
        bounded(flate2::read::MultiGzDecoder::new(&bytes[..]))
    } else {
        Ok(bytes)
    }
}

fn bounded(stream: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    stream.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other(format!("longer than {FILE_BYTES_MAX} bytes")));
    }
    Ok(bytes)
}
