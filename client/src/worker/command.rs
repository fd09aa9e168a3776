//! Runs an attempt as a child process: input on its standard input, output from its standard output.
//!
//! Always: the command runs under a supervisor (`supervisor`), so that nothing it started outlives the attempt,
//! whatever ends the worker; when an attempt is stopped the command's process group gets SIGTERM and, after the
//! grace, SIGKILL; its output is bounded and its standard error kept only at the end. A command that exits with 0
//! within the grace has completed. What the host lacks is never the node's failure. Absent: the meaning of an exit
//! status (`classify`) and of an output (`output`), and a shell: the command is run as it was given.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::{Child, Command};
use tokio_util::task::AbortOnDropHandle;

use super::attempt::{Attempt, AttemptOutcome, RunAttempt, StopReason, StopSignal};
use super::classify::{ProcessEnding, error_of, kept_stderr, postponed};
use super::output::{OutputFormat, Stdout, failed};
use super::supervisor::{STOP, SupervisedTask, VERB, Word};
use crate::api::shapes::PreviousShape;

/// The end of standard error that is kept while an attempt runs.
const STDERR_BYTES_KEPT: usize = 16 * 1024;
/// How long the pipes are read after the supervisor has ended: by then only a process that hangs in the kernel, or
/// one that left the group where orphans are not adopted, can hold them.
const PIPES_AFTER_END: Duration = Duration::from_secs(1);
/// What a supervisor may need beyond the grace to end all that is left.
const SUPERVISOR_END: Duration = Duration::from_secs(10);
/// A variable's value, beyond which a system may not start a process: Linux allows twice as much.
const VARIABLE_BYTES_MAX: usize = 64 * 1024;
/// A command that was ended by a signal may have got what was meant for everybody; our own may come this much later.
const OWN_SIGNAL: Duration = Duration::from_secs(1);
/// The same when its supervisor got one as well, which leaves little doubt.
const OWN_SIGNAL_CERTAIN: Duration = Duration::from_secs(3);

/// A command that is run for every attempt.
#[derive(Debug, Clone)]
pub(crate) struct CommandRunner {
    program: OsString,
    arguments: Vec<OsString>,
    /// Between SIGTERM and SIGKILL; less than the 30 s that the engine waits for a cancelled attempt.
    grace: Duration,
    format: OutputFormat,
}

/// A supervisor with its command, as the worker sees them.
struct Supervised {
    process: Child,
    hears: BufReader<OwnedReadHalf>,
    says: OwnedWriteHalf,
    /// The command's process group, once it runs.
    group: Option<Pid>,
}

impl CommandRunner {
    pub(crate) fn new(
        program: OsString,
        arguments: Vec<OsString>,
        grace: Duration,
        format: OutputFormat,
    ) -> Self {
        Self { program, arguments, grace, format }
    }

    /// Why the command cannot be run now, if that can be seen without running it.
    pub(crate) fn missing(&self) -> Option<String> {
        let found = found(&self.program);
        (!found).then(|| {
            format!("cannot run {}: no such executable file", self.program.to_string_lossy())
        })
    }

    fn spawn(&self, attempt: &Attempt) -> io::Result<Supervised> {
        let (ours, theirs) = StdStream::pair()?;
        ours.set_nonblocking(true)?;
        let (hears, says) = UnixStream::from_std(ours)?.into_split();
        let process = Command::new(own_program()?)
            .arg0("attempt-supervisor")
            .arg(VERB)
            .arg(&self.program)
            .args(&self.arguments)
            .envs(variables(attempt))
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()?;
        Ok(Supervised { process, hears: BufReader::new(hears), says, group: None })
    }
}

/// The variables that [`variables`] sets, for the pages that name them.
#[cfg(test)]
pub(super) const VARIABLES: [&str; 12] = [
    "ORRERY_JOB_ID",
    "ORRERY_NODE",
    "ORRERY_ATTEMPT",
    "ORRERY_IDEMPOTENCY_KEY",
    "ORRERY_ATTEMPT_KEY",
    "ORRERY_KIND",
    "ORRERY_ACTION_TYPE",
    "ORRERY_TRACE",
    "ORRERY_MAX_ATTEMPTS",
    "ORRERY_DEADLINE",
    "ORRERY_PREVIOUS",
    "ORRERY_DETAILS",
];

