//! Every metric's name, kind and meaning, and the recorder behind `/metrics`.
//! Always holds: names are snake_case in base units (`_seconds`, `_bytes`, `_total`); labels hold no ids and nothing
//! a caller chooses freely without a bound. Absent: a listener of its own; the HTTP layer serves `render`.

use std::sync::OnceLock;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows; its name ends in `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A distribution of seconds or counts.
    Histogram,
}

/// One metric, as it is described to Prometheus.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// The name, as it is recorded under.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// Which labels it carries.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
}

macro_rules! metric_names {
    ($($constant:ident = $name:literal, $kind:ident, [$($label:literal),*], $help:literal;)+) => {
        $(#[doc = $help] pub const $constant: &str = $name;)+

        /// Every metric there is.
        pub const METRICS: &[Metric] = &[
            $(Metric { name: $name, kind: Kind::$kind, labels: &[$($label),*], help: $help },)+
        ];
    };
}

metric_names! {
    BUILD_INFO = "orrery_build_info", Gauge, ["version"], "Always 1; the labels say what runs.";
    LOG_LINES_LOST = "orrery_log_lines_lost_total", Counter, [],
        "Lines of the log, and messages, that were lost because nobody read them or their stream failed.";
    CLOCK_AHEAD = "orrery_clock_ahead_seconds", Gauge, [], "How far the engine's clock is ahead of its source.";
    CLOCK_STEPS = "orrery_clock_steps_total", Counter, [], "How often the clock stepped forward to its source.";

    HTTP_REQUEST_DURATION = "http_server_request_duration_seconds", Histogram,
        ["http_request_method", "http_route", "http_response_status_code"], "Time from a request's head to its answer.";
    HTTP_ACTIVE_REQUESTS = "http_server_active_requests", Gauge, ["http_request_method"], "Requests being answered.";
    HTTP_CONNECTIONS = "http_server_connections", Gauge, [], "Open connections.";
    HTTP_TURNED_AWAY = "http_server_connections_refused_total", Counter, [],
        "Connections closed at once because as many were open as may be.";
    HTTP_REFUSED = "orrery_requests_refused_total", Counter, ["urgency"],
        "Requests refused before their body was read, because the engine had too much to do.";
    LONG_POLLS = "orrery_long_polls", Gauge, [], "Lease requests waiting for work.";

    SUBJECTS = "orrery_subjects", Gauge, [], "Jobs and environments held in memory.";
    JOBS = "orrery_jobs", Gauge, ["state"], "Jobs in memory that are not over, by their state; parked ones are not counted.";
    JOBS_SUBMITTED = "orrery_jobs_submitted_total", Counter, [], "Jobs that were made.";
    JOBS_ENDED = "orrery_jobs_ended_total", Counter, ["outcome"], "Jobs that ended, by how they ended.";
    READY_NODES = "orrery_ready_nodes", Gauge, [], "Nodes offered to workers, over all queues.";
    RUNNING_ATTEMPTS = "orrery_running_attempts", Gauge, [], "Attempts leased to workers.";
    NODE_ATTEMPTS = "orrery_node_attempts_total", Counter, ["outcome"], "Attempts that ended, by how they ended.";
    RETRIES = "orrery_retries_total", Counter, ["class", "outcome"],
        "Retries by the class of the failure before: scheduled, succeeded, exhausted (no execution or time left), cancelled.";
    LEASE_EXPIRATIONS = "orrery_lease_expirations_total", Counter, [], "Leases that ended because nobody renewed them.";
    STALE_REPORTS = "orrery_stale_reports_total", Counter, [], "Reports refused because their lease was lost.";
    HEARTBEAT_DETAILS_DROPPED = "orrery_heartbeat_details_dropped_total", Counter, [], "Heartbeats whose details were not kept, because too much is kept already.";

    COMMAND_QUEUE = "orrery_command_queue", Gauge, [], "Commands waiting to be decided.";
    APPEND_DURATION = "orrery_append_duration_seconds", Histogram, [], "Time of one durable write of a batch.";
    APPEND_EVENTS = "orrery_append_batch_events", Histogram, [], "Events in one durable write.";
    APPENDS = "orrery_appends_total", Counter, [], "Durable writes that were answered, each of one or many subjects.";
    CONFLICTS = "orrery_append_conflicts_total", Counter, [], "Subjects whose append another writer forestalled.";
    EVENTS = "orrery_events_total", Counter, [], "Events made durable.";
    VIEW_LAG = "orrery_view_lag_seconds", Gauge, [], "How far the view is behind the streams.";

    ENGINES = "orrery_engines", Gauge, [], "Engines that live, as this one sees them, itself included.";
    GROUPS_DRIVEN = "orrery_groups_driven", Gauge, [], "Groups of jobs, of 64, that this engine drives.";
    GROUP_DRIVEN = "orrery_group_driven", Gauge, ["group"], "1 while this engine drives the group, else 0.";
    GROUP_SUBJECTS = "orrery_group_subjects", Gauge, ["group"], "Jobs and environments of the group held in memory.";
    GROUP_READING = "orrery_group_streams_reading", Gauge, ["group"],
        "Streams of the group that are being read into memory; what is asked of them waits.";
    GROUP_LOAD_DURATION = "orrery_group_load_duration_seconds", Histogram, [],
        "Time from the taking of a group until all that is due in it was read: it does not move before.";
    SUBJECTS_LEFT = "orrery_subjects_left_total", Counter, ["why"],
        "Subjects that left memory: parked until they are due, or retired because they are over and shown.";
    NOTICES = "orrery_append_notices_total", Counter, ["way"],
        "Words between engines about appends to what another one drives: written here, read here.";
    GROUP_TAKEOVERS = "orrery_group_takeovers_total", Counter, ["from"],
        "Groups taken over, from an engine that was dead or when they were free.";
    GROUP_HAND_OVERS = "orrery_group_handovers_total", Counter, [], "Groups handed over to other engines.";
    RENEWAL_AGE = "orrery_engine_renewal_age_seconds", Gauge, [],
        "How long ago the engine's tenure was renewed; at 10 s others may take over what it drives.";
    FORWARDS = "orrery_forwards_total", Counter, ["outcome"],
        "Requests passed on to the engine that drives their subject; what is not answered there is decided here.";
    FORWARD_DURATION = "orrery_forward_duration_seconds", Histogram, [], "Time of one request passed on, there and back.";
    FORWARD_REQUESTS = "orrery_forward_batch_requests", Histogram, [], "Requests that were passed on together.";
    FORWARDED = "orrery_forwarded_requests_total", Counter, ["outcome"], "Requests that other engines passed on to this one.";

    FINISHED_JOBS = "orrery_finished_jobs", Gauge, [], "Jobs that are over and kept, at the last pass of retention.";
    JOBS_DELETED = "orrery_jobs_deleted_total", Counter, ["reason"], "Jobs that retention let go of, by age or count.";
    PAYLOADS_SWEPT = "orrery_payloads_swept_total", Counter, [],
        "Stored payloads removed because the record that brought them never came.";

    LOOP_LAG = "orrery_loop_lag_seconds", Histogram, ["loop"], "How late a tick ran after it was due.";
    SERVICE_UP = "orrery_service_up", Gauge, ["service"], "1 while the service is running, else 0.";
    SERVICE_PANICS = "orrery_service_panics_total", Counter, ["service"], "Panics caught in a service.";
    SERVICE_TICKS = "orrery_service_ticks_total", Counter, ["service", "tick", "outcome"], "Ticks, by how they ended.";
    SERVICE_TICK_DURATION = "orrery_service_tick_duration_seconds", Histogram, ["service", "tick"], "Time of one tick.";
    SERVICE_OPERATIONS = "orrery_service_operations_total", Counter, ["service", "operation", "outcome"],
        "Operations, by how they ended.";
    SERVICE_OPERATION_DURATION = "orrery_service_operation_duration_seconds", Histogram, ["service", "operation"],
        "Time of one operation, its wait for a place included.";
    SERVICE_BREAKER_OPEN = "orrery_service_breaker_open", Gauge, ["service", "operation"],
        "1 while the breaker of an operation kind lets nothing or only trials through.";
}

/// Buckets of times in seconds: the HTTP convention's, begun lower, because ticks and appends take microseconds.
const SECONDS_BUCKETS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Buckets of counts, up to the most events a batch holds by default.
const COUNT_BUCKETS: &[f64] =
    &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0, 2_000.0];

/// The process's recorder. A process has one, whoever asks first installs it.
static RECORDER: OnceLock<Result<Recorder, MetricsError>> = OnceLock::new();

/// Looks at the process itself.
static PROCESS: OnceLock<metrics_process::Collector> = OnceLock::new();

fn described() -> metrics_process::Collector {
    let collector = metrics_process::Collector::default();
    collector.describe();
    collector
}

/// Reads what was recorded.
#[derive(Clone)]
pub struct Recorder {
    handle: PrometheusHandle,
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Recorder")
    }
}

/// Why there is no recorder.
#[derive(Clone, Debug, thiserror::Error)]
#[error("metrics cannot be recorded: {0}")]
pub struct MetricsError(String);

/// Installs the recorder, or gives the one that is installed.
pub fn install() -> Result<Recorder, MetricsError> {
    RECORDER.get_or_init(install_first).clone()
}

fn install_first() -> Result<Recorder, MetricsError> {
    let failed = |error: metrics_exporter_prometheus::BuildError| MetricsError(error.to_string());
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS_BUCKETS)
        .map_err(failed)?
        .set_buckets_for_metric(Matcher::Suffix("_events".to_owned()), COUNT_BUCKETS)
        .map_err(failed)?
        .set_buckets_for_metric(Matcher::Full(FORWARD_REQUESTS.to_owned()), COUNT_BUCKETS)
        .map_err(failed)?
        .build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).map_err(|error| MetricsError(error.to_string()))?;
    describe();
    metrics::gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    Ok(Recorder { handle })
}

/// Moves what was recorded since the last time into the buckets. Without it, what is recorded between two scrapes is
/// kept value by value; the services' pumps call it at every heartbeat, so memory stays bounded unscraped.
pub fn upkeep() {
    if let Some(Ok(recorder)) = RECORDER.get() {
        recorder.handle.run_upkeep();
    }
}

impl Recorder {
    /// The text that `/metrics` answers with (Prometheus exposition format).
    pub fn render(&self) -> String {
        // CPU, memory and open files under Prometheus' own names (`process_*`), as they are now.
        PROCESS.get_or_init(described).collect();
        self.handle.run_upkeep();
        self.handle.render()
    }
}

fn describe() {
    for metric in METRICS {
        match metric.kind {
            Kind::Counter => metrics::describe_counter!(metric.name, metric.help),
            Kind::Gauge => metrics::describe_gauge!(metric.name, metric.help),
            Kind::Histogram => metrics::describe_histogram!(metric.name, metric.help),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_convention() {
        for metric in METRICS {
            let name = metric.name;
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{name}");
            assert_eq!(metric.kind == Kind::Counter, name.ends_with("_total"), "{name}");
            assert!(
                !metric.labels.iter().any(|label| label.ends_with("_id")),
                "{name} has an id as a label"
            );
            assert_eq!(
                METRICS.iter().filter(|other| other.name == name).count(),
                1,
                "{name} is there twice"
            );
        }
    }

    #[test]
    fn what_is_recorded_is_rendered_with_its_meaning() -> Result<(), MetricsError> {
        let recorder = install()?;
        metrics::histogram!(APPEND_DURATION).record(0.003);
        let text = install()?.render();
        assert!(
            text.contains("# HELP orrery_append_duration_seconds Time of one durable write"),
            "{text}"
        );
        assert!(text.contains("orrery_append_duration_seconds_bucket{le=\"0.005\"}"), "{text}");
        assert!(recorder.render().contains("orrery_build_info{version="));
        Ok(())
    }
}
