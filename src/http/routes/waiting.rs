//! Requests about a job that wait until it is over, or has changed, instead of asking again and again.
//! Always holds: a request waits as lease requests do, in a place that is bounded, parked, and at most
//! `server.long_poll_max_ms`; when the time is over the job is answered as it is. Absent: who says that a job changed
//! (`engine::watch`).

use std::time::Duration;

use domain::ids::{JobId, Namespace, SubjectId};
use domain::job::summary::JobSnapshot;
use utoipa::IntoParams;

use crate::engine::error::EngineError;
use crate::http::extract::headers::ApiCaller;
use crate::http::extract::query::Query;
use crate::http::problem::Problem;
use crate::http::state::Api;
use crate::http::waiters::WaiterPermit;

/// What another engine appends is not heard of here, so the job is looked at this often all the same.
const LOOK: Duration = Duration::from_millis(500);
/// A job of thousands of nodes changes at each report: it is looked at no more often than this.
const PAUSE: Duration = Duration::from_millis(25);
/// What `until` takes.
const UNTIL: &str = "`ended`, or `version>=17`";

/// How to wait for a job.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct WaitParameters {
    /// Wait at most so many milliseconds until `until` holds, then answer the job as it is; cut to the engine's longest
    /// wait (30 s by default).
    #[param(minimum = 0, maximum = 3_600_000, nullable = false)]
    pub wait_ms: Option<u64>,
    /// What to wait for: `ended` (it is completed, failed, timeout, cancelled or aborted), or `version>=17` (it has so
    /// many events).
    #[param(pattern = "^(ended|version>=[0-9]{1,19})$", default = "ended", nullable = false)]
    pub until: Option<String>,
}

/// What a request waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Until {
    Ended,
    Version(u64),
}

/// How long a request waits, and for what.
#[derive(Debug, Clone, Copy)]
pub(super) struct WaitRequest {
    until: Until,
    longest: Duration,
}

impl WaitRequest {
    /// Takes `wait_ms` and `until` out of a query. None: it does not wait.
    pub(super) fn read(query: &mut Query, api: &Api) -> Option<Self> {
        let wait_ms = query.number("wait_ms", &(0..=3_600_000_u64));
        let until = query.one("until", UNTIL, until).unwrap_or(Until::Ended);
        let longest = Duration::from_millis(wait_ms?).min(api.settings().long_poll_max);
        (!longest.is_zero()).then_some(Self { until, longest })
    }

    /// A place among the requests that wait; 429 when there is none.
    pub(super) fn place(api: &Api, caller: &ApiCaller) -> Result<WaiterPermit, Problem> {
        api.long_poll(caller)
    }

    fn is_over(self, job: &JobSnapshot) -> bool {
        match self.until {
            Until::Ended => job.head.status.is_over(),
            Until::Version(version) => job.head.seq >= version,
        }
    }

    /// The job when it is as wished, or when the time is over.
    pub(super) async fn job(
        self,
        api: &Api,
        namespace: &Namespace,
        id: JobId,
    ) -> Result<JobSnapshot, Problem> {
        let clock = &api.outside().clock;
        let deadline = clock.monotonic() + self.longest;
        let watch = api.engine().jobs().watch(&SubjectId::job(namespace.clone(), id));
        loop {
            let changed = watch.changed();
            let found = api.engine().jobs().job(namespace, id).await;
            let left = deadline.saturating_sub(clock.monotonic());
            let goes_on = match &found {
                Ok(job) => !self.is_over(job),
                // They pass; what they keep from being seen may still come true in time.
                Err(EngineError::Unavailable | EngineError::Overloaded) => true,
                Err(_) => false,
            };
            if !goes_on || left.is_zero() {
                return found.map_err(Problem::from);
            }
            tokio::select! {
                () = changed => clock.sleep(PAUSE.min(left)).await,
                () = clock.sleep(LOOK.min(left)) => {}
            }
        }
    }
}

fn until(text: &str) -> Option<Until> {
    if text == "ended" {
        return Some(Until::Ended);
    }
    let digits = text.strip_prefix("version>=")?;
    let is_plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_plain.then(|| digits.parse().ok().map(Until::Version)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn until_is_an_end_or_a_version() {
        assert_eq!(until("ended"), Some(Until::Ended));
        assert_eq!(until("version>=17"), Some(Until::Version(17)));
        for wrong in
            ["", "end", "version", "version>=", "version>=-1", "version>17", "version>=1.0"]
        {
            assert_eq!(until(wrong), None, "{wrong}");
        }
    }
}
