//! What the history of a job says, told again from its rows alone: where the job and each node stand, which lease is
//! the newest, what was reported. What branches, groups and lists must do is found by the naive model (`orrery_model`), which
//! the rules' own walk is held against too. Nothing here is fast, and nothing is shared with the rules but words and tables.

use std::collections::{BTreeMap, BTreeSet};

use domain::ids::{CommandId, JobId, LeaseId, Millis};
use domain::job::event::JobEvent;
use domain::job::fact::{AdmissionFact, AttemptFact, JobFact, Patch};
use domain::job::outcome::EndingStage;
use domain::job::plan::PlanNode;
use domain::job::state::JobState;
use domain::job::status::JobStatus;
use domain::node::attempt::ReportKind;
use domain::node::change::NodeChange;
use domain::node::hold::Hold;
use domain::node::status::NodeStatus;
use domain::payload::Hash;
use orrery_model::Model;

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
    /// Attempts before its group was tried again: policies count those since.
    pub(super) base: u32,
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
    /// Waits for somebody to give it more executions.
    pub(super) exhausted: bool,
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
    /// What the rows make of branches, groups and lists.
    pub(crate) model: Model,
    pub(crate) status: JobStatus,
    pub(crate) ending: Option<JobStatus>,
    pub(super) ending_until: Millis,
    pub(crate) nodes: Vec<NodeStory>,
    /// Until when attempts of groups that end may run on.
    pub(super) graces: BTreeMap<u32, Millis>,
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
    grant: Option<u64>,
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
        let mut story = Self {
            id: submitted.id,
            model: Model::begin(event).map_err(|wrong| of_flow(&wrong))?,
            status: JobStatus::Pending,
            ending: None,
            ending_until: 0,
            nodes: Vec::new(),
            graces: BTreeMap::new(),
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
            grant: None,
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

    /// What never changes of a node.
    pub(super) fn spec(&self, ix: u32) -> &PlanNode {
        self.model.spec(ix as usize)
    }

    /// Whether ready nodes are offered: also those of a job that cleans up.
    pub(crate) fn offers(&self) -> bool {
        let lives = matches!(self.status, JobStatus::Scheduled | JobStatus::Running);
        let cleans = self.ending.is_some() && self.model.stage == EndingStage::Cleaning;
        self.ending.is_none() && lives || cleans
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
        if self.deleted {
            return Err("invariant 28: deleted, and something happened to it".to_owned());
        }
        self.decides_once(event, seq)?;
        self.newest_at = event.by.at;
        self.hears(event, log)?;
        self.fact(event, of, incarnation, log)?;
        // The first event made the model.
        if seq > 1 {
            self.model.take(event).map_err(|wrong| of_flow(&wrong))?;
        }
        let at = event.by.at;
        self.nodes.resize_with(self.model.nodes.len(), || NodeStory::new(at));
        for change in &event.nodes {
            self.changes(event, change)?;
        }
        self.flows(event)?;
        if let Some(ending) = &event.ending {
            (self.ending, self.ending_until) = (Some(ending.to), ending.until);
        }
        for (from, to) in &event.job {
            self.moves(*from, *to, event.by.at)?;
        }
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
            let node = &mut self.nodes[ix as usize];
            if change.to == NodeStatus::Completed && std::mem::replace(&mut node.completed, true) {
                return Err(format!("invariant 4: node {ix} completed twice"));
            }
            if change.to == NodeStatus::Running
                && !matches!(event.fact, JobFact::Attempt(AttemptFact::Leased { .. }))
            {
                return Err(format!("invariant 8: node {ix} runs without a lease"));
            }
            node.delayed = change.holds() == Some(Hold::Delay);
            node.unknown = change.holds() == Some(Hold::OutcomeUnknown);
            node.exhausted = change.holds() == Some(Hold::Exhausted);
            if change.to.is_settled() {
                node.left = Left::default();
            }
            node.status = change.to;
            node.since = event.by.at;
            if change.to == NodeStatus::Ready && node.first_ready == 0 {
                node.first_ready = event.by.at;
            }
            if change.to == NodeStatus::Pending {
                node.begins_again();
            }
            if change.holds() == Some(Hold::Members) {
                node.begins_members(event.by.at);
            }
            self.graces.remove(&ix);
        }
        Ok(())
    }

    fn moves(&mut self, from: JobStatus, to: JobStatus, at: Millis) -> Result<(), String> {
        if from == JobStatus::Paused && !to.is_over() && self.paused_from != Some(to) {
            return Err(format!("invariant 3: paused as {:?}, goes on as {to}", self.paused_from));
        }
        self.paused_from = (to == JobStatus::Paused).then_some(from);
        if to == JobStatus::Queued && from != JobStatus::Paused {
            self.queued_at = Some(at);
        }
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

    /// The counters of the state that was folded beside are what a recount gives.
    pub(super) fn recount(&self, state: &JobState) -> Result<(), String> {
        if state.head.status != self.status || state.head.ending != self.ending {
            return Err("invariant 9: the job's status differs from a recount".to_owned());
        }
        self.model.agrees(state).map_err(|wrong| format!("invariant 9: {wrong}"))
    }
}

impl NodeStory {
    fn new(at: Millis) -> Self {
        Self {
            status: NodeStatus::Pending,
            since: at,
            epoch: 0,
            attempt: 0,
            base: 0,
            first_ready: 0,
            started: 0,
            due: 0,
            ended_by: None,
            undelivered: 0,
            allowed: 0,
            completed: false,
            unknown: false,
            exhausted: false,
            delayed: false,
            left: Left::default(),
        }
    }

    /// A group around it is tried again.
    fn begins_again(&mut self) {
        self.base = self.attempt;
        (self.first_ready, self.due, self.undelivered, self.allowed) = (0, 0, 0, 0);
        self.completed = false;
    }

    /// A group: its members begin, as an attempt of it.
    pub(super) fn begins_members(&mut self, at: Millis) {
        self.attempt += 1;
        self.started = at;
        if self.first_ready == 0 {
            self.first_ready = at;
        }
    }
}

/// What the naive model says is wrong: of starting, skipping, branches, groups, places and ends.
fn of_flow(wrong: &str) -> String {
    format!("invariant 8: {wrong}")
}
