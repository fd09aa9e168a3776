//! Histories told again with a lie in them: for seeing checkers find it. Always holds: the chain of what is told again
//! holds, so that it is the lie that is found.

use domain::history::{chain, closing_line, export_line, genesis};
use domain::ids::SubjectId;
use serde_json::Value;

/// An export of these events whose chain holds.
pub(crate) fn told(of: &SubjectId, lines: &[Vec<u8>]) -> String {
    let (mut before, mut text) = (genesis(of), String::new());
    for (seq, line) in (1..).zip(lines) {
        let after = chain(before, line);
        text.push_str(&export_line(seq, before, after, &String::from_utf8_lossy(line)));
        text.push('\n');
        before = after;
    }
    text + &closing_line(lines.len() as u64, before, 0) + "\n"
}

/// An export, told again otherwise.
pub(crate) fn retold(of: &SubjectId, export: &str, lie: impl FnOnce(&mut Vec<Value>)) -> String {
    let lines = export.lines().map(serde_json::from_str::<Value>);
    let mut events: Vec<Value> =
        lines.filter_map(|line| line.expect("JSON").get_mut("event").map(Value::take)).collect();
    lie(&mut events);
    let lines: Vec<Vec<u8>> = events.iter().map(|event| event.to_string().into_bytes()).collect();
    told(of, &lines)
}

/// Where the n-th event with this fact is.
pub(crate) fn nth(events: &[Value], fact: &str, number: usize) -> usize {
    let mut all = events.iter().enumerate().filter(|(_, event)| event["fact"].get(fact).is_some());
    all.nth(number).expect("such an event").0
}
