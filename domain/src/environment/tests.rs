//! Random scripts against a naive model of the pool, and each refusal.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::environment::command::{Definition, EnvironmentCommand};
use crate::environment::decide::decide;
use crate::environment::event::{EnvironmentEvent, ReleaseCause};
use crate::environment::state::EnvironmentState;
use crate::environment::undo::EnvironmentUndo;
use crate::ids::{CommandId, EnvironmentName, JobId, Namespace};
use crate::payload::Hash;
use crate::refusal::{Refusal, ours};
use crate::subject::answer::Answer;
use crate::subject::context::Context;
use crate::subject::envelope::CommandMark;

fn context() -> Context {
    Context {
        now: 1_000,
        dice: crate::dice::Dice::of(0),
        incarnation: 1,
        grace_ms: 30_000,
        actor: "engine".into(),
        command: None,
        correlation: None,
        expected_version: None,
        heard: Vec::new(),
        keyed_commands_max: 1_000,
    }
}

fn map(entries: &[(&str, u64)]) -> BTreeMap<String, u64> {
    entries.iter().map(|(name, amount)| ((*name).to_owned(), *amount)).collect()
}

fn definition(capacity: &[(&str, u64)]) -> Definition {
    Definition::check(None, map(capacity)).unwrap_or_else(|errors| panic!("{errors:?}"))
}

fn name(text: &str) -> EnvironmentName {
    EnvironmentName::parse(text).unwrap_or_else(|error| panic!("{error}"))
}

fn define(text: &str, capacity: &[(&str, u64)]) -> EnvironmentCommand {
    EnvironmentCommand::Define {
        namespace: Namespace::default_namespace(),
        name: name(text),
        definition: definition(capacity),
    }
}

fn job(number: u128) -> JobId {
    JobId(uuid::Uuid::from_u128(number))
}

fn grant(of: u128, slots: u64) -> EnvironmentCommand {
    EnvironmentCommand::Grant { job: job(of), run: 1, resources: map(&[("slots", slots)]) }
}

fn release(of: u128, number: u64) -> EnvironmentCommand {
    EnvironmentCommand::Release { job: job(of), run: 1, number, why: ReleaseCause::RunOver }
}

/// Decides and applies, and keeps the events.
#[derive(Default)]
struct Script {
    state: Option<EnvironmentState>,
    events: Vec<EnvironmentEvent>,
}

impl Script {
    fn run(&mut self, command: &EnvironmentCommand, context: &Context) -> Result<Answer, Refusal> {
        let decision = decide(self.state.as_ref(), command, context)?;
        if let Some(event) = decision.event {
            match &mut self.state {
                Some(state) => {
                    let before = state.clone();
                    let mut undo = EnvironmentUndo::default();
                    state.apply(&event, &mut undo);
                    let after = state.clone();
                    state.undo(undo);
                    assert_eq!(*state, before, "undo of {event:?}");
                    state.apply(&event, &mut EnvironmentUndo::none());
                    assert_eq!(*state, after);
                }
                None => self.state = EnvironmentState::create(&event),
            }
            self.events.push(event);
        }
        Ok(decision.answer)
    }

    fn ask(&mut self, command: &EnvironmentCommand) -> Result<Answer, Refusal> {
        self.run(command, &context())
    }

    fn grants(&self) -> usize {
        self.state.as_ref().map_or(0, |state| state.grants.len())
    }
}

#[test]
fn a_grant_that_does_not_fit_changes_nothing_and_fits_once_there_is_room() {
    let mut script = Script::default();
    assert!(script.ask(&define("gpu", &[("slots", 2)])).is_ok());
    assert!(matches!(script.ask(&grant(1, 2)), Ok(Answer::Done { seq: 2 })));
    assert!(matches!(script.ask(&grant(2, 1)), Ok(Answer::Nothing)));
    let shortage = script.state.as_ref().and_then(|s| s.shortage(&map(&[("slots", 3)])));
    assert!(shortage.is_some_and(|s| s.is_hopeless() && s.free == 0 && s.capacity == 2));
    assert!(matches!(script.ask(&grant(1, 2)), Ok(Answer::Done { seq: 2 })));
    assert!(matches!(script.ask(&release(1, 7)), Ok(Answer::Nothing)));
    assert_eq!(script.grants(), 1);
    assert!(matches!(script.ask(&release(1, 1)), Ok(Answer::Done { seq: 3 })));
    assert!(matches!(script.ask(&release(1, 1)), Ok(Answer::Nothing)));
    assert!(matches!(script.ask(&grant(2, 1)), Ok(Answer::Done { seq: 4 })));
    assert_eq!(
        script.state.as_ref().and_then(|s| s.grant_of(job(2), 1)).map(|g| g.number),
        Some(2)
    );
}

