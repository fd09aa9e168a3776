//! The HTTP server: connections up to their bound, each with deadlines for its requests' heads and for taking its
//! answers; beyond the bound a connection is told so and closed. At the end, requests in flight are finished and idle
//! connections closed. Absent: routes and what surrounds them (`http`).

pub(super) mod files;
mod guarded;
mod spare_file;
mod system;

use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulConnection, GracefulShutdown};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tower::Service as _;

use self::files::{FileShare, Store, TooFewFiles};
use self::guarded::{Guarded, PREFACE};
use self::spare_file::SpareFile;
use crate::config::ServerSettings;
use crate::environment::Clock;
use crate::environment::open_files::is_out_of_files;
use crate::http::parked::Served;
use crate::http::peers::{PeerAddress, Share, Shares};
use crate::http::problem::{Code, PROBLEM_JSON, Problem};
use crate::services::lifecycle::Tasks;
use crate::telemetry::metrics::{HTTP_CONNECTIONS, HTTP_TURNED_AWAY};

/// After the system refused a connection (no file descriptors, usually), milliseconds.
const AGAIN: Duration = Duration::from_millis(100);
/// Requests at once on one HTTP/2 connection.
const STREAMS_MAX: u32 = 200;
/// Streams that a peer opened and reset and that nobody has looked at yet; beyond it the connection ends (rapid reset).
const RESETS_MAX: usize = 20;
/// A silent HTTP/2 peer is asked so often whether it lives, and has as long again to answer.
const PING_EVERY: Duration = Duration::from_secs(15);
/// Bytes of a request's head, all its fields together.
const HEAD_BYTES_MAX: u32 = 16 * 1_024;
/// Bytes that an HTTP/1 connection reads at once, its head included; what is read of a body goes on at once.
const READ_BYTES_MAX: usize = 64 * 1_024;
/// Bytes of bodies that may be on their way to us on one HTTP/2 connection, and on one of its streams.
const WINDOW_BYTES: u32 = 1_024 * 1_024;
const STREAM_WINDOW_BYTES: u32 = 256 * 1_024;
/// Time for telling them.
const TURN_AWAY: Duration = Duration::from_secs(1);

/// Before anything large is allocated or opened: what the settings say of memory, and the files for it all.
///
/// # Errors
/// When the system allows so few that nothing could be served.
pub(super) fn prepare(settings: &ServerSettings, store: Store) -> Result<FileShare, TooFewFiles> {
    if !settings.huge_pages {
        system::small_pages();
    }
    let connections_max = settings.connections_max;
    let allowed = system::allow_files(files::wanted(store, connections_max));
    let share = files::shared(store, connections_max, allowed)?;
    if share.connections < connections_max {
        tracing::warn!(
            files_max = allowed,
            connections_max = share.connections,
            "the system allows fewer open files than server.connections_max needs"
        );
    }
    Ok(share)
}

/// A listening server.
pub(super) struct Server {
    listener: TcpListener,
    door: Arc<Door>,
    places: Arc<Semaphore>,
    /// What of the places each address has.
    shares: Arc<Shares>,
    doorsteps: Arc<Semaphore>,
    no_room: Arc<[u8]>,
    no_share: Arc<[u8]>,
    graceful: GracefulShutdown,
    /// The end, for connections that have not spoken yet.
    leaving: CancellationToken,
    connections: Tasks,
    clock: Arc<dyn Clock>,
    spare: SpareFile,
}

/// What the first bytes of a connection show.
#[derive(Debug, Clone, Copy)]
enum Spoken {
    Http1,
    /// HTTP/2, or so little that it may be.
    Any,
}

/// What every connection needs.
struct Door {
    routes: Served,
    /// For whoever certainly speaks HTTP/1: what is said is read in one piece, into a buffer of 8 KiB. Whoever may speak
    /// HTTP/2 is read a preface first, and the buffer then grows to twice that, touched whole.
    http1: Builder<TokioExecutor>,
    any: Builder<TokioExecutor>,
    head_timeout: Duration,
    write_timeout: Duration,
    clock: Arc<dyn Clock>,
}

