//! `orrery serve`: runs an engine until a signal ends it. It is also what runs when no command is named.
//!
//! Decides: which flag sets which key of the configuration, and what the first and the second signal do. Absent:
//! the engine itself (`app` builds it) and the rules of the configuration (`config`).

use std::path::PathBuf;

use clap::Args;
use orrery_client::console::Console;
use orrery_client::failure::CliFailure;
use orrery_client::signals;
use tokio::sync::oneshot;

use super::engine;
use crate::config::{Loaded, Sources};

/// Arguments of `orrery serve`, and of `orrery config`.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ServeArgs {
    /// A TOML file with settings; the environment (`ORRERY__SECTION__KEY`) and flags override it
    #[arg(long, value_name = "FILE", env = "ORRERY_CONFIG")]
    config: Option<PathBuf>,
    /// Address and port of the API [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// The folder of the embedded store [default: ./orrery-data]
    #[arg(long, value_name = "FOLDER")]
    data: Option<String>,
    /// Where the truth is kept instead of the folder, such as mongodb://HOSTS/DATABASE?replicaSet=NAME
    #[arg(long, value_name = "URI")]
    storage_uri: Option<String>,
    /// Serve on a public address although there is no authentication
    #[arg(long)]
    insecure_public: bool,
    /// Start although the clock and the newest stored event are far apart; the refusal says when that is right
    #[arg(long)]
    accept_clock: bool,
}

impl ServeArgs {
    /// The configuration from all its layers.
    ///
    /// # Errors
    /// Everything that is wrong with it, at once.
    pub(crate) fn load(self) -> Result<Loaded, CliFailure> {
        let (file, flags) = self.into_flags();
        Sources::of_process(file, flags)
            .load()
            .map_err(|error| CliFailure::Failed(error.to_string()))
    }

    /// The file, and the flags as the configuration takes them.
    fn into_flags(self) -> (Option<PathBuf>, Vec<(&'static str, String, String)>) {
        let given = |flag: bool| flag.then(|| "true".to_owned());
        let (insecure_public, accept_clock) =
            (given(self.insecure_public), given(self.accept_clock));
        let flags = [
            ("--listen", "server.listen", self.listen),
            ("--data", "storage.data", self.data),
            ("--storage-uri", "storage.uri", self.storage_uri),
            ("--insecure-public", "server.insecure_public", insecure_public),
            ("--accept-clock", "storage.accept_clock", accept_clock),
        ];
        let given =
            |(flag, key, value): (_, &str, Option<String>)| Some((flag, key.to_owned(), value?));
        (self.config, flags.into_iter().filter_map(given).collect())
    }
}

/// Serves until a signal.
///
/// # Errors
/// When the configuration is refused, or the engine cannot start or ends badly.
pub(crate) async fn run(args: ServeArgs, console: &Console) -> Result<(), CliFailure> {
    let settings = args.load()?.settings;
    let leave = signals::leave(console)?;
    let (ready, listening) = oneshot::channel();
    let said = console.clone();
    let announce = async move {
        if let Ok(address) = listening.await {
            said.say(&format!(
                "listening on http://{address}; API reference: http://{address}/docs"
            ));
        }
        // The engine says when it is over; this only ever adds a line.
        std::future::pending().await
    };
    tokio::select! {
        result = engine::serve(settings, leave, ready) => result,
        result = announce => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_flags_that_were_given_override_anything() {
        let (file, flags) = ServeArgs::default().into_flags();
        assert!(file.is_none() && flags.is_empty());
        let args =
            ServeArgs { data: Some("x".to_owned()), insecure_public: true, ..ServeArgs::default() };
        let keys: Vec<String> = args
            .into_flags()
            .1
            .into_iter()
            .map(|(_, key, value)| format!("{key}={value}"))
            .collect();
        assert_eq!(keys, ["storage.data=x", "server.insecure_public=true"]);
    }

    #[test]
    fn the_flags_are_keys_of_the_configuration() {
        let args = ServeArgs {
            config: None,
            listen: Some("0.0.0.0:9000".to_owned()),
            data: Some("folder".to_owned()),
            storage_uri: Some("sqlite:other".to_owned()),
            insecure_public: true,
            accept_clock: true,
        };
        let (file, flags) = args.into_flags();
        let loaded = Sources { file, environment: Vec::new(), flags }.load();
        assert!(loaded.is_ok(), "{loaded:?}");
    }
}
