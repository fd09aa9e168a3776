//! What the history of a job says, told again from its rows alone: where the job and each node stand, which lease is
//! the newest, what was reported. Nothing here is fast, and nothing is shared with the rules but words and tables.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use domain::ids::{CommandId, JobId, LeaseId, Millis};
use domain::job::event::JobEvent;
use domain::job::fact::{AdmissionFact, AttemptFact, JobFact, Patch};
use domain::job::plan::Plan;
use domain::job::state::JobState;
use domain::job::status::JobStatus;
use domain::node::attempt::ReportKind;
use domain::node::change::NodeChange;
use domain::node::spec::DependencyCondition;
use domain::node::status::NodeStatus;
use domain::payload::Hash;

use super::ClientLog;
use super::next_attempt::Left;
use crate::simulation::world::Whose;

/// Ids that engines mint are remembered for so long.
const MINTED_KEPT_MS: Millis = 10 * 60 * 1_000;

/// Where a node stands, by its rows.
#[derive(Debug, Clone)]
pub(crate) struct NodeStory {
    pub(crate) status: NodeStatus,
    pub(super) since: Millis,
    pub(crate) epoch: u64,
    pub(super) attempt: u32,
    pub(super) first_ready: Millis,
    pub(super) started: Millis,
    pub(super) due: Millis,
    /// Who wrote the row that ended the newest attempt.
    pub(super) ended_by: Option<Whose>,
    pub(super) undelivered: u32,
    /// Executions that a person allowed by resuming.
    pub(super) allowed: u32,
    pub(super) completed: bool,
    /// Waits for somebody's word.
    pub(super) unknown: bool,
    /// Waits for a time that its worker named.
    pub(super) delayed: bool,
    /// What its attempts left for the next one.
    pub(super) left: Left,
}

/// A lease as its row tells it.
#[derive(Debug, Clone)]
pub(crate) struct LeaseRow {
    /// Who wrote it.
    pub(crate) by: Whose,
    pub(crate) worker: String,
    pub(crate) claim: Option<String>,
    pub(crate) attempt: u32,
    /// What attempts before it left.
    pub(super) left: Left,
}

#[derive(Debug)]
pub(crate) struct JobStory {
    pub(super) id: JobId,
    pub(crate) plan: Arc<Plan>,
    pub(crate) status: JobStatus,
    pub(crate) ending: Option<JobStatus>,
    pub(super) ending_until: Millis,
    pub(crate) nodes: Vec<NodeStory>,
    pub(super) held: BTreeSet<u32>,
    /// The job's status and ending after each event, from the first on.
    pub(crate) statuses: Vec<(JobStatus, Option<JobStatus>)>,
    pub(crate) leases: BTreeMap<(u32, u64), LeaseRow>,
    /// What was recorded of each attempt.
    pub(crate) reports: BTreeMap<(u32, u64), (ReportKind, Hash)>,
    pub(super) late: BTreeSet<(u32, u64)>,
    /// Which event ended which attempt.
    ended: BTreeMap<(u32, u64), u64>,
    /// Which event answered which command, and when.
    pub(crate) commands: BTreeMap<CommandId, (u64, Millis)>,
    pub(super) newest_at: Millis,
    pub(super) queued_at: Option<Millis>,
    pub(super) scheduled_at: Option<Millis>,
    pub(super) timeout_ms: Option<u64>,
    pub(super) resumed_at: Millis,
    pub(super) paused_from: Option<JobStatus>,
    pub(super) admitted: bool,
    grant: Option<u64>,
    pub(super) failed_required: usize,
    /// Retention has let go of it.
    pub(crate) deleted: bool,
    /// How often which patch counted.
    patched: BTreeMap<String, (u32, Millis)>,
}

impl JobStory {
    pub(super) fn begin(event: &JobEvent, log: &ClientLog) -> Result<Self, String> {
        let JobFact::Admission(AdmissionFact::Submitted(submitted)) = &event.fact else {
            return Err("invariant 18: a job that begins otherwise".to_owned());
        };
        let node = NodeStory {
            status: NodeStatus::Pending,
            since: event.by.at,
            epoch: 0,
            attempt: 0,
            first_ready: 0,
            started: 0,
            due: 0,
            ended_by: None,
            undelivered: 0,
            allowed: 0,
            completed: false,
            unknown: false,
            delayed: false,
            left: Left::default(),
        };
        let mut story = Self {
            id: submitted.id,
            plan: Arc::clone(&submitted.plan),
            status: JobStatus::Pending,
            ending: None,
            ending_until: 0,
            nodes: vec![node; submitted.plan.nodes.len()],
            held: BTreeSet::new(),
            statuses: Vec::new(),
            leases: BTreeMap::new(),
            reports: BTreeMap::new(),
            late: BTreeSet::new(),
            ended: BTreeMap::new(),
            commands: BTreeMap::new(),
            newest_at: event.by.at,
            queued_at: None,
            scheduled_at: submitted.scheduled_at,
            timeout_ms: submitted.timeout_ms,
            resumed_at: 0,
            paused_from: None,
            admitted: false,
            grant: None,
            failed_required: 0,
            deleted: false,
            patched: BTreeMap::new(),
        };
        let nobody = Whose { at: usize::MAX, life: 0 };
        story.take(event, 1, nobody, 1, log)?;
        Ok(story)
    }

