//! What a cleanup has of its own: after which ends of the job it runs, and whether its failure counts.

use domain::node::spec::{NodeKind, RunOn};
use domain::refusal::FieldError;
use serde::Deserialize;
use utoipa::ToSchema;

/// The ends that there are.
pub(super) const ENDS: usize = 4;

/// After which end of its job a cleanup runs.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = RunOn)]
pub(super) enum RunOnWord {
    /// After any end.
    Always,
    /// The job completes.
    Success,
    /// The job fails or times out.
    Failure,
    /// The job is cancelled or given up.
    Cancel,
}

impl RunOnWord {
    fn into_rule(self) -> RunOn {
        match self {
            Self::Always => RunOn::Always,
            Self::Success => RunOn::Success,
            Self::Failure => RunOn::Failure,
            Self::Cancel => RunOn::Cancel,
        }
    }
}

/// What is the cleanup's alone.
pub(super) fn into_kind(
    run_on: Option<Vec<RunOnWord>>,
    affects_outcome: bool,
    at: &str,
    errors: &mut Vec<FieldError>,
) -> NodeKind {
    if run_on.as_ref().is_some_and(Vec::is_empty) {
        errors.push(FieldError::new(
            format!("{at}/run_on"),
            "out_of_range",
            format!("must have 1 to {ENDS} items; leave it out for always"),
        ));
    }
    let mut ends: Vec<RunOn> = Vec::new();
    for (position, word) in run_on.into_iter().flatten().enumerate() {
        let end = word.into_rule();
        if ends.contains(&end) {
            errors.push(FieldError::new(
                format!("{at}/run_on/{position}"),
                "duplicate",
                "must be unique in the list",
            ));
        } else {
            ends.push(end);
        }
    }
    NodeKind::Cleanup { run_on: ends, affects_outcome }
}