#[test]
fn a_capacity_below_the_use_keeps_the_grants_and_gives_no_more() {
    let mut script = Script::default();
    assert!(script.ask(&define("gpu", &[("slots", 5)])).is_ok());
    assert!(script.ask(&grant(1, 4)).is_ok());
    assert!(script.ask(&EnvironmentCommand::Update(definition(&[("slots", 1)]))).is_ok());
    assert_eq!(script.grants(), 1);
    assert!(matches!(script.ask(&grant(2, 1)), Ok(Answer::Nothing)));
    assert!(matches!(script.ask(&grant(3, 0)), Ok(Answer::Done { .. })));
    assert!(script.ask(&release(1, 1)).is_ok());
    assert!(matches!(script.ask(&grant(2, 1)), Ok(Answer::Done { .. })));
}

#[test]
fn an_environment_in_use_is_not_deleted_and_a_deleted_one_can_come_back() {
    let mut script = Script::default();
    let delete = |waiting| EnvironmentCommand::Delete { waiting };
    assert_eq!(script.ask(&delete(0)).err(), Some(Refusal::EnvironmentNotFound));
    assert!(script.ask(&define("gpu", &[("slots", 1)])).is_ok());
    assert_eq!(script.ask(&define("gpu", &[])).err(), Some(Refusal::EnvironmentExists));
    assert!(script.ask(&grant(1, 1)).is_ok());
    assert_eq!(script.ask(&delete(2)).err(), Some(Refusal::EnvironmentInUse { jobs: 3 }));
    assert!(script.ask(&release(1, 1)).is_ok());
    assert_eq!(script.ask(&delete(1)).err(), Some(Refusal::EnvironmentInUse { jobs: 1 }));
    assert!(script.ask(&delete(0)).is_ok());
    assert_eq!(script.ask(&grant(1, 1)).err(), Some(Refusal::EnvironmentNotFound));
    assert!(matches!(script.ask(&release(1, 1)), Ok(Answer::Nothing)));
    assert!(script.ask(&define("gpu", &[])).is_ok());
    assert!(script.ask(&grant(1, 1_000)).is_ok(), "what is not named is unlimited");
    let number = script.state.as_ref().and_then(|s| s.grant_of(job(1), 1)).map(|g| g.number);
    assert_eq!(number, Some(2), "numbers are never used again");
}

#[test]
fn the_default_environment_cannot_be_defined() {
    let refused = Script::default().ask(&define("default", &[])).err();
    assert_eq!(refused, Some(Refusal::EnvironmentFixed));
}

#[test]
fn a_repeated_command_gets_its_first_answer_and_another_version_is_refused() {
    let mut script = Script::default();
    let mark = |body: &[u8]| {
        let id = CommandId::parse("k").ok()?;
        Some(CommandMark { id, body: Hash::of(body), keyed: true })
    };
    let keyed = |body| Context { command: mark(body), ..context() };
    assert!(script.run(&define("gpu", &[]), &keyed(b"a")).is_ok());
    let again = script.run(&define("gpu", &[]), &keyed(b"a"));
    assert!(matches!(again, Ok(Answer::Replayed { seq: 1 })));
    let other = script.run(&define("gpu", &[]), &keyed(b"b"));
    assert_eq!(other.err(), Some(Refusal::IdempotencyKeyReused));
    let stale = Context { expected_version: Some(9), ..context() };
    let refused = script.run(&EnvironmentCommand::Delete { waiting: 0 }, &stale).err();
    assert_eq!(refused, Some(Refusal::VersionMismatch { expected: 9, current: 1 }));
}

