//! What is kept of queues, and for how long.

use domain::ids::WorkerName;

use super::*;

fn poll(queue: &str) -> LeaseRequest {
    LeaseRequest {
        namespace: Namespace::default_namespace(),
        queue: name(queue),
        action_types: Vec::new(),
        worker: WorkerName::parse("w").unwrap_or_else(|error| panic!("{error}")),
        claim: None,
        lease_ms: 30_000,
        max: 10,
        wait_until: 0,
        correlation: None,
    }
}

fn name(queue: &str) -> QueueName {
    QueueName::parse(queue).unwrap_or_else(|error| panic!("{error}"))
}

fn key(queue: &str) -> QueueKey {
    (Namespace::default_namespace(), name(queue))
}

#[test]
fn queues_that_were_only_polled_are_few_and_gone_within_a_minute() {
    let mut dispatch = Dispatch::default();
    for number in 0..75_000 {
        dispatch.polled(&poll(&format!("invented-{number}")), number / 10);
    }
    assert!(dispatch.spaces.known() <= 10_001, "{}", dispatch.spaces.known());
    assert_eq!(dispatch.spaces.used(&Namespace::default_namespace()), 0);
    dispatch.forget_unused(7_500 + 55_000);
    assert_eq!(dispatch.spaces.known(), 0);
}

#[test]
fn a_queue_in_use_is_never_forgotten_and_goes_when_it_was_never_polled() {
    let mut dispatch = Dispatch::default();
    let (entry, hour) = (Entry::new(0, 5, 1, 1), 3_600_000);
    dispatch.offer(&key("work"), None, entry);
    dispatch.count_running(&key("runs"), true);
    dispatch.polled(&poll("waits"), 0);
    dispatch.park(7, poll("waits"), hour * 9, 10).unwrap_or_else(|error| panic!("{error:?}"));
    dispatch.forget_unused(hour);
    assert_eq!((dispatch.ready(), dispatch.running(), dispatch.waiting_polls()), (1, 1, 1));
    assert_eq!(dispatch.spaces.used(&Namespace::default_namespace()), 3);
    dispatch.withdraw(&key("work"), None, entry);
    dispatch.count_running(&key("runs"), false);
    assert!(dispatch.unpark(7).is_some());
    dispatch.forget_unused(hour);
    assert_eq!((dispatch.ready(), dispatch.running(), dispatch.spaces.known()), (0, 0, 0));
}

#[test]
fn a_namespace_at_its_bound_takes_work_for_queues_that_it_uses_and_for_no_other() {
    let mut dispatch = Dispatch::default();
    for number in 0..3 {
        dispatch.offer(&key(&format!("q{number}")), None, Entry::new(0, 5, 1, number));
    }
    let names = [name("q0"), name("q1"), name("new"), name("new")];
    let asked = |dispatch: &Dispatch, max| {
        dispatch.too_many_queues(&Namespace::default_namespace(), names.iter(), max)
    };
    assert_eq!(asked(&dispatch, 4), None, "two of them are used, and one counts once");
    assert_eq!(asked(&dispatch, 3), Some(4));
    assert_eq!(dispatch.park(1, poll("q0"), 9, 3), Ok(()));
    assert_eq!(dispatch.park(2, poll("other"), 9, 3), Err(NotParked::TooManyQueues));
}

#[test]
fn work_wakes_whoever_waits_longest_for_its_kind_and_nobody_else() {
    let mut dispatch = Dispatch::default();
    let kind = |name: &str| ActionType::parse(name).unwrap_or_else(|error| panic!("{error}"));
    let wants = |name: &str| LeaseRequest { action_types: vec![kind(name)], ..poll("q") };
    for (ticket, request) in [(1, wants("cook")), (2, wants("wash")), (3, poll("q"))] {
        dispatch.park(ticket, request, 9, 10).unwrap_or_else(|error| panic!("{error:?}"));
    }
    dispatch.offer(&key("q"), Some(&kind("wash")), Entry::new(0, 5, 1, 1));
    assert_eq!(dispatch.stalled_queues(), 1);
    assert_eq!(dispatch.next_served().map(|(ticket, _)| ticket), Some(2));
    assert_eq!(dispatch.take(&wants("wash")).len(), 1);
    assert_eq!((dispatch.next_served().is_none(), dispatch.stalled_queues()), (true, 0));
    assert_eq!(dispatch.waiting_polls(), 2);
}
