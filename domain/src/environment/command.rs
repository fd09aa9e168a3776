//! What can be asked of an environment, and the check of what people write into one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::bounds;
use crate::environment::event::ReleaseCause;
use crate::ids::{EnvironmentName, JobId, Namespace};
use crate::refusal::FieldError;

/// A command to one environment.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EnvironmentCommand {
    /// Make it. Refused when it exists and this command did not make it.
    Define {
        namespace: Namespace,
        /// Unique in the namespace.
        name: EnvironmentName,
        definition: Definition,
    },
    /// Change it. A capacity below the present use is allowed: grants stay, and nothing new is granted until it fits.
    Update(Definition),
    /// Remove it. Refused while it has grants or requests.
    Delete {
        /// Requests that wait for it. They are volatile: only its driver knows them.
        waiting: usize,
    },
    /// Let a job's run use resources, if they are free.
    Grant {
        job: JobId,
        /// Which of its runs, from 1.
        run: u32,
        /// How much of what.
        resources: BTreeMap<String, u64>,
    },
    /// Give a grant back. Nothing happens when it is not held.
    Release {
        job: JobId,
        /// Which of its runs.
        run: u32,
        number: u64,
        /// What the job's stream says.
        why: ReleaseCause,
    },
}

impl EnvironmentCommand {
    /// Whether it makes the environment.
    pub fn makes_subject(&self) -> bool {
        match self {
            Self::Define { .. } => true,
            Self::Update(_) | Self::Delete { .. } | Self::Grant { .. } | Self::Release { .. } => {
                false
            }
        }
    }

    /// Whether it may be decided twice, without a command id, as if it had come once: grants are known again by job
    /// and run. Any other gets an id before it is passed on, or a late second one would be decided anew.
    pub fn is_idempotent(&self) -> bool {
        match self {
            Self::Grant { .. } | Self::Release { .. } => true,
            Self::Define { .. } | Self::Update(_) | Self::Delete { .. } => false,
        }
    }
}

/// What people say of an environment, within its bounds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Definition {
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    capacity: BTreeMap<String, u64>,
}

/// What comes from another engine is checked like what comes from people.
#[derive(Deserialize)]
struct Unchecked {
    description: Option<String>,
    capacity: BTreeMap<String, u64>,
}

impl TryFrom<Unchecked> for Definition {
    type Error = &'static str;

    fn try_from(unchecked: Unchecked) -> Result<Self, Self::Error> {
        Self::check(unchecked.description, unchecked.capacity)
            .map_err(|_| "the definition of an environment breaks its rules")
    }
}

impl Definition {
    /// Checks what a caller wrote. A resource of which there is 0 can never be had; one that is not named is
    /// unlimited.
    pub fn check(
        description: Option<String>,
        capacity: BTreeMap<String, u64>,
    ) -> Result<Self, Vec<FieldError>> {
        let mut errors = Vec::new();
        let chars = description.as_ref().map_or(0, |text| text.chars().count());
        if chars > bounds::DESCRIPTION_CHARS_MAX {
            let message = format!("must be at most {} characters", bounds::DESCRIPTION_CHARS_MAX);
            errors.push(FieldError::new("/description", "invalid_length", message));
        }
        if capacity.len() > bounds::RESOURCES_MAX {
            let message = format!("must name at most {} resources", bounds::RESOURCES_MAX);
            errors.push(FieldError::new("/capacity", "too_many", message));
        } else {
            errors.extend(capacity.iter().filter_map(|(name, amount)| wrong(name, *amount)));
        }
        if errors.is_empty() { Ok(Self { description, capacity }) } else { Err(errors) }
    }

    /// Free text that only people read.
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// How much of what there is.
    pub fn capacity(&self) -> &BTreeMap<String, u64> {
        &self.capacity
    }
}

fn wrong(name: &str, amount: u64) -> Option<FieldError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if name.is_empty() || name.chars().count() > bounds::KEY_CHARS_MAX || !name.chars().all(fits) {
        let message = "names must be 1-64 of A-Z a-z 0-9 . _ -";
        return Some(FieldError::new("/capacity", "invalid_key", message));
    }
    (amount > bounds::RESOURCE_AMOUNT_MAX).then(|| {
        let message = format!("must be at most {}", bounds::RESOURCE_AMOUNT_MAX);
        FieldError::new(format!("/capacity/{name}"), "out_of_range", message)
    })
}
