//! What a script asks of its engines: jobs, leases, reports, steering and reading, each drawn from the seed. What has
//! no outcome is asked again.

use std::sync::Arc;

use domain::environment::command::EnvironmentCommand;
use domain::ids::{EnvironmentName, SubjectId};
use domain::job::command::{JobCommand, Outcome};
use domain::node::attempt::AttemptError;
use orrery::engine::core::message::{Caller, Command, Input, LeaseRequest, Request, Response};

use super::Script;
use crate::harness::{jobs, lab};
use crate::simulation::random_jobs;

/// How often a request without an outcome is made again, 400 ms apart.
const ASKED_MAX: usize = 12;

impl Script {
    pub(super) async fn submits(&mut self, at: usize) {
        let number = self.orders.len();
        let mut order = random_jobs::order(&mut self.dice, number, self.now, 300, 300);
        order.mark.get_or_insert_with(|| random_jobs::mark(&format!("submit {number}"), true));
        self.subjects.insert(order.subject.clone());
        self.orders.push(order);
        // Now and then an earlier one comes again.
        let which = if self.dice.chance(150) { self.dice.index(number + 1) } else { number };
        let order = &self.orders[which];
        let command = Command::Job(JobCommand::Submit(Arc::clone(&order.submission)));
        let caller = Caller { mark: order.mark.clone(), ..Caller::engine() };
        let subject = order.subject.clone();
        self.asks(at, Request::Command { subject, command, caller }).await;
    }

    pub(super) async fn leases(&mut self, at: usize) {
        let most = self.dice.pick(&[1, 2, 5]);
        let claim = self.dice.chance(300).then(|| format!("claim-{}", self.dice.below(8)));
        let request = LeaseRequest {
            claim: claim.map(|word| jobs::claim(&word)),
            lease_ms: self.dice.pick(&[5_000, 30_000]),
            ..jobs::poll("worker", most)
        };
        if let Some(Response::Leases(granted)) = self.asks(at, Request::Lease(request)).await {
            self.granted.extend(granted);
        }
    }

    pub(super) async fn reports(&mut self, at: usize) {
        if self.granted.is_empty() {
            return;
        }
        let which = self.dice.index(self.granted.len());
        // Some are reported on again, and some when they are long over.
        let one = if self.dice.chance(800) {
            self.granted.swap_remove(which)
        } else {
            self.granted[which].clone()
        };
        if self.dice.chance(100) {
            self.asks(at, lab::heartbeat(&one)).await;
            return;
        }
        let outcome = match self.dice.below(10) {
            0..=6 => {
                let large = self.dice.chance(150);
                let text = if large { "y".repeat(2_500) } else { "done".to_owned() };
                let output = Some(random_jobs::raw(&format!("\"{text}\"")));
                Outcome::Complete { output, warnings: Vec::new(), artifacts: Vec::new() }
            }
            7 if self.dice.chance(300) => Outcome::ReleaseFor { after_ms: 700 },
            7 => Outcome::Release { undelivered: false },
            _ => Outcome::Fail { error: failure(), details: Some(random_jobs::raw("{\"why\":1}")) },
        };
        self.asks(at, lab::report_of(&one, outcome, b"a report")).await;
    }

    pub(super) async fn operates(&mut self, at: usize) {
        let Some(order) = self.some_order() else { return };
        let subject = self.orders[order].subject.clone();
        let command = match self.dice.below(6) {
            0 => JobCommand::Pause { reason: Some("wait".to_owned()) },
            1 => JobCommand::Resume { reason: None },
            2 => JobCommand::Cancel { reason: None },
            3 => JobCommand::Start,
            _ => JobCommand::Delete { unchanged_since: self.now },
        };
        self.commands(at, subject, command).await;
    }

    pub(super) async fn commands(&mut self, at: usize, subject: SubjectId, command: JobCommand) {
        let mark = random_jobs::mark(&format!("command {}", self.next_ticket), false);
        let caller = Caller { mark: Some(mark), ..Caller::engine() };
        let command = Command::Job(command);
        self.asks(at, Request::Command { subject, command, caller }).await;
    }

    pub(super) async fn reads(&mut self, at: usize) {
        let Some(order) = self.some_order() else { return };
        let subject = self.orders[order].subject.clone();
        self.asks(at, Request::Read { subject }).await;
    }

    fn some_order(&mut self) -> Option<usize> {
        (!self.orders.is_empty()).then(|| self.dice.index(self.orders.len()))
    }

    pub(super) async fn pool(&mut self, command: EnvironmentCommand) {
        let name = EnvironmentName::parse(random_jobs::POOL).expect("a name");
        let subject = SubjectId::environment(jobs::namespace(), &name);
        self.subjects.insert(subject.clone());
        let mark = Some(random_jobs::mark(&format!("pool {}", self.next_ticket), false));
        let caller = Caller { mark, ..Caller::engine() };
        let command = Command::Environment(command);
        self.asks(0, Request::Command { subject, command, caller }).await;
    }

    /// Asks until there is an outcome; what came is written down.
    pub(super) async fn asks(&mut self, at: usize, request: Request) -> Option<Response> {
        for _ in 0..ASKED_MAX {
            self.next_ticket += 1;
            let ticket = self.next_ticket;
            let input = Input::Request { ticket, request: request.clone(), forwarded: false };
            self.engines[at].handle(self.now, input);
            self.settle().await;
            let response = self.answers.remove(&ticket);
            let line = format!("{} engine {at} {request:?}: {response:?}", self.now);
            self.transcript.push(line);
            match response {
                None | Some(Response::Failed(_)) => self.advance(400).await,
                Some(response) => return Some(response),
            }
        }
        None
    }
}

fn failure() -> AttemptError {
    AttemptError {
        error_type: "Broken".to_owned(),
        message: "it broke".to_owned(),
        class: "worker.error".to_owned(),
        ..AttemptError::default()
    }
}
