//! The names of retry policies, as callers choose them, and the ids that follow from them.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{IdError, Namespace, derived_uuid, is_printable};
use crate::bounds;

name_type!(
    /// What a retry policy is called in its namespace.
    PolicyName, "policy name", "1-255 printable characters", bounds::NAME_CHARS_MAX, is_printable
);

impl PolicyName {
    /// Accepts a name from a caller: as `parse`, without spaces around it, and nothing that would be taken for something
    /// else: an id, or a place in a path.
    pub fn parse_given(text: &str) -> Result<Self, IdError> {
        let allowed =
            "1-255 printable characters, without spaces around them, no id and not only dots";
        let wrong = IdError { what: "policy name", allowed };
        let is_plain = text.trim() == text && !text.bytes().all(|byte| byte == b'.');
        if !is_plain || Uuid::parse_str(text).is_ok() {
            return Err(wrong);
        }
        Self::parse(text).map_err(|_| wrong)
    }
}

/// A retry policy's id: it follows from namespace and name, so that a name is its policy's alone.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PolicyId(pub Uuid);

impl PolicyId {
    /// The id of the policy with this name.
    pub fn of_name(namespace: &Namespace, name: &PolicyName) -> Self {
        Self(derived_uuid(&["retry_policy", namespace.as_str(), name.as_str()]))
    }

    /// The policy that a caller means by this text, which is its id or its name; none: there can be none.
    pub fn of_reference(namespace: &Namespace, text: &str) -> Option<Self> {
        match Uuid::parse_str(text) {
            Ok(id) if text.len() == 36 => Some(Self(id)),
            Ok(_) | Err(_) => {
                let name = PolicyName::parse_given(text).ok()?;
                Some(Self::of_name(namespace, &name))
            }
        }
    }
}

impl fmt::Display for PolicyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl fmt::Debug for PolicyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_meant_by_its_id_or_its_name_in_its_namespace() {
        let here = Namespace::default_namespace();
        let there = Namespace::parse("other").unwrap_or_else(|_| here.clone());
        let id = PolicyId::of_reference(&here, "flaky http").unwrap_or_else(|| panic!("a name"));
        assert_eq!(PolicyId::of_reference(&here, &id.to_string()), Some(id));
        assert_ne!(PolicyId::of_reference(&there, "flaky http"), Some(id));
        for nothing in ["", " a", "..", "a\nb", &"x".repeat(256), &id.0.simple().to_string()] {
            assert_eq!(PolicyId::of_reference(&here, nothing), None, "{nothing:?}");
        }
        assert!(PolicyName::parse_given(&id.to_string()).is_err());
    }
}
