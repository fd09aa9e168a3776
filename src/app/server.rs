//! The HTTP server: connections up to their bound, each with a deadline for its requests' heads; at the end, requests
//! in flight are finished and idle connections closed.
//! Absent: routes and what surrounds them (`http`).

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::config::ServerSettings;
use crate::environment::Clock;
use crate::services::lifecycle::Tasks;

/// After the system refused a connection (no file descriptors, usually), milliseconds.
const AGAIN: Duration = Duration::from_millis(100);
/// Requests at once on one HTTP/2 connection.
const STREAMS_MAX: u32 = 200;

/// A listening server.
pub(super) struct Server {
    listener: TcpListener,
    router: Router,
    builder: Builder<TokioExecutor>,
    places: Arc<Semaphore>,
    graceful: GracefulShutdown,
    connections: Tasks,
    clock: Arc<dyn Clock>,
}

impl Server {
    pub(super) fn new(
        listener: TcpListener,
        router: Router,
        settings: &ServerSettings,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let mut builder = Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(settings.header_read_timeout);
        builder.http2().timer(TokioTimer::new()).max_concurrent_streams(STREAMS_MAX);
        Self {
            listener,
            router,
            builder,
            places: Arc::new(Semaphore::new(settings.connections_max)),
            graceful: GracefulShutdown::new(),
            connections: Tasks::new("connections", Arc::clone(&clock)),
            clock,
        }
    }

    /// Takes connections for as long as it is waited for.
    pub(super) async fn accept(&self) {
        loop {
            // Closed by nobody; beyond the bound, connections wait in the listen queue.
            let Ok(place) = Arc::clone(&self.places).acquire_owned().await else { return };
            match self.listener.accept().await {
                Ok((stream, _)) => self.serve(stream, place),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be taken");
                    self.clock.sleep(AGAIN).await;
                }
            }
        }
    }

    fn serve(&self, stream: TcpStream, place: tokio::sync::OwnedSemaphorePermit) {
        // Answers are written whole; waiting for more to send would only delay them.
        let _ = stream.set_nodelay(true);
        let service = TowerToHyperService::new(self.router.clone());
        let connection = self.builder.serve_connection(TokioIo::new(stream), service).into_owned();
        let connection = self.graceful.watch(connection);
        self.connections.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(error = %error, "a connection ended badly");
            }
            drop(place);
        });
    }

    /// Takes no more connections, and waits until requests in flight are answered, at most `deadline`; whether they
    /// were.
    pub(super) async fn finish(self, deadline: Duration) -> bool {
        drop(self.listener);
        tokio::select! {
            () = self.graceful.shutdown() => true,
            () = self.clock.sleep(deadline) => self.connections.is_empty(),
        }
    }
}
