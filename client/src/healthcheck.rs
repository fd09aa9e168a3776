//! `orrery healthcheck`: whether the engine is ready, for container health checks. Exit 0 or 1, nothing else.

use std::time::Duration;

use clap::Args;

use super::api::{Client, EngineArgs};
use super::console::Console;
use super::failure::CliFailure;

/// Arguments of `orrery healthcheck`.
#[derive(Debug, Clone, Args)]
pub struct HealthcheckArgs {
    #[command(flatten)]
    engine: EngineArgs,
    /// How long to wait for the answer, in ms
    #[arg(long, value_name = "MS", default_value_t = 3_000)]
    timeout_ms: u64,
}

/// Asks `/readyz`.
///
/// # Errors
/// [`CliFailure::Failed`] when the engine is not ready or not there.
pub async fn run(args: HealthcheckArgs, console: &Console) -> Result<(), CliFailure> {
    let client = Client::new(&args.engine)?;
    match client.ready(Duration::from_millis(args.timeout_ms)).await {
        Ok(()) => {
            console.say("ready");
            Ok(())
        }
        Err(error) => Err(CliFailure::Failed(format!("not ready: {error}"))),
    }
}
