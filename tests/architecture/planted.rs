//! Proves every law alive: text that breaks it is found, text that only looks like it is not.
//!
//! A check that stops finding its planted fault fails here, not silently in a review.

use crate::laws;
use crate::source::SourceFile;
use crate::{
    DETERMINISTIC, DOMAIN_DEPENDENCIES, DOMAIN_FEATURES_REFUSED, DOMAIN_STAGES, ENUMS_OF_KINDS,
    FILE_NAMES_REFUSED, KINDS, LAYERS, LOOKUPS_ONLY, NEVER_DETERMINISTIC, OUTSIDE_CRATES,
    TASK_STARTERS, THREAD_STARTERS,
};

pub(crate) fn files(planted: &[(&str, &str)]) -> Vec<SourceFile> {
    planted.iter().map(|(path, text)| SourceFile::parse(path, text)).collect()
}

#[track_caller]
pub(crate) fn found(broken: &[String], part: &str) {
    assert!(
        broken.len() == 1 && broken[0].contains(part),
        "wanted one with {part:?}, got {broken:#?}"
    );
}

#[track_caller]
pub(crate) fn nothing(broken: &[String]) {
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn comments_strings_and_test_items_are_no_code() {
    let text = r##"//! crate::http
/* crate::http /* nested crate::http */ */
const A: &str = "crate::http \" crate::http";
const B: &str = r#"crate::http "quoted" crate::http"#;
const C: char = '"'; fn f<'a>(x: &'a str) { crate::cli::run(x) } // crate::http
#[cfg(test)]
mod tests { use crate::http::Router; fn g() { if true {} } }
#[cfg(test)]
use crate::http::Router;
"##;
    let file = SourceFile::parse("src/engine/x.rs", text);
    let inside: Vec<_> = file.paths.iter().filter(|path| path.segments[0] == "crate").collect();
    assert_eq!(inside.len(), 1, "{inside:?}");
    assert_eq!((inside[0].line, inside[0].segments.join("::").as_str()), (5, "crate::cli::run"));
    assert_eq!(file.code.lines().count(), text.lines().count());
}

#[test]
fn groups_and_relative_paths_are_expanded() {
    let file = SourceFile::parse(
        "src/a/b.rs",
        "pub use crate::{x::{y, self}, z::*}; use super::c; use self::d::e;",
    );
    let inside: Vec<String> = file
        .paths
        .iter()
        .filter_map(|path| file.inside_crate(path))
        .map(|path| path.join("::"))
        .collect();
    assert_eq!(inside, ["x::y", "x::self", "z::*", "a::c", "a::b::d::e"]);
    let exported = |name: &str| {
        file.paths.iter().any(|path| path.exported && path.segments.iter().any(|s| s == name))
    };
    assert!(exported("y") && !exported("c"));
}

#[test]
fn a_planted_upward_import_is_found() {
    let up =
        files(&[("src/engine/core/residency.rs", "use crate::{config::Settings, http::problem};")]);
    found(&laws::layer_order(&up, LAYERS), "`engine` may not name `http`");
    let relative = files(&[("src/engine/mod.rs", "fn f() { super::services::start() }")]);
    found(&laws::layer_order(&relative, LAYERS), "`engine` may not name `services`");
    let beside = files(&[("src/view/sqlite.rs", "use crate::event_store::sqlite::open;")]);
    found(&laws::layer_order(&beside, LAYERS), "`view` may not name `event_store`");
    let down = files(&[(
        "src/http/router.rs",
        "use crate::{config::Settings, services::lifecycle, http::layers};",
    )]);
    nothing(&laws::layer_order(&down, LAYERS));
}

#[test]
fn a_planted_module_without_a_layer_is_found() {
    found(
        &laws::layer_order(&files(&[("src/extra.rs", "//! extra")]), LAYERS),
        "`extra` is no layer",
    );
    found(
        &laws::layer_order(&files(&[("src/lib.rs", "pub use http::Router;")]), LAYERS),
        "hides cycles",
    );
    found(
        &laws::layer_order(&files(&[("src/http/a.rs", "use crate::Router;")]), LAYERS),
        "`Router` is no layer",
    );
}

