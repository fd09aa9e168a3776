//! What can be asked of an engine, by clients and workers, by other engines and by itself, as data. It has a JSON for
//! the way to another engine, which may be of another version: what it must not overlook is a new variant, never a new
//! field.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use domain::ids::{
    ActionType, Claim, CorrelationId, JobId, LeaseId, Millis, Namespace, QueueName, SubjectId,
    WorkerName,
};
use domain::subject::envelope::CommandMark;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::engine::core::kinds::Command;
use crate::engine::core::urgency::Urgency;
use crate::membership::contract::EngineId;

/// Who asks, and what makes the command one that can come again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Caller {
    /// `client`, `worker/<name>`, `engine`.
    pub actor: Arc<str>,
    /// The command's identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<CommandMark>,
    /// Of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation: Option<CorrelationId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_version: Option<u64>,
}

impl Caller {
    /// The engine itself.
    pub fn engine() -> Self {
        Self { actor: Arc::from("engine"), mark: None, correlation: None, expected_version: None }
    }
}

/// What a heartbeat says of its attempt.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Beat {
    /// How far it is, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<f64>,
    /// JSON text as it was received; none: as before.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "domain::payload::given"
    )]
    pub details: Option<Arc<RawValue>>,
}

impl Beat {
    fn is_silent(&self) -> bool {
        self.progress.is_none() && self.details.is_none()
    }
}

/// A worker's poll for work.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LeaseRequest {
    pub namespace: Namespace,
    pub queue: QueueName,
    /// Only these kinds of work; empty: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub action_types: Vec<ActionType>,
    pub worker: WorkerName,
    /// The same claim gives the same leases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Claim>,
    /// Length in milliseconds.
    pub lease_ms: u64,
    /// At most so many.
    pub max: usize,
    /// Until when it may be parked.
    pub wait_until: Millis,
    /// Of the request that asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation: Option<CorrelationId>,
}

/// A job's request for its environment's resources. Volatile: asked again after a load of either side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantRequest {
    pub job: JobId,
    /// Which of its runs.
    pub run: u32,
    pub resources: BTreeMap<String, u64>,
    /// 1 (highest) to 10.
    pub priority: u8,
    /// Since when it waits.
    pub since: Millis,
}

/// What can be asked of an engine.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Change a subject.
    Command {
        subject: SubjectId,
        command: Command,
        caller: Caller,
    },
    Lease(LeaseRequest),
    /// Get work after reports: the requests with the `reports` tickets that follow this one's. It waits for their
    /// outcome at least, so that it finds the work that they make ready.
    NextWork {
        request: LeaseRequest,
        /// How many reports.
        reports: u64,
    },
    /// Keep an attempt.
    Heartbeat {
        namespace: Namespace,
        lease: LeaseId,
        /// What is said of it. An older engine passes it over: it is nobody's promise until an event has it.
        #[serde(default, skip_serializing_if = "Beat::is_silent")]
        beat: Beat,
    },
    /// See a subject's committed state.
    Read {
        subject: SubjectId,
    },
    /// Which attempts run under a claim of this worker, asked by an engine that does not know the claim, before it
    /// leases anything under it.
    Claimed {
        namespace: Namespace,
        worker: WorkerName,
        claim: Claim,
        /// The engine that asks: of two that ask each other the lower number goes first.
        by: EngineId,
    },
    /// Ask an environment for resources.
    AskGrant {
        environment: SubjectId,
        /// For whom, and how much.
        grant: GrantRequest,
    },
    /// See the queues.
    Queues {
        namespace: Namespace,
        /// Which of them.
        #[serde(default)]
        part: Names,
    },
    /// See the workers.
    Workers {
        namespace: Namespace,
        /// Which of them.
        #[serde(default)]
        part: Names,
    },
    /// See what a subject's driver keeps of it beside its state. Nothing is loaded for it.
    Inspect {
        subject: SubjectId,
        /// Nodes of it, by position, of which leases and places are told.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        nodes: Vec<u32>,
        /// The job whose ask for a grant is looked for, at an environment.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ask: Option<JobId>,
    },
}

impl Request {
    /// The one subject that it is about; none: it is for whoever is asked.
    pub(crate) fn subject(&self) -> Option<SubjectId> {
        match self {
            Self::Command { subject, .. }
            | Self::Read { subject }
            | Self::Inspect { subject, .. } => Some(subject.clone()),
            Self::Heartbeat { namespace, lease, .. } => {
                Some(SubjectId::job(namespace.clone(), lease.job))
            }
            Self::AskGrant { environment, .. } => Some(environment.clone()),
            Self::Lease(_)
            | Self::NextWork { .. }
            | Self::Claimed { .. }
            | Self::Queues { .. }
            | Self::Workers { .. } => None,
        }
    }

    /// How urgent it is.
    pub(crate) fn urgency(&self) -> Urgency {
        match self {
            Self::Heartbeat { .. } => Urgency::Report,
            Self::Command { command, .. } => command.urgency(),
            // Not later than what asks for it: whoever asks waits 50 ms.
            Self::AskGrant { .. } | Self::Claimed { .. } => Urgency::Cancel,
            Self::Lease(_) | Self::NextWork { .. } => Urgency::Lease,
            Self::Read { .. }
            | Self::Queues { .. }
            | Self::Workers { .. }
            | Self::Inspect { .. } => Urgency::Read,
        }
    }
}

/// A part of what has names, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names {
    /// Only these, when there are any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<Arc<str>>,
    /// Behind this one; none: from the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Arc<str>>,
    /// At most so many.
    pub max: usize,
}

impl Names {
    /// Nothing of it: who asks for it wants to know only that everything before was heard.
    pub const NONE: Self = Self { only: Vec::new(), after: None, max: 0 };
}

impl Default for Names {
    /// As many as a list counts.
    fn default() -> Self {
        Self { only: Vec::new(), after: None, max: 10_000 }
    }
}

impl Names {
    /// A part of all, in the order of their names.
    pub fn part(after: Option<&str>, max: usize) -> Self {
        Self { after: after.map(Arc::from), max, ..Self::NONE }
    }

    /// Only what has one of these names.
    pub fn only(names: Vec<Arc<str>>) -> Self {
        Self { max: names.len(), only: names, ..Self::NONE }
    }

    /// The part of a map that is meant.
    pub(super) fn of<'a, N: Ord + std::borrow::Borrow<str>, T>(
        &'a self,
        all: &'a BTreeMap<N, T>,
    ) -> impl Iterator<Item = (&'a N, &'a T)> {
        let after = self.after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let range = self.only.is_empty().then(|| all.range::<str, _>((after, Bound::Unbounded)));
        let named = self.only.iter().filter_map(|name| all.get_key_value(&**name));
        range.into_iter().flatten().chain(named).take(self.max)
    }
}

/// Work that an engine offers and that no request there takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announced {
    pub namespace: Namespace,
    pub queue: QueueName,
    /// The kinds of work offered; none: too many to tell, or unknown. An element of none is work without a kind.
    pub kinds: Vec<Option<ActionType>>,
    /// How many nodes were offered.
    pub ready: u64,
}
