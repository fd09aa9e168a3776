//! Every error code the API can answer with: its word, status, title and page, in one table.
//! Always holds: a word is stable for ever, its status never changes, and its page is in the binary
//! (`docs/errors/<code>.md`, served below `/docs/errors/`). Absent: which error gives which code (`problem.rs`).

use axum::http::StatusCode;

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident $word:literal $status:ident $title:literal;)*) => {
        /// What went wrong, as clients match on it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Code { $($(#[$doc])* $variant,)* }

        impl Code {
            /// Every code, by status.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The word on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// The HTTP status it is answered with.
            pub fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status,)* }
            }

            /// A short sentence that is the same for every occurrence.
            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }

            /// The page that explains it, in Markdown.
            pub fn page(self) -> &'static str {
                match self {
                    $(Self::$variant => include_str!(concat!("../../../docs/errors/", $word, ".md")),)*
                }
            }
        }
    };
}

codes! {
    /// Not JSON at all.
    MalformedJson "malformed_json" BAD_REQUEST "The body is not well-formed JSON";
    /// No host, two, or none that can be read.
    InvalidHost "invalid_host" BAD_REQUEST "The request does not name one host";
    /// A browser sent it on behalf of another site.
    CrossSite "cross_site" FORBIDDEN "Requests from other sites change nothing";
    /// No such path.
    UnknownRoute "unknown_route" NOT_FOUND "There is nothing at this path";
    /// No such job in this namespace.
    JobNotFound "job_not_found" NOT_FOUND "There is no such job";
    /// No such node in the job.
    NodeNotFound "node_not_found" NOT_FOUND "The job has no such node";
    /// No such environment in this namespace.
    EnvironmentNotFound "environment_not_found" NOT_FOUND "There is no such environment";
    /// No such retry policy in this namespace.
    RetryPolicyNotFound "retry_policy_not_found" NOT_FOUND "There is no such retry policy";
    /// Retention let go of it.
    JobDeleted "job_deleted" GONE "The job is deleted";
    /// The path exists, the method does not.
    MethodNotAllowed "method_not_allowed" METHOD_NOT_ALLOWED "The method is not allowed here";
    /// The name is taken.
    EnvironmentExists "environment_exists" CONFLICT "An environment of this name exists";
    /// It has grants or requests.
    EnvironmentInUse "environment_in_use" CONFLICT "The environment is in use";
    /// `default` never changes.
    EnvironmentFixed "environment_fixed" CONFLICT "The environment cannot be changed";
    /// The name is another policy's.
    RetryPolicyExists "retry_policy_exists" CONFLICT "A retry policy of this name exists";
    /// The job's state forbids it.
    InvalidJobState "invalid_job_state" CONFLICT "The job's state does not allow this";
    /// The node's state forbids it.
    InvalidNodeState "invalid_node_state" CONFLICT "The node's state does not allow this";
    /// Only possible before the start.
    AlreadyStarted "already_started" CONFLICT "The job has started";
    /// Not the newest lease of a running attempt.
    LeaseLost "lease_lost" CONFLICT "The lease is lost";
    /// One attempt, two results.
    ReportedDifferently "reported_differently" CONFLICT "The attempt has another result already";
    /// If-Match named another version.
    VersionMismatch "version_mismatch" PRECONDITION_FAILED "The version is another one";
    /// The client stopped sending.
    BodyTooSlow "body_too_slow" REQUEST_TIMEOUT "The body did not come";
    /// More than the bound.
    BodyTooLarge "body_too_large" PAYLOAD_TOO_LARGE "The body is too large";
    /// Meant for somebody else, or a page that has rebound its name.
    HostNotServed "host_not_served" MISDIRECTED_REQUEST "The host is not one of this engine";
    /// Not JSON by its own account.
    UnsupportedMediaType "unsupported_media_type" UNSUPPORTED_MEDIA_TYPE "The body must be application/json";
    /// Well formed and wrong.
    ValidationFailed "validation_failed" UNPROCESSABLE_ENTITY "The request is not valid";
    /// Known to the design, not to this version.
    NotAvailable "not_available" UNPROCESSABLE_ENTITY "This is not available yet";
    /// One of the later node types.
    NodeTypeNotAvailable "node_type_not_available" UNPROCESSABLE_ENTITY "This node type is not available yet";
    /// An expression that has no value.
    Expression "expression" UNPROCESSABLE_ENTITY "The expression has no value";
    /// Same key, another body.
    IdempotencyKeyReused "idempotency_key_reused" UNPROCESSABLE_ENTITY "The Idempotency-Key was used with another body";
    /// More requests wait for work than may.
    TooManyWaiting "too_many_waiting" TOO_MANY_REQUESTS "Too many requests wait for work";
    /// A tenant takes up as much as it may.
    QuotaExceeded "quota_exceeded" TOO_MANY_REQUESTS "As much is taken up as may be";
    /// A bug of ours.
    InternalError "internal_error" INTERNAL_SERVER_ERROR "The engine made a mistake";
    /// A stream that cannot be read.
    StoredDataDamaged "stored_data_damaged" INTERNAL_SERVER_ERROR "What is stored cannot be read";
    /// Written or not: not known yet.
    OutcomeUnknown "outcome_unknown" SERVICE_UNAVAILABLE "It is not known whether this was done";
    /// The store does not answer.
    StoreUnavailable "store_unavailable" SERVICE_UNAVAILABLE "The store is not available";
    /// Lists would be too old.
    ViewBehind "view_behind" SERVICE_UNAVAILABLE "The view is too far behind";
    /// More than can be done now.
    Overloaded "overloaded" SERVICE_UNAVAILABLE "The engine has too much to do";
    /// It kept timing out or failing inside.
    OperationStopped "operation_stopped" SERVICE_UNAVAILABLE "This kind of operation is stopped for a while";
    /// Took too long.
    DeadlineExceeded "deadline_exceeded" SERVICE_UNAVAILABLE "The request took too long";
    /// On its way down.
    Stopping "stopping" SERVICE_UNAVAILABLE "The engine is stopping";
    /// No room for new work.
    StorageFull "storage_full" INSUFFICIENT_STORAGE "The storage is full";
}

