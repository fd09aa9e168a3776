//! `orrery submit FILE`: sends a job document to the engine, and follows the job when asked to.
//!
//! Always: the document goes out as it was written; an idempotency key goes with it (one is minted when none is
//! given), so that a connection that breaks is tried again and never makes a second job. Standard output has the
//! job's id alone, for scripts. Absent: any check of the document beyond its being JSON; the engine knows better.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "every other failure of a file is told in the system's words"
)]

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use orrery_bench::document;
use serde_json::value::RawValue;

use super::api::shapes::Job;
use super::api::{Client, ClientError, EngineArgs};
use super::console::{Console, Format};
use super::failure::CliFailure;
use super::random;
use super::watch::{FollowArgs, follow};

/// Tries of one submission, the first included, before the engine counts as away: about 6 s in all.
const TRIES_MAX: u32 = 6;
/// The first wait before a repetition, and the longest.
const WAITS: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(3));

/// Arguments of `orrery submit`.
#[derive(Debug, Clone, Args)]
pub struct SubmitArgs {
    #[command(flatten)]
    engine: EngineArgs,
    /// The job document, plain or gzipped, or - for standard input
    file: PathBuf,
    /// Show the job until it ends; exit 0 only if it completed
    #[arg(long)]
    watch: bool,
    /// The same key and document make one job, however often they are sent
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    #[command(flatten)]
    follow: FollowArgs,
}

/// Submits a job.
///
/// # Errors
/// When the file cannot be read, the engine refuses it or is away; with `--watch` also when the job fails.
pub async fn run(args: SubmitArgs, console: &Console) -> Result<(), CliFailure> {
    let client = Client::new(&args.engine)?;
    let name = args.file.display();
    let submitted = document::read(&args.file).map_err(|cause| match cause.kind() {
        io::ErrorKind::NotFound => CliFailure::NotFound(format!("{name}: no such file")),
        _ => CliFailure::Failed(format!("{name}: {cause}")),
    })?;
    serde_json::from_slice::<&RawValue>(&submitted)
        .map_err(|cause| CliFailure::Failed(format!("{name} is not JSON: {cause}")))?;
    let key = args.idempotency_key.unwrap_or_else(random::fresh_id);
    let (job, answer) = submit(&client, submitted, &key).await?;
    match (args.watch, args.follow.output) {
        (true, Format::Json) => {}
        (false, Format::Json) => console.json(&answer)?,
        (_, Format::Table) => console.data(&job.id)?,
    }
    if args.watch {
        return follow(&client, &job.id, &args.follow, console).await;
    }
    console.say(&format!(
        "{} with {} nodes; next: orrery watch {}",
        job.status,
        job.count("total"),
        job.id
    ));
    Ok(())
}

/// Submits a document, again after a broken connection, under one key.
///
/// # Errors
/// The engine's refusal, or that it is away.
pub async fn submit(
    client: &Client,
    document: Vec<u8>,
    key: &str,
) -> Result<(Job, Box<RawValue>), ClientError> {
    let mut tries = 0;
    let answer = loop {
        tries += 1;
        match client.submit(document.clone(), key).await {
            Err(error) if error.is_transient() && tries < TRIES_MAX => {
                tokio::time::sleep(random::backoff(tries, WAITS.0, WAITS.1)).await;
            }
            answer => break answer?,
        }
    };
    let job = serde_json::from_str(answer.get()).map_err(|cause| ClientError::Unreadable {
        url: client.address().to_owned(),
        cause: cause.to_string(),
    })?;
    Ok((job, answer))
}
