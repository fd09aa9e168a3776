//! Random scripts against a naive model of the catalog, and each refusal.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use crate::bounds;
use crate::catalog::command::CatalogCommand;
use crate::catalog::decide::decide;
use crate::catalog::event::CatalogEvent;
use crate::catalog::policy::{CheckedDefinition, PolicyDefinition};
use crate::catalog::state::CatalogState;
use crate::catalog::undo::CatalogUndo;
use crate::ids::{CommandId, Namespace, PolicyId, PolicyName};
use crate::payload::Hash;
use crate::refusal::{Quota, Refusal, ours};
use crate::retry::policy::RetryPolicy;
use crate::subject::answer::Answer;
use crate::subject::context::Context;
use crate::subject::envelope::CommandMark;

#[path = "pause_tests.rs"]
mod pauses;

fn context() -> Context {
    Context {
        now: 1_000,
        dice: crate::dice::Dice::of(0),
        incarnation: 1,
        grace_ms: 30_000,
        actor: "client".into(),
        command: None,
        correlation: None,
        expected_version: None,
        heard: Vec::new(),
        keyed_commands_max: 1_000,
    }
}

fn at_version(expected_version: u64) -> Context {
    Context { expected_version: Some(expected_version), ..context() }
}

fn keyed(key: &str, body: &[u8]) -> Context {
    let id = CommandId::parse(key).unwrap_or_else(|error| panic!("{error}"));
    let mark = CommandMark { id, body: Hash::of(body), keyed: true };
    Context { command: Some(mark), ..context() }
}

fn name(text: &str) -> PolicyName {
    PolicyName::parse_given(text).unwrap_or_else(|error| panic!("{error}"))
}

fn id(text: &str) -> PolicyId {
    PolicyId::of_name(&Namespace::default_namespace(), &name(text))
}

fn attempts(max_attempts: u32) -> CheckedDefinition {
    defined(None, max_attempts)
}

fn defined(description: Option<String>, max_attempts: u32) -> CheckedDefinition {
    let policy = Arc::new(RetryPolicy { max_attempts, ..RetryPolicy::default() });
    let definition = PolicyDefinition { description, policy, ..PolicyDefinition::default() };
    CheckedDefinition::check(definition).unwrap_or_else(|errors| panic!("{errors:?}"))
}

fn create(text: &str, definition: CheckedDefinition) -> CatalogCommand {
    let namespace = Namespace::default_namespace();
    CatalogCommand::CreatePolicy { namespace, name: name(text), definition }
}

fn replace(text: &str, definition: CheckedDefinition) -> CatalogCommand {
    CatalogCommand::ReplacePolicy { policy: id(text), definition }
}

fn delete(text: &str) -> CatalogCommand {
    CatalogCommand::DeletePolicy { policy: id(text) }
}

/// Decides and applies, and keeps the events.
#[derive(Default)]
struct Script {
    state: Option<CatalogState>,
    events: Vec<CatalogEvent>,
}

impl Script {
    fn run(&mut self, command: &CatalogCommand, context: &Context) -> Result<Answer, Refusal> {
        let decision = decide(self.state.as_ref(), command, context)?;
        if let Some(event) = decision.event {
            match &mut self.state {
                Some(state) => {
                    let before = state.clone();
                    let mut undo = CatalogUndo::default();
                    state.apply(&event, &mut undo);
                    let after = state.clone();
                    state.undo(undo);
                    assert_eq!(*state, before, "undo of {event:?}");
                    state.apply(&event, &mut CatalogUndo::none());
                    assert_eq!(*state, after);
                }
                None => self.state = CatalogState::create(&event),
            }
            self.events.push(event);
        }
        Ok(decision.answer)
    }

    fn ask(&mut self, command: &CatalogCommand) -> Result<Answer, Refusal> {
        self.run(command, &context())
    }

    /// Version and executions of what is kept under a name.
    fn kept(&self, text: &str) -> Option<(u64, u32)> {
        let policy = self.state.as_ref()?.policies.get(&name(text))?;
        Some((policy.version, policy.definition.policy.max_attempts))
    }
}

