//! What goes into the core and what comes out of it, as data. The core never waits and never calls anybody: the
//! executor of the product and the one of the simulation carry these messages.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::environment::command::EnvironmentCommand;
use domain::ids::{
    ActionType, Claim, CorrelationId, JobId, LeaseId, Millis, Namespace, QueueName, SubjectId,
    WorkerName,
};
use domain::job::command::JobCommand;
use domain::job::event::CommandMark;

use crate::engine::core::entity::{Entity, EntityEvent};
pub use crate::engine::core::response::{
    Failure, Granted, QueueFacts, Response, Shown, WorkerFacts,
};
use crate::event_store::contract::{
    AppendItem, Appended, ChainHash, EventStoreError, MarkMove, Nudge, Snapshot, Tombstone,
    WakeMark,
};
use crate::view::contract::Document;

/// Names one engine of a deployment.
pub type EngineId = u32;
/// Ties an answer to its request.
pub type Ticket = u64;

/// Who asks, and what makes the command one that can come again.
#[derive(Debug, Clone)]
pub struct Caller {
    /// `client`, `worker/<name>`, `engine`.
    pub actor: Arc<str>,
    /// The command's identity.
    pub mark: Option<CommandMark>,
    /// Of the request.
    pub correlation: Option<CorrelationId>,
    /// If-Match.
    pub expected_version: Option<u64>,
}

impl Caller {
    /// The engine itself.
    pub fn engine() -> Self {
        Self { actor: Arc::from("engine"), mark: None, correlation: None, expected_version: None }
    }
}

/// A command to a subject.
#[derive(Debug, Clone)]
pub enum Command {
    /// To a job.
    Job(JobCommand),
    /// To an environment.
    Environment(EnvironmentCommand),
}

/// A worker's wish for work.
#[derive(Debug, Clone)]
pub struct LeaseRequest {
    /// Whose queue.
    pub namespace: Namespace,
    /// Which queue.
    pub queue: QueueName,
    /// Only these kinds of work; empty: any.
    pub action_types: Vec<ActionType>,
    /// Who.
    pub worker: WorkerName,
    /// The same claim gives the same leases.
    pub claim: Option<Claim>,
    /// Length in milliseconds.
    pub lease_ms: u64,
    /// At most so many.
    pub max: usize,
    /// Until when it may be parked.
    pub wait_until: Millis,
    /// Of the request that asks.
    pub correlation: Option<CorrelationId>,
}

/// A job's wish for its environment's resources. Volatile: asked again after a load of either side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantRequest {
    /// Which job.
    pub job: JobId,
    /// Which of its runs.
    pub run: u32,
    /// How much.
    pub resources: BTreeMap<String, u64>,
    /// 1 (highest) to 10.
    pub priority: u8,
    /// Since when it waits.
    pub since: Millis,
}

/// What can be asked of an engine.
#[derive(Debug, Clone)]
pub enum Request {
    /// Change a subject.
    Command {
        /// Which.
        subject: SubjectId,
        /// How.
        command: Command,
        /// By whom.
        caller: Caller,
    },
    /// Get work.
    Lease(LeaseRequest),
    /// Get work after reports: the requests with the `reports` tickets that follow this one's. It waits for their
    /// outcome at least, so that it finds the work that they make ready.
    NextWork {
        /// What work.
        request: LeaseRequest,
        /// How many reports.
        reports: u64,
    },
    /// Keep an attempt.
    Heartbeat {
        /// Whose job.
        namespace: Namespace,
        /// Which attempt.
        lease: LeaseId,
    },
    /// See a subject's committed state.
    Read {
        /// Which.
        subject: SubjectId,
    },
    /// Ask an environment for resources.
    AskGrant {
        /// The environment.
        environment: SubjectId,
        /// For whom, and how much.
        grant: GrantRequest,
    },
    /// See the queues.
    Queues {
        /// Whose.
        namespace: Namespace,
    },
    /// See the workers.
    Workers {
        /// Whose.
        namespace: Namespace,
    },
}

/// A loaded stream, decoded.
#[derive(Debug)]
pub struct LoadedStream {
    /// None where the stream does not exist (or is a tombstone).
    pub entity: Option<Entity>,
    /// Events it has.
    pub seq: u64,
    /// The chain there.
    pub chain: ChainHash,
    /// Its wake mark.
    pub mark: Option<WakeMark>,
    /// It was deleted.
    pub tombstone: Option<Tombstone>,
}

