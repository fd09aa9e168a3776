//! What every command to the engine carries beside its request: who asks, which key, which version is expected.
//! Absent: any decision; a wrong version is refused by the subject itself.

use std::sync::Arc;

use domain::ids::{JobId, Namespace, WorkerName};
use domain::subject::envelope::CommandMark;

use super::extract::headers::{ApiCaller, IfMatch, Versions};
use super::problem::Problem;
use crate::engine::core::message::Caller as Asker;
use crate::engine::handle::Engine;

/// A client's command.
pub fn by_client(caller: &ApiCaller, mark: Option<CommandMark>, expected: Option<u64>) -> Asker {
    by("client", caller, mark, expected)
}

/// A worker's report.
pub fn by_worker(worker: &WorkerName, caller: &ApiCaller) -> Asker {
    by(&format!("worker/{worker}"), caller, None, None)
}

fn by(actor: &str, caller: &ApiCaller, mark: Option<CommandMark>, expected: Option<u64>) -> Asker {
    Asker {
        actor: Arc::from(actor),
        mark,
        correlation: Some(caller.correlation.clone()),
        expected_version: expected,
    }
}

/// The one version that a subject is asked to be at. Of several in If-Match it is the one the subject is at now, which is
/// looked up only then: it must exist for its version to be another one.
pub async fn expected(
    if_match: &IfMatch,
    now: impl Future<Output = Result<u64, Problem>>,
) -> Result<Option<u64>, Problem> {
    match &if_match.versions {
        None | Some(Versions::Any) => Ok(None),
        Some(Versions::Of(versions)) => match versions.as_slice() {
            [one] => Ok(Some(*one)),
            [..] => if_match.expected(now.await?),
        },
    }
}

/// The one version that a job is asked to be at.
pub async fn expected_of_job(
    if_match: &IfMatch,
    engine: &Engine,
    namespace: &Namespace,
    job: JobId,
) -> Result<Option<u64>, Problem> {
    expected(if_match, async { Ok(engine.jobs().job(namespace, job).await?.head.seq) }).await
}
