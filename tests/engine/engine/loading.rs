//! The order in which streams are read: what somebody asks for is said to come first, also when it waits to be read
//! already, and what is due says since when.

use domain::ids::SubjectId;
use orrery::engine::core::message::{ASKED, Input, Output, Request};
use orrery::engine::core::{Core, CoreSettings};
use orrery::event_store::contract::WakeMark;

use crate::harness::jobs::{START, subject};

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
        Output::Hasten { subject } => Some((subject, None)),
        _ => None,
    });
    loads.collect()
}

fn read(core: &mut Core, ticket: u64, subject: &SubjectId) {
    let request = Request::Read { subject: subject.clone() };
    core.handle(START, Input::Request { ticket, request, forwarded: false });
}

#[test]
fn what_is_asked_for_while_it_waits_to_be_read_is_hastened_once() {
    let mut core = core();
    let [late, early, other] = [1, 2, 3].map(subject);
    let mark = |subject: &SubjectId, due| WakeMark { subject: subject.clone(), due, number: 1 };
    let marks = vec![mark(&late, START - 5), mark(&early, START - 9)];
    core.handle(START, Input::Due { marks, whole: Vec::new() });
    assert_eq!(said(&mut core), [(late.clone(), Some(START - 5)), (early, Some(START - 9))]);
    read(&mut core, 1, &late);
    read(&mut core, 2, &late);
    assert_eq!(said(&mut core), [(late, None)]);
    read(&mut core, 3, &other);
    assert_eq!(said(&mut core), [(other, Some(ASKED))]);
}
