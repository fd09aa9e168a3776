//! The laws of the tree, as tests: which layer may name which, which folder may name which outside crate, what a
//! rule or the engine's core may never contain, and how a file has to look.
//!
//! The tables in this file decide; ARCHITECTURE.md only retells them. A new module or exception is one line here,
//! with its reason. `architecture/laws.rs` checks them, `architecture/planted.rs` proves each check alive on text
//! that breaks it. Std only; nothing here names the engine.

#[path = "architecture/laws.rs"]
mod laws;
#[path = "architecture/parts.rs"]
mod parts;
#[path = "architecture/planted.rs"]
mod planted;
#[path = "architecture/planted_parts.rs"]
mod planted_parts;
#[path = "architecture/source.rs"]
mod source;

use std::path::Path;

use parts::Folder;
use source::SourceFile;

/// The root package's layers, lowest first. A layer names only layers of an earlier row; those of one row do not
/// name each other. The domain is its own package, so the compiler already keeps it below all of them.
const LAYERS: &[&[&str]] = &[
    &["config"],
    &["telemetry"],
    &["environment"],
    &["event_store", "view", "membership"],
    &["engine"],
    &["services"],
    &["http"],
    &["app"],
    &["cli"],
];

/// The domain's stages, lowest first: what the last listed word of a module's path says it is. A module names only
/// modules of its own stage or an earlier one. `mod.rs` only declares and re-exports, and is looked through.
const DOMAIN_STAGES: &[&[&str]] = &[
    &["ids", "bounds", "dice", "exact_json", "payload", "planted", "time_text"],
    &["status", "attempt", "change", "hold"],
    &["refusal", "history"],
    &["subject"],
    &["strategy"],
    &["rules", "windows"],
    &["paused", "policy"],
    &["spec"],
    &["edges", "graph", "plan", "retry", "expression", "outcome"],
    &["flow", "members", "readiness", "repair", "state", "story", "undo"],
    &["fact"],
    &["event", "command", "effect"],
    &["check", "due", "verify"],
    &["apply"],
    &["decide"],
    &["progress", "explain", "summary", "rows", "detail", "work"],
];

/// The kinds of subjects: each is a folder of the domain, a file of the core, and a row in each of the two tables. What
/// two of them share stands in the domain's `subject`. `tally` is in builds of the tests alone.
const KINDS: &[&str] = &["catalog", "environment", "job", "tally"];

/// The tables of kinds: what streams and stores call them, and what the core holds of them. The core's stands in the
/// folder of the kinds' files, beside what is no kind.
const KIND_TABLES: &[&str] = &["domain/src/ids/kind.rs", "src/engine/core/kinds/table.rs"];
const KINDS_OF_THE_CORE: &str = "src/engine/core/kinds/";
const NO_KINDS: &[&str] = &["entity", "mod", "table"];

/// The enums with a variant for each kind.
const ENUMS_OF_KINDS: &[&str] =
    &["Command", "Entity", "EntityEvent", "EntityUndo", "Shown", "SubjectKind"];

/// Files that name a variant of these because they are one kind's own, with what they are to it.
const FILES_OF_ONE_KIND: &[(&str, &str)] = &[
    ("domain/src/ids/stream.rs", "makes the names of streams, a constructor a kind"),
    ("domain/src/tally/state.rs", "says which stream it is the fold of"),
    ("src/http/routes/environments.rs", "lists environments"),
    ("src/view/mongodb/flush.rs", "clears pages of nodes, which only jobs have"),
];

/// What the domain may depend on. None of these reads a clock, draws a number or does IO with the features we take.
/// `regex` is for `matches` in expressions: linear in the text, and bounded in size. `chrono-tz` is the table of time zones.
const DOMAIN_DEPENDENCIES: &[&str] =
    &["chrono", "chrono-tz", "regex", "serde", "serde_json", "sha2", "thiserror", "uuid"];

/// Features that would let the rules read a clock or draw a number.
const DOMAIN_FEATURES_REFUSED: &[&str] = &["clock", "now", "v1", "v4", "v6", "v7", "rng"];