/// What a command is told of its attempt.
fn variables(attempt: &Attempt) -> [(&'static str, String); 12] {
    let max_attempts = attempt.max_attempts.map(|number| number.to_string());
    let details = attempt.details.as_ref().map(|details| details.get().to_owned());
    [
        ("ORRERY_JOB_ID", attempt.job_id.clone()),
        ("ORRERY_NODE", attempt.node.clone()),
        ("ORRERY_ATTEMPT", attempt.number.to_string()),
        ("ORRERY_IDEMPOTENCY_KEY", attempt.idempotency_key.clone()),
        ("ORRERY_ATTEMPT_KEY", attempt.key.clone()),
        ("ORRERY_KIND", attempt.kind.clone()),
        ("ORRERY_ACTION_TYPE", attempt.action_type.clone().unwrap_or_default()),
        ("ORRERY_TRACE", attempt.trace.clone().unwrap_or_default()),
        ("ORRERY_MAX_ATTEMPTS", max_attempts.unwrap_or_default()),
        ("ORRERY_DEADLINE", attempt.deadline.clone().unwrap_or_default()),
        ("ORRERY_PREVIOUS", attempt.previous.as_ref().map(in_a_variable).unwrap_or_default()),
        ("ORRERY_DETAILS", details.unwrap_or_default()),
    ]
}

/// An error as JSON, without its details where they are so long that no process could be started with them.
fn in_a_variable(error: &PreviousShape) -> String {
    let whole = serde_json::to_string(error).unwrap_or_default();
    if whole.len() <= VARIABLE_BYTES_MAX {
        return whole;
    }
    let short = PreviousShape { details: None, ..error.clone() };
    serde_json::to_string(&short).unwrap_or_default()
}

impl RunAttempt for CommandRunner {
    async fn run(&self, attempt: Attempt, mut stop: StopSignal) -> AttemptOutcome {
        let mut supervised = match self.spawn(&attempt) {
            Ok(supervised) => supervised,
            Err(error) => {
                // A value that no environment can hold, such as one with a NUL in it.
                let invalid = error.kind() == io::ErrorKind::InvalidInput;
                let errno =
                    if invalid { Some(Errno::INVAL.raw_os_error()) } else { error.raw_os_error() };
                return self.not_started(errno, &error.to_string());
            }
        };
        let heard = Arc::new(Mutex::new(Heard::default()));
        let pipes = listen_to_both(
            supervised.process.stdout.take(),
            supervised.process.stderr.take(),
            Arc::clone(&heard),
        );
        let mut pipes = AbortOnDropHandle::new(tokio::spawn(pipes));
        let (word, mut stopped) =
            supervised.until_ended(attempt.input.get(), self.grace, &mut stop).await;
        let _ = tokio::time::timeout(PIPES_AFTER_END, &mut pipes).await;
        let heard = std::mem::take(&mut *heard.lock().unwrap_or_else(PoisonError::into_inner));
        if stopped.is_none()
            && let Some(wait) = own_signal_due(word.as_ref())
        {
            stopped = tokio::time::timeout(wait, stop.requested()).await.ok();
        }
        self.concluded(word, stopped, &heard)
    }
}

impl Supervised {
    /// Hands the input over and waits for the end of the command; asks for it when the attempt is to stop.
    async fn until_ended(
        &mut self,
        input: &str,
        grace: Duration,
        stop: &mut StopSignal,
    ) -> (Option<Word>, Option<StopReason>) {
        let task = SupervisedTask {
            input_bytes: input.len(),
            grace_ms: u64::try_from(grace.as_millis()).unwrap_or(u64::MAX),
        };
        let mut message = serde_json::to_vec(&task).unwrap_or_default();
        message.push(b'\n');
        message.extend_from_slice(input.as_bytes());
        let mut stopped = None;
        let ended = async {
            // A supervisor that does not read has said why, or is gone, which the end of its words says.
            let _ = self.says.write_all(&message).await;
            let mut line = Vec::new();
            loop {
                tokio::select! {
                    read = next_word(&mut self.hears, &mut line) => match read {
                        Some(Word::Started(group)) => self.group = Pid::from_raw(group),
                        word => break word,
                    },
                    reason = stop.requested(), if stopped.is_none() => {
                        stopped = Some(reason);
                        let _ = self.says.write_all(STOP).await;
                        let left = grace + SUPERVISOR_END;
                        let asked = tokio::time::timeout(left, async {
                            loop {
                                match next_word(&mut self.hears, &mut line).await {
                                    Some(Word::Started(group)) => self.group = Pid::from_raw(group),
                                    word => break word,
                                }
                            }
                        });
                        break asked.await.ok().flatten();
                    }
                }
            }
        }
        .await;
        if ended.is_none() {
            // The supervisor is gone or hangs, and with it whoever would have ended the command.
            if let Some(group) = self.group {
                let _ = kill_process_group(group, Signal::KILL);
            }
            let supervisor = self.process.id().and_then(|id| i32::try_from(id).ok());
            if let Some(supervisor) = supervisor.and_then(Pid::from_raw) {
                let _ = kill_process(supervisor, Signal::KILL);
            }
        }
        let status = tokio::time::timeout(SUPERVISOR_END, self.process.wait()).await;
        let said = ended.or_else(|| {
            // A supervisor that was killed tells how, and its command was ended the same way.
            let signal = status.ok()?.ok()?.signal();
            let signal = signal.or(Some(Signal::KILL.as_raw()));
            Some(Word::Ended { code: None, signal, told_to_end: false })
        });
        (said, stopped)
    }
}

async fn next_word(hears: &mut BufReader<OwnedReadHalf>, line: &mut Vec<u8>) -> Option<Word> {
    // A line that was begun stays in `line` when this is not waited for to its end.
    let read = hears.read_until(b'\n', line).await;
    let word = read.ok().filter(|bytes| *bytes > 0).and_then(|_| serde_json::from_slice(line).ok());
    line.clear();
    word
}

/// How long a signal to the worker is waited for after an end that looks like the end of everything here.
fn own_signal_due(word: Option<&Word>) -> Option<Duration> {
    let Some(Word::Ended { code, signal, told_to_end }) = word else { return None };
    let number = signal.or(code.filter(|code| (129..=159).contains(code)).map(|code| code - 128));
    let asks_to_end = [Signal::HUP, Signal::INT, Signal::QUIT, Signal::TERM];
    match number {
        _ if *told_to_end && *code != Some(0) => Some(OWN_SIGNAL_CERTAIN),
        Some(number) if asks_to_end.iter().any(|signal| signal.as_raw() == number) => {
            Some(OWN_SIGNAL)
        }
        Some(_) | None => None,
    }
}

impl CommandRunner {
    fn concluded(
        &self,
        word: Option<Word>,
        stopped: Option<StopReason>,
        heard: &Heard,
    ) -> AttemptOutcome {
        let stderr = String::from_utf8_lossy(&heard.stderr_tail);
        match (word, stopped) {
            (_, Some(StopReason::Lost)) => AttemptOutcome::Abandoned,
            (Some(Word::NotStarted { errno, message }), _) => self.not_started(errno, &message),
            (Some(Word::Ended { code: Some(0), .. }), _) => {
                match heard.stdout.output(self.format) {
                    Ok(output) => {
                        AttemptOutcome::Completed { output, stderr: kept_stderr(&stderr) }
                    }
                    Err(mut error) => {
                        error.keep_stderr(&stderr);
                        AttemptOutcome::Failed(*error)
                    }
                }
            }
            (_, Some(reason)) => AttemptOutcome::of_stop(reason),
            // Everybody here was told to end, although the worker has not heard of it: it is not the node's failure.
            (Some(Word::Ended { told_to_end: true, .. }), None) => AttemptOutcome::Released,
            (Some(Word::Ended { code, signal, .. }), None) => {
                if let Some(after_ms) = postponed(heard.stdout.bytes()).filter(|_| signal.is_none())
                {
                    return AttemptOutcome::Postponed { after_ms };
                }
                let ending = match (code, signal) {
                    (_, Some(number)) => ProcessEnding::Signal(number),
                    (code, None) => ProcessEnding::Exit(code.unwrap_or(-1)),
                };
                AttemptOutcome::Failed(error_of(ending, heard.stdout.bytes(), &stderr))
            }
            (Some(Word::Started(_)) | None, None) => AttemptOutcome::Failed(failed(
                "wait_failed",
                "bug",
                "the end of the command is not known".to_owned(),
            )),
        }
    }

    /// A command that was not started says nothing of the node, only of this host.
    fn not_started(&self, errno: Option<i32>, message: &str) -> AttemptOutcome {
        let text = format!("cannot run {}: {message}", self.program.to_string_lossy());
        // The one that follows from the attempt: a variable that cannot be given to any process.
        if errno == Some(Errno::INVAL.raw_os_error()) {
            return AttemptOutcome::Failed(failed("spawn_failed", "bug", text));
        }
        AttemptOutcome::HostFault(text)
    }
}

/// The program that runs, by a name that holds also when its file was replaced meanwhile.
pub(super) fn own_program() -> io::Result<PathBuf> {
    let running = Path::new("/proc/self/exe");
    if running.exists() { Ok(running.to_owned()) } else { std::env::current_exe() }
}

fn found(program: &OsString) -> bool {
    let executable = |path: &Path| {
        path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
    };
    let path = Path::new(program);
    if path.components().count() > 1 || path.is_absolute() {
        return executable(path);
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders).any(|folder| executable(&folder.join(path)))
}

/// What the command wrote.
#[derive(Debug, Default)]
struct Heard {
    stdout: Stdout,
    stderr_tail: Vec<u8>,
}

impl Heard {
    /// Keeps the end of standard error.
    fn stderr(&mut self, chunk: &[u8]) {
        self.stderr_tail.extend_from_slice(chunk);
        let surplus = self.stderr_tail.len().saturating_sub(STDERR_BYTES_KEPT);
        self.stderr_tail.drain(..surplus);
    }
}

/// Reads both outputs at the same time, so that no full pipe blocks the other one. What was read is in `heard` at
/// once, for a process that cannot be ended may keep a pipe open.
async fn listen_to_both(
    stdout: Option<impl AsyncRead + Unpin>,
    stderr: Option<impl AsyncRead + Unpin>,
    heard: Arc<Mutex<Heard>>,
) {
    tokio::join!(
        listen(stdout, &heard, |heard, chunk| heard.stdout.take(chunk)),
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

#[cfg(test)]
#[path = "command_tests.rs"]
mod tests;
