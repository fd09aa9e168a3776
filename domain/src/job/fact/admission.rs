//! Facts of admission: the job is made, its start condition is met, its environment granted what it asks for.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::{EnvironmentName, JobId, Millis, Namespace};
use crate::job::plan::{About, Plan};
use crate::job::state::JobState;
use crate::payload::Payload;

/// What happened on a job's way to its first attempt.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdmissionFact {
    /// The job exists, as pending; the event's transitions say how far it went at once.
    Submitted(Box<Submitted>),
    /// Its start condition is met.
    Started,
    /// Its environment granted what it asked for.
    Granted {
        /// The environment that granted.
        environment: EnvironmentName,
        /// The grant's number there.
        number: u64,
    },
    /// It cannot take that grant now, and will not take it later, however late it is offered again: freed only by this.
    GrantDeclined {
        /// The environment that granted.
        environment: EnvironmentName,
        /// The grant's number there.
        number: u64,
    },
}

/// The first event's own facts.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Submitted {
    /// The job's id.
    pub id: JobId,
    /// The tenant it belongs to.
    pub namespace: Namespace,
    /// What may change.
    pub about: About,
    /// What never changes.
    pub plan: Arc<Plan>,
    /// Nothing happens before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled_at: Option<Millis>,
    /// From entering queued, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// W3C trace id, 32 hexadecimal digits.
    pub trace_id: String,
}

impl AdmissionFact {
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Submitted(_) => "job_submitted",
            Self::Started => "job_started",
            Self::Granted { .. } => "job_granted",
            Self::GrantDeclined { .. } => "grant_declined",
        }
    }

    pub(super) fn concerns_all(&self) -> bool {
        match self {
            Self::Submitted(_) => true,
            Self::Started | Self::Granted { .. } | Self::GrantDeclined { .. } => false,
        }
    }

    pub(super) fn apply(&self, job: &mut JobState) {
        match self {
            Self::Submitted(_) | Self::Started => {}
            Self::Granted { number, .. } => job.head.grant = Some(*number),
            Self::GrantDeclined { number, .. } => {
                job.head.declined = job.head.declined.max(*number);
            }
        }
    }

    pub(super) fn refuses(&self, job: &JobState) -> Option<String> {
        match self {
            Self::Submitted(_) if job.head.seq > 0 => Some("the job is made again".to_owned()),
            Self::Submitted(_)
            | Self::Started
            | Self::Granted { .. }
            | Self::GrantDeclined { .. } => None,
        }
    }

    pub(super) fn payloads<'a>(&'a self, named: &mut Vec<&'a Payload>) {
        match self {
            Self::Submitted(submitted) => {
                let plan = &submitted.plan;
                named.extend(plan.input.iter().chain(&plan.output));
                named.extend(plan.nodes.iter().filter_map(|node| node.input.as_ref()));
            }
            Self::Started | Self::Granted { .. } | Self::GrantDeclined { .. } => {}
        }
    }
}
