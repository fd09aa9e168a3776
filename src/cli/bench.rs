//! `orrery bench`: loads an engine with the package `orrery-bench` and shows what it found: a table at the end, or one
//! line of JSON as soon as a variant is measured. Absent: the load, and what is measured.

use std::io;

use clap::Args;
use orrery_bench::{Engine, Figures, HEADING, LoadArgs, Report};

use super::client::EngineArgs;
use super::console::{Console, Format, plain};
use super::failure::CliFailure;

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
    let figures = orrery_bench::run(load, Engine { url, namespace }, report).await?;
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

impl From<orrery_bench::Failure> for CliFailure {
    fn from(failure: orrery_bench::Failure) -> Self {
        use orrery_bench::Failure as Of;
        // A message may repeat what the engine answered, which may be anything.
        let plain = |message: String| plain(&message).into_owned();
        match failure {
            Of::Failed(message) => Self::Failed(plain(message)),
            Of::Usage(message) => Self::Usage(plain(message)),
            Of::Unavailable(message) => Self::Unavailable(plain(message)),
            Of::TimedOut(message) => Self::TimedOut(plain(message)),
            Of::Output(cause) => Self::Output(cause),
        }
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
