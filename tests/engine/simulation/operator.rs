//! People: they submit jobs, and start, pause, resume, patch, cancel and read them at random; they define, change and
//! delete the environment. What gets no answer is asked again, as the same command.
//! In the calm they only help: what is paused goes on, what waits for a hand is started.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::bounds::Bounds;
use domain::catalog::command::CatalogCommand;
use domain::catalog::paused::{PauseEnd, PauseTarget};
use domain::environment::command::{Definition, EnvironmentCommand};
use domain::ids::{ActionType, EnvironmentName, QueueName, SubjectId};
use domain::job::check::{CheckSettings, check_node_patch};
use domain::job::command::JobCommand;
use domain::job::fact::Patch;
use domain::job::repair::NodePatchSpec;
use domain::retry::named::NamedPolicies;
use domain::retry::policy::RetryPolicy;
use domain::subject::envelope::CommandMark;
use orrery::engine::core::message::{Caller, Command, Request, Response};

use super::calls::Asked;
use super::random_jobs::{self, ACTIONS, POOL, QUEUES};
use super::world::{Happening, World};
use crate::harness::jobs;

/// Jobs of a thousand that branch, fan out and pass data.
const TREES: u64 = 400;

/// A command that somebody wants carried out.
#[derive(Debug)]
pub(crate) struct Errand {
    subject: SubjectId,
    command: Command,
    mark: Option<CommandMark>,
    expected_version: Option<u64>,
    tries: u32,
}

impl World {
    pub(crate) fn found_clients(&mut self) {
        self.found_workers();
        let in_pool = self.mix.jobs_in_environments;
        for number in 0..self.mix.jobs {
            let at = if number < 3 { 0 } else { self.dice.wait(0, self.mix.safety_ms * 3 / 4) };
            let order = random_jobs::order(&mut self.dice, number, self.now + at, in_pool, TREES);
            self.orders.push(order);
            self.after(at, Happening::Submits { order: number });
        }
        self.defines_pool(2);
        self.after(1_000, Happening::Operates);
        self.after(500, Happening::Lists);
    }

    pub(crate) fn calm_clients(&mut self) {
        self.calm_workers();
        self.take_out(|happening| {
            matches!(
                happening,
                Happening::Operates | Happening::Again { .. } | Happening::Submits { .. }
            )
        });
        for order in 0..self.orders.len() {
            let forgotten = !self.orders[order].acked && self.dice.chance(500);
            self.orders[order].forgotten = forgotten;
            if !self.orders[order].acked && !forgotten {
                self.after(0, Happening::Submits { order });
            }
        }
        self.after(0, Happening::Operates);
    }

    pub(crate) fn submits(&mut self, order: usize) {
        let one = &mut self.orders[order];
        one.tries += 1;
        let caller = Caller { mark: one.mark.clone(), ..Caller::engine() };
        let command = Command::Job(JobCommand::Submit(one.submission.clone()));
        let request = Request::Command { subject: one.subject.clone(), command, caller };
        self.asks(Asked::Submit { order }, request, 0);
    }

    pub(crate) fn hears_of_order(&mut self, order: usize, response: Option<&Response>) {
        if let Some(Response::Command { .. }) = response {
            self.orders[order].acked = true;
            return;
        }
        let patience = if self.calm { 100 } else { 8 };
        let one = &self.orders[order];
        if one.tries < patience && !one.acked && !one.forgotten {
            let wait = self.dice.wait(100, 2_000);
            self.after(wait, Happening::Submits { order });
        }
    }

