//! Asking for work: alone on a queue, or together with a report. Absent: reports (`report.rs`), and who gets what.

use std::time::Duration;

use domain::ids::{ActionType, Claim, IdError, QueueName, WorkerName};
use domain::payload::Hash;
use domain::refusal::FieldError;
use serde::Deserialize;
use utoipa::ToSchema;
use validator::Validate;

use crate::http::extract::bounded;
use crate::http::extract::headers::IdempotencyKey;
use crate::http::problem::Problem;
use crate::http::state::ApiSettings;

/// Action types that one request filters by.
const ACTION_TYPES_MAX: usize = 100;

/// What every request for work may say, after what its own kind says first. A macro, because fields that are flattened in
/// would let unknown ones pass.
macro_rules! asks_for_work {
    ($(#[doc = $about:literal])* $name:ident as $wire:ident { $($own:tt)* }) => {
        $(#[doc = $about])*
        #[derive(Debug, Deserialize, Validate, ToSchema)]
        #[serde(deny_unknown_fields)]
        #[schema(as = $wire)]
        pub struct $name {
            $($own)*
            /// At most so many leases.
            #[serde(default = "one")]
            #[validate(range(min = 1, max = 1_000))]
            #[schema(minimum = 1, maximum = 1_000, default = 1)]
            max: u32,
            /// How long to wait for the first one, in milliseconds.
            #[serde(default)]
            #[validate(range(max = 30_000))]
            #[schema(minimum = 0, maximum = 30_000, default = 0)]
            wait_ms: u64,
            /// Length of each lease, in milliseconds; heartbeats renew it.
            #[validate(range(min = 5_000, max = 3_600_000))]
            #[schema(minimum = 5_000, maximum = 3_600_000, nullable = false)]
            lease_ms: Option<u64>,
            /// Only these action types; empty: all.
            #[serde(default, deserialize_with = "bounded::list::<ACTION_TYPES_MAX, _, _>")]
            #[schema(max_items = 100)]
            action_types: Vec<String>,
            /// The worker's name for this request: the same claim gives the same leases.
            #[schema(min_length = 1, max_length = 128)]
            claim: Option<String>,
        }

        impl $name {
            /// What is asked for, of this queue by this worker.
            fn wanted(
                self,
                mut names: Names,
                queue: QueueName,
                worker: Option<WorkerName>,
                settings: &ApiSettings,
            ) -> Result<WorkWanted, Problem> {
                let wanted = WorkWanted {
                    queue,
                    worker,
                    max: self.max,
                    wait_ms: self.wait_ms,
                    lease_ms: self.lease_ms.unwrap_or_else(|| millis(settings.default_lease)),
                    action_types: names.action_types(&self.action_types),
                    claim: names.read("claim", self.claim.as_deref(), Claim::parse),
                };
                names.check_wait(self.wait_ms, settings);
                names.finish(wanted)
            }
        }
    };
}

asks_for_work! {
    /// Asks a queue for work.
    LeaseBody as LeaseWork {
        /// The name of the worker that asks.
        #[schema(min_length = 1, max_length = 128, examples("host-7"))]
        worker: String,
    }
}

asks_for_work! {
    /// Asks for the next work together with a report.
    NextWorkBody as NextWork {
        /// From this queue.
        #[schema(pattern = "^[A-Za-z0-9_.-]{1,64}$")]
        queue: String,
        /// Who asks; absent: whoever held the first reported lease.
        #[schema(min_length = 1, max_length = 128)]
        worker: Option<String>,
    }
}

fn one() -> u32 {
    1
}

/// What is asked for, in the domain's words.
#[derive(Debug, Clone)]
pub struct WorkWanted {
    /// The queue that the work is taken from.
    pub queue: QueueName,
    /// Who; none: the holder of what is reported.
    pub worker: Option<WorkerName>,
    /// 1 to 1,000.
    pub max: u32,
    /// 0 to 30,000.
    pub wait_ms: u64,
    /// 5,000 to 3,600,000.
    pub lease_ms: u64,
    /// The action types that are wanted; all when empty.
    pub action_types: Vec<ActionType>,
    /// Names the request.
    pub claim: Option<Claim>,
}

impl LeaseBody {
    /// What is asked for, of this queue.
    pub fn into_wanted(
        self,
        queue: QueueName,
        key: &IdempotencyKey,
        settings: &ApiSettings,
    ) -> Result<WorkWanted, Problem> {
        let mut names = Names::at("");
        let worker = names.read("worker", Some(&self.worker), WorkerName::parse);
        let wanted = self.wanted(names, queue, worker, settings)?;
        let claim = wanted.claim.or_else(|| key.0.as_deref().and_then(claim_of_key));
        Ok(WorkWanted { claim, ..wanted })
    }
}

/// A key is the claim of a request that names none; one too long for a claim stands in by its hash.
fn claim_of_key(key: &str) -> Option<Claim> {
    Claim::parse(key).or_else(|_| Claim::parse(&Hash::of(key.as_bytes()).hex())).ok()
}

impl NextWorkBody {
    /// What is asked for.
    pub fn into_wanted(self, settings: &ApiSettings) -> Result<WorkWanted, Problem> {
        let mut names = Names::at("/lease");
        let queue = names.read("queue", Some(&self.queue), QueueName::parse_given);
        let worker = names.read("worker", self.worker.as_deref(), WorkerName::parse);
        self.wanted(names, queue.unwrap_or_else(QueueName::default_queue), worker, settings)
    }
}

/// Reads names and notes those that are none.
struct Names {
    at: &'static str,
    errors: Vec<FieldError>,
}

impl Names {
    fn at(at: &'static str) -> Self {
        Self { at, errors: Vec::new() }
    }

    fn read<T>(
        &mut self,
        field: &str,
        text: Option<&str>,
        parse: impl Fn(&str) -> Result<T, IdError>,
    ) -> Option<T> {
        let error = match parse(text?) {
            Ok(name) => return Some(name),
            Err(error) => error,
        };
        self.errors.push(FieldError::id(format!("{}/{field}", self.at), &error));
        None
    }

    fn action_types(&mut self, texts: &[String]) -> Vec<ActionType> {
        let read = |(position, text): (usize, &String)| {
            self.read(&format!("action_types/{position}"), Some(text), ActionType::parse)
        };
        texts.iter().enumerate().filter_map(read).collect()
    }

    fn check_wait(&mut self, wait_ms: u64, settings: &ApiSettings) {
        let max = millis(settings.long_poll_max);
        if wait_ms > max {
            let message = format!("must be at most {max}");
            let pointer = format!("{}/wait_ms", self.at);
            self.errors.push(FieldError::new(pointer, "out_of_range", message));
        }
    }

    fn finish<T>(self, value: T) -> Result<T, Problem> {
        if self.errors.is_empty() { Ok(value) } else { Err(Problem::invalid(self.errors)) }
    }
}

fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}
