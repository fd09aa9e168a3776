//! The laws inside one folder: which of its parts may name which, and that what a struct is made of owns its fields.
//!
//! A part is a file or a folder directly below the folder that the law is for; an item of the folder's own `mod.rs` may
//! have a place in the order too, so that only the parts behind it name it.

use std::collections::BTreeMap;

use crate::laws::{at, exports, follow, inner_paths, rank};
use crate::source::SourceFile;

/// The order of the parts of one folder, lowest first: a part names only parts of an earlier row, and itself. Those of
/// one row do not name each other.
pub(crate) struct Folder {
    /// As a path from the crate root: `engine::core`.
    pub(crate) module: &'static [&'static str],
    pub(crate) rows: &'static [&'static [&'static str]],
}

/// Every part of the folder has its place, and names only what stands before it.
pub(crate) fn part_order(files: &[SourceFile], folder: &Folder) -> Vec<String> {
    let depth = folder.module.len();
    let exports = exports(files);
    let mut broken = Vec::new();
    let mut placed: BTreeMap<String, bool> = BTreeMap::new();
    for file in files.iter().filter(|file| !file.is_test()) {
        let module = file.module();
        if let Some(part) = part_of(&module, folder)
            && rank(folder.rows, part).is_none()
        {
            broken.push(format!("{}: `{part}` has no place in the order of parts", file.path));
        }
        if let Some(part) = part_of(&module, folder) {
            placed.insert(part.to_owned(), true);
        }
    }
    if placed.is_empty() {
        broken.push(format!("{}: no part found", folder.module.join("::")));
    }
    for (file, path, target) in inner_paths(files) {
        let module = file.module();
        let Some(from) = part_of(&module, folder) else { continue };
        let target = follow(&exports, target);
        let Some(to) = part_of(&target, folder).filter(|to| *to != from) else { continue };
        match (rank(folder.rows, from), rank(folder.rows, to)) {
            (Some(above), Some(below)) if below < above => {}
            (Some(_), Some(_)) => {
                broken.push(format!("{}: `{from}` may not name `{to}`", at(file, path)));
            }
            (Some(_), None) if target.len() == depth + 1 => {
                broken
                    .push(format!("{}: `{to}` has no place, so no part names it", at(file, path)));
            }
            (Some(_) | None, None) | (None, Some(_)) => {}
        }
    }
    broken
}

/// The part that a path leads into; none for a path out of the folder, or to the folder itself.
fn part_of<'a>(path: &'a [String], folder: &Folder) -> Option<&'a str> {
    let inside = path.len() > folder.module.len()
        && folder.module.iter().zip(path).all(|(wanted, segment)| wanted == segment);
    inside.then(|| path[folder.module.len()].as_str())
}

/// The structs that the fields of `whole` are made of have no field that another part may change: none is visible
/// beyond its own folder. `data`: types whose fields are there to be read.
pub(crate) fn own_fields(files: &[SourceFile], whole: &str, data: &[&str]) -> Vec<String> {
    let Some(fields) = files.iter().find_map(|file| body_of(&file.code, whole)) else {
        return vec![format!("no struct `{whole}` found")];
    };
    let words = |text: &str| -> Vec<String> {
        let words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
        words.map(str::to_owned).collect()
    };
    let mut types: Vec<String> = words(fields);
    types.retain(|word| word.starts_with(char::is_uppercase) && !data.contains(&word.as_str()));
    types.sort();
    types.dedup();
    let mut broken = Vec::new();
    for name in types {
        for file in files.iter().filter(|file| !file.is_test()) {
            let Some(body) = body_of(&file.code, &name) else { continue };
            let opened = body
                .lines()
                .map(str::trim)
                .filter(|line| line.starts_with("pub") && !line.starts_with("pub(super)"));
            broken.extend(opened.map(|line| {
                format!("{}: `{name}` is a part of `{whole}` and opens `{line}`", file.path)
            }));
        }
    }
    broken
}

/// What stands between the braces of a struct.
fn body_of<'a>(code: &'a str, name: &str) -> Option<&'a str> {
    let start = format!("struct {name} {{");
    let from = code.find(&start)? + start.len();
    let rest = &code[from..];
    rest.find('}').map(|end| &rest[..end])
}
