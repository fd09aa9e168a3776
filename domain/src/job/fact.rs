//! The facts of a job: a closed, versioned list, sorted by what they concern. Each concern has a file, which says what
//! its facts change, tell, refuse and name. A fact is complete in itself: replay assigns; it never evaluates.
//! Invariant: the meaning of version 1 never changes; a new meaning is a new fact or a new version. In JSON the list is
//! flat (`a_fact_is_stored_under_its_own_name_alone`).

mod admission;
mod attempts;
mod endings;
mod failures;
mod flat;
mod flows;
mod patch;
mod steering;

use std::fmt;

use serde::de::{EnumAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::ids::Millis;
use crate::job::plan::Plan;
use crate::job::repair::NodeRepair;
use crate::job::state::JobState;
use crate::job::story::{Measured, NodeStory};
use crate::job::undo::JobUndo;
use crate::node::change::NodeChange;
use crate::payload::Payload;

pub use self::admission::{AdmissionFact, Submitted};
pub use self::attempts::AttemptFact;
pub use self::endings::EndingFact;
pub use self::failures::{AttemptFailure, FailureFact};
pub use self::flows::FlowFact;
pub use self::patch::Patch;
pub use self::steering::SteeringFact;

#[derive(Debug, Clone)]
pub enum JobFact {
    /// On the way to the first attempt.
    Admission(AdmissionFact),
    /// To attempts that did not fail.
    Attempt(AttemptFact),
    /// To attempts and nodes that failed.
    Failure(FailureFact),
    /// What people, or the engine for them, changed of the course.
    Steering(SteeringFact),
    /// On the way to the end, and behind it.
    Ending(EndingFact),
    /// To nodes that nobody leases.
    Flow(FlowFact),
}

/// The same call of whichever concern it is.
macro_rules! of_each {
    ($fact:expr, $one:ident => $call:expr) => {
        match $fact {
            JobFact::Admission($one) => $call,
            JobFact::Attempt($one) => $call,
            JobFact::Failure($one) => $call,
            JobFact::Steering($one) => $call,
            JobFact::Ending($one) => $call,
            JobFact::Flow($one) => $call,
        }
    };
}

impl JobFact {
    /// The type that histories show.
    pub fn type_name(&self) -> &'static str {
        of_each!(self, fact => fact.type_name())
    }

    /// Whether it may change what every node of the job waits for, even those that it does not move.
    pub fn concerns_all(&self) -> bool {
        match self {
            Self::Admission(fact) => fact.concerns_all(),
            Self::Steering(fact) => fact.concerns_all(),
            Self::Attempt(_) | Self::Failure(_) | Self::Ending(_) | Self::Flow(_) => false,
        }
    }

    /// The one node that it is about, and which of its attempts, if it is about one.
    pub(crate) fn about(&self) -> Option<(u32, Option<u32>)> {
        match self {
            Self::Attempt(fact) => fact.about(),
            Self::Failure(fact) => fact.about(),
            Self::Steering(fact) => fact.repair().map(|repair| (repair.node, None)),
            Self::Admission(_) | Self::Ending(_) | Self::Flow(_) => None,
        }
    }

    /// The change of one node that it is, if it is one.
    pub fn repair(&self) -> Option<&NodeRepair> {
        match self {
            Self::Steering(fact) => fact.repair(),
            Self::Admission(_)
            | Self::Attempt(_)
            | Self::Failure(_)
            | Self::Ending(_)
            | Self::Flow(_) => None,
        }
    }

    /// Which attempt of this node it begins.
    pub(crate) fn attempt_of(&self, node: u32) -> Option<u32> {
        match self {
            Self::Attempt(fact) => fact.attempt_of(node),
            Self::Admission(_)
            | Self::Failure(_)
            | Self::Steering(_)
            | Self::Ending(_)
            | Self::Flow(_) => None,
        }
    }

    /// Changes the state. `nodes`: the transitions of the same event, which are applied after it.
    pub(crate) fn apply(
        &self,
        job: &mut JobState,
        nodes: &[NodeChange],
        at: Millis,
        undo: &mut JobUndo,
    ) {
        match self {
            Self::Admission(fact) => fact.apply(job),
            Self::Attempt(fact) => fact.apply(job, at, undo),
            Self::Failure(fact) => fact.apply(job, nodes, undo),
            Self::Steering(fact) => fact.apply(job, at, undo),
            Self::Ending(fact) => fact.apply(job),
            Self::Flow(_) => {}
        }
    }

    /// Adds to the nodes' stories. Answers what was measured, if it completed an attempt.
    pub(crate) fn tell(
        &self,
        stories: &mut [NodeStory],
        plan: &Plan,
        nodes: &[NodeChange],
        at: Millis,
    ) -> Option<Measured> {
        match self {
            Self::Attempt(fact) => fact.tell(stories, plan, at),
            Self::Failure(fact) => {
                fact.tell(stories, nodes, at);
                None
            }
            Self::Admission(_) | Self::Steering(_) | Self::Ending(_) | Self::Flow(_) => None,
        }
    }

    /// Why it cannot have happened to this job, if so.
    pub(crate) fn refuses(&self, job: &JobState) -> Option<String> {
        match self {
            Self::Admission(fact) => fact.refuses(job),
            Self::Attempt(fact) => fact.refuses(job),
            Self::Failure(fact) => fact.refuses(job),
            Self::Ending(fact) => fact.refuses(job),
            Self::Steering(fact) => fact.repair().and_then(|repair| repair.refuses(job)),
            Self::Flow(_) => None,
        }
    }

    /// Adds the payloads that it names.
    pub(crate) fn payloads<'a>(&'a self, named: &mut Vec<&'a Payload>) {
        match self {
            Self::Admission(fact) => fact.payloads(named),
            Self::Attempt(fact) => fact.payloads(named),
            Self::Failure(fact) => fact.payloads(named),
            Self::Steering(fact) => {
                if let Some(repair) = fact.repair() {
                    repair.payloads(named);
                }
            }
            Self::Ending(_) | Self::Flow(_) => {}
        }
    }
}

