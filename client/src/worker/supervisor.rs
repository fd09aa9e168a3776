//! The process between a worker and the command of one attempt: it ends whatever the attempt started, also when
//! the worker cannot any more.
//!
//! A worker that is killed with SIGKILL has no last words, and a command's own children survive the command. So each
//! attempt runs under this small process, which is the same program under another name. Its standard input is a
//! socket to the worker: the worker sends a [`SupervisedTask`], the input and perhaps `stop`; the supervisor answers one
//! [`Word`] a line. When the socket ends, the worker is gone, and so is everything below the supervisor soon after.
//! On Linux the supervisor is the subreaper of its descendants, so that what left the process group is found as well.
//! Absent: any meaning of an exit status (`classify`), and the network.

use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream as StdStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitOptions, WaitStatus, kill_process, kill_process_group, wait,
};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::OwnedReadHalf;
use tokio::net::{UnixStream, unix::OwnedWriteHalf};
use tokio::signal::unix::{Signal as Arrivals, SignalKind, signal};
use tokio::time::Instant;

/// The first argument that makes this program a supervisor. It is no command of the command line.
pub(super) const VERB: &str = "supervise-attempt";
/// The line that asks a supervisor to end its command.
pub(super) const STOP: &[u8] = b"stop\n";
/// What the command left running may end by itself for so long after the command, then it is killed.
pub(super) const LEFTOVERS_END: Duration = Duration::from_secs(1);
/// Between SIGTERM and SIGKILL when the worker is gone: nobody is left who could record a result.
const GRACE_ALONE: Duration = Duration::from_secs(1);
/// A command that failed may have been ended by a signal to everybody; ours may arrive this much later.
const OWN_SIGNAL: Duration = Duration::from_millis(100);
/// Between two looks for processes that are to be gone.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// Looks for processes that were killed: what survives SIGKILL for two seconds hangs in the kernel.
const LOOKS_MAX: u32 = 200;
/// Bytes of an input that are taken: far above the engine's bound.
const INPUT_BYTES_MAX: usize = 16 * 1_024 * 1_024;

/// What a supervisor is to do, as one line of JSON; the input follows it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SupervisedTask {
    /// Bytes of input that follow the line.
    pub(super) input_bytes: usize,
    /// Milliseconds between SIGTERM and SIGKILL.
    pub(super) grace_ms: u64,
}

/// What a supervisor says, a line each.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Word {
    /// The command runs, and leads the process group of this number.
    Started(i32),
    /// The command could not be started, with the system's error number where there is one.
    NotStarted { errno: Option<i32>, message: String },
    /// The command ended, and nothing that it started runs any more.
    Ended {
        /// Its exit status, when it exited.
        code: Option<i32>,
        /// The signal that ended it.
        signal: Option<i32>,
        /// Whether the supervisor itself was asked by a signal to end: then everybody here was.
        told_to_end: bool,
    },
}

/// Runs as a supervisor when the process was started as one.
pub fn main() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != VERB {
        return None;
    }
    let program = arguments.next()?;
    name_this_process();
    let ended = supervise(&program, arguments.collect());
    Some(if ended.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn supervise(program: &OsString, arguments: Vec<OsString>) -> io::Result<()> {
    let control = StdStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let begun = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = match begun {
        Ok(runtime) => runtime.block_on(async {
            control.set_nonblocking(true)?;
            let (hears, mut says) = UnixStream::from_std(control.try_clone()?)?.into_split();
            let word = match Supervisor::start(program, arguments, hears, &mut says).await {
                Ok(supervisor) => supervisor.run().await,
                Err(error) => Some(Word::not_started(&error)),
            };
            match word {
                Some(word) => word.send(&mut says).await,
                None => Ok(()),
            }
        }),
        Err(error) => Err(error),
    };
    if let Err(error) = &result {
        // Without a runtime there is still the socket; the worker must learn that it was the host.
        let _ = control.set_nonblocking(false);
        let _ = io::Write::write_all(&mut &control, &Word::not_started(error).line());
    }
    result
}

impl Word {
    fn not_started(error: &io::Error) -> Self {
        Self::NotStarted { errno: error.raw_os_error(), message: error.to_string() }
    }

    fn line(&self) -> Vec<u8> {
        // These words hold text and numbers only, which JSON can always say.
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        line
    }

    async fn send(&self, says: &mut OwnedWriteHalf) -> io::Result<()> {
        says.write_all(&self.line()).await
    }
}

/// The signals that ask a process to end.
struct Endings([Arrivals; 4]);

impl Endings {
    fn listen() -> io::Result<Self> {
        let kinds = [
            SignalKind::terminate(),
            SignalKind::interrupt(),
            SignalKind::hangup(),
            SignalKind::quit(),
        ];
        let [term, int, hup, quit] = kinds.map(signal);
        Ok(Self([term?, int?, hup?, quit?]))
    }

    async fn arrives(&mut self) {
        let [term, int, hup, quit] = &mut self.0;
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
            _ = hup.recv() => {}
            _ = quit.recv() => {}
        }
    }
}

struct Supervisor {
    command: Pid,
    hears: BufReader<OwnedReadHalf>,
    grace: Duration,
    endings: Endings,
    children: Arrivals,
    told_to_end: bool,
}

