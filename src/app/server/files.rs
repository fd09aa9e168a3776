//! How the files that the process may have open are shared out: the stores first, then connections, then those that are
//! told that there is no room. Below what an engine needs it does not start, because it would fail later, one request
//! here and one append there. Absent: asking the system (`system`).

/// The embedded store, its view and their readers, the runtime's own, the log: measured at 45, with room.
const EMBEDDED: u64 = 72;
/// The pool of a database, its monitoring, and the way to other engines.
const DATABASE: u64 = 128;
/// Fewer connections than this serve nobody: a few workers with their long polls, and those who submit.
const CONNECTIONS_MIN: u64 = 64;
/// Connections that are being told that there is no room. Further ones are closed without a word.
const TURNED_AWAY_MAX: u64 = 128;
const TURNED_AWAY_MIN: u64 = 8;

/// Which store an engine works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::app) enum Store {
    Embedded,
    Database,
}

/// What is left for connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::app) struct FileShare {
    pub(in crate::app) connections: usize,
    pub(in crate::app) turned_away: usize,
}

/// The limit is too low to serve at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the limit of open files is {allowed}, and this engine needs at least {least}, or {all} for all of \
     server.connections_max = {connections}; raise it (ulimit -n, LimitNOFILE= of systemd, --ulimit nofile= of docker), or \
     lower server.connections_max"
)]
pub struct TooFewFiles {
    /// What the system allows, after it was raised as far as it may be.
    pub allowed: u64,
    /// Without which nothing starts.
    pub least: u64,
    /// For as many connections as are configured.
    pub all: u64,
    /// Connections that may be open at once, as configured.
    pub connections: u64,
}

/// Files for as many connections as are wanted.
pub(super) fn wanted(store: Store, connections: usize) -> u64 {
    own(store) + TURNED_AWAY_MAX + count(connections)
}

/// Shares `allowed` files out.
pub(super) fn shared(
    store: Store,
    connections: usize,
    allowed: u64,
) -> Result<FileShare, TooFewFiles> {
    let connections = count(connections);
    let least = own(store) + TURNED_AWAY_MIN + connections.min(CONNECTIONS_MIN);
    let all = own(store) + TURNED_AWAY_MAX + connections;
    if allowed < least {
        return Err(TooFewFiles { allowed, least, all, connections });
    }
    let left = allowed - own(store);
    let turned_away = (left / 8).clamp(TURNED_AWAY_MIN, TURNED_AWAY_MAX);
    let fits = connections.min(left - turned_away);
    let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    Ok(FileShare { connections: size(fits), turned_away: size(turned_away) })
}

fn own(store: Store) -> u64 {
    match store {
        Store::Embedded => EMBEDDED,
        Store::Database => DATABASE,
    }
}

fn count(connections: usize) -> u64 {
    // Beyond it no system has files, and sums must not overflow.
    u64::try_from(connections).unwrap_or(u64::MAX).min(u64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_enough_files_every_connection_has_one_and_below_what_is_needed_the_numbers_are_named() {
        let all = wanted(Store::Embedded, 10_000);
        let share = shared(Store::Embedded, 10_000, all);
        assert_eq!(share, Ok(FileShare { connections: 10_000, turned_away: 128 }));
        let Err(few) = shared(Store::Embedded, 10_000, 40) else { panic!("40 are too few") };
        assert_eq!((few.least, few.all), (72 + 8 + 64, 72 + 128 + 10_000));
        assert!(few.to_string().contains("is 40, and this engine needs at least 144, or 10200"));
        for (store, connections) in
            [(Store::Embedded, 10_000), (Store::Database, 10_000), (Store::Embedded, 1)]
        {
            for allowed in 0..2_000 {
                match shared(store, connections, allowed) {
                    Ok(share) => {
                        let used = own(store) + count(share.connections) + count(share.turned_away);
                        assert!(used <= allowed || share.connections == connections, "{allowed}");
                        assert!(share.connections >= connections.min(63), "{allowed}: {share:?}");
                    }
                    Err(few) => assert!(allowed < few.least, "{allowed}"),
                }
            }
        }
    }
}
