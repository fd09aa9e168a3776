//! A data folder is copied under load, proved, damaged in every way, and its view thrown away: what holds is said to
//! hold, and what does not is named.

use std::fs;
use std::path::{Path, PathBuf};

use domain::ids::{JobId, Namespace, SubjectId};
use domain::payload::Hash;
use rusqlite::{Connection, params};
use serde_json::{Value, json};

use super::process::{EngineProcess, WorkerProcess, tried};
use crate::storage::row_checksums::make_sums_fit;

/// So that a few events make a snapshot.
const SMALL_SNAPSHOTS: &[(&str, &str)] = &[("ORRERY__ENGINE__SNAPSHOT_EVERY_EVENTS", "2")];

fn job(name: &str, queue: &str) -> Value {
    json!({ "name": name, "input": { "large": "x".repeat(5_000) }, "nodes": [
        { "key": "a", "queue": queue },
        { "key": "b", "queue": queue, "depends_on": ["a"], "input": { "n": "y".repeat(3_000) } }] })
}

async fn submit(engine: &EngineProcess, name: &str, queue: &str) -> String {
    let (status, made) = engine.post("/api/v1/jobs", &job(name, queue), Some(name)).await;
    assert_eq!(status, 201, "{made}");
    made["id"].as_str().expect("an id").to_owned()
}

async fn lease(engine: &EngineProcess, queue: &str) -> Value {
    let ask = json!({ "worker": "w", "max": 1, "wait_ms": 5_000, "lease_ms": 600_000 });
    let (status, leased) = engine.post(&format!("/api/v1/queues/{queue}/lease"), &ask, None).await;
    assert_eq!(status, 200, "{leased}");
    leased["leases"][0]["lease"].clone()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("Unicode")
}

fn check(folder: &Path) -> (i32, Value) {
    let (code, out, said) = tried(&["check", text(folder), "-o", "json"]);
    let report = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {said}"));
    (code, report)
}

#[tokio::test]
async fn a_backup_taken_under_load_is_restored_and_its_jobs_finish() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, copy) = (folder.path().join("data"), folder.path().join("copy"));
    let mut engine = EngineProcess::start(&data).await;
    let held = submit(&engine, "held", "by-hand").await;
    let old = lease(&engine, "by-hand").await;
    let worker = WorkerProcess::start(&engine, 4, 0.0);
    let mut known = Vec::new();
    for number in 0..40 {
        known.push(submit(&engine, &format!("before-{number}"), "default").await);
    }
    let (copying, to) = (data.clone(), copy.clone());
    let backup = tokio::task::spawn_blocking(move || {
        tried(&["backup", text(&to), "--data", text(&copying), "-o", "json"])
    });
    for number in 0..40 {
        submit(&engine, &format!("meanwhile-{number}"), "default").await;
    }
    let (code, out, said) = backup.await.expect("the backup ends");
    assert_eq!(code, 0, "{out}{said}");
    let (code, _, said) = tried(&["backup", text(&copy), "--data", text(&data)]);
    assert_eq!((code, said.contains("is not empty")), (4, true), "{said}");
    let (code, _, said) = tried(&["check", text(&data)]);
    assert_eq!((code, said.contains("is in use by an engine (process ")), (4, true), "{said}");
    let (code, _, said) = tried(&["view", "rebuild", text(&data)]);
    assert_eq!((code, said.contains("stop it first")), (4, true), "{said}");
    drop(worker);
    engine.kill();
    let (code, report) = check(&data);
    assert_eq!((code, &report["wrong"]), (0, &json!(0)), "{report}");
    let (code, report) = check(&copy);
    assert_eq!((code, &report["view"]), (0, &json!("to_be_made")), "{report}");

    let restored = EngineProcess::start(&copy).await;
    let report = json!({ "items": [{ "lease": old }] });
    let (_, refused) = restored.post("/api/v1/leases/heartbeat", &report, None).await;
    assert_eq!(refused["results"][0]["error"]["code"], "lease_lost", "{refused}");
    let (_, refused) = restored.post("/api/v1/leases/complete", &report, None).await;
    assert_eq!(refused["results"][0]["error"]["code"], "lease_lost", "{refused}");
    let _worker = WorkerProcess::start(&restored, 4, 0.0);
    for id in &known {
        let ended = restored.until(id, |job| job["completed_at"].is_string()).await;
        assert_eq!(ended["status"], "completed", "{ended}");
    }
    let new = lease(&restored, "by-hand").await;
    let report = json!({ "items": [{ "lease": new }] });
    let (_, recorded) = restored.post("/api/v1/leases/complete", &report, None).await;
    assert_eq!(recorded["results"][0]["outcome"], "recorded", "{recorded}");
    let export = restored.text(&format!("/api/v1/jobs/{held}/history?format=ndjson")).await;
    domain::history::verify(&subject(&held), export.as_bytes()).expect("the chain holds");
    drop(restored);
    let (code, report) = check(&copy);
    assert_eq!((code, &report["view"]), (0, &json!("compared")), "{report}");
}

