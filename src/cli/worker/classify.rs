//! What a child process's end means: its exit status, the end of its standard error, and what it may say itself
//! become the error that the engine's retry rules read.
//!
//! Always: a class of `retry-and-failures.md` section 5, and `bug` where nothing better is known. A child that
//! knows better writes `{"error": {"type", "message", "class", "retryable", "retry_after_ms", "details"}}` to its
//! standard output and exits with something else than 0. Absent: any guess from the words of standard error.

use domain::bounds::{ERROR_MESSAGE_CHARS_MAX, RETRY_AFTER_MS_MAX};
use domain::retry::classify::is_known;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cli::client::shapes::AttemptError;

/// Letters of standard error that become the message; the last ones, for there the reason stands.
const MESSAGE_CHARS_MAX: usize = 2_000;

/// Letters of an error's type: the engine refuses longer ones, and none at all.
const KIND_CHARS_MAX: usize = 100;
/// Details of a child's own that are kept; larger ones belong into a file of the child's.
const DETAILS_BYTES_MAX: usize = 16 * 1024;

/// What a process said when it failed, in its own words.
#[derive(Debug, Default, Deserialize)]
struct OwnWords {
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    class: Option<String>,
    #[serde(default)]
    retryable: Option<bool>,
    #[serde(default)]
    retry_after_ms: Option<u64>,
    #[serde(default)]
    details: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Envelope {
    error: OwnWords,
}

/// How a process ended: by itself with a code, or by a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Exit(i32),
    Signal(i32),
}

/// The error of a child that did not exit with 0.
pub(super) fn error_of(ending: Ending, stdout: &[u8], stderr_tail: &str) -> AttemptError {
    let (kind, class, said) = match ending {
        Ending::Signal(number) => of_signal(number),
        // A shell tells the signal that ended its child as 128 + number.
        Ending::Exit(code @ 129..=159) => of_signal(code - 128),
        Ending::Exit(code) => (format!("exit_{code}"), "bug", format!("exited with {code}")),
    };
    let own = serde_json::from_slice::<Envelope>(stdout)
        .map(|envelope| envelope.error)
        .unwrap_or_default();
    let small = |details: &Value| details.to_string().len() <= DETAILS_BYTES_MAX;
    let mut details = match own.details.filter(small) {
        Some(Value::Object(map)) => map,
        Some(other) => serde_json::Map::from_iter([("own".to_owned(), other)]),
        None => serde_json::Map::new(),
    };
    match ending {
        Ending::Exit(code) => details.insert("exit_code".to_owned(), json!(code)),
        Ending::Signal(number) => details.insert("signal".to_owned(), json!(number)),
    };
    let class = match own.class {
        Some(class) if is_known(&class) => class,
        Some(unknown) => {
            details.insert("class".to_owned(), json!(unknown));
            class.to_owned()
        }
        None => class.to_owned(),
    };
    let message = own.message.unwrap_or_else(|| match stderr_tail.trim() {
        "" => said,
        tail => format!("{said}: {}", last_chars(tail, MESSAGE_CHARS_MAX)),
    });
    AttemptError {
        kind: own.kind.map(|own| one_word(&own)).filter(|own| !own.is_empty()).unwrap_or(kind),
        message: last_chars(&message, ERROR_MESSAGE_CHARS_MAX).to_owned(),
        class,
        retryable: own.retryable,
        retry_after_ms: own.retry_after_ms.map(|asked| asked.min(RETRY_AFTER_MS_MAX)),
        details: Some(Value::Object(details)),
    }
}

/// A child's own name for its error, as the engine takes it.
fn one_word(text: &str) -> String {
    text.trim().chars().filter(|letter| !letter.is_control()).take(KIND_CHARS_MAX).collect()
}

/// What a signal means that this worker did not send.
fn of_signal(number: i32) -> (String, &'static str, String) {
    let (name, class) = match number {
        // The kernel's out-of-memory killer and a host that is taken away both kill.
        9 => ("SIGKILL", "heartbeat.missed"),
        1 => ("SIGHUP", "terminated"),
        2 => ("SIGINT", "terminated"),
        3 => ("SIGQUIT", "terminated"),
        15 => ("SIGTERM", "terminated"),
        24 => ("SIGXCPU", "quota.hard"),
        25 => ("SIGXFSZ", "quota.hard"),
        4 => ("SIGILL", "bug"),
        6 => ("SIGABRT", "bug"),
        7 => ("SIGBUS", "bug"),
        8 => ("SIGFPE", "bug"),
        11 => ("SIGSEGV", "bug"),
        13 => ("SIGPIPE", "bug"),
        _ => return (format!("signal_{number}"), "bug", format!("ended by signal {number}")),
    };
    (name.to_lowercase(), class, format!("ended by {name}"))
}

