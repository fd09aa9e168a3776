//! What the server's profiler wrote down: which commands there were, and whether any scans a collection or sorts.

use std::collections::BTreeSet;

use bson::{Bson, Document, doc};

use super::super::Database;

/// What a profiled operation was, as a command that can be explained.
fn explainable(entry: &Document) -> Option<Document> {
    let (_, collection) = entry.get_str("ns").ok()?.split_once('.')?;
    let command = entry.get_document("command").ok()?;
    match entry.get_str("op").ok()? {
        "update" => Some(doc! { "update": collection, "updates": [command.clone()] }),
        "remove" => Some(doc! { "delete": collection, "deletes": [command.clone()] }),
        _ => {
            let name = command.keys().next()?;
            let known = ["find", "aggregate", "count", "findAndModify", "findandmodify"];
            known.contains(&name.as_str()).then(|| {
                let kept = command.iter().filter(|(field, _)| {
                    !field.starts_with('$')
                        && !["lsid", "txnNumber", "stmtId", "maxTimeMS", "writeConcern"]
                            .contains(&field.as_str())
                });
                kept.map(|(field, value)| (field.clone(), value.clone())).collect()
            })
        }
    }
}

/// The names of all stages in an answer to `explain`.
fn stages(explained: &Bson, found: &mut BTreeSet<String>) {
    match explained {
        Bson::Document(inner) => {
            for (field, value) in inner {
                if field == "rejectedPlans" {
                    continue;
                }
                if let (true, Bson::String(stage)) = (field == "stage", value) {
                    found.insert(stage.clone());
                }
                stages(value, found);
            }
        }
        Bson::Array(items) => items.iter().for_each(|item| stages(item, found)),
        _ => {}
    }
}

/// What is wrong with one operation's plan.
pub(super) async fn wrong(database: &Database, entry: &Document) -> Option<String> {
    let plan = entry.get_str("planSummary").unwrap_or_default();
    if plan.contains("COLLSCAN") || entry.get_bool("hasSortStage").unwrap_or(false) {
        return Some(format!("{plan}: {entry}"));
    }
    let command = explainable(entry)?;
    let explain = doc! { "explain": command, "verbosity": "queryPlanner" };
    let explained = database.connection.database().run_command(explain).await.expect("a plan");
    let mut found = BTreeSet::new();
    stages(&Bson::Document(explained), &mut found);
    let bad = ["COLLSCAN", "SORT", "SORT_KEY_GENERATOR"].iter().any(|stage| found.contains(*stage));
    bad.then(|| format!("{found:?}: {entry}"))
}

pub(super) async fn profiled(database: &Database) -> Vec<Document> {
    let profile = database.connection.database().collection::<Document>("system.profile");
    let mut cursor = profile.find(doc! {}).sort(doc! { "$natural": 1 }).await.expect("a profile");
    let mut entries = Vec::new();
    while cursor.advance().await.expect("an entry") {
        entries.push(cursor.deserialize_current().expect("an entry"));
    }
    entries
}

/// A query without its values: of those that are alike one is explained.
pub(super) fn shape(of: &Bson) -> String {
    match of {
        Bson::Document(inner) => {
            let fields = inner.iter().map(|(field, value)| match (field.as_str(), value) {
                // Which index, and in which order.
                ("hint" | "sort", value) => format!("{field}={value}"),
                (_, Bson::String(text)) if field == "find" || field == "aggregate" => text.clone(),
                _ => format!("{field}:{}", shape(value)),
            });
            format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
        }
        Bson::Array(items) => format!("[{}]", items.first().map(shape).unwrap_or_default()),
        other => format!("{:?}", other.element_type()),
    }
}

/// Plan summaries of the database's profile that name a scan, and how many entries sorted in memory.
pub(super) async fn scans_and_sorts(database: &Database) -> (u64, u64) {
    let profile = database.connection.database().collection::<Document>("system.profile");
    let mine = doc! { "$not": { "$regex": "system.profile" } };
    let scans = doc! { "ns": mine.clone(), "planSummary": { "$regex": "COLLSCAN" } };
    let sorts = doc! { "ns": mine, "hasSortStage": true };
    (
        profile.count_documents(scans).await.expect("a count"),
        profile.count_documents(sorts).await.expect("a count"),
    )
}

pub(super) async fn profile_all(database: &Database) {
    let large = 256_i64 * 1_024 * 1_024;
    let mongo = database.connection.database();
    let made =
        mongo.run_command(doc! { "create": "system.profile", "capped": true, "size": large });
    made.await.expect("room for the profile");
    mongo.run_command(doc! { "profile": 2 }).await.expect("profiling");
}
