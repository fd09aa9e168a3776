//! A small client of the engine's public HTTP API, for the commands and the workers.
//!
//! Always: what it sends and reads are the shapes of `shapes`, nothing of the engine's inside; every call has a
//! deadline; a problem document comes back as [`ProblemAnswer`], an engine that cannot be reached as `Unreachable`.
//! Absent: retries (who calls knows what may be sent twice), and any state but the connections.

mod calls;
mod policies;
pub mod problem;
pub mod shapes;

use std::error::Error as _;
use std::fmt;
use std::time::Duration;

use clap::Args;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Method, RequestBuilder, Response, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::console::plain;
use super::failure::CliFailure;
use problem::ProblemAnswer;

/// Which engine a command talks to.
#[derive(Clone, Args)]
pub struct EngineArgs {
    /// The engine's address
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "ORRERY_URL",
        hide_env_values = true,
        default_value = "http://127.0.0.1:8080"
    )]
    pub url: String,
    /// The namespace that jobs live in
    #[arg(
        long,
        global = true,
        value_name = "NAME",
        env = "ORRERY_NAMESPACE",
        default_value = "default"
    )]
    pub namespace: String,
}

impl fmt::Debug for EngineArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = without_secrets(&self.url);
        f.debug_struct("EngineArgs").field("url", &url).field("namespace", &self.namespace).finish()
    }
}

/// An address as it may be shown: without what stands before the host, and without its query, either of which may be a
/// secret; also of text that is no address at all.
pub fn without_secrets(url: &str) -> String {
    let (address, query) = url.split_once(['?', '#']).map_or((url, ""), |(url, _)| (url, "?***"));
    // A password may hold an unescaped '@' or '/', so the host begins after the last '@'.
    let shown = match address.rsplit_once('@') {
        Some((before, host)) => {
            let scheme = before.split_once("://").map_or("", |(scheme, _)| scheme);
            let scheme = if scheme.is_empty() { String::new() } else { format!("{scheme}://") };
            format!("{scheme}***@{host}")
        }
        None => address.to_owned(),
    };
    plain(&format!("{shown}{query}")).into_owned()
}

/// Time to open a connection: an engine is near, and a person is waiting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for an answer beyond what the request itself asks to wait.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// An answer longer than this is not read: a page of lists or leases stays far below it.
const ANSWER_BYTES_MAX: usize = 512 * 1024 * 1024;

/// Why a call gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No connection, or it broke: whether the engine acted is not known.
    #[error("cannot reach the engine at {url}: {cause}")]
    Unreachable { url: String, cause: String },
    /// The engine answered that it does not do it.
    #[error("{}", .0.message())]
    Refused(Box<ProblemAnswer>),
    /// The answer is not what this program understands.
    #[error("the answer of {url} is not understood: {cause}")]
    Unreadable { url: String, cause: String },
    /// The address makes no sense.
    #[error("{0}")]
    Address(String),
}

impl ClientError {
    /// Whether the same request may succeed a moment later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused(problem) => problem.is_transient(),
            Self::Unreadable { .. } | Self::Address(_) => false,
        }
    }
}

impl From<ClientError> for CliFailure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Unreachable { .. } => {
                Self::Unavailable(format!("{error}\n  is it running? start one with: orrery serve"))
            }
            ClientError::Refused(problem) => Self::from(*problem),
            ClientError::Unreadable { .. } => Self::Failed(error.to_string()),
            ClientError::Address(message) => Self::Usage(message),
        }
    }
}

/// The client. Clones share the connections.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    /// The address as it may be shown.
    shown: String,
    namespace: HeaderValue,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("address", &self.shown).finish_non_exhaustive()
    }
}