    pub(crate) fn operates(&mut self) {
        if self.calm {
            self.helps();
            return self.after(500, Happening::Operates);
        }
        let every = self.mix.operator_every_ms;
        let wait = self.dice.wait(1, 2 * every);
        self.after(wait, Happening::Operates);
        if self.mix.jobs_in_environments > 0 && self.dice.chance(150) {
            return self.changes_pool();
        }
        if self.deletes() {
            return;
        }
        if self.dice.chance(100) {
            return self.brakes();
        }
        let subject = self.orders[self.dice.index(self.orders.len())].subject.clone();
        let command = match self.dice.below(16) {
            0..=3 => JobCommand::Pause { reason: None },
            4..=8 => JobCommand::Resume { reason: None },
            9 => JobCommand::Cancel { reason: Some("no".to_owned()) },
            10 | 11 => JobCommand::Patch(Box::new(self.patch())),
            12 => JobCommand::Start,
            13 => self.repair(&subject),
            _ => return self.asks(Asked::Read, Request::Read { subject }, 0),
        };
        let number = self.errands.len();
        let mark = match self.dice.below(3) {
            0 => None,
            1 => Some(random_jobs::mark(&format!("errand {number}"), true)),
            _ => Some(random_jobs::mark(&format!("errand {number}"), false)),
        };
        let head = self.checker.head(&subject);
        let expected_version = self.dice.chance(100).then_some(head);
        let command = Command::Job(command);
        self.errands.push(Errand { subject, command, mark, expected_version, tries: 0 });
        self.runs_errand(number);
    }

    /// Retention lets go of a job that is over.
    fn deletes(&mut self) -> bool {
        let many = self.mix.deletes;
        if !self.dice.chance(many) {
            return false;
        }
        let over = self.checker.over();
        if over.is_empty() {
            return false;
        }
        let (subject, unchanged_since) = over[self.dice.index(over.len())].clone();
        let number = self.errands.len();
        let command = Command::Job(JobCommand::Delete { unchanged_since });
        let errand = Errand { subject, command, mark: None, expected_version: None, tries: 0 };
        self.errands.push(errand);
        self.runs_errand(number);
        true
    }

    fn patch(&mut self) -> Patch {
        let now = self.now;
        let dice = &mut self.dice;
        Patch {
            priority: u8::try_from(dice.between(1, 10)).ok(),
            // No two patches are the same, so that one that counts twice shows.
            description: Some(Some(format!("word {}", dice.draw()))),
            timeout_ms: dice.chance(100).then(|| Some(dice.pick(&[5_000, 60_000]))),
            scheduled_at: dice.chance(100).then(|| Some(now + dice.wait(0, 60_000))),
            ..Patch::default()
        }
    }

    /// Some node of the job is changed, whether it may be or not.
    fn repair(&mut self, subject: &SubjectId) -> JobCommand {
        let nodes = self.checker.node_paths(subject);
        let dice = &mut self.dice;
        let node = match nodes.len() {
            0 => "nothing".to_owned(),
            many => nodes[dice.index(many)].clone(),
        };
        let policy = RetryPolicy {
            max_attempts: u32::try_from(dice.between(1, 4)).unwrap_or(1),
            base_delay_ms: 200,
            ..RetryPolicy::default()
        };
        let spec = NodePatchSpec {
            queue: dice.chance(400).then(|| Some(dice.pick(&["default", "other"]).to_owned())),
            priority: dice.chance(300).then(|| Some(dice.pick(&[1, 9]))),
            retry: dice.chance(300).then(|| Some(policy.into())),
            at_most_once: dice.chance(100).then(|| dice.chance(500)),
            ..NodePatchSpec::default()
        };
        let settings = CheckSettings { bounds: Bounds::default(), queue_timeout_ms: None, now: 0 };
        let patch = check_node_patch(spec, None, &settings, &NamedPolicies::default());
        let patch = Box::new(patch.expect("a change"));
        JobCommand::PatchNode { node, patch, reason: None }
    }

