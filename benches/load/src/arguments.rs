//! What is typed behind `orrery bench`: the shape of the load and how hard it is. Absent: which engine, and how figures
//! are shown; those are the command line's.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Arguments that say what load there is.
#[derive(Debug, Clone, Args)]
pub struct LoadArgs {
    #[command(subcommand)]
    pub(crate) shape: Shape,
    /// How long each variant is measured, after 2 s of warming up
    #[arg(long, global = true, value_name = "S", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) seconds: u64,
    /// Jobs a second, sent on schedule whatever becomes of them; those sent late are counted, those that the engine
    /// sheds are not sent again. Of backlog: requests for work a second [default: as fast as they end]
    #[arg(long, global = true, value_name = "R", value_parser = rate)]
    pub(crate) rate: Option<f64>,
    /// The share of attempts that are reported as failed; jobs retry them at once
    #[arg(long, global = true, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    pub(crate) fail: f64,
    /// Connections that submit [default: by shape]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub(crate) connections: Option<u16>,
    /// Connections that take work [default: by shape]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub(crate) workers: Option<u16>,
    /// The most leases of one request [default: by shape]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub(crate) lease_max: Option<u16>,
    /// Where workers ask, when that is another engine than the one that is submitted to. Not for backlog
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) workers_url: Option<String>,
    /// The engine's process [default: the one that listens on the port, when it is on this machine]
    #[arg(long, global = true, value_name = "PID")]
    pub(crate) server_pid: Option<u32>,
    /// The engine's data folder, to measure how it grows
    // An id of its own: `orrery` without a command takes a `--data` too.
    #[arg(id = "bench-data", long = "data", global = true, value_name = "FOLDER")]
    pub(crate) data: Option<PathBuf>,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Shape {
    /// Jobs of one node, one by one on 64 connections, and in batches of 100
    Single,
    /// Jobs of 100 nodes one after the other, one job at a time, and 50
    Chain,
    /// The same, each node reading the output of the one before it
    Data,
    /// A group that goes over 10,000 items; one job at a time, and four
    Map,
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
        /// Environments that no job names
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
