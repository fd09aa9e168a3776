//! The places where the command line touches the engine's inside: starting one, its database's schema, and its API
//! document.
//!
//! Everything else speaks HTTP, so this file is all that changes when `app` or `http` do.

use std::net::SocketAddr;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::failure::CliFailure;
use crate::app;
use crate::config::Settings;
use crate::http::openapi;
use crate::telemetry;

/// Runs an engine until `leave` is raised and it has drained; `ready` gets the address once it listens.
///
/// # Errors
/// When it cannot start (the folder is held, the port is taken) or ends badly.
pub(crate) async fn serve(
    settings: Settings,
    leave: CancellationToken,
    ready: oneshot::Sender<SocketAddr>,
) -> Result<(), CliFailure> {
    app::serve(settings, leave, ready).await.map_err(|error| CliFailure::Failed(error.to_string()))
}

/// Waits a moment for the last lines of the log to be taken; before the process ends.
pub(crate) fn finish_log() {
    telemetry::log::finish();
}

/// The migrations of the database that the settings name.
///
/// # Errors
/// When there is none, or it cannot be used.
pub(crate) async fn schema(settings: &Settings) -> Result<Vec<app::SchemaStep>, CliFailure> {
    app::schema(settings).await.map_err(|error| CliFailure::Failed(error.to_string()))
}

/// Applies the missing ones, and answers them.
///
/// # Errors
/// When there is none, or it cannot be used.
pub(crate) async fn schema_up(settings: &Settings) -> Result<Vec<app::SchemaStep>, CliFailure> {
    app::schema_up(settings).await.map_err(|error| CliFailure::Failed(error.to_string()))
}

/// The API's OpenAPI document.
pub(crate) fn openapi_document() -> String {
    openapi::text()
}
