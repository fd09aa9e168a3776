//! Log lines: one JSON object a line when nobody watches, readable ones on a terminal.
//! Always holds: a JSON line has `timestamp`, `level`, `target`, `message`, `service.name` and, from the spans around
//! it, whatever they carry (`trace_id`, `correlation_id`, `job_id`, `node_id`, `attempt`), an inner value over an
//! outer one; nobody who logs waits for a reader, and a stream that fails loses lines instead of ending anything
//! (`lossy`). Absent: payloads and secrets, which no layer may put into a field.

use std::fmt;
use std::io::IsTerminal as _;
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormattedFields, MakeWriter};
use tracing_subscriber::registry::{LookupSpan, Scope};

use super::lossy::Lossy;
use crate::config::{LogFormat, LogSettings};

/// How long the end of the process waits for the last lines to be taken.
const LAST_LINES: Duration = Duration::from_secs(1);
/// The lines of this process, once logging began.
static LINES: OnceLock<Lossy> = OnceLock::new();

/// What `service.name` says, as OpenTelemetry's resource attribute does.
const SERVICE_NAME: &str = "orrery";

/// Where log lines go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// The serving engine's.
    Stdout,
    /// A command's whose data goes to stdout.
    Stderr,
}

/// Logging cannot begin.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LogError {
    /// `log.level` is no filter.
    #[error("`log.level` is neither a level nor a list of directives: {0}")]
    Filter(String),
    /// Somebody installed a subscriber before.
    #[error("logging was begun twice: {0}")]
    Twice(String),
}

/// Begins logging for the whole process; once.
pub fn begin(settings: &LogSettings, to: Destination) -> Result<(), LogError> {
    let filter = filter(&settings.level)?;
    let terminal = match to {
        Destination::Stdout => std::io::stdout().is_terminal(),
        Destination::Stderr => std::io::stderr().is_terminal(),
    };
    let json = is_json(settings.format, terminal);
    let tell = if json { lost_as_json } else { lost_as_text };
    let lines = LINES.get_or_init(|| match to {
        Destination::Stdout => Lossy::stdout(tell),
        Destination::Stderr => Lossy::stderr(tell),
    });
    let lines = lines.clone();
    let installed = if json {
        tracing::subscriber::set_global_default(json_lines(filter, lines))
    } else {
        // https://no-color.org: set to anything but nothing, it asks for lines without colours.
        let plain = std::env::var_os("NO_COLOR").is_some_and(|asked| !asked.is_empty());
        tracing::subscriber::set_global_default(pretty(filter, lines, terminal && !plain))
    };
    installed.map_err(|error| LogError::Twice(error.to_string()))
}

/// Whether lines are JSON: for people on a terminal, for programs everywhere else, unless a setting says so.
fn is_json(format: LogFormat, terminal: bool) -> bool {
    match format {
        LogFormat::Json => true,
        LogFormat::Pretty => false,
        LogFormat::Auto => !terminal,
    }
}

/// Waits a moment for the last lines to be taken; before the process ends.
pub fn finish() {
    if let Some(lines) = LINES.get() {
        lines.finish(LAST_LINES);
    }
}

const LOST: &str = "log lines were lost: they were not read in time, or could not be written";

fn lost_as_json(lost: u64) -> String {
    let mut timestamp = String::new();
    // A time that cannot be written is left out; the count matters.
    let _ = SystemTime.format_time(&mut Writer::new(&mut timestamp));
    let line = serde_json::json!({
        "timestamp": timestamp, "level": "WARN", "target": module_path!(), "message": LOST, "lost": lost,
        "service.name": SERVICE_NAME,
    });
    format!("{line}\n")
}

fn lost_as_text(lost: u64) -> String {
    format!("WARN {lost} {LOST}\n")
}

/// Whether `log.level` can be used; for `config check`.
pub fn check(settings: &LogSettings) -> Result<(), LogError> {
    filter(&settings.level).map(drop)
}

fn filter(level: &str) -> Result<EnvFilter, LogError> {
    EnvFilter::try_new(level).map_err(|error| LogError::Filter(error.to_string()))
}

fn json_lines<W>(filter: EnvFilter, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .fmt_fields(JsonFields::new())
        .event_format(JsonLine)
        .with_writer(writer)
        .finish()
}

