//! SIGTERM and SIGINT for the long-running commands: the first asks for an orderly end, the second ends at once
//! with 130.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::console::Console;
use super::failure::Failure;

/// A token that is raised by the first signal. Must be called inside the runtime.
///
/// # Errors
/// When the process may not listen to signals.
pub(crate) fn leave(console: &Console) -> Result<CancellationToken, Failure> {
    let deaf = |cause| Failure::Failed(format!("cannot listen to signals: {cause}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(deaf)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(deaf)?;
    let (leave, console) = (CancellationToken::new(), console.clone());
    let raised = leave.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        console.say("leaving; once more to end at once");
        raised.cancel();
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        std::process::exit(i32::from(Failure::Interrupted.exit_code()));
    });
    Ok(leave)
}
