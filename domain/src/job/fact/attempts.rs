//! Facts of attempts that go their way: leased, completed, given back, reported on too late.

use serde::{Deserialize, Serialize};

use crate::exact_json::ExactJson;
use crate::ids::{Claim, Epoch, Millis, WorkerName};
use crate::job::plan::Plan;
use crate::job::state::{ClaimMark, JobState};
use crate::job::story::{AttemptEnd, AttemptStory, Measured, NodeStory};
use crate::job::undo::JobUndo;
use crate::node::attempt::{AttemptRef, ReportKind};
use crate::payload::{Hash, Payload};
use crate::planted::{self, Planted};

/// What happened to attempts that did not fail.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptFact {
    /// A worker took attempts.
    Leased {
        /// The worker that has them.
        worker: WorkerName,
        /// The worker's name for the request.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        claim: Option<Claim>,
        /// Length of the lease in milliseconds.
        lease_ms: u64,
        /// The attempts that began.
        attempts: Vec<AttemptRef>,
    },
    /// An attempt completed.
    Completed {
        /// The attempt that ended.
        attempt: AttemptRef,
        /// JSON text as it was received.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        output: Option<Payload>,
        /// What the worker wants people to see.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        warnings: Vec<String>,
        /// What the worker left elsewhere.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        artifacts: Vec<ExactJson>,
        /// Of the report, to know it again.
        report: Hash,
    },
    /// A worker gave an attempt back; it is not counted.
    Released {
        /// The attempt that ended.
        attempt: AttemptRef,
        /// Of the report, to know it again.
        report: Hash,
        /// Because the answer with the lease could not be written.
        #[serde(default, skip_serializing_if = "is_false")]
        undelivered: bool,
        /// It is not offered again before this time.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        again_at: Option<Millis>,
    },
    /// The time is over for which attempts were given back.
    DelaysOver,
    /// A report came for an attempt that is not the newest running one: kept as evidence, changes nothing.
    LateReport {
        /// The node's position.
        node: u32,
        /// The stale token.
        epoch: Epoch,
        /// `complete`, `fail` or `release`.
        report: ReportKind,
        /// Of the report.
        hash: Hash,
    },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_false(value: &bool) -> bool {
    !*value
}

