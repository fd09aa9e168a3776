//! The language of the tree: words that were replaced do not come back, the glossary stays short, a comment says more
//! than the name it stands over, and a public type's name means one type.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::{Outcome, read, root, rust_files};

/// Words that are not used any more, with what to say instead. Each is matched as a word, or as a part of a name that
/// stands between underscores or capitals.
const REPLACED: [(&str, &str); 19] = [
    ("nudge", "append notice"),
    ("nudges", "append notices"),
    ("nudged", "told by an append notice"),
    ("wake mark", "wake-up"),
    ("guest", "transient"),
    ("bury", "evict"),
    ("buries", "evicts"),
    ("buried", "evicted"),
    ("burial", "eviction"),
    ("wish", "poll"),
    ("wishes", "polls"),
    ("stirred", "has_new_work"),
    ("tended", "inspection"),
    ("hasten", "prioritize"),
    ("unlooked", "unscanned"),
    ("answerer", "engine header"),
    ("liking", "rendezvous weight"),
    ("deaf", "stalled"),
    ("put off", "shed"),
];

/// The glossary's entries at most: what needs more words is not said simply enough.
const GLOSSARY_MAX: usize = 40;

/// A doc comment of so few words only repeats the name under it.
const WORDS_MIN: usize = 3;

fn texts(folders: &[&str]) -> Result<Vec<(PathBuf, String)>, Box<dyn std::error::Error>> {
    let mut files = Vec::new();
    for folder in folders {
        rust_files(&root().join(folder), &mut files)?;
    }
    let read = |path: PathBuf| fs::read_to_string(&path).map(|text| (path, text));
    Ok(files.into_iter().map(read).collect::<Result<_, _>>()?)
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// The words of a line in lower case, names taken apart at underscores and capitals, each with a space on both sides.
fn words_of(line: &str) -> String {
    let mut words = String::from(" ");
    let mut before = ' ';
    for letter in line.chars() {
        if letter.is_uppercase() && before.is_lowercase() {
            words.push(' ');
        }
        if letter.is_alphanumeric() {
            words.extend(letter.to_lowercase());
        } else if !words.ends_with(' ') {
            words.push(' ');
        }
        before = letter;
    }
    words.push(' ');
    words
}

/// Where a replaced word stands in a text, with what to say instead.
fn replaced_in(path: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let words = words_of(line);
        for (word, instead) in REPLACED {
            if words.contains(&format!(" {word} ")) {
                found.push(format!("{path}:{}: `{word}`, say `{instead}`", number + 1));
            }
        }
    }
    found
}

#[test]
fn words_that_were_replaced_do_not_come_back() -> Outcome {
    let mut found = Vec::new();
    for (path, text) in texts(&["src", "client", "domain", "tests", "benches"])? {
        // What older data folders call their tables stands in the steps that carry them over.
        if !path.ends_with("repository/language.rs") && !path.ends_with("sqlite/schema.rs") {
            found.extend(replaced_in(&shown(&path), &text));
        }
    }
    for page in fs::read_dir(root().join("docs"))? {
        let path = page?.path();
        if path.extension().is_some_and(|ending| ending == "md") {
            found.extend(replaced_in(&shown(&path), &fs::read_to_string(&path)?));
        }
    }
    assert!(found.is_empty(), "{found:#?}");
    let planted = "    let wake_mark = nudgesWritten(); // the wish of a guest";
    assert_eq!(replaced_in("planted", planted).len(), 4, "what is looked for is found");
    Ok(())
}

#[test]
fn the_glossary_is_short_and_says_each_word_once() -> Outcome {
    let page = read("docs/glossary.md")?;
    let words: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(" | ").next())
        .filter(|word| *word != "word")
        .collect();
    assert!((20..=GLOSSARY_MAX).contains(&words.len()), "{} entries", words.len());
    let once: BTreeSet<&&str> = words.iter().collect();
    assert_eq!(once.len(), words.len(), "a word has two meanings");
    Ok(())
}

/// Doc comments of one line that say less than a name does.
fn short_comments(text: &str) -> Vec<usize> {
    let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
    let is_doc = |at: Option<usize>| {
        at.and_then(|at| lines.get(at)).is_some_and(|line| line.starts_with("///"))
    };
    lines
        .iter()
        .enumerate()
        .filter(|(at, line)| {
            line.strip_prefix("///").is_some_and(|said| {
                said.split_whitespace().count() < WORDS_MIN
                    && !is_doc(at.checked_sub(1))
                    && !is_doc(Some(at + 1))
            })
        })
        .map(|(at, _)| at + 1)
        .collect()
}

#[test]
fn a_comment_says_more_than_the_name_under_it() -> Outcome {
    let mut found = Vec::new();
    for (path, text) in texts(&["src", "client/src", "domain/src"])? {
        let here = shown(&path);
        found.extend(short_comments(&text).into_iter().map(|line| format!("{here}:{line}")));
    }
    assert!(found.is_empty(), "{} say less than three words: {found:#?}", found.len());
    assert_eq!(short_comments("struct A {\n    /// Whose.\n    owner: B,\n}"), [2]);
    Ok(())
}

/// The name of a type that a line declares to others.
fn declared(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("pub ").or_else(|| {
        line.strip_prefix("pub(").and_then(|rest| rest.split_once(") ")).map(|(_, rest)| rest)
    })?;
    let rest = rest.strip_prefix("struct ").or_else(|| rest.strip_prefix("enum "))?;
    rest.split(|letter: char| !letter.is_alphanumeric()).next()
}

#[test]
fn the_name_of_a_public_type_means_one_type() -> Outcome {
    let mut owners: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (path, text) in texts(&["src", "client/src", "domain/src"])? {
        for name in super::without_tests(&text).lines().filter_map(declared) {
            owners.entry(name.to_owned()).or_default().push(shown(&path));
        }
    }
    owners.retain(|_, files| files.len() > 1);
    assert!(owners.is_empty(), "named twice or more: {owners:#?}");
    assert_eq!(declared("pub(in crate::http) struct Held<'a> {"), Some("Held"));
    Ok(())
}
