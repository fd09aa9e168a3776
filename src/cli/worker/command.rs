//! Runs an attempt as a child process: input on its standard input, output from its standard output.
//!
//! Always: the child has a process group of its own, and when an attempt is stopped the whole group gets SIGTERM
//! and, after the grace, SIGKILL, so that nothing is left behind; its output is bounded and its standard error
//! kept only at the end. A child that exits with 0 within the grace has completed. Absent: the meaning of an exit
//! status (`classify`), and a shell: the command is run as it was given.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::value::RawValue;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio_util::task::AbortOnDropHandle;

use super::attempt::{Attempt, Outcome, RunAttempt, StopReason, StopSignal};
use super::classify::{Ending, error_of};
use crate::cli::client::shapes::AttemptError;

/// The engine's bound on an output.
const OUTPUT_BYTES_MAX: usize = 256 * 1024;
/// The end of standard error that is kept.
const STDERR_BYTES_KEPT: usize = 16 * 1024;
/// How long the pipes are read after the child has ended: a grandchild that inherited them must not hold it up.
const PIPES_AFTER_END: Duration = Duration::from_secs(1);

/// A command that is run for every attempt.
#[derive(Debug, Clone)]
pub(crate) struct CommandRunner {
    program: OsString,
    arguments: Vec<OsString>,
    /// Between SIGTERM and SIGKILL; less than the 30 s that the engine waits for a cancelled attempt.
    grace: Duration,
}

impl CommandRunner {
    pub(crate) fn new(program: OsString, arguments: Vec<OsString>, grace: Duration) -> Self {
        Self { program, arguments, grace }
    }

    fn spawn(&self, attempt: &Attempt) -> io::Result<Child> {
        Command::new(&self.program)
            .args(&self.arguments)
            .env("ORRERY_JOB_ID", &attempt.job_id)
            .env("ORRERY_NODE", &attempt.node)
            .env("ORRERY_ATTEMPT", attempt.number.to_string())
            .env("ORRERY_IDEMPOTENCY_KEY", &attempt.idempotency_key)
            .env("ORRERY_ATTEMPT_KEY", &attempt.key)
            .env("ORRERY_TRACE", attempt.trace.as_deref().unwrap_or_default())
            .env("ORRERY_KIND", &attempt.kind)
            .env("ORRERY_ACTION_TYPE", attempt.action_type.as_deref().unwrap_or_default())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
    }
}

impl RunAttempt for CommandRunner {
    async fn run(&self, attempt: Attempt, mut stop: StopSignal) -> Outcome {
        let mut child = match self.spawn(&attempt) {
            Ok(child) => child,
            Err(error) => return not_started(&self.program, &error),
        };
        let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let heard = Arc::new(Mutex::new(Heard::default()));
        let pipes = talk(
            child.stdin.take(),
            attempt.input.get().to_owned(),
            child.stdout.take(),
            child.stderr.take(),
            Arc::clone(&heard),
        );
        let mut pipes = AbortOnDropHandle::new(tokio::spawn(pipes));
        let (status, stopped) = tokio::select! {
            status = child.wait() => (status, None),
            reason = stop.requested() => (self.end(&mut child, group).await, Some(reason)),
        };
        if tokio::time::timeout(PIPES_AFTER_END, &mut pipes).await.is_err() {
            // What was started and outlives the child holds its pipes; it belongs to the attempt and ends with it.
            signal(group, Signal::KILL);
        }
        let heard = std::mem::take(&mut *heard.lock().unwrap_or_else(PoisonError::into_inner));
        concluded(status, stopped, &heard)
    }
}

impl CommandRunner {
    /// Asks the child's group to end, then makes it.
    async fn end(&self, child: &mut Child, group: Option<Pid>) -> io::Result<ExitStatus> {
        signal(group, Signal::TERM);
        let asked = tokio::time::timeout(self.grace, child.wait()).await;
        // Also after a willing end: what the child started may still be there.
        signal(group, Signal::KILL);
        match asked {
            Ok(status) => status,
            Err(_) => child.wait().await,
        }
    }
}

fn signal(group: Option<Pid>, which: Signal) {
    if let Some(group) = group {
        // The group may be gone already, which is what was wanted.
        let _ = kill_process_group(group, which);
    }
}

/// What the child wrote.
#[derive(Debug, Default)]
struct Heard {
    stdout: Vec<u8>,
    /// Whether standard output was longer than an output may be.
    too_long: bool,
    stderr_tail: Vec<u8>,
}

