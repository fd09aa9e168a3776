//! What a URI may say, and what the engine sets whatever it says (`reliability.md` section 4).
//! Always holds: majority and journaled writes, majority reads from the primary, both retried once by the driver; a
//! URI can shorten a time or take fewer connections, never weaken a promise. An option that would is refused by name.
//! Absent: any network but the DNS look-up of mongodb+srv.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "every other word of the driver may quote a password"
)]

use std::time::Duration;

use mongodb::options::{
    Acknowledgment, ClientOptions, ConnectionString, ReadConcern, ReadPreference,
    SelectionCriteria, WriteConcern,
};

use super::StartError;

/// The database when the URI's path names none.
const DATABASE_DEFAULT: &str = "orrery";
/// Databases of the server itself.
const DATABASES_OF_THE_SERVER: [&str; 3] = ["admin", "local", "config"];
/// For finding a primary: below every deadline of an HTTP client (the driver's 30 s is not).
const SELECTION_MAX: Duration = Duration::from_secs(5);
/// For connecting; with `HEARTBEAT_MAX` it decides how long a hung primary goes unnoticed (4.2 s as measured).
const CONNECT_MAX: Duration = Duration::from_secs(2);
/// Between looks at each server.
const HEARTBEAT_MAX: Duration = Duration::from_secs(1);
/// Connections of one engine.
const POOL_MAX: u32 = 50;
/// Fewer would let a slow list hold up appends.
const POOL_MIN: u32 = 8;

/// Options with which the driver would not do what the engine relies on, and why.
const REFUSED: &[(&str, &str)] = &[
    ("sockettimeoutms", "the engine has its own deadline for every call; leave it out"),
    ("timeoutms", "the engine has its own deadline for every call; leave it out"),
    ("waitqueuetimeoutms", "the engine has its own deadline for every call; leave it out"),
    ("directconnection", "the engine must follow elections; leave it out"),
    ("loadbalanced", "the engine needs a replica set or mongos of its own choice; leave it out"),
];

/// What the engine connects with, and to which database.
pub(super) async fn options_of(uri: &str) -> Result<(ClientOptions, String), StartError> {
    let refused = |reason: String| StartError::Uri(reason);
    refuse_by_name(uri)?;
    let parsed = ConnectionString::parse(uri).map_err(|error| refused(said(&error)))?;
    weaker(&parsed)?;
    let database = parsed.default_database.clone().unwrap_or_else(|| DATABASE_DEFAULT.to_owned());
    if DATABASES_OF_THE_SERVER.contains(&database.as_str()) {
        return Err(refused(format!(
            "names the server's own database {database}; take another path, or none for {DATABASE_DEFAULT}"
        )));
    }
    let mut options = ClientOptions::parse(uri).await.map_err(|error| refused(said(&error)))?;
    let at_most =
        |given: Option<Duration>, most: Duration| Some(given.map_or(most, |g| g.min(most)));
    options.app_name = Some(options.app_name.take().unwrap_or_else(|| "orrery".to_owned()));
    options.connect_timeout = at_most(options.connect_timeout, CONNECT_MAX);
    options.heartbeat_freq = at_most(options.heartbeat_freq, HEARTBEAT_MAX);
    options.server_selection_timeout = at_most(options.server_selection_timeout, SELECTION_MAX);
    options.max_pool_size =
        Some(options.max_pool_size.map_or(POOL_MAX, |given| given.clamp(POOL_MIN, POOL_MAX)));
    options.retry_reads = Some(true);
    options.retry_writes = Some(true);
    options.read_concern = Some(ReadConcern::majority());
    options.write_concern = Some(durable());
    options.selection_criteria = Some(SelectionCriteria::ReadPreference(ReadPreference::Primary));
    Ok((options, database))
}

/// A majority has it, in its journal.
pub(super) fn durable() -> WriteConcern {
    let mut concern = WriteConcern::majority();
    concern.journal = Some(true);
    concern
}

fn refuse_by_name(uri: &str) -> Result<(), StartError> {
    let options = uri.split_once('?').map_or("", |(_, options)| options);
    for option in options.split('&') {
        let name = option.split('=').next().unwrap_or_default();
        let lower = name.to_ascii_lowercase();
        if let Some((_, reason)) = REFUSED.iter().find(|(refused, _)| *refused == lower) {
            return Err(StartError::Uri(format!("has the option {name}: {reason}")));
        }
    }
    Ok(())
}