impl Client {
    /// A client of the engine named by the arguments. Nothing is sent yet.
    ///
    /// # Errors
    /// [`ClientError::Address`] when the URL or the namespace cannot be used.
    pub fn new(args: &EngineArgs) -> Result<Self, ClientError> {
        let address = |what: String| ClientError::Address(what);
        let base = Url::parse(&args.url).map_err(|cause| {
            let url = without_secrets(&args.url);
            address(format!("--url {url}: {cause}; write it as http://host:port"))
        })?;
        if !matches!(base.scheme(), "http" | "https") || base.cannot_be_a_base() {
            let url = without_secrets(&args.url);
            return Err(address(format!("--url {url}: write it as http://host:port")));
        }
        let namespace = HeaderValue::from_str(&args.namespace).map_err(|_| {
            let name = plain(&args.namespace);
            address(format!("--namespace {name}: has characters no name has"))
        })?;
        // A second installation is refused, which is as good: there is only this one provider in the program.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("orrery-cli/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none());
        if base.scheme() == "http" {
            // Plain HTTP needs no certificates; an image without any must still be able to talk.
            builder = builder.tls_certs_only([]);
        }
        if is_loopback(&base) {
            builder = builder.no_proxy();
        }
        let http = builder
            .build()
            .map_err(|cause| address(format!("no HTTP client: {}", causes(&cause))))?;
        let shown = without_secrets(base.as_str().trim_end_matches('/'));
        Ok(Self { http, base, shown, namespace })
    }

    /// The engine's address as it may be shown, without a slash at the end.
    pub fn address(&self) -> &str {
        &self.shown
    }

    /// The address of a resource, each segment percent-encoded.
    fn url(&self, segments: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    fn request(&self, method: Method, segments: &[&str]) -> RequestBuilder {
        self.request_to(method, self.url(segments))
    }

    fn request_to(&self, method: Method, url: Url) -> RequestBuilder {
        self.http
            .request(method, url)
            .header("Orrery-Namespace", self.namespace.clone())
            .timeout(ANSWER_TIMEOUT)
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        let answer = request.send().await.map_err(|cause| self.unreachable(&cause))?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let status = answer.status();
        let title = status.canonical_reason().unwrap_or("no reason given");
        let mut problem = match self.bytes(answer).await {
            Ok(body) => serde_json::from_slice::<ProblemAnswer>(&body)
                .unwrap_or_else(|_| ProblemAnswer::without_document(status.as_u16(), title)),
            Err(_) => ProblemAnswer::without_document(status.as_u16(), title),
        };
        problem.status = status.as_u16();
        Err(ClientError::Refused(Box::new(problem)))
    }

    async fn read<T: DeserializeOwned>(&self, answer: Response) -> Result<T, ClientError> {
        let body = self.bytes(answer).await?;
        serde_json::from_slice(&body).map_err(|cause| self.unreadable(&cause))
    }

    /// Reads what a person will see: every text in it is made plain first.
    fn shown<T: DeserializeOwned>(&self, document: &str) -> Result<T, ClientError> {
        let document = serde_json::from_str(document).map_err(|cause| self.unreadable(&cause))?;
        serde_json::from_value(all_plain(document)).map_err(|cause| self.unreadable(&cause))
    }

    fn unreadable(&self, cause: &serde_json::Error) -> ClientError {
        let cause = plain(&cause.to_string()).into_owned();
        ClientError::Unreadable { url: self.address().to_owned(), cause }
    }

    async fn bytes(&self, mut answer: Response) -> Result<Vec<u8>, ClientError> {
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|cause| self.unreachable(&cause))? {
            body.extend_from_slice(&chunk);
            if body.len() > ANSWER_BYTES_MAX {
                let cause = format!("longer than {ANSWER_BYTES_MAX} bytes");
                return Err(ClientError::Unreadable { url: self.address().to_owned(), cause });
            }
        }
        Ok(body)
    }

    fn unreachable(&self, cause: &reqwest::Error) -> ClientError {
        ClientError::Unreachable { url: self.address().to_owned(), cause: causes(cause) }
    }
}

