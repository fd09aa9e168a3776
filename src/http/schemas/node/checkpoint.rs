//! What a checkpoint has of its own: what it records. Absent: holds (until a time, a signal, an approval), which are
//! recognised and refused until they come.

use domain::node::spec::NodeKind;
use domain::refusal::FieldError;
use serde_json::value::RawValue;

use crate::http::schemas::later::Later;
use crate::http::schemas::payload;

/// What is the checkpoint's alone.
pub(super) fn into_kind(
    record: Option<Box<RawValue>>,
    hold: Later,
    at: &str,
    errors: &mut Vec<FieldError>,
) -> NodeKind {
    payload::check(record.as_deref(), &format!("{at}/record"), errors);
    if hold.is_some() {
        errors.push(FieldError::new(
            format!("{at}/hold"),
            "not_available",
            "approvals and holds are not available yet; without it the checkpoint records and the job goes on",
        ));
    }
    NodeKind::Checkpoint { record: record.map(payload::on_one_line) }
}
