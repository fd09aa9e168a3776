//! The checks behind the tables of `architecture.rs`: each takes source files and a table, and returns a line for
//! every place that breaks the law, with what to do about it.
//!
//! A check never reads the disk, so `planted.rs` can hand it text that breaks it. Test code (files of tests, items
//! under `#[cfg(test)]`) may name what it likes; how a file looks holds for tests too.

use std::collections::BTreeMap;

use crate::source::{NamedPath, SourceFile};
use crate::{KIND_TABLES, KINDS_OF_THE_CORE, NO_KINDS};

pub(crate) fn at(file: &SourceFile, path: &NamedPath) -> String {
    format!("{}:{}: `{}`", file.path, path.line, path.segments.join("::"))
}

/// Where a top-level module stands in the order, if it is in it.
pub(crate) fn rank(order: &[&[&str]], name: &str) -> Option<usize> {
    order.iter().position(|row| row.contains(&name))
}

/// Every place, outside test code, that names something inside the crate: the file, the path as written, and the
/// path from the crate root on.
pub(crate) fn inner_paths(
    files: &[SourceFile],
) -> impl Iterator<Item = (&SourceFile, &NamedPath, Vec<String>)> {
    files.iter().filter(|file| !file.is_test()).flat_map(|file| {
        file.paths.iter().filter_map(move |path| Some((file, path, file.inside_crate(path)?)))
    })
}

/// `crate::<layer>` only downward; every top-level module has its place; the crate root re-exports nothing.
pub(crate) fn layer_order(files: &[SourceFile], layers: &[&[&str]]) -> Vec<String> {
    let mut broken = Vec::new();
    for file in files {
        let module = file.module();
        let Some(layer) = module.first() else {
            for path in file.paths.iter().filter(|path| path.exported) {
                broken.push(format!(
                    "{} is re-exported by the crate root, which hides cycles",
                    at(file, path)
                ));
            }
            continue;
        };
        if rank(layers, layer).is_none() {
            broken.push(format!("{}: `{layer}` is no layer; give it a place in LAYERS", file.path));
        }
    }
    for (file, path, target) in inner_paths(files) {
        let module = file.module();
        let (Some(from), Some(to)) = (module.first(), target.first()) else { continue };
        if from == to {
            continue;
        }
        match (rank(layers, from), rank(layers, to)) {
            (Some(above), Some(below)) if below < above => {}
            (Some(_), Some(_)) => {
                broken.push(format!("{} goes up: `{from}` may not name `{to}`", at(file, path)));
            }
            (_, None) => broken.push(format!("{}: `{to}` is no layer", at(file, path))),
            (None, _) => {}
        }
    }
    broken
}

/// The domain's stages: a module names only what is of its own stage or an earlier one. Names that a `mod.rs`
/// re-exports are followed to where they come from.
pub(crate) fn domain_order(files: &[SourceFile], stages: &[&[&str]]) -> Vec<String> {
    let mut broken = Vec::new();
    let modules: Vec<Vec<String>> = files.iter().map(SourceFile::module).collect();
    let exports = exports(files);
    for file in files.iter().filter(|file| !file.is_test()) {
        if only_declares(file) {
            let globs = file
                .paths
                .iter()
                .filter(|path| path.segments.last().is_some_and(|last| last == "*"));
            broken.extend(
                globs.map(|path| {
                    format!("{}: a glob hides where a name comes from", at(file, path))
                }),
            );
        } else if stage(stages, &file.module()).is_none() {
            broken.push(format!("{}: has no place in DOMAIN_STAGES; give it one", file.path));
        }
    }
    for (file, path, target) in inner_paths(files).filter(|(file, ..)| !only_declares(file)) {
        let target = follow(&exports, target);
        let Some(module) = (0..=target.len())
            .rev()
            .map(|n| &target[..n])
            .find(|part| modules.iter().any(|m| m == part))
        else {
            continue;
        };
        if let (Some(from), Some(to)) = (stage(stages, &file.module()), stage(stages, module))
            && to > from
        {
            let (module, written) = (module.join("::"), at(file, path));
            broken.push(format!(
                "{written} names a later stage: `{module}` stands after this file in DOMAIN_STAGES"
            ));
        }
    }
    broken
}

