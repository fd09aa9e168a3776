//! The same claim gives the same leases: at another engine, at the same instant, and when part was leased elsewhere.

use domain::ids::SubjectId;
use orrery::engine::core::message::{
    ForwardTicket, Granted, Input, LeaseRequest, Output, Request, Response, Ticket,
};
use orrery::engine::core::{Core, CoreSettings};

use crate::harness::jobs::{START, claim, fan, poll, single, subject};
use crate::harness::lab::{Lab, Way, recorded};

fn two() -> Lab {
    Lab::of(2, CoreSettings::default())
}

fn under_claim(max: usize) -> LeaseRequest {
    LeaseRequest { claim: Some(claim("one")), ..poll("worker", max) }
}

fn names(response: Option<Response>) -> Vec<String> {
    match response {
        Some(Response::Leases(granted)) => of(&granted),
        other => panic!("no leases but {other:?}"),
    }
}

fn of(granted: &[Granted]) -> Vec<String> {
    let mut names: Vec<String> = granted.iter().map(|one| format!("{:?}", one.lease)).collect();
    names.sort();
    names
}

fn jobs_everywhere(lab: &mut Lab, many: u128) -> Vec<SubjectId> {
    (1..=many).map(|number| lab.submit(0, number, single())).collect()
}

#[test]
fn a_claim_that_comes_again_at_another_engine_gives_the_same_leases() {
    let mut lab = two();
    jobs_everywhere(&mut lab, 20);
    let held = lab.lease(0, under_claim(12));
    assert_eq!(held.len(), 12, "of both engines");
    for at in [1, 0, 1] {
        assert_eq!(of(&lab.lease(at, under_claim(12))), of(&held));
    }
    for one in &held {
        assert!(recorded(&lab.complete(0, one)));
    }
    assert_eq!(lab.lease(1, under_claim(12)).len(), 8, "they are over: it is a new request");
}

#[test]
fn requests_under_one_claim_at_one_instant_get_the_same_leases() {
    for engines in [[0, 0], [0, 1], [1, 0], [1, 1]] {
        let mut lab = two();
        jobs_everywhere(&mut lab, 20);
        let tickets = engines.map(|at| lab.give(at, Request::Lease(under_claim(3)), false));
        lab.settle();
        let [first, second] = tickets.map(|ticket| names(lab.heard(ticket)));
        assert_eq!(first, second, "{engines:?}");
        assert_eq!(first.len(), 3);
    }
}

#[test]
fn requests_that_wait_under_one_claim_are_one_request() {
    let mut lab = two();
    let waits = LeaseRequest { wait_until: START + 10_000, ..under_claim(1) };
    let tickets = [0, 0].map(|at| lab.send(at, Request::Lease(waits.clone())));
    // At another engine it is asked for anew: nobody listens here any more.
    let elsewhere = lab.send(1, Request::Lease(waits.clone()));
    for ticket in tickets {
        assert!(names(lab.heard(ticket)).is_empty());
    }
    let twin = lab.send(1, Request::Lease(waits));
    lab.leave(1, elsewhere, true);
    lab.submit(0, 1, fan(1));
    assert_eq!(names(lab.heard(twin)).len(), 1, "who is left has the work");
    lab.advance(1_000);
    assert!(lab.heard(elsewhere).is_none());
    assert!(lab.lease(0, poll("another", 1)).is_empty(), "and nothing was given back");
}

#[test]
fn silence_about_a_claim_is_no() {
    let mut lab = two();
    let job = lab.submit(0, 1, single());
    lab.way = Way::Cut;
    assert_eq!(lab.lease(lab.driver_of(&job), under_claim(1)).len(), 1);
}

#[test]
fn a_claim_whose_job_is_not_loaded_yet_is_met_when_it_is() {
    let mut lab = two();
    jobs_everywhere(&mut lab, 10);
    let held = lab.lease(0, under_claim(10));
    assert_eq!(held.len(), 10);
    let all = vec![Some(1); 64];
    lab.route(0, all.clone());
    lab.route(1, all);
    assert_eq!(of(&lab.lease(0, under_claim(10))), of(&held));
    assert!(lab.driver_of(&subject(1)) == 1);
}

#[test]
fn a_claim_that_comes_again_while_only_a_part_of_it_is_leased_waits_for_the_whole() {
    for (engines, again_at) in [(1, 0), (2, 0), (2, 1)] {
        // Each job's part goes with an append of its own.
        let settings = CoreSettings {
            batch_events_max: 1,
            appends_in_flight_max: 4,
            ..CoreSettings::default()
        };
        let mut lab = Lab::of(engines, settings);
        let all = vec![Some(0); 64];
        (0..engines).for_each(|at| lab.route(at, all.clone()));
        jobs_everywhere(&mut lab, 2);
        lab.advance(1_000);
        lab.holds_appends = true;
        let first = lab.send(0, Request::Lease(under_claim(2)));
        lab.release_append();
        assert!(
            lab.held() > 0 && lab.heard(first).is_none(),
            "a part is durable, the other is not"
        );
        let again = lab.send(again_at, Request::Lease(under_claim(2)));
        lab.release_appends();
        let [first, again] = [first, again].map(|ticket| names(lab.heard(ticket)));
        assert_eq!((first.len(), again), (2, first), "{engines} engines, asked at {again_at}");
    }
}

/// One of two engines, whose messages a test carries in the order that it wants.
fn alone_of_two(me: u32) -> Core {
    let settings = CoreSettings { alone: false, ..CoreSettings::default() };
    let mut core = Core::new(settings, me, 1, u64::from(me), START);
    core.handle(START, Input::Drives { until: START + 60_000 });
    core.handle(START, Input::Peers { engines: vec![0, 1] });
    core
}

