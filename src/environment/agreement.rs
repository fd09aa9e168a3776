//! A secret that two engines have in common and that nobody can read anywhere: each draws a key of its own at its start,
//! shows its public half, and both halves give the same secret at both ends (X25519).
//! Always holds: the own half never leaves the process and is never printed; two engines agree on nothing when one shows a
//! key that gives everybody the same. Absent: what the secret is used for, and who may show a key.

use std::fmt;
use std::fmt::Write as _;

use rand::Rng as _;
use x25519_dalek::{PublicKey, StaticSecret};

/// Bytes of either half.
const KEY_BYTES: usize = 32;

/// What one engine agrees with.
pub struct OwnKey {
    secret: StaticSecret,
    public: String,
}

impl fmt::Debug for OwnKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnKey").field("public", &self.public).finish_non_exhaustive()
    }
}

impl OwnKey {
    /// A new one.
    #[expect(
        clippy::disallowed_methods,
        reason = "a secret is not drawn with dice that a test may load"
    )]
    pub fn draw() -> Self {
        let mut bytes = [0_u8; KEY_BYTES];
        rand::rng().fill_bytes(&mut bytes);
        let secret = StaticSecret::from(bytes);
        let public = PublicKey::from(&secret);
        let public = public.as_bytes().iter().fold(String::new(), |mut text, byte| {
            // Writing into a text never fails.
            let _ = write!(text, "{byte:02x}");
            text
        });
        Self { secret, public }
    }

    /// The half that others see: 64 hexadecimal digits.
    pub fn public(&self) -> &str {
        &self.public
    }

    /// What this engine and the one that shows `other` have in common; none: that is no key.
    pub fn agree(&self, other: &str) -> Option<[u8; KEY_BYTES]> {
        let other = PublicKey::from(bytes_of(other)?);
        let common = self.secret.diffie_hellman(&other);
        common.was_contributory().then(|| common.to_bytes())
    }
}

fn bytes_of(text: &str) -> Option<[u8; KEY_BYTES]> {
    if text.len() != 2 * KEY_BYTES || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; KEY_BYTES];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_agree_and_nobody_else_does() {
        let (one, other, third) = (OwnKey::draw(), OwnKey::draw(), OwnKey::draw());
        let common = one.agree(other.public());
        assert!(common.is_some());
        assert_eq!(common, other.agree(one.public()));
        assert_ne!(common, third.agree(one.public()));
        assert_ne!(common, third.agree(other.public()));
    }

    #[test]
    fn what_is_no_key_agrees_with_nobody() {
        let own = OwnKey::draw();
        let everybodys = "0".repeat(64);
        for wrong in ["", "00", "ä", &"g".repeat(64), &"+1".repeat(32), everybodys.as_str()] {
            assert_eq!(own.agree(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn the_own_half_is_never_printed() {
        let own = OwnKey::draw();
        let shown = format!("{own:?}");
        let half = own.secret.to_bytes().map(|byte| format!("{byte:02x}")).concat();
        assert!(shown.contains(own.public()) && !shown.contains(&half));
    }
}