/// No kind of subject names another, and what all of them share names none.
pub(crate) fn kinds_apart(files: &[SourceFile], kinds: &[&str]) -> Vec<String> {
    let mut broken = Vec::new();
    for (file, path, target) in inner_paths(files) {
        let module = file.module();
        let (Some(from), Some(to)) = (module.first(), target.first()) else { continue };
        let bound = kinds.contains(&from.as_str()) || from == "subject";
        if bound && from != to && kinds.contains(&to.as_str()) {
            broken.push(format!(
                "{}: `{from}` may not name `{to}`; what both need belongs into `subject`",
                at(file, path)
            ));
        }
    }
    broken
}

/// The variant of a kind: `Job` for `job`.
fn variant_of(kind: &str) -> String {
    let (first, rest) = kind.split_at(1);
    first.to_uppercase() + rest
}

/// Nobody but the tables, and the files of one kind, names a variant of an enum that has one for each: then nobody lists
/// the kinds, and one more of them touches nobody.
pub(crate) fn kinds_listed(
    files: &[SourceFile],
    kinds: &[&str],
    enums: &[&str],
    of_one_kind: &[(&str, &str)],
) -> Vec<String> {
    let variants: Vec<String> = kinds.iter().map(|kind| variant_of(kind)).collect();
    let lists = |file: &SourceFile, path: &NamedPath| {
        let own = file.path.starts_with(KINDS_OF_THE_CORE)
            || KIND_TABLES.contains(&file.path.as_str())
            || of_one_kind.iter().any(|(place, _)| *place == file.path);
        let is_variant = |pair: &[String]| {
            enums.contains(&pair[0].as_str()) && (variants.contains(&pair[1]) || pair[1] == "*")
        };
        !own && path.segments.windows(2).any(is_variant)
    };
    let mut broken = Vec::new();
    for file in files.iter().filter(|file| !file.is_test()) {
        let listed = file.paths.iter().filter(|path| lists(file, path));
        broken.extend(listed.map(|path| {
            let advice = "ask the kind (`Kind`), or for the one that is meant (`Entity::job`)";
            format!("{}: kinds are listed only in their tables; {advice}", at(file, path))
        }));
    }
    for (place, _) in of_one_kind {
        if !files.iter().any(|file| file.path == *place) {
            broken.push(format!("{place}: is in FILES_OF_ONE_KIND and not in the tree"));
        }
    }
    broken
}

/// Each kind has its folder in the domain, its file in the core and its row in each table; each file there is of a kind.
pub(crate) fn kinds_placed(files: &[SourceFile], kinds: &[&str]) -> Vec<String> {
    let mut broken = Vec::new();
    let core_file = |kind: &str| format!("{KINDS_OF_THE_CORE}{kind}.rs");
    for kind in kinds {
        let (folder, file) = (format!("domain/src/{kind}/"), core_file(kind));
        if !files.iter().any(|file| file.path.starts_with(&folder)) {
            broken.push(format!("{folder}: is not there, and `{kind}` is a kind of subject"));
        }
        if !files.iter().any(|known| known.path == file) {
            broken.push(format!("{file}: is not there, and `{kind}` is a kind of subject"));
        }
        for table in KIND_TABLES {
            let row = |line: &str| {
                let rest = line.trim_start().strip_prefix(variant_of(kind).as_str());
                rest.is_some_and(|rest| rest.starts_with([' ', '(']))
            };
            let known = files.iter().find(|file| file.path == **table);
            if !known.is_some_and(|file| file.code.lines().any(row)) {
                broken.push(format!("{table}: `{kind}` has no row"));
            }
        }
    }
    for file in files.iter().filter(|file| file.path.starts_with(KINDS_OF_THE_CORE)) {
        let is_kind = kinds.iter().chain(NO_KINDS).any(|name| file.path == core_file(name));
        if !is_kind {
            broken.push(format!("{}: is of no kind in KINDS", file.path));
        }
    }
    broken
}

