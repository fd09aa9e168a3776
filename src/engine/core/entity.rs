//! A subject of any kind behind one face: created, decided, applied, undone, encoded. A new kind of subject is a new
//! variant here and nothing else in the core.

use domain::environment::event::EnvironmentEvent;
use domain::environment::state::EnvironmentState;
use domain::environment::undo::EnvironmentUndo;
use domain::ids::{Millis, SubjectKind};
use domain::job::event::JobEvent;
use domain::job::state::JobState;
use domain::job::status::JobStatus;
use domain::job::summary::JobSnapshot;
use domain::job::undo::JobUndo;
use domain::node::status::NodeStatus;
use domain::payload::PayloadBytes;
use domain::refusal::Refusal;
use domain::subject::answer::Answer;
use domain::subject::context::Context;
use domain::{environment, job};

use crate::engine::core::request::Command;
use crate::engine::core::response::Shown;
use crate::engine::json_text;

/// Raised whenever a state's stored form changes: older snapshots are then passed over.
const SNAPSHOT_VERSION: u8 = 4;

/// A subject's state.
#[derive(Debug, Clone, PartialEq)]
pub enum Entity {
    Job(Box<JobState>),
    Environment(Box<EnvironmentState>),
}

/// A subject's event.
#[derive(Debug, Clone)]
pub enum EntityEvent {
    /// Of a job.
    Job(Box<JobEvent>),
    /// Of an environment.
    Environment(Box<EnvironmentEvent>),
}

/// A decision about a subject of any kind.
#[derive(Debug)]
pub(crate) struct EntityDecision {
    pub(crate) event: Option<EntityEvent>,
    pub(crate) payloads: Vec<PayloadBytes>,
    pub(crate) answer: Answer,
}

/// What a subject was before some events.
#[derive(Debug)]
pub(crate) enum EntityUndo {
    /// It did not exist.
    Absent,
    Job(JobUndo),
    Environment(EnvironmentUndo),
}

impl EntityEvent {
    /// Writes its canonical JSON, one line.
    pub fn encode_into(&self, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        match self {
            Self::Job(event) => json_text::write(out, event),
            Self::Environment(event) => json_text::write(out, event),
        }
    }

    /// Reads what `encode` wrote.
    pub fn decode(kind: SubjectKind, line: &[u8]) -> Result<Self, serde_json::Error> {
        match kind {
            SubjectKind::Job => serde_json::from_slice(line).map(Self::Job),
            SubjectKind::Environment => serde_json::from_slice(line).map(Self::Environment),
        }
    }

    /// When it was decided.
    pub fn at(&self) -> Millis {
        match self {
            Self::Job(event) => event.by.at,
            Self::Environment(event) => event.by.at,
        }
    }
}

impl Entity {
    /// The state after a first event; none where that event cannot be one.
    pub fn create(event: &EntityEvent) -> Option<Self> {
        match event {
            EntityEvent::Job(event) => JobState::create(event).map(|job| Self::Job(Box::new(job))),
            EntityEvent::Environment(event) => EnvironmentState::create(event)
                .map(|environment| Self::Environment(Box::new(environment))),
        }
    }

    /// Applies a committed event. Answers whether it is of this kind.
    pub fn apply(&mut self, event: &EntityEvent) -> bool {
        match (self, event) {
            (Self::Job(job), EntityEvent::Job(event)) => job.apply(event, &mut JobUndo::none()),
            (Self::Environment(environment), EntityEvent::Environment(event)) => {
                environment.apply(event, &mut EnvironmentUndo::none());
            }
            (Self::Job(_) | Self::Environment(_), _) => return false,
        }
        true
    }

    /// The state as a snapshot keeps it; none for kinds whose streams stay short enough to replay.
    pub fn encode_snapshot(&self) -> Option<Vec<u8>> {
        match self {
            Self::Job(job) => serde_json::to_vec(&(SNAPSHOT_VERSION, job)).ok(),
            Self::Environment(environment) => {
                serde_json::to_vec(&(SNAPSHOT_VERSION, environment)).ok()
            }
        }
    }

    /// Reads what `encode_snapshot` wrote; none where it was another version: replay is always there.
    pub fn decode_snapshot(kind: SubjectKind, body: &[u8]) -> Option<Self> {
        let (version, entity) = match kind {
            SubjectKind::Job => {
                serde_json::from_slice(body).map(|(v, job): (u8, _)| (v, Self::Job(job))).ok()?
            }
            SubjectKind::Environment => serde_json::from_slice(body)
                .map(|(v, state): (u8, _)| (v, Self::Environment(state)))
                .ok()?,
        };
        (version == SNAPSHOT_VERSION).then_some(entity)
    }

    /// The job, if it is one.
    pub fn job(&self) -> Option<&JobState> {
        match self {
            Self::Job(job) => Some(job),
            Self::Environment(_) => None,
        }
    }

