//! What a job or a node says of its retries, unchecked.

use super::policy::RetryPolicy;

/// A policy that is written out, or one that the namespace keeps.
#[derive(Debug, Clone, PartialEq)]
pub enum RetrySpec {
    Own(Box<RetryPolicy>),
    /// Its id or its name.
    Named(String),
}

impl RetrySpec {
    /// The id or the name of the policy that it names.
    pub fn reference(&self) -> Option<&str> {
        match self {
            Self::Own(_) => None,
            Self::Named(reference) => Some(reference),
        }
    }
}

impl From<RetryPolicy> for RetrySpec {
    fn from(policy: RetryPolicy) -> Self {
        Self::Own(Box::new(policy))
    }
}