impl Code {
    /// The code with this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == word)
    }

    /// Whole seconds after which asking again makes sense. Writes that may have been done are repeated with their
    /// Idempotency-Key.
    pub fn retry_after_s(self) -> Option<u32> {
        match self {
            // One append settles it, or the view has caught up.
            Self::OutcomeUnknown
            | Self::ViewBehind
            | Self::Overloaded
            | Self::TooManyWaiting
            | Self::DeadlineExceeded => Some(1),
            Self::StoreUnavailable => Some(2),
            // A restart, or another engine behind the same address; the time a breaker stays open.
            Self::Stopping | Self::OperationStopped => Some(5),
            // Somebody has to make room; jobs have to end, keys to grow old.
            Self::StorageFull | Self::QuotaExceeded => Some(30),
            Self::MalformedJson
            | Self::InvalidHost
            | Self::HostNotServed
            | Self::CrossSite
            | Self::UnknownRoute
            | Self::JobNotFound
            | Self::JobDeleted
            | Self::NodeNotFound
            | Self::EnvironmentNotFound
            | Self::RetryPolicyNotFound
            | Self::MethodNotAllowed
            | Self::EnvironmentExists
            | Self::EnvironmentInUse
            | Self::EnvironmentFixed
            | Self::RetryPolicyExists
            | Self::InvalidJobState
            | Self::InvalidNodeState
            | Self::AlreadyStarted
            | Self::LeaseLost
            | Self::ReportedDifferently
            | Self::VersionMismatch
            | Self::BodyTooSlow
            | Self::BodyTooLarge
            | Self::UnsupportedMediaType
            | Self::ValidationFailed
            | Self::NotAvailable
            | Self::NodeTypeNotAvailable
            | Self::Expression
            | Self::IdempotencyKeyReused
            | Self::InternalError
            | Self::StoredDataDamaged => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_one_word_and_a_page_that_starts_with_it() {
        for code in Code::ALL {
            assert_eq!(Code::parse(code.as_str()), Some(*code));
            let status = code.status().as_u16();
            let head = format!("# {}\n\nStatus {status}. ", code.as_str());
            assert!(code.page().starts_with(&head), "{} needs {head:?}", code.as_str());
        }
    }
}
