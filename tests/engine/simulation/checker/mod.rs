//! The checker: it reads every record at the moment it lands, and every answer at the moment it leaves its engine, and
//! derives again, naively, what they must say. It is apart from decide and apply: `job`, `facts`, `flows` and the model of
//! trees know the design's words and tables only. Beside it runs a replay of each stream, an event at a time, to which the engines'
//! own states are compared.
//! Always holds: the first thing that is wrong is kept, with the number of the invariant that it breaks.

mod answers;
mod changes;
mod decided_once;
mod driving;
mod end_of_run;
mod environment;
mod explains;
mod facts;
mod flows;
mod job;
mod next_attempt;
mod quiet_engines;
mod times;

use std::collections::{BTreeMap, BTreeSet};

use domain::ids::{CorrelationId, GroupId, JobId, LeaseId, Millis, SubjectId, SubjectKind};
use domain::job::command::{JobCommand, Outcome};
use domain::job::spec::Start;
use domain::job::status::JobStatus;
use domain::node::attempt::ReportKind;
use domain::payload::{Hash, Payload, PayloadBytes};
use orrery::engine::core::kinds::{Entity, EntityEvent};
use orrery::engine::core::message::Beat;
use orrery::event_store::contract::{EventStore as _, Record, Snapshot};
use orrery_testing::event_store::MemoryEventStore;

use self::environment::EnvironmentStory;
use self::job::JobStory;
use super::world::Whose;
use crate::harness::lab::wait;

/// What a client said of an attempt.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) kind: ReportKind,
    pub(super) output: Option<Payload>,
}

/// One attempt, as reports name it.
pub(super) type AttemptKey = (JobId, u32, u64);

/// What the clients know, beside what they were answered.
#[derive(Debug, Default)]
pub(super) struct ClientLog {
    /// Every report that was ever sent.
    pub(super) sent: BTreeMap<AttemptKey, BTreeMap<Hash, Sent>>,
    /// What heartbeats of each attempt said.
    pub(super) said: BTreeMap<AttemptKey, Vec<Payload>>,
    /// How often a patch with this description was sent.
    pub(super) patches: BTreeMap<String, u32>,
    /// Jobs that retention was told to let go of.
    pub(super) release_appends: BTreeSet<JobId>,
    /// What was leased under a worker's claim, by answers that left.
    pub(super) claims: BTreeMap<(String, String), BTreeSet<AttemptKey>>,
    /// Until when an engine promised to keep an attempt, on its clock.
    pub(super) promised: BTreeMap<AttemptKey, (Whose, Millis)>,
}

#[derive(Debug)]
pub(super) enum Told {
    Job(Box<JobStory>),
    Environment(Box<EnvironmentStory>),
    /// What it keeps is compared with its replay, like everything.
    Catalog,
}

/// A stream as it was read so far.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) seq: u64,
    chain: [u8; 32],
    pub(super) told: Option<Told>,
    /// The replay.
    pub(super) replay: Option<Entity>,
}

#[derive(Debug, Default)]
pub(crate) struct Checker {
    pub(super) streams: BTreeMap<SubjectId, Stream>,
    pub(super) log: ClientLog,
    groups: BTreeSet<GroupId>,
    /// Which event came of which request, and when.
    comes_of: BTreeMap<(SubjectId, CorrelationId), (u64, Millis)>,
    /// The newest seq that the view was given of each subject.
    pub(crate) given: BTreeMap<SubjectId, u64>,
    /// Append notices that lie in the store, with when each was written first.
    notices: BTreeMap<SubjectId, BTreeMap<u64, Millis>>,
    incarnation: u64,
    /// Events of each subject that somebody has been answered about.
    pub(super) acknowledged: BTreeMap<SubjectId, u64>,
    /// Every engine hears every other one in time.
    pub(crate) gentle: bool,
    /// There is one engine.
    pub(crate) alone: bool,
    /// Which invariant broke first, and how.
    pub(crate) broken: Option<String>,
    /// How often what happened: a rule that is never reached is not tested.
    pub(crate) tally: BTreeMap<&'static str, u64>,
    trace: u64,
}

impl Checker {
    /// Something happened that a run should reach now and then.
    pub(crate) fn count(&mut self, what: &'static str) {
        *self.tally.entry(what).or_default() += 1;
    }

    /// Something is wrong.
    pub(crate) fn break_at(&mut self, invariant: &str, what: &str) {
        self.broken.get_or_insert_with(|| format!("invariant {invariant}: {what}"));
    }

    pub(super) fn hold(&mut self, outcome: Result<(), String>) {
        if let Err(what) = outcome {
            self.broken.get_or_insert(what);
        }
    }

    pub(crate) fn trace(&self) -> u64 {
        self.trace
    }

    /// Groups that have subjects.
    pub(crate) fn groups(&self) -> Vec<GroupId> {
        self.groups.iter().copied().collect()
    }

