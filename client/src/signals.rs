//! The signals that ask the long-running commands to end: SIGTERM, SIGINT, SIGHUP and SIGQUIT. The first asks for an
//! orderly end, a second SIGTERM, SIGINT or SIGQUIT ends at once with 130.
//!
//! A hang-up is an orderly end as well: without a terminal nobody is left to look at the command. Only a process that
//! was started with SIGHUP ignored, as `nohup` does, goes on. A second hang-up changes nothing: a terminal that
//! closes sends it more than once.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::console::Console;
use super::failure::CliFailure;

/// A token that is raised by the first signal. Must be called inside the runtime.
///
/// # Errors
/// When the process may not listen to signals.
pub fn leave(console: &Console) -> Result<CancellationToken, CliFailure> {
    let failed = |cause| CliFailure::Failed(format!("cannot listen to signals: {cause}"));
    let listen = |kind| signal(kind).map_err(failed);
    let mut hang_up = if hang_up_is_ignored() { None } else { Some(listen(SignalKind::hangup())?) };
    let mut asked = StopSignals {
        terminate: listen(SignalKind::terminate())?,
        interrupt: listen(SignalKind::interrupt())?,
        quit: listen(SignalKind::quit())?,
    };
    let (leave, console) = (CancellationToken::new(), console.clone());
    let raised = leave.clone();
    tokio::spawn(async move {
        tokio::select! {
            () = asked.arrive() => {}
            () = arrives(hang_up.as_mut()) => {}
        }
        // Before a word is said: a terminal or pipe that nobody reads must not keep anybody waiting.
        raised.cancel();
        console.say("leaving; once more to end at once");
        asked.arrive().await;
        console.finish();
        std::process::exit(i32::from(CliFailure::Interrupted.exit_code()));
    });
    Ok(leave)
}

struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
}

impl StopSignals {
    async fn arrive(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = self.quit.recv() => {}
        }
    }
}

async fn arrives(signal: Option<&mut Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

/// Whether whoever started this process wants it to survive its terminal.
fn hang_up_is_ignored() -> bool {
    // Only Linux tells without changing it.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    ignores(&status, SignalKind::hangup().as_raw_value())
}

fn ignores(status: &str, signal: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal - 1) & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_that_the_starter_ignored_is_seen_in_the_systems_own_words() {
        assert!(ignores("Name:\tx\nSigIgn:\t0000000000001001\nSigCgt:\t0\n", 1));
        assert!(!ignores("Name:\tx\nSigIgn:\t0000000000001000\n", 1));
        assert!(!ignores("", 1));
    }
}
