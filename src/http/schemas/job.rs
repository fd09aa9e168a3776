//! A job as it is submitted and patched, and the way into the domain's unchecked spec. Absent: the rules of the
//! graph and the bounds, which the domain checks; what a job answers (`view::resources`).

use std::collections::BTreeMap;

use domain::bounds;
use domain::exact_json::ExactJson;
use domain::job::spec::{JobSpec, Start};
use domain::refusal::FieldError;
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use validator::Validate;

use super::complete_when::CompleteWhenBody;
use super::later::{self, Later};
use super::node::{NodeBody, Nodes};
use super::retry::RetryBody;
use super::{payload, time};
use crate::http::extract::batch::BatchItems;
use crate::http::extract::bounded;
use crate::view::resources::words::StartWord;

/// A job to run.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SubmitJob)]
pub struct JobBody {
    /// Free text that only people read.
    #[schema(min_length = 1, max_length = 255, examples("nightly build"))]
    name: String,
    /// Free text that only people read.
    #[schema(max_length = 1_000)]
    description: Option<String>,
    /// What kind of job it is.
    #[schema(min_length = 1, max_length = 100)]
    job_type: Option<String>,
    /// 1 (highest) to 10; absent: 5.
    #[schema(minimum = 1, maximum = 10)]
    priority: Option<u8>,
    /// For people and filters; each 1-50 characters, all different.
    #[serde(default, deserialize_with = "bounded::list::<{ bounds::TAGS_MAX }, _, _>")]
    #[schema(max_items = 20)]
    tags: Vec<String>,
    /// Any JSON, at most 256 KiB and 64 levels deep.
    #[serde(default, deserialize_with = "super::given")]
    #[schema(value_type = Option<serde_json::Value>)]
    input: Option<Box<RawValue>>,
    /// Who or what asked for it.
    #[schema(max_length = 255)]
    triggered_by: Option<String>,
    /// Not before this time.
    #[schema(format = "date-time")]
    scheduled_at: Option<String>,
    /// What lets it start.
    #[serde(default)]
    #[schema(value_type = StartWord, default = "auto")]
    start: Start,
    /// From entering `queued`, in milliseconds.
    #[schema(minimum = 1_000, maximum = 2_592_000_000_i64)]
    timeout_ms: Option<u64>,
    /// For people, in milliseconds.
    #[schema(minimum = 0)]
    estimated_duration_ms: Option<u64>,
    /// The pool it is admitted into; absent: `default`.
    #[schema(pattern = "^[A-Za-z0-9_.-]{1,64}$")]
    environment: Option<String>,
    /// What it takes of its environment; empty: one slot.
    #[serde(default, deserialize_with = "bounded::amounts::<{ bounds::RESOURCES_MAX }, _>")]
    resources: BTreeMap<String, u64>,
    /// Nodes ready or running at once.
    #[schema(minimum = 1)]
    max_parallel: Option<u32>,
    /// The first failure of a node that is not optional cancels the rest.
    #[serde(default)]
    fail_fast: bool,
    /// When the settled job counts as completed; absent: when no node failed unless it is optional.
    complete_when: Option<CompleteWhenBody>,
    /// The job ends, and cancels the rest, as soon as `complete_when` is decided.
    #[serde(default)]
    complete_early: bool,
    /// How long all cleanups together may take, in milliseconds.
    #[schema(minimum = 1_000, maximum = 2_592_000_000_i64, default = 600_000)]
    cleanup_timeout_ms: Option<u64>,
    /// For tasks that have none of their own.
    retry: Option<Box<RetryBody>>,
    /// Any JSON, made when the job settles; absent: the outputs of the nodes that have no children. Texts may have
    /// expressions in `${{ }}`.
    #[serde(default, deserialize_with = "super::given")]
    #[schema(value_type = Option<serde_json::Value>)]
    output: Option<Box<RawValue>>,
    /// Small facts; keys `[a-z0-9._/-]{1,63}`.
    #[serde(default, deserialize_with = "bounded::values")]
    #[schema(value_type = BTreeMap<String, serde_json::Value>)]
    metadata: BTreeMap<String, ExactJson>,
    /// The steps, at most 20,000 with the members of groups.
    #[schema(value_type = Vec<NodeBody>, min_items = 1, max_items = 20_000)]
    nodes: Nodes,
    #[schema(ignore)]
    job_retry: Later,
    #[schema(ignore)]
    recovery: Later,
    #[schema(ignore)]
    concurrency_key: Later,
}

/// Many jobs; each is accepted or refused by itself.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SubmitJobs)]
pub struct JobBatchBody {
    /// At most 1,000.
    #[validate(custom(function = BatchItems::fits))]
    #[schema(value_type = Vec<JobBody>, min_items = 1, max_items = 1_000)]
    pub jobs: BatchItems<Box<RawValue>, { bounds::JOB_BATCH_MAX }>,
}

impl JobBody {
    /// How many nodes it has, members included.
    pub fn node_count(&self) -> usize {
        self.nodes.count()
    }

    /// The domain's unchecked spec, or what this layer alone can tell is wrong.
    pub fn into_spec(self) -> Result<JobSpec, Vec<FieldError>> {
        let mut errors = Vec::new();
        later::refuse(
            "",
            &[
                ("job_retry", &self.job_retry),
                ("recovery", &self.recovery),
                ("concurrency_key", &self.concurrency_key),
            ],
            &mut errors,
        );
        payload::check(self.input.as_deref(), "/input", &mut errors);
        payload::check(self.output.as_deref(), "/output", &mut errors);
        let scheduled_at = self.scheduled_at.and_then(|text| {
            let ms = time::parse(&text);
            if ms.is_none() {
                let message = format!("must be {}", time::ALLOWED);
                errors.push(FieldError::new("/scheduled_at", "invalid_format", message));
            }
            ms
        });
        let complete_when =
            self.complete_when.map(|body| body.into_rule("/complete_when", &mut errors));
        let retry = self.retry.map(|retry| retry.into_spec("/retry", &mut errors));
        let nodes = self.nodes.into_specs("/nodes", &mut errors);
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(JobSpec {
            name: self.name,
            description: self.description,
            job_type: self.job_type,
            priority: self.priority,
            tags: self.tags,
            input: self.input.map(payload::on_one_line),
            triggered_by: self.triggered_by,
            scheduled_at,
            start: self.start,
            timeout_ms: self.timeout_ms,
            estimated_duration_ms: self.estimated_duration_ms,
            environment: self.environment,
            resources: self.resources,
            max_parallel: self.max_parallel,
            fail_fast: self.fail_fast,
            complete_when: complete_when.unwrap_or_default(),
            complete_early: self.complete_early,
            cleanup_timeout_ms: self.cleanup_timeout_ms,
            retry,
            output: self.output.map(payload::on_one_line),
            metadata: self.metadata,
            nodes,
        })
    }
}