    /// Events of a stream so far.
    pub(crate) fn head(&self, subject: &SubjectId) -> u64 {
        self.streams.get(subject).map_or(0, |stream| stream.seq)
    }

    pub(crate) fn raise_incarnation(&mut self) {
        self.incarnation += 1;
    }

    /// Events of a subject that somebody has been answered about so far.
    pub(crate) fn acknowledged(&self, subject: &SubjectId) -> u64 {
        self.acknowledged.get(subject).copied().unwrap_or(0)
    }

    /// A person or a service is about to send a command.
    pub(crate) fn asks(&mut self, subject: &SubjectId, command: &JobCommand) {
        match command {
            JobCommand::Delete { .. } => _ = self.log.release_appends.insert(JobId(subject.id)),
            JobCommand::Patch(patch) => {
                if let Some(Some(text)) = &patch.description {
                    *self.log.patches.entry(text.clone()).or_default() += 1;
                }
            }
            _ => {}
        }
    }

    /// Jobs that are over and not let go of, with their newest event's time.
    pub(crate) fn over(&self) -> Vec<(SubjectId, Millis)> {
        let over = self.jobs().filter(|(_, job)| job.status.is_over() && !job.deleted);
        over.map(|(subject, job)| (subject.clone(), job.newest_at)).collect()
    }

    /// A client is about to report.
    pub(crate) fn reports(&mut self, lease: LeaseId, hash: Hash, outcome: Option<&Outcome>) {
        let (kind, output) = match outcome {
            Some(Outcome::Complete { output, .. }) => {
                let mut stored: Vec<PayloadBytes> = Vec::new();
                let output = output.clone().map(|raw| Payload::new(raw, &mut stored));
                (ReportKind::Complete, output)
            }
            Some(Outcome::Fail { .. }) => (ReportKind::Fail, None),
            Some(Outcome::Release { .. } | Outcome::ReleaseFor { .. }) | None => {
                (ReportKind::Release, None)
            }
        };
        let key = (lease.job, lease.node, lease.epoch.0);
        self.log.sent.entry(key).or_default().entry(hash).or_insert(Sent { kind, output });
    }

    /// A worker is about to say something of its attempt.
    pub(crate) fn says(&mut self, lease: LeaseId, beat: &Beat) {
        if let Some(details) = &beat.details {
            let (details, _) = Payload::copied(details);
            let key = (lease.job, lease.node, lease.epoch.0);
            self.log.said.entry(key).or_default().push(details);
        }
    }

    /// Reads what landed. `of` wrote it.
    pub(crate) fn read(&mut self, store: &MemoryEventStore, subject: &SubjectId, of: Whose) {
        let after = self.head(subject);
        let part = wait(store.read(subject, after + 1, usize::MAX)).expect("the store");
        for record in part.records.iter().filter(|record| record.first > after) {
            let outcome = self.read_record(subject, record, of);
            self.hold(
                outcome.map_err(|what| format!("{what} ({subject}, event {})", self.head(subject))),
            );
        }
    }

    fn read_record(
        &mut self,
        subject: &SubjectId,
        record: &Record,
        of: Whose,
    ) -> Result<(), String> {
        self.groups.insert(subject.group());
        let stream = self.streams.entry(subject.clone()).or_insert_with(|| Stream {
            seq: 0,
            chain: domain::history::genesis(subject),
            told: None,
            replay: None,
        });
        if record.first != stream.seq + 1 {
            return Err(format!("invariant 18: a record at {} after {}", record.first, stream.seq));
        }
        let mut count = 0;
        for line in record.body.split(|byte| *byte == b'\n') {
            let stream = self.streams.get_mut(subject).expect("just read");
            stream.seq += 1;
            count += 1;
            stream.chain = domain::history::chain(stream.chain, line);
            let event = EntityEvent::decode(subject.kind, line)
                .map_err(|error| format!("invariant 18: an event that cannot be read: {error}"))?;
            self.read_event(subject, &event, of)?;
        }
        let stream = &self.streams[subject];
        if stream.chain != record.hash || count != record.count {
            return Err("invariant 18: the chain does not hold".to_owned());
        }
        let first = record.hash[..8].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        self.trace = self.trace.rotate_left(7) ^ first;
        Ok(())
    }