/// Outside crates and the files (by the beginning of their path) that may name them.
const OUTSIDE_CRATES: &[(&[&str], &[&str])] = &[
    (&["rusqlite"], &["src/event_store/sqlite", "src/view/sqlite"]),
    (&["crc32fast"], &["src/event_store/sqlite"]),
    (&["lz4_flex"], &["src/environment/packing.rs"]),
    (
        &["mongodb", "bson"],
        // The way there is the outside's (its calls, settings, schema); what is stored is the stores'.
        &[
            "src/environment/mongodb",
            "src/event_store/mongodb",
            "src/view/mongodb",
            "src/membership/mongodb",
        ],
    ),
    (&["axum", "utoipa_swagger_ui", "tower", "tower_http"], &["src/http/", "src/app/"]),
    // What is answered carries its own schema, wherever it is made: a copy of it for the document would drift.
    (&["utoipa"], &["src/http/", "src/services/queries/", "src/view/resources/"]),
    (&["validator"], &["src/http/"]),
    (&["hyper_util", "hyper"], &["src/http/", "src/app/"]),
    (&["reqwest"], &["src/environment/outbound.rs"]),
    (&["rustls"], &["src/environment/outbound.rs", "src/app/", "src/main.rs"]),
    (&["clap", "clap_complete"], &["src/cli/", "src/main.rs"]),
    (&["orrery_bench", "orrery_client"], &["src/cli/"]),
    (&["rand"], &["src/environment/"]),
    (&["hmac"], &["src/engine/forwarding/", "src/http/lease_tokens.rs"]),
    (&["x25519_dalek"], &["src/environment/agreement.rs"]),
    (&["base64"], &["src/http/lease_tokens.rs"]),
    (
        &["metrics_exporter_prometheus", "metrics_process", "tracing_subscriber"],
        &["src/telemetry/"],
    ),
    (&["mimalloc"], &["src/main.rs"]),
];

/// Who may start a task. Everything else is called by one of these, so a drain knows of every task there is. A call
/// to MongoDB is a task of its own, because the driver's futures must not be dropped. A body to another engine carries
/// what many ask, so it is nobody's alone; it ends by its answer or by silence.
const TASK_STARTERS: &[&str] = &[
    "src/services/lifecycle/",
    "src/engine/executor",
    "src/engine/forwarding/",
    "src/environment/mongodb/calls.rs",
    "src/cli/",
    "src/app/",
];

/// Who may start a thread: a store owns the thread that owns its connection, and the pool it is made of.
const THREAD_STARTERS: &[&str] = &[
    "src/telemetry/lossy.rs",
    "src/environment/threads.rs",
    "src/event_store/",
    "src/view/",
    "src/engine/executor",
    "src/cli/",
    "src/app/",
];

/// The code that must give the same answer on every machine and in every run.
const DETERMINISTIC: &[&str] = &["domain/src/", "src/engine/core/"];

/// What deterministic code never names, by the beginning of the path.
const NEVER_DETERMINISTIC: &[&str] = &[
    "tokio",
    "tokio_util",
    "futures_util",
    "rusqlite",
    "mongodb",
    "axum",
    "reqwest",
    "rand",
    "std::time::Instant",
    "std::time::SystemTime",
    "std::fs",
    "std::io",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
];

/// Standing in a comment of a file, with the reason after it, it allows that file hashed maps: they are looked up in
/// and never walked through, so their order cannot reach an answer.
const LOOKUPS_ONLY: &str = "lookups only:";

/// The stores' traits, and how many methods they may have together.
const STORE_CONTRACTS: &[(&str, &str)] =
    &[("src/event_store/contract.rs", "EventStore"), ("src/view/contract.rs", "View")];
const STORE_METHODS_MAX: usize = 20;

/// Lines of a source file, its test modules not counted.
const FILE_LINES_MAX: usize = 400;

/// Files that may be longer, how long, and why splitting them would cost more than it gives.
const LONGER_FILES: &[(&str, usize, &str)] = &[];

/// The parts of the engine's core. Each owns its fields; what is done across them is a step, and only steps name `Core`.
const CORE: Folder = Folder {
    module: &["engine", "core"],
    rows: &[
        &["retry_counts"],
        &["counts", "dice", "settings", "urgency"],
        &["kinds"],
        &["request", "response"],
        &["message"],
        &["waiting"],
        &["commit", "leases", "shown", "tenants"],
        &["grants", "pace", "peers"],
        // Its slots hold of each part what that part alone changes.
        &["residency"],
        &["Core"],
        &["steps"],
    ],
};

