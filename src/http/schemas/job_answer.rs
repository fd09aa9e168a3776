//! Pages and batches of jobs. Absent: the job itself (`view::resources`), and any conversion.

use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::http::page::PageInfo;
use crate::http::problem::ProblemBody;
use crate::view::resources::job::JobResource;

/// A page of jobs.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = JobList)]
pub struct JobListAnswer<'a> {
    /// The rows of this page, in the order of the list.
    #[schema(value_type = Vec<JobResource>)]
    pub jobs: Vec<&'a RawValue>,
    #[serde(flatten)]
    pub page: PageInfo,
}

/// What became of each job of a batch, in their order.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = JobBatchResults)]
pub struct JobBatchAnswer<'a> {
    /// One a job.
    pub results: Vec<JobBatchResult<'a>>,
}

/// What became of one job of a batch: one of the two.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = JobBatchResult)]
pub struct JobBatchResult<'a> {
    /// The job's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = "uuid", nullable = false)]
    pub id: Option<String>,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = ProblemBody<'static>, required = false)]
    pub error: Option<ProblemBody<'a>>,
}
