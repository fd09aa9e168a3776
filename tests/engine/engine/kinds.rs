//! A third kind of subject, which only builds of the tests have (`domain::tally`), goes the way of every kind: decided,
//! appended, applied, taken back, parked, loaded from its stream, kept as a snapshot, shown, proved and rebuilt.
//! Always holds: it is known to its own files and its rows of the two tables alone; these builds would not compile if
//! anything else had to list the kinds, and `kinds_of_subjects_are_listed_only_in_their_tables` holds that nothing does.

use domain::ids::{CommandId, SubjectId, SubjectKind};
use domain::payload::Hash;
use domain::subject::answer::Answer;
use domain::subject::envelope::CommandMark;
use domain::tally::command::TallyCommand;
use domain::tally::state::TallyState;
use orrery::engine::check::{Beside, check_stream};
use orrery::engine::core::CoreSettings;
use orrery::engine::core::kinds::{Entity, InTable as _};
use orrery::engine::core::message::{Caller, Request, Response, Shown};
use orrery::engine::rebuild::rebuild_view;
use orrery::event_store::contract::EventStore as _;
use orrery::view::contract::{Columns, View as _};
use orrery_testing::view::MemoryView;

use crate::harness::jobs::namespace;
use crate::harness::lab::{Lab, Way, wait};
use crate::harness::view_document::One as _;

const NAME: &str = "visits";

fn tally() -> SubjectId {
    SubjectId::named(SubjectKind::Tally, namespace(), NAME)
}

fn open() -> TallyCommand {
    TallyCommand::Open { namespace: namespace(), name: NAME.to_owned() }
}

fn add(amount: u64) -> TallyCommand {
    TallyCommand::Add { amount }
}

/// The seq of the event that answers a command, and whether it answered it before; none: there was nothing to do.
fn ask(lab: &mut Lab, at: usize, id: &str, command: TallyCommand) -> Option<(u64, bool)> {
    let id = CommandId::parse(id).expect("an id");
    let mark = Some(CommandMark { id, body: Hash::of(b"a body"), keyed: false });
    let caller = Caller { mark, ..Caller::engine() };
    let request = Request::Command { subject: tally(), command: command.into(), caller };
    match lab.ask(at, request) {
        Response::Command { answer: Answer::Done { seq }, .. } => Some((seq, false)),
        Response::Command { answer: Answer::Replayed { seq }, .. } => Some((seq, true)),
        Response::Command { answer: Answer::Nothing, .. } => None,
        other => panic!("no answer but {other:?}"),
    }
}

fn sum(lab: &mut Lab, at: usize) -> u64 {
    match lab.ask(at, Request::Read { subject: tally() }) {
        Response::Read(Some(shown)) => TallyState::from_shown(shown).expect("a tally").sum,
        other => panic!("no tally but {other:?}"),
    }
}

