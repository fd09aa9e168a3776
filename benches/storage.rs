//! How fast the embedded pair is: appends by batch size and number in flight, loading, flushes and lists.
//! `cargo bench --bench storage [-- SECONDS [FOLDER]]`; each line is one shape, run for SECONDS (default 3) in a
//! fresh folder below FOLDER (default: the system's, which must be a real disk for the figures to mean anything).
//! Absent: assertions. The figures are for people.

#![expect(clippy::expect_used, reason = "a bench that cannot go on says why")]
#![expect(clippy::disallowed_methods, reason = "a bench measures real time")]

use std::io::{Write, stdout};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use domain::ids::{JobId, Namespace, SubjectId};
use futures_util::future::join_all;
use orrery::event_store::contract::{AppendItem, Appended, EventStore, Record};
use orrery::event_store::sqlite::{DataFolder, SqliteEventStore, SqliteSettings};
use orrery::view::contract::{Columns, Document, JobColumns, JobQuery, JobSort, PageStart, View};
use orrery::view::sqlite::SqliteView;
use orrery_testing::view::every_job;
use uuid::Uuid;

/// A lease or completion event with a small output.
const BODY_BYTES: usize = 400;
/// A job's document as a list shows it.
const DOCUMENT_BYTES: usize = 1_200;
/// Records of one job, about what ten nodes make.
const RECORDS_A_JOB: u64 = 20;

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let seconds = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(3);
    let below = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("a runtime");
    runtime.block_on(async {
        for (batch, in_flight) in
            [(1, 1), (1, 64), (10, 8), (100, 1), (100, 4), (1_000, 1), (1_000, 2)]
        {
            appends(&below, Duration::from_secs(seconds), batch, in_flight).await;
        }
        view(&below).await;
    });
}