fn asks(core: &mut Core, ticket: Ticket, request: Request, forwarded: bool) -> Vec<Output> {
    says(core, Input::Request { ticket, request, forwarded })
}

/// What comes of an input. Nothing is paused anywhere.
fn says(core: &mut Core, input: Input) -> Vec<Output> {
    core.handle(START, input);
    core.turn(START);
    let mut said = Vec::new();
    while let Some(output) = core.poll() {
        if let Output::ReadCatalog { namespace } = output {
            core.handle(START, Input::CatalogRead { namespace, result: Ok(None) });
            core.turn(START);
        } else {
            said.push(output);
        }
    }
    said
}

/// The question to the other engine, the only thing that is said.
fn question(said: Vec<Output>) -> (ForwardTicket, Request) {
    match <[Output; 1]>::try_from(said) {
        Ok([Output::Forward { ticket, request, .. }]) => (ticket, request),
        other => panic!("no question but {other:?}"),
    }
}

/// Who is answered, and with how many leases.
fn answers(said: &[Output]) -> Vec<(Ticket, usize)> {
    let answer = |output: &Output| match output {
        Output::Answer { ticket, response: Response::Leases(granted) } => (*ticket, granted.len()),
        other => panic!("no leases but {other:?}"),
    };
    said.iter().map(answer).collect()
}

#[test]
fn a_claim_that_comes_to_an_engine_right_after_it_was_asked_about_there_is_still_one_request() {
    let (mut low, mut high) = (alone_of_two(0), alone_of_two(1));
    let waits = LeaseRequest { wait_until: START + 10_000, ..under_claim(1) };
    let no = || Response::Leases(Vec::new());

    let (by_high, asked) = question(asks(&mut high, 1, Request::Lease(waits.clone()), false));
    assert_eq!(answers(&asks(&mut low, 101, asked, true)), [(101, 0)], "it knows of nothing yet");
    let (by_low, asked) = question(asks(&mut low, 2, Request::Lease(waits), false));
    assert_eq!(answers(&asks(&mut high, 102, asked, true)), [(102, 0)], "the lower goes first");
    assert!(says(&mut low, Input::Forwarded { ticket: by_low, response: no() }).is_empty());

    // The no was said before the request came there: it is asked for anew.
    let said = says(&mut high, Input::Forwarded { ticket: by_high, response: no() });
    let (again, asked) = question(said);
    assert_eq!(answers(&asks(&mut low, 103, asked, true)), [(2, 0), (103, 0)], "one gives way");
    assert!(says(&mut high, Input::Forwarded { ticket: again, response: no() }).is_empty());
    assert_eq!([low, high].map(|core| core.counts().waiting_polls), [0, 1]);
}

/// Under a claim of its own, and for nothing that waits.
fn another(number: usize) -> Request {
    let claim = Some(claim(&format!("claim {number}")));
    Request::Lease(LeaseRequest { claim, ..poll("worker", 1) })
}

#[test]
fn an_engine_that_was_silent_about_some_claims_is_asked_and_not_waited_for_until_it_answers() {
    let no = || Response::Leases(Vec::new());
    let mut core = alone_of_two(0);
    for number in 1..=3 {
        let (asked, request) = question(asks(&mut core, number, another(1), false));
        let said = says(&mut core, Input::NotForwarded { ticket: asked, request });
        assert_eq!(answers(&said), [(number, 0)], "silence is no");
    }
    let mut said = asks(&mut core, 4, another(2), false);
    let (asked, _) = question(vec![said.remove(0)]);
    assert_eq!(answers(&said), [(4, 0)], "it does not wait");
    assert!(says(&mut core, Input::Forwarded { ticket: asked, response: no() }).is_empty());
    let (asked, _) = question(asks(&mut core, 5, another(3), false));
    let said = says(&mut core, Input::Forwarded { ticket: asked, response: no() });
    assert_eq!(answers(&said), [(5, 0)], "it answers, and is waited for again");
    assert_eq!(core.kept(), [0, 0, 0, 0]);
}

#[test]
fn what_is_said_to_an_earlier_question_about_the_same_claim_does_not_count() {
    let no = || Response::Leases(Vec::new());
    let mut core = alone_of_two(0);
    let (before, _) = question(asks(&mut core, 1, another(1), false));
    assert_eq!(answers(&says(&mut core, Input::Gone { ticket: 1 })), [(1, 0)]);
    let (asked, _) = question(asks(&mut core, 2, another(1), false));
    assert!(says(&mut core, Input::Forwarded { ticket: before, response: no() }).is_empty());
    let said = says(&mut core, Input::Forwarded { ticket: asked, response: no() });
    assert_eq!(answers(&said), [(2, 0)]);
}

#[test]
fn an_engine_that_rejoined_asks_and_gives_way_under_its_new_number() {
    let no = || Response::Leases(Vec::new());
    let mut core = alone_of_two(0);
    core.handle(START, Input::KnownAs { engine: 7 });
    let (asked, request) = question(asks(&mut core, 1, another(1), false));
    let Request::Claimed { namespace, worker, claim, by } = request else { panic!("no question") };
    assert_eq!(by, 7);
    // The other one, whose number is lower now, goes first and is asked once more.
    let theirs = Request::Claimed { namespace, worker, claim, by: 1 };
    assert_eq!(answers(&asks(&mut core, 101, theirs, true)), [(101, 0)]);
    let said = says(&mut core, Input::Forwarded { ticket: asked, response: no() });
    assert!(matches!(said.as_slice(), [Output::Forward { to: 1, .. }]), "{said:?}");
}
