//! The success condition of a job or a group, as it is asked for. Absent: whether it fits the nodes that there are,
//! which the domain checks.

use domain::job::spec::CompleteWhen;
use domain::refusal::FieldError;
use serde::Deserialize;
use utoipa::ToSchema;

/// The success condition of a job or a group: exactly one of the four.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CompleteWhen)]
pub struct CompleteWhenBody {
    /// `true`: no node failed or timed out unless it is optional.
    all: Option<bool>,
    /// `true`: at least one node completed.
    any: Option<bool>,
    /// At least so many nodes completed.
    #[schema(minimum = 1)]
    at_least: Option<u32>,
    /// At most so many failed or timed out.
    tolerate: Option<TolerateBody>,
}

/// Failures that are tolerated: exactly one of the two.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Tolerate)]
pub struct TolerateBody {
    /// So many nodes.
    #[schema(minimum = 0)]
    count: Option<u32>,
    /// This share of all nodes.
    #[schema(minimum = 0, maximum = 100)]
    percent: Option<u8>,
}

impl CompleteWhenBody {
    /// The domain's rule. `at` is where it stands in the body.
    pub(super) fn into_rule(self, at: &str, errors: &mut Vec<FieldError>) -> CompleteWhen {
        match self {
            Self { all: Some(true), any: None, at_least: None, tolerate: None } => {
                CompleteWhen::All
            }
            Self { all: None, any: Some(true), at_least: None, tolerate: None } => {
                CompleteWhen::Any
            }
            Self { all: None, any: None, at_least: Some(nodes), tolerate: None } => {
                CompleteWhen::AtLeast(nodes)
            }
            Self { all: None, any: None, at_least: None, tolerate: Some(tolerate) } => {
                match (tolerate.count, tolerate.percent) {
                    (Some(count), None) => CompleteWhen::TolerateCount(count),
                    (None, Some(percent)) => CompleteWhen::TolerateAtMostPercent(percent),
                    (Some(_), Some(_)) | (None, None) => {
                        errors.push(FieldError::new(
                            format!("{at}/tolerate"),
                            "invalid_value",
                            "must have either count or percent",
                        ));
                        CompleteWhen::All
                    }
                }
            }
            Self { .. } => {
                errors.push(FieldError::new(
                    at,
                    "invalid_value",
                    "must be one of {\"all\": true}, {\"any\": true}, {\"at_least\": n}, {\"tolerate\": {...}}",
                ));
                CompleteWhen::All
            }
        }
    }
}
