//! The two places where the command line touches the engine's inside: starting one, and its API document.
//!
//! Everything else speaks HTTP, so this file is all that changes when `app` or `http` do.

use std::net::SocketAddr;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::failure::Failure;
use crate::config::Settings;

/// Runs an engine until `leave` is raised and it has drained; `ready` gets the address once it listens.
///
/// # Errors
/// When it cannot start (the folder is held, the port is taken) or ends badly.
#[expect(clippy::unused_async, reason = "app::serve is async and stands here as soon as it lands")]
pub(crate) async fn serve(
    _settings: Settings,
    _leave: CancellationToken,
    _ready: oneshot::Sender<SocketAddr>,
) -> Result<(), Failure> {
    Err(Failure::Unavailable("this build has no engine yet".to_owned()))
}

/// The API's OpenAPI document.
///
/// # Errors
/// When it cannot be written as JSON.
pub(crate) fn openapi_document() -> Result<String, Failure> {
    Err(Failure::Unavailable("this build has no API yet".to_owned()))
}