#[test]
fn a_planted_later_stage_is_found_also_through_a_re_export() {
    let tree = [
        (
            "domain/src/job/mod.rs",
            "pub mod apply; pub mod decide; pub mod state; pub use decide::submit::Submit;",
        ),
        ("domain/src/job/state.rs", "use crate::ids::JobId;"),
        ("domain/src/job/apply.rs", "use super::state::State;"),
        ("domain/src/job/decide/mod.rs", "pub mod submit;"),
        ("domain/src/job/decide/submit.rs", "use crate::job::apply::apply;"),
        ("domain/src/ids.rs", "//! ids"),
    ];
    nothing(&laws::domain_order(&files(&tree), DOMAIN_STAGES));
    let mut direct = tree;
    direct[2].1 = "use super::decide::submit::submit;";
    found(
        &laws::domain_order(&files(&direct), DOMAIN_STAGES),
        "names a later stage: `job::decide::submit`",
    );
    let mut hidden = tree;
    hidden[1].1 = "use super::Submit;";
    found(
        &laws::domain_order(&files(&hidden), DOMAIN_STAGES),
        "names a later stage: `job::decide::submit`",
    );
    let mut glob = tree;
    glob[3].1 = "pub mod submit; pub use submit::*;";
    found(&laws::domain_order(&files(&glob), DOMAIN_STAGES), "a glob hides");
    let unplaced = files(&[("domain/src/surprise.rs", "//! surprise")]);
    found(&laws::domain_order(&unplaced, DOMAIN_STAGES), "has no place");
}

#[test]
fn a_planted_name_of_another_kind_of_subject_is_found() {
    let check = |path, text| laws::kinds_apart(&files(&[(path, text)]), KINDS);
    found(
        &check("domain/src/environment/decide.rs", "use crate::job::command::Answer;"),
        "`environment` may not name `job`",
    );
    found(
        &check("domain/src/subject/envelope.rs", "use crate::job::event::JobFact;"),
        "`subject` may not name `job`",
    );
    nothing(&check(
        "domain/src/environment/decide.rs",
        "use crate::{ids::JobId, subject::answer};",
    ));
    nothing(&check("domain/src/job/decide/mod.rs", "use super::draft::Draft;"));
}

#[test]
fn a_planted_list_of_kinds_is_found() {
    let check =
        |path, text| laws::kinds_listed(&files(&[(path, text)]), KINDS, ENUMS_OF_KINDS, &[]);
    let timers = "src/engine/core/steps/timers.rs";
    found(
        &check(timers, "fn f() { if matches!(slot.entity, Some(Entity::Environment(_))) {} }"),
        "listed only in their tables",
    );
    found(
        &check("src/view/sqlite/lists.rs", "fn f() { match kind { SubjectKind::Job => g() } }"),
        "`SubjectKind::Job`",
    );
    found(&check(timers, "use crate::engine::core::kinds::Command::{Job, self};"), "Command::Job");
    found(&check(timers, "use domain::ids::SubjectKind::*;"), "`domain::ids::SubjectKind::*`");
    nothing(&check(timers, "fn f() { slot.entity.as_ref().and_then(Entity::job); }"));
    nothing(&check(timers, "fn f() { Command::from(JobCommand::Start); Counted::Environment; }"));
    nothing(&check("src/engine/core/kinds/entity.rs", "fn f() { Entity::Job(state) }"));
    let stale = laws::kinds_listed(&files(&[(timers, "")]), KINDS, ENUMS_OF_KINDS, &[("a", "b")]);
    found(&stale, "not in the tree");
}

