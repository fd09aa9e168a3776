//! What people may change of a job, and the reasons they give. Always holds: a field that is absent is left alone,
//! null removes what can be removed. Absent: the rules of the values, which the domain checks.

use std::collections::BTreeMap;

use domain::bounds;
use domain::exact_json::ExactJson;
use domain::job::fact::Patch;
use domain::refusal::FieldError;
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;
use validator::Validate;

use super::time;
use crate::http::extract::bounded;

/// Changes to a job.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PatchJob)]
pub struct PatchBody {
    /// The new name.
    #[schema(min_length = 1, max_length = 255, nullable = false)]
    name: Option<String>,
    /// The new description; null removes it.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, max_length = 1_000)]
    description: Given<String>,
    /// All tags anew.
    #[serde(default, deserialize_with = "bounded::given_list::<{ bounds::TAGS_MAX }, _, _>")]
    #[schema(max_items = 20, nullable = false)]
    tags: Option<Vec<String>>,
    /// 1 (highest) to 10.
    #[schema(minimum = 1, maximum = 10, nullable = false)]
    priority: Option<u8>,
    /// All metadata anew.
    #[serde(default, deserialize_with = "bounded::given_values")]
    #[schema(nullable = false)]
    #[schema(value_type = Option<BTreeMap<String, serde_json::Value>>)]
    metadata: Option<BTreeMap<String, ExactJson>>,
    /// While not started: not before this time; null: at once.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, format = "date-time")]
    scheduled_at: Given<String>,
    /// While not started: from entering `queued`, in milliseconds; null: no limit.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<u64>, minimum = 1_000, maximum = 2_592_000_000_i64)]
    timeout_ms: Given<u64>,
}

/// Not given, given as null, or given.
#[derive(Debug, Default)]
pub(super) enum Given<T> {
    #[default]
    Not,
    Null,
    Value(T),
}

pub(super) fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Given<T>, D::Error> {
    Ok(Option::deserialize(deserializer)?.map_or(Given::Null, Given::Value))
}

/// The domain tells absent from null by nesting.
impl<T> Given<T> {
    #[expect(clippy::option_option, reason = "the domain's way to tell absent from null")]
    pub(super) fn nested(self) -> Option<Option<T>> {
        match self {
            Self::Not => None,
            Self::Null => Some(None),
            Self::Value(value) => Some(Some(value)),
        }
    }
}

impl PatchBody {
    /// The domain's patch, unchecked but for the form of times.
    pub fn into_patch(self) -> Result<Patch, Vec<FieldError>> {
        let scheduled_at = match self.scheduled_at.nested() {
            None => None,
            Some(None) => Some(None),
            Some(Some(text)) => Some(Some(time::parse(&text).ok_or_else(|| {
                let message = format!("must be {}", time::ALLOWED);
                vec![FieldError::new("/scheduled_at", "invalid_format", message)]
            })?)),
        };
        Ok(Patch {
            name: self.name,
            description: self.description.nested(),
            tags: self.tags,
            priority: self.priority,
            metadata: self.metadata,
            scheduled_at,
            timeout_ms: self.timeout_ms.nested(),
        })
    }
}

/// As `validator` counts.
pub(super) const REASON_CHARS_MAX: u64 = bounds::REASON_CHARS_MAX as u64;

/// Why an action is asked for. The whole body may be left out.
#[derive(Debug, Default, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Action)]
pub struct ActionBody {
    /// For the history.
    #[validate(length(max = REASON_CHARS_MAX))]
    #[schema(max_length = 1_000)]
    pub reason: Option<String>,
}
