//! The places where the command line touches the engine's inside: starting one, its database's schema, its API document,
//! and the way by which lines leave the process.
//!
//! Everything else speaks HTTP, so this file is all that changes when `app` or `http` do.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use orrery_client::console::Messages;
use orrery_client::failure::CliFailure;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::app;
use crate::config::Settings;
use crate::http::openapi;
use crate::telemetry;
use crate::telemetry::lossy::Lossy;

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

/// What is said to people goes to standard error as the log does: it keeps nobody waiting.
pub(crate) fn messages() -> Arc<dyn Messages> {
    Arc::new(Lossy::stderr(|lost| format!("({lost} messages were lost: nobody read them)\n")))
}

impl Messages for Lossy {
    fn put(&self, text: &[u8]) {
        Self::put(self, text);
    }

    fn finish(&self, at_most: Duration) {
        Self::finish(self, at_most);
    }
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
