//! What proves that a body comes from an engine of the deployment, is for this one, was not sent before, and that its
//! answers come from the engine that was asked.
//!
//! The proof stands in a header, so that it is looked at before a byte of the body is read: who asks, which life of which
//! engine is asked, when, a number that grows, the hash of the body, and a MAC over all that. The key of the MAC is one that
//! only these two have: it follows from the keys they drew at their starts (`environment::agreement`) and, where it is
//! configured, from the cluster's secret. Each record of the answer ends with a MAC over it and its place, under a key that
//! only this request has.
//!
//! Always holds: a number counts once; what is remembered of each sender is a window of `WINDOW` bits, whatever it sends; a
//! wrong MAC takes as long as a right one. Absent: what is asked (`wire`), and hiding it: whoever reads the network reads it.

use domain::ids::Millis;
use domain::payload::Hash;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::engine::core::message::EngineId;
use crate::membership::contract::Life;

/// Stand before what is authenticated, so that a MAC made for one thing means nothing elsewhere.
const OF_PAIR: &[u8] = b"orrery engines 1\n";
const OF_REQUEST: &[u8] = b"orrery forward 2\n";
const OF_ANSWERS: &[u8] = b"orrery answers 1\n";
/// Separates the parts of the header.
const PART_END: char = ';';
/// Stands between a record and its MAC. JSON has it nowhere.
const MAC_BEGIN: u8 = 0x1f;
/// Digits of a record's MAC: 128 bits.
const MAC_DIGITS: usize = 32;
/// Numbers behind the newest one that may still come: bodies overtake one another on their connections, of which there are
/// far fewer.
const WINDOW: u64 = 4_096;
const WORD_BITS: u64 = 64;

/// The key that one engine's requests to another are authenticated with.
#[derive(Clone)]
pub(super) struct PairKey([u8; 32]);

impl PairKey {
    /// Of requests from one public key to another, from what the two agree on and the cluster's secret.
    pub(super) fn derive(common: &[u8; 32], secret: &[u8], from: &str, to: &str) -> Self {
        let mut mac = keyed(common);
        mac.update(OF_PAIR);
        for part in [secret, from.as_bytes(), to.as_bytes()] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        Self(mac.finalize().into_bytes().into())
    }

    fn of_request(&self, claims: &str) -> Hmac<Sha256> {
        let mut mac = keyed(&self.0);
        mac.update(OF_REQUEST);
        mac.update(claims.as_bytes());
        mac
    }
}

fn keyed(key: &[u8; 32]) -> Hmac<Sha256> {
    // A key of any length does.
    Hmac::<Sha256>::new_from_slice(key)
        .unwrap_or_else(|_| Hmac::new(&hmac::digest::Key::<Hmac<Sha256>>::default()))
}

/// What a header says, unproven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HeaderClaims {
    pub(super) from: EngineId,
    pub(super) to: Life,
    pub(super) at: Millis,
    pub(super) number: u64,
    pub(super) body: Hash,
}

impl HeaderClaims {
    fn text(&self) -> String {
        let Self { from, to, at, number, body } = self;
        format!("{from};{};{};{at};{number};{}", to.engine, to.started_at, body.hex())
    }

    /// The header, and what proves the answers to it.
    pub(super) fn prove(&self, key: &PairKey) -> (String, AnswerProof) {
        let claims = self.text();
        let mac: [u8; 32] = key.of_request(&claims).finalize().into_bytes().into();
        let header = format!("{claims}{PART_END}{}", Hash(mac).hex());
        (header, AnswerProof::of(&mac, key))
    }

    /// Reads a header: what it says, and its MAC. None: it has another form.
    pub(super) fn read(header: &str) -> Option<(Self, Hash)> {
        let (claims, mac) = header.rsplit_once(PART_END)?;
        let mut parts = claims.split(PART_END);
        let claims = Self {
            from: parts.next()?.parse().ok()?,
            to: Life {
                engine: parts.next()?.parse().ok()?,
                started_at: parts.next()?.parse().ok()?,
            },
            at: parts.next()?.parse().ok()?,
            number: parts.next()?.parse().ok()?,
            body: Hash::parse(parts.next()?)?,
        };
        parts.next().is_none().then_some(())?;
        Some((claims, Hash::parse(mac)?))
    }