fn only_declares(file: &SourceFile) -> bool {
    file.path.ends_with("/mod.rs") || file.path.ends_with("/lib.rs")
}

/// The last word of the module's path that has a stage.
fn stage(stages: &[&[&str]], module: &[String]) -> Option<usize> {
    module.iter().rev().find_map(|word| rank(stages, word))
}

/// What each `mod.rs` re-exports by name: the outer path and where it leads.
pub(crate) fn exports(files: &[SourceFile]) -> BTreeMap<Vec<String>, Vec<String>> {
    let mut exports = BTreeMap::new();
    for file in files.iter().filter(|file| only_declares(file)) {
        for path in file.paths.iter().filter(|path| path.exported) {
            let mut inside = file.module();
            inside.extend(path.segments.iter().cloned());
            let target = file.inside_crate(path).unwrap_or(inside);
            let Some(name) = path.segments.last() else { continue };
            let mut outer = file.module();
            outer.push(name.clone());
            exports.insert(outer, target);
        }
    }
    exports
}

/// Follows re-exports a few steps; more than that is a façade of façades.
pub(crate) fn follow(
    exports: &BTreeMap<Vec<String>, Vec<String>>,
    mut target: Vec<String>,
) -> Vec<String> {
    for _ in 0..4 {
        let Some((length, exported)) = (1..=target.len())
            .rev()
            .find_map(|length| Some((length, exports.get(&target[..length])?)))
        else {
            break;
        };
        let rest = target.split_off(length);
        if *exported == target {
            target.extend(rest);
            break;
        }
        target.clone_from(exported);
        target.extend(rest);
    }
    target
}

/// The domain's manifest names only the crates that were looked at, without the features that act.
pub(crate) fn domain_dependencies(
    domain: &str,
    workspace: &str,
    allowed: &[&str],
    refused: &[&str],
) -> Vec<String> {
    let mut broken = Vec::new();
    let mut found = 0;
    for (name, line) in entries(domain, "[dependencies]") {
        found += 1;
        if !allowed.contains(&name) {
            broken.push(format!(
                "domain/Cargo.toml: `{name}` is not among the crates the rules may use"
            ));
        }
        let inherited = entries(workspace, "[workspace.dependencies]")
            .find(|(inherited, _)| *inherited == name);
        let lines = [line, inherited.map_or("", |(_, line)| line)];
        for feature in refused
            .iter()
            .filter(|feature| lines.iter().any(|l| l.contains(&format!("\"{feature}\""))))
        {
            broken.push(format!(
                "`{name}` is taken with `{feature}`, with which a rule could act on its own"
            ));
        }
    }
    if found == 0 {
        broken.push(
            "domain/Cargo.toml: no dependencies found; is the section still called so?".to_owned(),
        );
    }
    broken
}

/// The manifest of a package that is compiled beside the engine names neither the engine nor, but for what is allowed,
/// anything else of this repository.
pub(crate) fn built_without_the_engine(
    path: &str,
    manifest: &str,
    allowed: &[&str],
) -> Vec<String> {
    let entries: Vec<_> = entries(manifest, "[dependencies]").collect();
    if entries.is_empty() {
        return vec![format!("{path}: no dependencies found; is the section still called so?")];
    }
    let engine =
        |line: &str| line.contains("path = \"../..") || line.contains("package = \"orrery");
    let ours =
        |name: &str, line: &str| name == "orrery" || name.starts_with("orrery-") || engine(line);
    let named = entries.iter().filter(|(name, line)| ours(name, line) && !allowed.contains(name));
    named
        .map(|(name, _)| format!("{path}: `{name}` is the engine's; this is compiled beside it"))
        .collect()
}