/// The engine around its core: what its faces share stands below them, and the executor, which makes the engine, above.
const ENGINE: Folder = Folder {
    module: &["engine"],
    rows: &[
        &["json_text", "records"],
        &["core"],
        &["error", "evaluation", "forward", "gauges", "loader", "undelivered", "watch"],
        &["catalog_copies", "check", "deletion", "mailbox"],
        &["forwarding", "shared"],
        &["jobs", "rebuild", "streams", "views"],
        &["catalogs", "environments", "leases"],
        &["cluster"],
        &["cluster_queries"],
        &["handle"],
        &["executor"],
    ],
};

/// The executor: who waits, what is being read and what is out of reach are parts of it; the rest is what it does.
const EXECUTOR: Folder = Folder {
    module: &["engine", "executor"],
    rows: &[
        &["outage", "replies"],
        &["Executor", "MARKS_PAGE"],
        &["loads", "peer_rpc", "reads", "store_io"],
        &["inbox"],
    ],
};

/// The embedded store: keys and sums of rows below the tables, tables below what is checked at a start, that below the
/// connections, and those below the writer and the store.
const SQLITE: Folder = Folder {
    module: &["event_store", "sqlite"],
    rows: &[
        &["failure", "folder", "heads", "reserve", "row_checksums", "wal_salts"],
        &["keys", "mark", "meta", "packed"],
        &["notices", "streams", "wal"],
        &["reads", "wakes"],
        &["format_3", "transaction"],
        &["schema"],
        &["rows"],
        &["startup_check"],
        &["connections"],
        &["backup", "checkpoint", "inspect"],
        &["writer"],
        &["store"],
    ],
};

/// The rules of a job, one verb a file: verbs meet in the draft and in what a decision is, not in each other.
const DECIDE: Folder = Folder {
    module: &["job", "decide"],
    rows: &[
        &["decision"],
        &["retrying"],
        &["draft"],
        &[
            "deletion",
            "ending",
            "evaluated",
            "failure",
            "heard",
            "lease",
            "patch",
            "pause",
            "node_patch",
            "submit",
        ],
        &["admission", "report"],
        &["wake"],
    ],
};

/// The facts of a job, one concern a file.
const FACTS: Folder = Folder {
    module: &["job", "fact"],
    rows: &[
        &["patch", "flat"],
        &["admission", "attempts", "endings", "failures", "flows", "steering"],
    ],
};

/// The structs of which each is made of parts that own their fields, and what among their fields is data to be read.
const WHOLES: &[(&str, &[&str])] =
    &[("Core", &["CoreSettings", "CoreCounts"]), ("Slot", &["SubjectId"])];

