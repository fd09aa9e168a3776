//! What the layers promise: order, origins, errors that name the way out, secrets unseen.

use std::time::Duration;

use super::{ConfigError, Loaded, LogFormat, SettingOrigin, SettingProblem, Settings, Sources};

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn with_env(pairs: &[(&str, &str)]) -> Sources {
    let environment = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Sources { environment, ..Sources::default() }
}

fn with_file(toml: &str) -> Result<(tempfile::NamedTempFile, Sources), std::io::Error> {
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), toml)?;
    let sources = Sources { file: Some(file.path().to_owned()), ..Sources::default() };
    Ok((file, sources))
}

fn refused(sources: &Sources) -> String {
    match sources.load() {
        Ok(_) => "accepted".to_owned(),
        Err(error) => error.to_string(),
    }
}

fn shown<'a>(loaded: &'a Loaded, key: &str) -> Option<&'a super::ShownValue> {
    loaded.values.iter().find(|line| line.key == key)
}

#[test]
fn the_defaults_are_what_the_design_says() -> Result<(), ConfigError> {
    let settings = Settings::defaults()?;
    assert_eq!(settings.server.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(settings.server.body_max_bytes, 8 * 1_024 * 1_024);
    assert_eq!(settings.server.long_poll_max, Duration::from_secs(30));
    assert_eq!(settings.storage.folder(), std::path::Path::new("./orrery-data"));
    assert_eq!(settings.engine.cancel_grace, Duration::from_secs(30));
    assert_eq!(
        (settings.engine.batch_events_max, settings.engine.batch_bytes_max),
        (2_000, 1_024 * 1_024)
    );
    assert_eq!(settings.engine.default_queue_timeout, Some(Duration::from_hours(168)));
    assert_eq!(settings.bounds.to_bounds(), domain::bounds::Bounds::default());
    assert_eq!(settings.quotas.to_quotas(), domain::bounds::Quotas::default());
    assert_eq!(settings.log.format, LogFormat::Auto);
    assert_eq!(settings.services.of("job_scheduler"), settings.services.of("default"));
    Ok(())
}

#[test]
fn every_default_is_explained() {
    let lines: Vec<&str> = include_str!("../../config/default.toml").lines().collect();
    for pair in lines.windows(2) {
        let [above, line] = pair else { continue };
        let is_key = |line: &str| line.contains('=') && !line.starts_with('#');
        // Keys that belong together share the comment above the first.
        assert!(
            !is_key(line) || above.starts_with('#') || is_key(above),
            "no comment above: {line}"
        );
    }
}

#[test]
fn the_production_file_starts_once_its_owner_accepts_a_public_address() -> Outcome {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/config/production.toml");
    let mut sources = Sources { file: Some(path.into()), ..Sources::default() };
    assert!(refused(&sources).contains("public address"));
    sources.flags.push((
        "--insecure-public",
        "server.insecure_public".to_owned(),
        "true".to_owned(),
    ));
    assert_eq!(sources.load()?.settings.server.drain_delay, Duration::from_secs(5));
    Ok(())
}

#[test]
fn a_flag_beats_the_environment_beats_the_file_beats_the_default() -> Outcome {
    let (_file, mut sources) =
        with_file("[server]\nlisten = \"127.0.0.1:1\"\nlong_polls_max = 7\nconnections_max = 9\n")?;
    sources.environment.push(("ORRERY__SERVER__LISTEN".to_owned(), "127.0.0.1:2".to_owned()));
    sources.environment.push(("ORRERY__SERVER__LONG_POLLS_MAX".to_owned(), "8".to_owned()));
    sources.environment.push(("PATH".to_owned(), "/bin".to_owned()));
    sources.flags.push(("--listen", "server.listen".to_owned(), "127.0.0.1:3".to_owned()));
    let loaded = sources.load()?;
    let server = &loaded.settings.server;
    assert_eq!((server.listen.port(), server.long_polls_max, server.connections_max), (3, 8, 9));
    let origin = |key: &str| shown(&loaded, key).map(|line| line.origin.clone());
    assert_eq!(origin("server.listen"), Some(SettingOrigin::Flag("--listen".to_owned())));
    let variable = "ORRERY__SERVER__LONG_POLLS_MAX".to_owned();
    assert_eq!(origin("server.long_polls_max"), Some(SettingOrigin::Environment(variable)));
    assert!(matches!(origin("server.connections_max"), Some(SettingOrigin::File(_))));
    assert_eq!(origin("engine.park_after_ms"), Some(SettingOrigin::Default));
    Ok(())
}

#[test]
fn localhost_is_an_address_and_a_filter_of_targets_is_a_level() -> Outcome {
    let good = [
        ("ORRERY__SERVER__LISTEN", "localhost:9000"),
        ("ORRERY__LOG__LEVEL", "WARN,orrery::engine=debug,[request]=trace"),
    ];
    let settings = with_env(&good).load()?.settings;
    assert_eq!(settings.server.listen.to_string(), "127.0.0.1:9000");
    crate::telemetry::log::check(&settings.log)?;
    Ok(())
}

#[test]
fn an_unknown_key_names_the_nearest_known_one() -> Outcome {
    let (_file, sources) = with_file("[engine]\nbatch_event_max = 1\n")?;
    let error = refused(&sources);
    assert!(error.contains("unknown key `engine.batch_event_max`"), "{error}");
    assert!(error.contains("nearest known key is `engine.batch_events_max`"), "{error}");
    let error = refused(&with_env(&[("ORRERY__LOG__LEVLE", "info")]));
    assert!(error.contains("env ORRERY__LOG__LEVLE") && error.contains("`log.level`"), "{error}");
    let error = refused(&with_env(&[("ORRERY__SERVICES__JOB_SCHEDULR__HEARTBEAT_MS", "1")]));
    assert!(error.contains("`services.job_scheduler.heartbeat_ms`"), "{error}");
    Ok(())
}

#[test]
fn every_problem_is_named_at_once() -> Outcome {
    let (_file, mut sources) =
        with_file("nonsense = 1\n[server]\nlisten = 5\n[engine]\npark_after_ms = 1.5\n")?;
    sources.environment.push(("ORRERY__LOG__LEVEL".to_owned(), " ".to_owned()));
    let problems = sources.load().err().map(|error| error.problems().len());
    assert_eq!(problems, Some(4));
    Ok(())
}

#[test]
fn a_wrong_type_or_range_names_the_key_and_its_origin() {
    for (name, value, said) in [
        (
            "ORRERY__SERVER__BODY_MAX_BYTES",
            "8MB",
            "`server.body_max_bytes` (env ORRERY__SERVER__BODY_MAX_BYTES) must be a whole number",
        ),
        ("ORRERY__SERVER__LONG_POLLS_MAX", "0", "must be from 1 to"),
        ("ORRERY__ENGINE__PARK_AFTER_MS", "-1", "must be from 1 to"),
        ("ORRERY__SERVICES__DEFAULT__BREAKER__FAILURE_RATE_PCT", "300", "must be from 1 to 100"),
        ("ORRERY__SERVER__INSECURE_PUBLIC", "yes", "must be true or false"),
        (
            "ORRERY__SERVER__LISTEN",
            "localhost",
            "`server.listen` (env ORRERY__SERVER__LISTEN) cannot be used: it must be an address and a port",
        ),
        (
            "ORRERY__SERVER__LISTEN",
            "example.org:80",
            "such as 127.0.0.1:8080, [::1]:8080 or localhost:8080",
        ),
        (
            "ORRERY__LOG__LEVEL",
            "warning",
            "`log.level` (env ORRERY__LOG__LEVEL) must be off, error, warn, info,",
        ),
        (
            "ORRERY__LOG__LEVEL",
            "info,orrery=loud",
            "must be off, error, warn, info, debug or trace",
        ),
        ("ORRERY__LOG__LEVEL", "orrery", "must be off, error, warn, info, debug or trace"),
        ("ORRERY__LOG__LEVEL", "info,", "must be off, error, warn, info, debug or trace"),
        ("ORRERY__LOG__FORMAT", "xml", "`log.format` (env ORRERY__LOG__FORMAT) cannot be used"),
    ] {
        let error = refused(&with_env(&[(name, value)]));
        assert!(error.contains(said), "{name}={value}: {error}");
    }
}

#[test]
fn a_rule_between_two_keys_is_kept() {
    for (name, value, said) in [
        ("ORRERY__SERVER__LISTEN", "0.0.0.0:8080", "no authentication yet"),
        ("ORRERY__SERVER__LISTEN", "[::]:8080", "no authentication yet"),
        ("ORRERY__SERVER__REQUEST_TIMEOUT_MS", "30000", "longer than server.long_poll_max_ms"),
        ("ORRERY__SERVER__DRAIN_DELAY_MS", "25000", "longer than server.drain_delay_ms"),
        ("ORRERY__ENGINE__DEFAULT_LEASE_MS", "100", "must be from 5000"),
        ("ORRERY__ENGINE__VIEW_FLUSH_MS", "5000", "longer than engine.view_flush_ms"),
        (
            "ORRERY__SERVICES__DRIVER__OPERATION_TIMEOUT_MS",
            "15000",
            "`services.driver.operation_timeout_ms`",
        ),
        (
            "ORRERY__SERVICES__DEFAULT__BREAKER__MIN_CALLS",
            "101",
            "`services.default.breaker.min_calls`",
        ),
    ] {
        let error = refused(&with_env(&[(name, value)]));
        assert!(error.contains(said), "{name}={value}: {error}");
        assert_eq!(error.lines().count(), 2, "said once: {error}");
    }
}

#[test]
fn a_service_differs_only_in_what_its_own_section_says() -> Outcome {
    let (_file, sources) = with_file(
        "[services.default]\noperations_max = 5\n[services.driver]\nheartbeat_ms = 9000\nbreaker.open_ms = 7\n",
    )?;
    let services = sources.load()?.settings.services;
    let (driver, other) = (services.of("driver"), services.of("view_writer"));
    assert_eq!((driver.heartbeat, driver.operations_max), (Duration::from_secs(9), 5));
    assert_eq!(driver.breaker.open, Duration::from_millis(7));
    assert_eq!((other.heartbeat, other.operations_max), (Duration::from_secs(5), 5));
    Ok(())
}

#[test]
fn a_mongodb_uri_is_taken_and_never_shown_whole() -> Outcome {
    let uri = "mongodb://me:hunter2@h/db";
    let sources = with_env(&[("ORRERY__STORAGE__URI", uri)]);
    let loaded = sources.load()?;
    assert_eq!(loaded.settings.storage.mongodb_uri(), Some(uri));
    assert!(!format!("{sources:?} {loaded:?}").contains("hunter2"));
    assert_eq!(loaded.settings.storage.masked_uri(), "mongodb://me:***@h/db");
    assert_eq!(Settings::defaults()?.storage.mongodb_uri(), None);
    for uri in ["postgres://h", "sqlite://h", "sqlite", "/folder", "mongodb:h", "mongodb"] {
        assert_ne!(refused(&with_env(&[("ORRERY__STORAGE__URI", uri)])), "accepted", "{uri}");
    }
    Ok(())
}

#[test]
fn a_sqlite_uri_may_name_the_folder() -> Outcome {
    for (uri, folder) in [("", "./orrery-data"), ("sqlite:", "./orrery-data"), ("sqlite:/x", "/x")]
    {
        let settings = with_env(&[("ORRERY__STORAGE__URI", uri)]).load()?.settings;
        assert_eq!(settings.storage.folder(), std::path::Path::new(folder));
    }
    Ok(())
}

#[test]
fn a_secret_comes_from_its_file_and_is_never_shown() -> Outcome {
    let secret = tempfile::NamedTempFile::new()?;
    std::fs::write(secret.path(), "sqlite:/from-file\n")?;
    let path = secret.path().display().to_string();
    let loaded = with_env(&[("ORRERY__STORAGE__URI_FILE", &path)]).load()?;
    assert_eq!(loaded.settings.storage.folder(), std::path::Path::new("/from-file"));
    let line = shown(&loaded, "storage.uri").map(|line| line.origin.to_string());
    assert_eq!(line, Some(format!("file {path}, named by env ORRERY__STORAGE__URI_FILE")));
    assert!(!format!("{:?}", loaded.settings).contains("/from-file"));

    let twice =
        with_env(&[("ORRERY__STORAGE__URI_FILE", &path), ("ORRERY__STORAGE__URI", "sqlite:")]);
    let problems = twice.load().err().map(|error| error.problems().to_vec());
    assert!(matches!(problems.as_deref(), Some([SettingProblem::SecretTwice { .. }])));
    let missing = with_env(&[("ORRERY__STORAGE__URI_FILE", "/nowhere/at/all")]);
    assert!(refused(&missing).contains("cannot read /nowhere/at/all"));
    Ok(())
}

#[test]
fn a_file_that_is_missing_or_not_toml_is_named() -> Outcome {
    let sources = Sources { file: Some("/nowhere.toml".into()), ..Sources::default() };
    assert!(refused(&sources).contains("cannot read /nowhere.toml"));
    let (_file, sources) = with_file("[server\n")?;
    assert!(refused(&sources).contains("is not valid TOML"));
    Ok(())
}