fn subject(id: &str) -> SubjectId {
    SubjectId::job(Namespace::default_namespace(), JobId::parse(id).expect("a job id"))
}

/// A stopped folder with one job that is over, one that runs and one that waits for a person.
struct Stored {
    folder: tempfile::TempDir,
    over: String,
    running: String,
    waiting: String,
}

impl Stored {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let engine = EngineProcess::start_with(folder.path(), SMALL_SNAPSHOTS).await;
        let over = submit(&engine, "over", "default").await;
        let worker = WorkerProcess::start(&engine, 1, 0.0);
        engine.until(&over, |job| job["completed_at"].is_string()).await;
        drop(worker);
        let running = submit(&engine, "running", "by-hand").await;
        lease(&engine, "by-hand").await;
        let mut by_hand = job("waiting", "default");
        by_hand["start"] = json!("manual");
        let (_, made) = engine.post("/api/v1/jobs", &by_hand, None).await;
        let waiting = made["id"].as_str().expect("an id").to_owned();
        // Whoever is over or waits leaves memory: only then are marks and view what they stay.
        engine.until_metric("orrery_subjects", "1").await;
        drop(engine);
        Self { folder, over, running, waiting }
    }

    /// A copy on which `damage` was done, and what is found in it.
    fn damaged(&self, damage: impl FnOnce(&Connection, &Connection)) -> Vec<Value> {
        let copy = tempfile::tempdir().expect("a folder");
        for name in ["events.db", "events.db-wal", "view.db", "view.db-wal"] {
            let _ = fs::copy(self.folder.path().join(name), copy.path().join(name));
        }
        let open = |name: &str| Connection::open(copy.path().join(name)).expect("a file");
        let events = open("events.db");
        make_plain(&events);
        damage(&events, &open("view.db"));
        // What the sums would find is another test's: here is what nothing but replay finds.
        make_sums_fit(&events);
        drop(events);
        let (code, report) = check(copy.path());
        let findings = report["findings"].as_array().expect("findings").clone();
        assert_eq!(code, i32::from(!findings.is_empty()), "{report}");
        findings
    }

    /// Damages the events of one job by one statement and expects one kind of finding.
    #[track_caller]
    fn finds(&self, what: &str, about: &str, sql: &str) {
        let findings = self.damaged(|events, _| done(events, sql));
        self.names(&findings, what, about, sql);
    }

    #[track_caller]
    fn finds_in_view(&self, about: &str, sql: &str) {
        let findings = self.damaged(|_, view| done(view, sql));
        self.names(&findings, "view", about, sql);
    }

    #[track_caller]
    fn names(&self, findings: &[Value], what: &str, about: &str, damage: &str) {
        let about = match about {
            "over" => subject(&self.over).to_string(),
            "running" => subject(&self.running).to_string(),
            "waiting" => subject(&self.waiting).to_string(),
            other => other.to_owned(),
        };
        let named = |finding: &Value| finding["what"] == what && finding["subject"] == about;
        assert!(findings.iter().any(named), "{damage}: no {what} of {about} in {findings:?}");
    }
}