/// A test that returns from its own body, or from an `if` or `else` of it, passes without having tried anything. What cannot
/// run everywhere is `#[ignore]`d with the reason. (A search that returns from its loop is deeper than that.)
pub(crate) fn no_test_passes_untried(files: &[SourceFile]) -> Vec<String> {
    let mut broken = Vec::new();
    for file in files {
        // How far the test is indented whose body is read.
        let mut test: Option<usize> = None;
        for (number, line) in (1..).zip(file.text.lines()) {
            let words = line.trim_start();
            let indent = line.len() - words.len();
            if words.starts_with("#[test]") || words.starts_with("#[tokio::test") {
                test = Some(indent);
            } else if test.is_some_and(|of| words == "}" && indent == of) {
                test = None;
            }
            let leaves = words == "return;" || line.ends_with("else { return };");
            if leaves && test.is_some_and(|of| indent <= of + 8) {
                broken
                    .push(format!("{}:{number}: a test passes without having tried it", file.path));
            }
        }
    }
    broken
}

/// The entries of one section of a manifest: name and line.
fn entries<'a>(manifest: &'a str, section: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    let lines = manifest.lines().skip_while(move |line| line.trim() != section).skip(1);
    lines.take_while(|line| !line.starts_with('[')).filter_map(|line| {
        let name = line.split(['=', '.']).next()?.trim();
        (!name.is_empty() && !name.starts_with('#')).then_some((name, line))
    })
}

const IMPLEMENTATIONS: &[&str] = &["sqlite", "mongodb", "memory"];

fn implementation(module: &[String]) -> Option<&'static str> {
    let inside = module.get(1)?;
    IMPLEMENTATIONS.iter().copied().find(|name| inside.starts_with(name))
}

/// Contract before implementations, implementations apart.
pub(crate) fn store_implementations(files: &[SourceFile]) -> Vec<String> {
    let mut broken = Vec::new();
    for (file, path, target) in inner_paths(files).filter(|(file, ..)| !only_declares(file)) {
        let module = file.module();
        let [layer, ..] = &module[..] else { continue };
        if !["event_store", "view", "membership"].contains(&layer.as_str())
            || target.first() != Some(layer)
        {
            continue;
        }
        let (from, to) = (implementation(&module), implementation(&target));
        if to.is_some() && from != to {
            broken.push(format!(
                "{}: a store's files may not name the implementation of another",
                at(file, path)
            ));
        }
    }
    broken
}

/// `lifecycle` names no service, and no service names another: they meet as commands to a subject.
pub(crate) fn services_apart(files: &[SourceFile]) -> Vec<String> {
    let services: Vec<Vec<String>> = files
        .iter()
        .map(SourceFile::module)
        .filter(|module| module.len() >= 2 && module[0] == "services")
        .collect();
    let mut broken = Vec::new();
    for (file, path, target) in inner_paths(files) {
        let module = file.module();
        if module.first().is_none_or(|layer| layer != "services")
            || target.first() != module.first()
        {
            continue;
        }
        let (Some(from), Some(to)) = (module.get(1), target.get(1)) else { continue };
        if from != to
            && to != "lifecycle"
            && services.iter().any(|service| service.get(1) == Some(to))
        {
            broken.push(format!(
                "{}: `{from}` may not name `{to}`; send its subject a command",
                at(file, path)
            ));
        }
    }
    broken
}

/// Which file may name which outside crate.
pub(crate) fn outside_crates(files: &[SourceFile], table: &[(&[&str], &[&str])]) -> Vec<String> {
    let mut broken = Vec::new();
    for file in files.iter().filter(|file| !file.is_test()) {
        for path in &file.paths {
            let names_it = |crates: &&[&str]| {
                path.segments.first().is_some_and(|first| crates.contains(&first.as_str()))
                    && (path.imported || path.segments.len() > 1)
            };
            let Some((_, places)) = table.iter().find(|(crates, _)| names_it(crates)) else {
                continue;
            };
            if !places.iter().any(|place| file.path.starts_with(place)) {
                broken.push(format!("{}: that crate belongs to {places:?}", at(file, path)));
            }
        }
    }
    broken
}