/// The events of a stream after some seq, decoded.
#[derive(Debug)]
pub struct LoadedTail {
    /// In order.
    pub events: Vec<EntityEvent>,
    /// The chain after them.
    pub chain: ChainHash,
}

/// What goes into the core.
#[derive(Debug)]
pub enum Input {
    /// The engine is about to end: nobody waits for work any more.
    Leaving,
    /// Something is asked. `forwarded`: by another engine, which must not be asked in turn.
    Request {
        /// For the answer.
        ticket: Ticket,
        /// What.
        request: Request,
        /// One hop at most.
        forwarded: bool,
    },
    /// The asker is gone: a parked lease request is dropped.
    Gone {
        /// Which.
        ticket: Ticket,
    },
    /// A batch came back.
    Appended {
        /// Its subjects, in order.
        subjects: Vec<SubjectId>,
        /// What became of each.
        outcome: Result<Vec<Appended>, EventStoreError>,
    },
    /// A stream was read whole.
    Loaded {
        /// Whose.
        subject: SubjectId,
        /// What was found.
        result: Result<Box<LoadedStream>, EventStoreError>,
    },
    /// A stream's tail was read.
    Tail {
        /// Whose.
        subject: SubjectId,
        /// After which seq.
        after: u64,
        /// What was found.
        result: Result<LoadedTail, EventStoreError>,
    },
    /// Wake marks were moved.
    MarksMoved {
        /// What was asked.
        moves: Vec<MarkMove>,
        /// Whether each held.
        result: Result<Vec<bool>, EventStoreError>,
    },
    /// Streams of driven groups that are due.
    Due {
        /// Whose, and when.
        marks: Vec<WakeMark>,
    },
    /// Somebody else appended to these.
    Nudged {
        /// Whose, and up to where.
        nudges: Vec<Nudge>,
    },
    /// A stream was taken away, or not.
    Removed {
        /// Whose.
        subject: SubjectId,
        /// Whether its head was the expected one.
        result: Result<bool, EventStoreError>,
    },
    /// Documents were flushed and synced, or not.
    Flushed {
        /// Whose, at which seq.
        shown: Vec<(SubjectId, u64)>,
        /// Whether they are durable.
        durable: bool,
    },
    /// Who drives which group (by index).
    Routes {
        /// The driver of each group; none: nobody known.
        drivers: Vec<Option<EngineId>>,
    },
    /// A forwarded request was answered by the other engine.
    Forwarded {
        /// For the answer.
        ticket: Ticket,
        /// What it said.
        response: Response,
    },
    /// A forwarded request got no answer: it is decided here, which is safe.
    NotForwarded {
        /// For the answer.
        ticket: Ticket,
        /// What.
        request: Request,
    },
}

/// What comes out of the core.
#[derive(Debug)]
pub enum Output {
    /// Write nudges first, if any, then append.
    Append {
        /// For subjects that this engine does not drive.
        nudges: Vec<Nudge>,
        /// At most one a subject.
        items: Vec<AppendItem>,
    },
    /// Read a stream whole.
    Load {
        /// Whose.
        subject: SubjectId,
    },
    /// Read a stream's tail.
    LoadTail {
        /// Whose.
        subject: SubjectId,
        /// After which seq.
        after: u64,
        /// The chain there.
        chain: ChainHash,
    },
    /// Move wake marks.
    MoveMarks {
        /// Which.
        moves: Vec<MarkMove>,
    },
    /// Take the stream of a deleted job away, leaving a tombstone with its first answer.
    Remove {
        /// Whose.
        subject: SubjectId,
        /// The seq of its last event, the deletion.
        seq: u64,
        /// The chain there.
        chain: ChainHash,
        /// Until when the tombstone stays.
        keep_until: Millis,
    },
    /// The tails of these were read and their marks are right.
    ClearNudges {
        /// Which.
        nudges: Vec<Nudge>,
    },
    /// Keep a state beside a long stream.
    Snapshot {
        /// Whose.
        subject: SubjectId,
        /// What.
        snapshot: Snapshot,
    },
    /// Write documents and make them durable.
    Flush {
        /// Which.
        documents: Vec<Document>,
    },
    /// Answer somebody.
    Answer {
        /// Whom.
        ticket: Ticket,
        /// What.
        response: Response,
    },
    /// Ask another engine.
    Forward {
        /// Whom.
        to: EngineId,
        /// For the answer.
        ticket: Ticket,
        /// What.
        request: Request,
    },
}