#[test]
fn a_planted_kind_without_its_places_is_found() {
    let tree = [
        ("domain/src/job/state.rs", ""),
        ("domain/src/ids/kind.rs", "kinds! { Job = 0, \"job\", \"jobs\", Id; }"),
        ("src/engine/core/kinds/job.rs", ""),
        (
            "src/engine/core/kinds/table.rs",
            "kinds! {\n    Job(job) = domain::job::state::JobState;\n}",
        ),
    ];
    let rows = |tree: &[(&str, &str)]| laws::kinds_placed(&files(tree), &["job"]);
    let mut whole = tree;
    whole[1].1 = "kinds! {\n    Job = 0, \"job\", \"jobs\", Id;\n}";
    nothing(&rows(&whole));
    found(&rows(&tree), "domain/src/ids/kind.rs: `job` has no row");
    found(&rows(&whole[1..]), "domain/src/job/: is not there");
    found(&rows(&[whole[0], whole[1], whole[3]]), "src/engine/core/kinds/job.rs: is not there");
    let more = [whole[0], whole[1], whole[2], whole[3], ("src/engine/core/kinds/pool.rs", "")];
    found(&rows(&more), "is of no kind");
}

#[test]
fn a_planted_dependency_of_the_domain_is_found() {
    let check = |domain: &str, workspace: &str| {
        laws::domain_dependencies(domain, workspace, DOMAIN_DEPENDENCIES, DOMAIN_FEATURES_REFUSED)
    };
    let workspace =
        "[workspace.dependencies]\nchrono = { version = \"0.4\", features = [\"std\"] }\n";
    nothing(&check(
        "[dependencies]\nchrono = { workspace = true }\n[dev-dependencies]\nproptest = \"1\"",
        workspace,
    ));
    found(&check("[dependencies]\ntokio = \"1\"\n", workspace), "`tokio` is not among");
    found(
        &check("[dependencies]\nchrono = { workspace = true, features = [\"clock\"] }", workspace),
        "`clock`",
    );
    let clock =
        "[workspace.dependencies]\nchrono = { version = \"0.4\", features = [\"clock\"] }\n";
    found(&check("[dependencies]\nchrono.workspace = true\n", clock), "`clock`");
    found(&check("[deps]\n", workspace), "no dependencies found");
}

#[test]
fn a_planted_dependency_of_the_bench_on_the_engine_is_found() {
    let check = |manifest: &str| laws::built_without_the_engine("b/Cargo.toml", manifest, &[]);
    nothing(&check("[dependencies]\nclap = \"4\"\n[dev-dependencies]\norrery = \"1\"\n"));
    found(&check("[dependencies]\norrery = { path = \"../..\" }\n"), "`orrery` is the engine's");
    let renamed =
        "[dependencies]\nrules = { path = \"../../domain\", package = \"orrery-domain\" }\n";
    found(&check(renamed), "`rules` is the engine's");
    found(&check("[deps]\n"), "no dependencies found");
    nothing(&laws::built_without_the_engine("c/Cargo.toml", renamed, &["rules"]));
}

#[test]
fn a_planted_test_that_does_nothing_is_found() {
    let check = |body: &str| {
        let text =
            format!("mod tests {{\n    #[tokio::test]\n    async fn x() {{\n{body}\n    }}\n}}\n");
        laws::no_test_passes_untried(&files(&[("tests/engine/x.rs", &text)]))
    };
    found(&check("        let Some(server) = server() else { return };"), "without having tried");
    found(
        &check("        if server.is_none() {\n            return;\n        }"),
        "without having",
    );
    nothing(&check(
        "        for _ in 0..9 {\n            if x() {\n                return;\n            }\n        }",
    ));
    nothing(&check("        server();\n    }\n    fn not_a_test() {\n        return;"));
}

