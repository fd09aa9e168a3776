//! `orrery migrate status | up`: the schema of the database that `storage.uri` names. An engine does the same at its
//! start; this is for those who want to look, or to do it before they roll out.
//!
//! Always: `status` and `up --dry-run` change nothing. Absent: going back.

use clap::{Args, Subcommand};
use orrery_client::console::{Console, Format};
use orrery_client::failure::CliFailure;
use serde_json::json;

use super::engine;
use super::serve::ServeArgs;
use crate::app::SchemaStep;

/// Arguments of `orrery migrate`.
#[derive(Debug, Clone, Args)]
pub(crate) struct MigrateArgs {
    #[command(subcommand)]
    verb: MigrateVerb,
}

#[derive(Debug, Clone, Subcommand)]
enum MigrateVerb {
    /// Show which migrations are applied
    Status {
        #[command(flatten)]
        settings: ServeArgs,
        /// How they are shown
        #[arg(short, long, value_enum, default_value_t)]
        output: Format,
    },
    /// Apply those that are missing; waits while an engine does
    Up {
        #[command(flatten)]
        settings: ServeArgs,
        /// Only show what would be applied
        #[arg(long)]
        dry_run: bool,
    },
}

/// Looks at the schema, or brings it up to date.
///
/// # Errors
/// When the database cannot be used, or its schema is newer than this version knows.
pub(crate) async fn run(args: MigrateArgs, console: &Console) -> Result<(), CliFailure> {
    match args.verb {
        MigrateVerb::Status { settings, output } => {
            let steps = engine::schema(&settings.load()?.settings).await?;
            show(&steps, output, console)
        }
        MigrateVerb::Up { settings, dry_run: true } => {
            let steps = engine::schema(&settings.load()?.settings).await?;
            let missing: Vec<_> =
                steps.into_iter().filter(|step| step.applied_at.is_none()).collect();
            for step in &missing {
                console.data(&format!("-- {:04} {}: {}", step.number, step.name, step.why))?;
                for command in &step.commands {
                    console.text(command)?;
                }
            }
            console.say(&format!("{} migrations would be applied", missing.len()));
            Ok(())
        }
        MigrateVerb::Up { settings, dry_run: false } => {
            let applied = engine::schema_up(&settings.load()?.settings).await?;
            for step in &applied {
                console.say(&format!("applied {:04} {}", step.number, step.name));
            }
            if applied.is_empty() {
                console.say("the schema is up to date");
            }
            Ok(())
        }
    }
}

fn show(steps: &[SchemaStep], output: Format, console: &Console) -> Result<(), CliFailure> {
    if output == Format::Json {
        let shown: Vec<_> = steps
            .iter()
            .map(|step| {
                json!({
                    "number": step.number,
                    "name": step.name,
                    "checksum": step.checksum,
                    "applied_at": step.applied_at,
                })
            })
            .collect();
        return console.json(&shown);
    }
    let mut rows = vec![["NUMBER", "NAME", "APPLIED"].map(str::to_owned).to_vec()];
    rows.extend(steps.iter().map(|step| {
        let applied = step.applied_at.clone().unwrap_or_else(|| "not yet".to_owned());
        vec![format!("{:04}", step.number), step.name.clone(), applied]
    }));
    console.table(&rows)
}
