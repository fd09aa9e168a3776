//! What the run must be, judged by what workers and submitters were told and by the exported histories, and by nothing else.
//! Always holds: each rule was seen to find the run that breaks it (`doctored`).

use domain::payload::{Hash, Payload};
use serde_json::Value;

use super::workers::Reported;
use crate::real::recorded_outcomes::{self, holds};

/// One job, as its submitter knows it.
#[derive(Debug, Clone)]
pub(super) struct Made {
    pub(super) id: String,
    /// Its Idempotency-Key.
    pub(super) name: String,
    /// The answer to its submission, and to the same one after all.
    pub(super) first: Value,
    pub(super) again: Value,
    pub(super) export: String,
}

/// Holds a run to the promises.
pub(super) fn judge(job: &Value, made: &[Made], reports: &[Reported]) -> Result<(), String> {
    for one in made {
        judge_job(job, one, reports).map_err(|broken| format!("{}: {broken}", one.name))?;
    }
    Ok(())
}

fn judge_job(job: &Value, made: &Made, reports: &[Reported]) -> Result<(), String> {
    let outputs = recorded_outcomes::judged(&made.id, job, &made.export)?;
    for (lease, output) in &outputs {
        let sent = reports.iter().find(|report| report.lease == *lease);
        let sent = sent.ok_or_else(|| format!("{lease} completed, and nobody said so"))?;
        let (hash, bytes) = (Hash::of(sent.output.as_bytes()), sent.output.as_str());
        let same = match output {
            Some(Payload::Inline(raw)) => raw.get() == bytes,
            Some(Payload::Stored(stored)) => stored.sha256 == hash,
            None => false,
        };
        holds(same, || format!("{lease} has another output"))?;
    }
    for report in reports.iter().filter(|report| report.acknowledged) {
        let lost = report.lease.job.to_string() == made.id && !outputs.contains_key(&report.lease);
        holds(!lost, || format!("{} was acknowledged and is lost", report.lease))?;
    }
    holds(made.again == made.first, || "the same submission gets another answer".to_owned())
}
