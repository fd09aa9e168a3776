//! What an operator may set of the core; see `config/default.toml` for the reasons.

use domain::bounds::Quotas;
use domain::ids::Millis;

/// What an operator may set.
#[derive(Debug, Clone)]
pub struct CoreSettings {
    /// How long running attempts may go on after an ending is decided, milliseconds.
    pub grace_ms: Millis,
    /// Appends on their way at once.
    pub appends_in_flight_max: usize,
    /// Events that close a batch.
    pub batch_events_max: usize,
    /// Bytes that close a batch.
    pub batch_bytes_max: usize,
    /// Commands that may wait: submissions are refused at half of it, requests for work and reads at all of it,
    /// what finishes or stops work at four times it.
    pub queue_max: usize,
    /// A submission that would wait longer than this for its append is refused, milliseconds; a request for work at
    /// eight times it.
    pub delay_max_ms: Millis,
    /// A subject that waits for something further away than this leaves memory, milliseconds.
    pub park_after_ms: Millis,
    /// A stream's state is kept beside it each time it has grown by so many events.
    pub snapshot_every_events: u64,
    /// How often documents are flushed, milliseconds.
    pub view_flush_ms: Millis,
    /// How far the view may be behind before submissions are refused, milliseconds.
    pub view_lag_max_ms: Millis,
    /// Nobody else writes to the store. Otherwise a refusal first reads the subject's tail: this engine may not drive
    /// it any more and not know it yet.
    pub alone: bool,
    /// The view's documents carry pages of their jobs' nodes: where people look into a database.
    pub node_pages: bool,
    /// What one tenant may take up, at this engine.
    pub quotas: Quotas,
}

impl Default for CoreSettings {
    fn default() -> Self {
        Self {
            grace_ms: 30_000,
            appends_in_flight_max: 2,
            batch_events_max: 2_000,
            batch_bytes_max: 1_024 * 1_024,
            queue_max: 50_000,
            delay_max_ms: 500,
            park_after_ms: 60_000,
            snapshot_every_events: 10_000,
            view_flush_ms: 50,
            view_lag_max_ms: 5_000,
            alone: true,
            node_pages: false,
            quotas: Quotas::default(),
        }
    }
}
