//! `orrery policies list | show | create | replace | delete | preview`: the retry policies that a namespace keeps, and what
//! any of them would do.
//!
//! Always: a document goes out as it was written, for the engine to judge. Absent: any retry arithmetic; a preview is the
//! engine's.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "every other failure of a file is told in the system's words"
)]

use std::io;
use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args, Subcommand};
use orrery_bench::document;
use serde_json::{Map, Value, json};

use super::api::shapes::{PolicyPreview, PolicyShape};
use super::api::{Client, EngineArgs};
use super::console::{Console, Format};
use super::failure::CliFailure;
use super::random;

/// What a policy document says beside the policy: a preview has no use for it.
const ABOUT: [&str; 5] = ["name", "description", "tags", "metadata", "applicable_job_types"];

/// Arguments of `orrery policies`.
#[derive(Debug, Clone, Args)]
pub struct PoliciesArgs {
    #[command(flatten)]
    engine: EngineArgs,
    #[command(subcommand)]
    verb: PoliciesVerb,
}

#[derive(Debug, Clone, Subcommand)]
enum PoliciesVerb {
    /// The policies, by name
    List {
        /// The page, from 1
        #[arg(long, value_name = "N", default_value_t = 1)]
        page: u64,
        /// Policies on a page, at most 100
        #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=100))]
        page_size: u64,
        /// How they are shown
        #[arg(short, long, value_enum, default_value_t)]
        output: Format,
    },
    /// Show one policy
    Show {
        /// Its id, or its name
        policy: String,
        /// How it is shown
        #[arg(short, long, value_enum, default_value_t)]
        output: Format,
    },
    /// Keep a policy
    Create {
        /// The policy's document, or - for standard input
        file: PathBuf,
        /// How it is shown
        #[arg(short, long, value_enum, default_value_t)]
        output: Format,
    },
    /// Let a policy say something else; jobs that are there keep what they were submitted with
    Replace {
        /// Its id, or its name
        policy: String,
        /// The policy's document, or - for standard input
        file: PathBuf,
        /// Only while it has this version
        #[arg(long, value_name = "N")]
        if_version: Option<u64>,
        /// How it is shown
        #[arg(short, long, value_enum, default_value_t)]
        output: Format,
    },
    /// Keep a policy no longer; jobs that are there keep what they were submitted with
    Delete {
        /// Its id, or its name
        policy: String,
        /// Only while it has this version
        #[arg(long, value_name = "N")]
        if_version: Option<u64>,
    },
    /// Show what a policy would do with attempts that all fail in one way; nothing is stored
    Preview(PreviewArgs),
}

