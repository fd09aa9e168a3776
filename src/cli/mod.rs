//! The command line: what is typed becomes one of the commands beside this, and its result an exit code.
//!
//! Always: `serve` is what runs when no command is named; data goes to standard output, messages to standard
//! error; exit codes are those of [`failure::CliFailure`]. Absent: any knowledge of the engine's inside but in
//! `serve` and `demo`, which start one through `app`, and in `backup`, `check` and `view`, which work on its folder
//! through `app`; all others speak its public HTTP API.

mod backup;
mod bench;
mod check;
mod demo;
mod engine;
mod folder;
mod import;
mod migrate;
mod serve;
mod settings;
mod view;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use orrery_client::console::Console;
use orrery_client::failure::CliFailure;
use orrery_client::{healthcheck, jobs, policies, submit, watch, worker};

/// Runs jobs made of steps, retries what fails, recovers what is stuck, and can prove what it did.
#[derive(Debug, Parser)]
#[command(name = "orrery", version, args_conflicts_with_subcommands = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<CliCommand>,
    #[command(flatten)]
    serve: serve::ServeArgs,
}

#[derive(Debug, Subcommand)]
enum CliCommand {
    /// Run an engine (what happens when no command is named)
    Serve(serve::ServeArgs),
    /// Run an engine on a temporary folder, two workers, and a job that fails once and is retried
    Demo(demo::DemoArgs),
    /// Submit a job document
    Submit(submit::SubmitArgs),
    /// Show a job until it ends
    Watch(watch::WatchArgs),
    /// Look at jobs, ask why one does not go on, or cancel one
    Jobs(jobs::JobsArgs),
    /// Keep retry policies by name, and see in advance what one would do
    Policies(policies::PoliciesArgs),
    /// Take work from a queue and run a command for each attempt
    Worker(worker::WorkerArgs),
    /// Make a job document of a recorded workflow
    Import(import::ImportArgs),
    /// Load a running engine and show what it bears
    Bench(bench::BenchArgs),
    /// Copy the data folder of an engine, running or not, into a new folder
    Backup(backup::BackupArgs),
    /// Prove the data folder of a stopped engine, or a backup, and name what is wrong
    Check(check::CheckArgs),
    /// Work on the documents that lists are made of
    View(view::ViewArgs),
    /// Print the API's OpenAPI document
    Openapi,
    /// Check or show the configuration
    Config(settings::ConfigArgs),
    /// Show or apply the migrations of the database
    Migrate(migrate::MigrateArgs),
    /// Exit 0 if the engine is ready, 1 if not
    Healthcheck(healthcheck::HealthcheckArgs),
    /// Print the completions for a shell
    Completions {
        /// Which shell the completions are for
        shell: Shell,
    },
}

/// Reads the arguments of the process, runs the command and returns the exit code.
pub fn main() -> ExitCode {
    if let Some(code) = worker::supervisor::main() {
        return code;
    }
    let line = match CommandLine::try_parse() {
        Ok(line) => line,
        Err(error) => {
            // Help and version come this way too. A reader that went away is no failure, a full disk is.
            let printed = error.print();
            let lost = printed.is_err_and(|cause| cause.kind() != std::io::ErrorKind::BrokenPipe);
            let code = if lost { 1 } else { error.exit_code() };
            return ExitCode::from(u8::try_from(code).unwrap_or(2));
        }
    };
    let console = Console::of_process(engine::messages());
    console.take_panics();
    if matches!(line.command, Some(CliCommand::Worker(_))) && worker::first_process::is_needed() {
        return worker::first_process::run().unwrap_or_else(|failure| told(&console, &failure));
    }
    let result = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(run(line, &console)),
        Err(cause) => Err(CliFailure::Failed(format!("cannot start: {cause}"))),
    };
    let code = match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => told(&console, &failure),
    };
    console.finish();
    engine::finish_log();
    code
}

/// Says why a command failed, and answers the exit code for it.
fn told(console: &Console, failure: &CliFailure) -> ExitCode {
    if !failure.is_silent() {
        console.say(&format!("{} {failure}", console.coloured("error", "error:")));
    }
    ExitCode::from(failure.exit_code())
}

