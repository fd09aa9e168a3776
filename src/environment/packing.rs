//! Texts that are alike, stored in less room: each is written as what differs from a dictionary, which is a text of their
//! kind. Every text is read back byte for byte. A dictionary belongs to what was packed with it and never changes.
//! Absent: what is packed, and how it is told from what is not.

use lz4_flex::block::{compress_with_dict, decompress_with_dict};

/// Bytes in front of a packed text: its length.
const LENGTH: usize = 4;
/// What is shorter is hardly made less.
const PACKED_MIN: usize = 64;

/// A text as it is stored; none when it would not be less.
pub fn pack(text: &[u8], dictionary: &[u8]) -> Option<Vec<u8>> {
    let length = u32::try_from(text.len()).ok().filter(|_| text.len() >= PACKED_MIN)?;
    let packed = compress_with_dict(text, dictionary);
    if packed.len() + LENGTH >= text.len() {
        return None;
    }
    let mut stored = length.to_le_bytes().to_vec();
    stored.extend_from_slice(&packed);
    Some(stored)
}

/// The text that was packed, of at most `bytes_max`; none when it was not packed so.
pub fn unpack(stored: &[u8], dictionary: &[u8], bytes_max: usize) -> Option<Vec<u8>> {
    let (length, packed) = stored.split_first_chunk::<LENGTH>()?;
    let length =
        usize::try_from(u32::from_le_bytes(*length)).ok().filter(|length| *length <= bytes_max)?;
    let text = decompress_with_dict(packed, length, dictionary).ok()?;
    (text.len() == length).then_some(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DICTIONARY: &[u8] =
        br#"{"status":"completed","name":"","priority":5,"nodes":{"completed":1,"total":1}}"#;

    #[test]
    fn what_is_like_the_dictionary_takes_less_room() {
        let text = br#"{"status":"completed","name":"nightly","priority":5,"nodes":{"completed":1,"total":1}}"#;
        let packed = pack(text, DICTIONARY);
        assert!(packed.as_ref().is_some_and(|packed| packed.len() < text.len() / 2), "{packed:?}");
        assert_eq!(
            packed.and_then(|packed| unpack(&packed, DICTIONARY, 1_000)).as_deref(),
            Some(&text[..])
        );
    }

    #[test]
    fn what_says_that_it_is_too_long_is_not_unpacked() {
        let packed = pack(&[b'a'; 5_000], DICTIONARY).unwrap_or_default();
        assert_eq!(unpack(&packed, DICTIONARY, 4_999), None);
        assert_eq!(unpack(&packed, DICTIONARY, 5_000).map(|text| text.len()), Some(5_000));
    }

    proptest! {
        #[test]
        fn every_text_comes_back(text in proptest::collection::vec(0_u8..6, 0..3_000)) {
            if let Some(packed) = pack(&text, DICTIONARY) {
                prop_assert!(packed.len() < text.len());
                prop_assert_eq!(unpack(&packed, DICTIONARY, text.len()), Some(text));
            }
        }

        #[test]
        fn nothing_that_is_stored_makes_it_panic(stored in proptest::collection::vec(any::<u8>(), 0..300)) {
            let text = unpack(&stored, DICTIONARY, 10_000);
            prop_assert!(text.is_none_or(|text| text.len() <= 10_000));
        }
    }
}