impl Serialize for JobFact {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        of_each!(self, fact => fact.serialize(serializer))
    }
}

impl<'de> Deserialize<'de> for JobFact {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_enum("JobFact", &[], ByName)
    }
}

/// The stored names of the facts of each concern, in the order in which `ByName` reads them.
fn names_by_concern() -> [&'static [&'static str]; 6] {
    [
        flat::names_of::<AdmissionFact>(),
        flat::names_of::<AttemptFact>(),
        flat::names_of::<FailureFact>(),
        flat::names_of::<SteeringFact>(),
        flat::names_of::<EndingFact>(),
        flat::names_of::<FlowFact>(),
    ]
}

struct ByName;

impl<'de> Visitor<'de> for ByName {
    type Value = JobFact;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a fact of a job")
    }

    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<JobFact, A::Error> {
        let concerns = names_by_concern();
        let ((concern, name), rest) = access.variant_seed(flat::NameIn(&concerns))?;
        match concern {
            0 => flat::read_named(name, rest).map(JobFact::Admission),
            1 => flat::read_named(name, rest).map(JobFact::Attempt),
            2 => flat::read_named(name, rest).map(JobFact::Failure),
            3 => flat::read_named(name, rest).map(JobFact::Steering),
            4 => flat::read_named(name, rest).map(JobFact::Ending),
            _ => flat::read_named(name, rest).map(JobFact::Flow),
        }
    }
}

macro_rules! is_a_fact {
    ($($concern:ident($of:ty)),+ $(,)?) => {
        $(impl From<$of> for JobFact {
            fn from(fact: $of) -> Self {
                Self::$concern(fact)
            }
        })+
    };
}

is_a_fact! {
    Admission(AdmissionFact),
    Attempt(AttemptFact),
    Failure(FailureFact),
    Steering(SteeringFact),
    Ending(EndingFact),
    Flow(FlowFact),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::outcome::{EndingCause, PauseCause};

    #[test]
    fn a_fact_is_stored_under_its_own_name_alone() -> Result<(), serde_json::Error> {
        let facts: [(JobFact, &str); 5] = [
            (AdmissionFact::Started.into(), r#""started""#),
            (FailureFact::RetriesDue.into(), r#""retries_due""#),
            (
                FailureFact::NodesTimedOut { class: "timeout.queue".to_owned() }.into(),
                r#"{"nodes_timed_out":{"class":"timeout.queue"}}"#,
            ),
            (
                SteeringFact::Paused { why: PauseCause::Requested }.into(),
                r#"{"paused":{"why":"requested"}}"#,
            ),
            (
                EndingFact::EndingDecided { why: EndingCause::Deadline }.into(),
                r#"{"ending_decided":{"why":"deadline"}}"#,
            ),
        ];
        for (fact, written) in facts {
            assert_eq!(serde_json::to_string(&fact)?, written);
            let read: JobFact = serde_json::from_str(written)?;
            assert_eq!(serde_json::to_string(&read)?, written);
            assert_eq!(read.type_name(), fact.type_name());
        }
        Ok(())
    }

    #[test]
    fn no_two_concerns_have_a_fact_of_one_name_and_unknown_ones_are_refused() {
        let concerns = names_by_concern();
        let all: Vec<&str> = concerns.concat();
        let apart: std::collections::BTreeSet<&str> = all.iter().copied().collect();
        assert_eq!((all.len(), apart.len()), (24, 24));
        for unknown in [r#""resurrected""#, r#"{"resurrected":{}}"#, "3", r#"{"failed":1}"#] {
            assert!(serde_json::from_str::<JobFact>(unknown).is_err(), "{unknown}");
        }
    }
}