/// Tasks and threads are started only where somebody waits for their end.
pub(crate) fn starters(files: &[SourceFile], tasks: &[&str], threads: &[&str]) -> Vec<String> {
    let mut broken = Vec::new();
    for file in files.iter().filter(|file| !file.is_test()) {
        for path in &file.paths {
            let names: Vec<&str> = path.segments.iter().map(String::as_str).collect();
            let (thing, places) = match &names[..] {
                ["tokio", .., "spawn" | "spawn_blocking" | "spawn_local" | "JoinSet"]
                | ["task", "spawn" | "spawn_blocking" | "spawn_local" | "JoinSet"]
                | ["tokio_util", .., "TaskTracker"] => ("task", tasks),
                ["std", "thread", "spawn" | "Builder" | "scope"]
                | ["thread", "spawn" | "Builder" | "scope"] => ("thread", threads),
                _ => continue,
            };
            if !places.iter().any(|place| file.path.starts_with(place)) {
                broken.push(format!("{}: a {thing} is started only by {places:?}", at(file, path)));
            }
        }
    }
    broken
}

/// No clock, no IO, no waiting, and no hashed map whose order could reach an answer.
pub(crate) fn deterministic(
    files: &[SourceFile],
    places: &[&str],
    never: &[&str],
    marker: &str,
) -> Vec<String> {
    let mut broken = Vec::new();
    let inside = |file: &&SourceFile| {
        !file.is_test() && places.iter().any(|place| file.path.starts_with(place))
    };
    for file in files.iter().filter(inside) {
        let marked = file.comments.contains(marker);
        for path in &file.paths {
            let written = path.segments.join("::");
            let begins = |name: &&&str| {
                written.strip_prefix(**name).is_some_and(|r| r.is_empty() || r.starts_with("::"))
            };
            if let Some(name) = never.iter().find(begins)
                && (path.imported || path.segments.len() > 1)
            {
                broken.push(format!("{}: deterministic code never names `{name}`", at(file, path)));
            }
            let names = |words: &[&str]| {
                path.segments.iter().any(|segment| words.contains(&segment.as_str()))
            };
            if names(&["HashMap", "HashSet", "hash_map", "hash_set"]) && !marked {
                let advice =
                    format!("take a BTreeMap, or say why in a comment `// {marker} <reason>`");
                broken.push(format!("{}: a hashed map has no order; {advice}", at(file, path)));
            }
            if names(&["async", "await"]) {
                broken.push(format!("{}: a decision never waits", at(file, path)));
            }
        }
    }
    broken
}

/// The core asks for appends and reads as data; the executor alone holds a store.
pub(crate) fn core_without_stores(files: &[SourceFile]) -> Vec<String> {
    let mut broken = Vec::new();
    for file in
        files.iter().filter(|file| file.path.starts_with("src/engine/core/") && !file.is_test())
    {
        for path in &file.paths {
            let target = file.inside_crate(path).unwrap_or_default();
            let store = matches!(
                target.first().map(String::as_str),
                Some("event_store" | "view" | "membership")
            );
            let named =
                path.segments.last().is_some_and(|last| last == "EventStore" || last == "View");
            if named || store && implementation(&target).is_some() {
                broken.push(format!(
                    "{}: the core names no store, only the data that goes to one",
                    at(file, path)
                ));
            }
        }
    }
    broken
}

/// Counts the methods of the store traits, all together.
pub(crate) fn store_methods(
    files: &[SourceFile],
    contracts: &[(&str, &str)],
    max: usize,
) -> Vec<String> {
    let mut total = 0;
    let mut broken = Vec::new();
    for (place, name) in contracts {
        let count = files
            .iter()
            .find(|file| file.path == *place)
            .map_or(0, |file| methods_of_trait(&file.code, name));
        if count == 0 {
            broken.push(format!("{place}: no trait `{name}` with methods found"));
        }
        total += count;
    }
    if total > max {
        broken.push(format!("the store traits have {total} methods, {max} is the most"));
    }
    broken
}

