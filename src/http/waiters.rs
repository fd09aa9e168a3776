//! Places for requests that wait for work: so many in all, so many of one namespace, so that one tenant's workers
//! cannot keep out another's, and so many of one address, because namespaces can be invented. Absent: how long they wait,
//! and for what.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::ids::Namespace;

use super::peers::{PeerAddress, Share, Shares};
use super::problem::{Code, Problem};
use crate::telemetry::metrics::LONG_POLLS;

/// The places; cheap to clone.
#[derive(Debug, Clone)]
pub struct Waiters(Arc<Places>);

#[derive(Debug)]
struct Places {
    all_max: usize,
    namespace_max: usize,
    taken: Mutex<Taken>,
    shares: Arc<Shares>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_namespace: BTreeMap<Namespace, usize>,
}

/// A place that is taken, for as long as it is held.
#[derive(Debug)]
pub struct WaiterPermit {
    waiters: Waiters,
    namespace: Namespace,
    _share: Share,
}

impl Waiters {
    /// So many places in all, and for one namespace; one address may have this share of them.
    pub fn new(all_max: usize, namespace_max: usize, peer_share_pct: u8) -> Self {
        let shares = Shares::of(all_max, peer_share_pct);
        Self(Arc::new(Places { all_max, namespace_max, taken: Mutex::default(), shares }))
    }

    /// A place for a request of this namespace and peer.
    pub fn place(
        &self,
        namespace: &Namespace,
        peer: Option<PeerAddress>,
    ) -> Result<WaiterPermit, Problem> {
        let mut share = self.0.shares.begin(peer);
        if !share.grow(1) {
            let detail = "as many requests from your address wait for work as may";
            return Err(Problem::new(Code::TooManyWaiting, detail));
        }
        let mut taken = self.taken();
        let own = taken.by_namespace.get(namespace).copied().unwrap_or(0);
        if taken.all >= self.0.all_max || own >= self.0.namespace_max {
            let detail = format!(
                "{own} requests of this namespace wait for work, {} in all; at most {} and {} may",
                taken.all, self.0.namespace_max, self.0.all_max
            );
            return Err(Problem::new(Code::TooManyWaiting, detail));
        }
        taken.all += 1;
        taken.by_namespace.insert(namespace.clone(), own + 1);
        drop(taken);
        metrics::gauge!(LONG_POLLS).increment(1.0);
        Ok(WaiterPermit { waiters: self.clone(), namespace: namespace.clone(), _share: share })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        // Counts are changed one by one; a poisoned lock holds whole ones.
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for WaiterPermit {
    fn drop(&mut self) {
        let mut taken = self.waiters.taken();
        taken.all = taken.all.saturating_sub(1);
        if let Some(own) = taken.by_namespace.get_mut(&self.namespace) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                taken.by_namespace.remove(&self.namespace);
            }
        }
        drop(taken);
        metrics::gauge!(LONG_POLLS).decrement(1.0);
    }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test says what it expects")]
mod tests {
    use super::*;

    #[test]
    fn one_namespace_cannot_take_the_places_of_all() {
        let (one, other) = (Namespace::default_namespace(), Namespace::parse("other"));
        let other = other.expect("a name");
        let waiters = Waiters::new(3, 2, 100);
        let held: Vec<_> = [&one, &one, &other]
            .map(|namespace| waiters.place(namespace, None))
            .into_iter()
            .collect();
        assert!(held.iter().all(Result::is_ok));
        let refused = waiters.place(&other, None).expect_err("no place in all");
        assert_eq!(refused.code(), Code::TooManyWaiting);
        drop(held);
        let held = [waiters.place(&one, None), waiters.place(&one, None)];
        assert!(held.iter().all(Result::is_ok));
        assert!(waiters.place(&one, None).is_err() && waiters.place(&other, None).is_ok());
        drop(held);
        let taken = waiters.taken();
        assert_eq!((taken.all, taken.by_namespace.len()), (0, 0), "nothing is kept for nobody");
    }
}
