//! The other engines as this one asks them: where they are, as the membership has seen it, and the proof that what is asked
//! comes from one of them and is for this one.
//! Always holds: what is asked names the one life of an engine that it is for; no secret travels, is printed, or lies in the
//! database. Absent: who lives (`membership`), and how it is proven (`proof`).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use domain::ids::Millis;
use domain::payload::Hash;

use super::AGE_MS_MAX;
use super::proof::{AnswerProof, HeaderClaims, PairKey, Used};
use crate::engine::core::message::EngineId;
use crate::membership::contract::Life;
use crate::membership::peers::{PeerMap, Peers};

/// What this engine and another one have in common.
struct Pair {
    /// The other's public key.
    theirs: String,
    sending: PairKey,
    receiving: PairKey,
    /// The numbers of what came from there.
    used: Mutex<Used>,
}

impl fmt::Debug for Pair {
    /// Keys are never printed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pair").field("theirs", &self.theirs).finish_non_exhaustive()
    }
}

/// A request of which it is known who asks, and that it is for this engine.
#[derive(Debug)]
pub struct Proven {
    pub from: EngineId,
    /// This life of this engine.
    pub to: Life,
    body: Hash,
    /// Proves the answers to it.
    pub answers: AnswerProof,
}

impl Proven {
    /// Whether the body is the one that was proven.
    pub fn covers(&self, body: &[u8]) -> bool {
        Hash::of(body) == self.body
    }
}

/// Why nothing of a request may be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unproven {
    /// No header of this form.
    #[error("the proof is missing, or of another form")]
    Malformed,
    /// Who it says it comes from was not seen yet, or shows no key.
    #[error("the engine that asks has not been seen here, or shows no key")]
    NotSeen,
    /// Made by somebody else, or by an engine with another cluster secret.
    #[error("the proof is not one of an engine of this deployment")]
    Forged,
    /// Sent long ago, or not yet.
    #[error("the body is of another time")]
    OfAnotherTime {
        /// Who says it asks.
        from: EngineId,
        /// By so many milliseconds.
        off_ms: u64,
    },
    /// For another engine, or another life of this one.
    #[error("this is another engine, or another life of it")]
    Misdirected {
        from: EngineId,
        /// Who is asked.
        meant_for: Life,
    },
    /// The same was sent before.
    #[error("the body was sent before")]
    Repeated {
        /// Who asked it first.
        from: EngineId,
    },
}

/// The other engines; cheap to clone, all clones see the same.
#[derive(Debug, Clone)]
pub struct PeerDirectory {
    me: EngineId,
    peers: Peers,
    /// Numbers of requests so far, to whomever.
    numbers: Arc<AtomicU64>,
    pairs: Arc<Mutex<BTreeMap<EngineId, Arc<Pair>>>>,
}

impl PeerDirectory {
    /// Of the engine that joined as `me`.
    pub fn new(me: EngineId, peers: Peers) -> Self {
        Self { me, peers, numbers: Arc::default(), pairs: Arc::default() }
    }

    /// This engine, by the number that the others know it by: another one than at its start when it had to rejoin.
    pub fn me(&self) -> EngineId {
        self.peers.external_id().unwrap_or(self.me)
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
    pub(super) fn drivers(&self) -> Arc<[Option<EngineId>]> {
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

    /// What proves to the engine that it comes from this one, for the header of a request, and what proves its answers. None:
    /// that engine is not known, or shows no key.
    pub fn prove(&self, to: Life, at: Millis, body: &[u8]) -> Option<(String, AnswerProof)> {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed) + 1;
        let claims = HeaderClaims { from: self.me(), to, at, number, body: Hash::of(body) };
        Some(claims.prove(&self.pair(to.engine)?.sending))
    }

    /// Looks at the proof of a request that came at `now`, before its body is read; a number that was good is used up.
    ///
    /// # Errors
    /// Why nothing of it may be read.
    pub fn check(&self, proof: &str, now: Millis) -> Result<Proven, Unproven> {
        let (claims, mac) = HeaderClaims::read(proof).ok_or(Unproven::Malformed)?;
        if claims.from == self.me() {
            return Err(self.came_back(&claims, &mac));
        }
        let pair = self.pair(claims.from).ok_or(Unproven::NotSeen)?;
        let answers = claims.proven(&mac, &pair.receiving).ok_or(Unproven::Forged)?;
        let HeaderClaims { from, to, at, number, body } = claims;
        let off_ms = now.abs_diff(at);
        if off_ms > AGE_MS_MAX {
            return Err(Unproven::OfAnotherTime { from, off_ms });
        }
        if !self.is_for_me(to) {
            return Err(Unproven::Misdirected { from, meant_for: to });
        }
        let mut used = pair.used.lock().unwrap_or_else(PoisonError::into_inner);
        if !used.take(number) {
            return Err(Unproven::Repeated { from });
        }
        Ok(Proven { from, to, body, answers })
    }

    /// What this engine asked another one has come to itself: only it can have made that proof, and nobody else is reached
    /// where it was sent.
    fn came_back(&self, claims: &HeaderClaims, mac: &Hash) -> Unproven {
        let Some(pair) = self.pair(claims.to.engine) else { return Unproven::NotSeen };
        if claims.proven(mac, &pair.sending).is_none() {
            return Unproven::Forged;
        }
        let HeaderClaims { from, to, .. } = *claims;
        self.peers.note_arrived(to);
        Unproven::Misdirected { from, meant_for: to }
    }

    /// What this engine and another one have in common: made when it is first needed, and again when the other shows
    /// another key. None of who shows none.
    fn pair(&self, engine: EngineId) -> Option<Arc<Pair>> {
        let seen = self.seen();
        let theirs = &seen.get(&engine)?.public_key;
        let mut pairs = self.pairs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pair) = pairs.get(&engine).filter(|pair| pair.theirs == *theirs) {
            return Some(Arc::clone(pair));
        }
        let own = self.peers.key();
        let common = own.agree(theirs)?;
        let secret = self.peers.secret().reveal().as_bytes();
        let derive = |from: &str, to: &str| PairKey::derive(&common, secret, from, to);
        let pair = Arc::new(Pair {
            theirs: theirs.clone(),
            sending: derive(own.public(), theirs),
            receiving: derive(theirs, own.public()),
            used: Mutex::default(),
        });
        // Nothing is kept of who is gone.
        pairs.retain(|engine, _| seen.contains_key(engine));
        pairs.insert(engine, Arc::clone(&pair));
        Some(pair)
    }
}