    /// The time of its newest event.
    pub(super) fn newest_at(&self) -> Millis {
        self.newest_at
    }

    pub(super) fn uses_grant(&self, number: u64) -> bool {
        self.grant == Some(number) && !self.status.is_over()
    }

    pub(crate) fn many(&self, wanted: &[NodeStatus]) -> usize {
        self.nodes.iter().filter(|node| wanted.contains(&node.status)).count()
    }

    /// Whether ready nodes are offered.
    pub(crate) fn offers(&self) -> bool {
        self.ending.is_none() && matches!(self.status, JobStatus::Scheduled | JobStatus::Running)
    }

    /// Reads one more row.
    pub(super) fn take(
        &mut self,
        event: &JobEvent,
        seq: u64,
        of: Whose,
        incarnation: u64,
        log: &ClientLog,
    ) -> Result<(), String> {
        if event.by.at < self.newest_at {
            return Err("invariant 18: an event older than the one before it".to_owned());
        }
        let was_over = self.status.is_over();
        if self.deleted {
            return Err("invariant 28: deleted, and something happened to it".to_owned());
        }
        if was_over && !(event.job.is_empty() && event.nodes.is_empty()) {
            return Err("invariant 3: over, and something moved".to_owned());
        }
        self.decides_once(event, seq)?;
        self.newest_at = event.by.at;
        self.hears(event, log)?;
        self.fact(event, of, incarnation, log)?;
        let before: Vec<NodeStatus> = self.nodes.iter().map(|node| node.status).collect();
        for change in &event.nodes {
            self.changes(event, change)?;
        }
        for held in event.held.iter() {
            self.held.insert(held);
            let node = &mut self.nodes[held as usize];
            (node.unknown, node.delayed) = (false, false);
        }
        if let Some(ending) = &event.ending {
            let stronger = self
                .ending
                .is_none_or(|weaker| weaker.ending_strength() < ending.to.ending_strength());
            if !stronger {
                return Err("invariant 3: an ending that gives way to a weaker one".to_owned());
            }
            (self.ending, self.ending_until) = (Some(ending.to), ending.until);
        }
        for (from, to) in &event.job {
            self.moves(*from, *to, event.by.at)?;
        }
        self.started_rightly(event, &before)?;
        self.stands(event)?;
        self.ends(event, was_over)?;
        self.statuses.push((self.status, self.ending));
        Ok(())
    }

    /// A patch counts no more often than it was sent.
    pub(super) fn patches_once(
        &mut self,
        patch: &Patch,
        at: Millis,
        log: &ClientLog,
    ) -> Result<(), String> {
        let Some(Some(text)) = &patch.description else { return Ok(()) };
        let (count, before) = self.patched.entry(text.clone()).or_insert((0, at));
        let remembered = at <= *before + MINTED_KEPT_MS;
        (*count, *before) = (*count + 1, at);
        if remembered && *count > log.patches.get(text).copied().unwrap_or(0) {
            return Err(format!("invariant 2: {text} counts {count} times"));
        }
        Ok(())
    }

    /// The event that ended an attempt.
    pub(super) fn ended_at(&self, lease: LeaseId) -> Option<u64> {
        self.ended.get(&(lease.node, lease.epoch.0)).copied()
    }

    /// A keyed command is decided once for ever, one that an engine minted for the time that it is remembered.
    fn decides_once(&mut self, event: &JobEvent, seq: u64) -> Result<(), String> {
        let Some(mark) = &event.by.command else { return Ok(()) };
        let before = self.commands.insert(mark.id.clone(), (seq, event.by.at));
        let again = before.is_some_and(|(_, at)| mark.keyed || event.by.at <= at + MINTED_KEPT_MS);
        if again { Err(format!("invariant 2: {} is decided twice", mark.id)) } else { Ok(()) }
    }