/// Refuses what would weaken a promise.
fn weaker(uri: &ConnectionString) -> Result<(), StartError> {
    let refuse = |option: &str, only: &str| {
        Err(StartError::Uri(format!(
            "has the option {option}: only {only} keeps what was acknowledged; leave it out"
        )))
    };
    if let Some(concern) = &uri.write_concern {
        if concern.w.as_ref().is_some_and(|w| *w != Acknowledgment::Majority) {
            return refuse("w", "w=majority");
        }
        if concern.journal == Some(false) {
            return refuse("journal", "journal=true");
        }
    }
    if uri.read_concern.as_ref().is_some_and(|concern| *concern != ReadConcern::majority()) {
        return refuse("readConcernLevel", "readConcernLevel=majority");
    }
    if uri.read_preference.as_ref().is_some_and(|from| *from != ReadPreference::Primary) {
        return refuse("readPreference", "readPreference=primary");
    }
    if uri.retry_reads == Some(false) || uri.retry_writes == Some(false) {
        return refuse("retryReads or retryWrites", "true");
    }
    Ok(())
}

/// The driver's words about a URI, which quote options but neither user nor password.
fn said(error: &mongodb::error::Error) -> String {
    match &*error.kind {
        mongodb::error::ErrorKind::InvalidArgument { message, .. } => message.clone(),
        mongodb::error::ErrorKind::DnsResolve { message, .. } => {
            format!("names a host that DNS does not know: {message}")
        }
        _ => "cannot be read".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn refusal(uri: &str) -> String {
        options_of(uri).await.map_or_else(|error| error.to_string(), |_| String::new())
    }

    #[tokio::test]
    async fn what_the_engine_relies_on_is_set_whatever_the_uri_says() {
        let uri = "mongodb://u:secret@h1,h2/here?replicaSet=r&connectTimeoutMS=90000&heartbeatFrequencyMS=60000&maxPoolSize=900";
        let (options, database) = match options_of(uri).await {
            Ok(options) => options,
            Err(error) => panic!("{error}"),
        };
        assert_eq!(database, "here");
        assert_eq!(options.connect_timeout, Some(CONNECT_MAX));
        assert_eq!(options.heartbeat_freq, Some(HEARTBEAT_MAX));
        assert_eq!(options.server_selection_timeout, Some(SELECTION_MAX));
        assert_eq!(options.max_pool_size, Some(POOL_MAX));
        assert_eq!(options.write_concern, Some(durable()));
        assert_eq!(options.read_concern, Some(ReadConcern::majority()));
        assert_eq!((options.retry_reads, options.retry_writes), (Some(true), Some(true)));
    }

    #[tokio::test]
    async fn a_uri_may_tighten() {
        let uri =
            "mongodb://h/?serverSelectionTimeoutMS=900&maxPoolSize=20&w=majority&journal=true";
        let (options, database) = match options_of(uri).await {
            Ok(options) => options,
            Err(error) => panic!("{error}"),
        };
        assert_eq!(database, DATABASE_DEFAULT);
        assert_eq!(options.server_selection_timeout, Some(Duration::from_millis(900)));
        assert_eq!(options.max_pool_size, Some(20));
    }

    #[tokio::test]
    async fn what_would_weaken_a_promise_is_refused_by_name() {
        for (option, named) in [
            ("socketTimeoutMS=5", "socketTimeoutMS"),
            ("timeoutMS=5", "timeoutMS"),
            ("w=1", "option w:"),
            ("journal=false", "journal"),
            ("readConcernLevel=local", "readConcernLevel"),
            ("readPreference=secondary", "readPreference"),
            ("retryWrites=false", "retryWrites"),
            ("directConnection=true", "directConnection"),
            ("nonsense=[", ""),
        ] {
            let said = refusal(&format!("mongodb://user:pa55word@h/db?{option}")).await;
            assert!(said.contains("storage.uri") && said.contains(named), "{option}: {said}");
            assert!(!said.contains("pa55word"), "{said}");
        }
        for uri in ["mongodb://h/admin", "mongodb://", "mongodb://user:pa55word@h:notaport/db"] {
            let said = refusal(uri).await;
            assert!(said.contains("storage.uri") && !said.contains("pa55word"), "{uri}: {said}");
        }
    }
}