/// The same document, with every text and every key as a terminal may get it.
fn all_plain(document: Value) -> Value {
    match document {
        Value::String(text) => Value::String(plain(&text).into_owned()),
        Value::Array(items) => items.into_iter().map(all_plain).collect(),
        Value::Object(fields) => {
            let fields = fields.into_iter();
            fields.map(|(key, value)| (plain(&key).into_owned(), all_plain(value))).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => document,
    }
}

/// Puts a document into a request.
fn with_json<T: Serialize>(
    request: RequestBuilder,
    body: &T,
) -> Result<RequestBuilder, ClientError> {
    let bytes = serde_json::to_vec(body).map_err(|cause| {
        ClientError::Address(format!("the request cannot be written as JSON: {cause}"))
    })?;
    Ok(with_bytes(request, bytes))
}

/// Puts a JSON document, as it was written, into a request.
fn with_bytes(request: RequestBuilder, body: Vec<u8>) -> RequestBuilder {
    request.header(CONTENT_TYPE, HeaderValue::from_static("application/json")).body(body)
}

fn is_loopback(url: &Url) -> bool {
    match url.host_str() {
        Some("localhost" | "[::1]") => true,
        Some(host) => host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback()),
        None => false,
    }
}

/// The innermost cause of a transport error: the outer ones only repeat the address.
fn causes(error: &reqwest::Error) -> String {
    let mut text = "no answer".to_owned();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = inner.to_string();
        cause = inner.source();
    }
    let text = plain(&text);
    if error.is_timeout() { format!("no answer in time ({text})") } else { text.into_owned() }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test says what it expects")]
mod tests {
    use super::*;

    fn client(url: &str) -> Result<Client, ClientError> {
        Client::new(&EngineArgs { url: url.to_owned(), namespace: "default".to_owned() })
    }

    #[test]
    fn segments_are_encoded_and_a_path_in_the_address_is_kept() {
        let client = client("http://localhost:8080/orrery/").expect("a client");
        let url = client.url(&["api", "v1", "jobs", "a/b"]);
        assert_eq!(url.as_str(), "http://localhost:8080/orrery/api/v1/jobs/a%2Fb");
    }

    #[test]
    fn an_address_that_is_none_is_a_usage_error() {
        for bad in ["localhost:8080", "ftp://x", "nonsense", "mailto:a@b"] {
            let failure = CliFailure::from(client(bad).expect_err(bad));
            assert_eq!(failure.exit_code(), 2, "{bad}");
        }
    }

    #[test]
    fn a_password_is_shown_nowhere() {
        for (url, shown) in [
            ("http://me:s3cret@host:1/x", "http://***@host:1/x"),
            ("http://me:s3/cr@et@host:1/x", "http://***@host:1/x"),
            ("me:s3cret@host", "***@host"),
            ("http://host/?token=s3cret", "http://host/?***"),
            ("http://host:8080", "http://host:8080"),
        ] {
            assert_eq!(without_secrets(url), shown);
            let args = EngineArgs { url: url.to_owned(), namespace: "n".to_owned() };
            assert!(!format!("{args:?}").contains("s3cret"), "{args:?}");
            match Client::new(&args) {
                Ok(client) => assert!(!format!("{client:?}{}", client.address()).contains("s3c")),
                Err(error) => assert!(!error.to_string().contains("s3c"), "{error}"),
            }
        }
    }

    #[test]
    fn what_a_person_will_see_is_plain_also_in_its_keys() {
        let read: std::collections::BTreeMap<String, Vec<String>> = client("http://localhost")
            .expect("a client")
            .shown(r#"{"a\u001b": ["\u001b[2J\n"]}"#)
            .expect("JSON");
        let shown: Vec<_> = read.into_iter().collect();
        assert_eq!(shown, [("a\\u{1b}".to_owned(), vec!["\\u{1b}[2J\\n".to_owned()])]);
    }

    #[test]
    fn loopback_addresses_never_go_through_a_proxy() {
        for (url, loopback) in [
            ("http://127.0.0.1:1", true),
            ("http://[::1]:1", true),
            ("http://localhost", true),
            ("http://a.b", false),
        ] {
            assert_eq!(is_loopback(&Url::parse(url).expect(url)), loopback, "{url}");
        }
    }
}
