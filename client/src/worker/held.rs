//! The leases that a worker holds, and the task that says so to the engine.
//!
//! Always: heartbeats come from a task of their own, so that no amount of work delays them; each lease is renewed
//! at the pace that the engine asked for when it was handed out. What stops an attempt is only the engine's word
//! (`cancel`, or the lease being another's): an engine that cannot be reached still honours a running lease when
//! it comes back, so silence stops nothing, and a stale report is refused by its epoch anyway.
//! Absent: reports; they are the lease loop's.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::attempt::{StopReason, StopSignal};
use crate::api::Client;
use crate::api::shapes::{LeaseBatch, LeaseItem, LeaseResult};
use crate::console::{Console, plain};

/// Leases named in one heartbeat: the engine's bound on a batch.
const BATCH_MAX: usize = 1_000;
/// Heartbeats are never further apart than this, whatever the engine says.
const PACE_MAX: Duration = Duration::from_mins(1);
/// Heartbeats are never closer together than this: a slip in an answer must not become a flood.
const PACE_MIN: Duration = Duration::from_millis(50);
/// After a heartbeat that found no engine, the next one comes this soon, if not sooner.
const AFTER_SILENCE: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct HeldAttempts {
    pace: Duration,
    due: Instant,
    stop: watch::Sender<Option<StopReason>>,
}

/// The leases that are held now.
#[derive(Debug, Default)]
pub(super) struct HeldLeases {
    leases: Mutex<BTreeMap<String, HeldAttempts>>,
    taken: Notify,
}

impl HeldLeases {
    fn locked(&self) -> MutexGuard<'_, BTreeMap<String, HeldAttempts>> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a lease into the heartbeats; what is returned tells its attempt to stop.
    pub(super) fn take(&self, lease: &str, pace: Duration) -> StopSignal {
        let (stop, signal) = StopSignal::pair();
        let pace = pace.clamp(PACE_MIN, PACE_MAX);
        self.locked()
            .insert(lease.to_owned(), HeldAttempts { pace, due: Instant::now() + pace, stop });
        self.taken.notify_one();
        signal
    }

    /// Ends the heartbeats of leases that were reported or given back.
    pub(super) fn drop_all<'a>(&self, leases: impl IntoIterator<Item = &'a str>) {
        let mut held = self.locked();
        for lease in leases {
            held.remove(lease);
        }
    }

    /// Tells every attempt to stop.
    pub(super) fn stop_all(&self, reason: StopReason) {
        for held in self.locked().values() {
            held.stop_for(reason);
        }
    }

    fn next_due(&self) -> Option<Instant> {
        self.locked().values().map(|held| held.due).min()
    }

    fn due(&self, now: Instant) -> Vec<LeaseItem> {
        let mut held = self.locked();
        let due = held.iter_mut().filter(|(_, held)| held.due <= now).take(BATCH_MAX);
        due.map(|(lease, held)| {
            held.due = now + held.pace;
            LeaseItem { lease: lease.clone() }
        })
        .collect()
    }

    fn soon(&self, items: &[LeaseItem], now: Instant) {
        let mut held = self.locked();
        for item in items {
            if let Some(held) = held.get_mut(&item.lease) {
                held.due = now + (held.pace / 2).min(AFTER_SILENCE);
            }
        }
    }

    /// Takes the engine's word about one lease. Returns whether the lease was lost just now.
    fn heard(&self, result: &LeaseResult) -> bool {
        let mut leases = self.locked();
        let Some(held) = leases.get(&result.lease) else { return false };
        match &result.error {
            Some(problem) if problem.is_transient() => false,
            Some(_) => {
                held.stop_for(StopReason::Lost);
                leases.remove(&result.lease);
                true
            }
            None => {
                if result.cancel {
                    held.stop_for(StopReason::Cancelled);
                }
                false
            }
        }
    }
}

impl HeldAttempts {
    /// The first reason counts, but for a lost lease, which ends everything.
    fn stop_for(&self, reason: StopReason) {
        self.stop.send_if_modified(|current| {
            let stronger =
                current.is_none() || (reason == StopReason::Lost && *current != Some(reason));
            if stronger {
                *current = Some(reason);
            }
            stronger
        });
    }
}

/// Sends heartbeats until it is dropped.
pub(super) async fn heartbeats(held: std::sync::Arc<HeldLeases>, client: Client, console: Console) {
    let mut silent = false;
    loop {
        match held.next_due() {
            None => {
                held.taken.notified().await;
                continue;
            }
            Some(due) => {
                tokio::select! {
                    () = tokio::time::sleep_until(due) => {}
                    () = held.taken.notified() => continue,
                }
            }
        }
        let items = held.due(Instant::now());
        if items.is_empty() {
            continue;
        }
        let batch = LeaseBatch { items, lease: None };
        match client.heartbeat(&batch, Duration::from_secs(10)).await {
            Ok(answer) => {
                silent = false;
                for result in &answer.results {
                    if held.heard(result) {
                        let why = result.error.as_ref().map_or("", |problem| problem.code.as_str());
                        let why = plain(why);
                        console.say(&format!(
                            "lease {} is lost ({why}); its attempt is stopped",
                            plain(&result.lease)
                        ));
                    }
                }
            }
            Err(error) => {
                if !silent {
                    console.say(&format!("heartbeat not heard: {error}"));
                }
                silent = true;
                held.soon(&batch.items, Instant::now());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::problem::ProblemAnswer;

    fn result(cancel: bool, status: Option<u16>) -> LeaseResult {
        let error = status.map(|status| ProblemAnswer::without_document(status, "x"));
        LeaseResult { lease: "l1".to_owned(), cancel, error }
    }

    #[tokio::test]
    async fn a_cancel_reaches_the_attempt_and_a_lost_lease_outranks_it() {
        let held = HeldLeases::default();
        let mut stop = held.take("l1", Duration::from_secs(1));
        assert!(!held.heard(&result(true, None)));
        assert_eq!(stop.requested().await, StopReason::Cancelled);
        assert!(held.heard(&result(false, Some(409))), "the lease was lost just now");
        assert_eq!(stop.requested().await, StopReason::Lost);
        assert!(!held.heard(&result(false, Some(409))), "a lost lease is forgotten");
    }

    #[tokio::test]
    async fn a_transient_answer_about_a_lease_stops_nothing() {
        let held = HeldLeases::default();
        let mut stop = held.take("l1", Duration::from_secs(1));
        assert!(!held.heard(&result(false, Some(503))));
        held.stop_all(StopReason::Leaving);
        assert_eq!(stop.requested().await, StopReason::Leaving, "only the later reason was raised");
    }

    #[tokio::test]
    async fn only_leases_whose_time_has_come_are_renewed() {
        let held = HeldLeases::default();
        let start = Instant::now();
        held.take("l1", Duration::from_secs(10));
        held.take("l2", Duration::from_secs(30));
        assert!(held.due(start).is_empty());
        let later = start + Duration::from_secs(20);
        let due: Vec<String> = held.due(later).into_iter().map(|item| item.lease).collect();
        assert_eq!(due, ["l1"]);
        assert!(held.due(later).is_empty(), "it is due again only after its pace");
    }
}
