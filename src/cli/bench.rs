//! `orrery bench`: loads an engine with the package `orrery-bench` and shows what it found: a table at the end, or one
//! line of JSON as soon as a variant is measured. Absent: the load, and what is measured.

use std::io;

use clap::Args;
use orrery_bench::{Engine, Failure, Figures, HEADING, LoadArgs, Report};
use orrery_client::api::EngineArgs;
use orrery_client::console::{Console, Format, plain};
use orrery_client::failure::CliFailure;

/// Arguments of `orrery bench`.
#[derive(Debug, Clone, Args)]
pub(crate) struct BenchArgs {
    #[command(flatten)]
    engine: EngineArgs,
    #[command(flatten)]
    load: LoadArgs,
    /// A table, or one line of JSON a variant
    #[arg(short, long, global = true, value_enum, default_value_t)]
    output: Format,
}

/// Runs the bench and shows its figures.
///
/// # Errors
/// When the engine cannot be reached, refuses something, or does not finish what was begun.
pub(crate) async fn run(args: BenchArgs, console: Console) -> Result<(), CliFailure> {
    let BenchArgs { engine: EngineArgs { url, namespace }, load, output } = args;
    let report = ToConsole { console: console.clone(), output };
    let figures =
        orrery_bench::run(load, Engine { url, namespace }, report).await.map_err(failure_of)?;
    if output == Format::Table {
        let mut rows = vec![HEADING.map(str::to_owned).to_vec()];
        rows.extend(figures.iter().map(Figures::row));
        console.table(&rows)?;
    }
    for remarks in figures.iter().filter_map(Figures::remarks) {
        console.say(&plain(&remarks));
    }
    match figures.last().map(Figures::left) {
        Some(left) if left > 0 => Err(CliFailure::TimedOut(format!("{left} jobs do not end"))),
        _ => Ok(()),
    }
}

/// What a bench says, on the console.
struct ToConsole {
    console: Console,
    output: Format,
}

impl Report for ToConsole {
    fn is_terminal(&self) -> bool {
        self.console.is_terminal()
    }

    fn measured(&mut self, figures: &Figures) -> io::Result<()> {
        if self.output == Format::Table {
            return Ok(());
        }
        let line = serde_json::to_string(figures)?;
        let written = self.console.data(&line);
        written.map_err(|failure| {
            if let CliFailure::Output(cause) = failure { cause } else { io::Error::other(failure) }
        })
    }

    fn say(&self, remark: &str) {
        self.console.say(&plain(remark));
    }
}

/// The failure with the exit code that it has.
fn failure_of(failure: Failure) -> CliFailure {
    // A message may repeat what the engine answered, which may be anything.
    let plain = |message: String| plain(&message).into_owned();
    match failure {
        Failure::Failed(message) => CliFailure::Failed(plain(message)),
        Failure::Usage(message) => CliFailure::Usage(plain(message)),
        Failure::Unavailable(message) => CliFailure::Unavailable(plain(message)),
        Failure::TimedOut(message) => CliFailure::TimedOut(plain(message)),
        Failure::Output(cause) => CliFailure::Output(cause),
    }
}

#[cfg(test)]
mod tests {
    use crate::telemetry::metrics;

    #[test]
    fn the_metrics_that_a_bench_reads_are_those_that_an_engine_has() {
        let read = [orrery_bench::APPENDS, orrery_bench::EVENTS, orrery_bench::VIEW_LAG];
        assert_eq!(read, [metrics::APPENDS, metrics::EVENTS, metrics::VIEW_LAG]);
    }
}
