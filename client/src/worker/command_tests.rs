//! What an end of a command is taken for, without processes; with real ones see `tests/engine/real/worker_*`.

use super::*;

fn runner() -> CommandRunner {
    CommandRunner::new("x".into(), Vec::new(), Duration::ZERO, OutputFormat::Json)
}

#[test]
fn the_variables_are_those_that_are_written_down() {
    let attempt = Attempt {
        lease: "l".to_owned(),
        job_id: "j".to_owned(),
        node: "n".to_owned(),
        number: 2,
        idempotency_key: "j/n/run-1".to_owned(),
        key: "j/n/2".to_owned(),
        kind: "do".to_owned(),
        action_type: None,
        input: serde_json::value::RawValue::NULL.to_owned(),
        previous: Some(previous("why")),
        max_attempts: Some(3),
        deadline: Some("2026-01-31T12:00:00.000Z".to_owned()),
        details: serde_json::value::RawValue::from_string("{\"row\": 7}".to_owned()).ok(),
        trace: None,
    };
    assert_eq!(variables(&attempt).map(|(name, _)| name), VARIABLES);
    let told: Vec<String> = variables(&attempt).into_iter().skip(8).map(|(_, text)| text).collect();
    let error = r#"{"class":"bug","type":"E","message":"no","details":"why"}"#;
    assert_eq!(told, ["3", "2026-01-31T12:00:00.000Z", error, "{\"row\": 7}"]);
}

fn previous(details: &str) -> PreviousShape {
    let details = serde_json::value::RawValue::from_string(format!("\"{details}\"")).ok();
    let [class, kind, message] = ["bug", "E", "no"].map(str::to_owned);
    PreviousShape { class, kind, message, details }
}

#[test]
fn an_error_that_is_too_long_for_a_variable_leaves_its_details_out() {
    let long = in_a_variable(&previous(&"x".repeat(70_000)));
    assert_eq!(long, r#"{"class":"bug","type":"E","message":"no"}"#);
}

fn ended(code: Option<i32>, signal: Option<i32>, told_to_end: bool) -> Word {
    Word::Ended { code, signal, told_to_end }
}

fn outcome(word: impl Into<Option<Word>>, stopped: Option<StopReason>) -> String {
    let said = format!("{:?}", runner().concluded(word.into(), stopped, &Heard::default()));
    said.split(['(', ' ']).next().unwrap_or_default().to_owned()
}

#[test]
fn an_attempt_that_ends_with_its_worker_is_given_back_and_a_good_result_is_recorded() {
    let leaving = Some(StopReason::Leaving);
    for (code, signal) in [(None, Some(15)), (Some(143), None), (Some(1), None)] {
        assert_eq!(outcome(ended(code, signal, false), leaving), "Released");
        assert_eq!(outcome(ended(code, signal, true), None), "Released");
        assert_eq!(outcome(ended(code, signal, false), None), "Failed");
    }
    assert_eq!(outcome(ended(Some(0), None, false), leaving), "Completed");
    assert_eq!(outcome(ended(Some(0), None, true), None), "Completed");
    assert_eq!(outcome(ended(None, Some(15), true), Some(StopReason::Lost)), "Abandoned");
    assert_eq!(outcome(None, leaving), "Released");
}

#[test]
fn our_own_signal_is_waited_for_only_after_an_end_that_looks_like_everybodys() {
    for (word, waits) in [
        (ended(None, Some(15), false), true),
        (ended(None, Some(2), false), true),
        (ended(Some(143), None, false), true),
        (ended(Some(130), None, false), true),
        (ended(Some(1), None, true), true),
        (ended(Some(0), None, true), false),
        (ended(Some(1), None, false), false),
        (ended(None, Some(9), false), false),
        (ended(Some(137), None, false), false),
    ] {
        assert_eq!(own_signal_due(Some(&word)).is_some(), waits, "{word:?}");
    }
}

#[test]
fn what_the_host_lacks_is_never_the_nodes_failure() {
    let lacks = [
        Errno::MFILE,
        Errno::NFILE,
        Errno::AGAIN,
        Errno::NOMEM,
        Errno::TXTBSY,
        Errno::NOEXEC,
        Errno::NOENT,
        Errno::ACCESS,
        Errno::NOTDIR,
        Errno::IO,
    ];
    for errno in lacks {
        for stopped in [None, Some(StopReason::Leaving), Some(StopReason::Cancelled)] {
            let word = Word::NotStarted { errno: Some(errno.raw_os_error()), message: "x".into() };
            assert_eq!(outcome(word, stopped), "HostFault", "{errno:?}");
        }
    }
    let invalid = Some(Errno::INVAL.raw_os_error());
    let invalid = Word::NotStarted { errno: invalid, message: "x".into() };
    assert_eq!(outcome(invalid, None), "Failed");
}

#[test]
fn a_command_is_looked_for_as_the_system_will() {
    assert!(found(&"sh".into()) && found(&"/bin/sh".into()));
    for missing in ["/nonexistent/command", "no-such-command-anywhere", "/", "/etc/passwd", ""] {
        assert!(!found(&missing.into()), "{missing}");
    }
}
