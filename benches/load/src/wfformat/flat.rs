//! WfFormat before 1.5, which has no specification apart from the execution: its tasks lie in `workflow.tasks`, each with
//! what it is, what it depends on and how long it ran.
//!
//! Always: a task's id is its `id` or, where there is none, its name; edges name tasks by name or by id, and both are
//! understood; a name that two tasks share and an edge uses is refused. Absent: what is made of the tasks (`wfformat`).

use std::collections::HashMap;

use serde::Deserialize;

use super::{Executed, Program, Task, WfFormatError};

/// A task with its measured run.
#[derive(Debug, Deserialize)]
pub(super) struct FlatTask {
    #[serde(default)]
    id: Option<String>,
    name: String,
    #[serde(default)]
    parents: Vec<String>,
    /// Absent in files that tell each edge once.
    children: Option<Vec<String>>,
    /// 1.4 calls it `runtimeInSeconds`, files before it `runtime`.
    #[serde(default, rename = "runtimeInSeconds", alias = "runtime")]
    runtime_s: f64,
    #[serde(default)]
    command: Option<Program>,
}

/// The same tasks as a specification and an execution.
///
/// # Errors
/// An edge by a name that more than one task has.
pub(super) fn split(flat: Vec<FlatTask>) -> Result<(Vec<Task>, Vec<Executed>), WfFormatError> {
    let names = Names::of(&flat);
    let tells_children = flat.iter().any(|task| task.children.is_some());
    let mut tasks = Vec::with_capacity(flat.len());
    let mut runs = Vec::with_capacity(flat.len());
    for task in flat {
        let id = task.id.unwrap_or_else(|| task.name.clone());
        let parents = names.ids(&task.parents)?;
        let children = names.ids(&task.children.unwrap_or_default())?;
        tasks.push(Task { id: id.clone(), name: task.name, parents, children });
        runs.push(Executed { id, runtime_s: task.runtime_s, command: task.command });
    }
    if !tells_children {
        tell_children(&mut tasks);
    }
    Ok((tasks, runs))
}

/// The ids that the file's edges mean.
struct Names {
    /// None: more than one task has this name.
    id_of_name: HashMap<String, Option<String>>,
    ids: Vec<String>,
}

impl Names {
    fn of(flat: &[FlatTask]) -> Self {
        let mut id_of_name: HashMap<String, Option<String>> = HashMap::with_capacity(flat.len());
        let mut ids = Vec::with_capacity(flat.len());
        for task in flat {
            let id = task.id.clone().unwrap_or_else(|| task.name.clone());
            id_of_name
                .entry(task.name.clone())
                .and_modify(|known| *known = None)
                .or_insert_with(|| Some(id.clone()));
            ids.push(id);
        }
        ids.sort_unstable();
        Self { id_of_name, ids }
    }

    fn ids(&self, named: &[String]) -> Result<Vec<String>, WfFormatError> {
        named.iter().map(|name| self.id(name)).collect()
    }

    fn id(&self, name: &String) -> Result<String, WfFormatError> {
        if self.ids.binary_search(name).is_ok() {
            return Ok(name.clone());
        }
        match self.id_of_name.get(name) {
            Some(Some(id)) => Ok(id.clone()),
            Some(None) => Err(WfFormatError::SharedName(name.clone())),
            // It is refused as unknown with the task that names it.
            None => Ok(name.clone()),
        }
    }
}

/// Tells each edge by its other end too.
fn tell_children(tasks: &mut [Task]) {
    let edges: Vec<(String, String)> = tasks
        .iter()
        .flat_map(|task| task.parents.iter().map(|parent| (parent.clone(), task.id.clone())))
        .collect();
    let positions: HashMap<String, usize> =
        tasks.iter().enumerate().map(|(position, task)| (task.id.clone(), position)).collect();
    for (parent, child) in edges {
        if let Some(position) = positions.get(&parent) {
            tasks[*position].children.push(child);
        }
    }
}
