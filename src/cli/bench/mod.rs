//! `orrery bench`: loads a running engine over its public HTTP API, with submitters and workers of its own, and says
//! what it bears.
//!
//! Always: measuring (`measure`, `ledger`, `server`, `spread`, `figures`) is apart from driving (`drive`, `work`,
//! `link`, `wire`) and from what is driven (`shapes`); the queue is a fresh one, so nobody else's work is taken. The client
//! sends no claims and no heartbeats: nothing it loses is of worth. Absent: starting an engine.

mod crowd;
mod drive;
mod figures;
mod ledger;
mod link;
mod measure;
mod progress;
mod server;
mod shapes;
mod spread;
mod wire;
mod work;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use tokio::task::LocalSet;

use super::client::EngineArgs;
use super::console::{Console, Format};
use super::failure::Failure;
use super::{chance, import, wfformat};
use figures::{Figures, HEADING};
use link::Target;
use measure::Bench;
use progress::Progress;
use shapes::{Common, Variant};

/// Jobs that may be open when a schedule says when they are sent: a bound on the bench's memory alone.
const OPEN_MAX_ON_SCHEDULE: usize = 5_000_000;

/// Arguments of `orrery bench`.
#[derive(Debug, Clone, Args)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    shape: Shape,
    #[command(flatten)]
    engine: EngineArgs,
    /// How long each variant is measured, after 2 s of warming up
    #[arg(long, global = true, value_name = "S", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// Jobs a second, sent on schedule whatever becomes of them; those sent late are counted, those that the engine
    /// sheds are not sent again. Of backlog: requests for work a second [default: as fast as they end]
    #[arg(long, global = true, value_name = "R", value_parser = rate)]
    rate: Option<f64>,
    /// The share of attempts that are reported as failed; jobs retry them at once
    #[arg(long, global = true, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    fail: f64,
    /// Connections that submit [default: by shape]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    connections: Option<u16>,
    /// Connections that take work [default: by shape]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_000))]
    workers: Option<u16>,
    /// The most leases of one request [default: by shape]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_000))]
    lease_max: Option<u16>,
    /// Where workers ask, when that is another engine than the one that is submitted to. Not for backlog
    #[arg(long, global = true, value_name = "URL")]
    workers_url: Option<String>,
    /// The engine's process [default: the one that listens on the port, when it is on this machine]
    #[arg(long, global = true, value_name = "PID")]
    server_pid: Option<u32>,
    /// The engine's data folder, to measure how it grows
    // An id of its own: `orrery` without a command takes a `--data` too.
    #[arg(id = "bench-data", long = "data", global = true, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// A table, or one line of JSON a variant
    #[arg(short, long, global = true, value_enum, default_value_t)]
    output: Format,
}

#[derive(Debug, Clone, Subcommand)]
enum Shape {
    /// Jobs of one node, one by one on 64 connections, and in batches of 100
    Single,
    /// Jobs of 100 nodes one after the other, one job at a time, and 50
    Chain,
    /// One node, then 1,000, then one; one job at a time, and four
    Fan,
    /// 200 jobs at a time of 10 nodes: two diamonds and a chain
    Dag,
    /// One job each 100 ms: time from its submission to its start and to its end
    Idle,
    /// single, chain, fan, dag and idle
    All,
    /// Jobs of one node under idempotency keys, before and after many more were stored. The jobs stay
    Aged {
        /// Jobs that are stored in between
        #[arg(long, default_value_t = 20_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
        jobs: u64,
    },
    /// Many ready nodes, and how long a request for work takes then
    Backlog {
        /// Ready nodes, in jobs of 20,000
        #[arg(long, default_value_t = 1_000_000, value_name = "N")]
        nodes: usize,
        /// Leave the jobs in the engine instead of cancelling them
        #[arg(long)]
        keep: bool,
    },
    /// single and dag on an empty engine, and beside many queues and environments that nobody asks about
    Many {
        /// Queues, each with a ready node
        #[arg(long, default_value_t = 100_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
        queues: u32,
        /// Environments
        #[arg(long, default_value_t = 10_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
        environments: u32,
        /// Leave them in the engine
        #[arg(long)]
        keep: bool,
    },
    /// A recorded workflow; workers sleep as long as each task ran, scaled
    Wfformat {
        /// The file, plain or gzipped, or - for standard input
        file: PathBuf,
        /// Wall seconds for each recorded second
        #[arg(long, default_value_t = 0.001, value_name = "X", value_parser = scale)]
        scale: f64,
        /// Jobs at a time
        #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
        jobs: u16,
    },
}