    fn read_event(
        &mut self,
        subject: &SubjectId,
        event: &EntityEvent,
        of: Whose,
    ) -> Result<(), String> {
        self.count(match event {
            EntityEvent::Job(event) => event.fact.type_name(),
            EntityEvent::Environment(event) => event.fact.type_name(),
            EntityEvent::Catalog(event) => event.fact.type_name(),
            EntityEvent::Tally(_) => "tally",
        });
        self.across(subject, event)?;
        let incarnation = self.incarnation + 1;
        self.comes_of(subject, event, self.head(subject))?;
        let stream = self.streams.get_mut(subject).expect("just read");
        match (event, stream.told.as_mut()) {
            (EntityEvent::Job(event), None) if stream.seq == 1 => {
                let story = JobStory::begin(event, &self.log)?;
                stream.told = Some(Told::Job(Box::new(story)));
            }
            (EntityEvent::Job(event), Some(Told::Job(story))) => {
                story.take(event, stream.seq, of, incarnation, &self.log)?;
            }
            (EntityEvent::Environment(event), None) => {
                stream.told = Some(Told::Environment(Box::new(EnvironmentStory::begin(event)?)));
            }
            (EntityEvent::Environment(event), Some(Told::Environment(story))) => {
                story.take(event)?;
            }
            (EntityEvent::Catalog(_), None | Some(Told::Catalog)) => {
                stream.told = Some(Told::Catalog);
            }
            _ => return Err("invariant 18: an event of another kind".to_owned()),
        }
        match stream.replay.as_mut() {
            None => stream.replay = Entity::create(event),
            Some(replay) => _ = replay.apply(event),
        }
        if let (Some(Told::Job(story)), Some(Entity::Job(replay))) = (&stream.told, &stream.replay)
        {
            story.recount(replay)?;
            story.explains(replay)?;
        }
        Ok(())
    }

    /// What two streams say of one another. Grants are freed only by what the job's stream says.
    fn across(&self, subject: &SubjectId, event: &EntityEvent) -> Result<(), String> {
        match event {
            EntityEvent::Job(event) => {
                let grant = environment::grant_taken(event);
                let (Some(number), Some(job)) = (grant, self.job(subject)) else { return Ok(()) };
                let there = self.streams.values().any(|stream| match &stream.told {
                    Some(Told::Environment(story)) => story.holds(JobId(subject.id), number),
                    _ => false,
                });
                let _ = job;
                if there {
                    Ok(())
                } else {
                    Err(format!("invariant 16: grant {number} is not held"))
                }
            }
            EntityEvent::Environment(event) => {
                let Some((job, number)) = environment::grant_freed(event) else { return Ok(()) };
                let job = SubjectId::job(subject.namespace.clone(), job);
                let uses = self.job(&job).is_some_and(|job| job.uses_grant(number));
                if uses {
                    Err(format!("invariant 16: grant {number} is freed and in use"))
                } else {
                    Ok(())
                }
            }
            EntityEvent::Catalog(_) | EntityEvent::Tally(_) => Ok(()),
        }
    }

    pub(super) fn job(&self, subject: &SubjectId) -> Option<&JobStory> {
        match &self.streams.get(subject)?.told {
            Some(Told::Job(story)) => Some(story),
            Some(Told::Environment(_) | Told::Catalog) | None => None,
        }
    }

    pub(super) fn jobs(&self) -> impl Iterator<Item = (&SubjectId, &JobStory)> {
        self.streams.iter().filter_map(|(subject, stream)| match &stream.told {
            Some(Told::Job(story)) => Some((subject, story.as_ref())),
            Some(Told::Environment(_) | Told::Catalog) | None => None,
        })
    }

    /// What an engine has in memory must be the replay of the stream.
    pub(crate) fn compare(&mut self, subject: &SubjectId, seq: u64, live: &Entity) {
        let Some(stream) = self.streams.get(subject).filter(|stream| stream.seq == seq) else {
            return;
        };
        let Some(replay) = &stream.replay else { return };
        if live != replay {
            self.break_at(
                "9",
                &format!("{subject} at {seq}: the state in memory is not the replay"),
            );
        }
    }

    /// A snapshot must be the replay too.
    pub(crate) fn snapshot(&mut self, subject: &SubjectId, snapshot: &Snapshot) {
        let at = self.streams.get(subject).filter(|stream| stream.seq == snapshot.seq);
        let Some(replay) = at.and_then(|stream| stream.replay.as_ref()) else { return };
        let kept = Entity::decode_snapshot(subject.kind, &snapshot.body);
        if kept.is_none_or(|kept| kept != *replay) {
            self.break_at("9", &format!("{subject}: a snapshot that is not the replay"));
        }
    }

    /// How much the pool has; none where it is not defined.
    pub(crate) fn capacity(&self, pool: &SubjectId) -> Option<u64> {
        match &self.streams.get(pool)?.told {
            Some(Told::Environment(story)) => story.slots(),
            Some(Told::Job(_) | Told::Catalog) | None => None,
        }
    }

    /// Jobs that only a person moves.
    pub(crate) fn waiting_for_a_person(&self) -> Vec<(SubjectId, JobCommand)> {
        let waiting = self.jobs().filter_map(|(subject, job)| {
            let command = match job.status {
                JobStatus::Paused if job.ending.is_none() => JobCommand::Resume { reason: None },
                JobStatus::Pending if job.model.plan.start == Start::Manual => JobCommand::Start,
                _ => return None,
            };
            Some((subject.clone(), command))
        });
        waiting.collect()
    }

    pub(super) fn is_job(subject: &SubjectId) -> bool {
        subject.kind == SubjectKind::Job
    }
}