    /// Whether this MAC proves the claims, and what proves the answers then.
    pub(super) fn proven(&self, mac: &Hash, key: &PairKey) -> Option<AnswerProof> {
        key.of_request(&self.text()).verify_slice(&mac.0).ok()?;
        Some(AnswerProof::of(&mac.0, key))
    }
}

/// Proves the records of one answer, one after the other, at either end.
pub struct AnswerProof {
    key: [u8; 32],
    /// The place of the next record.
    next: u64,
}

impl std::fmt::Debug for AnswerProof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AnswerProof").field("next", &self.next).finish_non_exhaustive()
    }
}

impl AnswerProof {
    fn of(request: &[u8; 32], key: &PairKey) -> Self {
        let mut mac = keyed(&key.0);
        mac.update(OF_ANSWERS);
        mac.update(request);
        Self { key: mac.finalize().into_bytes().into(), next: 0 }
    }

    fn over(&mut self, record: &[u8]) -> String {
        let mut mac = keyed(&self.key);
        mac.update(&self.next.to_be_bytes());
        mac.update(record);
        self.next += 1;
        let mut digits = Hash(mac.finalize().into_bytes().into()).hex();
        digits.truncate(MAC_DIGITS);
        digits
    }

    /// Appends the proof of the record that begins there and is not ended yet.
    pub fn seal(&mut self, out: &mut Vec<u8>, begins: usize) {
        let digits = self.over(&out[begins..]);
        out.push(MAC_BEGIN);
        out.extend_from_slice(digits.as_bytes());
    }

    /// The record without its proof; none: it is not the next one of this answer.
    pub fn open<'a>(&mut self, sealed: &'a [u8]) -> Option<&'a [u8]> {
        let at = sealed.len().checked_sub(MAC_DIGITS + 1)?;
        let (record, proof) = sealed.split_at(at);
        let wanted = self.over(record);
        // Every byte is compared, whatever the ones before say.
        let given = proof[1..].iter().zip(wanted.as_bytes());
        let differs =
            given.fold(proof[0] ^ MAC_BEGIN, |differs, (one, other)| differs | (one ^ other));
        (differs == 0).then_some(record)
    }
}

/// The numbers that one sender has used.
#[derive(Debug)]
pub(super) struct Used {
    newest: u64,
    /// Bit `n % WINDOW` stands for number `n`, for the newest `WINDOW` numbers.
    bits: [u64; (WINDOW / WORD_BITS) as usize],
}

impl Default for Used {
    fn default() -> Self {
        Self { newest: 0, bits: [0; (WINDOW / WORD_BITS) as usize] }
    }
}

impl Used {
    /// Uses a number; false: it was used before, or is so old that nobody knows.
    pub(super) fn take(&mut self, number: u64) -> bool {
        let is_too_old = self.newest.checked_sub(WINDOW).is_some_and(|oldest| number <= oldest);
        if number == 0 || is_too_old {
            return false;
        }
        if number > self.newest {
            // What the window leaves behind is free for the numbers that it reaches.
            let reached = number - self.newest;
            if reached >= WINDOW {
                self.bits = Self::default().bits;
            } else {
                (self.newest + 1..=number).for_each(|number| self.set(number, false));
            }
            self.newest = number;
        } else if self.is_set(number) {
            return false;
        }
        self.set(number, true);
        true
    }

    fn place(number: u64) -> (usize, u64) {
        let at = number % WINDOW;
        (usize::try_from(at / WORD_BITS).unwrap_or(0), 1 << (at % WORD_BITS))
    }

    fn is_set(&self, number: u64) -> bool {
        let (word, bit) = Self::place(number);
        self.bits[word] & bit != 0
    }

    fn set(&mut self, number: u64, used: bool) {
        let (word, bit) = Self::place(number);
        if used {
            self.bits[word] |= bit;
        } else {
            self.bits[word] &= !bit;
        }
    }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test says what it expects")]
mod tests {
    use super::*;

