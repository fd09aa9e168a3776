//! Names that begin with a text, as a range: what an index over names can find.
//! Absent: how a store asks for a range.

/// The first text behind all that start with `prefix`; none when there is no such text. SQLite and MongoDB compare
/// the bytes of UTF-8, which keeps the order of the characters.
pub(super) fn after_prefix(prefix: &str) -> Option<String> {
    let mut end = prefix.to_owned();
    while let Some(last) = end.pop() {
        let next = match u32::from(last) + 1 {
            0xD800 => char::from_u32(0xE000),
            next => char::from_u32(next),
        };
        if let Some(next) = next {
            end.push(next);
            return Some(end);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_behind_a_prefix_is_the_next_in_order() {
        assert_eq!(after_prefix("ab").as_deref(), Some("ac"));
        assert_eq!(after_prefix("a\u{D7FF}").as_deref(), Some("a\u{E000}"));
        assert_eq!(after_prefix("a\u{10FFFF}").as_deref(), Some("b"));
        assert_eq!(after_prefix("\u{10FFFF}"), None);
    }
}
