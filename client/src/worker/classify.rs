//! What a child process's end means: its exit status, the end of its standard error, and what it may say itself
//! become the error that the engine's retry rules read.
//!
//! Always: a class of `retry-and-failures.md` section 5, and `bug` where nothing better is known. A child that
//! knows better writes `{"error": {"type", "message", "class", "code", "status", "retryable", "retry_after_ms", "details"}}` to its
//! standard output and exits with something else than 0. Absent: any guess from the words of standard error.

use std::time::Duration;

use domain::bounds::{ERROR_MESSAGE_CHARS_MAX, RELEASE_AFTER_MS_MAX, RETRY_AFTER_MS_MAX};
use domain::retry::classify::is_known;
use serde_json::{Value, json};

use crate::api::shapes::AttemptErrorShape;

/// Letters of standard error that become the message; the last ones, for there the reason stands.
const MESSAGE_CHARS_MAX: usize = 2_000;

/// Letters of an error's type: the engine refuses longer ones, and none at all.
const KIND_CHARS_MAX: usize = 100;
/// Details of a child's own that are kept; larger ones belong into a file of the child's.
const DETAILS_BYTES_MAX: usize = 16 * 1024;

/// The end of standard error that is kept with every attempt, in bytes.
const STDERR_BYTES_SHOWN: usize = 1_024;

/// What a process said when it failed, in its own words.
#[derive(Debug, Default)]
struct OwnWords {
    kind: Option<String>,
    message: Option<String>,
    class: Option<String>,
    code: Option<String>,
    status: Option<u16>,
    retryable: Option<bool>,
    retry_after_ms: Option<u64>,
    details: Option<Value>,
    /// Its fields that are not understood, by name, as they were written.
    ignored: serde_json::Map<String, Value>,
}

impl OwnWords {
    /// Reads `{"error": {...}}`. A field that cannot be used takes no other one with it.
    fn read(stdout: &[u8]) -> Self {
        let mut words = Self::default();
        let Ok(Value::Object(mut envelope)) = serde_json::from_slice(stdout.trim_ascii()) else {
            return words;
        };
        let Some(Value::Object(error)) = envelope.remove("error") else { return words };
        for (field, value) in error {
            let left = match (field.as_str(), value) {
                (_, Value::Null) => None,
                ("type", Value::String(text)) => words.kind.replace(text).map(Value::from),
                ("message", Value::String(text)) => words.message.replace(text).map(Value::from),
                ("class", Value::String(text)) => words.class.replace(text).map(Value::from),
                ("code", Value::String(text)) => {
                    words.code.replace(one_word(&text)).map(Value::from)
                }
                ("status", Value::Number(number)) => match http_status(&number) {
                    Some(status) => words.status.replace(status).map(Value::from),
                    None => Some(Value::Number(number)),
                },
                ("retryable", Value::Bool(whether)) => {
                    words.retryable.replace(whether).map(Value::from)
                }
                ("retry_after_ms", Value::Number(number)) => match whole_ms(&number) {
                    Some(ms) => words.retry_after_ms.replace(ms).map(Value::from),
                    None => Some(Value::Number(number)),
                },
                ("details", details) => words.details.replace(details),
                (_, other) => Some(other),
            };
            if let Some(left) = left {
                words.ignored.insert(field, left);
            }
        }
        words
    }
}

/// Milliseconds as any JSON writer may give them: `1500`, `1500.0`, `1.5e3`; parts of one count as a whole.
fn whole_ms(number: &serde_json::Number) -> Option<u64> {
    number.as_u64().or_else(|| {
        let ms = number.as_f64().filter(|ms| *ms >= 0.0)?;
        let bounded = Duration::try_from_secs_f64((ms / 1_000.0).min(1e9)).ok()?;
        u64::try_from(bounded.as_micros().div_ceil(1_000)).ok()
    })
}

/// An HTTP status as any JSON writer may give it.
fn http_status(number: &serde_json::Number) -> Option<u16> {
    let status = number.as_u64().and_then(|status| u16::try_from(status).ok())?;
    (100..=599).contains(&status).then_some(status)
}

/// For how long a command that failed asks to be given back: `{"release": {"after_ms": 60000}}`, and nothing else.
pub(super) fn postponed(stdout: &[u8]) -> Option<u64> {
    let Ok(Value::Object(envelope)) = serde_json::from_slice(stdout.trim_ascii()) else {
        return None;
    };
    let release = envelope.get("release").filter(|_| envelope.len() == 1)?.as_object()?;
    let after_ms = match release.get("after_ms") {
        Some(Value::Number(number)) => whole_ms(number)?,
        Some(_) => return None,
        None => 0,
    };
    Some(after_ms.min(RELEASE_AFTER_MS_MAX))
}

