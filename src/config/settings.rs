//! The settings as types: durations as `Duration`, addresses parsed, one struct a section.
//! Always holds: every field is a key of `config/default.toml` and the other way round; a key without a field, or a
//! field without a key, fails the tests. To add a setting: the key with its comment there, the field here, its rule
//! in `check.rs`.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use domain::bounds::{Bounds, Quotas};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::key::Raw;
use super::layers::Values;
use super::{ClusterSettings, SettingOrigin, SettingProblem, StorageSettings};

/// Everything that can be set.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The HTTP server.
    pub server: ServerSettings,
    /// Where the truth is kept.
    pub storage: StorageSettings,
    /// The engine core.
    pub engine: EngineSettings,
    /// Several engines on one database.
    pub cluster: ClusterSettings,
    /// What is kept of jobs that are over.
    pub retention: RetentionSettings,
    /// Limits of what is submitted.
    pub bounds: BoundsSettings,
    /// What one tenant may take up.
    pub quotas: QuotaSettings,
    /// Each service's own.
    pub services: ServicesSettings,
    pub log: LogSettings,
}

/// The `[server]` section.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct ServerSettings {
    /// Where to listen.
    #[serde(deserialize_with = "listen")]
    pub listen: SocketAddr,
    /// Listen on a public address although there is no authentication.
    pub insecure_public: bool,
    /// Names that it may be called by beside its own, with commas between them.
    pub hosts: String,
    /// Bytes of the largest request body.
    pub body_max_bytes: usize,
    /// The longest wait of one lease request.
    #[serde(rename = "long_poll_max_ms", deserialize_with = "ms")]
    pub long_poll_max: Duration,
    /// Lease requests waiting at once.
    pub long_polls_max: usize,
    /// Lease requests of one namespace waiting at once.
    pub long_polls_namespace_max: usize,
    /// The whole request, long poll included.
    #[serde(rename = "request_timeout_ms", deserialize_with = "ms")]
    pub request_timeout: Duration,
    /// For a client to send its request's head.
    #[serde(rename = "header_read_timeout_ms", deserialize_with = "ms")]
    pub header_read_timeout: Duration,
    /// For a client to go on with its request's body.
    #[serde(rename = "body_idle_timeout_ms", deserialize_with = "ms")]
    pub body_idle_timeout: Duration,
    /// Bytes a second at which a body must come, after that time.
    pub body_least_bytes_per_s: u32,
    /// For a client to go on taking its answer.
    #[serde(rename = "write_timeout_ms", deserialize_with = "ms")]
    pub write_timeout: Duration,
    /// Submissions worked on at once.
    pub submissions_max: usize,
    /// Bytes of request bodies held at once.
    pub bodies_max_bytes: usize,
    /// The same of reports, heartbeats and cancels, beside the others.
    pub urgent_bodies_max_bytes: usize,
    /// The share of connections, of bytes and of waiting requests that one address may have, percent.
    pub peer_share_pct: u8,
    /// Between "not ready" and "no new connections" at shutdown.
    #[serde(rename = "drain_delay_ms", deserialize_with = "ms")]
    pub drain_delay: Duration,
    /// The whole shutdown.
    #[serde(rename = "drain_deadline_ms", deserialize_with = "ms")]
    pub drain_deadline: Duration,
    pub connections_max: usize,
    /// Memory in pages of 2 MB, where the system has them to give.
    pub huge_pages: bool,
}

