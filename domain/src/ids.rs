//! Identifiers that cannot be built wrong: each has a `parse` with a stated alphabet and length, and a private field.
//! Ids are never parsed by callers; what lives inside a subject (a lease) carries the subject's id.
//! Absent on purpose: minting from a clock or randomness (the service passes both in).

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::bounds;

/// Milliseconds since 1970-01-01T00:00:00Z on the engine's clock.
pub type Millis = i64;

/// What is wrong with a text that should have become an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} must be {allowed}")]
pub struct IdError {
    /// Which identifier was asked for.
    pub what: &'static str,
    /// What would have been accepted.
    pub allowed: &'static str,
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $what:literal, $allowed:literal, $max:expr, $ok:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Accepts the text as it stands; nothing is trimmed or folded.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                let fits: fn(char) -> bool = $ok;
                if text.is_empty() || text.chars().count() > $max || !text.chars().all(fits) {
                    return Err(IdError { what: $what, allowed: $allowed });
                }
                Ok(Self(Arc::from(text)))
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            /// Names are ordered as their texts are.
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

/// In JSON, what it is in text.
macro_rules! by_text {
    ($name:ident) => {
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

mod kind;
mod policies;
mod stream;

pub use self::kind::{FoundBy, SubjectKind};
pub use self::policies::{PolicyId, PolicyName};
pub use self::stream::{GroupId, SubjectId};

fn is_key_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

fn is_path_char(c: char) -> bool {
    is_key_char(c) || matches!(c, '/' | '[' | ']')
}

fn is_dotted_char(c: char) -> bool {
    is_key_char(c) || c == '.'
}

fn is_printable(c: char) -> bool {
    !c.is_control()
}

name_type!(
    /// The tenant. Every stored thing belongs to one.
    Namespace, "namespace", "1-64 of A-Z a-z 0-9 _ . -", bounds::KEY_CHARS_MAX, is_dotted_char
);
name_type!(
    /// A node's key inside its job, chosen by the caller.
    NodeKey, "node key", "1-64 of A-Z a-z 0-9 _ -", bounds::KEY_CHARS_MAX, is_key_char
);
name_type!(
    /// A node's way inside its job: its key, behind those of the groups around it; a copy of a template is named by its
    /// item, as in `each[3]/build`.
    NodePath, "node", "keys of A-Z a-z 0-9 _ -, items in [ ], with / between", bounds::PATH_CHARS_MAX, is_path_char
);
name_type!(
    /// Where ready task nodes wait for workers.
    QueueName, "queue", "1-64 of A-Z a-z 0-9 _ . -", bounds::KEY_CHARS_MAX, is_dotted_char
);
name_type!(
    /// A named pool of resources.
    EnvironmentName, "environment", "1-64 of A-Z a-z 0-9 _ . -", bounds::KEY_CHARS_MAX, is_dotted_char
);
name_type!(
    /// What kind of work a node is, as workers know it.
    ActionType, "action type", "1-100 printable characters", bounds::JOB_TYPE_CHARS_MAX, is_printable
);
name_type!(
    /// Whoever leases over HTTP.
    WorkerName, "worker", "1-128 printable characters", bounds::WORKER_CHARS_MAX, is_printable
);
name_type!(
    /// Identifies one command, so that it is decided at most once by its subject.
    CommandId, "command id", "1-320 printable characters", bounds::COMMAND_ID_CHARS_MAX, is_printable
);
name_type!(
    /// Ties together everything one request caused.
    CorrelationId, "correlation id", "1-128 visible ASCII characters", bounds::WORKER_CHARS_MAX, |c| c.is_ascii_graphic()
);
name_type!(
    /// A worker's own name for one lease request; the same claim gives the same leases.
    Claim, "claim", "1-128 printable characters", bounds::WORKER_CHARS_MAX, is_printable
);

impl From<&NodeKey> for NodePath {
    fn from(key: &NodeKey) -> Self {
        Self(Arc::clone(&key.0))
    }
}

impl NodePath {
    /// A path that a plan has made.
    pub(crate) fn made(path: &str) -> Self {
        Self(Arc::from(path))
    }
}

impl Namespace {
    /// The namespace of requests that name none.
    pub fn default_namespace() -> Self {
        Self(Arc::from("default"))
    }
}

/// In a path `.` and `..` mean another place: clients and proxies fold them away before they send them. A name of
/// nothing else is refused from a caller; what is stored is read by `parse`, because it may be older than this rule.
macro_rules! given_in_paths {
    ($name:ident, $what:literal) => {
        impl $name {
            /// Accepts a name from a caller: as `parse`, and not only dots.
            pub fn parse_given(text: &str) -> Result<Self, IdError> {
                if text.bytes().all(|byte| byte == b'.') {
                    let allowed = "1-64 of A-Z a-z 0-9 _ . -, not only dots";
                    return Err(IdError { what: $what, allowed });
                }
                Self::parse(text)
            }
        }
    };
}

given_in_paths!(Namespace, "namespace");
given_in_paths!(QueueName, "queue");
given_in_paths!(EnvironmentName, "environment");

impl QueueName {
    /// The queue of task nodes that name none.
    pub fn default_queue() -> Self {
        Self(Arc::from("default"))
    }
}

impl EnvironmentName {
    /// The environment of jobs that name none: it exists always and has no capacity limits.
    pub fn default_environment() -> Self {
        Self(Arc::from("default"))
    }
}

/// A job's id: UUIDv7 when minted, or derived from its Idempotency-Key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(pub Uuid);

impl JobId {
    /// Hyphenated UUID text; nothing else is accepted.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let wrong = IdError { what: "job id", allowed: "a UUID as the engine gave it" };
        if text.len() != 36 {
            return Err(wrong);
        }
        Uuid::parse_str(text).map(Self).map_err(|_| wrong)
    }

    /// The id that follows from a caller's Idempotency-Key, so that equal submissions meet.
    pub fn from_key(namespace: &Namespace, key: &str) -> Self {
        Self(derived_uuid(&["job", namespace.as_str(), key]))
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

/// A version-8 UUID made of a hash over the length-prefixed parts.
fn derived_uuid(parts: &[&str]) -> Uuid {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    let digest = hasher.finalize();
    let mut bytes = [0u8; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// Fencing token of a lease: grows over the whole life of a node. The upper half is the store's incarnation, so that
/// a restored store never repeats one. Stays below 2^53 for JSON readers.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The next epoch of a node under this incarnation.
    pub fn next(self, incarnation: u32) -> Self {
        Self(self.0.max(u64::from(incarnation) << 32) + 1)
    }

    /// Whether it was given before the store was restored into this incarnation: whoever holds it holds nothing.
    pub fn is_void_in(self, incarnation: u32) -> bool {
        self.0 >> 32 < u64::from(incarnation)
    }
}

/// A lease's name: the job, the node's position and the epoch. Opaque to workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseId {
    /// The job the attempt belongs to.
    pub job: JobId,
    /// The node's position in its job.
    pub node: u32,
    /// The fencing token.
    pub epoch: Epoch,
}

impl LeaseId {
    /// Reads what `Display` wrote: `uuid.node.epoch`.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let wrong = || IdError { what: "lease", allowed: "a lease id as the engine gave it" };
        let mut parts = text.split('.');
        let job = JobId::parse(parts.next().unwrap_or_default()).map_err(|_| wrong())?;
        let node =
            canonical_number(parts.next()).and_then(|n| u32::try_from(n).ok()).ok_or_else(wrong)?;
        let epoch = Epoch(canonical_number(parts.next()).ok_or_else(wrong)?);
        if parts.next().is_some() {
            return Err(wrong());
        }
        Ok(Self { job, node, epoch })
    }
}

/// Digits only, no sign and no leading zeros: one lease has one text.
fn canonical_number(text: Option<&str>) -> Option<u64> {
    let text = text?;
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

by_text!(LeaseId);

impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.job, self.node, self.epoch.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_id_survives_its_text_and_has_only_one() {
        let lease = LeaseId { job: JobId(Uuid::from_u128(7)), node: 3, epoch: Epoch(9) };
        assert_eq!(LeaseId::parse(&lease.to_string()), Ok(lease));
        assert!(LeaseId::parse(&format!("{}.03.9", lease.job)).is_err());
        assert!(LeaseId::parse(&format!("{}.3.+9", lease.job)).is_err());
        assert!(LeaseId::parse(&format!("{}.3.9.1", lease.job)).is_err());
    }

    #[test]
    fn an_epoch_grows_and_a_new_incarnation_outruns_every_older_one() {
        let first = Epoch::default().next(1);
        assert!(first.next(1) > first);
        assert!(Epoch::default().next(2) > Epoch((1 << 32) + 1_000_000));
    }

    #[test]
    fn equal_keys_meet_and_namespaces_keep_apart() {
        let here = Namespace::default_namespace();
        let there = Namespace::parse("other").unwrap_or_else(|_| here.clone());
        assert_eq!(JobId::from_key(&here, "a"), JobId::from_key(&here, "a"));
        assert_ne!(JobId::from_key(&here, "a"), JobId::from_key(&there, "a"));
        assert_ne!(JobId::from_key(&here, "a"), JobId::from_key(&here, "b"));
    }

    #[test]
    fn ids_that_differ_only_at_the_end_spread_over_the_groups() {
        let group = |n: u128| {
            SubjectId::job(Namespace::default_namespace(), JobId(Uuid::from_u128(n))).group()
        };
        let groups: std::collections::BTreeSet<GroupId> = (0..1_000).map(group).collect();
        assert_eq!(groups.len(), usize::from(bounds::GROUPS));
    }

    #[test]
    fn every_kind_of_subject_comes_back_from_its_code_and_its_word() {
        for kind in SubjectKind::ALL.iter().copied() {
            assert_eq!(SubjectKind::of_code(i64::from(kind.code())), Some(kind));
            assert_eq!(SubjectKind::parse(kind.as_str()), Some(kind));
        }
        assert_eq!((SubjectKind::of_code(254), SubjectKind::of_code(-1)), (None, None));
        assert_eq!(SubjectKind::parse("jobs"), None);
    }

    #[test]
    fn names_refuse_what_their_alphabet_lacks() {
        assert!(NodeKey::parse("a-b_C9").is_ok());
        for wrong in ["", "a.b", "a b", "ä", &"x".repeat(65)] {
            assert!(NodeKey::parse(wrong).is_err(), "{wrong:?}");
        }
        for dots in [".", "..", "...", ""] {
            assert!(QueueName::parse_given(dots).is_err(), "{dots:?}");
        }
        assert!(QueueName::parse_given("..a").is_ok());
        assert!(QueueName::parse("a.b").is_ok());
    }
}