    fn changes(&mut self, event: &JobEvent, change: &NodeChange) -> Result<(), String> {
        for ix in change.at.iter() {
            let optional = self.plan.nodes[ix as usize].optional;
            let node = &mut self.nodes[ix as usize];
            if node.status != change.from || !change.from.may_become(change.to) {
                return Err(format!(
                    "invariant 3: node {ix} {} -> {} from {}",
                    change.from, change.to, node.status
                ));
            }
            if change.from.is_settled() {
                return Err(format!("invariant 3: node {ix} was settled"));
            }
            if change.to == NodeStatus::Completed && std::mem::replace(&mut node.completed, true) {
                return Err(format!("invariant 4: node {ix} completed twice"));
            }
            if change.to == NodeStatus::Running
                && !matches!(event.fact, JobFact::Attempt(AttemptFact::Leased { .. }))
            {
                return Err(format!("invariant 8: node {ix} runs without a lease"));
            }
            let failed = matches!(change.to, NodeStatus::Failed | NodeStatus::Timeout);
            self.failed_required += usize::from(failed && !optional);
            let waits = change.from == NodeStatus::Running && change.to == NodeStatus::Waiting;
            node.delayed = waits && is_given_back_for_a_time(event);
            node.unknown = waits && !node.delayed;
            if change.to.is_settled() {
                node.left = Left::default();
            }
            node.status = change.to;
            node.since = event.by.at;
            if change.to == NodeStatus::Ready && node.first_ready == 0 {
                node.first_ready = event.by.at;
            }
            self.held.remove(&ix);
        }
        Ok(())
    }

    fn moves(&mut self, from: JobStatus, to: JobStatus, at: Millis) -> Result<(), String> {
        if self.status != from || !from.may_become(to) {
            return Err(format!("invariant 3: job {from} -> {to} from {}", self.status));
        }
        if from == JobStatus::Paused && !to.is_over() && self.paused_from != Some(to) {
            return Err(format!("invariant 3: paused as {:?}, goes on as {to}", self.paused_from));
        }
        self.paused_from = (to == JobStatus::Paused).then_some(from);
        if to == JobStatus::Queued && from != JobStatus::Paused {
            self.queued_at = Some(at);
        }
        self.admitted |= to == JobStatus::Scheduled;
        if to.is_over() {
            self.ending = None;
        }
        self.status = to;
        Ok(())
    }

    /// Notes who ended a node's attempt, with the event that is being read.
    pub(super) fn ends_attempt(&mut self, ix: u32, of: Whose) {
        let seq = self.statuses.len() as u64 + 1;
        let node = &mut self.nodes[ix as usize];
        node.ended_by = Some(of);
        self.ended.insert((ix, node.epoch), seq);
    }

    /// Whether an attempt had ended after so many events.
    pub(super) fn ended_before(&self, lease: LeaseId, since: u64) -> bool {
        self.ended.get(&(lease.node, lease.epoch.0)).is_some_and(|seq| *seq <= since)
    }

    pub(super) fn take_grant(&mut self, number: u64) {
        self.grant = Some(number);
    }

    /// What the parents say: may start, can never start.
    pub(super) fn parents_say(&self, ix: u32) -> (bool, bool) {
        let spec = &self.plan.nodes[ix as usize];
        let counts = |parent: &u32| {
            let optional = self.plan.nodes[*parent as usize].optional;
            match self.nodes[*parent as usize].status {
                NodeStatus::Completed => true,
                NodeStatus::Failed | NodeStatus::Timeout => optional,
                _ => false,
            }
        };
        let open = |parent: &u32| !self.nodes[*parent as usize].status.is_settled();
        let dead = |parent: &u32| !counts(parent) && !open(parent);
        let parents = &spec.parents;
        match spec.condition {
            DependencyCondition::All => (parents.iter().all(counts), parents.iter().any(dead)),
            DependencyCondition::Any if parents.is_empty() => (true, false),
            DependencyCondition::Any => (parents.iter().any(counts), parents.iter().all(dead)),
            DependencyCondition::Conditional => (false, false),
        }
    }

    /// The counters of the state that was folded beside are what a recount gives.
    pub(super) fn recount(&self, state: &JobState) -> Result<(), String> {
        let wrong = |what: &str| Err(format!("invariant 9: {what} differs from a recount"));
        if state.head.status != self.status || state.head.ending != self.ending {
            return wrong("the job's status");
        }
        for status in NodeStatus::ALL {
            if state.count(status) as usize != self.many(&[status]) {
                return wrong("a count of nodes");
            }
        }
        if state.head.members.failed as usize != self.failed_required || state.held != self.held {
            return wrong("what failed or is held");
        }
        for (ix, (told, node)) in self.nodes.iter().zip(&state.nodes).enumerate() {
            if told.status != node.status {
                return wrong("a node");
            }
            let parents = &self.plan.nodes[ix].parents;
            let settled =
                parents.iter().filter(|parent| self.nodes[**parent as usize].status.is_settled());
            if node.unsettled as usize != parents.len() - settled.count() {
                return wrong("the number of open parents");
            }
        }
        Ok(())
    }
}

fn is_given_back_for_a_time(event: &JobEvent) -> bool {
    matches!(event.fact, JobFact::Attempt(AttemptFact::Released { again_at: Some(_), .. }))
}
