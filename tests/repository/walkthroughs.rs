//! ARCHITECTURE.md names the files that a request passes: each is there, and has the function that is said to be in it.

use super::{Outcome, read};

/// The pairs of a file and a function that a text names as "`path` (`function`)", over line ends.
fn named(text: &str) -> Vec<(String, String)> {
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut found = Vec::new();
    for (at, _) in flat.match_indices(".rs` (`") {
        let Some(path) = flat[..at].rsplit('`').next() else { continue };
        let rest = &flat[at + ".rs` (`".len()..];
        let Some((function, _)) = rest.split_once('`') else { continue };
        found.push((format!("{path}.rs"), function.to_owned()));
    }
    found
}

/// Whether a source has a function of this name, whatever its parameters.
fn has(source: &str, function: &str) -> bool {
    source
        .match_indices(&format!("fn {function}"))
        .any(|(at, found)| source[at + found.len()..].starts_with(['(', '<']))
}

#[test]
fn the_walkthroughs_name_what_a_request_passes() -> Outcome {
    let page = read("ARCHITECTURE.md")?;
    let paths = page.split_once("## The two hot paths").ok_or("no walkthroughs")?.1;
    let steps = named(paths);
    assert!(steps.len() >= 20, "{} steps: {steps:?}", steps.len());
    let mut missing = Vec::new();
    for (path, function) in steps {
        match read(&path) {
            Ok(source) if has(&source, &function) => {}
            Ok(_) => missing.push(format!("{path} has no `{function}`")),
            Err(error) => missing.push(error.to_string()),
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
    let planted = "`src/a.rs`\n  (`b`), then `src/c.rs` (`d`)";
    let pair = |path: &str, function: &str| (path.to_owned(), function.to_owned());
    assert_eq!(named(planted), [pair("src/a.rs", "b"), pair("src/c.rs", "d")]);
    assert!(!has("fn created() {}", "create"));
    Ok(())
}
