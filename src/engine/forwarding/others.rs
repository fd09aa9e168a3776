//! The other engines as this one asks them: where they are, as the membership has seen it, and the proof that what is asked
//! comes from one of them.
//! Always holds: what is asked names the one life of an engine that it is for; the secret itself never travels and is never printed. Absent: who lives (`membership`).

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::engine::core::message::EngineId;
use crate::membership::contract::Life;
use crate::membership::peers::{PeerMap, Peers};

/// Stands before every signed body, so that what is signed here means nothing elsewhere.
const PURPOSE: &[u8] = b"orrery forward 1\n";

/// The other engines; cheap to clone, all clones see the same.
#[derive(Debug, Clone)]
pub struct Others {
    me: EngineId,
    peers: Peers,
}

impl Others {
    /// Of the engine that joined as `me`.
    pub fn new(me: EngineId, peers: Peers) -> Self {
        Self { me, peers }
    }

    /// This engine, by the number that the others know it by: another one than at its start when it had to join anew.
    pub fn me(&self) -> EngineId {
        self.peers.known_as().unwrap_or(self.me)
    }

    /// Whether what is meant for this life is meant for this engine. No as long as it has not seen its own record, and
    /// then noted: whoever it was meant for is not reached at this address any more.
    pub fn is_for_me(&self, meant_for: Life) -> bool {
        let own = self.peers.started_at();
        let mine =
            own.is_some_and(|started_at| Life { engine: self.me(), started_at } == meant_for);
        if !mine {
            self.peers.note_arrived(meant_for);
        }
        mine
    }

    /// The groups, by index, that an engine drives by what was seen last.
    pub(super) fn groups_of(&self, engine: EngineId) -> Vec<u8> {
        let drivers = self.peers.drivers();
        let of = (0_u8..).zip(drivers.iter()).filter(|(_, driver)| **driver == Some(engine));
        of.map(|(group, _)| group).collect()
    }

    /// Who drives each group by its record, by index; empty: nobody has looked.
    pub(super) fn drivers(&self) -> std::sync::Arc<[Option<EngineId>]> {
        self.peers.drivers()
    }

    /// The others that live.
    pub fn living(&self) -> Vec<EngineId> {
        self.seen().iter().filter(|(_, peer)| peer.lives).map(|(engine, _)| *engine).collect()
    }

    /// All that are known, whether they live or not.
    pub(super) fn seen(&self) -> PeerMap {
        self.peers.all()
    }

    /// What proves that a body comes from an engine of this deployment, in hexadecimal digits.
    pub fn sign(&self, body: &[u8]) -> String {
        domain::payload::Hash(self.mac(body).finalize().into_bytes().into()).hex()
    }

    /// Whether `sign` of the same secret made this. Takes as long for a wrong signature as for a right one.
    pub fn is_signed(&self, body: &[u8], signature: &str) -> bool {
        let Some(given) = domain::payload::Hash::parse(signature) else { return false };
        self.mac(body).verify_slice(&given.0).is_ok()
    }

    fn mac(&self, body: &[u8]) -> Hmac<Sha256> {
        let secret = self.peers.secret().reveal().as_bytes();
        // A key of any length does.
        let mut mac = Hmac::<Sha256>::new_from_slice(secret)
            .unwrap_or_else(|_| Hmac::new(&hmac::digest::Key::<Hmac<Sha256>>::default()));
        mac.update(PURPOSE);
        mac.update(body);
        mac
    }
}

/// Which life of an engine is asked, and where, if it lives.
pub(super) fn place(seen: &PeerMap, engine: EngineId) -> Option<(Life, &str)> {
    let peer = seen.get(&engine).filter(|peer| peer.lives)?;
    Some((Life { engine, started_at: peer.started_at }, peer.address.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn with(secret: &str) -> Others {
        Others::new(1, Peers::new(Secret::new(secret)).1)
    }

    #[test]
    fn a_body_is_known_by_the_secret_and_by_every_byte() {
        let (one, other) = (with("secret"), with("secret"));
        let signature = one.sign(b"body");
        assert!(other.is_signed(b"body", &signature));
        assert!(!other.is_signed(b"bodY", &signature));
        assert!(!with("Secret").is_signed(b"body", &signature));
        for wrong in ["", "00", &signature[1..], &format!("{signature}00"), &"z".repeat(64)] {
            assert!(!other.is_signed(b"body", wrong), "{wrong}");
        }
    }

    #[test]
    fn the_secret_is_never_shown() {
        let shown = format!("{:?}", with("tell nobody"));
        assert!(!shown.contains("tell"), "{shown}");
    }
}
