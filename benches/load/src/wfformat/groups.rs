//! A recorded workflow as groups: its levels one after the other, the tasks of a level side by side. What came before a
//! task still does, because it stands on an earlier level; the graph is coarser than the recorded one, and no edge is left.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::{ImportedJob, ImportedNode};

impl ImportedJob {
    /// The job document with a sequential group of its levels, each a parallel group of tasks.
    ///
    /// # Errors
    /// When the workflow cannot be written as JSON.
    pub fn as_groups(&self) -> Result<Value, serde_json::Error> {
        let mut levels: Vec<Vec<Value>> = Vec::new();
        let mut level_of: HashMap<&str, usize> = HashMap::new();
        for node in self.by_level() {
            let before = node.depends_on.iter().filter_map(|parent| level_of.get(parent.as_str()));
            let level = before.max().map_or(0, |level| level + 1);
            level_of.insert(&node.key, level);
            let mut task = serde_json::to_value(node)?;
            if let Some(task) = task.as_object_mut() {
                task.remove("depends_on");
            }
            if levels.len() <= level {
                levels.resize(level + 1, Vec::new());
            }
            levels[level].push(task);
        }
        let levels: Vec<Value> = levels
            .into_iter()
            .enumerate()
            .map(|(level, tasks)| {
                json!({ "key": format!("level{level}"), "type": "parallel_group", "nodes": tasks })
            })
            .collect();
        let mut job = serde_json::to_value(self)?;
        job["nodes"] = json!([{ "key": "levels", "type": "sequential_group", "nodes": levels }]);
        Ok(job)
    }

    /// Every node behind those that it depends on.
    fn by_level(&self) -> Vec<&ImportedNode> {
        let mut open: HashMap<&str, usize> =
            self.nodes.iter().map(|node| (node.key.as_str(), node.depends_on.len())).collect();
        let mut children: HashMap<&str, Vec<&ImportedNode>> = HashMap::new();
        for node in &self.nodes {
            for parent in &node.depends_on {
                children.entry(parent).or_default().push(node);
            }
        }
        let mut order: Vec<&ImportedNode> =
            self.nodes.iter().filter(|node| node.depends_on.is_empty()).collect();
        let mut next = 0;
        while let Some(node) = order.get(next).copied() {
            next += 1;
            for child in children.get(node.key.as_str()).into_iter().flatten() {
                if let Some(left) = open.get_mut(child.key.as_str()) {
                    *left -= 1;
                    if *left == 0 {
                        order.push(child);
                    }
                }
            }
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::super::job_of;

    #[test]
    fn each_level_is_a_group_behind_the_levels_before() {
        let file = r#"{"name": "w", "schemaVersion": "1.5", "workflow": {"specification": {"tasks": [
            {"id": "c", "parents": ["a", "b"]}, {"id": "a", "children": ["b", "c"]},
            {"id": "b", "parents": ["a"], "children": ["c"]}, {"id": "d"}
        ]}}}"#;
        let Ok(job) = job_of(file.as_bytes(), "q") else { panic!("a workflow") };
        let Ok(grouped) = job.as_groups() else { panic!("JSON") };
        let levels = grouped["nodes"][0]["nodes"].as_array().cloned().unwrap_or_default();
        let keys = |level: usize| -> Vec<String> {
            let tasks = levels[level]["nodes"].as_array().cloned().unwrap_or_default();
            tasks.iter().map(|task| task["key"].as_str().unwrap_or_default().to_owned()).collect()
        };
        assert_eq!(
            (levels.len(), keys(0), keys(1), keys(2)),
            (
                3,
                vec!["t1".to_owned(), "t3".to_owned()],
                vec!["t2".to_owned()],
                vec!["t0".to_owned()]
            )
        );
        assert!(levels.iter().all(|level| level["nodes"][0].get("depends_on").is_none()));
    }
}