impl Server {
    pub(super) fn new(
        listener: TcpListener,
        routes: Served,
        settings: &ServerSettings,
        share: FileShare,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let mut builder = Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(settings.header_read_timeout)
            .max_buf_size(READ_BYTES_MAX);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .max_pending_accept_reset_streams(RESETS_MAX)
            .max_header_list_size(HEAD_BYTES_MAX)
            .initial_connection_window_size(WINDOW_BYTES)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_EVERY);
        system::watch_peers(&listener);
        let door = Door {
            routes,
            http1: builder.clone().http1_only(),
            any: builder,
            head_timeout: settings.header_read_timeout,
            write_timeout: settings.write_timeout,
            clock: Arc::clone(&clock),
        };
        Self {
            listener,
            door: Arc::new(door),
            places: Arc::new(Semaphore::new(share.connections)),
            shares: Shares::of(share.connections, settings.peer_share_pct),
            doorsteps: Arc::new(Semaphore::new(share.turned_away)),
            no_room: no_room("as many connections are open as may be").into(),
            no_share: no_room("as many connections are open from your address as may be").into(),
            graceful: GracefulShutdown::new(),
            leaving: CancellationToken::new(),
            connections: Tasks::new("connections", Arc::clone(&clock)),
            clock,
            spare: SpareFile::open(),
        }
    }

    /// Takes connections for as long as it is waited for.
    pub(super) async fn accept(&self) {
        let mut without_files = false;
        loop {
            match self.listener.accept().await {
                Ok((stream, from)) => self.take(stream, PeerAddress::at(from)),
                Err(error) => {
                    if !without_files {
                        tracing::warn!(%error, "connections cannot be taken");
                    }
                    if is_out_of_files(&error) {
                        without_files = true;
                        let told = self.spare.tell_who_waits(&self.listener, &self.no_room);
                        metrics::counter!(HTTP_TURNED_AWAY).increment(told);
                    }
                    self.clock.sleep(AGAIN).await;
                    continue;
                }
            }
            if std::mem::take(&mut without_files) {
                tracing::info!("connections are taken again");
            }
        }
    }

    /// Serves a connection for which there is room, and for its peer.
    fn take(&self, stream: TcpStream, peer: PeerAddress) {
        let mut share = self.shares.begin(Some(peer));
        if !share.grow(1) {
            return self.turn_away(stream, &self.no_share);
        }
        match Arc::clone(&self.places).try_acquire_owned() {
            Ok(place) => self.serve(stream, peer, Open::begin(place, share)),
            Err(_) => self.turn_away(stream, &self.no_room),
        }
    }

    fn serve(&self, stream: TcpStream, peer: PeerAddress, open: Open) {
        // Answers are written whole; waiting for more to send would only delay them.
        let _ = stream.set_nodelay(true);
        let (door, watcher) = (Arc::clone(&self.door), self.graceful.watcher());
        let leaving = self.leaving.clone();
        self.connections.spawn(async move {
            let spoken = tokio::select! {
                spoken = door.begins(&stream) => spoken,
                () = leaving.cancelled() => None,
            };
            drop(leaving);
            if let Some(spoken) = spoken {
                // In a place of its own: a block holds what it awaits twice, where it came from and where it is polled.
                let connection = Box::pin(watcher.watch(door.connection(stream, peer, spoken)));
                if let Err(error) = connection.await {
                    tracing::debug!(error = %error, "a connection ended badly");
                }
            }
            drop(open);
        });
    }

    /// Says that there is no room, to whoever says anything, and closes the connection.
    fn turn_away(&self, mut stream: TcpStream, answer: &Arc<[u8]>) {
        metrics::counter!(HTTP_TURNED_AWAY).increment(1);
        let Ok(doorstep) = Arc::clone(&self.doorsteps).try_acquire_owned() else { return };
        let (answer, clock) = (Arc::clone(answer), Arc::clone(&self.clock));
        self.connections.spawn(async move {
            let told = async {
                // A connection that is closed with something unread takes its last words with it.
                let mut request = vec![0; 4_096];
                let _ = stream.read(&mut request).await?;
                stream.write_all(&answer).await?;
                stream.shutdown().await?;
                while stream.read(&mut request).await? > 0 {}
                std::io::Result::Ok(())
            };
            tokio::select! {
                _ = told => {}
                () = clock.sleep(TURN_AWAY) => {}
            }
            drop(doorstep);
        });
    }

    /// Takes no more connections, and waits until requests in flight are answered, at most `deadline`; whether they
    /// were.
    pub(super) async fn finish(self, deadline: Duration) -> bool {
        drop(self.listener);
        self.leaving.cancel();
        tokio::select! {
            () = self.graceful.shutdown() => true,
            () = self.clock.sleep(deadline) => self.connections.is_empty(),
        }
    }
}

impl Door {
    /// What a peer begins to speak; what it said is left where it is. None: it said nothing in time, or went away.
    async fn begins(&self, stream: &TcpStream) -> Option<Spoken> {
        let mut first = [0; 4];
        let heard = tokio::select! {
            heard = stream.peek(&mut first) => heard.ok()?,
            () = self.clock.sleep(self.head_timeout) => return None,
        };
        let first = &first[..heard];
        let spoken = if PREFACE.starts_with(first) { Spoken::Any } else { Spoken::Http1 };
        (!first.is_empty()).then_some(spoken)
    }

    /// A connection whose peer speaks so.
    fn connection(
        &self,
        stream: TcpStream,
        peer: PeerAddress,
        spoken: Spoken,
    ) -> impl GracefulConnection<Error = Box<dyn std::error::Error + Send + Sync>> + Send + use<>
    {
        let builder = match spoken {
            Spoken::Http1 => &self.http1,
            Spoken::Any => &self.any,
        };
        let clock = Arc::clone(&self.clock);
        let stream = Guarded::new(stream, clock, self.head_timeout, self.write_timeout);
        let routes = self.routes.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            routes.clone().call(request)
        });
        builder.serve_connection(TokioIo::new(stream), service).into_owned()
    }
}

/// A connection that is open, for the metrics, with its place and its part of its peer's share.
struct Open {
    _place: OwnedSemaphorePermit,
    _share: Share,
}

impl Open {
    fn begin(place: OwnedSemaphorePermit, share: Share) -> Self {
        metrics::gauge!(HTTP_CONNECTIONS).increment(1.0);
        Self { _place: place, _share: share }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        metrics::gauge!(HTTP_CONNECTIONS).decrement(1.0);
    }
}

/// The answer to a connection for which there is no room.
fn no_room(why: &str) -> Vec<u8> {
    let problem = Problem::new(Code::Overloaded, why);
    let body = serde_json::to_string(&problem.body(None, None)).unwrap_or_default();
    let retry_after = Code::Overloaded.retry_after_s().unwrap_or(1);
    format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: {PROBLEM_JSON}\r\nretry-after: {retry_after}\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test says what it expects")]
mod tests;
