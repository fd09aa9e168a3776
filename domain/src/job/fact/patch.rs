//! What people may change of a job after its submission, and how an absent field differs from one set to null.

use serde::{Deserialize, Serialize};

use crate::exact_json::ExactJson;
use crate::ids::Millis;

/// What a PATCH changes; absent fields stay.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Patch {
    /// The new name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The new description; an inner none removes it.
    #[serde(default, with = "double_option", skip_serializing_if = "Option::is_none")]
    pub description: Option<Option<String>>,
    /// All tags anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// 1 (highest) to 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u8>,
    /// All metadata anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<std::collections::BTreeMap<String, ExactJson>>,
    /// Only while not started; an inner none starts it at once.
    #[serde(default, with = "double_option", skip_serializing_if = "Option::is_none")]
    pub scheduled_at: Option<Option<Millis>>,
    /// Only while not started; an inner none removes it.
    #[serde(default, with = "double_option", skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<Option<u64>>,
}

/// Tells an absent field from a null.
mod double_option {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[expect(
        clippy::ref_option,
        clippy::option_option,
        reason = "serde's signature; absent, null and value differ"
    )]
    pub(super) fn serialize<T: Serialize, S: Serializer>(
        value: &Option<Option<T>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value.as_ref().and_then(Option::as_ref).serialize(serializer)
    }

    #[expect(clippy::option_option, reason = "absent, null and value differ")]
    pub(super) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Option<T>>, D::Error> {
        Option::<T>::deserialize(deserializer).map(Some)
    }
}
