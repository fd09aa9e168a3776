//! What people may change of a node that has not run. Always holds: a field that is absent is left alone, null takes away
//! what the node says itself. Absent: the rules of the values, which the domain checks.

use domain::job::repair::{NodePatchSpec, TimeoutsPatch};
use domain::refusal::FieldError;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use validator::Validate;

use super::patch::{Given, REASON_CHARS_MAX, present};
use super::payload;
use super::retry::RetryBody;

/// Changes to a node that has not run.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PatchNode)]
pub struct PatchNodeBody {
    /// Of a task or cleanup: where it waits for a worker; null: `default`.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, pattern = "^[A-Za-z0-9_.-]{1,64}$")]
    queue: Given<String>,
    /// Of a task or cleanup: what kind of work it is; null: of none.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, max_length = 100)]
    action_type: Given<String>,
    /// 1 (highest) to 10; null: the job's.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<u8>, minimum = 1, maximum = 10)]
    priority: Given<u8>,
    /// Of a task, cleanup or group: how long its parts may take.
    #[serde(default)]
    timeouts: TimeoutsPatchBody,
    /// Of a task, cleanup or group: what judges its failures from the next one on; null: the job's policy, and of a group
    /// that its members run once.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<RetryBody>)]
    retry: Given<Box<RetryBody>>,
    /// Of a task or cleanup: any JSON, at most 256 KiB and 64 levels deep. Texts may have expressions in `${{ }}`, over
    /// what comes before the node.
    #[serde(default, deserialize_with = "present_json")]
    #[schema(value_type = Option<serde_json::Value>)]
    input: Given<Box<RawValue>>,
    /// Of a task or cleanup: never started again when it is not known whether it was done.
    #[schema(nullable = false)]
    at_most_once: Option<bool>,
    /// For the history.
    #[validate(length(max = REASON_CHARS_MAX))]
    #[schema(max_length = 1_000)]
    reason: Option<String>,
}

/// Changes to time-outs in milliseconds, each 1 s to 30 days; null removes one.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PatchTimeouts)]
#[expect(clippy::struct_field_names, reason = "the names on the wire carry their unit")]
struct TimeoutsPatchBody {
    /// Of a task or cleanup: from ready to leased.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<u64>, minimum = 1_000, maximum = 2_592_000_000_i64)]
    queue_ms: Given<u64>,
    /// From leased to reported; of a group: one time through its members.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<u64>, minimum = 1_000, maximum = 2_592_000_000_i64)]
    attempt_ms: Given<u64>,
    /// From first ready to settled, retries included.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<u64>, minimum = 1_000, maximum = 2_592_000_000_i64)]
    total_ms: Given<u64>,
}

/// JSON text as it was received; null is a value of its own, which says that there is none.
fn present_json<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Given<Box<RawValue>>, D::Error> {
    let raw = Box::<RawValue>::deserialize(deserializer)?;
    Ok(if raw.get() == "null" { Given::Null } else { Given::Value(raw) })
}

impl PatchNodeBody {
    /// The domain's changes, unchecked, and the reason for them.
    ///
    /// # Errors
    /// What is wrong with the form of a policy or an input.
    pub fn into_spec(self) -> Result<(NodePatchSpec, Option<String>), Vec<FieldError>> {
        let mut errors = Vec::new();
        let retry = self.retry.nested();
        let retry = retry.map(|retry| retry.map(|retry| retry.into_spec("/retry", &mut errors)));
        let input = self.input.nested();
        payload::check(input.as_ref().and_then(Option::as_deref), "/input", &mut errors);
        if !errors.is_empty() {
            return Err(errors);
        }
        let TimeoutsPatchBody { queue_ms, attempt_ms, total_ms } = self.timeouts;
        let timeouts = TimeoutsPatch {
            queue_ms: queue_ms.nested(),
            attempt_ms: attempt_ms.nested(),
            total_ms: total_ms.nested(),
        };
        let spec = NodePatchSpec {
            queue: self.queue.nested(),
            action_type: self.action_type.nested(),
            priority: self.priority.nested(),
            timeouts,
            retry,
            input: input.map(|input| input.map(payload::on_one_line)),
            at_most_once: self.at_most_once,
        };
        Ok((spec, self.reason))
    }
}
