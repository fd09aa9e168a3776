//! Why a job or a node does not go on: what `services::queries` says, and who drives the job (`driving`).

use serde::Serialize;
use utoipa::ToSchema;

use super::driving::DrivingAnswer;
use crate::services::driver::Seen;
use crate::services::queries::Explained;

/// Why it does not go on.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Explanation)]
pub struct ExplainedAnswer {
    #[serde(flatten)]
    explained: Explained,
    driving: DrivingAnswer,
}

impl ExplainedAnswer {
    /// With who drives it. `alone`: there are no other engines, and no lease counts.
    pub fn of(explained: Explained, seen: &Seen, alone: bool) -> Self {
        let driving = DrivingAnswer::of(explained.group, explained.memory, seen, alone);
        Self { explained, driving }
    }

    /// The version that is explained; none: it cannot be read.
    pub fn version(&self) -> Option<u64> {
        self.explained.version
    }
}
