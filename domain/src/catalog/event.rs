//! The facts of a catalog: a closed, versioned list. An event is complete in itself.
//! Invariant: the meaning of version 1 never changes; a new meaning is a new fact or a new version.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::catalog::paused::PauseTarget;
use crate::catalog::policy::PolicyDefinition;
use crate::ids::{Millis, Namespace, PolicyId, PolicyName};
use crate::subject::envelope::Envelope;

/// An event of a catalog.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CatalogEvent {
    /// Who, when, why.
    pub by: Envelope,
    pub fact: CatalogFact,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CatalogFact {
    /// A retry policy is kept, for the first time under this name or again after a deletion. A catalog begins with one, or
    /// with a pause.
    PolicyCreated {
        namespace: Namespace,
        /// It follows from namespace and name.
        id: PolicyId,
        name: PolicyName,
        definition: Arc<PolicyDefinition>,
    },
    /// A retry policy says this from now on.
    PolicyReplaced { name: PolicyName, definition: Arc<PolicyDefinition> },
    /// A retry policy is not kept any more.
    PolicyDeleted { name: PolicyName },
    /// Nothing of it is leased. Who and why stand in the envelope.
    Paused {
        namespace: Namespace,
        target: PauseTarget,
        /// Milliseconds; none: until somebody resumes it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Millis>,
        /// Pauses whose time was over by then: they are forgotten.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        over: Vec<PauseTarget>,
    },
    /// It is leased again.
    Resumed { target: PauseTarget },
}

impl CatalogFact {
    /// The type that histories show.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::PolicyCreated { .. } => "policy_created",
            Self::PolicyReplaced { .. } => "policy_replaced",
            Self::PolicyDeleted { .. } => "policy_deleted",
            Self::Paused { .. } => "paused",
            Self::Resumed { .. } => "resumed",
        }
    }
}
