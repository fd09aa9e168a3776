//! Lists of nodes and templates, each node made into the domain's as it is read: read as they stand they take five
//! times as much. A list does not know where it stands in the body, so its errors begin at the list, and whoever holds
//! it tells the way there.
//!
//! Always holds: of a body no more nodes are read than a job may have, members included, and no group is read below the
//! depth that members may have.

use std::fmt;

use domain::node::spec::GROUP_DEPTH_MAX;
use domain::node::spec::{MembersSpec, NodeKind, NodeSpec};
use domain::refusal::FieldError;
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{NodeBody, Place};
use crate::http::extract::bounded;
use crate::http::problem::ERRORS_MAX;

/// The nodes of a job or the members of a group.
#[derive(Debug)]
pub struct Nodes {
    /// As they stand; fewer when there are errors.
    pub specs: Vec<NodeSpec>,
    /// What this layer alone can tell is wrong with them; the pointers begin at the list.
    errors: Vec<FieldError>,
}

impl Nodes {
    /// The domain's unchecked specs. `at` is where the list stands in the body.
    pub fn into_specs(self, at: &str, errors: &mut Vec<FieldError>) -> Vec<NodeSpec> {
        errors.extend(below(at, self.errors));
        self.specs
    }

    /// How many there are, members and templates included.
    pub fn count(&self) -> usize {
        count(&self.specs)
    }
}

/// Recursion is bounded by the depth that members are read to.
fn count(specs: &[NodeSpec]) -> usize {
    let members = |spec: &NodeSpec| match &spec.kind {
        NodeKind::ParallelGroup(group) | NodeKind::SequentialGroup(group) => match &group.members {
            MembersSpec::Nodes(nodes) => count(nodes),
            MembersSpec::ForEach { template, .. } => count(std::slice::from_ref(&**template)),
        },
        NodeKind::Task
        | NodeKind::Condition { .. }
        | NodeKind::Checkpoint { .. }
        | NodeKind::Cleanup { .. }
        | NodeKind::SubJob
        | NodeKind::Notification => 0,
    };
    specs.iter().map(|spec| 1 + members(spec)).sum()
}

impl<'de> Deserialize<'de> for Nodes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ReadNodes)
    }
}

struct ReadNodes;

impl<'de> Visitor<'de> for ReadNodes {
    type Value = Nodes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sequence")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Nodes, A::Error> {
        let mut nodes = Nodes { specs: Vec::new(), errors: Vec::new() };
        let mut position = 0;
        while bounded::is_room_for_a_node() {
            let Some(node) = items.next_element::<NodeBody>()? else { return Ok(nodes) };
            // Its members were read with it and may have taken the last places.
            if !bounded::take_node() {
                return Err(A::Error::custom(too_many()));
            }
            // More errors than are shown help nobody; the rest is still read for its shape.
            if nodes.errors.len() < ERRORS_MAX {
                let spec = node.into_spec(&format!("/{position}"), Place::List, &mut nodes.errors);
                nodes.specs.push(spec);
            }
            position += 1;
        }
        bounded::at_end::<A>(&mut items, too_many)?;
        Ok(nodes)
    }
}

fn too_many() -> String {
    format!("{}{} nodes", bounded::TOO_MANY, bounded::nodes_max())
}

/// The members of a group as they are written out.
#[derive(Debug)]
pub(super) struct Members(pub(super) Nodes);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        one_deeper(|| Nodes::deserialize(deserializer)).map(Self)
    }
}

/// What each member of a `for_each` is made of.
#[derive(Debug)]
pub(super) struct MemberTemplate {
    spec: NodeSpec,
    /// The pointers begin at the template.
    errors: Vec<FieldError>,
}

impl MemberTemplate {
    /// The domain's unchecked spec. `at` is where it stands in the body.
    pub(super) fn into_spec(self, at: &str, errors: &mut Vec<FieldError>) -> NodeSpec {
        errors.extend(below(at, self.errors));
        self.spec
    }
}

impl<'de> Deserialize<'de> for MemberTemplate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let node = one_deeper(|| NodeBody::deserialize(deserializer))?;
        if !bounded::take_node() {
            return Err(D::Error::custom(too_many()));
        }
        let mut errors = Vec::new();
        let spec = node.into_spec("", Place::Template, &mut errors);
        Ok(Self { spec, errors })
    }
}

/// Reads what stands a level of members further down.
fn one_deeper<T, E: Error>(read: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    bounded::one_deeper(read).unwrap_or_else(|| {
        let message = format!("{}{GROUP_DEPTH_MAX} groups in one another", bounded::TOO_DEEP);
        Err(E::custom(message))
    })
}

/// The errors of a list or template that stands at `at`.
fn below(at: &str, errors: Vec<FieldError>) -> impl Iterator<Item = FieldError> {
    errors.into_iter().map(move |mut error| {
        error.pointer.insert_str(0, at);
        error
    })
}
