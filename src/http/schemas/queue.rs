//! Queues and workers as the living engines see them now. Volatile: after a restart they are learnt again from the jobs
//! and from whoever asks for work.

use serde::Serialize;
use utoipa::ToSchema;

use crate::http::page::PageInfo;

/// The queues of a namespace, by name.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = QueueList)]
pub struct QueueListAnswer {
    /// The rows of this page, in the order of the list.
    pub queues: Vec<QueueAnswer>,
    /// Living engines that did not say in time what they know of; absent: all did.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub silent_engines: Vec<u32>,
    #[serde(flatten)]
    pub page: PageInfo,
}

/// A queue that has work, or that somebody asked lately.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Queue)]
pub struct QueueAnswer {
    /// The name that polls use.
    pub queue: String,
    /// Nodes that wait for a worker.
    pub ready: u64,
    /// Attempts leased from it that run.
    pub running: u64,
    /// Since when the node that waits longest does.
    #[schema(format = "date-time")]
    pub oldest_ready_at: Option<String>,
    /// Lease requests that wait for work.
    pub waiting_polls: u64,
    /// When a worker asked last.
    #[schema(format = "date-time")]
    pub last_poll_at: Option<String>,
}

/// The workers of a namespace, by name.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WorkerList)]
pub struct WorkerListAnswer {
    /// The rows of this page, in the order of the list.
    pub workers: Vec<WorkerAnswer>,
    /// Living engines that did not say in time what they know of; absent: all did.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub silent_engines: Vec<u32>,
    #[serde(flatten)]
    pub page: PageInfo,
}

/// A worker that asked for work here lately.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Worker)]
pub struct WorkerAnswer {
    /// The name that polls use.
    pub worker: String,
    /// Where it asked for work.
    pub queues: Vec<String>,
    /// When it asked last.
    #[schema(format = "date-time")]
    pub last_poll_at: String,
    /// Attempts it was given since the engines started.
    pub leased: u64,
}
