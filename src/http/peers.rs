//! Who is at the other end of a connection, by address, and how much of a bounded thing each address has: connections,
//! bytes of bodies, requests that wait for work. No address takes more than its share, so one cannot keep out the others.
//! Always holds: what was taken is given back when its holder is dropped; nothing is remembered of an address that holds
//! nothing. Absent: headers that claim another address; whoever sends the bytes is meant, so behind a proxy or a NAT all
//! clients are one peer (`server.peer_share_pct` = 100 then).

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// An IPv4 address, or the network of an IPv6 address that one site is usually given (/64): its hosts have as many
/// addresses as they like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PeerAddress(IpAddr);

impl PeerAddress {
    /// Who connects from there.
    pub fn at(address: SocketAddr) -> Self {
        Self(match address.ip().to_canonical() {
            v4 @ IpAddr::V4(_) => v4,
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments();
                Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
            }
        })
    }
}

/// What of `all` each peer may have.
#[derive(Debug)]
pub struct Shares {
    /// None: there is no bound for a peer alone.
    most: Option<usize>,
    taken: Mutex<BTreeMap<PeerAddress, usize>>,
}

/// What one holder has of its peer's share.
#[derive(Debug)]
pub struct Share {
    shares: Arc<Shares>,
    /// None: it is not known who asks, or nobody is bounded.
    peer: Option<PeerAddress>,
    amount: usize,
}

impl Shares {
    /// A peer may have this share of `all`; 100: whatever there is.
    pub fn of(all: usize, share_pct: u8) -> Arc<Self> {
        let most =
            (share_pct < 100).then(|| (all.saturating_mul(usize::from(share_pct)) / 100).max(1));
        Arc::new(Self { most, taken: Mutex::default() })
    }

    /// Nothing yet, of this peer's share.
    pub fn begin(self: &Arc<Self>, peer: Option<PeerAddress>) -> Share {
        let peer = peer.filter(|_| self.most.is_some());
        Share { shares: Arc::clone(self), peer, amount: 0 }
    }

    fn taken(&self) -> MutexGuard<'_, BTreeMap<PeerAddress, usize>> {
        // Counts are changed one by one; a poisoned lock holds whole ones.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share {
    /// Takes so much more, unless the peer would have more than its share then; whether it did. What alone is larger than
    /// the share still has its turn when the peer has nothing else.
    pub fn grow(&mut self, by: usize) -> bool {
        let (Some(peer), Some(most)) = (self.peer, self.shares.most) else { return true };
        let mut taken = self.shares.taken();
        let before = taken.get(&peer).copied().unwrap_or(0);
        if before > self.amount && before.saturating_add(by) > most {
            return false;
        }
        taken.insert(peer, before.saturating_add(by));
        drop(taken);
        self.amount = self.amount.saturating_add(by);
        true
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let Some(peer) = self.peer.filter(|_| self.amount > 0) else { return };
        let mut taken = self.shares.taken();
        let left = taken.get(&peer).copied().unwrap_or(0).saturating_sub(self.amount);
        match left {
            0 => taken.remove(&peer),
            left => taken.insert(peer, left),
        };
    }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test says what it expects")]
mod tests {
    use super::*;

    fn peer(text: &str) -> PeerAddress {
        PeerAddress::at(SocketAddr::new(text.parse().expect("an address"), 1))
    }

    #[test]
    fn hosts_of_one_network_are_one_peer_and_a_mapped_address_is_the_one_it_maps() {
        assert_eq!(peer("2001:db8::1"), peer("2001:db8::2:1"));
        assert_ne!(peer("2001:db8::1"), peer("2001:db8:0:1::1"));
        assert_ne!(peer("10.0.0.1"), peer("10.0.0.2"));
        assert_eq!(peer("::ffff:10.0.0.1"), peer("10.0.0.1"));
    }

    #[test]
    fn no_peer_takes_more_than_its_share_and_nothing_is_kept_of_who_holds_nothing() {
        let shares = Shares::of(100, 75);
        let (one, other) = (Some(peer("10.0.0.1")), Some(peer("10.0.0.2")));
        let (mut first, mut second, mut third) =
            (shares.begin(one), shares.begin(one), shares.begin(other));
        assert!(first.grow(70) && second.grow(5) && !second.grow(1) && third.grow(75));
        drop(first);
        assert!(second.grow(70), "what was given back can be taken again");
        drop((second, third));
        assert!(shares.taken().is_empty());
        let mut large = shares.begin(one);
        assert!(large.grow(80), "alone it has its turn");
        let mut next = shares.begin(one);
        assert!(!next.grow(1));
        assert!(shares.begin(None).grow(1_000), "nobody is nobody's share");
    }

    #[test]
    fn a_share_of_all_is_no_bound() {
        let shares = Shares::of(10, 100);
        let mut all = shares.begin(Some(peer("10.0.0.1")));
        assert!(all.grow(11));
        assert!(shares.taken().is_empty(), "nothing is counted for nothing");
    }
}