#[test]
fn a_name_is_taken_until_it_is_deleted_and_no_version_comes_twice() {
    let mut script = Script::default();
    assert_eq!(script.ask(&delete("a")).err(), Some(Refusal::RetryPolicyNotFound));
    assert_eq!(script.ask(&replace("a", attempts(1))).err(), Some(Refusal::RetryPolicyNotFound));
    assert!(matches!(script.ask(&create("a", attempts(2))), Ok(Answer::Done { seq: 1 })));
    assert_eq!(script.ask(&create("a", attempts(3))).err(), Some(Refusal::RetryPolicyExists));
    assert_eq!(script.kept("a"), Some((1, 2)));
    assert!(script.ask(&create("b", attempts(9))).is_ok());
    assert!(script.ask(&replace("a", attempts(3))).is_ok());
    assert_eq!((script.kept("a"), script.kept("b")), (Some((3, 3)), Some((2, 9))));
    assert!(script.ask(&delete("a")).is_ok());
    assert_eq!(script.ask(&delete("a")).err(), Some(Refusal::RetryPolicyNotFound));
    assert!(script.ask(&create("a", attempts(2))).is_ok());
    assert_eq!(script.kept("a"), Some((5, 2)));
}

#[test]
fn a_version_that_is_expected_is_the_policys_own() {
    let mut script = Script::default();
    assert!(script.ask(&create("a", attempts(2))).is_ok());
    assert!(script.ask(&create("b", attempts(2))).is_ok());
    let refused = script.run(&replace("a", attempts(3)), &at_version(2)).err();
    assert_eq!(refused, Some(Refusal::VersionMismatch { expected: 2, current: 1 }));
    assert!(script.run(&replace("a", attempts(3)), &at_version(1)).is_ok());
    let refused = script.run(&delete("a"), &at_version(1)).err();
    assert_eq!(refused, Some(Refusal::VersionMismatch { expected: 1, current: 3 }));
    assert!(script.run(&delete("a"), &at_version(3)).is_ok());
}

#[test]
fn what_changes_nothing_is_no_version_and_a_key_counts_once() {
    let mut script = Script::default();
    let first = script.run(&create("a", attempts(2)), &keyed("k", b"1"));
    assert!(matches!(first, Ok(Answer::Done { seq: 1 })));
    let again = script.run(&create("a", attempts(2)), &keyed("k", b"1"));
    assert!(matches!(again, Ok(Answer::Replayed { seq: 1 })));
    let other = script.run(&create("c", attempts(2)), &keyed("k", b"2"));
    assert_eq!(other.err(), Some(Refusal::IdempotencyKeyReused));
    assert!(matches!(script.ask(&replace("a", attempts(2))), Ok(Answer::Done { seq: 1 })));
    assert_eq!(script.events.len(), 1);
}

#[test]
fn there_are_no_more_policies_and_bytes_than_may_be() {
    let mut script = Script::default();
    for number in 0..bounds::CATALOG_POLICIES_MAX {
        assert!(script.ask(&create(&format!("p{number}"), attempts(2))).is_ok());
    }
    let full = |quota, max| Some(Refusal::quota(quota, max, Some(&Namespace::default_namespace())));
    let refused = script.ask(&create("more", attempts(2))).err();
    assert_eq!(refused, full(Quota::RetryPolicies, bounds::CATALOG_POLICIES_MAX));
    assert!(script.ask(&delete("p7")).is_ok());
    assert!(script.ask(&create("more", attempts(2))).is_ok());

    let large = || {
        let delays_ms = vec![1_000_000_000_000; bounds::POLICY_LIST_MAX];
        let types = vec!["x".repeat(100); bounds::POLICY_LIST_MAX];
        let policy = RetryPolicy {
            delays_ms,
            retryable_error_types: types.clone(),
            non_retryable_error_types: types,
            ..RetryPolicy::default()
        };
        let definition =
            PolicyDefinition { policy: Arc::new(policy), ..PolicyDefinition::default() };
        CheckedDefinition::check(definition).unwrap_or_else(|errors| panic!("{errors:?}"))
    };
    let refused = (0..bounds::CATALOG_POLICIES_MAX)
        .filter(|number| *number != 7)
        .find_map(|number| script.ask(&replace(&format!("p{number}"), large())).err());
    assert_eq!(refused, full(Quota::RetryPolicyBytes, bounds::CATALOG_BYTES_MAX));
    assert!(script.state.is_some_and(|state| state.bytes() <= bounds::CATALOG_BYTES_MAX));
}

