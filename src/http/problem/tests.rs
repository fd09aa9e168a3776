//! The table of every error with its status and code, and what a problem shows.

use domain::ids::JobId;
use domain::job::status::JobStatus;
use domain::node::status::NodeStatus;
use domain::refusal::Quota;
use serde_json::Value;
use uuid::Uuid;

use super::*;

fn shown(problem: &Problem) -> Value {
    serde_json::to_value(problem.body(None, Some("/x"))).unwrap_or_default()
}

fn job_state() -> Refusal {
    Refusal::JobState {
        job: JobId(Uuid::from_u128(7)),
        current: JobStatus::Completed,
        ending: None,
        attempted: "paused".into(),
        allowed: vec![JobStatus::Queued, JobStatus::Running],
    }
}

fn node_state() -> Refusal {
    Refusal::NodeState {
        job: JobId(Uuid::from_u128(7)),
        node: "a".to_owned(),
        current: NodeStatus::Failed,
        attempted: "skipped".into(),
    }
}

#[test]
fn every_refusal_has_its_status_and_code() {
    let table = [
        (Refusal::JobDeleted, 410, "job_deleted"),
        (Refusal::JobNotFound, 404, "job_not_found"),
        (Refusal::NodeNotFound, 404, "node_not_found"),
        (Refusal::EnvironmentNotFound, 404, "environment_not_found"),
        (Refusal::EnvironmentExists, 409, "environment_exists"),
        (Refusal::EnvironmentInUse { jobs: 2 }, 409, "environment_in_use"),
        (Refusal::EnvironmentFixed, 409, "environment_fixed"),
        (Refusal::RetryPolicyNotFound, 404, "retry_policy_not_found"),
        (Refusal::RetryPolicyExists, 409, "retry_policy_exists"),
        (Refusal::LeaseLost, 409, "lease_lost"),
        (Refusal::ReportedDifferently, 409, "reported_differently"),
        (Refusal::IdempotencyKeyReused, 422, "idempotency_key_reused"),
        (Refusal::VersionMismatch { expected: 1, current: 2 }, 412, "version_mismatch"),
        (job_state(), 409, "invalid_job_state"),
        (node_state(), 409, "invalid_node_state"),
        (Refusal::Invalid(Vec::new()), 422, "validation_failed"),
        (Refusal::AlreadyStarted { field: "timeout_ms".into() }, 409, "already_started"),
        (Refusal::quota(Quota::LiveJobs, 7, None), 429, "quota_exceeded"),
    ];
    for (refusal, status, code) in table {
        assert_eq!(refusal.code(), code, "the rules and the API say the same word");
        let problem = Problem::from(refusal);
        assert_eq!((problem.code().status().as_u16(), problem.code().as_str()), (status, code));
    }
}

#[test]
fn every_other_code_has_its_status() {
    let table = [
        ("malformed_json", 400),
        ("invalid_host", 400),
        ("host_not_served", 421),
        ("cross_site", 403),
        ("unknown_route", 404),
        ("method_not_allowed", 405),
        ("body_too_large", 413),
        ("unsupported_media_type", 415),
        ("not_available", 422),
        ("node_type_not_available", 422),
        ("expression", 422),
        ("internal_error", 500),
        ("stored_data_damaged", 500),
        ("outcome_unknown", 503),
        ("store_unavailable", 503),
        ("view_behind", 503),
        ("overloaded", 503),
        ("body_too_slow", 408),
        ("too_many_waiting", 429),
        ("deadline_exceeded", 503),
        ("operation_stopped", 503),
        ("stopping", 503),
        ("storage_full", 507),
    ];
    for (word, status) in table {
        assert_eq!(Code::parse(word).map(|code| code.status().as_u16()), Some(status), "{word}");
    }
    assert_eq!(Code::ALL.len(), table.len() + 18, "every code is in one of the two tables");
}

#[test]
fn every_failure_of_the_engine_has_its_code() {
    let table = [
        (EngineError::Refused(Refusal::LeaseLost), "lease_lost"),
        (EngineError::OutcomeUnknown, "outcome_unknown"),
        (EngineError::Unavailable, "store_unavailable"),
        (EngineError::Full, "storage_full"),
        (EngineError::Overloaded, "overloaded"),
        (EngineError::ViewBehind, "view_behind"),
        (EngineError::Damaged("at 7".to_owned()), "stored_data_damaged"),
        (EngineError::Stopping, "stopping"),
    ];
    for (error, code) in table {
        let problem = Problem::from(error);
        assert_eq!(problem.code().as_str(), code);
        assert!(!shown(&problem).to_string().contains("at 7"), "causes stay here");
    }
}

#[test]
fn a_refused_change_says_what_stood_in_the_way() {
    let shown_job = shown(&Problem::from(job_state()));
    assert_eq!(shown_job["job_id"], "00000000-0000-0000-0000-000000000007");
    assert_eq!(shown_job["current"], "completed");
    assert_eq!(shown_job["attempted"], "paused");
    assert_eq!(shown_job["allowed"], serde_json::json!(["queued", "running"]));
    assert_eq!(shown_job["type"], "/docs/errors/invalid_job_state");
    assert_eq!(shown(&Problem::from(node_state()))["node"], "a");
}

#[test]
fn what_is_not_available_is_the_code_when_nothing_else_is_wrong() {
    let later = FieldError::new("/nodes/0/type", "node_type_not_available", "later");
    let wrong = FieldError::new("/name", "required", "is required");
    let alone = Problem::invalid(vec![later.clone()]);
    assert_eq!(alone.code(), Code::NodeTypeNotAvailable);
    assert_eq!(Problem::invalid(vec![later, wrong]).code(), Code::ValidationFailed);
}

#[test]
fn a_problem_lists_a_bounded_number_of_errors() {
    let many = (0..1_000).map(|n| FieldError::new(format!("/{n}"), "required", "is required"));
    let shown = shown(&Problem::invalid(many.collect()));
    assert_eq!(shown["errors"].as_array().map(Vec::len), Some(ERRORS_MAX));
}

#[test]
fn the_table_of_gates_says_what_their_codes_say() {
    let page = include_str!("../../../docs/overload.md");
    let mut told = std::collections::BTreeSet::new();
    let gates = page.lines().skip_while(|line| !line.starts_with("| gate |")).skip(2);
    for row in gates.take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [_, _, _, answer, after, _, _] = cells[..] else { panic!("{row}") };
        let (status, word) = answer.split_once(' ').unwrap_or_default();
        let Some(code) = Code::parse(word.trim_matches('`')) else { panic!("{row}") };
        assert_eq!(code.status().as_str(), status, "{row}");
        assert_eq!(
            code.retry_after_s().map(|seconds| seconds.to_string()).as_deref(),
            Some(after),
            "{row}"
        );
        told.insert(code.as_str());
    }
    for code in Code::ALL.iter().filter(|code| matches!(code.status().as_u16(), 429 | 503 | 507)) {
        assert!(told.contains(code.as_str()), "{} has no gate in docs/overload.md", code.as_str());
    }
}