/// The `[engine]` section.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct EngineSettings {
    /// What running attempts get to report after a cancel.
    #[serde(rename = "cancel_grace_ms", deserialize_with = "ms")]
    pub cancel_grace: Duration,
    /// Of a node that says none itself; `None` when it may wait for ever.
    #[serde(rename = "default_queue_timeout_ms", deserialize_with = "ms_or_none")]
    pub default_queue_timeout: Option<Duration>,
    /// Of a worker that does not say how long.
    #[serde(rename = "default_lease_ms", deserialize_with = "ms")]
    pub default_lease: Duration,
    /// Events that close a batch.
    pub batch_events_max: usize,
    /// Bytes that close a batch.
    pub batch_bytes_max: usize,
    /// Commands waiting to be decided.
    pub command_queue_max: usize,
    /// A submission that would wait longer for its append is refused.
    #[serde(rename = "submit_delay_max_ms", deserialize_with = "ms")]
    pub submit_delay_max: Duration,
    /// After it an append's outcome is unknown.
    #[serde(rename = "append_deadline_ms", deserialize_with = "ms")]
    pub append_deadline: Duration,
    /// A subject with nothing to do for this long leaves the memory.
    #[serde(rename = "park_after_ms", deserialize_with = "ms")]
    pub park_after: Duration,
    /// Growth of a stream between snapshots.
    pub snapshot_every_events: u64,
    /// Between writes to the view.
    #[serde(rename = "view_flush_ms", deserialize_with = "ms")]
    pub view_flush: Duration,
    /// Beyond it submissions are refused.
    #[serde(rename = "view_lag_max_ms", deserialize_with = "ms")]
    pub view_lag_max: Duration,
    /// Pages of nodes in the view, where it is a database that people look into.
    pub view_node_pages: bool,
}

/// The `[retention]` section.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct RetentionSettings {
    /// Jobs that are over go so long after their last change; `None`: never by age.
    #[serde(rename = "finished_keep_ms", deserialize_with = "ms_or_none")]
    pub finished_keep: Option<Duration>,
    /// More jobs that are over than this are not kept; 0: any number.
    pub finished_jobs_max: u64,
    /// Between two passes through all jobs.
    #[serde(rename = "look_every_ms", deserialize_with = "ms")]
    pub look_every: Duration,
}

/// The `[bounds]` section.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct BoundsSettings {
    /// Nodes of one job.
    pub nodes_max: usize,
    /// Edges of one job.
    pub edges_max: usize,
    /// Parents, and children, of one node.
    pub fan_max: usize,
    /// Bytes of one input or output.
    pub payload_max_bytes: usize,
}

impl BoundsSettings {
    /// As the rules take them.
    pub fn to_bounds(&self) -> Bounds {
        Bounds {
            nodes_max: self.nodes_max,
            edges_max: self.edges_max,
            fan_max: self.fan_max,
            payload_bytes_max: self.payload_max_bytes,
        }
    }
}

/// The `[quotas]` section.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct QuotaSettings {
    /// Jobs of a namespace that are not over and in memory.
    pub live_jobs_max: usize,
    /// Queues of a namespace in use.
    pub queues_max: usize,
    /// Environments of a namespace.
    pub environments_max: usize,
    /// Namespaces with live jobs or environments.
    pub namespaces_max: usize,
    /// Commands with an Idempotency-Key that one job or environment remembers.
    pub keyed_commands_max: usize,
}

impl QuotaSettings {
    /// As the core and the rules take them.
    pub fn to_quotas(&self) -> Quotas {
        Quotas {
            live_jobs_max: self.live_jobs_max,
            queues_max: self.queues_max,
            environments_max: self.environments_max,
            namespaces_max: self.namespaces_max,
            keyed_commands_max: self.keyed_commands_max,
        }
    }
}

/// The `[services.*]` sections, each completed from `[services.default]`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(transparent)]
pub struct ServicesSettings(BTreeMap<String, ServiceSettings>);

impl ServicesSettings {
    /// What holds for this service: its own section, else `services.default`.
    pub fn of(&self, name: &str) -> ServiceSettings {
        // `default` is always there: its keys stand in the defaults.
        self.0.get(name).or_else(|| self.0.get("default")).cloned().unwrap_or_default()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &ServiceSettings)> {
        self.0.iter().map(|(name, settings)| (name.as_str(), settings))
    }
}

/// One service's settings.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct ServiceSettings {
    /// How often it shows that it lives.
    #[serde(rename = "heartbeat_ms", deserialize_with = "ms")]
    pub heartbeat: Duration,
    /// A tick or operation is given up after it.
    #[serde(rename = "operation_timeout_ms", deserialize_with = "ms")]
    pub operation_timeout: Duration,
    /// Operations at once; as many again may wait.
    pub operations_max: usize,
    /// Stops an operation kind that keeps failing.
    pub breaker: BreakerSettings,
}