/// Writes every body as it is, so that statements can change it.
fn make_plain(file: &Connection) {
    let sql = "SELECT position, body, packed FROM records WHERE packed IS NOT NULL";
    let mut packed = file.prepare(sql).expect("a statement");
    let packed = packed.query_map([], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?, row.get::<_, i64>(2)?))
    });
    let packed: Vec<_> = packed.expect("rows").map(|row| row.expect("a row")).collect();
    assert!(!packed.is_empty(), "usual records are packed");
    for (position, body, number) in packed {
        let body = orrery::event_store::sqlite::unpacked(&body, number).expect("a body");
        let sql = "UPDATE records SET body = ?2, packed = NULL WHERE position = ?1";
        file.execute(sql, params![position, body]).expect("written");
    }
}

fn stream_of(id: &str) -> String {
    format!("(SELECT stream FROM streams WHERE id = x'{}')", id.replace('-', ""))
}

fn done(file: &Connection, sql: &str) {
    let changed = file.execute(sql, []).unwrap_or_else(|error| panic!("{sql}: {error}"));
    assert!(changed > 0, "{sql} changes nothing");
}

/// Writes one record anew with other events and a chain that holds again.
fn rewritten(file: &Connection, id: &str, change: impl Fn(&mut Value)) {
    let subject = subject(id);
    let (mut chain, mut changed) = (domain::history::genesis(&subject), false);
    let sql = "SELECT position, body FROM records WHERE stream = (SELECT stream FROM streams WHERE id = ?1) ORDER BY first";
    let mut records = file.prepare(sql).expect("a statement");
    let records = records.query_map([&subject.id.as_bytes()[..]], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?))
    });
    let records: Vec<(i64, Vec<u8>)> =
        records.expect("rows").collect::<Result<_, _>>().expect("rows");
    for (position, body) in records {
        let lines = body.split(|byte| *byte == b'\n').map(|line| {
            let before: Value = serde_json::from_slice(line).expect("JSON");
            let mut after = before.clone();
            change(&mut after);
            changed |= before != after;
            let line = if before == after { line.to_vec() } else { after.to_string().into_bytes() };
            chain = domain::history::chain(chain, &line);
            line
        });
        let body = lines.collect::<Vec<_>>().join(&b'\n');
        file.execute(
            "UPDATE records SET body = ?2, hash = ?3 WHERE position = ?1",
            params![position, body, &chain[..]],
        )
        .expect("written");
    }
    assert!(changed, "nothing was rewritten");
}

/// What is said of whom after which change of the file.
type Damage = (&'static str, &'static str, String);

fn damages_of_records(over: &str) -> Vec<Damage> {
    let changed =
        |set: &str| format!("UPDATE records SET {set} WHERE stream = {over} AND first = 1");
    let body = "body = CAST(replace(CAST(body AS TEXT), '\"v\":1', '\"v\":1 ') AS BLOB)";
    vec![
        ("chain", "over", changed(body)),
        ("chain", "over", changed("hash = zeroblob(32)")),
        ("gap", "over", format!("DELETE FROM records WHERE stream = {over} AND first = 2")),
        ("gap", "over", changed("count = 2")),
        ("time", "over", changed("at = at + 1")),
        ("file", "over", format!("DELETE FROM records WHERE stream = {over}")),
        (
            "file",
            "stream number 999",
            format!("UPDATE records SET stream = 999 WHERE stream = {over}"),
        ),
    ]
}

