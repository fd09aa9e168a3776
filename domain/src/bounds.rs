//! Every limit of the rules with its reason. Limits that an operator may change are fields of [`Bounds`]; the
//! rest are constants. Each is tested for its clear error.

/// Subjects fall into this many groups: enough for dozens of engines, few enough that a lease document lists them.
pub const GROUPS: u8 = 64;
/// Node keys, queues, environments and namespaces: they appear in paths, logs and indexes.
pub const KEY_CHARS_MAX: usize = 64;
/// A worker's name, a claim, a correlation id: a host name plus an incarnation fits.
pub const WORKER_CHARS_MAX: usize = 128;
/// An Idempotency-Key (255) with its route and batch position.
pub const COMMAND_ID_CHARS_MAX: usize = 320;
/// A job's type, a node's action type.
pub const JOB_TYPE_CHARS_MAX: usize = 100;
/// The name of a job or node.
pub const NAME_CHARS_MAX: usize = 255;
/// A job's description.
pub const DESCRIPTION_CHARS_MAX: usize = 1_000;
pub const TAG_CHARS_MAX: usize = 50;
/// Tags of a job or node.
pub const TAGS_MAX: usize = 20;
/// Entries of `metadata`.
pub const METADATA_ENTRIES_MAX: usize = 64;
/// A key of `metadata`: `[a-z0-9._/-]`, so that no store takes it for a path or an operator.
pub const METADATA_KEY_CHARS_MAX: usize = 63;
/// Bytes of all metadata of a job or node together.
pub const METADATA_BYTES_MAX: usize = 16 * 1_024;
/// The reason a person gives for an action.
pub const REASON_CHARS_MAX: usize = 1_000;
/// An error's message in a report; longer ones are cut, never refused.
pub const ERROR_MESSAGE_CHARS_MAX: usize = 4_096;
/// Shortest time-out, in milliseconds: below it the clock's resolution and the network decide.
pub const TIMEOUT_MS_MIN: u64 = 1_000;
/// Longest time-out, in milliseconds (30 days).
pub const TIMEOUT_MS_MAX: u64 = 30 * 24 * 3_600 * 1_000;
/// Characters of a node's path: keys of eight groups and a node, with items.
pub const PATH_CHARS_MAX: usize = 800;
/// Nodes of a job, unless the operator says otherwise; also with the members that come to be while it runs.
pub const JOB_NODES_MAX: usize = 20_000;
/// Bytes of the JSON of an input or an output, unless the operator says otherwise.
pub const PAYLOAD_BYTES_MAX: usize = 256 * 1_024;
/// How long all cleanups of a job may take together when it names no other time, milliseconds.
pub const CLEANUP_TIMEOUT_MS: u64 = 10 * 60 * 1_000;
/// Shortest lease, in milliseconds: a third of it is the heartbeat interval.
pub const LEASE_MS_MIN: u64 = 5_000;
/// Longest lease, in milliseconds.
pub const LEASE_MS_MAX: u64 = 3_600_000;
/// Leases in one request and items in one report.
pub const BATCH_MAX: usize = 1_000;
/// Jobs in one batch submission.
pub const JOB_BATCH_MAX: usize = 1_000;
/// Longest retry wait that a report may ask for, in milliseconds.
pub const RETRY_AFTER_MS_MAX: u64 = 3_600_000;
/// Longest time for which an attempt may be given back, in milliseconds (a day): what waits longer has a schedule.
pub const RELEASE_AFTER_MS_MAX: u64 = 24 * 3_600 * 1_000;
/// Bytes of what a heartbeat says beside its progress: enough to go on from, little enough to come every few seconds.
pub const HEARTBEAT_DETAILS_BYTES_MAX: usize = 64 * 1_024;
/// Executions a policy may ask for.
pub const ATTEMPTS_MAX: u32 = 1_000;
/// First wait of a policy, in milliseconds (a day).
pub const BASE_DELAY_MS_MAX: u64 = 24 * 3_600 * 1_000;
/// Cap of a policy's waits, in milliseconds (31 years: "no cap" in any unit that callers come from).
pub const DELAY_MS_MAX: u64 = 1_000_000_000_000;
/// Rules of a policy.
pub const POLICY_RULES_MAX: usize = 20;
/// Windows of a policy.
pub const POLICY_WINDOWS_MAX: usize = 20;
/// Entries of a policy's lists of delays and error types.
pub const POLICY_LIST_MAX: usize = 100;
/// Retry policies of a namespace: all of them are in one state.
pub const CATALOG_POLICIES_MAX: usize = 1_000;
/// Bytes of the JSON of one of them, with what is said about it: it is copied into the jobs that name it.
pub const POLICY_BYTES_MAX: usize = 64 * 1_024;
/// Bytes of the JSON of all of them: the state is written and read as a whole.
pub const CATALOG_BYTES_MAX: usize = 4 * 1_024 * 1_024;
/// Bytes of the JSON of the named policies of one job, which stand in its first event.
pub const JOB_POLICIES_BYTES_MAX: usize = 1_024 * 1_024;
/// Nesting of inputs and outputs.
pub const JSON_DEPTH_MAX: usize = 64;
/// Resources a job may ask of its environment.
pub const RESOURCES_MAX: usize = 16;
/// Amount of one resource.
pub const RESOURCE_AMOUNT_MAX: u64 = 1_000_000_000;
/// Payloads up to this many bytes travel in the events; larger ones are stored beside them.
pub const PAYLOAD_INLINE_BYTES_MAX: usize = 2 * 1_024;
/// How far ahead a pause may end by itself, in milliseconds (a year).
pub const PAUSE_AHEAD_MS_MAX: i64 = 365 * 24 * 3_600 * 1_000;
/// How far ahead a start may be scheduled, in milliseconds (10 years).
pub const SCHEDULE_AHEAD_MS_MAX: i64 = 10 * 365 * 24 * 3_600 * 1_000;
/// Leases of one attempt that may be given back uncounted because an answer could not be written.
pub const UNCOUNTED_RELEASES_MAX: u8 = 3;

/// The limits an operator may change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounds {
    /// Nodes in one job.
    pub nodes_max: usize,
    /// Edges in one job.
    pub edges_max: usize,
    /// Parents of one node, and children of one node.
    pub fan_max: usize,
    /// Bytes of one input or output.
    pub payload_bytes_max: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            nodes_max: JOB_NODES_MAX,
            edges_max: 100_000,
            fan_max: 5_000,
            payload_bytes_max: PAYLOAD_BYTES_MAX,
        }
    }
}

/// What one tenant may take up, and what all may together: each bound holds at one engine, for what it drives. An operator
/// may change them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quotas {
    /// Jobs of a namespace that are not over and in memory.
    pub live_jobs_max: usize,
    /// Queues of a namespace with ready nodes, running attempts or waiting requests.
    pub queues_max: usize,
    /// Environments of a namespace.
    pub environments_max: usize,
    /// Namespaces that have any of these.
    pub namespaces_max: usize,
    /// Commands of one subject with an Idempotency-Key that are remembered.
    pub keyed_commands_max: usize,
}

impl Default for Quotas {
    fn default() -> Self {
        Self {
            live_jobs_max: 500_000,
            queues_max: 100_000,
            environments_max: 10_000,
            namespaces_max: 10_000,
            keyed_commands_max: 1_000,
        }
    }
}
