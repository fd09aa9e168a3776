//! Ids and names in paths. What cannot be the id of anything is not found, like an id that is nothing's: clients
//! never parse ids, so there is one answer for both. Percent-encoding is undone before (`group%2Fmember`).

use axum::RequestPartsExt;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use domain::ids::{EnvironmentName, JobId, QueueName};

use crate::http::problem::{Code, Problem};

#[derive(Debug, Clone, Copy)]
pub struct JobPath(pub JobId);

#[derive(Debug, Clone)]
pub struct NodePath {
    pub job: JobId,
    /// The node's key, unchecked: one that cannot exist is simply not found.
    pub key: String,
}

#[derive(Debug, Clone)]
pub struct QueuePath(pub QueueName);

/// `/environments/{id}`, where the id is the name.
#[derive(Debug, Clone)]
pub struct EnvironmentPath(pub EnvironmentName);

/// `/retry-policies/{id}`, where the id or the name stands, unchecked: what cannot exist is simply not found.
#[derive(Debug, Clone)]
pub struct PolicyPath(pub String);

fn job_id(text: &str) -> Result<JobId, Problem> {
    JobId::parse(text).map_err(|error| Problem::new(Code::JobNotFound, error.to_string()))
}

impl<S: Send + Sync> FromRequestParts<S> for JobPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Path(id) = parts
            .extract::<Path<String>>()
            .await
            .map_err(|_| Problem::new(Code::JobNotFound, "the job id in the path is not UTF-8"))?;
        job_id(&id).map(Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for NodePath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Path((id, key)) = parts
            .extract::<Path<(String, String)>>()
            .await
            .map_err(|_| Problem::new(Code::NodeNotFound, "the path is not UTF-8"))?;
        Ok(Self { job: job_id(&id)?, key })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for QueuePath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // A queue exists as soon as it is named, so a wrong name is a wrong request and not a missing thing.
        let wrong = |message: String| Problem::field("queue", "invalid_format", message);
        let Path(name) =
            parts.extract::<Path<String>>().await.map_err(|_| wrong("must be UTF-8".to_owned()))?;
        QueueName::parse_given(&name).map(Self).map_err(|error| wrong(error.to_string()))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for PolicyPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let missing = "the id in the path is not UTF-8";
        let Path(id) = parts
            .extract::<Path<String>>()
            .await
            .map_err(|_| Problem::new(Code::RetryPolicyNotFound, missing))?;
        Ok(Self(id))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for EnvironmentPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let missing = |message: String| Problem::new(Code::EnvironmentNotFound, message);
        let Path(name) = parts
            .extract::<Path<String>>()
            .await
            .map_err(|_| missing("the name in the path is not UTF-8".to_owned()))?;
        EnvironmentName::parse(&name).map(Self).map_err(|error| missing(error.to_string()))
    }
}
