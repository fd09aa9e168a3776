//! Whether a server can keep the engine's promises: a replica set or mongos, new enough, with a journal behind
//! its majorities.
//! Always holds: what is wrong is said with what to do about it; what the user may not ask is passed over (the engine
//! sets its own concerns on every call), with a line in the log.
//! Absent: the schema (migrations), and whether the user may write (its first write tells).

use bson::{Bson, Document, doc};
use mongodb::Client;
use mongodb::options::{ClientOptions, ServerAddress};

use super::{Cause, MongoConnection, StartError, elections};

/// The oldest server that is tested with.
const MAJOR_MIN: u32 = 6;

/// What runs at start.
pub(super) async fn check(
    connection: &MongoConnection,
    options: &ClientOptions,
) -> Result<(), StartError> {
    let unsuitable = |reason: String| StartError::Unsuitable { hosts: connection.hosts(), reason };
    let hello = match connection.command("a first look at MongoDB", true, doc! { "hello": 1 }).await
    {
        Ok(hello) => hello,
        Err(error) => return Err(explained(connection, options, error.cause).await),
    };
    let is_mongos = hello.get_str("msg").is_ok_and(|is| is == "isdbgrid");
    if !is_mongos && hello.get_str("setName").is_err() {
        return Err(unsuitable(STANDALONE.to_owned()));
    }
    let build = connection.command("the version", true, doc! { "buildInfo": 1 }).await?;
    let version = build.get_str("version").unwrap_or("0");
    if major(version) < MAJOR_MIN {
        return Err(unsuitable(format!("it is version {version}; take {MAJOR_MIN}.0 or later")));
    }
    if !is_mongos {
        feature_version(connection).await?;
        replica_set(connection, &hello).await?;
    }
    default_concerns(connection).await;
    Ok(())
}

const STANDALONE: &str = "it is a standalone server, and what it acknowledged can be lost. Start it with --replSet \
                          NAME and run rs.initiate() once; one member is enough";

