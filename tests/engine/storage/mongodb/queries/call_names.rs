//! The names of the calls to the database: those that were made, and those that stand in the sources of the stores.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

/// The names of the calls that are made while it is set.
#[derive(Clone, Default)]
pub(super) struct Heard(pub(super) Arc<Mutex<BTreeSet<String>>>);

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Heard {
    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        if event.metadata().target() == "orrery::mongodb" {
            event.record(&mut Names(self.0.clone()));
        }
    }
}

struct Names(Arc<Mutex<BTreeSet<String>>>);

impl tracing::field::Visit for Names {
    fn record_str(&mut self, field: &tracing::field::Field, value: &str) {
        if field.name() == "what" {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(value.to_owned());
        }
    }

    fn record_debug(&mut self, _: &tracing::field::Field, _: &dyn std::fmt::Debug) {}
}

/// The names of all calls in the sources of the stores and of what they share.
pub(super) fn named_in_the_sources() -> BTreeSet<String> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
    let stores = [format!("{root}/event_store/mongodb"), format!("{root}/view/mongodb")];
    let mut files: Vec<std::path::PathBuf> = stores
        .iter()
        .flat_map(|folder| std::fs::read_dir(folder).expect("a folder"))
        .map(|entry| entry.expect("a file").path())
        .collect();
    files.extend(
        ["lock.rs", "quarantine.rs"]
            .map(|name| std::path::Path::new(root).join("environment/mongodb").join(name)),
    );
    let mut names = BTreeSet::new();
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a text");
        for call in ["make(", "begin(", "bulk(", "insert(", "documents(", "find(", "change("] {
            for (at, _) in text.match_indices(call) {
                let behind = text[at + call.len()..].trim_start();
                let Some(name) = behind.strip_prefix('"').and_then(|b| b.split('"').next()) else {
                    continue;
                };
                // Others are fields of documents: one word, or an operator.
                if name.contains(' ') || ["append_notices", "payloads"].contains(&name) {
                    names.insert(name.to_owned());
                }
            }
        }
    }
    names
}
