//! What makes a POST that is sent twice count once: the identity of its command, made of route, key and the hash of
//! the canonical body. Always holds: two bodies that differ only in spaces or the order of fields are the same.
//! Absent: the store of answers; the subject that holds the identity gives its first answer again.

use domain::exact_json;
use domain::ids::CommandId;
use domain::payload::Hash;
use domain::subject::envelope::CommandMark;

use super::extract::headers::IdempotencyKey;

/// The identity of the command behind a POST on `route`; none without a key.
pub fn mark(route: &str, key: &IdempotencyKey, body: &[u8]) -> Option<CommandMark> {
    let key = key.0.as_deref()?;
    marked(route, key, body)
}

/// The identity of item `position` of a batch.
pub fn item_mark(
    route: &str,
    key: &IdempotencyKey,
    position: usize,
    body: &[u8],
) -> Option<CommandMark> {
    let key = key.0.as_deref()?;
    marked(route, &format!("{key}/{position}"), body)
}

fn marked(route: &str, key: &str, body: &[u8]) -> Option<CommandMark> {
    // Route, key and position fit into a command id by its bound, so this never drops a key.
    let id = CommandId::parse(&format!("{route} {key}")).ok()?;
    Some(CommandMark { id, body: canonical_hash(body), keyed: true })
}

/// Of the body with sorted fields and without spaces; of the bytes themselves where they are no JSON (no body).
pub fn canonical_hash(body: &[u8]) -> Hash {
    let canonical = std::str::from_utf8(body).ok().and_then(exact_json::canonical);
    Hash::of(canonical.as_deref().map_or(body, str::as_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_that_mean_the_same_hash_the_same() {
        let one = canonical_hash(br#"{"b": [1, 2], "a": {"d": 1, "c": 2}}"#);
        assert_eq!(one, canonical_hash(br#"{"a":{"c":2,"d":1},"b":[1,2]}"#));
        assert_ne!(one, canonical_hash(br#"{"a":{"c":2,"d":1},"b":[2,1]}"#));
        assert_eq!(canonical_hash(b""), Hash::of(b""));
        // Numbers count to the digit: these two would be one as floating-point numbers.
        let large = |digit: u8| {
            canonical_hash(format!("{{\"n\": 10000000000000000000000{digit}}}").as_bytes())
        };
        assert_ne!(large(1), large(2));
    }

    #[test]
    fn the_longest_key_fits_with_the_longest_route_and_position() {
        let key = IdempotencyKey(Some("k".repeat(255)));
        assert!(item_mark("POST /environments/default/x", &key, 999, b"{}").is_some());
        assert!(mark("POST /jobs", &IdempotencyKey(None), b"{}").is_none());
    }
}
