//! The Python verifier that the documentation ships agrees with ours, on a whole export and on damaged ones.
//! It is asked for where there is a `python3`, as `scripts/test` does.

use std::path::Path;
use std::process::Command;

use domain::history::{chain, closing_line, export_line, genesis, verify};
use domain::ids::{JobId, Namespace, SubjectId};

fn export(subject: &SubjectId) -> Vec<String> {
    let events = [r#"{"fact":"a","text":"ä \" ,\"event\":1"}"#, r#"{ "fact" : 2.50 }"#, "{}"];
    let mut head = genesis(subject);
    let mut lines = Vec::new();
    for (seq, event) in (1..).zip(events) {
        let hash = chain(head, event.as_bytes());
        lines.push(export_line(seq, head, hash, event));
        head = hash;
    }
    lines.push(closing_line(3, head, 1_700_000_000_123));
    lines
}

/// What the script prints, and whether it finds the file whole; none where it cannot be run.
fn python_says(subject: &SubjectId, name: &str, text: &str) -> Option<(bool, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&file, text).ok()?;
    let script = root.join("docs/verify_history.py");
    let output =
        Command::new("python3").arg(script).arg(subject.to_string()).arg(file).output().ok()?;
    let said = [output.stdout, output.stderr].concat();
    Some((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
}

#[test]
#[ignore = "needs python3"]
fn the_python_verifier_agrees_with_ours() {
    let subject = SubjectId::job(Namespace::default_namespace(), JobId(uuid::Uuid::from_u128(7)));
    let whole = export(&subject);
    let mut flipped = whole.clone();
    flipped[1] = flipped[1].replace("2.50", "2.5");
    let mut dropped = whole.clone();
    dropped.remove(0);
    let mut exchanged = whole.clone();
    exchanged.swap(1, 2);
    let cases = [
        ("whole.ndjson", whole.clone()),
        ("flipped.ndjson", flipped),
        ("dropped.ndjson", dropped),
        ("exchanged.ndjson", exchanged),
        ("cut.ndjson", whole[..2].to_vec()),
        ("cut-and-closed.ndjson", [&whole[..2], &whole[3..]].concat()),
        ("longer.ndjson", [&whole[..], &whole[..1]].concat()),
    ];
    for (name, lines) in cases {
        let text = lines.join("\n") + "\n";
        let (is_whole, said) =
            python_says(&subject, name, &text).unwrap_or_else(|| panic!("{name}: not run"));
        match verify(&subject, text.as_bytes()) {
            Ok(verified) => {
                assert!(is_whole, "{name}: {said}");
                assert!(said.contains(&verified.head.hex()), "{name}: {said}");
            }
            Err(damage) => {
                assert!(!is_whole, "{name}: {said}");
                let entry = format!("entry {}:", damage.index);
                assert!(said.contains(&entry), "{name}: {said}, ours: {damage}");
            }
        }
    }
}