#[test]
fn a_definition_outside_its_bounds_is_refused_where_it_is_wrong() {
    let wrong = |description: Option<String>, capacity: &[(&str, u64)]| {
        let errors = Definition::check(description, map(capacity)).err().unwrap_or_default();
        errors.into_iter().map(|e| (e.pointer, ours(e.code))).collect::<Vec<_>>()
    };
    let error = |pointer: &str, code| vec![(pointer.to_owned(), code)];
    assert_eq!(wrong(Some("x".repeat(1_001)), &[]), error("/description", "invalid_length"));
    assert_eq!(wrong(None, &[("a b", 1)]), error("/capacity", "invalid_key"));
    assert_eq!(wrong(None, &[("cpu", u64::MAX)]), error("/capacity/cpu", "out_of_range"));
    let names: Vec<String> = (0..17).map(|ix| format!("r{ix}")).collect();
    let many: Vec<(&str, u64)> = names.iter().map(|name| (name.as_str(), 1)).collect();
    assert_eq!(wrong(None, &many), error("/capacity", "too_many"));
}

fn any_command() -> impl Strategy<Value = EnvironmentCommand> {
    let amounts = || prop::collection::btree_map("[ab]", 0_u64..4, 0..3);
    prop_oneof![
        2 => (0_u64..5, 0_u64..5).prop_map(|(a, b)| {
            EnvironmentCommand::Update(definition(&[("a", a), ("b", b)]))
        }),
        1 => Just(EnvironmentCommand::Delete { waiting: 0 }),
        1 => Just(define("gpu", &[("a", 3)])),
        8 => (0_u128..4, 1_u32..3, amounts()).prop_map(|(of, run, resources)| {
            EnvironmentCommand::Grant { job: job(of), run, resources }
        }),
        6 => (0_u128..4, 1_u32..3, 0_u64..12).prop_map(|(of, run, number)| {
            EnvironmentCommand::Release { job: job(of), run, number, why: ReleaseCause::Declined }
        }),
    ]
}

proptest! {
    #[test]
    fn use_is_the_sum_of_the_grants_and_no_grant_passes_the_capacity(
        commands in prop::collection::vec(any_command(), 0..60),
    ) {
        let mut script = Script::default();
        let mut held: BTreeMap<(JobId, u32), BTreeMap<String, u64>> = BTreeMap::new();
        prop_assert!(script.ask(&define("gpu", &[("a", 3)])).is_ok());
        for command in commands {
            let before = script.state.clone();
            let events = script.events.len();
            let answer = script.ask(&command);
            if script.events.len() == events {
                prop_assert_eq!(&before, &script.state);
            }
            let Some(state) = &script.state else { continue };
            match &command {
                EnvironmentCommand::Grant { job, run, resources } if script.events.len() > events => {
                    prop_assert!(held.insert((*job, *run), resources.clone()).is_none());
                    for (resource, asked) in resources {
                        let capacity = state.capacity.get(resource).copied().unwrap_or(u64::MAX);
                        prop_assert!(*asked == 0 || state.used(resource) <= capacity);
                    }
                }
                EnvironmentCommand::Release { job, run, .. } if script.events.len() > events => {
                    prop_assert!(held.remove(&(*job, *run)).is_some());
                }
                EnvironmentCommand::Delete { .. } if answer.is_ok() => prop_assert!(held.is_empty()),
                EnvironmentCommand::Define { .. }
                | EnvironmentCommand::Update(_)
                | EnvironmentCommand::Delete { .. }
                | EnvironmentCommand::Grant { .. }
                | EnvironmentCommand::Release { .. } => {}
            }
            let grants: BTreeMap<_, _> =
                state.grants.iter().map(|(key, grant)| (*key, grant.resources.clone())).collect();
            prop_assert_eq!(&grants, &held);
            for (resource, used) in state.use_by_resource() {
                prop_assert_eq!(used, state.used(resource));
            }
        }
        let mut replayed: Option<EnvironmentState> = None;
        for event in &script.events {
            let json = serde_json::to_string(event)?;
            let event: EnvironmentEvent = serde_json::from_str(&json)?;
            match &mut replayed {
                Some(state) => state.apply(&event, &mut EnvironmentUndo::none()),
                None => replayed = EnvironmentState::create(&event),
            }
        }
        prop_assert_eq!(&replayed, &script.state);
        let stored = serde_json::to_string(&script.state)?;
        prop_assert_eq!(serde_json::from_str::<Option<EnvironmentState>>(&stored)?, script.state);
    }
}
