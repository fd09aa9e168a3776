//! `orrery watch JOB`: shows a job until it ends, as a bar on a terminal and as plain lines elsewhere.
//!
//! Always: it only reads; an engine that goes away for less than a minute is waited for, so that a restart does
//! not end the watch. The end's exit code is 0 only for a completed job. Absent: submitting, and any change.

use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::Instant;

use super::api::shapes::Job;
use super::api::{Client, EngineArgs};
use super::console::{Console, Format};
use super::failure::CliFailure;

/// Between two looks at a job at the least. The engine keeps each look but the first until the job has changed.
const LOOKS_APART: Duration = Duration::from_millis(100);
/// The engine keeps a look so long at the most, so that the time that a job takes is shown as it passes.
const LOOK_WAITS: Duration = Duration::from_secs(1);
/// Between two tries to reach an engine that does not answer.
const TRIES_APART: Duration = Duration::from_secs(1);
/// Plain lines are not closer together than this, but for a change of the job's own state.
const LINES_APART: Duration = Duration::from_secs(1);
/// Groups that one line names.
const GROUPS_SHOWN_MAX: usize = 3;
/// An engine is waited for this long.
const ENGINE_AWAY_MAX: Duration = Duration::from_mins(1);

/// Arguments of `orrery watch`.
#[derive(Debug, Clone, Args)]
pub struct WatchArgs {
    #[command(flatten)]
    engine: EngineArgs,
    /// The job's id
    job: String,
    #[command(flatten)]
    follow: FollowArgs,
}

/// How a job is followed.
#[derive(Debug, Clone, Args)]
pub struct FollowArgs {
    /// Stop watching after this many seconds, with exit code 124
    #[arg(long, value_name = "SECONDS")]
    timeout_s: Option<u64>,
    /// What is printed when the job has ended
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Format,
}

/// Watches a job to its end.
///
/// # Errors
/// When the job ends otherwise than completed, is not known, or the time is over.
pub async fn run(args: WatchArgs, console: &Console) -> Result<(), CliFailure> {
    let client = Client::new(&args.engine)?;
    follow(&client, &args.job, &args.follow, console).await
}

/// Follows a job to its end and prints what came of it.
///
/// # Errors
/// As [`run`].
pub async fn follow(
    client: &Client,
    id: &str,
    args: &FollowArgs,
    console: &Console,
) -> Result<(), CliFailure> {
    let mut view = View::new(console);
    let limit = Duration::from_secs(args.timeout_s.unwrap_or(u64::MAX / 1_000));
    let ended =
        tokio::time::timeout(limit, until_ended(client, id, console, |job| view.show(job))).await;
    view.finish();
    let Ok(ended) = ended else {
        return Err(CliFailure::TimedOut(format!(
            "job {id} has not ended; watch on with: orrery watch {id}"
        )));
    };
    let job = ended?;
    if args.output == Format::Json {
        console.json(&client.job_document(id).await?)?;
    }
    verdict(&job, client, console)
}

/// Looks at a job until it has ended, handing each look to `seen`.
pub async fn until_ended(
    client: &Client,
    id: &str,
    console: &Console,
    mut seen: impl FnMut(&Job),
) -> Result<Job, CliFailure> {
    let mut known: Option<u64> = None;
    let mut away: Option<Instant> = None;
    loop {
        let found = match known {
            Some(version) => client.job_after(id, version, LOOK_WAITS).await,
            None => client.job(id).await,
        };
        match found {
            Ok(job) => {
                known = job.version;
                if away.take().is_some() {
                    console.say("the engine answers again");
                }
                seen(&job);
                if job.has_ended() {
                    return Ok(job);
                }
            }
            Err(error) if error.is_transient() => {
                // Also where it has no place for one more request that waits: the next one does not.
                known = None;
                let since = *away.get_or_insert_with(|| {
                    let tried_s = ENGINE_AWAY_MAX.as_secs();
                    console.say(&format!("{error}\n  it is asked again for {tried_s} s"));
                    Instant::now()
                });
                if since.elapsed() > ENGINE_AWAY_MAX {
                    return Err(error.into());
                }
            }
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(if away.is_some() { TRIES_APART } else { LOOKS_APART }).await;
    }
}

/// Says how a job ended.
pub fn verdict(job: &Job, client: &Client, console: &Console) -> Result<(), CliFailure> {
    let took = job.durations.as_ref().and_then(|durations| durations.total_ms);
    let took = took.map(|ms| format!(" in {}", seconds(ms))).unwrap_or_default();
    let status = console.coloured(&job.status, &job.status);
    if job.status == "completed" {
        console.say(&format!("job {} {status}{took}: {}", job.id, counts(job)));
        return Ok(());
    }
    let why = job.error.as_ref().map(|error| {
        let node = error.node.as_deref().map(|node| format!(" at node {node}")).unwrap_or_default();
        let class = error.class.as_deref().map(|class| format!(" [{class}]")).unwrap_or_default();
        format!("{node}{class}: {}", error.message.as_deref().unwrap_or("no message"))
    });
    let url = format!("{}/api/v1/jobs/{}/nodes", client.address(), job.id);
    Err(CliFailure::Failed(format!(
        "job {} {status}{took}{}\n  {}\n  look at its nodes: curl '{url}'",
        job.id,
        why.unwrap_or_default(),
        counts(job),
    )))
}

/// Seconds as people read them: `12.3 s`.
fn seconds(ms: u64) -> String {
    format!("{}.{} s", ms / 1_000, ms % 1_000 / 100)
}

/// `3 running, 120/671 completed`: every state that has nodes, the completed of all last.
fn counts(job: &Job) -> String {
    let others = job.nodes.iter().filter(|(state, count)| {
        **count > 0 && !matches!(state.as_str(), "total" | "completed" | "pending")
    });
    let mut parts: Vec<String> = others.map(|(state, count)| format!("{count} {state}")).collect();
    parts.push(format!("{}/{} completed", job.count("completed"), job.count("total")));
    // Members are many: of a group at work one word says how far it is.
    let groups = job.groups.iter().take(GROUPS_SHOWN_MAX);
    parts.extend(groups.map(|group| format!("{} {}/{}", group.node, group.settled, group.members)));
    parts.join(", ")
}

/// A bar where there is a terminal, lines where there is none.
struct View<'a> {
    console: &'a Console,
    bar: Option<ProgressBar>,
    last: Option<(String, Instant)>,
}

