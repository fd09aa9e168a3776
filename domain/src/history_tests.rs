//! Undamaged exports verify; every flip, drop, repeat, exchange and cut is found where it is.

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::ids::{JobId, Namespace};

fn subject(number: u128) -> SubjectId {
    SubjectId::job(Namespace::default_namespace(), JobId(Uuid::from_u128(number)))
}

/// The lines of an export, the closing one last.
fn lines(subject: &SubjectId, events: &[String]) -> Vec<String> {
    let mut head = genesis(subject);
    let mut lines = Vec::new();
    for (seq, event) in (1..).zip(events) {
        let hash = chain(head, event.as_bytes());
        lines.push(export_line(seq, head, hash, event));
        head = hash;
    }
    lines.push(closing_line(events.len() as u64, head, 1_700_000_000_000));
    lines
}

fn text(lines: &[String]) -> Vec<u8> {
    lines.iter().flat_map(|line| [line.as_bytes(), b"\n"].concat()).collect()
}

fn index_of(result: Result<Verified, Damage>) -> Option<u64> {
    result.err().map(|damage| damage.index)
}

#[test]
fn the_chain_is_what_the_format_page_says() {
    let genesis = genesis(&subject(7));
    let by_hand = Hash::of(b"orrery history 1\njob/default/00000000-0000-0000-0000-000000000007");
    assert_eq!(Hash(genesis), by_hand);
    let framed = [&genesis[..], &[0, 0, 0, 0, 0, 0, 0, 2], b"{}"].concat();
    assert_eq!(Hash(chain(genesis, b"{}")), Hash::of(&framed));
}

#[test]
fn an_export_of_another_subject_is_wrong_from_its_first_entry() {
    let export = text(&lines(&subject(1), &["{}".to_owned()]));
    let damage = verify(&subject(2), &export).err();
    assert_eq!(damage, Some(Damage { index: 1, what: DamageKind::PreviousHash }));
    let empty = text(&lines(&subject(1), &[]));
    assert_eq!(verify(&subject(2), &empty).err().map(|d| d.what), Some(DamageKind::Head));
}

#[test]
fn nothing_may_follow_the_closing_line_and_nothing_replaces_it() {
    let mut all = lines(&subject(1), &["{}".to_owned()]);
    all.push(all[0].clone());
    let damage = verify(&subject(1), &text(&all)).err();
    assert_eq!(damage, Some(Damage { index: 2, what: DamageKind::AfterClosing }));
    let damage = verify(&subject(1), &text(&all[..1])).err();
    assert_eq!(damage, Some(Damage { index: 2, what: DamageKind::Unclosed }));
    assert_eq!(index_of(verify(&subject(1), b"")), Some(1));
}

#[test]
fn an_event_is_kept_as_written() {
    let written = r#"{"b" : 1.0,  "a":"\u00e4"}"#.to_owned();
    let export = text(&lines(&subject(1), &[written]));
    assert!(verify(&subject(1), &export).is_ok());
    let encoded_again = String::from_utf8_lossy(&export).replace(r"\u00e4", "ä");
    assert_eq!(index_of(verify(&subject(1), encoded_again.as_bytes())), Some(1));
}

fn any_events() -> impl Strategy<Value = Vec<String>> {
    let event = (any::<u32>(), "[ -~äλ]{0,12}").prop_map(|(number, text)| {
        serde_json::json!({ "fact": { "n": number, "text": text } }).to_string()
    });
    prop::collection::vec(event, 1..12)
}

proptest! {
    #[test]
    fn every_damage_is_found_where_it_is(
        events in any_events(), at in any::<prop::sample::Index>(), to in any::<prop::sample::Index>(), bit in 0_u8..8,
    ) {
        let subject = subject(1);
        let whole = lines(&subject, &events);
        let export = text(&whole);
        let verified = verify(&subject, &export);
        prop_assert_eq!(verified.map(|verified| verified.count), Ok(events.len() as u64));

        // A flipped bit, anywhere but in the closing line's time, which no hash covers.
        let entries = export.len() - whole[events.len()].len() - 1;
        let covered = entries + whole[events.len()].find(r#""exported_at":"#).unwrap_or(0);
        let byte = at.index(covered);
        let mut flipped = export.clone();
        flipped[byte] ^= 1 << bit;
        let line = export[..byte].split(|byte| *byte == b'\n').count() as u64;
        prop_assert_eq!(index_of(verify(&subject, &flipped)), Some(line));

        // An entry that is missing, one that stands twice, two that are exchanged.
        let (one, other) = (at.index(events.len()), to.index(events.len()));
        let mut dropped = whole.clone();
        dropped.remove(one);
        prop_assert_eq!(index_of(verify(&subject, &text(&dropped))), Some(one as u64 + 1));
        let mut doubled = whole.clone();
        doubled.insert(one, whole[one].clone());
        prop_assert_eq!(index_of(verify(&subject, &text(&doubled))), Some(one as u64 + 2));
        if one != other {
            let mut exchanged = whole.clone();
            exchanged.swap(one, other);
            let first = one.min(other) as u64 + 1;
            prop_assert_eq!(index_of(verify(&subject, &text(&exchanged))), Some(first));
        }

        // The text is cut, with and without the closing line after it. Only the last line end may be missing.
        let cut = to.index(export.len() - 1);
        prop_assert!(verify(&subject, &export[..cut]).is_err());
        let kept = [&whole[..one], &whole[events.len()..]].concat();
        prop_assert_eq!(index_of(verify(&subject, &text(&kept))), Some(one as u64 + 1));
    }
}