#[test]
fn a_planted_name_of_another_implementation_is_found() {
    let across =
        files(&[("src/event_store/sqlite/append.rs", "use crate::event_store::memory::Faults;")]);
    found(&laws::store_implementations(&across), "implementation of another");
    let upward = files(&[("src/view/contract.rs", "use super::sqlite::SqliteView;")]);
    found(&laws::store_implementations(&upward), "implementation of another");
    let fine = files(&[
        (
            "src/event_store/sqlite/append.rs",
            "use crate::event_store::{contract::Appended, sqlite::schema};",
        ),
        ("src/event_store/mod.rs", "pub mod sqlite; pub use self::sqlite::SqliteEventStore;"),
        ("src/app/stores.rs", "use crate::event_store::{memory::M, sqlite::S};"),
    ]);
    nothing(&laws::store_implementations(&fine));
}

#[test]
fn a_planted_call_between_services_is_found() {
    let tree = |text| {
        files(&[
            ("src/services/lifecycle/host.rs", "//! host"),
            ("src/services/queries.rs", "//! queries"),
            ("src/services/job_scheduler/mod.rs", text),
        ])
    };
    let across = tree("use crate::services::queries::find;");
    found(&laws::services_apart(&across), "`job_scheduler` may not name `queries`");
    nothing(&laws::services_apart(&tree(
        "use crate::services::{lifecycle::Service, job_scheduler::ticks};",
    )));
    let upward = files(&[
        ("src/services/queries.rs", "//! queries"),
        ("src/services/lifecycle/host.rs", "use super::super::queries::find;"),
    ]);
    found(&laws::services_apart(&upward), "`lifecycle` may not name `queries`");
}

#[test]
fn a_planted_outside_crate_is_found() {
    let misplaced = files(&[("src/services/queries.rs", "fn f(c: &rusqlite::Connection) {}")]);
    found(&laws::outside_crates(&misplaced, OUTSIDE_CRATES), "src/event_store/sqlite");
    let imported = files(&[("src/services/queries.rs", "use axum;")]);
    found(&laws::outside_crates(&imported, OUTSIDE_CRATES), "src/http/");
    let fine = files(&[
        ("src/event_store/sqlite.rs", "use rusqlite::{Connection, params};"),
        ("src/http/router.rs", "use axum::Router;"),
        ("src/services/queries.rs", "fn f(rand: u64) { let axum = rand; } // rusqlite::Connection"),
    ]);
    nothing(&laws::outside_crates(&fine, OUTSIDE_CRATES));
}

#[test]
fn a_planted_task_or_thread_is_found() {
    let check =
        |path, text| laws::starters(&files(&[(path, text)]), TASK_STARTERS, THREAD_STARTERS);
    found(
        &check("src/http/routes/jobs.rs", "fn f() { tokio::spawn(g()); }"),
        "a task is started only by",
    );
    found(&check("src/view/sqlite.rs", "use tokio::task::{yield_now, spawn_blocking};"), "a task");
    found(
        &check("src/http/routes/jobs.rs", "use tokio::task; fn f() { task::spawn(g()); }"),
        "a task",
    );
    found(
        &check("src/http/router.rs", "use std::thread; fn f() { thread::spawn(g); }"),
        "a thread",
    );
    nothing(&check("src/engine/executor/run.rs", "fn f() { tokio::spawn(g()); }"));
    nothing(&check("src/event_store/sqlite.rs", "fn f() { std::thread::spawn(g); }"));
}

#[test]
fn planted_chance_in_deterministic_code_is_found() {
    let check = |path, text| {
        laws::deterministic(
            &files(&[(path, text)]),
            DETERMINISTIC,
            NEVER_DETERMINISTIC,
            LOOKUPS_ONLY,
        )
    };
    let core = "src/engine/core/timers.rs";
    found(&check(core, "use std::time::{Duration, Instant};"), "never names `std::time::Instant`");
    found(&check(core, "use tokio::sync::mpsc;"), "never names `tokio`");
    found(&check("domain/src/job/apply.rs", "use std::fs;"), "never names `std::fs`");
    found(&check(core, "use std::collections::{BTreeMap, HashMap};"), "a hashed map has no order");
    found(&check(core, "async fn f() {}"), "never waits");
    nothing(&check(
        core,
        "// lookups only: a claim is asked for by its id\nuse std::collections::HashMap;",
    ));
    nothing(&check("src/http/router.rs", "use std::time::Instant; use std::collections::HashMap;"));
    nothing(&check(core, "use std::time::Duration; use std::fmt; struct Timer { rand: u64 }"));
}

