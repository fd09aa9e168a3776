//! Loads a running engine over its public HTTP API, with submitters and workers of its own, and says what it bears:
//! what `orrery bench` runs. It also makes jobs of recorded workflows, for `orrery import` (`wfformat`).
//!
//! Always: measuring (`measure`, `ledger`, `server`, `spread`, `figures`) is apart from driving (`drive`, `work`,
//! `link`, `wire`) and from what is driven (`shapes`); the queue is a fresh one, so nobody else's work is taken. The client
//! sends no claims and no heartbeats: nothing it loses is of worth. Absent: starting an engine, and anything of its
//! inside: this package does not know the engine's, so the two are compiled side by side.

mod arguments;
mod background;
pub mod document;
mod drive;
mod failure;
mod figures;
mod ledger;
mod link;
mod measure;
mod progress;
mod server;
mod shapes;
mod spread;
mod variants;
pub mod wfformat;
mod wire;
mod work;

use std::io;
use std::time::Duration;

use tokio::task::LocalSet;

pub use arguments::LoadArgs;
use arguments::Shape;
pub use failure::Failure;
pub use figures::{Figures, HEADING};
use link::Target;
use measure::Bench;
use progress::Progress;
pub use server::{APPENDS, EVENTS, VIEW_LAG};
use shapes::{Common, Variant};

/// The engine that is loaded.
#[derive(Clone)]
pub struct Engine {
    /// Its address, plain HTTP. It may hold a password, so it is shown nowhere as it is.
    pub url: String,
    /// The namespace that the bench's jobs live in.
    pub namespace: String,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

/// Whoever watches a bench.
pub trait Report: Send {
    /// Whether a progress bar may be drawn on standard error.
    fn is_terminal(&self) -> bool;

    /// Takes what was measured, as soon as it is known.
    ///
    /// # Errors
    /// When it cannot be shown; the bench ends then.
    fn measured(&mut self, figures: &Figures) -> io::Result<()>;

    /// Takes a remark for people.
    fn say(&self, remark: &str);
}

/// Runs the bench on a thread of its own; what each variant showed. A figure with [`Figures::left`] is the last one: what
/// it left behind would be the next variant's work.
///
/// # Errors
/// When the engine cannot be reached, refuses something, or does not finish what was begun.
pub async fn run(
    args: LoadArgs,
    engine: Engine,
    report: impl Report + 'static,
) -> Result<Vec<Figures>, Failure> {
    // One thread for everything: no locks, and the other cores are the engine's.
    let benching = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|cause| Failure::Failed(format!("cannot start: {cause}")))?;
        LocalSet::new().block_on(&runtime, bench(args, &engine, report))
    });
    benching.await.map_err(|cause| Failure::Failed(cause.to_string()))?
}

async fn bench(
    args: LoadArgs,
    engine: &Engine,
    report: impl Report,
) -> Result<Vec<Figures>, Failure> {
    let queue = format!("bench-{:08x}", rand::random::<u32>());
    let common = Common { queue: queue.clone(), fails: args.fail > 0.0 };
    let target = Target::of(engine)?;
    let workers_at = args.workers_url.as_deref();
    let workers_at = workers_at.map(|url| Target::at("--workers-url", engine, url));
    let bench = Bench {
        workers_at: workers_at.unwrap_or_else(|| Ok(target.clone()))?,
        target,
        queue,
        seconds: Duration::from_secs(args.seconds),
        fail: args.fail,
        server_pid: args.server_pid,
        data: args.data.clone(),
    };
    let progress = Progress::new(report.is_terminal());
    let mut session = Session { bench, common, progress, report, all: Vec::new() };
    if let Shape::Backlog { nodes, keep } = args.shape {
        session.backlog(variants::backlog(&session.common, nodes, &args), keep).await?;
    } else if let Shape::Many { queues, environments, keep } = args.shape {
        session.run(variants::many(&session.common, "empty", &args)).await?;
        let made = (queues as usize, environments as usize);
        let background = background::Background::make(engine, made).await?;
        let name = format!("{queues} queues, {environments} environments");
        session.run(variants::many(&session.common, &name, &args)).await?;
        if !keep {
            background.end().await?;
        }
    } else {
        session.run(variants::of(&args, &session.common)?).await?;
    }
    Ok(session.all)
}

/// A bench that goes on, and what it has shown so far.
struct Session<R> {
    bench: Bench,
    common: Common,
    progress: Progress,
    report: R,
    all: Vec<Figures>,
}

impl<R: Report> Session<R> {
    /// Runs variants one after the other, until one leaves work behind.
    async fn run(&mut self, variants: Vec<Variant>) -> Result<(), Failure> {
        for variant in variants {
            if let Some(jobs) = variant.stored_before {
                let filling = shapes::filling(&self.common, jobs);
                self.bench.store_jobs(filling, jobs, &self.progress).await?;
            }
            let (shape, name, shows_start) =
                (variant.shape, variant.name.clone(), variant.shows_start);
            let measured = self.bench.variant(variant, &self.progress).await?;
            let counted = &measured.counted;
            if shows_start {
                let name = format!("{name}: submit to start");
                self.show(Figures::of(shape, &name, &measured, &counted.to_start))?;
            }
            let name = if shows_start { format!("{name}: submit to end") } else { name };
            self.show(Figures::of(shape, &name, &measured, &counted.to_end))?;
            if measured.left > 0 {
                break;
            }
        }
        Ok(())
    }

    async fn backlog(&mut self, variant: Variant, keep: bool) -> Result<(), Failure> {
        let (shape, name) = (variant.shape, variant.name.clone());
        let (measured, stored, ids) = self.bench.backlog(variant, &self.progress).await?;
        self.report.say(&format!("{name} stored in {:.1} s", stored.as_secs_f64()));
        if keep {
            self.report.say("they are kept: orrery jobs list --status scheduled --status running");
        } else {
            self.bench.cancel(&ids).await?;
        }
        self.show(Figures::of(shape, &name, &measured, &measured.counted.requests))
    }

    fn show(&mut self, figures: Figures) -> Result<(), Failure> {
        self.report.measured(&figures)?;
        self.all.push(figures);
        Ok(())
    }
}
