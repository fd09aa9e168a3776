//! What goes into the core and what comes out of it, as data. The core never waits and never calls anybody: the
//! executor of the product and the one of the simulation carry these messages.

use std::sync::Arc;

use domain::catalog::state::CatalogState;
use domain::ids::{GroupId, Millis, Namespace, SubjectId};
use domain::job::flow::{Evaluated, EvaluationOrder};

pub use crate::engine::core::kinds::{Command, Shown};
use crate::engine::core::kinds::{Entity, EntityEvent};
pub use crate::engine::core::request::{
    Announced, Beat, Caller, GrantRequest, LeaseRequest, Names, Request,
};
pub use crate::engine::core::response::{
    Asks, Failure, Granted, Held, QueueFacts, Response, SubjectInspection, Work, WorkerFacts,
};
use crate::event_store::contract::{
    AppendItem, AppendNotice, Appended, ChainHash, EventStoreError, Snapshot, Tombstone, WakeUp,
    WakeUpMove,
};
pub use crate::membership::contract::EngineId;
use crate::view::contract::Document;

/// Ties an answer to its request.
pub type Ticket = u64;

/// Ties what another engine says to what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ForwardTicket {
    /// Somebody asked this engine, and its driver is asked in his place.
    Asker(Ticket),
    /// This engine asks for itself; the number of the question.
    Own(u64),
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
    pub mark: Option<WakeUp>,
    /// It was deleted.
    pub tombstone: Option<Tombstone>,
}

/// The events of a stream after some seq, decoded.
#[derive(Debug)]
pub struct LoadedTail {
    /// Their order is kept.
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
        request: Request,
        /// One hop at most.
        forwarded: bool,
    },
    /// The asker is gone: a parked lease request is dropped.
    Gone { ticket: Ticket },
    /// Work was leased to askers who are gone: it is given back, not counted.
    Undelivered {
        /// What nobody took.
        granted: Vec<Granted>,
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
        subject: SubjectId,
        /// What was found.
        result: Result<Box<LoadedStream>, EventStoreError>,
    },
    /// A stream's tail was read.
    Tail {
        subject: SubjectId,
        /// After which seq.
        after: u64,
        /// What was found.
        result: Result<LoadedTail, EventStoreError>,
    },
    /// Wake-ups were moved.
    WakeUpsMoved {
        /// What was asked.
        moves: Vec<WakeUpMove>,
        /// Whether each held.
        result: Result<Vec<bool>, EventStoreError>,
    },
    /// Engines from which groups are taken may believe until then that these are theirs.
    FormerDrivers {
        /// On this engine's clock.
        until: Millis,
    },
    /// Streams of driven groups that are due.
    Due {
        /// Whose, and when.
        marks: Vec<WakeUp>,
        /// Groups of which everything that is due, and what other engines wrote, has been told with this.
        whole: Vec<GroupId>,
    },
    /// Somebody else appended to these.
    Notices {
        /// Whose, and up to where.
        notices: Vec<AppendNotice>,
    },
    /// A stream was taken away, or not.
    Removed {
        subject: SubjectId,
        /// Whether its head was the expected one.
        result: Result<bool, EventStoreError>,
    },
    /// Expressions were evaluated, or not.
    Evaluated {
        subject: SubjectId,
        /// What was found.
        result: Result<Vec<Evaluated>, EventStoreError>,
    },
    /// A namespace's catalog was read, or not. None: nothing was ever kept there.
    CatalogRead {
        namespace: Namespace,
        /// What was found.
        result: Result<Option<Arc<CatalogState>>, EventStoreError>,
    },
    /// Documents were flushed and synced, or not.
    Flushed {
        /// Whose, at which seq.
        shown: Vec<(SubjectId, u64)>,
        /// Whether they are durable.
        durable: bool,
    },
    /// The engines that live, this one or not among them: who may be asked for work and about claims.
    Peers { engines: Vec<EngineId> },
    /// Other engines know this one by another number from now on: it was evicted and has rejoined. It drives its
    /// groups under the number it began with, which it is told of as before.
    KnownAs {
        /// Its number among the others.
        engine: EngineId,
    },
    /// The lease on this engine's groups is good until then, reckoned from before its renewal was sent. Until the
    /// first word of it an engine that is not alone keeps no heartbeat and ends no lease.
    Drives {
        /// On this engine's clock.
        until: Millis,
    },
    /// The clock stepped forward to its source: the machine was suspended, or its clock was set late.
    Stepped {
        /// By so many milliseconds.
        by: Millis,
    },
    /// Another engine has work that nobody there takes. A hint, which may be lost, late, repeated or wrong.
    Announced { from: EngineId, queues: Vec<Announced> },
    /// Who drives which group (by index).
    Routes {
        /// The driver of each group; none: nobody known.
        drivers: Vec<Option<EngineId>>,
    },
    /// A forwarded request was answered by the other engine.
    Forwarded {
        /// For the answer.
        ticket: ForwardTicket,
        /// What it said.
        response: Response,
    },
    /// A forwarded request got no answer: it is decided here, which is safe.
    NotForwarded {
        /// For the answer.
        ticket: ForwardTicket,
        request: Request,
    },
}

/// When a load is due that somebody asks for: before all others.
pub const ASKED: Millis = Millis::MIN;

/// What comes out of the core.
#[derive(Debug)]
pub enum Output {
    /// Write append notices first, if any, then append.
    Append {
        /// For subjects that this engine does not drive.
        notices: Vec<AppendNotice>,
        /// At most one a subject.
        items: Vec<AppendItem>,
    },
    /// Read a stream whole: what is due first comes first.
    Load {
        subject: SubjectId,
        /// Since when it waits for it, or will; `ASKED` when somebody asks, which comes before all that nobody asks for.
        due: Millis,
    },
    /// Somebody asks for a stream that is to be read already: it comes before those that nobody asks for.
    PrioritizeLoad {
        subject: SubjectId,
    },
    /// Read a stream's tail.
    LoadTail {
        subject: SubjectId,
        /// After which seq.
        after: u64,
        /// The chain there.
        chain: ChainHash,
    },
    MoveWakeUps {
        moves: Vec<WakeUpMove>,
    },
    /// Take the stream of a deleted job away, leaving a tombstone with its first answer.
    Remove {
        subject: SubjectId,
        /// The seq of its last event, the deletion.
        seq: u64,
        /// The chain there.
        chain: ChainHash,
        /// Until when the tombstone stays.
        keep_until: Millis,
    },
    /// Fetch what expressions read, and evaluate them.
    Evaluate {
        subject: SubjectId,
        order: EvaluationOrder,
    },
    /// Read a namespace's catalog as it is now: what is paused there.
    ReadCatalog {
        namespace: Namespace,
    },
    /// The tails of these were read and their marks are right.
    ClearNotices {
        notices: Vec<AppendNotice>,
    },
    /// Keep a state beside a long stream.
    Snapshot {
        subject: SubjectId,
        snapshot: Snapshot,
    },
    /// Write documents and make them durable.
    Flush {
        documents: Vec<Document>,
    },
    Answer {
        ticket: Ticket,
        response: Response,
    },
    /// Ask another engine.
    Forward {
        to: EngineId,
        /// For the answer.
        ticket: ForwardTicket,
        request: Request,
        /// After so long without an answer `Input::NotForwarded` says so, milliseconds; an answer that comes later is
        /// as good as none.
        within_ms: Millis,
    },
    /// Tell other engines of work that nobody here takes. Nobody answers, and nothing rests on its arrival.
    Announce {
        to: Vec<EngineId>,
        queues: Vec<Announced>,
    },
}
