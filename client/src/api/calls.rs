//! The calls of the API that commands make, one function each.

use std::time::Duration;

use reqwest::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::shapes::{
    CompleteShape, ExplanationShape, FailShape, Job, JobPage, LeaseBatch, LeaseItem,
    LeaseRequestShape, LeaseResults, LeasesShape, NodePageShape, ReleaseShape,
};
use super::{ANSWER_TIMEOUT, Client, ClientError, with_bytes, with_json};

pub(super) const API: [&str; 2] = ["api", "v1"];

impl Client {
    /// Submits a job document as it was written. The same key and document never make a second job.
    pub async fn submit(
        &self,
        document: Vec<u8>,
        idempotency_key: &str,
    ) -> Result<Box<RawValue>, ClientError> {
        let request = self
            .request(Method::POST, &[API[0], API[1], "jobs"])
            .header("Idempotency-Key", idempotency_key);
        let answer = self.send(with_bytes(request, document)).await?;
        self.read(answer).await
    }

    /// A job as the engine shows it, unread.
    pub async fn job_document(&self, id: &str) -> Result<Box<RawValue>, ClientError> {
        let answer = self.send(self.request(Method::GET, &[API[0], API[1], "jobs", id])).await?;
        self.read(answer).await
    }

    pub async fn job(&self, id: &str) -> Result<Job, ClientError> {
        self.shown(self.job_document(id).await?.get())
    }

    /// A job once it has more events than `version`, or as it is after so long.
    pub async fn job_after(
        &self,
        id: &str,
        version: u64,
        longest: Duration,
    ) -> Result<Job, ClientError> {
        let mut url = self.url(&[API[0], API[1], "jobs", id]);
        let until = format!("version>={}", version.saturating_add(1));
        url.query_pairs_mut()
            .append_pair("wait_ms", &longest.as_millis().to_string())
            .append_pair("until", &until);
        let answer = self.send(self.request_to(Method::GET, url)).await?;
        let document: Box<RawValue> = self.read(answer).await?;
        self.shown(document.get())
    }

    /// A page of jobs, read and as the engine wrote it. `query` holds parameters of `GET /jobs`.
    pub async fn jobs(
        &self,
        query: &[(&str, String)],
    ) -> Result<(JobPage, Box<RawValue>), ClientError> {
        let mut url = self.url(&[API[0], API[1], "jobs"]);
        for (name, value) in query {
            url.query_pairs_mut().append_pair(name, value);
        }
        let request = self.request_to(Method::GET, url);
        let answer = self.send(request).await?;
        let document: Box<RawValue> = self.read(answer).await?;
        self.as_read(document)
    }

    /// A document with what a command uses of it.
    pub(super) fn as_read<T: DeserializeOwned>(
        &self,
        document: Box<RawValue>,
    ) -> Result<(T, Box<RawValue>), ClientError> {
        Ok((self.shown(document.get())?, document))
    }

    /// The first page of a job's nodes.
    pub async fn nodes(&self, id: &str) -> Result<NodePageShape, ClientError> {
        let answer =
            self.send(self.request(Method::GET, &[API[0], API[1], "jobs", id, "nodes"])).await?;
        let document: Box<RawValue> = self.read(answer).await?;
        self.shown(document.get())
    }

    /// Why a job, or one node of it, does not go on: read, and as the engine wrote it.
    pub async fn explain(
        &self,
        id: &str,
        node: Option<&str>,
    ) -> Result<(ExplanationShape, Box<RawValue>), ClientError> {
        let mut path = vec![API[0], API[1], "jobs", id];
        path.extend(node.into_iter().flat_map(|key| ["nodes", key]));
        path.push("explain");
        let answer = self.send(self.request(Method::GET, &path)).await?;
        let document: Box<RawValue> = self.read(answer).await?;
        self.as_read(document)
    }

    /// Asks for a job's cancellation.
    pub async fn cancel(
        &self,
        id: &str,
        idempotency_key: &str,
    ) -> Result<Box<RawValue>, ClientError> {
        let request = self
            .request(Method::POST, &[API[0], API[1], "jobs", id, "cancel"])
            .header("Idempotency-Key", idempotency_key);
        let answer = self.send(with_bytes(request, b"{}".to_vec())).await?;
        self.read(answer).await
    }

    /// Whether the engine says that it is ready, within `deadline`.
    pub async fn ready(&self, deadline: Duration) -> Result<(), ClientError> {
        self.send(self.request(Method::GET, &["readyz"]).timeout(deadline)).await.map(drop)
    }

    /// Asks a queue for work; the answer may take the request's `wait_ms`.
    pub async fn lease(
        &self,
        queue: &str,
        ask: &LeaseRequestShape,
    ) -> Result<LeasesShape, ClientError> {
        let request = self
            .request(Method::POST, &[API[0], API[1], "queues", queue, "lease"])
            .timeout(ANSWER_TIMEOUT + Duration::from_millis(ask.wait_ms));
        let answer = self.send(with_json(request, ask)?).await?;
        self.read(answer).await
    }

    /// Reports completed attempts.
    pub async fn complete(
        &self,
        batch: &LeaseBatch<CompleteShape>,
    ) -> Result<LeaseResults, ClientError> {
        self.lease_batch("complete", batch).await
    }

    /// Reports failed attempts.
    pub async fn fail(&self, batch: &LeaseBatch<FailShape>) -> Result<LeaseResults, ClientError> {
        self.lease_batch("fail", batch).await
    }

    /// Gives attempts back, uncounted.
    pub async fn release(
        &self,
        batch: &LeaseBatch<ReleaseShape>,
    ) -> Result<LeaseResults, ClientError> {
        self.lease_batch("release", batch).await
    }

    /// Says which attempts are still worked on.
    pub async fn heartbeat(
        &self,
        batch: &LeaseBatch<LeaseItem>,
        deadline: Duration,
    ) -> Result<LeaseResults, ClientError> {
        let request =
            self.request(Method::POST, &[API[0], API[1], "leases", "heartbeat"]).timeout(deadline);
        let answer = self.send(with_json(request, batch)?).await?;
        self.read(answer).await
    }

    async fn lease_batch<T: Serialize>(
        &self,
        verb: &str,
        batch: &LeaseBatch<T>,
    ) -> Result<LeaseResults, ClientError> {
        let request = self.request(Method::POST, &[API[0], API[1], "leases", verb]);
        let answer = self.send(with_json(request, batch)?).await?;
        self.read(answer).await
    }
}
