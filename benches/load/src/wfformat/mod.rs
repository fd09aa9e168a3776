//! Reads WfFormat documents (recorded executions of workflows) and makes the job that repeats one.
//!
//! Always: one task node a task, in the file's order, keyed `t<position>` from 0 because WfFormat ids hold
//! characters that keys may not; the id is kept in the metadata, the measured runtime in the input; the file tells
//! each edge twice and both must agree; a cycle, an unknown or a doubled id is refused with its name.
//! Absent: the files that tasks read and write, machines, and anything that would run the programs.

mod flat;
mod groups;

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::{Deserialize, Serialize};

use self::flat::FlatTask;

/// Letters of a name that a job or a node may have; longer ones are cut.
const NAME_CHARS_MAX: usize = 255;
/// Letters of a description that a job may have.
const DESCRIPTION_CHARS_MAX: usize = 1_000;

/// What is wrong with a file.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum WfFormatError {
    #[error("not a WfFormat document: {0}")]
    NotJson(String),
    #[error(
        "there are no tasks in workflow.specification.tasks (WfFormat 1.5) or in workflow.tasks (1.4 and before)"
    )]
    NoSpecification,
    #[error("the workflow has no tasks")]
    Empty,
    #[error("two tasks have the id `{0}`")]
    DoubledId(String),
    #[error("an edge names `{0}`, and more than one task has that name")]
    SharedName(String),
    #[error("task `{task}` names `{other}` as its {role}, but there is no such task")]
    UnknownTask { task: String, other: String, role: &'static str },
    #[error("task `{task}` names `{other}` as its {role}, but `{other}` does not name it back")]
    OneSided { task: String, other: String, role: &'static str },
    #[error("task `{0}` depends on itself, directly or through others")]
    Cycle(String),
    #[error("the execution speaks of a task `{0}` that the specification does not have")]
    UnknownExecution(String),
    #[error("the execution speaks twice of task `{0}`")]
    DoubledExecution(String),
    #[error("task `{0}` has a runtime that is no time: {1}")]
    BadRuntime(String, f64),
}

#[derive(Debug, Deserialize)]
struct Document {
    #[serde(default)]
    name: String,
    #[serde(default)]
    description: String,
    #[serde(default, rename = "schemaVersion")]
    schema_version: String,
    workflow: Option<Workflow>,
}

#[derive(Debug, Deserialize)]
struct Workflow {
    specification: Option<Specification>,
    execution: Option<Execution>,
    /// Before 1.5, in place of both.
    tasks: Option<Vec<FlatTask>>,
}

#[derive(Debug, Deserialize)]
struct Specification {
    tasks: Vec<Task>,
}

#[derive(Debug, Deserialize)]
struct Task {
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    parents: Vec<String>,
    #[serde(default)]
    children: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Execution {
    #[serde(default)]
    tasks: Vec<Executed>,
}

#[derive(Debug, Deserialize)]
struct Executed {
    id: String,
    #[serde(default, rename = "runtimeInSeconds")]
    runtime_s: f64,
    #[serde(default)]
    command: Option<Program>,
}

#[derive(Debug, Deserialize)]
struct Program {
    #[serde(default)]
    program: Option<String>,
}

/// A job document, as `POST /jobs` takes it.
#[derive(Debug, Serialize)]
pub struct ImportedJob {
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    pub metadata: BTreeMap<&'static str, String>,
    pub nodes: Vec<ImportedNode>,
}

/// A node of it.
#[derive(Debug, Serialize)]
pub struct ImportedNode {
    pub key: String,
    pub name: String,
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub queue: String,
    pub input: ImportedInput,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<String>,
    pub metadata: BTreeMap<&'static str, String>,
}

/// Its input: how long a stand-in worker takes, and what ran originally.
#[derive(Debug, Serialize)]
pub struct ImportedInput {
    /// Seconds; 0 where none was recorded.
    pub runtime_s: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
}

/// The job that repeats a recorded workflow.
///
/// # Errors
/// What is wrong with the document, naming the task.
pub fn job_of(document: &[u8], queue: &str) -> Result<ImportedJob, WfFormatError> {
    let document: Document = serde_json::from_slice(document)
        .map_err(|cause| WfFormatError::NotJson(cause.to_string()))?;
    let workflow = document.workflow.ok_or(WfFormatError::NoSpecification)?;
    let (tasks, runs) = match (workflow.specification, workflow.tasks) {
        (Some(specification), _) => {
            let runs = workflow.execution.map(|execution| execution.tasks).unwrap_or_default();
            (specification.tasks, runs)
        }
        (None, Some(flat)) => flat::split(flat)?,
        (None, None) => return Err(WfFormatError::NoSpecification),
    };
    if tasks.is_empty() {
        return Err(WfFormatError::Empty);
    }
    let positions = positions(&tasks)?;
    check_edges(&tasks, &positions)?;
    let parents = parents(&tasks, &positions);
    check_cycles(&tasks, &parents)?;
    let executed = executed(runs, &positions)?;
    let nodes = tasks
        .iter()
        .enumerate()
        .map(|(position, task)| {
            let run = executed.get(&position);
            let program = run
                .and_then(|run| run.command.as_ref())
                .and_then(|command| command.program.clone());
            ImportedNode {
                key: key(position),
                name: cut(if task.name.is_empty() { &task.id } else { &task.name }, NAME_CHARS_MAX),
                kind: "task",
                queue: queue.to_owned(),
                input: ImportedInput {
                    runtime_s: run.map(|run| run.runtime_s).unwrap_or_default(),
                    program: program.map(|program| cut(&program, NAME_CHARS_MAX)),
                },
                depends_on: parents[position].iter().copied().map(key).collect(),
                metadata: BTreeMap::from([("wfformat.id", task.id.clone())]),
            }
        })
        .collect();
    Ok(ImportedJob {
        name: cut(
            if document.name.is_empty() { "workflow" } else { &document.name },
            NAME_CHARS_MAX,
        ),
        description: cut(&document.description, DESCRIPTION_CHARS_MAX),
        metadata: BTreeMap::from([("wfformat.schema_version", document.schema_version)]),
        nodes,
    })
}

fn key(position: usize) -> String {
    format!("t{position}")
}

/// The first letters of a text, on one line and without white space around it.
fn cut(text: &str, max: usize) -> String {
    let text: String = text.trim().chars().take(max).collect();
    text.trim_end().to_owned()
}

fn positions(tasks: &[Task]) -> Result<HashMap<&str, usize>, WfFormatError> {
    let mut positions = HashMap::with_capacity(tasks.len());
    for (position, task) in tasks.iter().enumerate() {
        if positions.insert(task.id.as_str(), position).is_some() {
            return Err(WfFormatError::DoubledId(task.id.clone()));
        }
    }
    Ok(positions)
}

/// Every edge must be told by both of its ends.
fn check_edges(tasks: &[Task], positions: &HashMap<&str, usize>) -> Result<(), WfFormatError> {
    let edges = |names: fn(&Task) -> &Vec<String>| -> HashSet<(&str, &str)> {
        tasks
            .iter()
            .flat_map(|task| names(task).iter().map(|other| (task.id.as_str(), other.as_str())))
            .collect()
    };
    let (upward, downward) = (edges(|task| &task.parents), edges(|task| &task.children));
    for task in tasks {
        for (others, role, back) in
            [(&task.parents, "parent", &downward), (&task.children, "child", &upward)]
        {
            for other in others {
                let (task, known) = (task.id.clone(), positions.contains_key(other.as_str()));
                if !known {
                    return Err(WfFormatError::UnknownTask { task, other: other.clone(), role });
                }
                if !back.contains(&(other.as_str(), task.as_str())) {
                    return Err(WfFormatError::OneSided { task, other: other.clone(), role });
                }
            }
        }
    }
    Ok(())
}

/// The positions of each task's parents, in the file's order, each once.
fn parents(tasks: &[Task], positions: &HashMap<&str, usize>) -> Vec<Vec<usize>> {
    let of = |task: &Task| {
        let mut parents: Vec<usize> = task
            .parents
            .iter()
            .filter_map(|parent| positions.get(parent.as_str()).copied())
            .collect();
        parents.sort_unstable();
        parents.dedup();
        parents
    };
    tasks.iter().map(of).collect()
}

/// Takes away what depends on nothing left; what remains in the end is on a cycle or behind one.
fn check_cycles(tasks: &[Task], parents: &[Vec<usize>]) -> Result<(), WfFormatError> {
    let mut children = vec![Vec::new(); tasks.len()];
    for (task, parents) in parents.iter().enumerate() {
        for parent in parents {
            children[*parent].push(task);
        }
    }
    let mut waits: Vec<usize> = parents.iter().map(Vec::len).collect();
    let mut free: Vec<usize> = (0..tasks.len()).filter(|task| waits[*task] == 0).collect();
    while let Some(task) = free.pop() {
        for child in &children[task] {
            waits[*child] -= 1;
            if waits[*child] == 0 {
                free.push(*child);
            }
        }
    }
    let Some(mut stuck) = waits.iter().position(|waits| *waits > 0) else { return Ok(()) };
    // Walking up among the stuck ones as often as there are tasks ends on the cycle itself.
    for _ in 0..tasks.len() {
        stuck = parents[stuck].iter().copied().find(|parent| waits[*parent] > 0).unwrap_or(stuck);
    }
    Err(WfFormatError::Cycle(tasks[stuck].id.clone()))
}

fn executed(
    runs: Vec<Executed>,
    positions: &HashMap<&str, usize>,
) -> Result<HashMap<usize, Executed>, WfFormatError> {
    let mut executed = HashMap::with_capacity(runs.len());
    for run in runs {
        let Some(position) = positions.get(run.id.as_str()) else {
            return Err(WfFormatError::UnknownExecution(run.id));
        };
        if !run.runtime_s.is_finite() || run.runtime_s < 0.0 {
            return Err(WfFormatError::BadRuntime(run.id, run.runtime_s));
        }
        if let Some(doubled) = executed.insert(*position, run) {
            return Err(WfFormatError::DoubledExecution(doubled.id));
        }
    }
    Ok(executed)
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test says what it expects")]
mod tests;
