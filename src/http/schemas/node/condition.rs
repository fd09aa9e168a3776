//! What a condition has of its own: branches in order, and where to go when none holds.
//! Absent: whether the expressions can be read, and whether the named nodes depend on it, which the domain checks.

use domain::node::spec::BRANCHES_MAX;
use domain::node::spec::{BranchSpec, NodeKind};
use domain::refusal::FieldError;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::http::extract::bounded;

/// A branch of a condition. The first whose `when` is true is taken.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Branch)]
pub(super) struct BranchBody {
    /// One expression that is true or false.
    #[schema(examples("${{ job.input.n > 5 }}"))]
    when: String,
    /// Keys of the nodes that run then; they depend on the condition.
    #[serde(deserialize_with = "bounded::named")]
    #[schema(max_items = 5_000)]
    then: Vec<String>,
}

/// What is the condition's alone.
pub(super) fn into_kind(
    branches: Option<Vec<BranchBody>>,
    default: Option<Vec<String>>,
    at: &str,
    errors: &mut Vec<FieldError>,
) -> NodeKind {
    match &branches {
        None => errors.push(FieldError::new(format!("{at}/branches"), "required", "is required")),
        Some(branches) if branches.is_empty() => errors.push(FieldError::new(
            format!("{at}/branches"),
            "out_of_range",
            format!("must have 1 to {BRANCHES_MAX} items"),
        )),
        Some(_) => {}
    }
    let branches = branches.unwrap_or_default().into_iter();
    NodeKind::Condition {
        branches: branches.map(|body| BranchSpec { when: body.when, then: body.then }).collect(),
        default: default.unwrap_or_default(),
    }
}