async fn run(line: CommandLine, console: &Console) -> Result<(), CliFailure> {
    match line.command.unwrap_or(CliCommand::Serve(line.serve)) {
        CliCommand::Serve(args) => serve::run(args, console).await,
        CliCommand::Demo(args) => demo::run(args, console).await,
        CliCommand::Submit(args) => submit::run(args, console).await,
        CliCommand::Watch(args) => watch::run(args, console).await,
        CliCommand::Jobs(args) => jobs::run(args, console).await,
        CliCommand::Policies(args) => policies::run(args, console).await,
        CliCommand::Worker(args) => worker::run(args, console.clone()).await,
        CliCommand::Import(args) => import::run(&args, console),
        CliCommand::Bench(args) => bench::run(args, console.clone()).await,
        CliCommand::Backup(args) => backup::run(args, console).await,
        CliCommand::Check(args) => check::run(args, console).await,
        CliCommand::View(args) => view::run(args, console).await,
        CliCommand::Openapi => console.text(&engine::openapi_document()),
        CliCommand::Config(args) => settings::run(args, console),
        CliCommand::Migrate(args) => migrate::run(args, console).await,
        CliCommand::Healthcheck(args) => healthcheck::run(args, console).await,
        CliCommand::Completions { shell } => completions(shell, console),
    }
}

fn completions(shell: Shell, console: &Console) -> Result<(), CliFailure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut CommandLine::command(), "orrery", &mut script);
    console.text(String::from_utf8_lossy(&script).trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<CommandLine, clap::Error> {
        CommandLine::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_arguments_make_sense_together() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn usual_lines_are_understood() {
        for line in [
            "orrery",
            "orrery --listen 127.0.0.1:9000 --data folder",
            "orrery serve --listen 127.0.0.1:9000 --data folder --storage-uri sqlite:x --config f --insecure-public",
            "orrery demo --exit",
            "orrery openapi",
            "orrery config check --config f",
            "orrery migrate status --storage-uri mongodb://h/d -o json",
            "orrery migrate up --dry-run --storage-uri mongodb://h/d",
            "orrery demo --storage-uri mongodb://h/d --exit",
            "orrery config show -o json",
            "orrery submit job.json --watch --idempotency-key k --namespace team --url http://h:1",
            "orrery submit - -o json",
            "orrery watch 0192 --timeout-s 5",
            "orrery worker --queue q --concurrency 16 --lease-ms 5000 --name w -- cmd --flag arg",
            "orrery worker --sleep-scale 0.001",
            "orrery import wfformat run.json.gz",
            "orrery jobs list --status running --status queued -o json",
            "orrery jobs cancel 0192 --url http://h:1",
            "orrery jobs explain 0192 -o json",
            "orrery jobs explain 0192 node-a --url http://h:1",
            "orrery policies list --page 2 -o json",
            "orrery policies show nightly --url http://h:1",
            "orrery policies create p.json -o json",
            "orrery policies replace nightly - --if-version 3",
            "orrery policies delete nightly",
            "orrery policies preview nightly --attempts 20 --type Timeout --status 503",
            "orrery policies preview --file p.json -o json",
            "orrery healthcheck --url http://h:1",
            "orrery bench dag --url http://h:1 --seconds 60 --rate 50 --fail 0.1 --data folder -o json",
            "orrery bench --seconds 5 all",
            "orrery bench backlog --nodes 1000 --keep --server-pid 7",
            "orrery bench wfformat run.json.gz --scale 0.01 --jobs 3",
            "orrery completions bash",
            "orrery backup folder-of-backup --data folder --config f -o json",
            "orrery check",
            "orrery check folder -o json",
            "orrery view rebuild",
            "orrery view rebuild folder --config f",
        ] {
            assert!(parsed(line).is_ok(), "{line}: {:?}", parsed(line).err());
        }
    }

    #[test]
    fn lines_that_make_no_sense_are_usage_errors() {
        for line in [
            "orrery worker",
            "orrery worker --sleep-scale 1 -- cmd",
            "orrery worker --sleep-scale -1",
            "orrery worker --concurrency 0 -- cmd",
            "orrery worker --lease-ms 1 -- cmd",
            "orrery import wfformat",
            "orrery completions tcsh",
            "orrery nonsense",
            "orrery --data x demo",
            "orrery submit",
            "orrery policies",
            "orrery policies create",
            "orrery policies preview",
            "orrery policies preview p --file f",
            "orrery policies preview p --attempts 0",
            "orrery backup",
            "orrery view",
            "orrery bench",
            "orrery bench dag --fail 1",
            "orrery bench dag --rate 0",
            "orrery bench dag --workers 0",
        ] {
            assert_eq!(parsed(line).map(drop).map_err(|error| error.exit_code()), Err(2), "{line}");
        }
    }
}