fn methods_of_trait(code: &str, name: &str) -> usize {
    let words: Vec<&str> =
        code.split(|c: char| !(c.is_alphanumeric() || "_{}".contains(c))).collect();
    let words: Vec<&str> = words.iter().flat_map(|word| word.split_inclusive(['{', '}'])).collect();
    let Some(start) = words
        .windows(2)
        .position(|pair| pair[0] == "trait" && pair[1].trim_end_matches('{') == name)
    else {
        return 0;
    };
    let (mut depth, mut methods) = (0_usize, 0);
    for word in &words[start + 1..] {
        if *word == "fn" && depth == 1 {
            methods += 1;
        }
        if word.ends_with('{') {
            depth += 1;
        }
        if word.ends_with('}') {
            depth -= 1;
            if depth == 0 {
                break;
            }
        }
    }
    methods
}

/// `//!` first, in every file.
pub(crate) fn opens_with_purpose(files: &[SourceFile]) -> Vec<String> {
    let without = files.iter().filter(|file| !file.text.starts_with("//!"));
    without
        .map(|file| {
            format!("{}: opens without `//!`: what it decides, what always holds", file.path)
        })
        .collect()
}

/// Lines up to `max`, test items not counted; a longer one needs an entry, and an entry a longer one.
pub(crate) fn file_lengths(
    files: &[SourceFile],
    max: usize,
    longer: &[(&str, usize, &str)],
) -> Vec<String> {
    let mut broken = Vec::new();
    for file in files.iter().filter(|file| !file.is_test()) {
        let lines = lines_without_tests(file);
        let entry = longer.iter().find(|(path, ..)| *path == file.path);
        let allowed = entry.map_or(max, |(_, allowed, _)| *allowed);
        if lines > allowed {
            broken.push(format!(
                "{}: {lines} lines, {allowed} is the most; split it by meaning",
                file.path
            ));
        }
        if entry.is_some() && lines <= max {
            broken.push(format!("{}: short enough now; take it out of LONGER_FILES", file.path));
        }
    }
    for (path, _, reason) in longer {
        if !files.iter().any(|file| file.path == *path) {
            broken.push(format!("{path}: is in LONGER_FILES and not in the tree"));
        }
        if reason.is_empty() {
            broken.push(format!("{path}: is in LONGER_FILES without a reason"));
        }
    }
    broken
}

/// A line counts when something of it is left after test items were blanked, or it never held any code.
fn lines_without_tests(file: &SourceFile) -> usize {
    let plain = SourceFile::parse("tests/plain.rs", &file.text);
    let lines = plain.code.lines().zip(file.code.lines());
    lines.filter(|(whole, without)| whole.trim().is_empty() || !without.trim().is_empty()).count()
}

/// Files are named after a thing or a verb.
pub(crate) fn file_names(files: &[SourceFile], refused: &[&str]) -> Vec<String> {
    let says_nothing = |file: &&SourceFile| {
        file.path.trim_end_matches(".rs").split('/').any(|part| refused.contains(&part))
    };
    files
        .iter()
        .filter(says_nothing)
        .map(|file| format!("{}: name it after what it holds", file.path))
        .collect()
}

/// Every open end in a comment carries the number of its issue.
pub(crate) fn open_ends_have_issues(files: &[SourceFile]) -> Vec<String> {
    let mut broken = Vec::new();
    for file in files {
        for (index, line) in file.comments.lines().enumerate() {
            let words = line.split(|c: char| !c.is_alphanumeric() && c != '#').collect::<Vec<_>>();
            let open = words.iter().any(|word| ["TODO", "FIXME"].contains(word));
            let issue = words.iter().any(|word| {
                word.strip_prefix('#')
                    .is_some_and(|n| !n.is_empty() && n.chars().all(|c| c.is_ascii_digit()))
            });
            if open && !issue {
                broken.push(format!(
                    "{}:{}: open, without the number of an issue",
                    file.path,
                    index + 1
                ));
            }
        }
    }
    broken
}