impl Supervisor {
    async fn start(
        program: &OsString,
        arguments: Vec<OsString>,
        hears: OwnedReadHalf,
        says: &mut OwnedWriteHalf,
    ) -> io::Result<Self> {
        let mut hears = BufReader::new(hears);
        let mut line = Vec::new();
        (&mut hears).take(1_024).read_until(b'\n', &mut line).await?;
        let task: SupervisedTask = serde_json::from_slice(&line).map_err(io::Error::other)?;
        if task.input_bytes > INPUT_BYTES_MAX {
            return Err(io::Error::other("the input is too long"));
        }
        let mut input = vec![0; task.input_bytes];
        hears.read_exact(&mut input).await?;
        let (endings, children) = (Endings::listen()?, signal(SignalKind::child())?);
        adopt_orphans();
        let mut command = Command::new(program)
            .args(arguments)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::inherit())
            .stderr(Stdio::inherit())
            .spawn()?;
        let group = i32::try_from(command.id()).ok().and_then(Pid::from_raw);
        let group = group.ok_or_else(|| io::Error::other("a process without a number"))?;
        if let Some(stdin) = command.stdin.take() {
            let stdin = tokio::process::ChildStdin::from_std(stdin)?;
            tokio::spawn(feed(stdin, input));
        }
        Word::Started(group.as_raw_nonzero().get()).send(says).await?;
        let grace = Duration::from_millis(task.grace_ms);
        Ok(Self { command: group, hears, grace, endings, children, told_to_end: false })
    }

    /// Waits for the command's end, asks for it when the worker wants it or is gone, and leaves nothing behind.
    /// None: nobody is left to be told.
    async fn run(mut self) -> Option<Word> {
        let mut kill_at: Option<Instant> = None;
        let mut alone = false;
        let mut line = Vec::new();
        let ended = loop {
            if let Some(status) = self.reaped() {
                break status;
            }
            let due = kill_at.unwrap_or_else(Instant::now);
            tokio::select! {
                heard = self.hears.read_until(b'\n', &mut line), if !alone => {
                    alone = !heard.is_ok_and(|bytes| bytes > 0);
                    let grace = if alone { self.grace.min(GRACE_ALONE) } else { self.grace };
                    let _ = kill_process_group(self.command, Signal::TERM);
                    let due = Instant::now() + grace;
                    kill_at = Some(kill_at.map_or(due, |before| before.min(due)));
                }
                _ = self.children.recv() => {}
                () = self.endings.arrives() => self.told_to_end = true,
                () = tokio::time::sleep_until(due), if kill_at.is_some() => {
                    let _ = kill_process_group(self.command, Signal::KILL);
                    kill_at = Some(Instant::now() + LOOK_AGAIN);
                }
            }
        };
        let (code, signal) = (ended.exit_status(), ended.terminating_signal());
        if kill_at.is_none() && code != Some(0) && !self.told_to_end {
            tokio::select! {
                () = self.endings.arrives() => self.told_to_end = true,
                () = tokio::time::sleep(OWN_SIGNAL) => {}
            }
        }
        if kill_at.is_none() {
            self.leftovers_end().await;
        }
        self.clear().await;
        (!alone).then_some(Word::Ended { code, signal, told_to_end: self.told_to_end })
    }

    /// Takes every child that has ended, its own and adopted ones; answers the command's status.
    fn reaped(&self) -> Option<WaitStatus> {
        let mut ended = None;
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if pid == self.command {
                ended = Some(status);
            }
        }
        ended
    }

    /// Gives what the command left running a moment to end, such as the last process of a pipeline.
    async fn leftovers_end(&mut self) {
        let until = Instant::now() + LEFTOVERS_END;
        while !nothing_is_left(self.command) && Instant::now() < until {
            tokio::select! {
                _ = self.children.recv() => {}
                () = tokio::time::sleep(LOOK_AGAIN) => {}
                () = self.endings.arrives() => self.told_to_end = true,
            }
        }
    }

    /// Kills what is left: the command's group, and whoever left it and was adopted here.
    async fn clear(&mut self) {
        for _ in 0..LOOKS_MAX {
            let _ = kill_process_group(self.command, Signal::KILL);
            for child in adopted() {
                let _ = kill_process(child, Signal::KILL);
            }
            if nothing_is_left(self.command) {
                return;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}

/// Writes the input; a command that does not read it closes the pipe, which is its own affair.
async fn feed(mut stdin: tokio::process::ChildStdin, input: Vec<u8>) {
    let _ = stdin.write_all(&input).await;
    let _ = stdin.shutdown().await;
}

/// Reaps what has ended; whether neither a child nor a member of the command's group is left.
fn nothing_is_left(group: Pid) -> bool {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) => return false,
            // No child at all; where orphans are not adopted the group may still have members.
            Err(_) => return rustix::process::test_kill_process_group(group).is_err(),
        }
    }
}

/// Tools that show processes show this name; the program's own would hide which is which, and whoever ends all
/// workers by name would end with them those that clean up behind them.
#[cfg(target_os = "linux")]
fn name_this_process() {
    let _ = rustix::thread::set_name(c"attempt-superv");
}

#[cfg(not(target_os = "linux"))]
fn name_this_process() {}

/// From now on descendants whose parent ended become children of this process.
#[cfg(target_os = "linux")]
fn adopt_orphans() {
    // A kernel that cannot leaves the process group, which most commands stay in.
    let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
}

#[cfg(not(target_os = "linux"))]
fn adopt_orphans() {}

/// The children of this process.
#[cfg(target_os = "linux")]
fn adopted() -> Vec<Pid> {
    let listed = std::fs::read_to_string("/proc/thread-self/children").unwrap_or_default();
    listed.split_whitespace().filter_map(|id| Pid::from_raw(id.parse().ok()?)).collect()
}

#[cfg(not(target_os = "linux"))]
fn adopted() -> Vec<Pid> {
    Vec::new()
}