#[test]
fn a_kind_that_is_only_in_the_tables_is_decided_shown_parked_and_loaded_again() {
    let mut lab = Lab::new();
    lab.subjects.insert(tally());
    assert_eq!(ask(&mut lab, 0, "add before", add(1)), None);
    assert_eq!(ask(&mut lab, 0, "open", open()), Some((1, false)));
    assert_eq!(ask(&mut lab, 0, "add", add(3)), Some((2, false)));
    assert_eq!(ask(&mut lab, 0, "add", add(3)), Some((2, true)));
    assert_eq!(sum(&mut lab, 0), 3);
    lab.check_at_rest();
    let document = wait(lab.view.get(&tally())).expect("a view").expect("a document");
    assert_eq!(document.columns, Columns::Named { name: NAME.to_owned() });
    assert!(document.body.contains(r#""sum":3"#), "{}", document.body);
    let page = wait(lab.view.named(namespace(), SubjectKind::Tally, 1, 10)).expect("a page");
    assert_eq!(page.items, [document.body]);

    assert_eq!(lab.core_of(0).counts().subjects, 0, "it has nothing to do and leaves memory");
    assert_eq!(sum(&mut lab, 0), 3, "and comes back from its stream");
    lab.restart(0);
    assert_eq!(ask(&mut lab, 0, "add more", add(4)), Some((3, false)));
    assert_eq!(sum(&mut lab, 0), 7);
    lab.check_at_rest();

    assert_eq!(ask(&mut lab, 0, "close", TallyCommand::Close), Some((4, false)));
    assert_eq!(ask(&mut lab, 0, "add after", add(1)), None);
    lab.advance(1_000);
    assert!(wait(lab.view.get(&tally())).expect("a view").is_none(), "it is not listed any more");
    assert_eq!(lab.core_of(0).counts().subjects, 0);
    assert!(wait(lab.store.mark(&tally())).expect("a store").is_none(), "and nothing wakes it");
}

#[test]
fn what_a_rival_came_before_is_taken_back_and_decided_again() {
    let mut lab = Lab::of(2, CoreSettings::default());
    lab.subjects.insert(tally());
    let driver = lab.driver_of(&tally());
    let other = 1 - driver;
    assert_eq!(ask(&mut lab, other, "open", open()), Some((1, false)));
    assert!(lab.forwarded > 0, "its driver decides it");
    assert_eq!(ask(&mut lab, driver, "add", add(1)), Some((2, false)));
    lab.way = Way::Cut;
    assert_eq!(ask(&mut lab, other, "add there", add(10)), Some((3, false)));
    assert_eq!(ask(&mut lab, driver, "add here", add(100)), Some((4, false)));
    assert_eq!(lab.core_of(driver).counts().conflicts, 1);
    lab.way = Way::Works;
    assert_eq!((sum(&mut lab, driver), sum(&mut lab, other)), (111, 111));
    lab.check_at_rest();
}

#[test]
fn its_stream_is_proved_and_its_view_made_again() {
    let settings = CoreSettings { snapshot_every_events: 2, ..CoreSettings::default() };
    let mut lab = Lab::of(1, settings);
    lab.subjects.insert(tally());
    ask(&mut lab, 0, "open", open());
    for amount in 1..=4 {
        ask(&mut lab, 0, &format!("add {amount}"), add(amount));
    }
    lab.check_at_rest();
    let snapshot = wait(lab.store.snapshot(&tally())).expect("a store").expect("a snapshot");
    let kept = Entity::decode_snapshot(SubjectKind::Tally, &snapshot.body);
    assert_eq!((snapshot.seq, kept.and_then(TallyState::from_entity).map(|t| t.sum)), (4, Some(6)));

    let shown = wait(lab.view.get(&tally())).expect("a view");
    let beside = Beside { payloads: &[], shown: Some(shown.as_ref()), incarnation: 1 };
    let mut findings = Vec::new();
    let subject = tally();
    let proved = check_stream(lab.store.as_ref(), &subject, &beside, &mut findings);
    assert_eq!(wait(proved).expect("a store"), 5);
    assert_eq!(findings, []);

    let again = MemoryView::default();
    let made = rebuild_view(lab.store.as_ref(), &again, ("again", true), |_| {});
    assert_eq!(wait(made).map(|made| made.documents), Ok(1));
    assert_eq!(wait(again.get(&tally())).expect("a view"), shown);
}

#[test]
fn it_goes_to_another_engine_under_its_word() {
    let command = orrery::engine::core::message::Command::from(add(3));
    let text = serde_json::to_string(&command).expect("a text");
    assert_eq!(text, r#"{"tally":{"add":{"amount":3}}}"#);
    let mut lab = Lab::new();
    ask(&mut lab, 0, "open", open());
    let Response::Read(Some(shown)) = lab.ask(0, Request::Read { subject: tally() }) else {
        panic!("no tally")
    };
    let text = serde_json::to_string(&shown).expect("a text");
    assert!(text.starts_with(r#"{"tally":{"#), "{text}");
    let told: Shown = serde_json::from_str(&text).expect("what was told");
    assert_eq!(TallyState::from_shown(told), TallyState::from_shown(shown));
    assert_eq!(SubjectId::parse(&tally().to_string()), Ok(tally()));
}
