//! What the rest of an engine sees of the others: their addresses, whether they live, and the secret they share.
//! Always holds: it is what was seen at the last look, at most a second or so old while the store answers; the engine
//! itself is not in it. Absent: asking anybody.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::ids::Millis;
use tokio::sync::watch;

use super::contract::{EngineId, Life};
use crate::config::Secret;
use crate::environment::OwnKey;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerEngine {
    /// Host and port.
    pub address: String,
    /// Of its program.
    pub version: String,
    /// When its life began, milliseconds on the store's clock.
    pub started_at: Millis,
    /// Its tenure held at the last look.
    pub lives: bool,
    /// It is about to end.
    pub leaving: bool,
    /// The public half of its key; empty: it shows none.
    pub public_key: String,
}

/// The others, by number.
pub type PeerMap = Arc<BTreeMap<EngineId, PeerEngine>>;

/// A view of the others that follows them. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Peers {
    seen: watch::Receiver<PeerMap>,
    own: Arc<Mutex<Own>>,
    key: Arc<OwnKey>,
    secret: Secret,
}

/// Where what was seen is told.
#[derive(Debug)]
pub struct PeersSeen {
    told: watch::Sender<PeerMap>,
    own: Arc<Mutex<Own>>,
}

/// What this engine knows of itself and of its place among the others.
#[derive(Debug, Default)]
struct Own {
    /// The number by which the others know it, once it is another than that of its start.
    external_id: Option<EngineId>,
    /// When the life under its number began; none until its own record was seen.
    started_at: Option<Millis>,
    /// Who drives each group by its record, by index; empty: not seen yet.
    drivers: Arc<[Option<EngineId>]>,
    /// Lives that somebody asked something of at this engine's address. At most one for each engine that was seen.
    arrived: BTreeSet<Life>,
}

fn locked(own: &Mutex<Own>) -> MutexGuard<'_, Own> {
    own.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Peers {
    /// A view of nobody yet, of an engine that draws its key now. `secret`: that of the cluster; empty: none is configured.
    pub fn new(secret: Secret) -> (PeersSeen, Self) {
        let (told, seen) = watch::channel(PeerMap::default());
        let own = Arc::<Mutex<Own>>::default();
        (
            PeersSeen { told, own: Arc::clone(&own) },
            Self { seen, own, key: Arc::new(OwnKey::draw()), secret },
        )
    }

    /// All at this moment.
    pub fn all(&self) -> PeerMap {
        Arc::clone(&self.seen.borrow())
    }

    /// The number under which this engine has rejoined; none: that of its start holds.
    pub fn external_id(&self) -> Option<EngineId> {
        locked(&self.own).external_id
    }

    /// When the life of this engine began under the number that the others know; none until its record was seen.
    pub fn started_at(&self) -> Option<Millis> {
        locked(&self.own).started_at
    }

    /// Who drives each group by its record at the last look, by index; empty: nobody has looked.
    pub fn drivers(&self) -> Arc<[Option<EngineId>]> {
        Arc::clone(&locked(&self.own).drivers)
    }

    /// Something that was meant for another engine came to this one's address. Noted of engines that were seen only.
    pub fn note_arrived(&self, meant_for: Life) {
        let seen = self.all();
        let is_seen = |life: &Life| {
            seen.get(&life.engine).is_some_and(|peer| peer.started_at == life.started_at)
        };
        let mut own = locked(&self.own);
        own.arrived.retain(is_seen);
        if is_seen(&meant_for) {
            own.arrived.insert(meant_for);
        }
    }

    /// Whether something that was meant for this life came to this engine's address.
    pub fn has_arrived(&self, meant_for: Life) -> bool {
        locked(&self.own).arrived.contains(&meant_for)
    }

    /// Ends when something has changed since it last ended; false when there will be no change any more.
    pub async fn changed(&mut self) -> bool {
        self.seen.changed().await.is_ok()
    }

    /// What this engine agrees with others with.
    pub fn key(&self) -> &OwnKey {
        &self.key
    }

    /// The cluster's secret, where one is configured: it goes into all that engines prove to one another.
    pub fn secret(&self) -> &Secret {
        &self.secret
    }
}

impl PeersSeen {
    /// This engine was evicted and has rejoined, under this number.
    pub fn rejoined(&self, engine: EngineId) {
        let mut own = locked(&self.own);
        (own.external_id, own.started_at) = (Some(engine), None);
    }

    /// This engine's own record was seen: its life began then.
    pub fn began_at(&self, started_at: Millis) {
        locked(&self.own).started_at = Some(started_at);
    }

    /// Who drives each group by its record, by index. Told before the engines of the same look: an engine that is gone
    /// by then is one whose groups nobody drives.
    pub fn driven_by(&self, drivers: Vec<Option<EngineId>>) {
        locked(&self.own).drivers = drivers.into();
    }

    /// Tells what was seen, when it is something new.
    pub fn tell(&self, peers: BTreeMap<EngineId, PeerEngine>) {
        self.told.send_if_modified(|told| {
            let is_new = **told != peers;
            if is_new {
                *told = Arc::new(peers);
            }
            is_new
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_change_is_told_once() {
        let (seen, mut peers) = Peers::new(Secret::new("s"));
        let peer = |lives| PeerEngine {
            address: "h:1".to_owned(),
            version: "1".to_owned(),
            started_at: 5,
            lives,
            leaving: false,
            public_key: String::new(),
        };
        seen.tell(BTreeMap::from([(1, peer(true)), (2, peer(false))]));
        assert!(peers.changed().await);
        seen.tell(BTreeMap::from([(1, peer(true)), (2, peer(false))]));
        assert!(!peers.seen.has_changed().is_ok_and(|changed| changed), "nothing new");
        drop(seen);
        assert!(!peers.changed().await);
    }

    #[test]
    fn what_came_for_another_is_noted_of_those_that_are_seen_and_for_that_life_only() {
        let (seen, peers) = Peers::new(Secret::new("s"));
        let life = |engine, started_at| Life { engine, started_at };
        peers.note_arrived(life(1, 5));
        assert!(!peers.has_arrived(life(1, 5)), "nobody knows it");
        let (address, version) = ("h:1".to_owned(), "1".to_owned());
        let public_key = String::new();
        let peer =
            PeerEngine { address, version, started_at: 5, lives: true, leaving: false, public_key };
        seen.tell(BTreeMap::from([(1, peer)]));
        peers.note_arrived(life(1, 6));
        assert!(!peers.has_arrived(life(1, 6)), "another life");
        peers.note_arrived(life(1, 5));
        assert!(peers.has_arrived(life(1, 5)));
        seen.tell(BTreeMap::new());
        peers.note_arrived(life(2, 5));
        assert!(!peers.has_arrived(life(1, 5)), "nothing is kept of who is gone");
    }
}
