//! What a job and its nodes say of their retries: a policy that is written out is checked, one that is named is put into the
//! plan's table, once.

use std::sync::Arc;

use super::Check;
use crate::bounds;
use crate::retry::named::{NamedPolicies, NamedPolicy};
use crate::retry::policy::RetryPolicy;
use crate::retry::spec::RetrySpec;

/// The named policies that a job has so far.
pub(super) struct PolicyTable<'a> {
    known: &'a NamedPolicies,
    kept: Vec<Arc<NamedPolicy>>,
    bytes: usize,
    /// An expression of any policy of the job, named or its own, reads the job's input.
    pub(super) reads_job_input: bool,
}

impl<'a> PolicyTable<'a> {
    pub(super) fn of(known: &'a NamedPolicies) -> Self {
        Self { known, kept: Vec::new(), bytes: 0, reads_job_input: false }
    }

    /// The kept policy that this names.
    pub(super) fn find(&self, reference: &str) -> Option<Arc<NamedPolicy>> {
        self.known.get(reference).map(Arc::clone)
    }

    pub(super) fn into_kept(self) -> Vec<Arc<NamedPolicy>> {
        self.kept
    }

    /// The place of a policy, which gets one if it has none; none: there is no room for it.
    fn place(&mut self, named: &Arc<NamedPolicy>) -> Option<u32> {
        let known = self.kept.iter().position(|kept| kept.id == named.id);
        let place = known.unwrap_or(self.kept.len());
        if known.is_none() {
            let json = serde_json::to_vec(named).map_or(0, |json| json.len());
            if self.bytes.saturating_add(json) > bounds::JOB_POLICIES_BYTES_MAX {
                return None;
            }
            self.bytes += json;
            self.reads_job_input |= named.policy.reads_job_input();
            self.kept.push(Arc::clone(named));
        }
        u32::try_from(place).ok()
    }
}

impl Check<'_> {
    /// A policy that is written out, or the place of one that is named.
    pub(super) fn retry(
        &mut self,
        at: &str,
        spec: Option<RetrySpec>,
    ) -> (Option<Arc<RetryPolicy>>, Option<u32>) {
        match spec {
            None => (None, None),
            Some(RetrySpec::Own(policy)) => {
                self.errors.extend(policy.check(at));
                self.policies.reads_job_input |= policy.reads_job_input();
                (Some(Arc::from(policy)), None)
            }
            Some(RetrySpec::Named(reference)) => (None, self.kept_policy(at, &reference)),
        }
    }

    /// The place of the job's policy where it says nothing itself: that of its type, if there is one.
    pub(super) fn retry_of_job(
        &mut self,
        spec: Option<RetrySpec>,
    ) -> (Option<Arc<RetryPolicy>>, Option<u32>) {
        let by_type = self.policies.known.by_job_type().filter(|_| spec.is_none());
        let Some(named) = by_type else { return self.retry("/retry", spec) };
        let place = self.policies.place(named);
        if place.is_none() {
            let name = &named.name;
            let message = format!(
                "the retry policy {name} of its type finds no room beside those that nodes name"
            );
            self.error("/job_type", "too_large", &message);
        }
        (None, place)
    }

    fn kept_policy(&mut self, at: &str, reference: &str) -> Option<u32> {
        let Some(named) = self.policies.known.get(reference) else {
            if !self.policies.known.is_lenient() {
                let message = format!("there is no retry policy {reference}");
                self.error(&format!("{at}/policy_id"), "unknown_policy", &message);
            }
            return None;
        };
        let place = self.policies.place(named);
        if place.is_none() {
            let most = bounds::JOB_POLICIES_BYTES_MAX;
            let message =
                format!("the named policies of a job must be at most {most} bytes of JSON");
            self.error(&format!("{at}/policy_id"), "too_large", &message);
        }
        place
    }
}