#[test]
fn a_definition_is_checked_where_its_fields_stand() {
    let wrong = |definition: PolicyDefinition| -> Vec<(String, &'static str)> {
        let errors = CheckedDefinition::check(definition).err().unwrap_or_default();
        errors.into_iter().map(|error| (error.pointer, ours(error.code))).collect()
    };
    let none = PolicyDefinition::default;
    let policy = Arc::new(RetryPolicy { max_attempts: 0, ..RetryPolicy::default() });
    assert_eq!(
        wrong(PolicyDefinition { policy, ..none() }),
        [("/max_attempts".to_owned(), "out_of_range")]
    );
    let description = Some("x".repeat(1_001));
    let tags = vec!["a".to_owned(), " a ".to_owned()];
    let metadata = BTreeMap::from([("A".to_owned(), (&serde_json::json!(1)).into())]);
    assert_eq!(
        wrong(PolicyDefinition { description, tags, metadata, ..none() }),
        [
            ("/description".to_owned(), "invalid_length"),
            ("/tags/1".to_owned(), "duplicate"),
            ("/metadata".to_owned(), "invalid_key"),
        ]
    );
    let types = vec!["x".repeat(100); bounds::POLICY_LIST_MAX];
    let rule = crate::retry::rules::RetryRule { types, ..Default::default() };
    let policy =
        Arc::new(RetryPolicy { rules: vec![rule; bounds::POLICY_RULES_MAX], ..Default::default() });
    assert_eq!(wrong(PolicyDefinition { policy, ..none() }), [(String::new(), "too_large")]);
    let text = serde_json::json!({"policy": {"strategy": "none", "max_attempts": 0, "base_delay_ms": 0, "max_delay_ms": 0}});
    assert!(serde_json::from_value::<CheckedDefinition>(text).is_err(), "from another engine");
}

#[derive(Debug, Clone)]
enum Step {
    Create(u8, u32),
    Replace(u8, u32),
    Delete(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..4_u8, 1..5_u32).prop_map(|(name, attempts)| Step::Create(name, attempts)),
        (0..4_u8, 1..5_u32).prop_map(|(name, attempts)| Step::Replace(name, attempts)),
        (0..4_u8).prop_map(Step::Delete),
    ]
}

proptest! {
    #[test]
    fn a_script_of_creations_replacements_and_deletions_is_what_a_naive_model_says(
        steps in proptest::collection::vec(step(), 1..40),
    ) {
        let (mut script, mut model) = (Script::default(), BTreeMap::new());
        let mut versions = std::collections::BTreeSet::new();
        for step in steps {
            let (command, number, to) = match step {
                Step::Create(number, to) => (create(&format!("p{number}"), attempts(to)), number, Some(to)),
                Step::Replace(number, to) => (replace(&format!("p{number}"), attempts(to)), number, Some(to)),
                Step::Delete(number) => (delete(&format!("p{number}")), number, None),
            };
            let creates = matches!(command, CatalogCommand::CreatePolicy { .. });
            let answer = script.ask(&command);
            prop_assert_eq!(answer.is_ok(), model.contains_key(&number) != creates);
            if answer.is_err() {
                continue;
            }
            let before = match to {
                Some(to) => model.insert(number, to),
                None => model.remove(&number),
            };
            let kept = script.kept(&format!("p{number}"));
            prop_assert_eq!(kept.map(|(_, attempts)| attempts), model.get(&number).copied());
            if let Some((version, _)) = kept.filter(|_| before != to) {
                prop_assert!(versions.insert(version), "version {} twice", version);
            }
        }
        let Some((first, rest)) = script.events.split_first() else { return Ok(()) };
        let mut replayed = CatalogState::create(first);
        for event in rest {
            if let Some(state) = &mut replayed {
                state.apply(event, &mut CatalogUndo::none());
            }
        }
        let told = serde_json::to_string(&script.state).map_err(|e| TestCaseError::fail(e.to_string()))?;
        let read: Option<CatalogState> = serde_json::from_str(&told).map_err(|e| TestCaseError::fail(e.to_string()))?;
        prop_assert_eq!(&replayed, &script.state);
        prop_assert_eq!(&read, &script.state);
    }
}