/// The last KiB of standard error, whole letters only; none when nothing was written.
pub(super) fn kept_stderr(stderr: &str) -> Option<String> {
    let text = stderr.trim_end();
    let mut start = text.len().saturating_sub(STDERR_BYTES_SHOWN);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    (!text.is_empty()).then(|| text[start..].to_owned())
}

impl AttemptErrorShape {
    /// Puts the end of standard error into the details.
    pub(super) fn keep_stderr(&mut self, stderr: &str) {
        let Some(kept) = kept_stderr(stderr) else { return };
        let details = self.details.get_or_insert_with(|| json!({}));
        if let Value::Object(details) = details {
            details.insert("stderr".to_owned(), Value::String(kept));
        }
    }
}

/// How a process ended: by itself with a code, or by a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProcessEnding {
    Exit(i32),
    Signal(i32),
}

/// The error of a child that did not exit with 0.
pub(super) fn error_of(
    ending: ProcessEnding,
    stdout: &[u8],
    stderr_tail: &str,
) -> AttemptErrorShape {
    let (kind, class, said) = match ending {
        ProcessEnding::Signal(number) => of_signal(number),
        // A shell tells the signal that ended its child as 128 + number.
        ProcessEnding::Exit(code @ 129..=159) => of_signal(code - 128),
        ProcessEnding::Exit(code) => (format!("exit_{code}"), "bug", format!("exited with {code}")),
    };
    let own = OwnWords::read(stdout);
    let small = |details: &Value| details.to_string().len() <= DETAILS_BYTES_MAX;
    let mut details = match own.details.filter(small) {
        Some(Value::Object(map)) => map,
        Some(other) => serde_json::Map::from_iter([("own".to_owned(), other)]),
        None => serde_json::Map::new(),
    };
    match ending {
        ProcessEnding::Exit(code) => details.insert("exit_code".to_owned(), json!(code)),
        ProcessEnding::Signal(number) => details.insert("signal".to_owned(), json!(number)),
    };
    let ignored = Value::Object(own.ignored);
    if ignored != json!({}) && small(&ignored) {
        details.insert("ignored".to_owned(), ignored);
    }
    let class = match own.class {
        Some(class) if is_known(&class) => class,
        Some(unknown) => {
            details.insert("class".to_owned(), json!(unknown));
            class.to_owned()
        }
        // A code or a status says more than how the process ended: the engine derives the class from it.
        None if own.code.is_some() || own.status.is_some() => String::new(),
        None => class.to_owned(),
    };
    let message = own.message.unwrap_or_else(|| match stderr_tail.trim() {
        "" => said,
        tail => format!("{said}: {}", last_chars(tail, MESSAGE_CHARS_MAX)),
    });
    let mut error = AttemptErrorShape {
        kind: own.kind.map(|own| one_word(&own)).filter(|own| !own.is_empty()).unwrap_or(kind),
        message: last_chars(&message, ERROR_MESSAGE_CHARS_MAX).to_owned(),
        class,
        code: own.code.filter(|code| !code.is_empty()),
        status: own.status,
        retryable: own.retryable,
        retry_after_ms: own.retry_after_ms.map(|asked| asked.min(RETRY_AFTER_MS_MAX)),
        details: Some(Value::Object(details)),
    };
    error.keep_stderr(stderr_tail);
    error
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
        let error = error_of(ProcessEnding::Exit(1), b"", "Traceback\nValueError: no\n");
        assert_eq!((error.kind.as_str(), error.class.as_str()), ("exit_1", "bug"));
        assert_eq!(error.message, "exited with 1: Traceback\nValueError: no");
        let stderr = "Traceback\nValueError: no";
        assert_eq!(error.details, Some(json!({"exit_code": 1, "stderr": stderr})));
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
            for ending in [ProcessEnding::Signal(number), ProcessEnding::Exit(128 + number)] {
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
        let error = error_of(ProcessEnding::Exit(3), said, "noise");
        assert_eq!((error.kind.as_str(), error.class.as_str()), ("RateLimited", "throttled"));
        assert_eq!(error.message, "slow down");
        assert_eq!(error.retry_after_ms, Some(1500));
        let details = json!({"target": "x", "exit_code": 3, "stderr": "noise"});
        assert_eq!(error.details, Some(details));
    }

    #[test]
    fn what_a_service_said_lets_the_engine_derive_the_class() {
        let of = |said: &[u8]| error_of(ProcessEnding::Exit(1), said, "");
        let error = of(br#"{"error": {"code": "ECONNRESET", "status": 503}}"#);
        assert_eq!((error.code.as_deref(), error.status), (Some("ECONNRESET"), Some(503)));
        assert_eq!((error.class.as_str(), error.kind.as_str()), ("", "exit_1"));
        let sent = serde_json::to_value(&error).unwrap_or_default();
        assert!(sent.get("code").is_some() && sent.get("class").is_none(), "{sent}");
        let named = of(br#"{"error": {"status": 503, "class": "throttled"}}"#);
        assert_eq!(named.class, "throttled");
        let wrong = of(br#"{"error": {"status": 99, "code": 7}}"#);
        assert_eq!(
            (wrong.status, wrong.code.as_deref(), wrong.class.as_str()),
            (None, None, "bug")
        );
        assert_eq!(
            wrong.details,
            Some(json!({"exit_code": 1, "ignored": {"status": 99, "code": 7}}))
        );
    }

    #[test]
    fn a_child_may_ask_to_be_given_back_for_a_time() {
        for (said, after_ms) in [
            (r#"{"release": {"after_ms": 60000}}"#, Some(60_000)),
            (" {\"release\": {\"after_ms\": 1.5e3}}\n", Some(1_500)),
            (r#"{"release": {}}"#, Some(0)),
            (r#"{"release": {"after_ms": 1e300}}"#, Some(RELEASE_AFTER_MS_MAX)),
            (r#"{"release": {"after_ms": -1}}"#, None),
            (r#"{"release": {"after_ms": "60000"}}"#, None),
            (r#"{"release": true}"#, None),
            (r#"{"release": {"after_ms": 1}, "error": {"type": "E"}}"#, None),
            ("later", None),
            ("", None),
        ] {
            assert_eq!(postponed(said.as_bytes()), after_ms, "{said}");
        }
    }

    #[test]
    fn a_field_that_cannot_be_used_takes_no_other_one_with_it() {
        let said = br#"{"error": {"type": "RateLimited", "class": 7, "retry_after_ms": 1500.0, "retryable": "yes",
                                  "message": "slow down", "hint": [1], "details": null}, "trace": "x"}
        "#;
        let error = error_of(ProcessEnding::Exit(3), said, "");
        assert_eq!((error.kind.as_str(), error.message.as_str()), ("RateLimited", "slow down"));
        assert_eq!((error.retry_after_ms, error.retryable), (Some(1_500), None));
        let ignored = json!({"class": 7, "retryable": "yes", "hint": [1]});
        assert_eq!(error.details, Some(json!({"exit_code": 3, "ignored": ignored})));
        for (written, read) in [
            ("0", Some(0)),
            ("1.5e3", Some(1_500)),
            ("0.2", Some(1)),
            ("1e300", Some(RETRY_AFTER_MS_MAX)),
            ("-1", None),
            ("\"1500\"", None),
        ] {
            let said = format!(r#"{{"error": {{"retry_after_ms": {written}}}}}"#);
            let error = error_of(ProcessEnding::Exit(3), said.as_bytes(), "");
            assert_eq!(error.retry_after_ms, read, "{written}");
        }
    }

    #[test]
    fn the_last_kibibyte_of_standard_error_is_kept_in_whole_letters() {
        assert_eq!(kept_stderr(" \n"), None);
        assert_eq!(kept_stderr("one\ntwo\n").as_deref(), Some("one\ntwo"));
        let kept = kept_stderr(&format!("{}é{}", "x".repeat(9_000), "y".repeat(1_023)));
        assert_eq!(kept.as_deref(), Some("y".repeat(1_023).as_str()));
    }

    #[test]
    fn what_a_child_says_stays_within_the_engines_bounds() {
        let said = json!({ "error": { "type": "T".repeat(1_000), "message": "m".repeat(100_000),
                                      "retry_after_ms": u64::MAX, "details": "d".repeat(100_000) } });
        let error = error_of(ProcessEnding::Exit(3), said.to_string().as_bytes(), "");
        assert_eq!(error.kind.len(), KIND_CHARS_MAX);
        assert_eq!(
            error_of(ProcessEnding::Exit(3), br#"{"error": {"type": " \n"}}"#, "").kind,
            "exit_3"
        );
        assert_eq!(error.message.len(), ERROR_MESSAGE_CHARS_MAX);
        assert_eq!(error.retry_after_ms, Some(RETRY_AFTER_MS_MAX));
        assert_eq!(error.details, Some(json!({"exit_code": 3})));
    }

    #[test]
    fn a_class_that_nobody_knows_is_kept_as_a_detail_only() {
        let error = error_of(ProcessEnding::Exit(3), br#"{"error": {"class": "moon.phase"}}"#, "");
        assert_eq!(error.class, "bug");
        assert_eq!(error.details, Some(json!({"class": "moon.phase", "exit_code": 3})));
    }

    #[test]
    fn a_long_standard_error_keeps_its_end_and_whole_letters() {
        assert_eq!(last_chars("aüb", 2), "üb");
        assert_eq!(last_chars("aüb", 9), "aüb");
        let error = error_of(ProcessEnding::Exit(1), b"", &"é".repeat(10_000));
        assert!(error.message.chars().count() <= MESSAGE_CHARS_MAX + 20);
    }
}
