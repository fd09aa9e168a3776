//! One kept connection that speaks as much HTTP/1.1 as the engine's answers need, written for little work a request:
//! one write, no allocation once its buffers have grown, no pool to ask, because the bench shares its cores with the
//! engine that it measures.
//! Absent: TLS, redirects, pools, pipelining; an answer without Content-Length is refused.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use url::Url;

use super::wire::is_busy;
use crate::Engine;
use crate::failure::Failure;

/// Longest wait for one answer, a long poll included.
const ANSWER_MAX: Duration = Duration::from_mins(1);
/// Longest head of an answer.
const HEAD_BYTES_MAX: usize = 64 * 1_024;
/// Room that is made before each read.
const READ_BYTES: usize = 32 * 1_024;

/// Where connections go.
#[derive(Debug, Clone)]
pub(super) struct Target {
    host: String,
    port: u16,
    prefix: String,
    headers: String,
    shown: String,
}

impl Target {
    /// The engine at its address.
    ///
    /// # Errors
    /// `Usage` when the address is none, or is not plain HTTP.
    pub(super) fn of(engine: &Engine) -> Result<Self, Failure> {
        Self::at("--url", engine, &engine.url)
    }

    /// The engine at another address, which was given by this option.
    ///
    /// # Errors
    /// As `of`.
    pub(super) fn at(option: &str, engine: &Engine, address: &str) -> Result<Self, Failure> {
        // The address is not repeated: it may hold a password.
        let usage = |why: &str| Failure::Usage(format!("{option}: {why}"));
        let url = Url::parse(address).map_err(|_| usage("write it as http://host:port"))?;
        if url.scheme() != "http" {
            return Err(usage("the bench speaks plain HTTP only"));
        }
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return Err(usage("write it as http://host:port"));
        };
        if !engine.namespace.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Failure::Usage(format!("--namespace {}: is no name", engine.namespace)));
        }
        Ok(Self {
            headers: format!(
                " HTTP/1.1\r\nhost: {host}:{port}\r\norrery-namespace: {}\r\ncontent-type: application/json\r\ncontent-length: ",
                engine.namespace
            ),
            host: host.trim_matches(['[', ']']).to_owned(),
            port,
            shown: format!("http://{host}:{port}{}", url.path().trim_end_matches('/')),
            prefix: url.path().trim_end_matches('/').to_owned(),
        })
    }

    /// The port that the engine listens on.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Whether the engine is on this machine.
    pub(super) fn is_local(&self) -> bool {
        self.host == "localhost"
            || self.host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

/// An answer, in the link's buffer.
#[derive(Debug)]
pub(super) struct Answer<'a> {
    pub(super) status: u16,
    /// When to come again, where it says so.
    pub(super) retry_after: Option<Duration>,
    pub(super) body: &'a [u8],
}

impl Answer<'_> {
    /// Whether the engine says that it can do it later: overload, a view behind, no room.
    pub(super) fn is_busy(&self) -> bool {
        is_busy(self.status)
    }

    /// The failure that this answer is.
    pub(super) fn failure(&self, what: &str) -> Failure {
        let text: String = String::from_utf8_lossy(self.body).chars().take(400).collect();
        Failure::Failed(format!("{what} was answered with {}: {text}", self.status))
    }
}

#[derive(Debug)]
pub(super) struct Link {
    stream: TcpStream,
    target: Target,
    out: Vec<u8>,
    read: Vec<u8>,
}

impl Link {
    /// Connects.
    ///
    /// # Errors
    /// `Unavailable` when nobody listens there.
    pub(super) async fn open(target: &Target) -> Result<Self, Failure> {
        let stream = TcpStream::connect((target.host.as_str(), target.port))
            .await
            .map_err(|cause| unreachable(target, &cause.to_string()))?;
        // Without it a small request may wait for an acknowledgement; a socket that cannot be told still works.
        let _ = stream.set_nodelay(true);
        Ok(Self { stream, target: target.clone(), out: Vec::new(), read: Vec::new() })
    }

