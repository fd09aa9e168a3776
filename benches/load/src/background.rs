//! Fills an engine with queues and environments that nobody asks about, in namespaces of their own, and takes them away
//! again: what `many` is measured beside. Each queue has one ready node, so that it stays.
//! Absent: measuring.

use std::rc::Rc;

use serde_json::json;
use tokio::task::JoinSet;

use super::drive::wait_of;
use super::link::{Link, Target};
use crate::Engine;
use crate::failure::Failure;

/// Namespaces that share what is made.
const NAMESPACES: usize = 10;
/// Nodes of one job, each with a queue of its own.
const NODES: usize = 10_000;
/// Connections that make and delete environments.
const CONNECTIONS: usize = 32;

/// What was made.
#[derive(Debug)]
pub(super) struct Background {
    targets: Vec<Target>,
    /// By the namespace's number.
    jobs: Vec<(usize, String)>,
    environments: usize,
}

impl Background {
    /// Makes the queues and environments, and leaves them as they are.
    ///
    /// # Errors
    /// When the engine goes away or refuses something.
    pub(super) async fn make(
        engine: &Engine,
        (queues, environments): (usize, usize),
    ) -> Result<Self, Failure> {
        let namespace =
            |number| Engine { namespace: format!("background-{number}"), ..engine.clone() };
        let targets: Result<Vec<Target>, Failure> =
            (0..NAMESPACES).map(|number| Target::of(&namespace(number))).collect();
        let mut background = Self { targets: targets?, jobs: Vec::new(), environments };
        let mut made = 0;
        while made < queues {
            let number = made / NODES % NAMESPACES;
            let nodes = (made..queues.min(made + NODES)).map(
                |queue| json!({ "key": format!("n{queue}"), "queue": format!("background-{queue}") }),
            );
            let nodes: Vec<_> = nodes.collect();
            made += nodes.len();
            let job =
                json!({ "name": "background", "job_type": "bench", "nodes": nodes }).to_string();
            // The engine closes a connection on which nothing comes for some seconds.
            let mut link = Link::open(&background.targets[number]).await?;
            let id = until(&mut link, "POST", "/api/v1/jobs", job.as_bytes(), 201).await?;
            background.jobs.push((number, id));
        }
        background.environments("POST", 201).await?;
        Ok(background)
    }

    /// Takes it away.
    ///
    /// # Errors
    /// When the engine goes away or refuses something.
    pub(super) async fn end(self) -> Result<(), Failure> {
        for (number, id) in &self.jobs {
            let mut link = Link::open(&self.targets[*number]).await?;
            until(&mut link, "POST", &format!("/api/v1/jobs/{id}/cancel"), b"{}", 200).await?;
        }
        self.environments("DELETE", 204).await
    }

    async fn environments(&self, method: &'static str, status: u16) -> Result<(), Failure> {
        let (targets, count) = (Rc::new(self.targets.clone()), self.environments);
        let mut tasks = JoinSet::new();
        for first in 0..CONNECTIONS {
            let targets = Rc::clone(&targets);
            tasks.spawn_local(async move {
                let number = first % NAMESPACES;
                let mut link = Link::open(&targets[number]).await?;
                for environment in (first..count).step_by(CONNECTIONS) {
                    let name = format!("background-{environment}");
                    let body = json!({ "name": name, "capacity": { "slots": 1 } }).to_string();
                    let (path, body) = match method {
                        "POST" => ("/api/v1/environments".to_owned(), body.as_bytes()),
                        _ => (format!("/api/v1/environments/{name}"), &[][..]),
                    };
                    until(&mut link, method, &path, body, status).await?;
                }
                Ok::<(), Failure>(())
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended.map_err(|cause| Failure::Failed(cause.to_string()))??;
        }
        Ok(())
    }
}

/// Asks until it is not shed; the `id` of what is answered, if it has one.
async fn until(
    link: &mut Link,
    method: &str,
    path: &str,
    body: &[u8],
    status: u16,
) -> Result<String, Failure> {
    loop {
        let answer = link.send(method, path, body).await?;
        if answer.status == status {
            let read: serde_json::Value = serde_json::from_slice(answer.body).unwrap_or_default();
            return Ok(read["id"].as_str().unwrap_or_default().to_owned());
        }
        if !answer.is_busy() {
            return Err(answer.failure(path));
        }
        let wait = wait_of(answer.retry_after);
        tokio::time::sleep(wait).await;
    }
}
