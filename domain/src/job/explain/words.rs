//! The sentences of an explanation. Absent: anything a node's input, output or error says.

use std::fmt::Write as _;

use crate::job::explain::{EndCode, Turn, Wait, WaitCode};
use crate::job::outcome::{EndingStage, PauseCause};
use crate::job::spec::CompleteWhen;
use crate::job::state::JobState;
use crate::job::status::JobStatus;
use crate::node::spec::DependencyCondition;
use crate::node::status::NodeStatus;
use crate::time_text::rfc3339;

/// Keys that a sentence spells out.
const KEYS_MAX: usize = 3;

/// Of what the job as a whole waits for.
pub(super) fn own(state: &JobState, wait: &Wait, turn: Option<&Turn>) -> String {
    let head = &state.head;
    match wait.code {
        WaitCode::ManualStart => {
            "starts when somebody says so (POST /api/v1/jobs/{id}/start)".to_owned()
        }
        WaitCode::ScheduledStart => {
            format!("starts by itself at {}", rfc3339(wait.wakes_at.unwrap_or(head.created_at)))
        }
        WaitCode::Grant => {
            let asked = state.plan.resources.iter();
            let asked: Vec<_> = asked.map(|(name, amount)| format!("{amount} {name}")).collect();
            format!(
                "waits until its environment `{}` grants {}",
                state.plan.environment,
                if asked.is_empty() { "what it asks for".to_owned() } else { asked.join(", ") },
            )
        }
        WaitCode::Paused => match head.pause_cause {
            Some(PauseCause::OutcomeUnknown) => "paused because nobody knows whether an attempt \
                 of a node that runs at most once was done; who resumes the job says that it may \
                 run again"
                .to_owned(),
            Some(PauseCause::RetriesExhausted) => "paused because the executions of a node are \
                 used up; who resumes the job gives it as many again"
                .to_owned(),
            Some(PauseCause::Requested) | None => {
                format!("paused{}; nothing new starts until it is resumed", by(turn))
            }
        },
        // Of a job as a whole there are no others than `Ending`.
        WaitCode::Ending
        | WaitCode::Unreadable
        | WaitCode::OutcomeUnknown
        | WaitCode::Exhausted
        | WaitCode::Attempt
        | WaitCode::Worker
        | WaitCode::Retry
        | WaitCode::Delay
        | WaitCode::Place
        | WaitCode::Blocked
        | WaitCode::Parents
        | WaitCode::Evaluating
        | WaitCode::Members
        | WaitCode::Group
        | WaitCode::Cleanup => {
            let to = head.ending.map_or("over", JobStatus::as_str);
            match head.stage {
                EndingStage::Cleaning => {
                    let until = rfc3339(head.ending_until);
                    return format!(
                        "will be {to}{}: its cleanups run, until {until} at most",
                        by(turn)
                    );
                }
                EndingStage::Output => {
                    return format!("will be {to}: its output is being evaluated");
                }
                EndingStage::Stopping => {}
            }
            format!(
                "will be {to}{}: {} may still report, and {} revoked at {}",
                by(turn),
                many(wait.node_count, "running attempt"),
                if wait.node_count == 1 { "is" } else { "are" },
                rfc3339(head.ending_until),
            )
        }
    }
}

/// Of what nodes wait for.
pub(super) fn wait(state: &JobState, wait: &Wait) -> String {
    let nodes = many(wait.node_count, "node");
    let one = wait.node_count == 1;
    let (is, waits) = if one { ("is", "waits") } else { ("are", "wait") };
    match wait.code {
        WaitCode::OutcomeUnknown => {
            format!("{nodes} may have been done and {is} not run again until the job is resumed")
        }
        WaitCode::Exhausted => {
            format!(
                "{nodes} failed for the last time and {is} not tried again until the job is resumed"
            )
        }
        WaitCode::Attempt => {
            format!("{} until a worker reports, or its lease runs out", runs(wait.node_count))
        }
        WaitCode::Worker => {
            let queue = wait.queue.as_ref().map(ToString::to_string).unwrap_or_default();
            format!(
                "{nodes} {is} ready in queue `{queue}` and {waits} for a worker to lease {}",
                if one { "it" } else { "them" }
            )
        }
        WaitCode::Retry => format!("{nodes} failed and {is} tried again, {}", first_at(wait)),
        WaitCode::Delay => {
            format!("workers gave {nodes} back, to be offered again {}", first_at(wait))
        }
        WaitCode::Place => {
            let most = state.plan.max_parallel.unwrap_or(u32::MAX);
            format!("{nodes} could start; max_parallel lets {most} be ready or running at once")
        }
        WaitCode::Blocked => {
            let by = keys(state, &wait.waits_for, wait.waits_for_count);
            let because = if by.is_empty() { String::new() } else { format!(" ({by})") };
            format!(
                "{nodes} can no longer start by {} because of how others ended{because}; the job fails when the rest has settled",
                if one { "itself" } else { "themselves" }
            )
        }
        WaitCode::Parents => {
            let any = wait
                .nodes
                .first()
                .filter(|_| wait.waits_for_count > 1)
                .is_some_and(|ix| state.plan.node(*ix).condition == DependencyCondition::Any);
            let of = keys(state, &wait.waits_for, wait.waits_for_count);
            match (of.is_empty(), any) {
                (true, _) => format!("{nodes} {waits} for other nodes to end"),
                (false, true) => format!("waits until one of {of} completes"),
                (false, false) => format!("waits for {of}"),
            }
        }
        WaitCode::Evaluating => {
            format!("what {nodes} reads is being fetched, and its expressions evaluated")
        }
        WaitCode::Members => {
            let of = keys(state, &wait.waits_for, wait.waits_for_count);
            let of = if of.is_empty() { String::new() } else { format!(" ({of})") };
            let groups = many(wait.node_count, "group");
            format!("{groups} {waits} for members to end{of}")
        }
        WaitCode::Group => format!("{nodes} {waits} for the group to start"),
        WaitCode::Cleanup => format!("{nodes} {waits} for the end of the job, to clean up"),
        WaitCode::Unreadable
        | WaitCode::ScheduledStart
        | WaitCode::ManualStart
        | WaitCode::Grant
        | WaitCode::Paused
        | WaitCode::Ending => String::new(),
    }
}

