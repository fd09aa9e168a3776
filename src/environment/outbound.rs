//! Requests of this process to other engines: bytes to an address over kept connections, and the answer in pieces as
//! they come.
//! Always holds: no proxy, no redirect, nothing sent twice by this file. Absent: waiting (whoever asks has the clock),
//! what the bytes mean, and requests to addresses that callers name.

use std::fmt;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue};

/// An engine is near: an address where nobody answers for so long is given up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Shorter than the time after which an engine closes a connection that is not used.
const IDLE_TIMEOUT: Duration = Duration::from_secs(8);

/// Why there is no answer, or no more of it.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// Nobody listens there: nothing was sent.
    #[error("no connection: {0}")]
    Unreachable(String),
    /// It broke off: whether anything was heard is not known.
    #[error("the connection broke off: {0}")]
    Broken(String),
    /// There is no client.
    #[error("no HTTP client: {0}")]
    Unusable(String),
}

/// Sends; cheap to clone, clones share the connections.
#[derive(Debug, Clone)]
pub struct Outbound {
    http: reqwest::Client,
}

/// An answer whose head has come.
#[derive(Debug)]
pub struct OutboundAnswer(reqwest::Response);

/// Some bytes of an answer.
pub struct Piece(Box<dyn AsRef<[u8]> + Send>);

impl fmt::Debug for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.bytes().len())
    }
}

impl Piece {
    pub fn bytes(&self) -> &[u8] {
        (*self.0).as_ref()
    }
}

impl Outbound {
    /// Keeps at most `idle_max` unused connections to an address.
    ///
    /// # Errors
    /// `Unusable`.
    pub fn new(idle_max: usize) -> Result<Self, SendError> {
        // A second installation is refused, which is as good: there is only this one provider in the program.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .http1_only()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(idle_max)
            // Plain HTTP needs no certificates; an image without any must still be able to talk.
            .tls_certs_only([])
            .build()
            .map_err(|error| SendError::Unusable(causes(&error)))?;
        Ok(Self { http })
    }

    /// Sends a body to `http://address/path`; the answer's head.
    ///
    /// # Errors
    /// `Unreachable` when nothing was sent, else `Broken`.
    pub async fn post(
        &self,
        address: &str,
        path: &str,
        media_type: &'static str,
        signature: (&'static str, &str),
        body: Vec<u8>,
    ) -> Result<OutboundAnswer, SendError> {
        let url = format!("http://{address}{path}");
        let sent = self
            .http
            .post(url)
            .header(CONTENT_TYPE, HeaderValue::from_static(media_type))
            .header(HeaderName::from_static(signature.0), signature.1)
            .body(body)
            .send()
            .await;
        sent.map(OutboundAnswer).map_err(|error| {
            let nothing_sent = error.is_connect() || error.is_builder();
            let cause = causes(&error.without_url());
            if nothing_sent { SendError::Unreachable(cause) } else { SendError::Broken(cause) }
        })
    }
}

impl OutboundAnswer {
    pub fn status(&self) -> u16 {
        self.0.status().as_u16()
    }

    /// What came next of its body; none: that was all.
    ///
    /// # Errors
    /// `Broken`.
    pub async fn piece(&mut self) -> Result<Option<Piece>, SendError> {
        match self.0.chunk().await {
            Ok(piece) => Ok(piece.map(|bytes| Piece(Box::new(bytes)))),
            Err(error) => Err(SendError::Broken(causes(&error.without_url()))),
        }
    }
}

fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