impl Heard {
    /// Keeps the beginning of standard output, as long as an output may be.
    fn stdout(&mut self, chunk: &[u8]) {
        let room = OUTPUT_BYTES_MAX.saturating_sub(self.stdout.len()).min(chunk.len());
        self.stdout.extend_from_slice(&chunk[..room]);
        self.too_long |= room < chunk.len();
    }

    /// Keeps the end of standard error.
    fn stderr(&mut self, chunk: &[u8]) {
        self.stderr_tail.extend_from_slice(chunk);
        let surplus = self.stderr_tail.len().saturating_sub(STDERR_BYTES_KEPT);
        self.stderr_tail.drain(..surplus);
    }
}

/// Writes the input and reads both outputs at the same time, so that no full pipe blocks the other ones. What was
/// read is in `heard` at once, for a grandchild may keep a pipe open for ever.
async fn talk(
    stdin: Option<impl AsyncWriteExt + Unpin>,
    input: String,
    stdout: Option<impl AsyncRead + Unpin>,
    stderr: Option<impl AsyncRead + Unpin>,
    heard: Arc<Mutex<Heard>>,
) {
    let write = async {
        if let Some(mut stdin) = stdin {
            // A child that does not read its input closes the pipe; that is its own affair.
            let _ = stdin.write_all(input.as_bytes()).await;
            let _ = stdin.shutdown().await;
        }
    };
    tokio::join!(
        write,
        listen(stdout, &heard, Heard::stdout),
        listen(stderr, &heard, Heard::stderr)
    );
}

async fn listen(
    stream: Option<impl AsyncRead + Unpin>,
    heard: &Mutex<Heard>,
    keep: fn(&mut Heard, &[u8]),
) {
    let Some(mut stream) = stream else { return };
    let mut chunk = vec![0; 8 * 1024];
    while let Ok(count @ 1..) = stream.read(&mut chunk).await {
        keep(&mut heard.lock().unwrap_or_else(PoisonError::into_inner), &chunk[..count]);
    }
}

fn concluded(
    status: io::Result<ExitStatus>,
    stopped: Option<StopReason>,
    heard: &Heard,
) -> Outcome {
    match (status, stopped) {
        (_, Some(StopReason::Lost)) => Outcome::Abandoned,
        (Ok(status), _) if status.success() => output_of(heard),
        (_, Some(reason)) => Outcome::of_stop(reason),
        (Ok(status), None) => {
            let ending = match (status.code(), status.signal()) {
                (Some(code), _) => Ending::Exit(code),
                (None, Some(number)) => Ending::Signal(number),
                (None, None) => Ending::Exit(-1),
            };
            let stderr = String::from_utf8_lossy(&heard.stderr_tail);
            Outcome::Failed(error_of(ending, &heard.stdout, &stderr))
        }
        (Err(error), None) => {
            Outcome::Failed(failed("wait_failed", "bug", format!("cannot wait: {error}")))
        }
    }
}

/// The output of a child that succeeded: its JSON, or its text wrapped.
fn output_of(heard: &Heard) -> Outcome {
    let text = String::from_utf8_lossy(&heard.stdout);
    let output = match text.trim() {
        _ if heard.too_long => None,
        "" => RawValue::from_string("{}".to_owned()).ok(),
        trimmed => RawValue::from_string(trimmed.to_owned()).ok().or_else(|| {
            let wrapped = serde_json::json!({ "stdout": text });
            RawValue::from_string(wrapped.to_string())
                .ok()
                .filter(|raw| raw.get().len() <= OUTPUT_BYTES_MAX)
        }),
    };
    match output {
        Some(output) => Outcome::Completed(output),
        None => Outcome::Failed(failed(
            "output_too_large",
            "validation",
            format!(
                "the output is longer than {OUTPUT_BYTES_MAX} bytes; store it elsewhere and output where it is"
            ),
        )),
    }
}

/// A command that does not exist is the worker's fault, not the node's: the worker gives the work back and ends.
fn not_started(program: &OsString, error: &io::Error) -> Outcome {
    let text = format!("cannot run {}: {error}", program.display());
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => Outcome::CannotWork(text),
        _ => Outcome::Failed(failed("spawn_failed", "bug", text)),
    }
}

