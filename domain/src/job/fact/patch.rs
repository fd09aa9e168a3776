//! What people may change of a job after its submission, and how an absent field differs from one set to null.

use serde::{Deserialize, Serialize};

use crate::exact_json::ExactJson;
use crate::ids::Millis;
use crate::subject::double_option;

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