impl AttemptFact {
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Leased { .. } => "nodes_leased",
            Self::Completed { .. } => "node_completed",
            Self::Released { .. } => "lease_released",
            Self::DelaysOver => "delays_over",
            Self::LateReport { .. } => "late_report",
        }
    }

    pub(super) fn apply(&self, job: &mut JobState, at: Millis, undo: &mut JobUndo) {
        match self {
            Self::Leased { worker, claim, lease_ms, attempts } => {
                for attempt in attempts {
                    lease(job, *attempt, *lease_ms, at, undo);
                    let claim = claim
                        .as_ref()
                        .map(|claim| ClaimMark { worker: worker.clone(), claim: claim.clone() });
                    job.set_claim(attempt.node, claim, undo);
                }
            }
            Self::Completed { attempt, output, report, .. } => {
                job.mark_report(*attempt, ReportKind::Complete, *report, undo);
                if let Some(output) = output {
                    job.keep_output(attempt.node, output, undo);
                }
            }
            Self::Released { attempt, report, undelivered, again_at } => {
                job.mark_report(*attempt, ReportKind::Release, *report, undo);
                let node = job.node_mut(attempt.node, undo);
                node.attempt = attempt.attempt.saturating_sub(1);
                node.undelivered = node.undelivered.saturating_add(u8::from(*undelivered));
                node.due = again_at.unwrap_or(0);
                if planted::on(Planted::EpochResetOnRequeue) {
                    node.epoch = Epoch::default();
                }
            }
            Self::DelaysOver => {}
            Self::LateReport { node, epoch, .. } => job.keep_late((*node, epoch.0), undo),
        }
    }

    pub(super) fn tell(
        &self,
        stories: &mut [NodeStory],
        plan: &Plan,
        at: Millis,
    ) -> Option<Measured> {
        match self {
            Self::Leased { worker, lease_ms, attempts, .. } => {
                for attempt in attempts {
                    stories[attempt.node as usize].attempts.push(AttemptStory {
                        attempt: attempt.attempt,
                        epoch: attempt.epoch,
                        worker: worker.clone(),
                        lease_ms: *lease_ms,
                        started_at: at,
                        heard: None,
                        end: None,
                        late_reports: 0,
                    });
                }
                None
            }
            Self::Completed { attempt, output, warnings, artifacts, .. } => {
                let story = &mut stories[attempt.node as usize];
                story.output.clone_from(output);
                story.warnings.clone_from(warnings);
                story.artifacts.clone_from(artifacts);
                story.error = None;
                let started = story.end(*attempt, AttemptEnd::plain(at, "completed"))?;
                Some(Measured {
                    action_type: plan.node(attempt.node).action_type.clone(),
                    duration_ms: u64::try_from(at - started).unwrap_or(0),
                })
            }
            Self::Released { attempt, .. } => {
                stories[attempt.node as usize].end(*attempt, AttemptEnd::plain(at, "released"));
                None
            }
            Self::DelaysOver => None,
            Self::LateReport { node, epoch, .. } => {
                let story = &mut stories[*node as usize];
                if let Some(attempt) = story.attempts.iter_mut().rev().find(|a| a.epoch == *epoch) {
                    attempt.late_reports += 1;
                }
                None
            }
        }
    }

    pub(super) fn about(&self) -> Option<(u32, Option<u32>)> {
        match self {
            Self::Leased { attempts, .. } => match attempts.as_slice() {
                [only] => Some((only.node, Some(only.attempt))),
                _ => None,
            },
            Self::Completed { attempt, .. } | Self::Released { attempt, .. } => {
                Some((attempt.node, Some(attempt.attempt)))
            }
            Self::LateReport { node, .. } => Some((*node, None)),
            Self::DelaysOver => None,
        }
    }

    pub(super) fn attempt_of(&self, node: u32) -> Option<u32> {
        match self {
            Self::Leased { attempts, .. } => {
                attempts.iter().find(|attempt| attempt.node == node).map(|attempt| attempt.attempt)
            }
            Self::Completed { .. }
            | Self::Released { .. }
            | Self::DelaysOver
            | Self::LateReport { .. } => None,
        }
    }

    pub(super) fn refuses(&self, job: &JobState) -> Option<String> {
        let epoch_of = |node: u32| job.nodes.get(node as usize).map(|state| state.epoch);
        match self {
            Self::Leased { attempts, .. } => attempts.iter().find_map(|attempt| {
                let grows = epoch_of(attempt.node).is_some_and(|before| attempt.epoch > before);
                (!grows).then(|| format!("the epoch of node {} does not grow", attempt.node))
            }),
            Self::Completed { attempt, .. } | Self::Released { attempt, .. } => {
                let newest = epoch_of(attempt.node) == Some(attempt.epoch);
                (!newest).then(|| format!("a report of node {} is stale, and counts", attempt.node))
            }
            Self::DelaysOver | Self::LateReport { .. } => None,
        }
    }

    pub(super) fn payloads<'a>(&'a self, named: &mut Vec<&'a Payload>) {
        match self {
            Self::Completed { output, .. } => named.extend(output),
            Self::Leased { .. }
            | Self::Released { .. }
            | Self::DelaysOver
            | Self::LateReport { .. } => {}
        }
    }
}

fn lease(job: &mut JobState, attempt: AttemptRef, lease_ms: u64, at: Millis, undo: &mut JobUndo) {
    let node = job.node_mut(attempt.node, undo);
    let earlier = node.report.take().map(|mark| (node.epoch.0, mark));
    node.attempt = attempt.attempt;
    node.epoch = attempt.epoch;
    node.started = at;
    node.due = 0;
    node.lease_ms = u32::try_from(lease_ms).unwrap_or(u32::MAX);
    if let Some((epoch, mark)) = earlier {
        job.keep_report((attempt.node, epoch), mark, undo);
    }
}
