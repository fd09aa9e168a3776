//! Every way the rules can say no. A refusal changes nothing. Its meaning in HTTP is decided in one file of the
//! service, never here. Words are `Cow`: our own are literals, those that another engine passes on are not.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::ids::{IdError, JobId, Namespace};
use crate::job::status::JobStatus;
use crate::node::status::NodeStatus;

/// One thing that is wrong with a request, with where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldError {
    /// RFC 6901 pointer into the request body, such as `/nodes/0/depends_on/1`.
    pub pointer: String,
    /// Stable word, such as `out_of_range`.
    pub code: Cow<'static, str>,
    /// What is wrong and what is allowed, without the rejected value where it may be secret.
    pub message: String,
}

impl FieldError {
    /// A field error.
    pub fn new(pointer: impl Into<String>, code: &'static str, message: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), code: Cow::Borrowed(code), message: message.into() }
    }

    /// An identifier that does not fit its alphabet or length.
    pub fn id(pointer: impl Into<String>, error: &IdError) -> Self {
        Self::new(pointer, "invalid_format", error.to_string())
    }
}

/// Why a command changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// No such job.
    #[error("there is no such job")]
    JobNotFound,
    /// Retention let go of the job.
    #[error("the job was over for long, and is deleted")]
    JobDeleted,
    /// No such node in the job.
    #[error("the job has no such node")]
    NodeNotFound,
    /// No such environment.
    #[error("there is no such environment")]
    EnvironmentNotFound,
    /// The name is taken.
    #[error("an environment of this name exists")]
    EnvironmentExists,
    /// The environment has grants or requests.
    #[error("the environment is in use by {jobs} jobs")]
    EnvironmentInUse {
        /// How many jobs hold or ask for a grant.
        jobs: usize,
    },
    /// `default` is always there, without limits.
    #[error("the environment `default` cannot be changed or deleted")]
    EnvironmentFixed,
    /// No such retry policy.
    #[error("there is no such retry policy")]
    RetryPolicyNotFound,
    /// The name is another policy's.
    #[error("a retry policy of this name exists")]
    RetryPolicyExists,
    /// The lease is not the newest of a running attempt.
    #[error("the lease is lost: the attempt was taken over, ended, or its job is over")]
    LeaseLost,
    /// The same lease was reported with another result.
    #[error("this attempt has been reported with another result")]
    ReportedDifferently,
    /// The same Idempotency-Key came with another body.
    #[error("the Idempotency-Key was used with another body")]
    IdempotencyKeyReused,
    /// If-Match named another version.
    #[error("the version is {current}, not {expected}")]
    VersionMismatch {
        /// What If-Match said.
        expected: u64,
        /// What it is.
        current: u64,
    },
    /// The job's state does not allow it.
    #[error("a job that is {current} cannot be {attempted}")]
    JobState {
        job: JobId,
        current: JobStatus,
        /// The state it is ending in, if it is ending.
        ending: Option<JobStatus>,
        /// What was asked, as a word.
        attempted: Cow<'static, str>,
        /// The states in which it would have been allowed.
        allowed: Vec<JobStatus>,
    },
    /// The node's state does not allow it.
    #[error("node {node} is {current}: it cannot be {attempted}")]
    NodeState {
        job: JobId,
        /// The node's key.
        node: String,
        current: NodeStatus,
        /// What was asked, as a word.
        attempted: Cow<'static, str>,
    },
    /// The request breaks rules.
    #[error("the request is not valid")]
    Invalid(Vec<FieldError>),
    /// A tenant takes up as much as it may.
    #[error("{}", quota_said(*.quota, *.max, .namespace.as_ref()))]
    QuotaExceeded {
        /// Which of its bounds the namespace has reached.
        quota: Quota,
        /// How much is allowed.
        max: u64,
        /// Whose it is; none where all share it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        namespace: Option<Namespace>,
    },
    /// A patch touches what cannot change any more.
    #[error("{field} can only be changed before the job has started")]
    AlreadyStarted {
        /// The field's name.
        field: Cow<'static, str>,
    },
}

