//! Scripted workers: they lease, keep alive, complete, fail and give back; and they go silent, come back as zombies,
//! report twice or otherwise than before, and ask again when an answer was lost.
//! Always holds: every report is in the clients' log before it is sent.

use std::sync::Arc;

use domain::ids::{ActionType, Claim, Millis, QueueName, WorkerName};
use domain::job::command::Outcome;
use domain::node::attempt::AttemptError;
use domain::payload::Hash;
use domain::subject::answer::Answer;
use orrery::engine::core::message::{Beat, Granted, LeaseRequest, Request, Response};

use super::calls::{Asked, report};
use super::random_jobs::{ACTIONS, QUEUES, raw};
use super::world::{Happening, World};
use crate::harness::jobs;

/// Reports of one attempt that are sent again for want of an answer.
const TRIES_MAX: u32 = 12;

#[derive(Debug)]
pub(crate) struct Worker {
    name: WorkerName,
    /// It asks this engine for work of this queue, and nobody else.
    pinned: Option<(usize, usize)>,
    polling: bool,
    /// The claim whose answer it has not seen.
    claim: Option<Claim>,
    claims: u32,
}

/// An attempt in a worker's hands.
#[derive(Debug)]
pub(crate) struct Held {
    worker: usize,
    granted: Granted,
    finish_at: Millis,
    /// It keeps its lease alive until then.
    beats: bool,
    outcome: Outcome,
    hash: Hash,
    tries: u32,
}

impl World {
    pub(crate) fn found_workers(&mut self) {
        for at in 0..self.mix.workers {
            self.workers.push(worker(at, None));
            let wait = self.dice.wait(0, 500);
            self.after(wait, Happening::Polls { worker: at });
        }
    }

    /// The workers of before are gone with what they held; at every engine somebody waits for work of every queue.
    pub(crate) fn calm_workers(&mut self) {
        self.held.clear();
        self.take_out(|happening| {
            matches!(happening, Happening::Polls { .. } | Happening::Works { .. })
        });
        let everywhere = !self.mix.polled_at_one;
        for engine in (0..self.members.len()).filter(|engine| everywhere || *engine == 0) {
            for queue in 0..QUEUES.len() {
                let at = self.workers.len();
                self.workers.push(worker(at, Some((engine, queue))));
                self.after(0, Happening::Polls { worker: at });
            }
        }
    }

    pub(crate) fn polls(&mut self, worker: usize) {
        if self.workers[worker].polling || (self.calm && self.workers[worker].pinned.is_none()) {
            return;
        }
        let (poll, wait) = self.poll(worker);
        let asked = Asked::Lease {
            worker,
            claim: poll.claim.clone(),
            queue: poll.queue.clone(),
            again: false,
        };
        match self.workers[worker].pinned {
            Some((engine, _)) => {
                self.asks_engine(engine, vec![(asked, Request::Lease(poll))], wait);
            }
            None => self.asks(asked, Request::Lease(poll), wait),
        }
    }

    /// What a worker asks for, and how long it waits.
    fn poll(&mut self, worker: usize) -> (LeaseRequest, Millis) {
        let ways = self.mix.worker.clone();
        let pinned = self.workers[worker].pinned;
        let queue = pinned.map_or_else(|| self.dice.index(QUEUES.len()), |(_, queue)| queue);
        let picky = pinned.is_none() && self.dice.chance(200);
        let actions = ACTIONS.iter().map(|action| ActionType::parse(action).expect("a word"));
        let action_types = if picky { actions.take(1).collect() } else { Vec::new() };
        let claims = self.dice.chance(ways.claims);
        let one = &mut self.workers[worker];
        one.polling = true;
        if claims && one.claim.is_none() {
            one.claims += 1;
            one.claim = Claim::parse(&format!("{} {}", one.name, one.claims)).ok();
        }
        let poll = LeaseRequest {
            queue: QueueName::parse(QUEUES[queue]).expect("a queue"),
            action_types,
            worker: one.name.clone(),
            claim: one.claim.clone(),
            lease_ms: self.dice.pick(&[5_000, 5_000, 12_000, 30_000]),
            max: self.dice.pick(&[1, 2, 5]),
            wait_until: self.dice.pick(&[0, 1_000, 10_000]),
            ..jobs::poll("nobody", 1)
        };
        let wait = poll.wait_until;
        (poll, wait)
    }

