//! Time of a script: it passes from one due moment to the next, and at each the engines have their turns and their
//! outputs are carried out.

use std::collections::BTreeSet;

use domain::ids::{GroupId, Millis, SubjectId};
use orrery::engine::core::Core;
use orrery::engine::core::message::{Input, Output};
use orrery::engine::{deletion, evaluation, loader};
use orrery::event_store::contract::EventStore;
use orrery::view::contract::View;

use super::Script;

/// How often an engine looks for what is due and what others wrote.
pub(super) const LOOK_EVERY_MS: Millis = 20_000;
/// A step that needs more turns than this spins.
const TURNS_MAX: usize = 5_000;

impl Script {
    pub(super) async fn advance(&mut self, ms: Millis) {
        let until = self.now + ms;
        while self.now < until {
            let dues = self.engines.iter().filter_map(Core::next_due).chain(self.looks_at);
            self.now = dues.min().unwrap_or(until).clamp(self.now, until);
            self.settle().await;
        }
    }

    pub(super) async fn settle(&mut self) {
        for _ in 0..TURNS_MAX {
            let mut moved = false;
            for at in 0..self.engines.len() {
                if self.looks_at[at] <= self.now {
                    self.looks_at[at] = self.now + LOOK_EVERY_MS;
                    if at == 0 {
                        self.look().await;
                    }
                }
                self.engines[at].turn(self.now);
                while let Some(output) = self.engines[at].poll() {
                    moved = true;
                    self.carries(at, output).await;
                }
                moved |= self.engines[at].next_due().is_some_and(|due| due <= self.now);
            }
            if !moved {
                return;
            }
        }
        panic!("an engine spins at {}", self.now);
    }

    async fn look(&mut self) {
        let until = self.now + LOOK_EVERY_MS + 31_000;
        let groups: BTreeSet<GroupId> = self.subjects.iter().map(SubjectId::group).collect();
        for group in groups {
            if let Ok(marks) = self.stores.store.live(group, until, None, 1_000).await {
                self.engines[0]
                    .handle(self.now, Input::Due { marks, whole: GroupId::all().collect() });
            }
            if let Ok(notices) = self.stores.store.notices(group).await {
                self.engines[0].handle(self.now, Input::Notices { notices });
            }
        }
    }

    async fn carries(&mut self, at: usize, output: Output) {
        let (store, view) = (self.stores.store.as_ref(), self.stores.view.as_ref());
        let input = match output {
            Output::Answer { ticket, response } => {
                self.answers.insert(ticket, response);
                return;
            }
            Output::Forward { ticket, request, .. } => Input::NotForwarded { ticket, request },
            output => match carried(store, view, output).await {
                Some(input) => input,
                None => return,
            },
        };
        self.engines[at].handle(self.now, input);
    }
}

/// Carries a request to the storage out. Answers what comes back, if anything does.
async fn carried(store: &dyn EventStore, view: &dyn View, output: Output) -> Option<Input> {
    Some(match output {
        Output::Append { notices, items } => {
            let subjects = items.iter().map(|item| item.subject.clone()).collect();
            let noticed =
                if notices.is_empty() { Ok(()) } else { store.write_notices(notices).await };
            let outcome = match noticed {
                Ok(()) => store.append(items).await,
                Err(error) => Err(error),
            };
            Input::Appended { subjects, outcome }
        }
        Output::Load { subject, .. } => {
            let result = loader::load(store, &subject).await.map(Box::new);
            Input::Loaded { subject, result }
        }
        Output::LoadTail { subject, after, chain } => {
            let result = loader::tail(store, &subject, after, chain).await;
            Input::Tail { subject, after, result }
        }
        Output::MoveWakeUps { moves } => {
            Input::WakeUpsMoved { result: store.move_wake_ups(moves.clone()).await, moves }
        }
        Output::Flush { documents } => {
            let shown = documents.iter().map(|d| (d.subject.clone(), d.seq)).collect();
            let durable = view.flush(documents).await.is_ok() && view.sync().await.is_ok();
            Input::Flushed { shown, durable }
        }
        Output::Remove { subject, seq, chain, keep_until } => {
            let result = deletion::remove(store, &subject, seq, chain, keep_until).await;
            Input::Removed { subject, result }
        }
        Output::Evaluate { subject, order } => {
            let result = evaluation::evaluate(store, &subject, &order).await;
            Input::Evaluated { subject, result }
        }
        Output::ReadCatalog { namespace } => {
            let result = loader::catalog(store, &namespace).await;
            Input::CatalogRead { namespace, result }
        }
        Output::ClearNotices { notices } => {
            // What is not cleared comes again at the next look.
            drop(store.clear_notices(notices).await);
            return None;
        }
        Output::Snapshot { subject, snapshot } => {
            // One that is not kept is made anew.
            drop(store.save_snapshot(&subject, snapshot).await);
            return None;
        }
        Output::Answer { .. }
        | Output::Forward { .. }
        | Output::Announce { .. }
        | Output::PrioritizeLoad { .. } => return None,
    })
}