/// What is bounded for a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quota {
    /// Jobs that are not over.
    LiveJobs,
    /// Queues in use.
    Queues,
    /// Environments of one namespace.
    Environments,
    /// Namespaces that one engine serves.
    Namespaces,
    /// Commands with an Idempotency-Key that one subject remembers.
    KeyedCommands,
    /// Retry policies of one namespace.
    RetryPolicies,
    /// Bytes of JSON that they take together.
    RetryPolicyBytes,
    /// Retry policies and pauses of one namespace.
    CatalogEntries,
}

impl Quota {
    /// The setting that bounds it; for what no setting bounds, a word that says so.
    pub fn setting(self) -> &'static str {
        match self {
            Self::LiveJobs => "quotas.live_jobs_max",
            Self::Queues => "quotas.queues_max",
            Self::Environments => "quotas.environments_max",
            Self::Namespaces => "quotas.namespaces_max",
            Self::KeyedCommands => "quotas.keyed_commands_max",
            Self::RetryPolicies | Self::RetryPolicyBytes | Self::CatalogEntries => "fixed",
        }
    }
}

fn quota_said(quota: Quota, max: u64, namespace: Option<&Namespace>) -> String {
    let setting = quota.setting();
    let whose = namespace.map_or_else(String::new, |of| format!("namespace {of} "));
    match quota {
        Quota::LiveJobs => {
            format!("{whose}has {max} jobs that are not over, as many as may be ({setting})")
        }
        Quota::Queues => format!("{whose}would have more than {max} queues in use ({setting})"),
        Quota::Environments => {
            format!("{whose}has {max} environments, as many as may be ({setting})")
        }
        Quota::Namespaces => format!("{max} namespaces are in use, as many as may be ({setting})"),
        Quota::RetryPolicies => {
            format!("{whose}has {max} retry policies, as many as may be ({setting})")
        }
        Quota::RetryPolicyBytes => {
            format!("the retry policies of {whose}take {max} bytes, as much as may be ({setting})")
        }
        Quota::CatalogEntries => {
            format!("{whose}has {max} retry policies and pauses, as many as may be ({setting})")
        }
        Quota::KeyedCommands => format!(
            "{max} commands with an Idempotency-Key are remembered here, as many as may be for 24 hours ({setting})"
        ),
    }
}

impl Refusal {
    /// As much is taken up as may be.
    pub fn quota(quota: Quota, max: usize, namespace: Option<&Namespace>) -> Self {
        Self::QuotaExceeded { quota, max: max as u64, namespace: namespace.cloned() }
    }

    /// The stable code clients match on.
    pub fn code(&self) -> &'static str {
        match self {
            Self::JobNotFound => "job_not_found",
            Self::JobDeleted => "job_deleted",
            Self::NodeNotFound => "node_not_found",
            Self::EnvironmentNotFound => "environment_not_found",
            Self::EnvironmentExists => "environment_exists",
            Self::EnvironmentInUse { .. } => "environment_in_use",
            Self::EnvironmentFixed => "environment_fixed",
            Self::RetryPolicyNotFound => "retry_policy_not_found",
            Self::RetryPolicyExists => "retry_policy_exists",
            Self::LeaseLost => "lease_lost",
            Self::ReportedDifferently => "reported_differently",
            Self::IdempotencyKeyReused => "idempotency_key_reused",
            Self::VersionMismatch { .. } => "version_mismatch",
            Self::JobState { .. } => "invalid_job_state",
            Self::NodeState { .. } => "invalid_node_state",
            Self::QuotaExceeded { .. } => "quota_exceeded",
            Self::Invalid(_) => "validation_failed",
            Self::AlreadyStarted { .. } => "already_started",
        }
    }
}

/// A word that was written here; tests compare it with the literal.
#[cfg(test)]
pub(crate) fn ours(word: Cow<'static, str>) -> &'static str {
    match word {
        Cow::Borrowed(word) => word,
        Cow::Owned(word) => panic!("{word} is no word of ours"),
    }
}
