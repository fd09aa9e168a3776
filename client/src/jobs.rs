//! `orrery jobs list | get | explain | cancel`: looking at jobs, and ending one.

use clap::{Args, Subcommand};

use super::api::shapes::{ExplanationShape, Job};
use super::api::{Client, EngineArgs};
use super::console::{Console, Format};
use super::failure::CliFailure;
use super::random;

/// Arguments of `orrery jobs`.
#[derive(Debug, Clone, Args)]
pub struct JobsArgs {
    #[command(flatten)]
    engine: EngineArgs,
    #[command(subcommand)]
    verb: JobsVerb,
}

#[derive(Debug, Clone, Subcommand)]
enum JobsVerb {
    /// The jobs, newest first
    List {
        /// Only jobs in this state (may be repeated)
        #[arg(long = "status", value_name = "STATE")]
        statuses: Vec<String>,
        /// The page, from 1
        #[arg(long, value_name = "N", default_value_t = 1)]
        page: u64,
        /// Jobs on a page, at most 100
        #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=100))]
        page_size: u64,
        /// How they are shown
        #[arg(short, long, value_enum, default_value_t)]
        output: Format,
    },
    /// Show one job as it is now
    Get {
        /// The job's id
        job: String,
        /// How it is shown
        #[arg(short, long, value_enum, default_value_t)]
        output: Format,
    },
    /// Say what a job, or one node of it, waits for, or how it ended
    Explain {
        /// The job's id
        job: String,
        /// The node's key; absent: the job as a whole
        node: Option<String>,
        /// How it is shown
        #[arg(short, long, value_enum, default_value_t)]
        output: Format,
    },
    /// Ask for a job's end: nothing new starts, running attempts are told to stop
    Cancel {
        /// The job's id
        job: String,
    },
}

/// Looks at jobs, or cancels one.
///
/// # Errors
/// The engine's refusal, or that it is away.
pub async fn run(args: JobsArgs, console: &Console) -> Result<(), CliFailure> {
    let client = Client::new(&args.engine)?;
    match args.verb {
        JobsVerb::List { statuses, page, page_size, output } => {
            let mut query = vec![
                ("sort", "-created_at".to_owned()),
                ("page", page.to_string()),
                ("page_size", page_size.to_string()),
            ];
            query.extend(statuses.into_iter().map(|status| ("status", status)));
            let (read, document) = client.jobs(&query).await?;
            if output == Format::Json {
                return console.json(&document);
            }
            let heading =
                ["ID", "STATUS", "PRIORITY", "COMPLETED", "CREATED", "NAME"].map(str::to_owned);
            let mut rows = vec![heading.to_vec()];
            rows.extend(read.jobs.iter().map(row));
            console.table(&rows)?;
            if read.has_next {
                console.say(&format!("more: orrery jobs list --page {}", page + 1));
            }
            Ok(())
        }
        JobsVerb::Get { job, output: Format::Json } => {
            console.json(&client.job_document(&job).await?)
        }
        JobsVerb::Get { job, output: Format::Table } => show(&client.job(&job).await?, console),
        JobsVerb::Explain { job, node, output } => {
            let (read, document) = client.explain(&job, node.as_deref()).await?;
            if output == Format::Json {
                return console.json(&document);
            }
            explain(&read, console)
        }
        JobsVerb::Cancel { job } => {
            client.cancel(&job, &random::fresh_id()).await?;
            console.say(&format!("cancellation of {job} is recorded; next: orrery watch {job}"));
            Ok(())
        }
    }
}

fn row(job: &Job) -> Vec<String> {
    vec![
        job.id.clone(),
        job.status.clone(),
        job.priority.map(|priority| priority.to_string()).unwrap_or_default(),
        format!("{}/{}", job.count("completed"), job.count("total")),
        job.created_at.clone().unwrap_or_default(),
        job.name.clone(),
    ]
}

fn show(job: &Job, console: &Console) -> Result<(), CliFailure> {
    let mut rows = vec![
        vec!["id".to_owned(), job.id.clone()],
        vec!["name".to_owned(), job.name.clone()],
        vec!["status".to_owned(), job.status.clone()],
    ];
    if let Some(ending) = &job.ending {
        rows.push(vec!["ending".to_owned(), ending.clone()]);
    }
    if let Some(created_at) = &job.created_at {
        rows.push(vec!["created".to_owned(), created_at.clone()]);
    }
    for (state, count) in job.nodes.iter().filter(|(_, count)| **count > 0) {
        rows.push(vec![format!("nodes {state}"), count.to_string()]);
    }
    if let Some(error) = &job.error {
        rows.push(vec!["error".to_owned(), error.message.clone().unwrap_or_default()]);
    }
    console.table(&rows)
}

/// Members of one group that stand next to one another as one word: `each[0..19]`.
fn folded(nodes: &[String]) -> Vec<String> {
    let item_of = |node: &str| {
        let (group, item) = node.rsplit_once('[')?;
        Some((group.to_owned(), item.strip_suffix(']')?.parse::<u64>().ok()?))
    };
    let mut found: Vec<(String, Option<(u64, u64)>)> = Vec::new();
    for node in nodes {
        match (item_of(node), found.last_mut()) {
            (Some((group, item)), Some((before, Some((_, last)))))
                if *before == group && *last + 1 == item =>
            {
                *last = item;
            }
            (Some((group, item)), _) => found.push((group, Some((item, item)))),
            (None, _) => found.push((node.clone(), None)),
        }
    }
    let word = |(name, items): (String, Option<(u64, u64)>)| match items {
        Some((first, last)) if first == last => format!("{name}[{first}]"),
        Some((first, last)) => format!("{name}[{first}..{last}]"),
        None => name,
    };
    found.into_iter().map(word).collect()
}

fn explain(read: &ExplanationShape, console: &Console) -> Result<(), CliFailure> {
    let stands = read.node.as_ref().map(|node| format!("node {} is {}", node.key, node.status));
    let status = read.status.as_deref().unwrap_or("not known");
    console.data(&stands.unwrap_or_else(|| format!("job is {status}")))?;
    if let Some(ended) = &read.ended {
        console.data(&format!("{}: {}", ended.code, ended.message))?;
    }
    let heading = ["WAIT", "SINCE", "ENDS ON", "NODES", "WHAT"].map(str::to_owned);
    let mut rows = vec![heading.to_vec()];
    rows.extend(read.waits.iter().map(|wait| {
        let ends_on = wait.wakes_at.as_ref().map_or(&wait.ends_on, |at| at);
        let more = if wait.node_count > wait.nodes.len() { ", ..." } else { "" };
        let nodes = format!("{}{more}", folded(&wait.nodes).join(", "));
        let since = wait.since.clone().unwrap_or_default();
        vec![wait.code.clone(), since, ends_on.clone(), nodes, wait.message.clone()]
    }));
    if rows.len() > 1 {
        console.table(&rows)?;
    }
    console.say(&read.driving.message);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_next_to_one_another_are_one_word() {
        let nodes =
            ["a", "each[0]", "each[1]", "each[2]", "each[7]", "each[8]/b", "m[1][1]", "m[1][2]"];
        let nodes: Vec<String> = nodes.map(str::to_owned).to_vec();
        assert_eq!(folded(&nodes), ["a", "each[0..2]", "each[7]", "each[8]/b", "m[1][1..2]"]);
        assert!(folded(&[]).is_empty());
    }
}
