//! The names of streams: of which subject one is, and the group it falls into.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{EnvironmentName, IdError, JobId, Namespace, SubjectKind, derived_uuid};
use crate::bounds;

/// Names one stream. The namespace is part of the name, so that no query can leave its tenant.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubjectId {
    /// What it is.
    pub kind: SubjectKind,
    /// Whose it is.
    pub namespace: Namespace,
    /// Which one: the job's id, or an id that follows from namespace, kind and name.
    pub id: Uuid,
}

impl SubjectId {
    /// The stream of a job.
    pub fn job(namespace: Namespace, id: JobId) -> Self {
        Self { kind: SubjectKind::Job, namespace, id: id.0 }
    }

    /// The stream of an environment.
    pub fn environment(namespace: Namespace, name: &EnvironmentName) -> Self {
        Self::named(SubjectKind::Environment, namespace, name.as_str())
    }

    /// The stream of a namespace's catalog, of which there is one.
    pub fn catalog(namespace: Namespace) -> Self {
        Self::named(SubjectKind::Catalog, namespace, "")
    }

    /// The stream of what is found by its name: its id follows from that, so that a name is unique by its stream.
    pub fn named(kind: SubjectKind, namespace: Namespace, name: &str) -> Self {
        let id = derived_uuid(&[kind.as_str(), namespace.as_str(), name]);
        Self { kind, namespace, id }
    }

    /// Reads what `Display` wrote: `kind/namespace/uuid`.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let wrong = || IdError { what: "subject", allowed: "kind/namespace/uuid" };
        let mut parts = text.splitn(3, '/');
        let kind = SubjectKind::parse(parts.next().unwrap_or_default()).ok_or_else(wrong)?;
        let namespace = Namespace::parse(parts.next().unwrap_or_default()).map_err(|_| wrong())?;
        let id = Uuid::parse_str(parts.next().unwrap_or_default()).map_err(|_| wrong())?;
        Ok(Self { kind, namespace, id })
    }

    /// The group whose driver looks after this subject. FNV-1a over the id: stable for ever, spread even for
    /// time-ordered ids.
    pub fn group(&self) -> GroupId {
        let hash = self.id.as_bytes().iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        // FNV alone leaves the last bytes in its low bits.
        let mixed = (hash ^ (hash >> 32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        GroupId(mixed.to_be_bytes()[0] % bounds::GROUPS)
    }
}

by_text!(SubjectId);

impl fmt::Display for SubjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.kind.as_str(), self.namespace, self.id.hyphenated())
    }
}

impl fmt::Debug for SubjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One of the 64 groups that subjects fall into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(u8);

impl GroupId {
    /// Every group, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..bounds::GROUPS).map(Self)
    }

    /// 0 to 63.
    pub fn index(self) -> u8 {
        self.0
    }
}
