//! The rules between the values: ranges, and inequalities without which the engine would work against itself.
//! Every rule names the key to change, and why. Types and unknown keys were settled before (`layers.rs`).

use std::time::Duration;

use domain::bounds::{LEASE_MS_MAX, LEASE_MS_MIN, TIMEOUT_MS_MAX, TIMEOUT_MS_MIN};

use super::key::Raw;
use super::layers::Values;
use super::{ServiceSettings, SettingOrigin, SettingProblem, Settings};

/// No duration is longer than this (a year): beyond it somebody counted in the wrong unit.
const MS_MAX: i64 = 366 * 24 * 3_600 * 1_000;
/// No count or size is larger than this: it would not fit the machine, and sums of two must not overflow.
const COUNT_MAX: i64 = 1 << 50;
/// Zero means something only here: no delay, no time-out of its own, no reserve.
const MAY_BE_ZERO: &[&str] = &[
    "server.drain_delay_ms",
    "engine.default_queue_timeout_ms",
    "storage.free_space_min_bytes",
    "storage.reserve_bytes",
    "retention.finished_keep_ms",
    "retention.finished_jobs_max",
];
/// An append larger than this is refused by the stores (design section 6: a single command goes alone up to it).
const APPEND_BYTES_MAX: usize = 12 * 1_024 * 1_024;
/// A job that is over is kept at least so long.
const KEEP_MIN: Duration = Duration::from_mins(1);
/// Passes through all jobs are at least so far apart.
const LOOK_EVERY_MIN: Duration = Duration::from_secs(1);
/// Missed heartbeats after which a service, or an engine, counts as gone.
pub(super) const HEARTBEATS_MISSED: u32 = 3;

/// Whole numbers: at least one where zero has no meaning, and below what is surely a slip.
pub(super) fn ranges(values: &Values) -> Vec<SettingProblem> {
    let mut rules = Rules { values, problems: Vec::new() };
    for (key, (raw, _)) in values {
        let Raw::Int(number) = raw else { continue };
        let min = i64::from(!MAY_BE_ZERO.contains(&key.as_str()));
        let max = match key {
            key if key.ends_with("_ms") => MS_MAX,
            key if key.ends_with("_pct") => 100,
            _ => COUNT_MAX,
        };
        rules.need((min..=max).contains(number), key, &format!("must be from {min} to {max}"));
    }
    rules.problems
}

/// Everything between the values that does not fit.
pub(super) fn rules(settings: &Settings, values: &Values) -> Vec<SettingProblem> {
    let mut rules = Rules { values, problems: Vec::new() };
    rules.server(settings);
    rules.engine(settings);
    rules.quotas(settings);
    rules.retention(settings);
    for (name, service) in settings.services.iter() {
        rules.service(name, service);
    }
    if let Some(rule) = settings.storage.refused() {
        rules.refuse("storage.uri", rule);
    }
    for (key, rule) in settings.cluster.refused() {
        rules.refuse(key, rule);
    }
    rules.need(is_log_filter(&settings.log.level), "log.level", LOG_LEVEL_RULE);
    // What `services.default` breaks, every service without its own breaks again.
    rules.problems.dedup();
    rules.problems
}

/// What `log.level` may be, for whoever wrote something else.
const LOG_LEVEL_RULE: &str = "must be off, error, warn, info, debug or trace, or a list with a target each, such as \
                              info,orrery::engine=debug";
const LOG_LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Whether every part says which level. The library takes any other word for a target, and then logs all of that and
/// nothing else.
fn is_log_filter(text: &str) -> bool {
    let is_level = |word: &str| LOG_LEVELS.contains(&word.to_ascii_lowercase().as_str());
    text.split(',').all(|part| match part.rsplit_once('=') {
        // A span's fields have signs of their own, which the library reads when logging begins.
        _ if part.contains(['[', ']', '{', '}']) => true,
        Some((target, level)) => {
            !target.is_empty() && !target.contains(char::is_whitespace) && is_level(level)
        }
        None => is_level(part),
    })
}

struct Rules<'a> {
    values: &'a Values,
    problems: Vec<SettingProblem>,
}

