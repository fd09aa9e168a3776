//! A queue against a naive one that walks over everything.

use domain::ids::{Namespace, QueueName, WorkerName};
use proptest::prelude::*;

use super::*;

/// Everything in lists.
#[derive(Default)]
struct Naive {
    entries: Vec<(Kind, Entry)>,
    parked: Vec<(u64, Ticket, Vec<ActionType>)>,
    stopped: bool,
    stopped_kinds: Vec<Kind>,
}

impl Naive {
    fn fits(wanted: &[ActionType], kind: &Kind) -> bool {
        wanted.is_empty() || kind.as_ref().is_some_and(|kind| wanted.contains(kind))
    }

    fn is_open(&self, kind: &Kind) -> bool {
        !self.stopped && !self.stopped_kinds.contains(kind)
    }

    fn take(&mut self, wanted: &[ActionType], max: usize) -> Vec<Entry> {
        self.entries.sort_by_key(|(kind, entry)| (*entry, kind.clone()));
        let mut taken = Vec::new();
        let (stopped, kinds) = (self.stopped, self.stopped_kinds.clone());
        self.entries.retain(|(kind, entry)| {
            let open = !stopped && !kinds.contains(kind);
            let goes = taken.len() < max && Self::fits(wanted, kind) && open;
            if goes {
                taken.push(*entry);
            }
            !goes
        });
        taken
    }

    fn is_stalled(&self) -> bool {
        self.entries
            .iter()
            .filter(|(kind, _)| self.is_open(kind))
            .any(|(kind, _)| self.parked.iter().any(|(_, _, wanted)| Self::fits(wanted, kind)))
    }

    fn next_for(&self, kind: &Kind) -> Option<Ticket> {
        self.entries.iter().find(|(of, _)| of == kind && self.is_open(kind))?;
        let fits = self.parked.iter().find(|(_, _, wanted)| Self::fits(wanted, kind));
        fits.map(|(_, ticket, _)| *ticket)
    }
}

fn kind(number: u8) -> Kind {
    let name = ["cook", "wash", "iron"].get(usize::from(number)).copied();
    name.and_then(|name| ActionType::parse(name).ok())
}

fn request(kinds: &[u8]) -> LeaseRequest {
    LeaseRequest {
        namespace: Namespace::default_namespace(),
        queue: QueueName::default_queue(),
        action_types: kinds.iter().filter_map(|number| kind(*number)).collect(),
        worker: WorkerName::parse("w").unwrap_or_else(|error| panic!("{error}")),
        claim: None,
        lease_ms: 30_000,
        max: 1,
        wait_until: 0,
        correlation: None,
    }
}

#[derive(Debug, Clone)]
enum Step {
    Insert { kind: u8, ready_at: Millis, priority: u8, node: u32 },
    Remove(prop::sample::Index),
    Take { kinds: Vec<u8>, max: usize },
    Park(Vec<u8>),
    Unpark(prop::sample::Index),
    Stop { all: bool, kinds: Vec<u8> },
}

fn step() -> impl Strategy<Value = Step> {
    let kinds = prop::collection::vec(0_u8..3, 0..3);
    prop_oneof![
        4 => (0_u8..4, 0_i64..400_000, 1_u8..=10, any::<u32>())
            .prop_map(|(kind, ready_at, priority, node)| Step::Insert { kind, ready_at, priority, node }),
        2 => any::<prop::sample::Index>().prop_map(Step::Remove),
        1 => (kinds.clone(), 0_usize..4).prop_map(|(kinds, max)| Step::Take { kinds, max }),
        1 => kinds.clone().prop_map(Step::Park),
        1 => (prop::bool::weighted(0.3), kinds).prop_map(|(all, kinds)| Step::Stop { all, kinds }),
        1 => any::<prop::sample::Index>().prop_map(Step::Unpark),
    ]
}

proptest! {
    #[test]
    fn a_queue_agrees_with_a_naive_one(steps in prop::collection::vec(step(), 0..120)) {
        let (mut queue, mut naive) = (Queue::default(), Naive::default());
        let mut ticket = 0;
        for step in steps {
            match step {
                Step::Insert { kind: of, ready_at, priority, node } => {
                    let entry = Entry::new(ready_at, priority, 1, node);
                    if !naive.entries.contains(&(kind(of), entry)) {
                        naive.entries.push((kind(of), entry));
                    }
                    queue.insert(&kind(of), entry);
                }
                Step::Remove(at) if !naive.entries.is_empty() => {
                    let at = at.index(naive.entries.len());
                    let (of, entry) = naive.entries.swap_remove(at);
                    prop_assert!(queue.remove(&of, entry) && !queue.remove(&of, entry));
                }
                Step::Take { kinds, max } => {
                    let wanted = request(&kinds).action_types;
                    prop_assert_eq!(queue.take(&wanted, max), naive.take(&wanted, max));
                }
                Step::Park(kinds) => {
                    ticket += 1;
                    let request = request(&kinds);
                    let wanted = request.action_types.clone();
                    let number = queue.park(ticket, request);
                    naive.parked.push((number, ticket, wanted));
                }
                Step::Unpark(at) if !naive.parked.is_empty() => {
                    let (number, ..) = naive.parked.remove(at.index(naive.parked.len()));
                    prop_assert!(queue.unpark(number).is_some() && queue.unpark(number).is_none());
                }
                Step::Stop { all, kinds } => {
                    let stopped: BTreeSet<ActionType> = kinds.iter().filter_map(|of| kind(*of)).collect();
                    naive.stopped = all;
                    naive.stopped_kinds = stopped.iter().cloned().map(Some).collect();
                    let stopped = (!stopped.is_empty()).then(|| Arc::new(stopped));
                    queue.stop(all, stopped.as_ref());
                }
                Step::Remove(_) | Step::Unpark(_) => {}
            }
            let open = |kind: &Kind| !naive.stopped_kinds.contains(kind);
            let oldest = naive.entries.iter().filter(|(kind, _)| open(kind));
            prop_assert_eq!(queue.oldest(), oldest.map(|(_, entry)| entry.ready_at()).min());
            let offered = naive.entries.iter().filter(|(kind, _)| naive.is_open(kind)).count();
            prop_assert_eq!(queue.offered(), offered as u64);
            prop_assert_eq!(queue.ready(), naive.entries.len() as u64);
            prop_assert_eq!(queue.parked(), naive.parked.len());
            prop_assert_eq!(queue.is_stalled(), naive.is_stalled());
            for of in (0..4).map(kind) {
                let has = naive.entries.iter().any(|(kind, _)| *kind == of && open(kind));
                prop_assert_eq!(queue.has(&of), has);
                let shown = queue.kinds().any(|kind| *kind == of);
                prop_assert_eq!(shown, has && !naive.stopped);
                prop_assert_eq!(queue.next_for(&of), naive.next_for(&of));
            }
        }
    }
}

#[test]
fn the_oldest_is_the_one_that_waits_longest_whatever_its_priority() {
    let mut queue = Queue::default();
    for (ready_at, priority) in [(9_000, 1), (5_000, 5), (1_000, 10)] {
        queue.insert(&None, Entry::new(ready_at, priority, 1, u32::from(priority)));
    }
    assert_eq!(queue.oldest(), Some(1_000), "though it is served last");
    assert_eq!(queue.take(&[], 1)[0].node, 1);
    assert_eq!(queue.oldest(), Some(1_000));
    queue.remove(&None, Entry::new(1_000, 10, 1, 10));
    assert_eq!(queue.oldest(), Some(5_000));
}
