//! How long the parts of a node may take. Absent: their bounds, which the domain checks.

use domain::node::spec::Timeouts;
use serde::Deserialize;
use utoipa::ToSchema;

/// Time-outs of a task, cleanup or group in milliseconds, each 1 s to 30 days.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Timeouts)]
#[expect(clippy::struct_field_names, reason = "the names on the wire carry their unit")]
pub(super) struct TimeoutsBody {
    /// Of a task or cleanup: from ready to leased.
    #[schema(minimum = 1_000, maximum = 2_592_000_000_i64)]
    pub(super) queue_ms: Option<u64>,
    /// From leased to reported; of a group: one time through its members.
    #[schema(minimum = 1_000, maximum = 2_592_000_000_i64)]
    pub(super) attempt_ms: Option<u64>,
    /// From first ready to settled, retries included.
    #[schema(minimum = 1_000, maximum = 2_592_000_000_i64)]
    pub(super) total_ms: Option<u64>,
}

impl TimeoutsBody {
    /// The domain's time-outs.
    pub(super) fn into_rule(self) -> Timeouts {
        let Self { queue_ms, attempt_ms, total_ms } = self;
        Timeouts { queue_ms, attempt_ms, total_ms }
    }
}
