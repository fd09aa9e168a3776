//! What a worker is told: who it is, where its work comes from, how much of it at a time.

/// How a worker asks for work.
#[derive(Debug, Clone)]
pub struct WorkerSettings {
    /// The name shown for it by `GET /workers`.
    pub name: String,
    /// The queue it takes work from.
    pub queue: String,
    /// Attempts at a time, at least 1.
    pub concurrency: usize,
    /// How long a lease is good without a heartbeat, 5,000 to 3,600,000 ms.
    pub lease_ms: u64,
    /// How long the engine holds a request for work that is not there yet, at most 30,000 ms.
    pub wait_ms: u64,
    /// Only work of these kinds; all when empty.
    pub action_types: Vec<String>,
}

/// The engine's own period for a lease that names none.
pub const LEASE_MS_DEFAULT: u64 = 30_000;
