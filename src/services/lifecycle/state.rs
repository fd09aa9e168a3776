//! The six states of a service and the only ways between them (design section 3).
//! Always holds: a state changes only along `ServiceState::next`. A host lives once, so stopped is final: starting
//! again means a new host.

use std::fmt;

/// Where a service is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceState {
    /// Waits for what it needs, or prepares itself.
    Initializing,
    /// Prepared; its ticks do not run yet.
    Ready,
    /// Its ticks run.
    Running,
    /// Its ticks have ended or are ending; it gives back what it holds.
    Stopping,
    /// At rest, for good.
    Stopped,
    /// It could not start, panicked, or could not stop. While the engine runs, it is started again after a while.
    Error,
}

impl ServiceState {
    /// All of them, for tables.
    pub const ALL: [Self; 6] = [
        Self::Initializing,
        Self::Ready,
        Self::Running,
        Self::Stopping,
        Self::Stopped,
        Self::Error,
    ];

    /// The states that may follow: the table.
    pub const fn next(self) -> &'static [Self] {
        match self {
            Self::Initializing => &[Self::Ready, Self::Error],
            Self::Ready => &[Self::Running, Self::Stopping],
            Self::Running => &[Self::Stopping, Self::Error],
            Self::Stopping => &[Self::Stopped, Self::Error],
            Self::Stopped => &[],
            Self::Error => &[Self::Initializing, Self::Stopped],
        }
    }

    /// The word used in JSON, logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Initializing => "initializing",
            Self::Ready => "ready",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for ServiceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_the_designs() {
        let rows: Vec<String> = ServiceState::ALL
            .iter()
            .map(|from| {
                let to: Vec<&str> = from.next().iter().map(|to| to.as_str()).collect();
                format!("{from} -> {}", to.join(", "))
            })
            .collect();
        assert_eq!(
            rows,
            [
                "initializing -> ready, error",
                "ready -> running, stopping",
                "running -> stopping, error",
                "stopping -> stopped, error",
                "stopped -> ",
                "error -> initializing, stopped",
            ]
        );
    }
}