/// The last `max` letters of a text.
pub(super) fn last_chars(text: &str, max: usize) -> &str {
    match text.char_indices().rev().nth(max.saturating_sub(1)) {
        Some((start, _)) => &text[start..],
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_code_without_a_class_is_a_bug_and_its_stderr_is_the_message() {
        let error = error_of(Ending::Exit(1), b"", "Traceback\nValueError: no\n");
        assert_eq!((error.kind.as_str(), error.class.as_str()), ("exit_1", "bug"));
        assert_eq!(error.message, "exited with 1: Traceback\nValueError: no");
        assert_eq!(error.details, Some(json!({"exit_code": 1})));
        assert_eq!(error.retryable, None, "the policy decides");
    }

    #[test]
    fn signals_and_the_codes_that_shells_make_of_them_mean_the_same() {
        let table = [
            (9, "sigkill", "heartbeat.missed"),
            (15, "sigterm", "terminated"),
            (2, "sigint", "terminated"),
            (11, "sigsegv", "bug"),
            (6, "sigabrt", "bug"),
            (24, "sigxcpu", "quota.hard"),
            (31, "signal_31", "bug"),
        ];
        for (number, kind, class) in table {
            for ending in [Ending::Signal(number), Ending::Exit(128 + number)] {
                let error = error_of(ending, b"", "");
                assert_eq!(
                    (error.kind.as_str(), error.class.as_str()),
                    (kind, class),
                    "{ending:?}"
                );
                assert!(is_known(&error.class));
            }
        }
    }

    #[test]
    fn a_child_may_name_its_own_error() {
        let said =
            br#"{"error": {"type": "RateLimited", "message": "slow down", "class": "throttled",
                                  "retry_after_ms": 1500, "details": {"target": "x"}}}"#;
        let error = error_of(Ending::Exit(3), said, "noise");
        assert_eq!((error.kind.as_str(), error.class.as_str()), ("RateLimited", "throttled"));
        assert_eq!(error.message, "slow down");
        assert_eq!(error.retry_after_ms, Some(1500));
        assert_eq!(error.details, Some(json!({"target": "x", "exit_code": 3})));
    }

    #[test]
    fn what_a_child_says_stays_within_the_engines_bounds() {
        let said = json!({ "error": { "type": "T".repeat(1_000), "message": "m".repeat(100_000),
                                      "retry_after_ms": u64::MAX, "details": "d".repeat(100_000) } });
        let error = error_of(Ending::Exit(3), said.to_string().as_bytes(), "");
        assert_eq!(error.kind.len(), KIND_CHARS_MAX);
        assert_eq!(error_of(Ending::Exit(3), br#"{"error": {"type": " \n"}}"#, "").kind, "exit_3");
        assert_eq!(error.message.len(), ERROR_MESSAGE_CHARS_MAX);
        assert_eq!(error.retry_after_ms, Some(RETRY_AFTER_MS_MAX));
        assert_eq!(error.details, Some(json!({"exit_code": 3})));
    }

    #[test]
    fn a_class_that_nobody_knows_is_kept_as_a_detail_only() {
        let error = error_of(Ending::Exit(3), br#"{"error": {"class": "moon.phase"}}"#, "");
        assert_eq!(error.class, "bug");
        assert_eq!(error.details, Some(json!({"class": "moon.phase", "exit_code": 3})));
    }

    #[test]
    fn a_long_standard_error_keeps_its_end_and_whole_letters() {
        assert_eq!(last_chars("aüb", 2), "üb");
        assert_eq!(last_chars("aüb", 9), "aüb");
        let error = error_of(Ending::Exit(1), b"", &"é".repeat(10_000));
        assert!(error.message.chars().count() <= MESSAGE_CHARS_MAX + 20);
    }
}
