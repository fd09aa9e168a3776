//! Drawing what must not be guessed.
//! Always holds: it comes from the system's generator, and is never printed (`Secret`). Absent: dice; what they draw
//! may be guessed, and a test may choose it.

use std::fmt::Write as _;

use rand::Rng as _;

use crate::config::Secret;

/// Words of 64 bits in a secret: nobody guesses 256 bits.
const WORDS: usize = 4;

/// A new secret, as hexadecimal digits.
#[expect(
    clippy::disallowed_methods,
    reason = "a secret is not drawn with dice that a test may load"
)]
pub fn draw_secret() -> Secret {
    let mut generator = rand::rng();
    let mut text = String::with_capacity(WORDS * 16);
    for _ in 0..WORDS {
        // Writing into a text never fails.
        let _ = write!(text, "{:016x}", generator.next_u64());
    }
    Secret::new(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_secrets_are_alike_and_none_is_printed() {
        let (one, other) = (draw_secret(), draw_secret());
        assert_ne!(one, other);
        assert_eq!(one.reveal().len(), 64);
        assert!(!format!("{one:?}").contains(one.reveal()));
    }
}
