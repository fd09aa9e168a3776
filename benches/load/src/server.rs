//! What the server says about itself and what its machine says about it: `/metrics`, `/proc` and the data folder.
//! Always: what cannot be known is left out, never guessed; the server's figures are never the bench's own.
//! Absent: which process it is when it is not on this machine; then there is no CPU time and no memory.

use std::fs;
use std::path::{Path, PathBuf};

use super::link::{Link, Target};
use crate::failure::Failure;

/// Durable writes: the engine's metrics that are read have the names that its `/metrics` gives them.
pub const APPENDS: &str = "orrery_appends_total";
/// Events made durable.
pub const EVENTS: &str = "orrery_events_total";
/// How far the view is behind the streams, in seconds.
pub const VIEW_LAG: &str = "orrery_view_lag_seconds";

/// Clock ticks of `/proc` a second: the same on every Linux that this program is built for.
const TICKS_PER_S: f64 = 100.0;

/// A server that is measured.
#[derive(Debug)]
pub(super) struct Server {
    link: Link,
    pid: Option<u32>,
    data: Option<PathBuf>,
}

/// Its counters at one moment.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Reading {
    /// User and system time of the process, seconds.
    pub(super) cpu_s: Option<f64>,
    pub(super) appends: Option<f64>,
    /// Events made durable.
    pub(super) events: Option<f64>,
    /// Bytes of the data folder.
    pub(super) bytes: Option<f64>,
    /// Bytes that the process had the system write to disks.
    pub(super) written: Option<f64>,
}

/// Its gauges at one moment.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sample {
    /// Resident memory, MB of 10^6 bytes.
    pub(super) rss_mb: Option<f64>,
    /// How far the view is behind, milliseconds.
    pub(super) view_lag_ms: Option<f64>,
}

impl Sample {
    /// The higher of each.
    pub(super) fn highest(self, other: Self) -> Self {
        let higher = |a: Option<f64>, b: Option<f64>| match (a, b) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (one, other) => one.or(other),
        };
        Self {
            rss_mb: higher(self.rss_mb, other.rss_mb),
            view_lag_ms: higher(self.view_lag_ms, other.view_lag_ms),
        }
    }
}

impl Server {
    /// The server at the target; the process is the one that is given, else the one that listens there.
    pub(super) async fn find(
        target: &Target,
        pid: Option<u32>,
        data: Option<PathBuf>,
    ) -> Result<Self, Failure> {
        let found = || target.is_local().then(|| listener(target.port())).flatten();
        Ok(Self { link: Link::open(target).await?, pid: pid.or_else(found), data })
    }

    /// Its counters now.
    pub(super) async fn reading(&mut self) -> Result<Reading, Failure> {
        let text = self.metrics().await?;
        Ok(Reading {
            cpu_s: self.pid.and_then(cpu_s),
            appends: sum(&text, APPENDS),
            events: sum(&text, EVENTS),
            bytes: self.data.as_deref().map(folder_bytes),
            written: self.pid.and_then(written),
        })
    }

    /// Its gauges now.
    pub(super) async fn sample(&mut self) -> Result<Sample, Failure> {
        let text = self.metrics().await?;
        Ok(Sample {
            rss_mb: self.pid.and_then(rss_mb),
            view_lag_ms: sum(&text, VIEW_LAG).map(|seconds| seconds * 1_000.0),
        })
    }

    async fn metrics(&mut self) -> Result<String, Failure> {
        let answer = self.link.send("GET", "/metrics", b"").await?;
        if answer.status != 200 {
            return Err(answer.failure("GET /metrics"));
        }
        Ok(String::from_utf8_lossy(answer.body).into_owned())
    }
}

/// The sum of all series of one metric in an exposition text.
fn sum(text: &str, name: &str) -> Option<f64> {
    let series = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        rest.starts_with(['{', ' ']).then(|| rest.rsplit(' ').next()?.parse::<f64>().ok())?
    });
    series.fold(None, |sum, value| Some(sum.unwrap_or(0.0) + value))
}