fn failed(kind: &str, class: &str, message: String) -> AttemptError {
    AttemptError {
        kind: kind.to_owned(),
        message,
        class: class.to_owned(),
        retryable: None,
        retry_after_ms: None,
        details: None,
    }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test says what it expects")]
mod tests {
    use super::*;

    fn attempt(input: &str) -> Attempt {
        Attempt {
            lease: "l".to_owned(),
            job_id: "j".to_owned(),
            node: "n".to_owned(),
            number: 2,
            idempotency_key: "j/n/run-1".to_owned(),
            key: "j/n/2".to_owned(),
            kind: "do".to_owned(),
            action_type: None,
            input: RawValue::from_string(input.to_owned()).expect("JSON"),
            trace: None,
        }
    }

    async fn shell(script: &str, input: &str) -> Outcome {
        let (_kept, stop) = StopSignal::pair();
        runner(script).run(attempt(input), stop).await
    }

    fn runner(script: &str) -> CommandRunner {
        CommandRunner::new("sh".into(), vec!["-c".into(), script.into()], Duration::from_secs(20))
    }

    fn output(outcome: Outcome) -> String {
        match outcome {
            Outcome::Completed(output) => output.get().to_owned(),
            other => format!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn the_input_goes_in_and_json_comes_out_as_it_was_written() {
        assert_eq!(output(shell("cat", r#"{"b": 1.50,"a":[]}"#).await), r#"{"b": 1.50,"a":[]}"#);
        assert_eq!(output(shell("true", "null").await), "{}");
        assert_eq!(output(shell("echo two words", "{}").await), r#"{"stdout":"two words\n"}"#);
        let env = r#"echo "\"$ORRERY_JOB_ID $ORRERY_NODE $ORRERY_ATTEMPT $ORRERY_IDEMPOTENCY_KEY $ORRERY_ATTEMPT_KEY\"""#;
        assert_eq!(output(shell(env, "{}").await), r#""j n 2 j/n/run-1 j/n/2""#);
    }

    #[tokio::test]
    async fn an_output_that_is_too_long_is_a_failure_and_not_a_part_of_it() {
        let Outcome::Failed(error) = shell("head -c 300000 /dev/zero | tr '\\0' 1", "{}").await
        else {
            panic!("it must not complete");
        };
        assert_eq!((error.kind.as_str(), error.class.as_str()), ("output_too_large", "validation"));
    }

    #[tokio::test]
    async fn a_large_input_that_nobody_reads_blocks_nothing() {
        let input = format!("\"{}\"", "x".repeat(300_000));
        assert_eq!(output(shell("echo 7", &input).await), "7");
    }

    #[tokio::test]
    async fn an_output_is_kept_when_a_grandchild_holds_the_pipe() {
        assert_eq!(output(shell("echo 7; sleep 600 &", "{}").await), "7");
    }

    #[tokio::test]
    async fn a_failing_command_tells_its_code_and_the_end_of_its_standard_error() {
        let Outcome::Failed(error) = shell("echo bad luck >&2; exit 4", "{}").await else {
            panic!("it must fail");
        };
        assert_eq!((error.kind.as_str(), error.class.as_str()), ("exit_4", "bug"));
        assert_eq!(error.message, "exited with 4: bad luck");
        let Outcome::Failed(error) = shell("kill -9 $$", "{}").await else {
            panic!("it must fail")
        };
        assert_eq!((error.kind.as_str(), error.class.as_str()), ("sigkill", "heartbeat.missed"));
    }

    #[tokio::test]
    async fn stopping_ends_the_child_and_gives_the_outcome_of_the_reason() {
        for (reason, expected) in [
            (StopReason::Leaving, "Released"),
            (StopReason::Lost, "Abandoned"),
            (StopReason::Cancelled, "Failed"),
        ] {
            let (raise, stop) = StopSignal::pair();
            raise.send_replace(Some(reason));
            let outcome = runner("sleep 600").run(attempt("{}"), stop).await;
            assert!(format!("{outcome:?}").starts_with(expected), "{reason:?}: {outcome:?}");
        }
    }

    #[tokio::test]
    async fn a_command_that_does_not_exist_ends_the_worker_and_fails_no_node() {
        let (_kept, stop) = StopSignal::pair();
        let runner = CommandRunner::new("/nonexistent/command".into(), Vec::new(), Duration::ZERO);
        let outcome = runner.run(attempt("{}"), stop).await;
        assert!(matches!(outcome, Outcome::CannotWork(_)), "{outcome:?}");
    }
}
