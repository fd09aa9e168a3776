//! What the rest of an engine sees of the others: their addresses, whether they live, and the secret they share.
//! Always holds: it is what was seen at the last look, at most a second or so old while the store answers; the engine
//! itself is not in it. Absent: asking anybody.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use super::contract::EngineId;
use crate::config::Secret;

/// Another engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Host and port.
    pub address: String,
    /// Of its program.
    pub version: String,
    /// Its lease held at the last look.
    pub lives: bool,
    /// It is about to end.
    pub leaving: bool,
}

/// The others, by number.
pub type PeerMap = Arc<BTreeMap<EngineId, Peer>>;

/// A view of the others that follows them. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Peers {
    seen: watch::Receiver<PeerMap>,
    known_as: KnownAs,
    secret: Secret,
}

/// Where what was seen is told.
#[derive(Debug)]
pub struct PeersSeen {
    told: watch::Sender<PeerMap>,
    known_as: KnownAs,
}

/// The number by which the others know this engine, once it is another than that of its start.
type KnownAs = Arc<Mutex<Option<EngineId>>>;

impl Peers {
    /// A view of nobody yet.
    pub fn new(secret: Secret) -> (PeersSeen, Self) {
        let (told, seen) = watch::channel(PeerMap::default());
        let known_as = KnownAs::default();
        (PeersSeen { told, known_as: Arc::clone(&known_as) }, Self { seen, known_as, secret })
    }

    /// All at this moment.
    pub fn all(&self) -> PeerMap {
        Arc::clone(&self.seen.borrow())
    }

    /// The number under which this engine has joined anew; none: that of its start holds.
    pub fn known_as(&self) -> Option<EngineId> {
        *self.known_as.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where an engine is reached; none when it is not known or does not live.
    pub fn address_of(&self, engine: EngineId) -> Option<String> {
        let seen = self.seen.borrow();
        seen.get(&engine).filter(|peer| peer.lives).map(|peer| peer.address.clone())
    }

    /// Ends when something has changed since it last ended; false when there will be no change any more.
    pub async fn changed(&mut self) -> bool {
        self.seen.changed().await.is_ok()
    }

    /// What the engines of this deployment prove themselves to one another with. Never to be logged.
    pub fn secret(&self) -> &Secret {
        &self.secret
    }
}

impl PeersSeen {
    /// This engine was buried and has joined anew, under this number.
    pub fn joined_anew(&self, engine: EngineId) {
        *self.known_as.lock().unwrap_or_else(PoisonError::into_inner) = Some(engine);
    }

    /// Tells what was seen, when it is something new.
    pub fn tell(&self, peers: BTreeMap<EngineId, Peer>) {
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
    async fn a_change_is_told_once_and_the_dead_have_no_address() {
        let (seen, mut peers) = Peers::new(Secret::new("s"));
        let peer = |lives| Peer {
            address: "h:1".to_owned(),
            version: "1".to_owned(),
            lives,
            leaving: false,
        };
        seen.tell(BTreeMap::from([(1, peer(true)), (2, peer(false))]));
        assert!(peers.changed().await);
        assert_eq!((peers.address_of(1), peers.address_of(2)), (Some("h:1".to_owned()), None));
        seen.tell(BTreeMap::from([(1, peer(true)), (2, peer(false))]));
        assert!(!peers.seen.has_changed().is_ok_and(|changed| changed), "nothing new");
        drop(seen);
        assert!(!peers.changed().await);
    }
}
