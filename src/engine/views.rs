//! Until when the view shows everything that was acknowledged: what a list says as `as_of`. With several engines it is true
//! of all of them: each is asked, and one that does not answer counts with what it said last.
//! Always holds: nobody waits for a silent engine longer than its deadline; an older word is never taken for a newer one.
//! Absent: waiting until the view shows more (`cluster_queries`).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use domain::ids::Millis;
use futures_util::future::join_all;

use crate::engine::core::message::EngineId;
use crate::engine::gauges::{BEHIND_MS, UNHEARD_MS};
use crate::engine::shared::Shared;
use crate::view::contract::View;

/// A list waits no longer for the word of another engine.
const SAID_WITHIN: Duration = Duration::from_millis(250);
/// Who was asked so shortly before is not asked again: what was true then is true.
const ASKED_AGAIN_MS: Millis = 100;
/// One that never said anything counts as if it had been silent for as long as a lease may be, and its view as far behind
/// as a view may be.
const NEVER_SAID_MS: Millis = UNHEARD_MS + BEHIND_MS;

/// The documents people query, and how far they follow. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Views(pub(super) Arc<Shared>);

impl Views {
    /// The documents people query.
    pub fn documents(&self) -> Arc<dyn View> {
        Arc::clone(&self.0.view)
    }

    /// Whether every stream is in the view; false while it is rebuilt.
    pub fn is_whole(&self) -> bool {
        self.0.gauges.view_whole.load(Ordering::Relaxed)
    }

    /// Everything that this engine acknowledged before this time is in the view, and all of the groups that it drives.
    pub fn shown_until(&self) -> Millis {
        let counts = self.0.counts();
        let taken = *self.0.gauges.acquired_view_gap();
        let since = [counts.unshown_since, counts.unread_since, taken];
        since.into_iter().flatten().min().unwrap_or_else(|| self.0.now())
    }

    /// The same, as the driver of these groups (by index): of those that it does not drive, or not yet, nothing is known.
    pub fn shown_until_of(&self, groups: &[u8]) -> Millis {
        // Looked at before: what comes after that is not in what is said.
        let drives_all = self.0.drives_all(groups);
        let until = self.shown_until();
        let never = self.0.now().saturating_sub(NEVER_SAID_MS);
        if drives_all { until } else { until.min(never) }
    }

    /// Everything that any living engine acknowledged before this time is in the view. Ask before the view is read.
    pub async fn shown_until_everywhere(&self) -> Millis {
        let Some(forward) = &self.0.forward else { return self.shown_until() };
        // Before the engines: whoever is gone by then left groups that nobody drives.
        let (drivers, living) = (forward.drivers(), forward.others());
        let now = self.0.now();
        self.0.gauges.others_shown().retain(|engine, _| living.contains(engine));
        let asked = living.iter().filter(|engine| !self.was_asked(**engine, now)).map(|engine| {
            let said = forward.shown_until(*engine);
            async move {
                tokio::select! {
                    biased;
                    said = said => said.map(|until| (*engine, until)),
                    () = self.0.clock.sleep(SAID_WITHIN) => None,
                }
            }
        });
        let said = join_all(asked).await;
        let mut known = self.0.gauges.others_shown();
        for (engine, until) in said.into_iter().flatten() {
            known.insert(engine, (until, now));
        }
        let never = now.saturating_sub(NEVER_SAID_MS);
        let others =
            living.iter().map(|engine| known.get(engine).map_or(never, |(until, _)| *until));
        let others = others.min();
        drop(known);
        let own = self.shown_until();
        let driven = self.0.each_group_is_driven(&drivers, &living);
        let of_nobody = (!driven).then_some(never);
        others.into_iter().chain([own]).chain(of_nobody).min().unwrap_or(now)
    }

    fn was_asked(&self, engine: EngineId, now: Millis) -> bool {
        let known = self.0.gauges.others_shown();
        known.get(&engine).is_some_and(|(_, asked)| now < asked.saturating_add(ASKED_AGAIN_MS))
    }
}
