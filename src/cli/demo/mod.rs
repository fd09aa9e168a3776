//! `orrery demo`: an engine on a temporary folder, two workers in this process, and a job that fails once.
//!
//! Always: nothing outside a fresh temporary folder is touched, and the folder is gone afterwards; only loopback is
//! listened on; what the demo does goes over the public HTTP API, as everybody's job would. The configuration of
//! the machine is not read, so that the demo is the same everywhere. Absent: anything a test could not do as well.

mod job;
mod picture;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use orrery_client::api::shapes::Job;
use orrery_client::api::{Client, EngineArgs};
use orrery_client::console::Console;
use orrery_client::failure::CliFailure;
use orrery_client::worker::{LEASE_MS_DEFAULT, WorkerSettings, work};
use orrery_client::{random, signals, submit, watch};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::engine;
use crate::config::{Settings, Sources};
use job::{DemoWork, QUEUE};
use picture::Picture;

/// The port that the printed commands use, when it is free.
const PORT: u16 = 8080;
/// Workers of the demo: two, so that the two sides of the diamond run at once.
const WORKERS: usize = 2;
/// Between two looks at the job.
const LOOK: Duration = Duration::from_millis(50);
/// The job takes 2 s and a retry's wait; after this long something is wrong.
const JOB_MAX: Duration = Duration::from_mins(1);
/// How long the engine may take to start, and to end.
const ENGINE_MAX: Duration = Duration::from_secs(30);

/// Arguments of `orrery demo`.
#[derive(Debug, Clone, Args)]
pub(crate) struct DemoArgs {
    /// End when the job has ended: exit 0 only if it completed
    #[arg(long)]
    exit: bool,
    /// Where the engine keeps everything instead of the temporary folder, such as mongodb://HOSTS/DATABASE
    #[arg(long, value_name = "URI")]
    storage_uri: Option<String>,
}

/// Runs the demo.
///
/// # Errors
/// When the engine cannot start, or the job does not complete.
pub(crate) async fn run(args: DemoArgs, console: &Console) -> Result<(), CliFailure> {
    let folder = TemporaryFolder::create()?;
    let elsewhere = args.storage_uri.is_some();
    let leave = signals::leave(console)?;
    // Raised by a signal, or by the end of the demo.
    let over = leave.child_token();
    let (ready, listening) = oneshot::channel();
    let mut serving = AbortOnDropHandle::new(tokio::spawn(engine::serve(
        settings(&folder, args.storage_uri)?,
        over.clone(),
        ready,
    )));
    let address = tokio::select! {
        Ok(address) = listening => address,
        ended = &mut serving => return ended.unwrap_or_else(|cause| Err(CliFailure::Failed(cause.to_string()))),
        () = tokio::time::sleep(ENGINE_MAX) => return Err(CliFailure::TimedOut("the engine did not start".to_owned())),
    };
    let data = if elsewhere { "MongoDB".to_owned() } else { folder.0.display().to_string() };
    console.say(&format!("an engine listens on http://{address}, its data in {data}"));
    let shown = tokio::select! {
        shown = show(address, args.exit, console, &over) => shown,
        () = leave.cancelled() => Ok(()),
        ended = &mut serving => return ended.unwrap_or_else(|cause| Err(CliFailure::Failed(cause.to_string()))),
    };
    over.cancel();
    let ended = match tokio::time::timeout(ENGINE_MAX, serving).await {
        Ok(Ok(ended)) => ended,
        Ok(Err(cause)) => Err(CliFailure::Failed(format!("the engine panicked: {cause}"))),
        Err(_) => Err(CliFailure::TimedOut("the engine did not end in time".to_owned())),
    };
    shown.and(ended)
}

/// Starts the workers, runs the job, and says how to go on.
async fn show(
    address: SocketAddr,
    exit: bool,
    console: &Console,
    over: &CancellationToken,
) -> Result<(), CliFailure> {
    let arguments =
        EngineArgs { url: format!("http://{address}"), namespace: "default".to_owned() };
    let client = Client::new(&arguments)?;
    let leaving = over.child_token();
    let mut workers = tokio::task::JoinSet::new();
    for number in 1..=WORKERS {
        let settings = worker_settings(number);
        workers.spawn(work(
            client.clone(),
            settings,
            Arc::new(DemoWork),
            console.clone(),
            leaving.clone(),
        ));
    }
    let (submitted, _) =
        submit::submit(&client, job::document().to_string().into_bytes(), &random::fresh_id())
            .await?;
    console.say(&format!(
        "job {} is submitted; {WORKERS} workers take its nodes from queue {QUEUE}\n",
        submitted.id
    ));
    let job = tokio::time::timeout(JOB_MAX, picture(&client, &submitted.id, console)).await;
    let job = job.map_err(|_| CliFailure::TimedOut("the job did not end".to_owned()))??;
    console.say("");
    watch::verdict(&job, &client, console)?;
    if exit {
        leaving.cancel();
        while workers.join_next().await.is_some() {}
        return Ok(());
    }
    go_on(address, &submitted.id, console);
    while workers.join_next().await.is_some() {}
    Ok(())
}

