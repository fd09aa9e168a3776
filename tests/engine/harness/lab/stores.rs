//! The storage of a lab: what an engine asks of it is done at once.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use orrery::engine::core::message::{Input, Output};
use orrery::engine::{deletion, evaluation, loader};
use orrery::event_store::contract::EventStore;
use orrery::view::contract::View;
use orrery_testing::event_store::MemoryEventStore;
use orrery_testing::view::MemoryView;

/// Waits for a future that waits for nothing outside.
pub(crate) fn wait<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..1_000_000 {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
    panic!("a future that waits for something outside")
}

/// Carries a request to the storage out, at once. Answers what comes back, if anything does.
pub(crate) fn carry(store: &MemoryEventStore, view: &MemoryView, output: Output) -> Option<Input> {
    Some(match output {
        Output::Append { notices, items } => {
            let subjects = items.iter().map(|item| item.subject.clone()).collect();
            let noticed =
                if notices.is_empty() { Ok(()) } else { wait(store.write_notices(notices)) };
            Input::Appended { subjects, outcome: noticed.and_then(|()| wait(store.append(items))) }
        }
        Output::Load { subject, .. } => {
            let result = wait(loader::load(store, &subject)).map(Box::new);
            Input::Loaded { subject, result }
        }
        Output::LoadTail { subject, after, chain } => {
            let result = wait(loader::tail(store, &subject, after, chain));
            Input::Tail { subject, after, result }
        }
        Output::MoveWakeUps { moves } => {
            Input::WakeUpsMoved { result: wait(store.move_wake_ups(moves.clone())), moves }
        }
        Output::Flush { documents } => {
            let shown = documents.iter().map(|d| (d.subject.clone(), d.seq)).collect();
            let durable = wait(view.flush(documents)).is_ok() && wait(view.sync()).is_ok();
            Input::Flushed { shown, durable }
        }
        Output::Remove { subject, seq, chain, keep_until } => {
            let result = wait(deletion::remove(store, &subject, seq, chain, keep_until));
            Input::Removed { subject, result }
        }
        Output::Evaluate { subject, order } => {
            let result = wait(evaluation::evaluate(store, &subject, &order));
            Input::Evaluated { subject, result }
        }
        Output::ReadCatalog { namespace } => {
            let result = wait(loader::catalog(store, &namespace));
            Input::CatalogRead { namespace, result }
        }
        Output::ClearNotices { notices } => {
            drop(wait(store.clear_notices(notices)));
            return None;
        }
        Output::Snapshot { subject, snapshot } => {
            drop(wait(store.save_snapshot(&subject, snapshot)));
            return None;
        }
        Output::Answer { .. }
        | Output::Forward { .. }
        | Output::Announce { .. }
        | Output::PrioritizeLoad { .. } => return None,
    })
}
