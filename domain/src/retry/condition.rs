//! `when` of a policy: an expression over the failure (`error.type`, `error.class`, `error.message`, `error.code`,
//! `error.status`, `error.retryable`, `error.retry_after_ms`), the number of the execution that failed (`attempt`) and the job
//! (`job.id`, `job.input`). Parts of the failure that nobody gave are not there: `has(error.code)` asks.
//! Absent on purpose: nodes. What a policy says holds for any job.

use serde_json::json;

use super::facts::ErrorFacts;
use crate::expression::{
    ExpressionError, JobPart, Reference, Scope, Value, holds_text, references_of,
};

/// What a policy may read of the job.
#[derive(Debug, Clone, Copy, Default)]
pub struct JobParts<'a> {
    pub id: &'a str,
    /// Its JSON text, where it is at hand.
    pub input: Option<&'a str>,
}

/// What a policy's `when` is asked about.
pub(super) struct FailureScope<'a> {
    pub(super) facts: &'a ErrorFacts<'a>,
    pub(super) attempt: u32,
    pub(super) job: JobParts<'a>,
}

/// Whether a policy's `when`, which was checked, holds.
pub(super) fn holds(when: &str, asked: &FailureScope<'_>) -> Result<bool, ExpressionError> {
    holds_text(when, asked)
}

/// What is wrong with the text of a policy's `when`; whether it reads the job's input, if nothing.
pub fn check(when: &str) -> Result<bool, ExpressionError> {
    let mut reads_input = false;
    for (reference, column) in references_of(when)? {
        match reference {
            Reference::Error | Reference::Attempt | Reference::Job(JobPart::Id) => {}
            Reference::Job(JobPart::Input) => reads_input = true,
            Reference::Job(JobPart::Status | JobPart::Error)
            | Reference::Node { .. }
            | Reference::Item
            | Reference::Index => {
                let known = ["error", "attempt", "job.id", "job.input"].map(str::to_owned).to_vec();
                let name = reference.to_string();
                return Err(ExpressionError::unknown_name(column, "name", &name, known));
            }
        }
    }
    Ok(reads_input)
}

impl Scope for FailureScope<'_> {
    fn read(&self, reference: &Reference) -> Option<Value> {
        match reference {
            Reference::Error => Value::from_json(&self.error()),
            Reference::Attempt => Some(Value::Int(i64::from(self.attempt))),
            Reference::Job(JobPart::Id) => Value::from_json(&json!(self.job.id).to_string()),
            Reference::Job(JobPart::Input) => Value::from_json(self.job.input.unwrap_or("null")),
            Reference::Job(JobPart::Status | JobPart::Error)
            | Reference::Node { .. }
            | Reference::Item
            | Reference::Index => None,
        }
    }
}

impl FailureScope<'_> {
    fn error(&self) -> String {
        let facts = self.facts;
        let mut error = json!({
            "type": facts.error_type, "class": facts.class, "message": facts.message,
        });
        let mut give = |name: &str, value: Option<serde_json::Value>| {
            if let Some(value) = value {
                error[name] = value;
            }
        };
        give("code", facts.code.map(Into::into));
        give("status", facts.status.map(Into::into));
        give("retryable", facts.retryable.map(Into::into));
        give("retry_after_ms", facts.retry_after_ms.map(Into::into));
        error.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(when: &str) -> Result<bool, ExpressionError> {
        let facts = ErrorFacts {
            error_type: "Net.Slow",
            class: "throttled",
            status: Some(429),
            ..ErrorFacts::NONE
        };
        let job = JobParts { id: "j-1", input: Some("{\"tier\": \"gold\"}") };
        holds(when, &FailureScope { facts: &facts, attempt: 2, job })
    }

    #[test]
    fn it_reads_the_failure_the_attempt_and_the_job() {
        let all = "${{ error.type == 'Net.Slow' && error.class == 'throttled' && error.status == 429 \
                   && attempt == 2 && job.id == 'j-1' && job.input.tier == 'gold' && !has(error.code) }}";
        assert_eq!(asks(all).ok(), Some(true));
        assert_eq!(asks("attempt > 2").ok(), Some(false));
        assert!(asks("error.code == 'x'").is_err());
        assert!(asks("attempt").is_err());
    }

    #[test]
    fn names_that_no_policy_knows_are_mistakes() {
        assert_eq!(check("${{ error.status >= 500 }}").ok(), Some(false));
        assert_eq!(check("job.input.n > 1").ok(), Some(true));
        for wrong in
            ["nodes.a.status == 'failed'", "item", "index > 1", "job.status", "nothing", "1 +"]
        {
            assert!(check(wrong).is_err(), "{wrong}");
        }
    }
}