    fn key(of: u8) -> PairKey {
        PairKey::derive(&[of; 32], b"", "a", "b")
    }

    fn claims() -> HeaderClaims {
        let to = Life { engine: 2, started_at: 5 };
        HeaderClaims { from: 1, to, at: 7, number: 3, body: Hash::of(b"body") }
    }

    #[test]
    fn each_claim_is_proven() {
        let (header, _) = claims().prove(&key(1));
        let (read, mac) = HeaderClaims::read(&header).expect("it is a header");
        assert_eq!(read, claims());
        assert!(read.proven(&mac, &key(1)).is_some());
        assert!(read.proven(&mac, &key(2)).is_none());
        let HeaderClaims { to, .. } = claims();
        for other in [
            HeaderClaims { from: 2, ..claims() },
            HeaderClaims { to: Life { engine: 3, ..to }, ..claims() },
            HeaderClaims { to: Life { started_at: 6, ..to }, ..claims() },
            HeaderClaims { at: 8, ..claims() },
            HeaderClaims { number: 4, ..claims() },
            HeaderClaims { body: Hash::of(b"another"), ..claims() },
        ] {
            assert!(other.proven(&mac, &key(1)).is_none(), "{other:?}");
        }
        for wrong in ["", ";", "1;2;5;7;3", &header[1..], &format!("{header}0"), &"1;".repeat(9)] {
            assert!(
                HeaderClaims::read(wrong)
                    .is_none_or(|(read, mac)| read.proven(&mac, &key(1)).is_none())
            );
        }
    }

    #[test]
    fn a_key_is_of_one_direction_and_of_the_clusters_secret() {
        let of = |secret: &[u8], from, to| PairKey::derive(&[1; 32], secret, from, to).0;
        assert_ne!(of(b"", "a", "b"), of(b"", "b", "a"));
        assert_ne!(of(b"", "a", "b"), of(b"s", "a", "b"));
        assert_ne!(of(b"", "ab", "c"), of(b"", "a", "bc"));
    }

    #[test]
    fn records_are_proven_one_by_one_in_their_order_and_for_their_request() {
        let (_, mut sender) = claims().prove(&key(1));
        let mut sealed = |record: &[u8]| {
            let mut out = b"before".to_vec();
            out.extend_from_slice(record);
            sender.seal(&mut out, 6);
            out.split_off(6)
        };
        let (first, alive, second) = (sealed(b"{}"), sealed(b""), sealed(b"{}"));
        assert_ne!(first, second, "the same record at another place");
        let reader = || claims().prove(&key(1)).1;
        let mut right = reader();
        assert_eq!(right.open(&first), Some(&b"{}"[..]));
        assert_eq!(right.open(&alive), Some(&b""[..]));
        assert_eq!(right.open(&second), Some(&b"{}"[..]));
        assert!(reader().open(&second).is_none(), "the first was left out");
        let (_, mut of_another) = HeaderClaims { number: 4, ..claims() }.prove(&key(1));
        assert!(of_another.open(&first).is_none());
        for wrong in [&b""[..], b"{}", &first[1..], &[&first[..], b"0"].concat()] {
            assert!(reader().open(wrong).is_none());
        }
    }

    #[test]
    fn a_number_counts_once_and_numbers_may_overtake_one_another() {
        let mut used = Used::default();
        assert!(!used.take(0), "nobody sends it");
        assert!(used.take(5) && used.take(3) && used.take(4));
        assert!(!used.take(5) && !used.take(3) && !used.take(4));
        assert!(used.take(1 + WINDOW) && used.take(2));
        assert!(!used.take(1), "nobody knows any more");
        assert!(used.take(10 * WINDOW) && !used.take(9 * WINDOW) && used.take(9 * WINDOW + 1));
        assert!(used.take(u64::MAX) && !used.take(u64::MAX) && used.take(u64::MAX - 1));
        let mut in_turn = Used::default();
        assert!((1..3 * WINDOW).all(|number| in_turn.take(number)));
        assert!((1..3 * WINDOW).all(|number| !in_turn.take(number)));
    }
}