/// Arguments of `orrery policies preview`.
#[derive(Debug, Clone, Args)]
#[command(group(ArgGroup::new("which").required(true).args(["policy", "file"])))]
struct PreviewArgs {
    /// The id or name of a policy that is kept
    policy: Option<String>,
    /// The document of one that need not be, or - for standard input
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Attempts that are shown, at most 1,000
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    attempts: u64,
    /// The type of the failures
    #[arg(long = "type", value_name = "TYPE")]
    error_type: Option<String>,
    /// Their class; absent: derived
    #[arg(long, value_name = "CLASS")]
    class: Option<String>,
    /// The HTTP status of what failed
    #[arg(long, value_name = "STATUS")]
    status: Option<u16>,
    /// How it is shown
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// Looks at policies, changes them, or shows what one would do.
///
/// # Errors
/// When a file cannot be read, the engine refuses it or is away.
pub async fn run(args: PoliciesArgs, console: &Console) -> Result<(), CliFailure> {
    let client = Client::new(&args.engine)?;
    match args.verb {
        PoliciesVerb::List { page, page_size, output } => {
            let (read, document) = client.policies(page, page_size).await?;
            if output == Format::Json {
                return console.json(&document);
            }
            let heading = ["NAME", "STRATEGY", "EXECUTIONS", "VERSION", "UPDATED", "ID"];
            let mut rows = vec![heading.map(str::to_owned).to_vec()];
            rows.extend(read.retry_policies.iter().map(row));
            console.table(&rows)?;
            if read.has_next {
                console.say(&format!("more: orrery policies list --page {}", page + 1));
            }
            Ok(())
        }
        PoliciesVerb::Show { policy, output } => {
            let (read, document) = client.policy(&policy).await?;
            if output == Format::Json { console.json(&document) } else { show(&read, console) }
        }
        PoliciesVerb::Create { file, output } => {
            let document = read_document(&file)?;
            let (made, answer) = client.create_policy(document, &random::fresh_id()).await?;
            if output == Format::Json {
                return console.json(&answer);
            }
            console.data(&made.id)?;
            console.say(&format!("jobs name it with {{\"policy_id\": \"{}\"}}", made.name));
            Ok(())
        }
        PoliciesVerb::Replace { policy, file, if_version, output } => {
            let document = read_document(&file)?;
            let (now, answer) = client.replace_policy(&policy, document, if_version).await?;
            if output == Format::Json { console.json(&answer) } else { show(&now, console) }
        }
        PoliciesVerb::Delete { policy, if_version } => {
            client.delete_policy(&policy, if_version).await?;
            console.say(&format!("{policy} is not kept any more; jobs that have it keep it"));
            Ok(())
        }
        PoliciesVerb::Preview(args) => preview(&client, args, console).await,
    }
}

fn row(policy: &PolicyShape) -> Vec<String> {
    vec![
        policy.name.clone(),
        policy.strategy.clone(),
        policy.max_attempts.to_string(),
        policy.version.to_string(),
        policy.updated_at.clone(),
        policy.id.clone(),
    ]
}

fn show(policy: &PolicyShape, console: &Console) -> Result<(), CliFailure> {
    let mut rows = vec![
        ("id", policy.id.clone()),
        ("name", policy.name.clone()),
        ("version", policy.version.to_string()),
        ("strategy", policy.strategy.clone()),
        ("executions", policy.max_attempts.to_string()),
        ("updated", policy.updated_at.clone()),
    ];
    rows.extend(policy.description.clone().map(|text| ("description", text)));
    if !policy.applicable_job_types.is_empty() {
        rows.push(("job types", policy.applicable_job_types.join(", ")));
    }
    let rows: Vec<Vec<String>> =
        rows.into_iter().map(|(what, is)| vec![what.to_owned(), is]).collect();
    console.table(&rows)
}

async fn preview(client: &Client, args: PreviewArgs, console: &Console) -> Result<(), CliFailure> {
    let mut ask = json!({ "attempts": args.attempts });
    match (&args.policy, &args.file) {
        (_, Some(file)) => ask["policy"] = Value::Object(policy_alone(file)?),
        (policy, None) => ask["policy_id"] = json!(policy),
    }
    let mut error = Map::new();
    error.extend(args.error_type.map(|text| ("type".to_owned(), json!(text))));
    error.extend(args.class.map(|text| ("class".to_owned(), json!(text))));
    error.extend(args.status.map(|status| ("status".to_owned(), json!(status))));
    if !error.is_empty() {
        ask["error"] = Value::Object(error);
    }
    let (read, document) = client.preview_policy(&ask).await?;
    if args.output == Format::Json {
        return console.json(&document);
    }
    waits(&read, console)
}

fn waits(read: &PolicyPreview, console: &Console) -> Result<(), CliFailure> {
    let heading = ["AFTER ATTEMPT", "WAIT MS", "AT LEAST", "AT MOST"].map(str::to_owned);
    let mut rows = vec![heading.to_vec()];
    let text = |ms: Option<u64>| ms.map_or_else(|| "-".to_owned(), |ms| ms.to_string());
    for wait in &read.waits {
        let at = wait.attempt.to_string();
        rows.push(vec![at, text(wait.delay_ms), text(wait.min_ms), text(wait.max_ms)]);
        if wait.delay_ms.is_none() {
            break;
        }
    }
    console.table(&rows)?;
    console.say(&format!("{}: {}; {} ms of waits", read.decision, read.reason, read.total_ms));
    Ok(())
}

fn read_document(file: &Path) -> Result<Vec<u8>, CliFailure> {
    let name = file.display();
    document::read(file).map_err(|cause| match cause.kind() {
        io::ErrorKind::NotFound => CliFailure::NotFound(format!("{name}: no such file")),
        _ => CliFailure::Failed(format!("{name}: {cause}")),
    })
}

/// The policy of a document, without what is said about it.
fn policy_alone(file: &Path) -> Result<Map<String, Value>, CliFailure> {
    let read = read_document(file)?;
    let wrong =
        |cause: String| CliFailure::Failed(format!("{} is no policy: {cause}", file.display()));
    let mut policy: Map<String, Value> =
        serde_json::from_slice(&read).map_err(|cause| wrong(cause.to_string()))?;
    for about in ABOUT {
        policy.remove(about);
    }
    Ok(policy)
}