/// Of how a job ended.
pub(super) fn job_ended(state: &JobState, code: EndCode, turn: Option<&Turn>) -> String {
    let left = state.count(NodeStatus::Pending);
    match code {
        EndCode::Completed => {
            let condition = match state.plan.complete_when {
                CompleteWhen::All => "no node failed that is not optional".to_owned(),
                CompleteWhen::Any => "at least one node completed".to_owned(),
                CompleteWhen::AtLeast(least) => format!("at least {least} nodes completed"),
                CompleteWhen::TolerateCount(most) => format!("at most {most} nodes failed"),
                CompleteWhen::TolerateAtMostPercent(most) => {
                    format!("at most {most} % of the nodes failed")
                }
            };
            format!("every node settled, and {condition}")
        }
        EndCode::FailFast => {
            "the first failure of a node that is not optional ended it (fail_fast)".to_owned()
        }
        EndCode::Failed | EndCode::ConditionNotMet => {
            let mut text = if code == EndCode::Failed {
                "nodes that are not optional failed".to_owned()
            } else if left == 0 {
                "every node settled, and the success condition does not hold".to_owned()
            } else {
                "not every node could settle".to_owned()
            };
            if left > 0 {
                let nodes = many(left as usize, "node");
                let _ = write!(text, "; {nodes} could not start because of how others ended");
            }
            text
        }
        EndCode::TimedOut => "its deadline passed (timeout_ms)".to_owned(),
        EndCode::Cancelled => format!("cancelled{}", by(turn)),
        EndCode::Aborted => format!("given up{}", by(turn)),
        EndCode::Skipped | EndCode::Blocked => String::new(),
    }
}

/// Of how a node ended.
pub(super) fn node_ended(state: &JobState, ix: u32, code: EndCode, causes: &[u32]) -> String {
    let node = &state.nodes[ix as usize];
    let because = keys(state, causes, causes.len());
    let never_began = |group: &u32| {
        state.nodes[*group as usize].status.is_settled() && !state.groups.contains_key(group)
    };
    if let Some(group) = state.plan.container(ix).filter(never_began) {
        let how = if node.marks.bypassed { "bypassed" } else { node.status.as_str() };
        return format!("{how} with its group `{}`, which never began", state.plan.path(group));
    }
    match code {
        EndCode::Completed if state.plan.node(ix).is_leased() => {
            format!("attempt {} completed, and its outcome is recorded", node.attempt)
        }
        EndCode::Completed => "it completed".to_owned(),
        EndCode::Failed if node.attempt == node.base || !state.plan.node(ix).is_leased() => {
            "it failed without an attempt; its error says why".to_owned()
        }
        EndCode::Failed => {
            format!("attempt {} failed, and is not followed by another", node.attempt)
        }
        EndCode::TimedOut => "it waited or ran longer than it may".to_owned(),
        EndCode::Skipped if node.marks.bypassed => {
            "bypassed: another branch was taken, or its condition does not hold".to_owned()
        }
        EndCode::Skipped => format!("skipped because of how its parents ended ({because})"),
        EndCode::Blocked if because.is_empty() => "it never ran: its job is over".to_owned(),
        EndCode::Blocked => {
            format!("it never ran because of how others ended ({because}), and its job is over")
        }
        EndCode::Cancelled | EndCode::FailFast | EndCode::ConditionNotMet | EndCode::Aborted => {
            let ended = |group: u32| {
                let status = state.nodes[group as usize].status;
                status.is_settled() && status != NodeStatus::Cancelled
            };
            let of_group = state.plan.containers(ix).any(ended);
            let what = if of_group { "group" } else { "job" };
            format!("stopped, or never started, because its {what} ended")
        }
    }
}

/// When the first of them goes on by itself.
fn first_at(wait: &Wait) -> String {
    let first = if wait.node_count == 1 { "" } else { "the first " };
    format!("{first}at {}", wait.wakes_at.map(rfc3339).unwrap_or_default())
}

fn by(turn: Option<&Turn>) -> String {
    let Some(turn) = turn else { return String::new() };
    let reason = turn.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    format!(" by {}{reason}", turn.actor)
}

fn runs(count: usize) -> String {
    let verb = if count == 1 { "runs" } else { "run" };
    format!("{} {verb}", many(count, "attempt"))
}

fn many(count: usize, what: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {what}{s}")
}

/// The first keys, and how many more there are.
fn keys(state: &JobState, nodes: &[u32], count: usize) -> String {
    let shown: Vec<_> =
        nodes.iter().take(KEYS_MAX).map(|ix| format!("`{}`", state.plan.path(*ix))).collect();
    let more = count.saturating_sub(shown.len());
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", shown.join(", "))
}
