//! The class of a failure whose reporter names none: from the code, the HTTP status and the type, in this order, because a
//! code says more than a status, and a service that meters its callers may do so under any status.
//! Sources: the codes of gRPC, the error numbers of POSIX, the lists of throttling and transient codes that AWS publishes for
//! its clients, the statuses of RFC 9110; section 5 of `retry-and-failures.md` says what each is for us.
//! Absent on purpose: messages. What is written for people changes with the language and the day.

use super::classify::UNCLASSIFIED;

/// What a report says of a failure beside its class.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Signs<'a> {
    /// The reporter's word.
    pub error_type: &'a str,
    /// The code that the failing service gave.
    pub code: Option<&'a str>,
    /// The HTTP status that it gave.
    pub status: Option<u16>,
    /// It named a time to come back.
    pub asks_to_wait: bool,
}

/// The class that follows; `unclassified` where nothing is known.
pub fn class_of(signs: Signs<'_>) -> &'static str {
    let by_code = signs.code.and_then(by_word);
    let by_status = || signs.status.and_then(|status| by_status(status, signs.asks_to_wait));
    by_code.or_else(by_status).or_else(|| by_word(signs.error_type)).unwrap_or(UNCLASSIFIED)
}

fn by_word(word: &str) -> Option<&'static str> {
    let found = WORDS.iter().find(|(_, words)| words.contains(&word)).map(|(class, _)| *class);
    found.or_else(|| by_exit_code(word))
}

/// A process that ended: `exit_137`, as `orrery worker` says it. Killed from outside (out of memory, a reclaimed machine), by its host's shutdown, or by a
/// fault of its own.
fn by_exit_code(word: &str) -> Option<&'static str> {
    match word.strip_prefix("exit_")? {
        "137" => Some("heartbeat.missed"),
        "143" => Some("terminated"),
        "1" | "134" | "139" => Some("bug"),
        _ => None,
    }
}

fn by_status(status: u16, asks_to_wait: bool) -> Option<&'static str> {
    Some(match status {
        401 | 407 => "auth",
        402 | 507 => "quota.hard",
        403 => "forbidden",
        404 | 410 => "not_found",
        405 | 501 | 505 => "unsupported",
        408 => "request.timeout",
        409 | 412 => "conflict",
        429 | 509 => "throttled",
        // A body that is too large now, and not later: the service says when.
        413 if asks_to_wait => "throttled",
        428 => "precondition",
        423 | 425 | 502..=504 => "server.unavailable",
        400..=499 => "validation",
        500..=599 => "server.error",
        _ => return None,
    })
}