    /// Those who wait for nothing and have not seen the answer to their claim.
    pub(crate) fn workers_with_claims(&self) -> Vec<usize> {
        let all = self.workers.iter().enumerate();
        let lost =
            all.filter(|(_, one)| one.claim.is_some() && !one.polling && one.pinned.is_none());
        lost.map(|(at, _)| at).collect()
    }

    pub(crate) fn hears_of_lease(&mut self, worker: usize, response: Option<Response>) {
        let one = &mut self.workers[worker];
        one.polling = false;
        let pause = if self.calm { 20 } else { 400 };
        if let Some(Response::Leases(granted)) = response {
            one.claim = None;
            for granted in granted {
                self.takes(worker, granted);
            }
        }
        let wait = self.dice.wait(1, pause);
        self.after(wait, Happening::Polls { worker });
    }

    /// The answer to a request that was sent twice: mostly it has it already.
    pub(crate) fn hears_again_of_lease(&mut self, worker: usize, response: Option<Response>) {
        let Some(Response::Leases(granted)) = response else { return };
        for granted in granted {
            self.takes(worker, granted);
        }
    }

    fn takes(&mut self, worker: usize, granted: Granted) {
        if self.held.values().any(|held| held.granted.lease == granted.lease) {
            return;
        }
        let ways = self.mix.worker.clone();
        if self.dice.chance(ways.silent) {
            return;
        }
        let lease_ms = Millis::try_from(granted.lease_ms).expect("a short lease");
        let zombie = self.dice.chance(ways.zombie);
        let work = self.dice.wait(1, ways.work_ms);
        let finish_at = self.now + if zombie { lease_ms + work } else { work };
        let number = self.ticket();
        let (outcome, hash) = self.outcome(number);
        let held = Held { worker, granted, finish_at, beats: !zombie, outcome, hash, tries: 0 };
        self.held.insert(number, held);
        let first = if zombie { finish_at } else { finish_at.min(self.now + lease_ms / 3) };
        self.after(first - self.now, Happening::Works { held: number });
    }

    fn outcome(&mut self, number: u64) -> (Outcome, Hash) {
        let ways = &self.mix.worker;
        let (releases, fails) = (ways.releases, ways.fails);
        let outcome = if self.dice.chance(releases) {
            match self.dice.below(3) {
                0 => Outcome::ReleaseFor { after_ms: self.dice.between(0, 20_000) },
                _ => Outcome::Release { undelivered: false },
            }
        } else if self.dice.chance(fails) {
            let class =
                self.dice.pick(&["unclassified", "network.reset", "throttled", "validation"]);
            let retry_after_ms = self.dice.chance(100).then(|| self.dice.between(0, 8_000));
            Outcome::Fail { error: error(class, retry_after_ms), details: None }
        } else {
            let large = self.dice.chance(20);
            let text = if large { "x".repeat(2_500) } else { String::new() };
            // Lists and numbers for those who read them; not drawn, so that it does not shift what seeds have always drawn.
            let json = match number % 3 {
                0 => format!("\"{number}{text}\""),
                1 => {
                    format!("{{\"n\": {number}, \"items\": [1, [2, 3], 4], \"text\": \"{text}\"}}")
                }
                _ => format!("{{\"n\": 1, \"items\": [{number}], \"text\": \"{text}\"}}"),
            };
            let output = self.dice.chance(500).then(|| raw(&json));
            Outcome::Complete { output, warnings: Vec::new(), artifacts: Vec::new() }
        };
        (outcome, Hash::of(&number.to_be_bytes()))
    }