    /// Sends a request and reads its answer. `path` begins with a slash.
    ///
    /// # Errors
    /// `Unavailable` when the connection breaks or no answer comes in time, `Failed` when it is not understood.
    pub(super) async fn send(
        &mut self,
        method: &str,
        path: &str,
        body: &[u8],
    ) -> Result<Answer<'_>, Failure> {
        self.send_under(method, path, body, None).await
    }

    /// As `send`, under an Idempotency-Key where there is one.
    ///
    /// # Errors
    /// As `send`.
    pub(super) async fn send_under(
        &mut self,
        method: &str,
        path: &str,
        body: &[u8],
        key: Option<&str>,
    ) -> Result<Answer<'_>, Failure> {
        self.out.clear();
        for part in [method, " ", &self.target.prefix, path] {
            self.out.extend_from_slice(part.as_bytes());
        }
        // The headers end with the one whose value is the length.
        let (first, rest) = self.target.headers.split_once("\r\n").unwrap_or_default();
        self.out.extend_from_slice(first.as_bytes());
        self.out.extend_from_slice(b"\r\n");
        if let Some(key) = key {
            self.out.extend_from_slice(format!("Idempotency-Key: {key}\r\n").as_bytes());
        }
        self.out.extend_from_slice(rest.as_bytes());
        self.out.extend_from_slice(body.len().to_string().as_bytes());
        self.out.extend_from_slice(b"\r\n\r\n");
        self.out.extend_from_slice(body);
        let exchanged = tokio::time::timeout(ANSWER_MAX, self.exchange()).await;
        let head = match exchanged {
            Ok(exchanged) => exchanged?,
            Err(_) => return Err(unreachable(&self.target, "no answer in time")),
        };
        let Head { status, retry_after, bytes, .. } = head;
        Ok(Answer { status, retry_after, body: &self.read[bytes..] })
    }

    /// Writes what is in `out`; the answer is then in `read`, its body behind its head.
    async fn exchange(&mut self) -> Result<Head, Failure> {
        let broken =
            |target: &Target, cause: &std::io::Error| unreachable(target, &cause.to_string());
        if let Err(cause) = self.stream.write_all(&self.out).await {
            return Err(broken(&self.target, &cause));
        }
        self.read.clear();
        let mut head: Option<Head> = None;
        loop {
            self.read.reserve(READ_BYTES);
            match self.stream.read_buf(&mut self.read).await {
                Ok(0) => return Err(unreachable(&self.target, "it closed the connection")),
                Ok(_) => {}
                Err(cause) => return Err(broken(&self.target, &cause)),
            }
            if head.is_none() {
                head = Head::read(&self.read).map_err(|cause| {
                    Failure::Failed(format!("an answer of {}: {cause}", self.target.shown))
                })?;
            }
            if let Some(head) = head
                && self.read.len() >= head.bytes + head.body_bytes
            {
                return Ok(head);
            }
        }
    }
}

fn unreachable(target: &Target, cause: &str) -> Failure {
    Failure::Unavailable(format!("cannot reach the engine at {}: {cause}", target.shown))
}

/// What is known of an answer once its head is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Head {
    status: u16,
    retry_after: Option<Duration>,
    bytes: usize,
    body_bytes: usize,
}

impl Head {
    /// None while it is not whole.
    fn read(text: &[u8]) -> Result<Option<Self>, String> {
        let Some(end) = text.windows(4).position(|four| four == b"\r\n\r\n") else {
            if text.len() > HEAD_BYTES_MAX {
                return Err("its head does not end".to_owned());
            }
            return Ok(None);
        };
        let head =
            std::str::from_utf8(&text[..end]).map_err(|_| "its head is no text".to_owned())?;
        let mut lines = head.split("\r\n");
        let status = lines
            .next()
            .and_then(|line| line.strip_prefix("HTTP/1.1 "))
            .and_then(|line| line.get(..3)?.parse().ok())
            .ok_or_else(|| "no HTTP/1.1".to_owned())?;
        let (mut length, mut retry_after) = (None, None);
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().ok();
            } else if name.eq_ignore_ascii_case("retry-after") {
                retry_after = value.trim().parse().ok().map(Duration::from_secs);
            }
        }
        let body_bytes = match (length, status) {
            (Some(length), _) => length,
            (None, 204) => 0,
            (None, _) => return Err("it has no Content-Length".to_owned()),
        };
        Ok(Some(Self { status, retry_after, bytes: end + 4, body_bytes }))
    }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test says what it expects")]
mod tests {
    use super::*;

    fn target(url: &str) -> Result<Target, Failure> {
        Target::of(&Engine { url: url.to_owned(), namespace: "default".to_owned() })
    }

    #[test]
    fn a_head_is_read_when_it_is_whole() {
        let text = b"HTTP/1.1 201 Created\r\nContent-Length: 5\r\nretry-after: 2\r\n\r\nhello";
        for end in 0..text.len() - 5 {
            assert_eq!(Head::read(&text[..end]), Ok(None), "{end}");
        }
        let whole = Head {
            status: 201,
            retry_after: Some(Duration::from_secs(2)),
            bytes: text.len() - 5,
            body_bytes: 5,
        };
        assert_eq!(Head::read(text), Ok(Some(whole)));
    }

    #[test]
    fn an_answer_of_unknown_length_is_refused() {
        assert!(Head::read(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
        assert!(Head::read(b"SSH-2.0-x\r\n\r\n").is_err());
        let empty = Head::read(b"HTTP/1.1 204 No Content\r\n\r\n").expect("a head");
        assert_eq!(empty.map(|head| head.body_bytes), Some(0));
    }

    #[test]
    fn addresses_are_taken_apart_and_others_than_plain_http_refused() {
        let target_ = target("http://[::1]:9000/orrery/").expect("a target");
        assert_eq!((target_.host.as_str(), target_.port()), ("::1", 9000));
        assert_eq!(target_.prefix, "/orrery");
        assert!(target_.is_local());
        assert!(!target("http://a.example").expect("a target").is_local());
        for bad in ["https://localhost", "localhost:1", "nonsense"] {
            assert!(matches!(target(bad), Err(Failure::Usage(_))), "{bad}");
        }
    }

    #[test]
    fn a_password_is_shown_nowhere() {
        for address in
            ["http://me:s3cret@host:1/x?token=s3cret", "https://me:s3cret@host", "me:s3cret@"]
        {
            let engine = Engine { url: address.to_owned(), namespace: "default".to_owned() };
            let shown = format!("{:?} {:?}", Target::of(&engine), engine);
            assert!(!shown.contains("s3cret"), "{shown}");
        }
    }
}
