//! What can be asked of a catalog.

use serde::{Deserialize, Serialize};

use crate::catalog::paused::{PauseEnd, PauseTarget};
use crate::catalog::policy::CheckedDefinition;
use crate::ids::{Namespace, PolicyId, PolicyName};

/// A command to a namespace's catalog. The version that a caller expects is the policy's, not the catalog's.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CatalogCommand {
    /// Keep a retry policy. Refused while its name is taken and this command did not take it.
    CreatePolicy {
        namespace: Namespace,
        /// Unique in the namespace.
        name: PolicyName,
        definition: CheckedDefinition,
    },
    /// Let it say something else from now on. Jobs that name it keep what they were submitted with.
    ReplacePolicy { policy: PolicyId, definition: CheckedDefinition },
    /// Keep it no longer. Whether jobs use it does not matter: they have their copies.
    DeletePolicy { policy: PolicyId },
    /// Lease nothing of it, from now on. What is paused already is paused as this says.
    Pause {
        namespace: Namespace,
        target: PauseTarget,
        /// None: when somebody resumes it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<PauseEnd>,
        /// For people and the history.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Lease it again. What is not paused stays so.
    Resume {
        target: PauseTarget,
        /// For the history.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
}