    pub(crate) fn runs_errand(&mut self, errand: usize) {
        let one = &mut self.errands[errand];
        one.tries += 1;
        let caller = Caller {
            actor: Arc::from("client"),
            mark: one.mark.clone(),
            expected_version: one.expected_version,
            ..Caller::engine()
        };
        let asked = match &one.command {
            Command::Job(command) => Asked::Errand { errand, command: command.clone() },
            _ => Asked::Environment { errand },
        };
        let (subject, command) = (one.subject.clone(), one.command.clone());
        self.asks(asked, Request::Command { subject, command, caller }, 0);
    }

    pub(crate) fn hears_of_errand(&mut self, errand: usize, response: Option<&Response>) {
        let open = matches!(response, None | Some(Response::Failed(_)));
        if open && self.errands[errand].tries < 6 {
            let wait = self.dice.wait(100, 2_000);
            self.after(wait, Happening::Again { errand });
        }
    }

    fn changes_pool(&mut self) {
        match self.dice.below(5) {
            0 => self.asks_pool(EnvironmentCommand::Delete { waiting: 0 }),
            1 | 2 => self.defines_pool(2),
            _ => {
                let slots = self.dice.between(0, 4);
                self.asks_pool(EnvironmentCommand::Update(slots_of(slots)));
            }
        }
    }

    fn defines_pool(&mut self, slots: u64) {
        let name = EnvironmentName::parse(POOL).expect("a name");
        let namespace = jobs::namespace();
        self.asks_pool(EnvironmentCommand::Define { namespace, name, definition: slots_of(slots) });
    }

    fn asks_pool(&mut self, command: EnvironmentCommand) {
        let number = self.errands.len();
        let subject = self.pool.clone();
        let mark =
            self.dice.chance(500).then(|| random_jobs::mark(&format!("errand {number}"), true));
        let command = Command::Environment(command);
        self.errands.push(Errand { subject, command, mark, expected_version: None, tries: 0 });
        self.runs_errand(number);
    }

    /// Something is paused for a while, or until somebody resumes it; or resumed.
    fn brakes(&mut self) {
        let dice = &mut self.dice;
        let target = if dice.chance(500) {
            PauseTarget::Queue(QueueName::parse(dice.pick(&QUEUES)).expect("a queue"))
        } else {
            PauseTarget::ActionType(ActionType::parse(dice.pick(&ACTIONS)).expect("a word"))
        };
        let until = dice.chance(700).then(|| PauseEnd::After(dice.between(1, 8_000)));
        let command = if dice.chance(400) {
            CatalogCommand::Resume { target, reason: None }
        } else {
            let namespace = jobs::namespace();
            CatalogCommand::Pause { namespace, target, until, reason: None }
        };
        self.asks_catalog(command);
    }

    fn asks_catalog(&mut self, command: CatalogCommand) {
        let number = self.errands.len();
        let subject = SubjectId::catalog(jobs::namespace());
        let mark =
            self.dice.chance(500).then(|| random_jobs::mark(&format!("errand {number}"), true));
        let command = Command::Catalog(command);
        self.errands.push(Errand { subject, command, mark, expected_version: None, tries: 0 });
        self.runs_errand(number);
    }

    /// In the calm: whatever waits for a person gets one.
    fn helps(&mut self) {
        _ = self.deletes();
        let slots = self.checker.capacity(&self.pool);
        match slots {
            None => self.defines_pool(2),
            Some(0 | 1) => self.asks_pool(EnvironmentCommand::Update(slots_of(2))),
            Some(_) => {}
        }
        for target in self.checker.paused() {
            self.asks_catalog(CatalogCommand::Resume { target, reason: None });
        }
        for (subject, command) in self.checker.waiting_for_a_person() {
            let number = self.errands.len();
            let command = Command::Job(command);
            let errand = Errand { subject, command, mark: None, expected_version: None, tries: 9 };
            self.errands.push(errand);
            self.runs_errand(number);
        }
    }
}

fn slots_of(slots: u64) -> Definition {
    Definition::check(None, BTreeMap::from([("slots".to_owned(), slots)])).expect("a definition")
}