#[test]
fn a_planted_store_in_the_core_is_found() {
    let check = |text| laws::core_without_stores(&files(&[("src/engine/core/committer.rs", text)]));
    found(&check("use crate::event_store::contract::{Appended, EventStore};"), "names no store");
    found(&check("use crate::event_store::memory::Faults;"), "names no store");
    nothing(&check("use crate::event_store::contract::{Append, Appended};"));
}

#[test]
fn a_planted_god_trait_is_found() {
    let methods = |count: usize| "fn m(&self) -> u8 { let f = 0; f }\n fn n();\n".repeat(count);
    let check = |count| {
        let store = format!(
            "pub trait EventStore: Send {{ {} }} impl X {{ fn other() {{}} }}",
            methods(count)
        );
        let tree = [
            ("src/event_store/contract.rs", store.as_str()),
            ("src/view/contract.rs", "trait View { fn v(); }"),
        ];
        laws::store_methods(&files(&tree), crate::STORE_CONTRACTS, 20)
    };
    nothing(&check(9));
    found(&check(10), "have 21 methods");
    let renamed = files(&[("src/event_store/contract.rs", "trait EventStore { fn a(); }")]);
    found(&laws::store_methods(&renamed, crate::STORE_CONTRACTS, 20), "no trait `View`");
}

#[test]
fn a_planted_file_without_purpose_or_with_an_empty_name_is_found() {
    found(
        &laws::opens_with_purpose(&files(&[("src/app/a.rs", "use std::fmt;\n//! late")])),
        "opens without",
    );
    nothing(&laws::opens_with_purpose(&files(&[("src/app/a.rs", "//! what it decides")])));
    found(
        &laws::file_names(&files(&[("src/app/utils.rs", "")]), FILE_NAMES_REFUSED),
        "name it after",
    );
    found(
        &laws::file_names(&files(&[("src/common/a.rs", "")]), FILE_NAMES_REFUSED),
        "name it after",
    );
    nothing(&laws::file_names(
        &files(&[("src/services/retry_manager/mod.rs", "")]),
        FILE_NAMES_REFUSED,
    ));
}

#[test]
fn a_planted_long_file_and_a_stale_exception_are_found() {
    let long = format!("//! long\n{}", "fn f() {}\n".repeat(400));
    let tested =
        format!("//! short\n#[cfg(test)]\nmod tests {{\n{}}}\n", "fn f() {}\n".repeat(400));
    let tree = files(&[("src/app/long.rs", &long), ("src/app/tested.rs", &tested)]);
    found(&laws::file_lengths(&tree, 400, &[]), "src/app/long.rs: 401 lines");
    nothing(&laws::file_lengths(&tree, 400, &[("src/app/long.rs", 450, "one table")]));
    found(
        &laws::file_lengths(&tree[1..], 400, &[("src/app/tested.rs", 450, "one table")]),
        "short enough now",
    );
    found(
        &laws::file_lengths(&tree[1..], 400, &[("src/app/gone.rs", 450, "one table")]),
        "not in the tree",
    );
}

#[test]
fn a_planted_open_end_without_an_issue_is_found() {
    let check = |text: &str| laws::open_ends_have_issues(&files(&[("src/app/a.rs", text)]));
    let word = ["TO", "DO"].concat();
    found(&check(&format!("// {word}: later\n")), "src/app/a.rs:1");
    nothing(&check(&format!("// {word}(#12): the retry manager decides\n")));
    nothing(&check(&format!("const WORD: &str = \"{word}\";\n")));
}