/// Runs the bench on a thread of its own.
///
/// # Errors
/// When the engine cannot be reached, refuses something, or does not finish what was begun.
pub(crate) async fn run(args: BenchArgs, console: Console) -> Result<(), Failure> {
    // One thread for everything: no locks, and the other cores are the engine's.
    let benching = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|cause| Failure::Failed(format!("cannot start: {cause}")))?;
        LocalSet::new().block_on(&runtime, bench(args, &console))
    });
    benching.await.map_err(|cause| Failure::Failed(cause.to_string()))?
}

async fn bench(args: BenchArgs, console: &Console) -> Result<(), Failure> {
    let queue = format!("bench-{}", &chance::fresh_id()[..8]);
    let common = Common { queue: queue.clone(), fails: args.fail > 0.0 };
    let target = Target::of(&args.engine)?;
    let workers_at = args.workers_url.as_deref();
    let workers_at = workers_at.map(|url| Target::at("--workers-url", &args.engine, url));
    let bench = Bench {
        workers_at: workers_at.unwrap_or_else(|| Ok(target.clone()))?,
        target,
        queue,
        seconds: Duration::from_secs(args.seconds),
        fail: args.fail,
        server_pid: args.server_pid,
        data: args.data.clone(),
    };
    let progress = Progress::new(console);
    let mut all = Vec::new();
    if let Shape::Backlog { nodes, keep } = args.shape {
        let mut variant = shapes::backlog(&common, nodes);
        adjust(&mut variant, &args, "requests/s");
        all.push(backlog(&bench, variant, keep, &progress, console).await?);
        shown_line(&args, &all, console)?;
    } else if let Shape::Many { queues, environments, keep } = args.shape {
        let empty = adjusted(shapes::many(&common, "empty"), &args);
        run_variants(empty, &bench, &common, (&args, console, &progress), &mut all).await?;
        let made = (queues as usize, environments as usize);
        let crowd = crowd::Crowd::make(&args.engine, made).await?;
        let name = format!("{queues} queues, {environments} environments");
        let beside = adjusted(shapes::many(&common, &name), &args);
        run_variants(beside, &bench, &common, (&args, console, &progress), &mut all).await?;
        if !keep {
            crowd.end().await?;
        }
    } else {
        let variants = variants(&args, &common)?;
        run_variants(variants, &bench, &common, (&args, console, &progress), &mut all).await?;
    }
    if args.output == Format::Table {
        let mut rows = vec![HEADING.map(str::to_owned).to_vec()];
        rows.extend(all.iter().map(Figures::row));
        console.table(&rows)?;
    }
    for remarks in all.iter().filter_map(Figures::remarks) {
        console.say(&remarks);
    }
    match all.last().map(Figures::left) {
        Some(left) if left > 0 => Err(Failure::TimedOut(format!("{left} jobs do not end"))),
        _ => Ok(()),
    }
}

/// Runs variants one after the other, until one leaves work behind.
async fn run_variants(
    variants: Vec<Variant>,
    bench: &Bench,
    common: &Common,
    (args, console, progress): (&BenchArgs, &Console, &Progress),
    all: &mut Vec<Figures>,
) -> Result<(), Failure> {
    for variant in variants {
        if let Some(jobs) = variant.stored_before {
            bench.store_jobs(shapes::filling(common, jobs), jobs, progress).await?;
        }
        let (shape, name, shows_start) = (variant.shape, variant.name.clone(), variant.shows_start);
        let measured = bench.variant(variant, progress).await?;
        let counted = &measured.counted;
        if shows_start {
            let name = format!("{name}: submit to start");
            all.push(Figures::of(shape, &name, &measured, &counted.to_start));
            shown_line(args, all, console)?;
        }
        let name = if shows_start { format!("{name}: submit to end") } else { name };
        all.push(Figures::of(shape, &name, &measured, &counted.to_end));
        shown_line(args, all, console)?;
        if measured.left > 0 {
            // What is left would be the next variant's work.
            break;
        }
    }
    Ok(())
}

