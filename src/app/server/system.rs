//! What the system is asked for the server: file descriptors for its connections, word of peers that are gone
//! without having said so, memory in small pages. Absent: any failure; where the system says no, less is served.

use std::time::Duration;

use tokio::net::TcpListener;

/// A peer that has been silent for so long is asked whether it lives ...
const SILENT: Duration = Duration::from_secs(15);
/// ... so often ...
const PROBES: u32 = 3;
/// ... at these intervals: gone for 30 s, and a connection ends.
const PROBE_EVERY: Duration = Duration::from_secs(5);
/// Bytes that are not acknowledged for so long end a connection, milliseconds.
const UNACKNOWLEDGED_MS: u32 = 30_000;

/// How many files the process may have open from now on, of `wanted`, if the system lets it.
#[cfg(unix)]
pub(super) fn allow_files(wanted: u64) -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let allowed = limit.current.unwrap_or(u64::MAX);
    if allowed >= wanted {
        return allowed;
    }
    let most = limit.maximum.unwrap_or(u64::MAX).min(wanted);
    let raised = Rlimit { current: Some(most), maximum: limit.maximum };
    if setrlimit(Resource::Nofile, raised).is_ok() { most } else { allowed }
}

/// Connections that this listener takes learn of it when their peer is gone: they inherit its settings.
#[cfg(target_os = "linux")]
pub(super) fn watch_peers(listener: &TcpListener) {
    use rustix::net::sockopt;
    let set = || {
        sockopt::set_socket_keepalive(listener, true)?;
        sockopt::set_tcp_keepidle(listener, SILENT)?;
        sockopt::set_tcp_keepintvl(listener, PROBE_EVERY)?;
        sockopt::set_tcp_keepcnt(listener, PROBES)?;
        sockopt::set_tcp_user_timeout(listener, UNACKNOWLEDGED_MS)
    };
    if let Err(error) = set() {
        tracing::warn!(%error, "peers that vanish will not be noticed");
    }
}

/// Elsewhere the system's own settings hold.
#[cfg(not(target_os = "linux"))]
pub(super) fn watch_peers(_listener: &TcpListener) {}

/// From now on memory comes in small pages, of which only those count that are used: a connection has buffers of 16 KiB
/// and fills a tenth of them.
#[cfg(target_os = "linux")]
pub(super) fn small_pages() {
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "memory may come in huge pages");
    }
}

/// Elsewhere the system's own settings hold.
#[cfg(not(target_os = "linux"))]
pub(super) fn small_pages() {}
