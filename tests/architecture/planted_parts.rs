//! Proves the laws inside one folder alive, as `planted.rs` does for the others.

use crate::parts::{self, Folder};
use crate::planted::{files, found, nothing};

const FOLDER: Folder = Folder {
    module: &["engine", "core"],
    rows: &[&["message"], &["commit", "leases"], &["Core"], &["steps"]],
};

#[test]
fn a_planted_name_of_a_later_part_is_found_also_through_a_re_export() {
    let plant = |path, text| {
        let tree = [
            ("src/engine/core/mod.rs", "pub use self::steps::beat; pub struct Core {}"),
            ("src/engine/core/commit/mod.rs", "use crate::engine::core::message::Ticket;"),
            ("src/engine/core/steps/mod.rs", "use crate::engine::core::{Core, commit::Commits};"),
            (path, text),
        ];
        parts::part_order(&files(&tree), &FOLDER)
    };
    nothing(&plant("src/engine/core/commit/batch.rs", "use super::round::Round;"));
    let batch = "src/engine/core/commit/batch.rs";
    found(&plant(batch, "use crate::engine::core::Core;"), "`commit` may not name `Core`");
    found(&plant(batch, "use crate::engine::core::leases::Polls;"), "may not name `leases`");
    found(&plant(batch, "use super::super::steps::close;"), "`commit` may not name `steps`");
    found(&plant(batch, "use crate::engine::core::beat;"), "`commit` may not name `steps`");
    found(&plant(batch, "use crate::engine::core::Other;"), "`Other` has no place");
    found(&plant("src/engine/core/extra.rs", "//! extra"), "`extra` has no place");
    nothing(&plant("src/engine/handle.rs", "use crate::engine::core::Core;"));
    found(&parts::part_order(&files(&[]), &FOLDER), "no part found");
}

#[test]
fn a_planted_open_field_of_a_part_is_found() {
    let plant = |text: &str| {
        let tree = [
            ("src/engine/core/mod.rs", "pub struct Core { settings: Settings, commits: Commits }"),
            ("src/engine/core/settings.rs", "pub struct Settings {\n    pub max: usize,\n}"),
            ("src/engine/core/commit/mod.rs", text),
        ];
        parts::own_fields(&files(&tree), "Core", &["Settings"])
    };
    nothing(&plant("pub struct Commits {\n    open: u8,\n    pub(super) all: u8,\n}"));
    found(&plant("pub struct Commits {\n    pub(crate) open: u8,\n}"), "opens `pub(crate) open");
    found(&plant("struct Commits {\n    pub open: u8,\n}"), "`Commits` is a part of `Core`");
    found(&parts::own_fields(&files(&[]), "Core", &[]), "no struct `Core`");
}