/// Draws the job until it has ended.
async fn picture(client: &Client, id: &str, console: &Console) -> Result<Job, CliFailure> {
    let mut picture = Picture::new(console.clone());
    loop {
        // The job first: when it has ended, so have the nodes that are read after it.
        let job = client.job(id).await?;
        let nodes = client.nodes(id).await?.nodes;
        picture.show(&job, &nodes);
        if job.has_ended() {
            return Ok(job);
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn go_on(address: SocketAddr, id: &str, console: &Console) {
    let api = format!("http://{address}/api/v1");
    for line in [
        "",
        "the engine and the workers go on until Ctrl-C; try:",
        &format!("  curl '{api}/jobs/{id}'"),
        &format!("  curl '{api}/jobs/{id}/nodes'"),
        &format!("  curl '{api}/jobs/{id}/history'"),
        &format!("  curl '{api}/jobs/{id}/graph'"),
        &format!("  curl -X POST '{api}/jobs' -H 'Content-Type: application/json' \\"),
        &format!(
            "       -d '{{\"name\": \"mine\", \"nodes\": [{{\"key\": \"a\", \"queue\": \"{QUEUE}\"}}]}}'"
        ),
        &format!("  open  http://{address}/docs"),
    ] {
        console.say(line);
    }
}

fn worker_settings(number: usize) -> WorkerSettings {
    WorkerSettings {
        name: format!("demo-{number}"),
        queue: QUEUE.to_owned(),
        concurrency: 1,
        lease_ms: LEASE_MS_DEFAULT,
        wait_ms: 10_000,
        action_types: Vec::new(),
    }
}

/// The settings of the demo's engine: the defaults, but for where it listens and writes, and what it logs.
fn settings(folder: &TemporaryFolder, storage_uri: Option<String>) -> Result<Settings, CliFailure> {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, PORT)).is_ok();
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, if free { PORT } else { 0 }));
    let flag = |key: &str, value: String| ("the demo", key.to_owned(), value);
    let mut flags = vec![
        flag("server.listen", listen.to_string()),
        flag("storage.data", folder.0.display().to_string()),
        flag("log.level", "warn".to_owned()),
    ];
    flags.extend(storage_uri.map(|uri| flag("storage.uri", uri)));
    let sources = Sources { file: None, environment: Vec::new(), flags };
    Ok(sources.load().map_err(|error| CliFailure::Failed(error.to_string()))?.settings)
}

/// A folder that is removed with everything in it when it is dropped.
#[derive(Debug)]
struct TemporaryFolder(PathBuf);

impl TemporaryFolder {
    fn create() -> Result<Self, CliFailure> {
        let path = std::env::temp_dir().join(format!("orrery-demo-{}", random::fresh_id()));
        std::fs::create_dir(&path).map_err(|cause| {
            CliFailure::Failed(format!("cannot make {}: {cause}", path.display()))
        })?;
        Ok(Self(path))
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        // A folder that cannot be removed is the system's to clean: it lies among its temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test says what it expects")]
mod tests {
    use super::*;

    #[test]
    fn the_demo_listens_on_loopback_and_writes_to_its_own_folder() {
        let folder = TemporaryFolder::create().expect("a folder");
        let path = folder.0.clone();
        let settings = settings(&folder, None).expect("settings");
        assert!(settings.server.listen.ip().is_loopback());
        assert_eq!(settings.storage.folder(), path);
        drop(folder);
        assert!(!path.exists(), "the folder is gone with the demo");
    }

    #[test]
    fn the_demos_job_is_a_diamond_of_the_nodes_that_are_shown() {
        let document = job::document();
        let nodes = document["nodes"].as_array().expect("nodes");
        let keys: Vec<_> = nodes.iter().filter_map(|node| node["key"].as_str()).collect();
        assert_eq!(keys, job::KEYS);
        assert_eq!(nodes[3]["depends_on"], serde_json::json!([job::KEYS[1], job::KEYS[2]]));
    }
}
