//! `orrery config check | show`: what the engine would start with, and where each value comes from.

use clap::{Args, Subcommand};
use orrery_client::console::{Console, Format};
use orrery_client::failure::CliFailure;
use serde_json::{Map, json};

use super::serve::ServeArgs;

/// Arguments of `orrery config`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    verb: ConfigVerb,
}

#[derive(Debug, Clone, Subcommand)]
enum ConfigVerb {
    /// Exit 0 if an engine would start with these settings; name everything that is wrong if not
    Check(ServeArgs),
    /// Every setting, its value and its origin; secrets are masked
    Show {
        #[command(flatten)]
        settings: ServeArgs,
        /// How they are shown
        #[arg(short, long, value_enum, default_value_t)]
        output: Format,
    },
}

/// Checks or shows the configuration.
///
/// # Errors
/// Everything that is wrong with it.
pub(crate) fn run(args: ConfigArgs, console: &Console) -> Result<(), CliFailure> {
    match args.verb {
        ConfigVerb::Check(settings) => {
            let loaded = settings.load()?;
            console.say(&format!("{} settings, all good", loaded.values.len()));
            Ok(())
        }
        ConfigVerb::Show { settings, output } => {
            let values = settings.load()?.values;
            if output == Format::Json {
                let shown = values.iter().map(|shown| {
                    let line = json!({ "value": shown.value, "origin": shown.origin.to_string() });
                    (shown.key.clone(), line)
                });
                return console.json(&shown.collect::<Map<_, _>>());
            }
            let mut rows = vec![["KEY", "VALUE", "ORIGIN"].map(str::to_owned).to_vec()];
            rows.extend(
                values
                    .into_iter()
                    .map(|shown| vec![shown.key, shown.value, shown.origin.to_string()]),
            );
            console.table(&rows)
        }
    }
}
