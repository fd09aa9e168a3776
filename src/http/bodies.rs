//! The bytes of request bodies that are held at once. A body is charged as it arrives, never as it is announced: whoever
//! announces much and sends little holds little.
//! Always holds: what finishes and stops work (reports, heartbeats, cancels) has a pool that nothing else can fill, and so
//! has what other engines ask; in each pool one peer has at most its share; what was charged is given back when the
//! request is answered. Absent: how large one body may be, and how fast it must come (`extract/json`).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::peers::{PeerAddress, Share, Shares};
use super::problem::{Code, Problem};
use crate::engine::core::urgency::Urgency;

/// What is charged for a request beside its body: its head, and what is made of it.
const REQUEST_BYTES: usize = 4 * 1_024;
/// Bytes of what other engines ask: four of their largest bodies. They are known before they are read, so no stranger can
/// take of it; what finds no room is decided by the engine that asked.
const FORWARDED_BYTES_MAX: usize = 64 * 1_024 * 1_024;

/// The bytes of bodies that are held now, in a pool for each kind of request.
#[derive(Debug)]
pub struct Bodies {
    ordinary: Arc<Pool>,
    urgent: Arc<Pool>,
    forwarded: Arc<Pool>,
}

#[derive(Debug)]
struct Pool {
    most: usize,
    held: AtomicUsize,
    shares: Arc<Shares>,
}

/// What one request has of its pool, for as long as it is answered.
#[derive(Debug)]
pub struct Charge {
    pool: Arc<Pool>,
    /// At most so much of the pool may be held when this grows.
    most: usize,
    grown: Mutex<Grown>,
}

#[derive(Debug)]
struct Grown {
    bytes: usize,
    share: Share,
}

impl Bodies {
    /// So many bytes in all, so many of what finishes and stops work, and of each the share of one peer.
    pub fn new(most: usize, urgent_most: usize, peer_share_pct: u8) -> Self {
        let pool = |most, pct| Arc::new(Pool::new(most, pct));
        Self {
            ordinary: pool(most, peer_share_pct),
            urgent: pool(urgent_most, peer_share_pct),
            // An engine may be all that there is beside this one.
            forwarded: pool(FORWARDED_BYTES_MAX, 100),
        }
    }

    /// Begins to charge a request of this peer.
    pub(super) fn charge(
        &self,
        urgency: Urgency,
        peer: Option<PeerAddress>,
    ) -> Result<Charge, Problem> {
        let (pool, most) = match urgency {
            Urgency::Report | Urgency::Cancel => (&self.urgent, self.urgent.most),
            Urgency::Lease | Urgency::Read => (&self.ordinary, self.ordinary.most),
            // The other half is for what leases and looks.
            Urgency::Submit => (&self.ordinary, self.ordinary.most / 2),
        };
        Charge::begin(pool, most, peer)
    }

    /// Begins to charge what another engine asks.
    pub(super) fn charge_engine(&self) -> Result<Charge, Problem> {
        Charge::begin(&self.forwarded, self.forwarded.most, None)
    }
}

impl Pool {
    fn new(most: usize, peer_share_pct: u8) -> Self {
        Self { most, held: AtomicUsize::new(0), shares: Shares::of(most, peer_share_pct) }
    }
}

impl Charge {
    fn begin(pool: &Arc<Pool>, most: usize, peer: Option<PeerAddress>) -> Result<Self, Problem> {
        let grown = Mutex::new(Grown { bytes: 0, share: pool.shares.begin(peer) });
        let charge = Self { pool: Arc::clone(pool), most, grown };
        charge.grow(REQUEST_BYTES)?;
        Ok(charge)
    }

    /// So many bytes more have come.
    ///
    /// # Errors
    /// `overloaded` when there is no room for them: nothing is charged then, and what was stays until this is dropped.
    pub fn grow(&self, by: usize) -> Result<(), Problem> {
        let mut grown = self.grown.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.pool.held.fetch_add(by, Ordering::Relaxed);
        // One body that is larger than the bound still has its turn, alone.
        if before > grown.bytes && before.saturating_add(by) > self.most {
            self.pool.held.fetch_sub(by, Ordering::Relaxed);
            let detail = "too many bytes of requests are being worked on";
            return Err(Problem::new(Code::Overloaded, detail));
        }
        if !grown.share.grow(by) {
            self.pool.held.fetch_sub(by, Ordering::Relaxed);
            let detail = "too many bytes of requests from your address are being worked on";
            return Err(Problem::new(Code::Overloaded, detail));
        }
        grown.bytes = grown.bytes.saturating_add(by);
        Ok(())
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        let bytes = self.grown.get_mut().unwrap_or_else(PoisonError::into_inner).bytes;
        self.pool.held.fetch_sub(bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(bodies: &Bodies) -> [usize; 3] {
        [&bodies.ordinary, &bodies.urgent, &bodies.forwarded]
            .map(|pool| pool.held.load(Ordering::Relaxed))
    }

    fn charged(bodies: &Bodies, urgency: Urgency, bytes: usize) -> Option<Charge> {
        let charge = bodies.charge(urgency, None).ok()?;
        charge.grow(bytes.saturating_sub(REQUEST_BYTES)).ok()?;
        Some(charge)
    }

    #[test]
    fn bodies_are_held_up_to_their_bound_and_a_larger_one_alone() {
        let bodies = Bodies::new(100_000, 100_000, 100);
        let large = charged(&bodies, Urgency::Read, 500_000);
        assert!(large.is_some(), "nothing else is held");
        assert!(charged(&bodies, Urgency::Read, REQUEST_BYTES).is_none());
        drop(large);
        let parts = [60_000, 40_000].map(|bytes| charged(&bodies, Urgency::Lease, bytes));
        assert!(parts.iter().all(Option::is_some));
        assert!(charged(&bodies, Urgency::Read, REQUEST_BYTES).is_none());
        drop(parts);
        assert_eq!(held(&bodies), [0; 3], "also what was refused is let go of");
    }

    #[test]
    fn what_finishes_and_stops_work_and_what_engines_ask_have_room_of_their_own() {
        let bodies = Bodies::new(100_000, 50_000, 100);
        let submission = charged(&bodies, Urgency::Submit, 50_000);
        assert!(submission.is_some());
        assert!(charged(&bodies, Urgency::Submit, REQUEST_BYTES).is_none(), "half is not theirs");
        let read = charged(&bodies, Urgency::Read, 50_000);
        assert!(read.is_some() && charged(&bodies, Urgency::Lease, REQUEST_BYTES).is_none());
        assert!(charged(&bodies, Urgency::Report, 20_000).is_some());
        assert!(charged(&bodies, Urgency::Cancel, 20_000).is_some());
        assert!(bodies.charge_engine().is_ok());
    }
}
