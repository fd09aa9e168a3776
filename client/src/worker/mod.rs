//! `orrery worker`: takes work from a queue and runs a command for each attempt (or sleeps as long as the input
//! says). The modules beside this are the worker's core, which the demo uses with a runner of its own.

pub mod attempt;
mod classify;
mod command;
pub mod first_process;
mod held;
mod lease_loop;
mod open_files;
mod output;
mod report;
mod settings;
mod sleep;
pub mod supervisor;

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

pub use lease_loop::work;
pub use report::{Totals, raw};
pub use settings::{LEASE_MS_DEFAULT, WorkerSettings};

use super::api::{Client, EngineArgs};
use super::console::Console;
use super::failure::CliFailure;
use super::random;
use super::signals;
use command::CommandRunner;
use output::OutputFormat;
use sleep::SleepRunner;

/// How long the engine holds a request for work: below its 30 s, and below what proxies allow.
const WAIT_MS: u64 = 20_000;

/// Arguments of `orrery worker`.
#[derive(Debug, Clone, Args)]
#[command(after_long_help = include_str!("contract.txt"))]
pub struct WorkerArgs {
    #[command(flatten)]
    engine: EngineArgs,
    /// The queue to take work from
    #[arg(long, value_name = "NAME", default_value = "default")]
    queue: String,
    /// Attempts at a time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    concurrency: u16,
    /// The worker's name, shown by the engine [default: the host's name and six characters by chance]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// How long a lease is good without a heartbeat, in ms
    #[arg(long, value_name = "MS", default_value_t = LEASE_MS_DEFAULT,
          value_parser = clap::value_parser!(u64).range(5_000..=3_600_000))]
    lease_ms: u64,
    /// Take only work of this action type (may be repeated)
    #[arg(long = "action-type", value_name = "TYPE")]
    action_types: Vec<String>,
    /// Time between SIGTERM and SIGKILL when an attempt is stopped, in ms
    #[arg(long, value_name = "MS", default_value_t = 8_000, value_parser = clap::value_parser!(u64).range(..=25_000))]
    grace_ms: u64,
    /// How the command's standard output is read
    #[arg(long, value_enum, default_value_t)]
    output: OutputFormat,
    /// Run no command: sleep `input.runtime_s` times this many seconds, then complete
    #[arg(long, value_name = "X", conflicts_with = "command", value_parser = scale)]
    sleep_scale: Option<f64>,
    /// The command to run for each attempt: input JSON on its stdin, output JSON from its stdout
    #[arg(last = true, value_name = "CMD", required_unless_present = "sleep_scale")]
    command: Vec<OsString>,
}

fn scale(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(scale) if scale.is_finite() && scale >= 0.0 => Ok(scale),
        _ => Err("must be a number, 0 or more".to_owned()),
    }
}

/// Works until a signal says to leave.
///
/// # Errors
/// When the engine says that the request for work is wrong, or the command cannot be run.
pub async fn run(args: WorkerArgs, console: Console) -> Result<(), CliFailure> {
    let client = Client::new(&args.engine)?;
    let mut command = args.command.into_iter();
    let runner = command.next().map(|program| {
        let grace = Duration::from_millis(args.grace_ms);
        CommandRunner::new(program, command.collect(), grace, args.output)
    });
    if let Some(missing) = runner.as_ref().and_then(CommandRunner::missing) {
        // Before any work is taken: it would only be given back.
        return Err(CliFailure::Failed(missing));
    }
    let wanted = usize::from(args.concurrency);
    let concurrency = if runner.is_some() { open_files::allow(wanted, &console) } else { wanted };
    let settings = WorkerSettings {
        name: args.name.unwrap_or_else(own_name),
        queue: args.queue,
        concurrency,
        lease_ms: args.lease_ms,
        wait_ms: WAIT_MS,
        action_types: args.action_types,
    };
    console.say(&format!(
        "worker {} takes work from queue {} at {}",
        settings.name,
        settings.queue,
        client.address()
    ));
    let leave = signals::leave(&console)?;
    let totals = match (args.sleep_scale, runner) {
        (Some(scale), _) => {
            work(client, settings, Arc::new(SleepRunner::new(scale)), console.clone(), leave)
                .await?
        }
        (None, Some(runner)) => {
            work(client, settings, Arc::new(runner), console.clone(), leave).await?
        }
        (None, None) => {
            return Err(CliFailure::Usage("give a command after --, or --sleep-scale".to_owned()));
        }
    };
    let Totals { completed, failed, released, lost } = totals;
    console.say(&format!(
        "{completed} completed, {failed} failed, {released} given back, {lost} lost"
    ));
    Ok(())
}

/// A name that tells workers apart: the host's, and a part by chance.
fn own_name() -> String {
    let system = rustix::system::uname();
    let host = system.nodename().to_string_lossy();
    let id = random::fresh_id();
    let chance = &id[id.len().saturating_sub(6)..];
    let host = if host.is_empty() { "worker" } else { &*host };
    format!("{host}-{chance}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_without_a_name_is_called_after_its_host() {
        let system = rustix::system::uname();
        let (one, two) = (own_name(), own_name());
        assert!(one.starts_with(&*system.nodename().to_string_lossy()), "{one}");
        assert_ne!(one, two);
    }

    #[test]
    fn help_and_page_name_every_variable_that_a_command_gets() {
        let page = include_str!("../../../docs/worker.md");
        for text in [include_str!("contract.txt"), page] {
            for variable in command::VARIABLES {
                assert!(text.contains(variable), "{variable}");
            }
        }
    }
}