/// The process that listens on a port, when this user may see it.
fn listener(port: u16) -> Option<u32> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let inodes: Vec<String> = tables
        .into_iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| listening_inodes(&table, port))
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    let holds = |pid: u32| {
        let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
        let mut links = files.filter_map(|file| fs::read_link(file.ok()?.path()).ok());
        links.any(|link| inodes.iter().any(|inode| link == Path::new(inode)))
    };
    let processes = fs::read_dir("/proc").ok()?;
    let mut pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.find(|pid| holds(*pid))
}

/// The inodes of the sockets that listen on a port, from `/proc/net/tcp`.
fn listening_inodes(table: &str, port: u16) -> Vec<String> {
    const LISTEN: &str = "0A";
    let of_port = format!(":{port:04X}");
    let sockets = table.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
        (local.ends_with(&of_port) && *state == LISTEN).then(|| (*inode).to_owned())
    });
    sockets.collect()
}

fn cpu_s(pid: u32) -> Option<f64> {
    cpu_of(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// User and system time in `/proc/<pid>/stat`; the name before them may hold anything, so they are counted from its
/// closing parenthesis.
fn cpu_of(stat: &str) -> Option<f64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let (user, system): (f64, f64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((user + system) / TICKS_PER_S)
}

/// What `/proc/<pid>/io` says was written to disks, pages of the cache among it: each time one becomes dirty.
fn written(pid: u32) -> Option<f64> {
    written_of(&fs::read_to_string(format!("/proc/{pid}/io")).ok()?)
}

fn written_of(io: &str) -> Option<f64> {
    let bytes = io.lines().find_map(|line| line.strip_prefix("write_bytes:"))?;
    bytes.trim().parse().ok()
}

fn rss_mb(pid: u32) -> Option<f64> {
    rss_of(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?)
}

fn rss_of(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1_024.0 / 1e6)
}

/// Bytes of all files below a folder. A file that goes away meanwhile counts nothing.
fn folder_bytes(folder: &Path) -> f64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0.0 };
    let sizes = entries.filter_map(Result::ok).map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => folder_bytes(&entry.path()),
        Ok(metadata) => super::figures::real(metadata.len()),
        Err(_) => 0.0,
    });
    sizes.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_series_of_a_metric_are_added_and_others_with_its_beginning_are_not() {
        let text =
            "# HELP a_total x\na_total{k=\"v w\"} 2\na_total{k=\"u\"} 3.5\na_total_more 100\nb 7\n";
        assert_eq!(sum(text, "a_total"), Some(5.5));
        assert_eq!(sum(text, "b"), Some(7.0));
        assert_eq!(sum(text, "c"), None);
    }

    #[test]
    fn a_listening_socket_is_found_by_its_port_and_state() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0\n\
            1: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0\n\
            2: 0100007F:1F91 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1 0\n";
        assert_eq!(listening_inodes(table, 8_080), ["4711"]);
    }

    #[test]
    fn the_process_that_listens_is_this_one_when_this_one_listens() -> std::io::Result<()> {
        let socket = std::net::TcpListener::bind(("127.0.0.1", 0))?;
        assert_eq!(listener(socket.local_addr()?.port()), Some(std::process::id()));
        Ok(())
    }

    #[test]
    fn processor_time_and_memory_are_read_past_any_name() {
        let stat = "42 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0";
        assert_eq!(cpu_of(stat), Some(2.0));
        assert_eq!(rss_of("Name:\tx\nVmRSS:\t    1000 kB\n"), Some(1.024));
        let io = "wchar: 7\nwrite_bytes: 4096\ncancelled_write_bytes: 1\n";
        assert_eq!(written_of(io), Some(4_096.0));
        assert!(cpu_s(std::process::id()).is_some() && rss_mb(std::process::id()).is_some());
    }

    #[test]
    fn a_folder_is_as_large_as_all_files_below_it() -> std::io::Result<()> {
        let folder = tempfile::tempdir()?;
        fs::create_dir(folder.path().join("in"))?;
        fs::write(folder.path().join("a"), [0; 10])?;
        fs::write(folder.path().join("in/b"), [0; 5])?;
        assert_eq!(folder_bytes(folder.path()).to_string(), "15");
        Ok(())
    }
}
