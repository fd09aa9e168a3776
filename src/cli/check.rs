//! `orrery check [DIR]`: proves the data folder of a stopped engine, or a backup, and names what is wrong.
//!
//! Always: nothing is changed; the exit code is 0 only when everything holds. Absent: the proof (`app::maintenance`).

use std::path::PathBuf;

use clap::Args;
use orrery_client::bar::{Bar, BarUnit};
use orrery_client::console::{Console, Format};
use orrery_client::failure::CliFailure;

use super::folder;
use crate::app::maintenance::{self, CheckReport, ViewFound};

/// Arguments of `orrery check`.
#[derive(Debug, Clone, Args)]
pub(crate) struct CheckArgs {
    /// The data folder [default: the configured one]
    dir: Option<PathBuf>,
    /// The engine's settings, to know its folder
    #[arg(long, value_name = "FILE", env = "ORRERY_CONFIG")]
    config: Option<PathBuf>,
    /// How what is wrong is shown
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// Proves the folder.
///
/// # Errors
/// Something is wrong (1), an engine runs on it (4), or it is no data folder (3).
pub(crate) async fn run(args: CheckArgs, console: &Console) -> Result<(), CliFailure> {
    let dir = folder::chosen(args.dir.as_deref(), args.config)?;
    let bar = Bar::begin(console, "check", BarUnit::Streams);
    let report = maintenance::check(&dir, &mut |done, all| bar.set(done, all)).await;
    drop(bar);
    let report = report.map_err(folder::failure)?;
    match args.output {
        Format::Json => console.json(&report)?,
        Format::Table => show(&report, console)?,
    }
    let dir = dir.display();
    if report.wrong > 0 {
        return Err(CliFailure::Failed(format!("{} things are wrong in {dir}", report.wrong)));
    }
    let view = match report.view {
        ViewFound::Compared => "the view shows what they say",
        ViewFound::ToBeMade => "the view will be made by the next engine",
    };
    let (streams, events) = (report.streams, report.events);
    console.say(&format!("{dir}: {streams} streams with {events} events hold; {view}"));
    Ok(())
}

fn show(report: &CheckReport, console: &Console) -> Result<(), CliFailure> {
    if report.findings.is_empty() {
        return Ok(());
    }
    let mut rows = vec![["SUBJECT", "SEQ", "WHAT", "DETAIL"].map(str::to_owned).to_vec()];
    rows.extend(report.findings.iter().map(|finding| {
        let seq = finding.seq.map_or_else(String::new, |seq| seq.to_string());
        vec![finding.subject.clone(), seq, finding.what.to_owned(), finding.detail.clone()]
    }));
    console.table(&rows)
}
