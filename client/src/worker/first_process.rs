//! A worker that is the first process of a container (process 1): the kernel hands it every orphan, and nobody else
//! takes their exit statuses. So the first process does only that, and runs the worker as its child: it passes the
//! signals on that ask for an end, and ends as the worker does. When it ends, the kernel ends all others.

use std::io;
use std::process::{Command, ExitCode};

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, wait};
use tokio::signal::unix::{SignalKind, signal};

use super::command::own_program;
use crate::failure::CliFailure;

/// Whether this process is the first one of its container.
pub fn is_needed() -> bool {
    std::process::id() == 1
}

/// Runs this command line again as a child, and ends as it does.
///
/// # Errors
/// When no child can be started.
pub fn run() -> Result<ExitCode, CliFailure> {
    let begin = || -> io::Result<WaitStatus> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(until_the_worker_ends())
    };
    let status =
        begin().map_err(|cause| CliFailure::Failed(format!("cannot start the worker: {cause}")))?;
    let code = match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => code,
        (None, Some(number)) => 128 + number,
        (None, None) => 1,
    };
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

async fn until_the_worker_ends() -> io::Result<WaitStatus> {
    let mut children = signal(SignalKind::child())?;
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    let mut hup = signal(SignalKind::hangup())?;
    let mut quit = signal(SignalKind::quit())?;
    let worker = Command::new(own_program()?).args(std::env::args_os().skip(1)).spawn()?;
    let worker = i32::try_from(worker.id()).ok().and_then(Pid::from_raw);
    let worker = worker.ok_or_else(|| io::Error::other("a process without a number"))?;
    loop {
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if pid == worker {
                return Ok(status);
            }
        }
        let asked = tokio::select! {
            _ = children.recv() => continue,
            _ = term.recv() => Signal::TERM,
            _ = int.recv() => Signal::INT,
            _ = hup.recv() => Signal::HUP,
            _ = quit.recv() => Signal::QUIT,
        };
        // It may have ended just now, which the next round sees.
        let _ = kill_process(worker, asked);
    }
}