/// Codes and error types that say which class a failure is of.
const WORDS: &[(&str, &[&str])] = &[
    (
        "network.connect",
        &[
            "ECONNREFUSED",
            "EHOSTUNREACH",
            "ENETUNREACH",
            "EHOSTDOWN",
            "ENOTFOUND",
            "EAI_AGAIN",
            "NXDOMAIN",
            "ConnectionRefused",
            "ConnectionRefusedError",
            "ConnectError",
            "HostUnreachable",
            "NetworkUnreachable",
        ],
    ),
    (
        "network.reset",
        &[
            "ECONNRESET",
            "ECONNABORTED",
            "EPIPE",
            "GOAWAY",
            "UnexpectedEof",
            "IncompleteRead",
            "ConnectionReset",
            "ConnectionResetError",
            "ConnectionAborted",
            "ConnectionClosed",
            "BrokenPipe",
            "BrokenPipeError",
        ],
    ),
    ("tls.handshake_timeout", &["TlsHandshakeTimeout", "SSLHandshakeTimeout"]),
    (
        "tls.certificate",
        &[
            "CERT_HAS_EXPIRED",
            "CERT_NOT_YET_VALID",
            "DEPTH_ZERO_SELF_SIGNED_CERT",
            "SELF_SIGNED_CERT_IN_CHAIN",
            "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
            "ERR_TLS_CERT_ALTNAME_INVALID",
            "CertificateError",
            "SSLCertVerificationError",
        ],
    ),
    (
        "timeout.attempt",
        &["DEADLINE_EXCEEDED", "ETIMEDOUT", "ESOCKETTIMEDOUT", "Timeout", "TimeoutError"],
    ),
    (
        "throttled",
        &[
            "RESOURCE_EXHAUSTED",
            "Throttling",
            "ThrottlingException",
            "ThrottledException",
            "RequestThrottledException",
            "RequestThrottled",
            "TooManyRequests",
            "TooManyRequestsException",
            "ProvisionedThroughputExceededException",
            "RequestLimitExceeded",
            "BandwidthLimitExceeded",
            "LimitExceededException",
            "SlowDown",
            "PriorRequestNotComplete",
            "EC2ThrottledException",
            "rateLimitExceeded",
            "userRateLimitExceeded",
        ],
    ),
    (
        "server.unavailable",
        &["UNAVAILABLE", "ServiceUnavailable", "ServiceUnavailableException", "backendError"],
    ),
    (
        "server.error",
        &[
            "INTERNAL",
            "UNKNOWN",
            "InternalError",
            "InternalFailure",
            "InternalServerError",
            "InternalServerException",
        ],
    ),
    ("request.timeout", &["RequestTimeout", "RequestTimeoutException"]),
    (
        "conflict",
        &["ABORTED", "ALREADY_EXISTS", "ConditionalCheckFailedException", "ConflictException"],
    ),
    (
        "validation",
        &[
            "INVALID_ARGUMENT",
            "OUT_OF_RANGE",
            "ValidationError",
            "ValidationException",
            "InvalidParameterValue",
            "MissingParameter",
        ],
    ),
    (
        "auth",
        &[
            "UNAUTHENTICATED",
            "ExpiredToken",
            "ExpiredTokenException",
            "RequestExpired",
            "InvalidClientTokenId",
            "UnrecognizedClientException",
        ],
    ),
    (
        "forbidden",
        &["PERMISSION_DENIED", "AccessDenied", "AccessDeniedException", "EACCES", "EPERM"],
    ),
    (
        "not_found",
        &["NOT_FOUND", "ResourceNotFoundException", "NoSuchKey", "NoSuchBucket", "ENOENT"],
    ),
    ("precondition", &["FAILED_PRECONDITION"]),
    ("unsupported", &["UNIMPLEMENTED", "NotImplemented"]),
    (
        "quota.hard",
        &[
            "ENOSPC",
            "EDQUOT",
            "quotaExceeded",
            "dailyLimitExceeded",
            "ServiceQuotaExceededException",
        ],
    ),
    ("data", &["DATA_LOSS", "BadDigest", "ChecksumMismatch", "ParseError", "JSONDecodeError"]),
    ("cancelled", &["CANCELLED", "Cancelled", "CancelledError"]),
    ("bug", &["panic", "AssertionError", "SIGSEGV", "SIGABRT"]),
    ("heartbeat.missed", &["OOMKilled", "SIGKILL", "SpotInterruption"]),
    ("terminated", &["SIGTERM"]),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retry::classify::is_known;

    fn of(error_type: &str, code: Option<&str>, status: Option<u16>) -> &'static str {
        class_of(Signs { error_type, code, status, asks_to_wait: false })
    }

    #[test]
    fn every_class_is_one_of_the_taxonomy_and_no_word_stands_for_two() {
        let mut all: Vec<&str> = Vec::new();
        for (class, words) in WORDS {
            assert!(is_known(class), "{class}");
            all.extend(*words);
        }
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }

    #[test]
    fn a_code_outranks_the_status_and_both_the_type() {
        assert_eq!(of("Timeout", Some("Throttling"), Some(400)), "throttled");
        assert_eq!(of("Timeout", Some("SlowDown"), Some(503)), "throttled");
        assert_eq!(of("Timeout", None, Some(400)), "validation");
        assert_eq!(of("Timeout", Some("of its own"), Some(404)), "not_found");
        assert_eq!(of("Timeout", Some("of its own"), None), "timeout.attempt");
        assert_eq!(of("Mine", None, None), UNCLASSIFIED);
    }

    #[test]
    fn statuses_are_read_as_the_taxonomy_says() {
        let expected = [
            (400, "validation"),
            (401, "auth"),
            (402, "quota.hard"),
            (403, "forbidden"),
            (404, "not_found"),
            (405, "unsupported"),
            (408, "request.timeout"),
            (409, "conflict"),
            (410, "not_found"),
            (412, "conflict"),
            (413, "validation"),
            (418, "validation"),
            (422, "validation"),
            (429, "throttled"),
            (500, "server.error"),
            (501, "unsupported"),
            (502, "server.unavailable"),
            (503, "server.unavailable"),
            (504, "server.unavailable"),
            (507, "quota.hard"),
            (509, "throttled"),
            (599, "server.error"),
            (200, UNCLASSIFIED),
            (302, UNCLASSIFIED),
        ];
        for (status, class) in expected {
            assert_eq!(of("Mine", None, Some(status)), class, "{status}");
        }
        let asks = Signs { status: Some(413), asks_to_wait: true, ..Signs::default() };
        assert_eq!(class_of(asks), "throttled");
    }

    #[test]
    fn exit_codes_tell_who_ended_the_process() {
        assert_eq!(of("exit_137", None, None), "heartbeat.missed");
        assert_eq!(of("exit_139", None, None), "bug");
        assert_eq!(of("Mine", Some("exit_143"), None), "terminated");
        assert_eq!(of("exit_2", None, None), UNCLASSIFIED);
    }
}
