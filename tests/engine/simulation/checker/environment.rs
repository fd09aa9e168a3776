//! What the stream of an environment must say: grants numbered without gaps, never beyond the capacity of that moment,
//! one a run, each given back once.

use std::collections::BTreeMap;

use domain::environment::event::{EnvironmentEvent, EnvironmentFact};
use domain::ids::{JobId, Millis};
use domain::job::event::JobEvent;
use domain::job::fact::{AdmissionFact, JobFact};

#[derive(Debug, Default)]
pub(crate) struct EnvironmentStory {
    capacity: BTreeMap<String, u64>,
    grants: BTreeMap<(JobId, u32), (u64, BTreeMap<String, u64>)>,
    granted: u64,
    deleted: bool,
    newest_at: Millis,
}

/// The grant that a job's event takes.
pub(super) fn grant_taken(event: &JobEvent) -> Option<u64> {
    if let JobFact::Admission(AdmissionFact::Granted { number, .. }) = event.fact {
        Some(number)
    } else {
        None
    }
}

/// The grant that an environment's event frees.
pub(super) fn grant_freed(event: &EnvironmentEvent) -> Option<(JobId, u64)> {
    match event.fact {
        EnvironmentFact::Released { job, number, .. } => Some((job, number)),
        _ => None,
    }
}

impl EnvironmentStory {
    pub(super) fn begin(event: &EnvironmentEvent) -> Result<Self, String> {
        let mut story = Self { deleted: true, ..Self::default() };
        story.take(event)?;
        if story.deleted { Err("invariant 18: it does not begin".to_owned()) } else { Ok(story) }
    }

    /// How many slots there are, while it exists.
    pub(super) fn slots(&self) -> Option<u64> {
        (!self.deleted).then(|| self.capacity.get("slots").copied().unwrap_or(u64::MAX))
    }

    pub(super) fn holds(&self, job: JobId, number: u64) -> bool {
        self.grants.iter().any(|((of, _), (held, _))| *of == job && *held == number)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.grants.is_empty()
    }

    fn used(&self, resource: &str) -> u64 {
        self.grants.values().filter_map(|(_, resources)| resources.get(resource)).sum()
    }

    pub(super) fn take(&mut self, event: &EnvironmentEvent) -> Result<(), String> {
        if event.by.at < self.newest_at {
            return Err("invariant 18: an event older than the one before it".to_owned());
        }
        self.newest_at = event.by.at;
        let defines = matches!(event.fact, EnvironmentFact::Defined { .. });
        let releases = matches!(event.fact, EnvironmentFact::Released { .. });
        if self.deleted != defines && !(self.deleted && releases) {
            return Err(
                "invariant 3: an environment that is defined twice, or used when gone".to_owned()
            );
        }
        match &event.fact {
            EnvironmentFact::Defined { capacity, .. } => {
                self.capacity.clone_from(capacity);
                self.deleted = false;
            }
            EnvironmentFact::Updated { capacity, .. } => self.capacity.clone_from(capacity),
            EnvironmentFact::Deleted if self.grants.is_empty() => self.deleted = true,
            EnvironmentFact::Deleted => return Err("invariant 16: deleted with grants".to_owned()),
            EnvironmentFact::Granted { job, run, number, resources } => {
                if *number != self.granted + 1 || self.grants.contains_key(&(*job, *run)) {
                    return Err(format!("invariant 16: grant {number} after {}", self.granted));
                }
                self.granted = *number;
                for (resource, asked) in resources {
                    let most = self.capacity.get(resource).copied().unwrap_or(u64::MAX);
                    if self.used(resource) + asked > most && *asked > 0 {
                        return Err(format!("invariant 16: more {resource} than there is"));
                    }
                }
                self.grants.insert((*job, *run), (*number, resources.clone()));
            }
            EnvironmentFact::Released { job, run, number, .. } => {
                let held = self.grants.remove(&(*job, *run));
                if held.is_none_or(|(held, _)| held != *number) {
                    return Err(format!("invariant 16: grant {number} given back and not held"));
                }
            }
        }
        Ok(())
    }
}