    /// Nothing of it is owed any more: it is retired once the view shows it.
    pub fn is_over(&self) -> bool {
        match self {
            Self::Job(job) => job.head.status.is_over(),
            Self::Environment(environment) => environment.deleted && environment.grants.is_empty(),
        }
    }

    /// As shown to people.
    pub fn shown(&self) -> Shown {
        match self {
            Self::Job(job) => Shown::Job(Box::new(JobSnapshot::of(job))),
            Self::Environment(environment) => Shown::Environment(environment.clone()),
        }
    }
}

/// An empty undo for a subject, to be filled by `apply_undoable`.
pub(crate) fn undo_for(entity: Option<&Entity>) -> EntityUndo {
    match entity {
        None => EntityUndo::Absent,
        Some(Entity::Job(_)) => EntityUndo::Job(JobUndo::default()),
        Some(Entity::Environment(_)) => EntityUndo::Environment(EnvironmentUndo::default()),
    }
}

/// Applies an event that is not durable yet.
pub(crate) fn apply_undoable(
    entity: &mut Option<Entity>,
    event: &EntityEvent,
    undo: &mut EntityUndo,
) {
    match (entity.as_mut(), event, undo) {
        (None, event, _) => *entity = Entity::create(event),
        (Some(Entity::Job(job)), EntityEvent::Job(event), EntityUndo::Job(undo)) => {
            job.apply(event, undo);
        }
        (Some(Entity::Job(job)), EntityEvent::Job(event), _) => {
            job.apply(event, &mut JobUndo::none());
        }
        (
            Some(Entity::Environment(environment)),
            EntityEvent::Environment(event),
            EntityUndo::Environment(undo),
        ) => environment.apply(event, undo),
        (Some(Entity::Environment(environment)), EntityEvent::Environment(event), _) => {
            environment.apply(event, &mut EnvironmentUndo::none());
        }
        (Some(_), _, _) => debug_assert!(false, "an event of another kind"),
    }
}

/// Takes a subject back to its committed state.
pub(crate) fn undo(entity: &mut Option<Entity>, undo: EntityUndo) {
    match (entity.as_mut(), undo) {
        (_, EntityUndo::Absent) => *entity = None,
        (Some(Entity::Job(job)), EntityUndo::Job(undo)) => job.undo(undo),
        (Some(Entity::Environment(environment)), EntityUndo::Environment(undo)) => {
            environment.undo(undo);
        }
        (_, EntityUndo::Job(_) | EntityUndo::Environment(_)) => {
            debug_assert!(false, "an undo of another kind");
        }
    }
}

/// Decides a command on a subject, or on its absence.
pub(crate) fn decide(
    kind: SubjectKind,
    entity: Option<&Entity>,
    command: &Command,
    context: &Context,
) -> Result<EntityDecision, Refusal> {
    match (kind, entity, command) {
        (SubjectKind::Job, None, Command::Job(command)) => {
            Ok(of_job(job::decide::create(command, context)?))
        }
        (_, Some(Entity::Job(state)), Command::Job(command)) => {
            Ok(of_job(job::decide::decide(state, command, context)?))
        }
        (SubjectKind::Environment, state, Command::Environment(command)) => {
            let state = match state {
                Some(Entity::Environment(state)) => Some(state.as_ref()),
                Some(Entity::Job(_)) | None => None,
            };
            let decision = environment::decide::decide(state, command, context)?;
            Ok(EntityDecision {
                event: decision.event.map(|event| EntityEvent::Environment(Box::new(event))),
                payloads: Vec::new(),
                answer: decision.answer,
            })
        }
        (
            SubjectKind::Job | SubjectKind::Environment,
            _,
            Command::Job(_) | Command::Environment(_),
        ) => Err(Refusal::JobNotFound),
    }
}

fn of_job(decision: job::decide::JobDecision) -> EntityDecision {
    EntityDecision {
        event: decision.event.map(|event| EntityEvent::Job(Box::new(event))),
        payloads: decision.payloads,
        answer: decision.answer,
    }
}

/// The nodes that events are about, ascending.
pub(crate) fn touched(events: &[EntityEvent]) -> Vec<u32> {
    let mut nodes = Vec::new();
    for event in events {
        let EntityEvent::Job(event) = event else { continue };
        nodes.extend(event.nodes.iter().flat_map(|change| change.at.iter()));
    }
    nodes.sort_unstable();
    nodes.dedup();
    nodes
}

/// A wake-up for what only a person wakes.
pub(in crate::engine) const NEVER: Millis = Millis::MAX;

/// When a job that is not over is due next, `NEVER` when it waits for a person; none when it must be in memory: a
/// queued job waits for a grant that may come any time, offered nodes and running attempts keep a job here.
pub(in crate::engine) fn next_due(job: &JobState) -> Option<Millis> {
    let busy = job.count(NodeStatus::Running) > 0
        || (job.offers_work() && job.count(NodeStatus::Ready) > 0);
    if busy || job.head.ending.is_some() || job.head.status == JobStatus::Queued {
        return None;
    }
    Some(job.next_due().unwrap_or(NEVER))
}
