//! A namespace's catalog goes the way of every kind: decided by its driver or by whoever finds none, taken back, left out
//! of memory, loaded again, proved. No document of the view shows it.

use std::sync::Arc;

use domain::catalog::command::CatalogCommand;
use domain::catalog::policy::{CheckedDefinition, PolicyDefinition};
use domain::catalog::state::CatalogState;
use domain::ids::{CommandId, PolicyId, PolicyName, SubjectId};
use domain::payload::Hash;
use domain::refusal::Refusal;
use domain::retry::policy::RetryPolicy;
use domain::subject::answer::Answer;
use domain::subject::envelope::CommandMark;
use orrery::engine::check::{Beside, check_stream};
use orrery::engine::core::CoreSettings;
use orrery::engine::core::kinds::InTable as _;
use orrery::engine::core::message::{Caller, Request, Response};
use orrery::engine::rebuild::rebuild_view;
use orrery::event_store::contract::EventStore as _;
use orrery_testing::view::MemoryView;

use crate::harness::history;
use crate::harness::jobs::namespace;
use crate::harness::lab::{Lab, Way, wait};
use crate::harness::view_document::One as _;

fn catalog() -> SubjectId {
    SubjectId::catalog(namespace())
}

fn name(text: &str) -> PolicyName {
    PolicyName::parse_given(text).expect("a name")
}

fn attempts(max_attempts: u32) -> CheckedDefinition {
    let policy = Arc::new(RetryPolicy { max_attempts, ..RetryPolicy::default() });
    let definition = PolicyDefinition { policy, ..PolicyDefinition::default() };
    CheckedDefinition::check(definition).expect("it is right")
}

fn create(text: &str, max_attempts: u32) -> CatalogCommand {
    let definition = attempts(max_attempts);
    CatalogCommand::CreatePolicy { namespace: namespace(), name: name(text), definition }
}

fn replace(text: &str, max_attempts: u32) -> CatalogCommand {
    let policy = PolicyId::of_name(&namespace(), &name(text));
    CatalogCommand::ReplacePolicy { policy, definition: attempts(max_attempts) }
}

fn delete(text: &str) -> CatalogCommand {
    CatalogCommand::DeletePolicy { policy: PolicyId::of_name(&namespace(), &name(text)) }
}

/// The seq of the event that answers a command, and whether it answered it before.
fn ask(
    lab: &mut Lab,
    at: usize,
    id: &str,
    command: CatalogCommand,
) -> Result<(u64, bool), Refusal> {
    let id = CommandId::parse(id).expect("an id");
    let mark = Some(CommandMark { id, body: Hash::of(b"a body"), keyed: false });
    let caller = Caller { mark, ..Caller::engine() };
    let request = Request::Command { subject: catalog(), command: command.into(), caller };
    match lab.ask(at, request) {
        Response::Command { answer: Answer::Done { seq }, .. } => Ok((seq, false)),
        Response::Command { answer: Answer::Replayed { seq }, .. } => Ok((seq, true)),
        Response::Refused(refusal) => Err(refusal),
        other => panic!("no answer but {other:?}"),
    }
}

fn kept(lab: &mut Lab, at: usize) -> Vec<(String, u64, u32)> {
    match lab.ask(at, Request::Read { subject: catalog() }) {
        Response::Read(Some(shown)) => {
            let state = CatalogState::from_shown(shown).expect("a catalog");
            let policies = state.policies.values();
            let told = policies
                .map(|of| (of.name.to_string(), of.version, of.definition.policy.max_attempts));
            told.collect()
        }
        other => panic!("no catalog but {other:?}"),
    }
}

#[test]
fn a_catalog_is_decided_left_out_of_memory_and_loaded_again() {
    let mut lab = Lab::new();
    assert_eq!(ask(&mut lab, 0, "no", replace("a", 2)), Err(Refusal::RetryPolicyNotFound));
    assert_eq!(ask(&mut lab, 0, "a", create("a", 2)), Ok((1, false)));
    assert_eq!(ask(&mut lab, 0, "a", create("a", 2)), Ok((1, true)));
    assert_eq!(ask(&mut lab, 0, "a again", create("a", 3)), Err(Refusal::RetryPolicyExists));
    assert_eq!(ask(&mut lab, 0, "b", create("b", 5)), Ok((2, false)));
    assert_eq!(ask(&mut lab, 0, "a 2", replace("a", 4)), Ok((3, false)));
    lab.advance(11_000);
    assert_eq!(lab.core_of(0).counts().subjects, 0, "it has nothing to do and leaves memory");
    assert!(wait(lab.view.get(&catalog())).expect("a view").is_none(), "no list shows it");
    assert!(wait(lab.store.mark(&catalog())).expect("a store").is_some(), "it is not retired");
    let expected = || vec![("a".to_owned(), 3, 4), ("b".to_owned(), 2, 5)];
    assert_eq!(kept(&mut lab, 0), expected());
    lab.restart(0);
    assert_eq!(kept(&mut lab, 0), expected());
    assert_eq!(ask(&mut lab, 0, "no b", delete("b")), Ok((4, false)));
    assert_eq!(ask(&mut lab, 0, "no a", delete("a")), Ok((5, false)));
    assert_eq!(ask(&mut lab, 0, "a 3", create("a", 2)), Ok((6, false)));
    assert_eq!(kept(&mut lab, 0), [("a".to_owned(), 6, 2)]);
    history::check(lab.store.as_ref(), &catalog());
}

#[test]
fn of_two_creations_of_one_name_at_two_engines_one_is_made() {
    let mut lab = Lab::of(2, CoreSettings::default());
    let driver = lab.driver_of(&catalog());
    let other = 1 - driver;
    assert_eq!(ask(&mut lab, other, "a", create("a", 2)), Ok((1, false)));
    assert!(lab.forwarded > 0, "its driver decides it");
    lab.way = Way::Cut;
    assert_eq!(ask(&mut lab, other, "there", create("b", 3)), Ok((2, false)));
    assert_eq!(ask(&mut lab, driver, "here", create("b", 4)), Err(Refusal::RetryPolicyExists));
    assert_eq!(ask(&mut lab, driver, "more", replace("b", 9)), Ok((3, false)));
    lab.way = Way::Works;
    let expected = [("a".to_owned(), 1, 2), ("b".to_owned(), 3, 9)];
    assert_eq!(kept(&mut lab, driver), expected);
    assert_eq!(kept(&mut lab, other), expected);
    history::check(lab.store.as_ref(), &catalog());
}

#[test]
fn its_stream_is_proved_and_a_view_made_again_has_nothing_of_it() {
    let settings = CoreSettings { snapshot_every_events: 2, ..CoreSettings::default() };
    let mut lab = Lab::of(1, settings);
    assert_eq!(ask(&mut lab, 0, "a", create("a", 2)), Ok((1, false)));
    for number in 3..=6 {
        assert!(ask(&mut lab, 0, &format!("a {number}"), replace("a", number)).is_ok());
    }
    lab.advance(11_000);
    let beside = Beside { payloads: &[], shown: Some(None), incarnation: 1 };
    let mut findings = Vec::new();
    let subject = catalog();
    let proved = check_stream(lab.store.as_ref(), &subject, &beside, &mut findings);
    assert_eq!(wait(proved).expect("a store"), 5);
    assert_eq!(findings, []);
    let again = MemoryView::default();
    let made = rebuild_view(lab.store.as_ref(), &again, ("again", true), |_| {});
    assert_eq!(wait(made).map(|made| made.documents), Ok(0));
}