/// The newest figures as JSON, when that is asked for: a line as soon as it is known.
fn shown_line(args: &BenchArgs, all: &[Figures], console: &Console) -> Result<(), Failure> {
    match (args.output, all.last()) {
        (Format::Json, Some(figures)) => {
            let line = serde_json::to_string(figures)
                .map_err(|cause| Failure::Failed(cause.to_string()))?;
            console.data(&line)
        }
        (Format::Json, None) | (Format::Table, _) => Ok(()),
    }
}

async fn backlog(
    bench: &Bench,
    variant: Variant,
    keep: bool,
    progress: &Progress,
    console: &Console,
) -> Result<Figures, Failure> {
    let (shape, name) = (variant.shape, variant.name.clone());
    let (measured, stored, ids) = bench.backlog(variant, progress).await?;
    console.say(&format!("{name} stored in {:.1} s", stored.as_secs_f64()));
    if keep {
        console.say("they are kept: orrery jobs list --status scheduled --status running");
    } else {
        bench.cancel(&ids).await?;
    }
    Ok(Figures::of(shape, &name, &measured, &measured.counted.requests))
}

/// What is to be run, in order.
fn variants(args: &BenchArgs, common: &Common) -> Result<Vec<Variant>, Failure> {
    let variants = match &args.shape {
        Shape::Single => shapes::single(common),
        Shape::Chain => shapes::chain(common),
        Shape::Fan => shapes::fan(common),
        Shape::Dag => shapes::dag(common),
        Shape::Idle => shapes::idle(common),
        Shape::Aged { jobs } => shapes::aged(common, *jobs),
        Shape::All => [
            shapes::single(common),
            shapes::chain(common),
            shapes::fan(common),
            shapes::dag(common),
            shapes::idle(common),
        ]
        .concat(),
        Shape::Backlog { nodes, .. } => vec![shapes::backlog(common, *nodes)],
        Shape::Many { .. } => shapes::many(common, "empty"),
        Shape::Wfformat { file, scale, jobs } => {
            vec![recorded(common, file, *scale, usize::from(*jobs))?]
        }
    };
    Ok(adjusted(variants, args))
}

/// Variants as the arguments want them.
fn adjusted(mut variants: Vec<Variant>, args: &BenchArgs) -> Vec<Variant> {
    for variant in &mut variants {
        adjust(variant, args, "jobs/s");
        if args.rate.is_some() {
            // The schedule alone says when a job is sent.
            variant.open_max = OPEN_MAX_ON_SCHEDULE;
        }
        if let Some(connections) = args.connections {
            variant.connections = usize::from(connections);
        }
        if let Some(workers) = args.workers {
            variant.workers = usize::from(workers);
        }
        if let Some(max) = args.lease_max {
            variant.lease_max = usize::from(max);
        }
    }
    variants
}

/// What the arguments say about any variant; `unit` is what its rate counts.
fn adjust(variant: &mut Variant, args: &BenchArgs, unit: &str) {
    if let Some(rate) = args.rate {
        variant.every = Some(Duration::from_secs_f64(1.0 / rate));
        variant.name = format!("{}, {rate} {unit}", variant.name);
    }
    if args.fail > 0.0 {
        variant.name = format!("{}, {} % fail", variant.name, args.fail * 100.0);
    }
}

fn recorded(common: &Common, file: &Path, scale: f64, jobs: usize) -> Result<Variant, Failure> {
    let failed = |cause: String| Failure::Failed(format!("{}: {cause}", file.display()));
    let bytes = import::read(file).map_err(|cause| failed(cause.to_string()))?;
    let workflow =
        wfformat::job_of(&bytes, &common.queue).map_err(|cause| failed(cause.to_string()))?;
    shapes::recorded(common, &workflow, scale, jobs).map_err(failed)
}

fn rate(text: &str) -> Result<f64, String> {
    number(text, |rate| (0.001..=1_000_000.0).contains(&rate), "jobs a second, 0.001 to 1,000,000")
}

fn share(text: &str) -> Result<f64, String> {
    number(text, |share| (0.0..1.0).contains(&share), "a share from 0 to below 1")
}

fn scale(text: &str) -> Result<f64, String> {
    number(text, |scale| (0.0..=1_000.0).contains(&scale), "a number from 0 to 1,000")
}

fn number(text: &str, fits: impl Fn(f64) -> bool, what: &str) -> Result<f64, String> {
    text.parse().ok().filter(|number| fits(*number)).ok_or_else(|| format!("not {what}"))
}
