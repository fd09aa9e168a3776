//! Until when the view shows everything that was acknowledged: what a list says as `as_of`. With several engines it is true
//! of all of them: each is asked, and one that does not answer counts with what it said last.
//! Always holds: nobody waits for a silent engine longer than its deadline; an older word is never taken for a newer one.
//! Absent: waiting until the view shows more (`cluster_queries`).

use std::time::Duration;

use domain::ids::Millis;
use futures_util::future::join_all;

use crate::engine::core::message::EngineId;
use crate::engine::executor::{BEHIND_MS, UNHEARD_MS};
use crate::engine::handle::Engine;

/// A list waits no longer for the word of another engine.
const SAID_WITHIN: Duration = Duration::from_millis(250);
/// Who was asked so shortly before is not asked again: what was true then is true.
const ASKED_AGAIN_MS: Millis = 100;
/// One that never said anything counts as if it had been silent for as long as a lease may be, and its view as far behind
/// as a view may be.
const NEVER_SAID_MS: Millis = UNHEARD_MS + BEHIND_MS;

impl Engine {
    /// Everything that this engine acknowledged before this time is in the view, and all of the groups that it drives.
    pub fn shown_until(&self) -> Millis {
        let counts = self.counts();
        let taken = *self.gauges.acquired_view_gap();
        let since = [counts.unshown_since, counts.unread_since, taken];
        since.into_iter().flatten().min().unwrap_or_else(|| self.now())
    }

    /// The same, as the driver of these groups (by index): of those that it does not drive, or not yet, nothing is known.
    pub fn shown_until_of(&self, groups: &[u8]) -> Millis {
        // Looked at before: what comes after that is not in what is said.
        let drives_all = self.drives_all(groups);
        let until = self.shown_until();
        let never = self.now().saturating_sub(NEVER_SAID_MS);
        if drives_all { until } else { until.min(never) }
    }

    /// Whether this engine drives all of these groups (by index).
    pub fn drives_all(&self, groups: &[u8]) -> bool {
        let driven = self.gauges.driven();
        groups.iter().all(|group| driven.iter().any(|driven| driven.index() == *group))
    }

    /// Whether each group has a driver that can speak for it: this engine, or one of these. What the driver before
    /// acknowledged is not known to be shown otherwise.
    pub(super) fn each_group_is_driven(
        &self,
        drivers: &[Option<EngineId>],
        living: &[EngineId],
    ) -> bool {
        let mine = (0_u8..)
            .zip(drivers)
            .filter(|(_, driver)| !driver.is_some_and(|driver| living.contains(&driver)));
        self.drives_all(&mine.map(|(group, _)| group).collect::<Vec<_>>())
    }

    /// Everything that any living engine acknowledged before this time is in the view. Ask before the view is read.
    pub async fn shown_until_everywhere(&self) -> Millis {
        let Some(forward) = &self.forward else { return self.shown_until() };
        // Before the engines: whoever is gone by then left groups that nobody drives.
        let (drivers, living) = (forward.drivers(), forward.others());
        let now = self.now();
        self.gauges.others_shown().retain(|engine, _| living.contains(engine));
        let asked = living.iter().filter(|engine| !self.was_asked(**engine, now)).map(|engine| {
            let said = forward.shown_until(*engine);
            async move {
                tokio::select! {
                    biased;
                    said = said => said.map(|until| (*engine, until)),
                    () = self.clock.sleep(SAID_WITHIN) => None,
                }
            }
        });
        let said = join_all(asked).await;
        let mut known = self.gauges.others_shown();
        for (engine, until) in said.into_iter().flatten() {
            known.insert(engine, (until, now));
        }
        let never = now.saturating_sub(NEVER_SAID_MS);
        let others =
            living.iter().map(|engine| known.get(engine).map_or(never, |(until, _)| *until));
        let others = others.min();
        drop(known);
        let own = self.shown_until();
        let driven = self.each_group_is_driven(&drivers, &living);
        let of_nobody = (!driven).then_some(never);
        others.into_iter().chain([own]).chain(of_nobody).min().unwrap_or(now)
    }

    fn was_asked(&self, engine: EngineId, now: Millis) -> bool {
        let known = self.gauges.others_shown();
        known.get(&engine).is_some_and(|(_, asked)| now < asked.saturating_add(ASKED_AGAIN_MS))
    }
}