    /// Something is next with an attempt: a heartbeat, or its report.
    pub(crate) fn works(&mut self, held: u64) {
        let Some(one) = self.held.get_mut(&held) else { return };
        let lease = one.granted.lease;
        if self.now < one.finish_at {
            let lease_ms = Millis::try_from(one.granted.lease_ms).expect("a short lease");
            let next = one.finish_at.min(self.now + lease_ms / 3);
            let namespace = one.granted.namespace.clone();
            if one.beats {
                let beat = beat_of(held, self.now);
                self.checker.says(lease, &beat);
                let request = Request::Heartbeat { namespace, lease, beat };
                self.asks(Asked::Heartbeat { held, lease }, request, 0);
            }
            return self.after(next - self.now, Happening::Works { held });
        }
        one.tries += 1;
        let request = report(&one.granted, one.hash, one.outcome.clone());
        let asked = Asked::Report { held, lease, hash: one.hash };
        let worker = one.worker;
        self.checker.reports(lease, one.hash, Some(&one.outcome));
        let next = self.mix.worker.next;
        if self.workers[worker].polling || self.calm || !self.dice.chance(next) {
            return self.asks(asked, request, 0);
        }
        // The report and the poll for more in one request.
        let (poll, wait) = self.poll(worker);
        let next = Asked::Lease {
            worker,
            claim: poll.claim.clone(),
            queue: poll.queue.clone(),
            again: false,
        };
        let poll = Request::NextWork { request: poll, reports: 1 };
        let at = self.dice.index(self.members.len());
        self.asks_engine(at, vec![(next, poll), (asked, request)], wait);
    }

    pub(crate) fn hears_of_heartbeat(&mut self, held: u64, response: Option<&Response>) {
        let lost = matches!(response, Some(Response::Refused(_)));
        let cancel = matches!(response, Some(Response::Heartbeat { cancel: true, .. }));
        if lost && !self.dice.chance(self.mix.worker.zombie) {
            self.held.remove(&held);
        }
        if cancel && self.dice.chance(500) {
            let hash = Hash::of(&self.ticket().to_be_bytes());
            let Some(one) = self.held.get_mut(&held) else { return };
            one.outcome = Outcome::Fail { error: error("cancelled", None), details: None };
            (one.hash, one.finish_at) = (hash, self.now);
        }
    }

    pub(crate) fn hears_of_report(&mut self, held: u64, response: Option<&Response>) {
        let settled = matches!(
            response,
            Some(
                Response::Command {
                    answer: Answer::Recorded
                        | Answer::RecordedBefore
                        | Answer::Nothing
                        | Answer::Refused(_),
                    ..
                } | Response::Refused(_)
            )
        );
        let (repeats, differs) = (self.mix.worker.repeats, self.mix.worker.differs);
        let Some(one) = self.held.get_mut(&held) else { return };
        if one.tries >= TRIES_MAX || (settled && !self.dice.chance(repeats)) {
            self.held.remove(&held);
            return;
        }
        if settled && self.dice.chance(differs) {
            let number = self.ticket();
            let (outcome, hash) = self.outcome(number);
            if let Some(one) = self.held.get_mut(&held) {
                (one.outcome, one.hash) = (outcome, hash);
            }
        }
        let wait = self.dice.wait(50, 1_500);
        self.after(wait, Happening::Works { held });
    }
}

fn worker(at: usize, pinned: Option<(usize, usize)>) -> Worker {
    let name = WorkerName::parse(&format!("worker {at}")).expect("a name");
    Worker { name, pinned, polling: false, claim: None, claims: 0 }
}

fn error(class: &str, retry_after_ms: Option<u64>) -> AttemptError {
    AttemptError {
        error_type: "Broken".to_owned(),
        message: "it broke".to_owned(),
        class: class.to_owned(),
        retry_after_ms,
        ..AttemptError::default()
    }
}

/// What an attempt says at this time: not drawn, so that it does not shift what seeds have always drawn.
fn beat_of(held: u64, now: Millis) -> Beat {
    let long = if held.is_multiple_of(7) { "y".repeat(2_500) } else { String::new() };
    let says = held.is_multiple_of(3);
    let details = says.then(|| Arc::from(raw(&format!("[{held},{now},\"{long}\"]"))));
    Beat { progress: held.is_multiple_of(2).then_some(0.5), details }
}