fn pretty<W>(filter: EnvFilter, writer: W, coloured: bool) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(coloured)
        .with_writer(writer)
        .finish()
}

/// One flat JSON object a line.
struct JsonLine;

impl<S> FormatEvent<S, JsonFields> for JsonLine
where
    S: Subscriber + for<'l> LookupSpan<'l>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = Map::new();
        for span in context.event_scope().into_iter().flat_map(Scope::from_root) {
            let extensions = span.extensions();
            let fields = extensions.get::<FormattedFields<JsonFields>>();
            if let Some(Ok(Value::Object(fields))) =
                fields.map(|fields| serde_json::from_str(&fields.fields))
            {
                line.extend(fields);
            }
        }
        event.record(&mut LineFields(&mut line));
        let mut timestamp = String::new();
        SystemTime.format_time(&mut Writer::new(&mut timestamp))?;
        line.insert("timestamp".to_owned(), timestamp.into());
        line.insert("level".to_owned(), event.metadata().level().as_str().into());
        line.insert("target".to_owned(), event.metadata().target().into());
        line.insert("service.name".to_owned(), SERVICE_NAME.into());
        writeln!(writer, "{}", Value::Object(line))
    }
}

/// Writes an event's fields into the line.
struct LineFields<'a>(&'a mut Map<String, Value>);

impl LineFields<'_> {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for LineFields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex, PoisonError};

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_is_one_flat_object_with_the_fields_of_its_spans()
    -> Result<(), Box<dyn std::error::Error>> {
        let sink = Sink::default();
        let writer = sink.clone();
        let subscriber = json_lines(filter("info")?, move || writer.clone());
        tracing::subscriber::with_default(subscriber, || {
            let request = tracing::info_span!("request", correlation_id = "c-1", attempt = 1_u64);
            let _in_request = request.enter();
            let node = tracing::info_span!("node", attempt = 2_u64);
            let _in_node = node.enter();
            tracing::info!(job_id = %"j-1", slow = true, "said \"so\"\nin two lines");
            tracing::debug!("not at this level");
        });
        let text =
            String::from_utf8(sink.0.lock().unwrap_or_else(PoisonError::into_inner).clone())?;
        assert_eq!(text.lines().count(), 1, "{text}");
        let line: Value = serde_json::from_str(&text)?;
        assert_eq!(line["message"], "said \"so\"\nin two lines");
        assert_eq!((&line["level"], &line["service.name"]), (&"INFO".into(), &"orrery".into()));
        assert_eq!((&line["correlation_id"], &line["job_id"]), (&"c-1".into(), &"j-1".into()));
        assert_eq!((&line["attempt"], &line["slow"]), (&2.into(), &true.into()));
        assert!(line["timestamp"].as_str().is_some_and(|at| at.ends_with('Z')), "{line}");
        Ok(())
    }

    #[test]
    fn a_line_is_for_people_on_a_terminal_and_for_programs_elsewhere()
    -> Result<(), Box<dyn std::error::Error>> {
        assert!(!is_json(LogFormat::Auto, true) && is_json(LogFormat::Auto, false));
        assert!(is_json(LogFormat::Json, true) && !is_json(LogFormat::Pretty, false));
        for coloured in [true, false] {
            let sink = Sink::default();
            let writer = sink.clone();
            let subscriber = pretty(filter("info")?, move || writer.clone(), coloured);
            tracing::subscriber::with_default(subscriber, || {
                let request = tracing::info_span!("request", correlation_id = "c-1");
                let _in_request = request.enter();
                tracing::warn!(job_id = %"j-1", "it is late");
            });
            let text =
                String::from_utf8(sink.0.lock().unwrap_or_else(PoisonError::into_inner).clone())?;
            for part in ["WARN", "request", "c-1", "it is late", "j-1"] {
                assert!(text.contains(part), "{part}: {text}");
            }
            assert_eq!(text.contains("\u{1b}["), coloured, "{text:?}");
        }
        Ok(())
    }

    #[test]
    fn a_filter_that_means_nothing_is_refused() {
        let settings =
            |level: &str| LogSettings { level: level.to_owned(), format: LogFormat::Json };
        assert!(check(&settings("info,orrery::engine=debug")).is_ok());
        assert!(check(&settings("orrery=loud")).is_err());
    }
}