/// Words that say nothing about what a file holds. `retry_manager` is the design's word and stays.
const FILE_NAMES_REFUSED: &[&str] =
    &["utils", "util", "common", "helpers", "helper", "types", "manager", "misc"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn tree(folders: &[&str]) -> Vec<SourceFile> {
    let files = source::read_tree(root(), folders).unwrap_or_default();
    assert!(!files.is_empty(), "no source file found below {folders:?}");
    files
}

#[track_caller]
fn holds(broken: &[String]) {
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

#[test]
fn every_layer_names_only_layers_below_it() {
    holds(&laws::layer_order(&tree(&["src"]), LAYERS));
}

#[test]
fn the_domain_names_only_its_own_or_an_earlier_stage() {
    holds(&laws::domain_order(&tree(&["domain/src"]), DOMAIN_STAGES));
}

#[test]
fn kinds_of_subjects_never_name_each_other() {
    holds(&laws::kinds_apart(&tree(&["domain/src"]), KINDS));
}

#[test]
fn kinds_of_subjects_are_listed_only_in_their_tables() {
    let files = tree(&["domain/src", "src"]);
    holds(&laws::kinds_listed(&files, KINDS, ENUMS_OF_KINDS, FILES_OF_ONE_KIND));
}

#[test]
fn a_kind_of_subject_is_a_folder_a_file_and_a_row_of_each_table() {
    holds(&laws::kinds_placed(&tree(&["domain/src", "src"]), KINDS));
}

#[test]
fn the_domain_depends_on_nothing_that_acts() {
    let read = |path: &str| std::fs::read_to_string(root().join(path)).unwrap_or_default();
    let (domain, workspace) = (read("domain/Cargo.toml"), read("Cargo.toml"));
    holds(&laws::domain_dependencies(
        &domain,
        &workspace,
        DOMAIN_DEPENDENCIES,
        DOMAIN_FEATURES_REFUSED,
    ));
}

#[test]
fn what_speaks_to_the_engine_over_http_is_built_without_it() {
    let packages: [(_, &[&str]); 2] = [
        ("benches/load/Cargo.toml", &[]),
        // The rules' bounds, and the reading of gzipped documents: neither knows an engine.
        ("client/Cargo.toml", &["domain", "orrery-bench"]),
    ];
    for (manifest, allowed) in packages {
        let text = std::fs::read_to_string(root().join(manifest)).unwrap_or_default();
        holds(&laws::built_without_the_engine(manifest, &text, allowed));
    }
}

#[test]
fn no_test_passes_without_having_tried() {
    holds(&laws::no_test_passes_untried(&tree(&["src", "client", "domain", "tests", "benches"])));
}

#[test]
fn implementations_of_a_store_never_name_each_other() {
    holds(&laws::store_implementations(&tree(&["src"])));
}

#[test]
fn services_never_name_each_other() {
    holds(&laws::services_apart(&tree(&["src"])));
}

#[test]
fn outside_crates_are_named_only_where_they_belong() {
    holds(&laws::outside_crates(&tree(&["src"]), OUTSIDE_CRATES));
}

#[test]
fn only_those_that_can_drain_them_start_tasks_and_threads() {
    holds(&laws::starters(&tree(&["src"]), TASK_STARTERS, THREAD_STARTERS));
}

#[test]
fn rules_and_the_engines_core_are_deterministic() {
    holds(&laws::deterministic(
        &tree(&["domain/src", "src"]),
        DETERMINISTIC,
        NEVER_DETERMINISTIC,
        LOOKUPS_ONLY,
    ));
}

#[test]
fn the_engines_core_names_no_store() {
    holds(&laws::core_without_stores(&tree(&["src"])));
}

#[test]
fn parts_of_the_core_name_only_parts_below_them_and_only_steps_name_the_core() {
    holds(&parts::part_order(&tree(&["src"]), &CORE));
}

#[test]
fn parts_of_the_engine_and_of_its_executor_name_only_parts_below_them() {
    holds(&parts::part_order(&tree(&["src"]), &ENGINE));
    holds(&parts::part_order(&tree(&["src"]), &EXECUTOR));
}

#[test]
fn parts_of_the_embedded_store_name_only_parts_below_them() {
    holds(&parts::part_order(&tree(&["src"]), &SQLITE));
}

#[test]
fn rules_and_facts_of_a_job_go_round_in_no_circle() {
    let domain = tree(&["domain/src"]);
    holds(&parts::part_order(&domain, &DECIDE));
    holds(&parts::part_order(&domain, &FACTS));
}

#[test]
fn parts_of_the_core_own_their_fields() {
    let core = tree(&["src/engine/core"]);
    for (whole, data) in WHOLES {
        holds(&parts::own_fields(&core, whole, data));
    }
}

#[test]
fn the_store_contracts_stay_small() {
    holds(&laws::store_methods(&tree(&["src"]), STORE_CONTRACTS, STORE_METHODS_MAX));
}

#[test]
fn every_file_opens_with_its_purpose() {
    holds(&laws::opens_with_purpose(&tree(&[
        "src",
        "client/src",
        "domain/src",
        "domain/tests",
        "tests",
        "benches",
    ])));
}

#[test]
fn no_file_is_too_long_to_read() {
    holds(&laws::file_lengths(
        &tree(&["src", "client/src", "domain/src", "benches/load/src"]),
        FILE_LINES_MAX,
        LONGER_FILES,
    ));
}

#[test]
fn files_are_named_for_what_they_hold() {
    holds(&laws::file_names(
        &tree(&["src", "client/src", "domain/src", "domain/tests", "tests", "benches"]),
        FILE_NAMES_REFUSED,
    ));
}

#[test]
fn what_is_left_to_do_has_an_issue() {
    holds(&laws::open_ends_have_issues(&tree(&[
        "src",
        "client/src",
        "domain/src",
        "domain/tests",
        "tests",
        "benches",
    ])));
}