/// When an operation kind is stopped, and for how long.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct BreakerSettings {
    /// Latest calls that are judged.
    pub window_calls: usize,
    /// Fewer are not judged.
    pub min_calls: usize,
    /// Opens at or above this share of failures, in per cent.
    pub failure_rate_pct: u8,
    /// How long it stays open.
    #[serde(rename = "open_ms", deserialize_with = "ms")]
    pub open: Duration,
    /// Trials when half open.
    pub half_open_permits: usize,
}

/// The `[log]` section.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct LogSettings {
    /// A level, or directives by target.
    pub level: String,
    /// How a line looks.
    pub format: LogFormat,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Pretty on a terminal, JSON elsewhere.
    Auto,
    /// One object a line.
    Json,
    /// Free text that only people read.
    Pretty,
}

impl Settings {
    /// Types the merged values. Their keys and kinds are known to be right, so what can fail is a range or a form.
    pub(super) fn from_values(values: &Values) -> Result<Self, SettingProblem> {
        let mut tree = Map::new();
        // A service's own section holds only what differs, so the default's keys are laid below it first.
        let mut services: Vec<&str> = values
            .keys()
            .filter_map(|key| key.strip_prefix("services.")?.split('.').next())
            .collect();
        services.dedup();
        for (key, (raw, _)) in values {
            match key.strip_prefix("services.default.") {
                Some(setting) => {
                    for name in &services {
                        put(&mut tree, &format!("services.{name}.{setting}"), raw);
                    }
                }
                None if key.starts_with("services.") => {}
                None => put(&mut tree, key, raw),
            }
        }
        for (key, (raw, _)) in values.iter().filter(|(key, _)| key.starts_with("services.")) {
            put(&mut tree, key, raw);
        }
        serde_path_to_error::deserialize(Value::Object(tree))
            .map_err(|error| located(&error, values))
    }

    /// The defaults, for tests and `demo`.
    pub fn defaults() -> Result<Self, super::ConfigError> {
        super::Sources::default().load().map(|loaded| loaded.settings)
    }
}

/// Writes `raw` at the dotted `key`, making the tables on its way.
fn put(tree: &mut Map<String, Value>, key: &str, raw: &Raw) {
    let (tables, name) = key.rsplit_once('.').unwrap_or(("", key));
    let mut at = tree;
    for table in tables.split('.').filter(|table| !table.is_empty()) {
        let inner = at.entry(table).or_insert_with(|| Value::Object(Map::new()));
        // No key of ours is a value and a table at once.
        let Value::Object(inner) = inner else { return };
        at = inner;
    }
    let value = match raw {
        Raw::Bool(flag) => Value::Bool(*flag),
        Raw::Int(number) => Value::from(*number),
        Raw::Text(text) => Value::String(text.clone()),
        Raw::Other => Value::Null,
    };
    at.insert(name.to_owned(), value);
}

fn located(
    error: &serde_path_to_error::Error<serde_json::Error>,
    values: &Values,
) -> SettingProblem {
    let key = error.path().to_string();
    let origin = values.get(&key).map_or(SettingOrigin::Default, |(_, origin)| origin.clone());
    SettingProblem::Refused { key, origin, rule: format!("cannot be used: {}", error.inner()) }
}

fn ms<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u64::deserialize(deserializer).map(Duration::from_millis)
}

/// An address and port, or `localhost` and a port. No other name is looked up: where it leads may change, and then the
/// engine would listen to others.
fn listen<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    let local = text.strip_prefix("localhost:").and_then(|port| port.parse().ok());
    let local = local.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    text.parse().ok().or(local).ok_or_else(|| {
        serde::de::Error::custom(
            "it must be an address and a port, such as 127.0.0.1:8080, [::1]:8080 or localhost:8080",
        )
    })
}

fn ms_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    ms(deserializer).map(|wait| (!wait.is_zero()).then_some(wait))
}