fn damages_beside_records(over: &str) -> Vec<Damage> {
    let kept = |set: &str| format!("UPDATE snapshots SET {set} WHERE stream = {over}");
    let replaced = |old: &str, new: &str| {
        kept(&format!("body = CAST(replace(CAST(body AS TEXT), '{old}', '{new}') AS BLOB)"))
    };
    let stray = "INSERT INTO payloads VALUES (999, zeroblob(32), x'00')".to_owned();
    vec![
        ("payload", "over", format!("UPDATE payloads SET body = x'00' WHERE stream = {over}")),
        ("payload", "over", format!("DELETE FROM payloads WHERE stream = {over}")),
        ("payload", "over", format!("INSERT INTO payloads VALUES ({over}, zeroblob(32), x'00')")),
        ("file", "stream number 999", stray),
        ("snapshot", "over", replaced("\"runs\":1", "\"runs\":2")),
        ("counters", "over", replaced("\"counts\":[0,", "\"counts\":[7,")),
        ("snapshot", "over", kept("hash = zeroblob(32)")),
        ("snapshot", "over", kept("seq = seq + 90")),
    ]
}

fn damages_of_streams(over: &str, running: &str, waiting: &str) -> Vec<Damage> {
    let set = |stream: &str, set: &str| format!("UPDATE wakes SET {set} WHERE stream = {stream}");
    let none = |stream: &str| format!("DELETE FROM wakes WHERE stream = {stream}");
    vec![
        (
            "file",
            "over",
            format!(
                "INSERT INTO streams SELECT stream + 900, kind, namespace, id, 0 FROM streams WHERE stream = {over}"
            ),
        ),
        ("wake_up", "running", set(running, "due = due + 600000")),
        ("wake_up", "running", none(running)),
        ("wake_up", "waiting", none(waiting)),
        ("file", "waiting", set(waiting, "bucket = bucket + 1")),
        ("file", "stream number 999", set(waiting, "stream = 999")),
    ]
}

#[tokio::test]
async fn every_damage_to_a_stored_folder_is_named() {
    let stored = Stored::new().await;
    assert_eq!(stored.damaged(|_, _| {}), Vec::<Value>::new(), "nothing is wrong with it");
    let over = stream_of(&stored.over);
    let (running, waiting) = (stream_of(&stored.running), stream_of(&stored.waiting));
    let mut damages = damages_of_records(&over);
    damages.extend(damages_beside_records(&over));
    damages.extend(damages_of_streams(&over, &running, &waiting));
    for (what, about, sql) in damages {
        stored.finds(what, about, &sql);
    }
}

#[tokio::test]
async fn histories_that_were_written_anew_and_views_that_differ_are_named() {
    let stored = Stored::new().await;
    let id_of = |id: &str| format!("x'{}'", id.replace('-', ""));
    let (over, waiting) = (id_of(&stored.over), id_of(&stored.waiting));
    stored.finds_in_view("over", &format!("UPDATE jobs SET status = 'failed' WHERE id = {over}"));
    stored.finds_in_view("over", &format!("UPDATE jobs SET body = '{{}}' WHERE id = {over}"));
    stored.finds_in_view("over", &format!("UPDATE jobs SET seq = seq + 1 WHERE id = {over}"));
    stored.finds_in_view("over", &format!("UPDATE jobs SET seq = seq - 1 WHERE id = {over}"));
    stored.finds_in_view("over", &format!("DELETE FROM jobs WHERE id = {over}"));
    stored.finds_in_view("waiting", &format!("UPDATE jobs SET priority = 9 WHERE id = {waiting}"));
    let stranger = subject("00000000-0000-0000-0000-000000000007").to_string();
    stored.finds_in_view(
        &stranger,
        &format!("UPDATE jobs SET id = x'00000000000000000000000000000007' WHERE id = {over}"),
    );

    let lie = |what: &str, about: &str, id: &str, change: &dyn Fn(&mut Value)| {
        let findings = stored.damaged(|events, _| rewritten(events, id, change));
        stored.names(&findings, what, about, "another history");
    };
    lie("replay", "over", &stored.over, &|event| {
        if let Some(attempt) = event.pointer_mut("/fact/completed/attempt/epoch") {
            *attempt = json!(attempt.as_u64().expect("a number") + 5);
        }
    });
    lie("replay", "over", &stored.over, &|event| {
        if event.pointer("/fact/completed").is_some() {
            event["nodes"][0]["from"] = json!("pending");
        }
    });
    lie("lease", "running", &stored.running, &|event| {
        if let Some(epoch) = event.pointer_mut("/fact/leased/attempts/0/epoch") {
            *epoch = json!(7_u64 << 32);
        }
    });
    lie("counters", "running", &stored.running, &|event| {
        if event.pointer("/fact/leased").is_some() {
            event["fact"]["leased"]["lease_ms"] = json!(0);
        }
    });
    lie("unreadable", "over", &stored.over, &|event| {
        if event.pointer("/fact/leased").is_some() {
            event["fact"] = json!({ "invented": {} });
        }
    });
    lie("replay", "over", &stored.over, &|event| {
        if event.pointer("/fact/completed").is_some() {
            event["by"]["at"] = json!(5);
        }
    });
}