fn say(line: &str) {
    writeln!(stdout(), "{line}").expect("a terminal");
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn rate(count: u64, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

fn job(number: u64) -> SubjectId {
    // Time-ordered ids with a random tail, as the engine mints them.
    let tail = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let id = (u128::from(1_800_000_000_000 + number / 10) << 80)
        | 0x7000_8000_0000_0000_0000
        | u128::from(tail >> 2);
    SubjectId::job(Namespace::default_namespace(), JobId(Uuid::from_u128(id)))
}

fn item(job_number: u64, first: u64) -> AppendItem {
    let record = Record {
        first,
        count: 1,
        nonce: u128::from(job_number) << 64 | u128::from(first),
        at: 1_800_000_000_000,
        body: Arc::from(vec![b'x'; BODY_BYTES]),
        hash: [7; 32],
    };
    AppendItem {
        subject: job(job_number),
        record,
        payloads: Vec::new(),
        wake: (first == 1).then_some(0),
        may_use_reserve: true,
    }
}

/// Jobs begin, live for `RECORDS_A_JOB` records and give way to new ones, all at the same pace.
async fn appends(below: &std::path::Path, lasting: Duration, batch: u64, in_flight: u64) {
    let folder = tempfile::tempdir_in(below).expect("a folder");
    let data = Arc::new(DataFolder::open(folder.path()).expect("a data folder"));
    let store = Arc::new(
        SqliteEventStore::open(data, "bench", SqliteSettings::default()).expect("a store"),
    );
    let rows = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    let lanes = (0..in_flight).map(|lane| {
        let (store, rows) = (Arc::clone(&store), Arc::clone(&rows));
        tokio::spawn(async move {
            let (mut latencies, mut round) = (Vec::new(), 0_u64);
            while started.elapsed() < lasting {
                let (generation, first) = (round / RECORDS_A_JOB, round % RECORDS_A_JOB + 1);
                let base = (generation * in_flight + lane) * batch;
                let items = (0..batch).map(|place| item(base + place, first)).collect();
                let sent = Instant::now();
                let answers = store.append(items).await.expect("answers");
                latencies.push(sent.elapsed());
                assert!(answers.iter().all(|answer| *answer == Appended::Committed));
                rows.fetch_add(batch, Ordering::Relaxed);
                round += 1;
            }
            latencies
        })
    });
    let mut latencies: Vec<Duration> =
        join_all(lanes).await.into_iter().flat_map(|lane| lane.expect("a lane")).collect();
    let took = started.elapsed();
    latencies.sort();
    let at = |per_mille: usize| latencies[(latencies.len() - 1) * per_mille / 1_000];
    let rows = rows.load(Ordering::Relaxed);
    drop(store);
    let bytes = std::fs::metadata(folder.path().join("events.db")).map_or(0, |file| file.len());
    say(&format!(
        "append batch={batch:<5} in_flight={in_flight:<3} rows/s={:<8.0} p50={:?} p99={:?} max={:?} bytes/row={}",
        rate(rows, took),
        at(500),
        at(990),
        at(1_000),
        bytes / rows.max(1)
    ));
    load(folder.path(), rows).await;
}

/// What a restart does: every stream of every group is read.
async fn load(folder: &std::path::Path, rows: u64) {
    let started = Instant::now();
    let data = Arc::new(DataFolder::open(folder).expect("a data folder"));
    let store = SqliteEventStore::open(data, "bench", SqliteSettings::default()).expect("a store");
    let opened = started.elapsed();
    let mut read = 0_u64;
    for group in domain::ids::GroupId::all() {
        let marks = store.live(group, i64::MAX, None, 100_000).await.expect("marks");
        for some in marks.chunks(64) {
            let parts =
                join_all(some.iter().map(|mark| store.read(&mark.subject, 1, usize::MAX))).await;
            read += parts
                .into_iter()
                .map(|part| part.expect("a part").records.len() as u64)
                .sum::<u64>();
        }
    }
    assert_eq!(read, rows);
    say(&format!("    open {opened:?}, load {read} records in {:?}", started.elapsed()));
}

fn document(number: u64, seq: u64, status: &'static str) -> Document {
    let at = 1_800_000_000_000 + i64::try_from(number + seq * 1_000).unwrap_or(0);
    let job_columns = JobColumns {
        name: format!("nightly-{}", number % 100),
        status,
        job_type: Some("build".to_owned()),
        environment: "default".to_owned(),
        parent_job_id: None,
        triggered_by: number.is_multiple_of(10).then(|| "cron".to_owned()),
        error_class: (status == "failed").then(|| "timeout.attempt".to_owned()),
        priority: 5,
        tags: vec!["nightly".to_owned()],
        created_at: 1_800_000_000_000 + i64::try_from(number).unwrap_or(0),
        updated_at: at,
    };
    Document {
        subject: job(number),
        seq,
        columns: Columns::Job(Box::new(job_columns)),
        body: "x".repeat(DOCUMENT_BYTES).into(),
        nodes: Vec::new(),
    }
}

async fn view(below: &std::path::Path) {
    let folder = tempfile::tempdir_in(below).expect("a folder");
    let view = SqliteView::open(&folder.path().join("view.db")).expect("a view");
    for (what, seq, status) in [
        ("insert", 1, "queued"),
        ("update, another status", 2, "running"),
        ("update, same status", 3, "running"),
        ("update, ended", 4, "completed"),
    ] {
        let (mut took, jobs) = (Duration::ZERO, 100_000);
        for part in 0..jobs / 1_000 {
            let documents =
                (part * 1_000..(part + 1) * 1_000).map(|n| document(n, seq, status)).collect();
            let started = Instant::now();
            view.flush(documents).await.expect("flushed");
            took += started.elapsed();
        }
        say(&format!(
            "view {what:<24} documents/s={:<8.0} 1,000 in {:?}",
            rate(jobs, took),
            took / 100
        ));
    }
    let started = Instant::now();
    view.sync().await.expect("synced");
    say(&format!("view sync {:?}", started.elapsed()));
    let plain = JobQuery { descending: true, ..every_job(Namespace::default_namespace()) };
    let cron = Some("cron".to_owned());
    for (what, query) in [
        ("all", plain.clone()),
        ("all, page 100", JobQuery { start: PageStart::Page(100), ..plain.clone() }),
        ("status", JobQuery { statuses: vec!["completed"], ..plain.clone() }),
        (
            "status by updated_at",
            JobQuery { statuses: vec!["completed"], sort: JobSort::UpdatedAt, ..plain.clone() },
        ),
        (
            "triggered_by, by updated_at",
            JobQuery { triggered_by: cron, sort: JobSort::UpdatedAt, ..plain.clone() },
        ),
        ("tag", JobQuery { tag: Some("nightly".to_owned()), ..plain.clone() }),
        ("name", JobQuery { name_prefix: Some("nightly-7".to_owned()), ..plain }),
    ] {
        view.jobs(query.clone()).await.expect("a page");
        let started = Instant::now();
        for _ in 0..20 {
            view.jobs(query.clone()).await.expect("a page");
        }
        say(&format!("list {what:<28} {:?}", started.elapsed() / 20));
    }
}
