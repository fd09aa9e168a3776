//! The order in which streams are read: what somebody asks for is said to come first, also when it waits to be read
//! already, and what is due says since when.

use domain::ids::{GroupId, SubjectId};
use domain::planted::{self, Planted};
use orrery::engine::core::message::{
    ASKED, Failure, Input, LoadedStream, Output, Request, Response, Ticket,
};
use orrery::engine::core::{Core, CoreSettings};
use orrery::event_store::contract::WakeUp;

use crate::harness::jobs::{START, claim, poll, subject};

fn core() -> Core {
    let mut core = Core::new(CoreSettings::default(), 1, 1, 7, START);
    core.handle(START, Input::Routes { drivers: vec![Some(1); 64] });
    said(&mut core);
    core
}

/// What it asks to be read, and what it says is urgent by now.
fn said(core: &mut Core) -> Vec<(SubjectId, Option<i64>)> {
    core.turn(START);
    let outputs = std::iter::from_fn(|| core.poll());
    let loads = outputs.filter_map(|output| match output {
        Output::Load { subject, due } => Some((subject, Some(due))),
        Output::PrioritizeLoad { subject } => Some((subject, None)),
        _ => None,
    });
    loads.collect()
}

fn read(core: &mut Core, ticket: u64, subject: &SubjectId) {
    let request = Request::Read { subject: subject.clone() };
    core.handle(START, Input::Request { ticket, request, forwarded: false });
}

#[test]
fn what_is_asked_for_while_it_waits_to_be_read_is_prioritized_once() {
    let mut core = core();
    let [late, early, other] = [1, 2, 3].map(subject);
    let mark = |subject: &SubjectId, due| WakeUp { subject: subject.clone(), due, number: 1 };
    let marks = vec![mark(&late, START - 5), mark(&early, START - 9)];
    core.handle(START, Input::Due { marks, whole: Vec::new() });
    assert_eq!(said(&mut core), [(late.clone(), Some(START - 5)), (early, Some(START - 9))]);
    read(&mut core, 1, &late);
    read(&mut core, 2, &late);
    assert_eq!(said(&mut core), [(late, None)]);
    read(&mut core, 3, &other);
    assert_eq!(said(&mut core), [(other, Some(ASKED))]);
}

/// Asks for work under a claim.
fn asks_under_claim(core: &mut Core, ticket: Ticket) {
    let mut request = poll("worker", 1);
    request.claim = Some(claim("the same"));
    let request = Request::Lease(request);
    core.handle(START, Input::Request { ticket, request, forwarded: false });
}

/// What was answered by then. Nothing is paused anywhere.
fn answers(core: &mut Core, now: i64) -> Vec<(Ticket, Response)> {
    core.turn(now);
    let mut answers = Vec::new();
    while let Some(output) = core.poll() {
        match output {
            Output::Answer { ticket, response } => answers.push((ticket, response)),
            Output::ReadCatalog { namespace } => {
                core.handle(now, Input::CatalogRead { namespace, result: Ok(None) });
                core.turn(now);
            }
            _ => {}
        }
    }
    answers
}

#[test]
fn a_claim_is_answered_when_every_stream_is_read_that_may_hold_its_leases_and_not_before() {
    let mut core = core();
    asks_under_claim(&mut core, 1);
    assert!(answers(&mut core, START).is_empty(), "nobody has looked");
    let marks = vec![WakeUp { subject: subject(1), due: START, number: 1 }];
    core.handle(START, Input::Due { marks, whole: GroupId::all().collect() });
    assert!(answers(&mut core, START).is_empty(), "a stream is being read");
    let stream = LoadedStream { entity: None, seq: 0, chain: [0; 32], mark: None, tombstone: None };
    core.handle(START, Input::Loaded { subject: subject(1), result: Ok(Box::new(stream)) });
    let told = answers(&mut core, START);
    assert!(matches!(&told[..], [(1, Response::Leases(none))] if none.is_empty()), "{told:?}");
    // A group that comes is unread again.
    core.handle(START, Input::Routes { drivers: vec![None; 64] });
    core.handle(START, Input::Routes { drivers: vec![Some(1); 64] });
    asks_under_claim(&mut core, 2);
    assert!(answers(&mut core, START + 9_999).is_empty());
    let told = answers(&mut core, START + 10_000);
    assert!(matches!(&told[..], [(2, Response::Failed(Failure::Unavailable))]), "{told:?}");
}

#[test]
fn the_planted_bug_answers_a_claim_before_anything_is_read() {
    planted::plant(Some(Planted::ClaimBeforeRead));
    let mut core = core();
    asks_under_claim(&mut core, 1);
    let told = answers(&mut core, START);
    planted::plant(None);
    assert!(matches!(&told[..], [(1, Response::Leases(_))]), "{told:?}");
}