#[tokio::test]
async fn a_page_that_is_no_page_is_named_and_nothing_is_changed_by_looking() {
    let stored = Stored::new().await;
    let copy = tempfile::tempdir().expect("a folder");
    fs::copy(stored.folder.path().join("events.db"), copy.path().join("events.db"))
        .expect("copied");
    let _ = fs::copy(stored.folder.path().join("events.db-wal"), copy.path().join("events.db-wal"));
    // All of it in one file, then damaged behind the first pages.
    let file = Connection::open(copy.path().join("events.db")).expect("a file");
    file.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).expect("copied");
    drop(file);
    let path = copy.path().join("events.db");
    let mut bytes = fs::read(&path).expect("a file");
    let end = bytes.len();
    bytes[end - 4_096..].fill(0xA5);
    fs::write(&path, &bytes).expect("written");
    let (code, out, said) = tried(&["check", text(copy.path()), "-o", "json"]);
    assert_eq!(code, 1, "{out}{said}");
    assert!(out.contains("events.db") || said.contains("events.db"), "{out}{said}");
    assert_eq!(fs::read(&path).expect("a file"), bytes);

    let (code, _, said) = tried(&["check", "/nowhere/at/all"]);
    assert_eq!((code, said.contains("there is no such folder")), (3, true), "{said}");
}

#[tokio::test]
async fn a_view_made_anew_shows_what_the_old_one_showed() {
    let stored = Stored::new().await;
    let path = stored.folder.path();
    let shown = |path: &Path| -> Vec<(Vec<u8>, i64, Vec<u8>)> {
        let file = Connection::open(path.join("view.db")).expect("a file");
        let mut rows =
            file.prepare("SELECT id, seq, CAST(body AS BLOB) FROM jobs ORDER BY id").expect("sql");
        let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
        rows.expect("rows").collect::<Result<_, _>>().expect("rows")
    };
    let before = shown(path);
    assert_eq!(before.len(), 3);
    for damage in [None, Some(&b"not a database at all, though long enough to look like one"[..])] {
        let view: PathBuf = path.join("view.db");
        let _ = fs::remove_file(path.join("view.db-wal"));
        match damage {
            None => fs::remove_file(&view).expect("removed"),
            Some(damage) => fs::write(&view, damage.repeat(100)).expect("written"),
        }
        let (code, _, said) = tried(&["view", "rebuild", text(path)]);
        assert_eq!((code, said.contains("3 documents made")), (0, true), "{said}");
        assert_eq!(shown(path), before);
        let (code, report) = check(path);
        assert_eq!((code, &report["view"]), (0, &json!("compared")), "{report}");
    }
    let hash = Hash::of(&fs::read(path.join("view.db")).expect("a file"));
    drop(EngineProcess::start(path).await);
    let again = Hash::of(&fs::read(path.join("view.db")).expect("a file"));
    assert_eq!(hash, again, "the next engine takes it as it is");
}