/// Which life of an engine is asked, and where, if it lives.
pub(super) fn place(seen: &PeerMap, engine: EngineId) -> Option<(Life, &str)> {
    let peer = seen.get(&engine).filter(|peer| peer.lives)?;
    Some((Life { engine, started_at: peer.started_at }, peer.address.as_str()))
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test says what it expects")]
mod tests {
    use super::*;
    use crate::config::Secret;
    use crate::membership::peers::{PeerEngine, PeersSeen};

    /// Engines 1 and 2, of which each has seen the other, with these secrets.
    fn two(secrets: [&str; 2]) -> [(PeersSeen, PeerDirectory); 2] {
        let made = secrets.map(|secret| Peers::new(Secret::new(secret)));
        let keys = [0, 1].map(|at: usize| made[at].1.key().public().to_owned());
        let mut number = 0;
        made.map(|(seen, peers)| {
            number += 1;
            let public_key = keys[2 - number as usize].clone();
            let (address, version) = ("h:1".to_owned(), "1".to_owned());
            let peer = PeerEngine {
                address,
                version,
                started_at: 5,
                lives: true,
                leaving: false,
                public_key,
            };
            seen.tell(BTreeMap::from([(3 - number, peer)]));
            seen.began_at(5);
            (seen, PeerDirectory::new(number, peers))
        })
    }

    const SECOND: Life = Life { engine: 2, started_at: 5 };

    #[test]
    fn what_an_engine_asks_of_another_and_hears_itself_was_meant_for_one_that_is_gone() {
        let [(_, first), (_, second)] = two(["s", "s"]);
        let (proof, _) = first.prove(SECOND, 1_000, b"{}").expect("it shows a key");
        assert!(!first.peers.has_arrived(SECOND));
        let heard = first.check(&proof, 1_000);
        assert!(matches!(heard, Err(Unproven::Misdirected { from: 1, .. })), "{heard:?}");
        assert!(first.peers.has_arrived(SECOND));
        // In its name, and not made by it.
        let (other, _) =
            second.prove(Life { engine: 1, started_at: 5 }, 1_000, b"{}").expect("a key");
        let forged = other.replacen("2;1;5", "1;2;5", 1);
        assert!(matches!(first.check(&forged, 1_000), Err(Unproven::Forged)));
    }

    fn why(checked: &Result<Proven, Unproven>) -> &'static str {
        match checked {
            Ok(_) => "proven",
            Err(Unproven::Malformed) => "malformed",
            Err(Unproven::NotSeen) => "not seen",
            Err(Unproven::Forged) => "forged",
            Err(Unproven::OfAnotherTime { .. }) => "of another time",
            Err(Unproven::Misdirected { .. }) => "misdirected",
            Err(Unproven::Repeated { .. }) => "repeated",
        }
    }

    #[test]
    fn what_an_engine_asks_is_proven_once_to_the_one_it_is_for() {
        let [(_, first), (seen, second)] = two(["", ""]);
        let (proof, _) = first.prove(SECOND, 7, b"body").expect("it is known");
        assert_eq!(why(&second.check(&proof, 7 + 300_001)), "of another time");
        let proven = second.check(&proof, 7).expect("it is right");
        assert_eq!((proven.from, proven.to, proven.covers(b"body")), (1, SECOND, true));
        assert!(!proven.covers(b"bodY"));
        assert_eq!(why(&second.check(&proof, 7)), "repeated");
        assert_eq!(why(&first.check(&proof, 7)), "misdirected", "it came back to who sent it");
        let (next, _) = first.prove(SECOND, 7, b"body").expect("it is known");
        assert_eq!(why(&second.check(&next.replacen('7', "8", 1), 7)), "forged");
        let later = Life { started_at: 6, ..SECOND };
        let (other_life, _) = first.prove(later, 7, b"").expect("it is known");
        assert_eq!(why(&second.check(&other_life, 7)), "misdirected");
        assert_eq!(why(&second.check("", 7)), "malformed");
        seen.tell(BTreeMap::new());
        assert_eq!(why(&second.check(&next, 7)), "not seen");
    }

    #[test]
    fn who_has_another_secret_or_another_key_proves_nothing() {
        let [(_, first), (_, second)] = two(["secret", "Secret"]);
        let (proof, _) = first.prove(SECOND, 7, b"").expect("it is known");
        assert_eq!(why(&second.check(&proof, 7)), "forged");
        let [(_, stranger), _] = two(["", ""]);
        let [_, (_, second)] = two(["", ""]);
        let (proof, _) = stranger.prove(SECOND, 7, b"").expect("it is known");
        assert_eq!(why(&second.check(&proof, 7)), "forged", "all that is shown is not enough");
    }

    #[test]
    fn nothing_secret_is_shown() {
        let [(_, others), _] = two(["tell nobody", ""]);
        others.prove(SECOND, 7, b"").expect("it is known");
        let shown = format!("{others:?}");
        assert!(!shown.contains("tell"), "{shown}");
    }
}