impl Rules<'_> {
    fn refuse(&mut self, key: &str, rule: impl Into<String>) {
        let origin =
            self.values.get(key).map_or(SettingOrigin::Default, |(_, origin)| origin.clone());
        self.problems.push(SettingProblem::Refused {
            key: key.to_owned(),
            origin,
            rule: rule.into(),
        });
    }

    fn need(&mut self, holds: bool, key: &str, rule: &str) {
        if !holds {
            self.refuse(key, rule);
        }
    }

    fn server(&mut self, settings: &Settings) {
        let server = &settings.server;
        self.need(
            server.insecure_public || server.listen.ip().is_loopback(),
            "server.listen",
            "is a public address, and there is no authentication yet: listen on 127.0.0.1, or say --insecure-public \
             (server.insecure_public = true) when only trusted clients can reach it",
        );
        self.need(
            server.request_timeout > server.long_poll_max,
            "server.request_timeout_ms",
            "must be longer than server.long_poll_max_ms, or a long poll that finds nothing ends as an error",
        );
        self.need(
            server.drain_deadline > server.drain_delay,
            "server.drain_deadline_ms",
            "must be longer than server.drain_delay_ms, which is a part of it",
        );
        self.need(
            server.body_max_bytes >= settings.bounds.payload_max_bytes,
            "server.body_max_bytes",
            "must be at least bounds.payload_max_bytes, or an allowed input could not be sent",
        );
        self.need(
            server.bodies_max_bytes >= server.body_max_bytes.saturating_mul(2),
            "server.bodies_max_bytes",
            "must be at least twice server.body_max_bytes, or an allowed body would find no room",
        );
        self.need(
            server.urgent_bodies_max_bytes >= server.body_max_bytes,
            "server.urgent_bodies_max_bytes",
            "must be at least server.body_max_bytes, or an allowed report would find no room",
        );
    }

    fn engine(&mut self, settings: &Settings) {
        let engine = &settings.engine;
        self.need(
            in_range(engine.default_lease, LEASE_MS_MIN, LEASE_MS_MAX),
            "engine.default_lease_ms",
            &format!("must be from {LEASE_MS_MIN} to {LEASE_MS_MAX}, as every lease"),
        );
        self.need(
            engine
                .default_queue_timeout
                .is_none_or(|wait| in_range(wait, TIMEOUT_MS_MIN, TIMEOUT_MS_MAX)),
            "engine.default_queue_timeout_ms",
            &format!(
                "must be 0 (none) or from {TIMEOUT_MS_MIN} to {TIMEOUT_MS_MAX}, as every time-out"
            ),
        );
        self.need(
            engine.view_lag_max > engine.view_flush,
            "engine.view_lag_max_ms",
            "must be longer than engine.view_flush_ms, or the view is always too far behind",
        );
        self.need(
            engine.batch_bytes_max <= APPEND_BYTES_MAX,
            "engine.batch_bytes_max",
            &format!("must be at most {APPEND_BYTES_MAX}, the largest append"),
        );
    }

    fn quotas(&mut self, settings: &Settings) {
        self.need(
            settings.quotas.queues_max >= settings.bounds.nodes_max,
            "quotas.queues_max",
            "must be at least bounds.nodes_max: a job may have a queue for each of its nodes",
        );
    }

    fn retention(&mut self, settings: &Settings) {
        self.need(
            settings.retention.finished_keep.is_none_or(|keep| keep >= KEEP_MIN),
            "retention.finished_keep_ms",
            "must be 0 (for ever) or at least 60000, so that whoever waits for a job sees its end",
        );
        self.need(
            settings.retention.look_every >= LOOK_EVERY_MIN,
            "retention.look_every_ms",
            "must be at least 1000: a pass looks at every job",
        );
    }

    fn service(&mut self, name: &str, service: &ServiceSettings) {
        let key = |setting: &str| {
            let own = format!("services.{name}.{setting}");
            if self.values.contains_key(&own) { own } else { format!("services.default.{setting}") }
        };
        let (timeout, min) = (key("operation_timeout_ms"), key("breaker.min_calls"));
        self.need(
            service.operation_timeout < service.heartbeat * HEARTBEATS_MISSED,
            &timeout,
            "must be shorter than three times heartbeat_ms, or a service that is only slow looks dead",
        );
        self.need(
            service.breaker.min_calls <= service.breaker.window_calls,
            &min,
            "must be at most breaker.window_calls, or the breaker never judges",
        );
    }
}

fn in_range(wait: Duration, min_ms: u64, max_ms: u64) -> bool {
    (Duration::from_millis(min_ms)..=Duration::from_millis(max_ms)).contains(&wait)
}