/// The number before the first dot.
fn major(version: &str) -> u32 {
    version.split('.').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// Asks what may be asked; nothing when the user may not.
async fn ask(
    connection: &MongoConnection,
    what: &'static str,
    command: Document,
) -> Option<Document> {
    match connection.command(what, true, command).await {
        Ok(answer) => Some(answer),
        Err(error) => {
            tracing::info!(%error, "not checked");
            None
        }
    }
}

async fn feature_version(connection: &MongoConnection) -> Result<(), StartError> {
    let command = doc! { "getParameter": 1, "featureCompatibilityVersion": 1 };
    let Some(answer) = ask(connection, "the feature compatibility version", command).await else {
        return Ok(());
    };
    let version = answer
        .get_document("featureCompatibilityVersion")
        .and_then(|inner| inner.get_str("version"))
        .unwrap_or("0");
    if major(version) >= MAJOR_MIN {
        return Ok(());
    }
    Err(StartError::Unsuitable {
        hosts: connection.hosts(),
        reason: format!(
            "its feature compatibility version is {version}; run db.adminCommand({{setFeatureCompatibilityVersion: \
             \"{MAJOR_MIN}.0\"}})"
        ),
    })
}

async fn replica_set(connection: &MongoConnection, hello: &Document) -> Result<(), StartError> {
    let count = |field: &str| hello.get_array(field).map_or(0, Vec::len);
    let (arbiters, members) = (count("arbiters"), count("hosts"));
    // With as many arbiters as can be lost, one lost data member leaves no majority that can write.
    if arbiters > 0 {
        tracing::warn!(
            arbiters,
            members,
            "an arbiter holds no data: with one data member down, nothing is acknowledged; make it a data member"
        );
    }
    let Some(answer) =
        ask(connection, "the replica set's configuration", doc! { "replSetGetConfig": 1 }).await
    else {
        return Ok(());
    };
    let config = answer.get_document("config").cloned().unwrap_or_default();
    if members > 1 {
        elections(connection, &config).await;
    }
    let journaled = config.get_bool("writeConcernMajorityJournalDefault").unwrap_or(true);
    if journaled {
        return Ok(());
    }
    Err(StartError::Unsuitable {
        hosts: connection.hosts(),
        reason: "its replica set has writeConcernMajorityJournalDefault: false, so that a majority may forget what \
                 it acknowledged; set it to true with rs.reconfig()"
            .to_owned(),
    })
}

/// Says when a primary that hangs would hold everything up for longer than it must.
async fn elections(connection: &MongoConnection, config: &Document) {
    let mut command = doc! { "getParameter": 1 };
    command.extend(elections::parameters().map(|name| (name.to_owned(), Bson::Int32(1))));
    // Of the primary only, and of the others one hopes the same.
    let parameters = ask(connection, "how long members read from one that hangs", command).await;
    if let Some(advice) = elections::advice(config, parameters.as_ref()) {
        tracing::warn!(
            advice,
            "a primary that hangs would hold up all writes for 10 to 30 s instead of 5; see docs/operations.md, Elections"
        );
    }
}

/// Other programs on the same database (mongosh, exports) use the defaults; the engine sets its own.
async fn default_concerns(connection: &MongoConnection) {
    let command = doc! { "getDefaultRWConcern": 1 };
    let Some(answer) = ask(connection, "the default concerns", command).await else { return };
    let weak = answer
        .get_document("defaultWriteConcern")
        .is_ok_and(|concern| concern.get("w").is_some_and(|w| w.as_str() != Some("majority")));
    if weak {
        tracing::warn!(
            "the default write concern is not majority: what others than the engine write can be lost"
        );
    }
}

/// Why no primary answered: asks each server by itself what it is.
async fn explained(
    connection: &MongoConnection,
    options: &ClientOptions,
    cause: Cause,
) -> StartError {
    let hosts = connection.hosts();
    let unreachable = |reason: String| StartError::Unreachable { hosts: hosts.clone(), reason };
    match cause {
        Cause::Unreachable(_) | Cause::Late(_) => {}
        Cause::Credentials
        | Cause::Forbidden(_)
        | Cause::Full
        | Cause::Refused { .. }
        | Cause::Unstorable(_)
        | Cause::Ended => {
            return StartError::Unsuitable { hosts, reason: cause.to_string() };
        }
    }
    let mut last = cause.to_string();
    for host in &options.hosts {
        match alone(connection, options, host).await {
            Ok(hello) if hello.get_bool("isreplicaset").unwrap_or(false) => {
                return unreachable(
                    "its replica set is not initiated; run rs.initiate() once".to_owned(),
                );
            }
            Ok(hello) => match hello.get_str("setName") {
                Err(_) => {
                    return StartError::Unsuitable { hosts, reason: STANDALONE.to_owned() };
                }
                Ok(name) if options.repl_set_name.as_deref().is_some_and(|asked| asked != name) => {
                    return unreachable(format!(
                        "its replica set is called {name}; write replicaSet={name} in storage.uri"
                    ));
                }
                Ok(_) => "its replica set has no primary at the moment; look at rs.status()"
                    .clone_into(&mut last),
            },
            Err(Cause::Credentials) => {
                return StartError::Unsuitable { hosts, reason: Cause::Credentials.to_string() };
            }
            Err(cause) => last = format!("{cause}; is it running, and is its address right?"),
        }
    }
    unreachable(last)
}

/// What one server says of itself.
async fn alone(
    connection: &MongoConnection,
    options: &ClientOptions,
    host: &ServerAddress,
) -> Result<Document, Cause> {
    let mut direct = options.clone();
    direct.hosts = vec![host.clone()];
    direct.direct_connection = Some(true);
    direct.repl_set_name = None;
    direct.credential = None;
    let client = Client::with_options(direct).map_err(Cause::from)?;
    let asked = client.clone();
    let answer = connection.calls().make("a look at one server", async move {
        asked.database("admin").run_command(doc! { "hello": 1 }).await
    });
    let answer = answer.await.map_err(|error| error.cause);
    let ended = connection.calls().make("the end of a look", async move {
        client.shutdown().immediate(true).await;
        Ok(())
    });
    // How it ends changes nothing.
    let _ = ended.await;
    answer
}