impl<'a> View<'a> {
    fn new(console: &'a Console) -> Self {
        let bar = console.is_terminal().then(|| {
            let style = ProgressStyle::with_template(
                "{prefix:10} {wide_bar} {pos}/{len}  {msg}  {elapsed}",
            );
            let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(0).with_style(style)
        });
        Self { console, bar, last: None }
    }

    fn show(&mut self, job: &Job) {
        let status = match &job.ending {
            Some(ending) if !job.has_ended() => format!("{} (ending: {ending})", job.status),
            _ => job.status.clone(),
        };
        if let Some(bar) = &self.bar {
            bar.set_length(job.count("total"));
            bar.set_position(settled(job));
            bar.set_prefix(status);
            bar.set_message(counts(job));
            return;
        }
        let percent = job.progress.as_ref().map(|progress| format!(" {:.0} %", progress.percent));
        let line = format!("{status}{}: {}", percent.unwrap_or_default(), counts(job));
        let same_status = |last: &str| last.split([':', ' ']).next() == Some(job.status.as_str());
        let due = match &self.last {
            None => true,
            Some((last, _)) if *last == line => false,
            Some((last, at)) => !same_status(last) || at.elapsed() >= LINES_APART,
        };
        if due {
            self.console.say(&line);
            self.last = Some((line, Instant::now()));
        }
    }

    fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Nodes that nothing more happens to.
fn settled(job: &Job) -> u64 {
    ["completed", "failed", "timeout", "skipped", "cancelled", "compensated"]
        .iter()
        .map(|state| job.count(state))
        .sum()
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test says what it expects")]
mod tests {
    use super::*;
    use crate::api::shapes::GroupShape;

    fn job(status: &str) -> Job {
        serde_json::from_value(serde_json::json!({
            "id": "j1", "status": status, "nodes": {"total": 4, "completed": 2, "failed": 1, "pending": 1, "running": 0},
            "error": {"node": "b", "class": "bug", "message": "exited with 1"}, "durations": {"total_ms": 1234},
            "groups": [], "more": "fields may be added"
        }))
        .expect("a job")
    }

    #[test]
    fn counts_name_what_is_not_zero_and_the_completed_of_all() {
        assert_eq!(counts(&job("running")), "1 failed, 2/4 completed");
        assert_eq!(settled(&job("running")), 3);
    }

    #[test]
    fn a_group_at_work_is_one_word() {
        let mut job = job("running");
        job.groups = vec![GroupShape { node: "each".to_owned(), settled: 312, members: 1_000 }];
        assert_eq!(counts(&job), "1 failed, 2/4 completed, each 312/1000");
    }

    #[test]
    fn only_a_completed_job_ends_well() {
        let engine =
            EngineArgs { url: "http://127.0.0.1:1".to_owned(), namespace: "default".to_owned() };
        let client = Client::new(&engine).expect("a client");
        let console = Console::of(Vec::new(), Vec::new());
        assert!(verdict(&job("completed"), &client, &console).is_ok());
        for status in ["failed", "timeout", "cancelled", "aborted"] {
            let failure = verdict(&job(status), &client, &console).expect_err(status);
            assert_eq!(failure.exit_code(), 1);
            assert!(failure.to_string().contains("at node b [bug]: exited with 1"), "{failure}");
        }
    }
}
