//! The points that one engine alone never passes: append notices between two engines, and a stream's deletion. The test runs
//! itself as a child with two engines over one store, which aborts at the point; then an engine on the same folder
//! must find all that was acknowledged, be told of what it did not see, and see no deletion half done.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use domain::ids::{GroupId, JobId};
use domain::job::command::{Outcome, Report};
use domain::job::status::JobStatus;
use domain::payload::Hash;
use futures_util::future::BoxFuture;
use orrery::engine::core::CoreSettings;
use orrery::engine::core::message::{Announced, Caller, EngineId, Request, Response};
use orrery::engine::executor::{self, Parts};
use orrery::engine::forward::Forward;
use orrery::engine::handle::Engine;
use orrery::engine::leases::ReportOutcome;
use orrery::engine::loader;
use orrery::environment::Surroundings;
use orrery::environment::fail_points::Point;
use orrery::event_store::contract::{EventStore, Tombstone};
use orrery::event_store::sqlite::{DataFolder, FolderError, SqliteEventStore, SqliteSettings};
use orrery::view::sqlite::SqliteView;
use uuid::Uuid;

use super::process::pause;
use crate::harness::jobs::{diamond, namespace, poll, single, subject, submission};

pub(super) const FOLDER: &str = "ORRERY_CRASH_FOLDER";
/// Jobs of the child; the last one is deleted.
const JOBS: u128 = 6;
const DRIVER: EngineId = 1;
const TRANSIENT: EngineId = 2;

/// Nobody answers: every engine decides for itself, which is safe.
#[derive(Debug)]
struct Nobody;

impl Forward for Nobody {
    fn forward(
        &self,
        _: EngineId,
        _: Request,
        _: Duration,
    ) -> BoxFuture<'static, Option<Response>> {
        Box::pin(std::future::ready(None))
    }

    fn announce(&self, _: EngineId, _: Arc<[Announced]>) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }
}

pub(super) fn open(folder: &Path) -> (Arc<SqliteEventStore>, Arc<SqliteView>) {
    let view = SqliteView::open(&folder.join("view.db")).expect("a view");
    (Arc::new(try_open(folder).expect("a store")), Arc::new(view))
}

pub(super) fn try_open(folder: &Path) -> Result<SqliteEventStore, FolderError> {
    SqliteEventStore::open(Arc::new(DataFolder::open(folder)?), "apart", SqliteSettings::default())
}

async fn engine(me: EngineId, store: &Arc<SqliteEventStore>, view: &Arc<SqliteView>) -> Engine {
    let parts = Parts {
        settings: CoreSettings::default(),
        me,
        drivers: GroupId::all().map(|_| Some(DRIVER)).collect(),
        store: Arc::clone(store) as _,
        view: Arc::clone(view) as _,
        surroundings: Surroundings::system(),
        append_deadline: Duration::from_secs(5),
        forward: Some(Arc::new(Nobody)),
    };
    let engine = executor::start(parts).await.expect("an engine").0;
    engine.cluster().drives_until(domain::ids::Millis::MAX).await;
    engine
}

/// Tells the parent what was acknowledged.
pub(super) fn acked(folder: &Path, what: &str) {
    let file = OpenOptions::new().create(true).append(true).open(folder.join("acked"));
    writeln!(file.expect("the log"), "{what}").expect("written");
}

pub(super) fn tombstone(count: u64) -> Tombstone {
    Tombstone { count, hash: [7; 32], first_answer: b"{}".to_vec() }
}

/// Never part of a usual run: `scripts/test` passes them over by this name.
mod by_hand {
    use super::*;

    #[tokio::test]
    #[ignore = "the child of points_that_one_engine_never_passes_leave_a_right_store"]
    async fn child() {
        let folder = std::env::var_os(FOLDER).expect("its parent names the folder");
        let folder = Path::new(&folder);
        let (store, view) = open(folder);
        let transient = engine(TRANSIENT, &store, &view).await;
        for number in 1..=JOBS {
            let job = if number % 2 == 0 { single() } else { diamond() };
            let submission = submission(JobId(Uuid::from_u128(number)), job, transient.now());
            transient.jobs().submit(submission, Caller::engine()).await.expect("accepted");
            acked(folder, &format!("submitted {number}"));
        }
        let driver = engine(DRIVER, &store, &view).await;
        until_no_notices(store.as_ref()).await;
        driver.stop().await;
        transient.stop().await;
        let deleted = subject(JOBS);
        let head = loader::load(store.as_ref(), &deleted).await.expect("a stream").seq;
        let gone = store.delete(&deleted, head, tombstone(head), i64::MAX).await;
        assert_eq!(gone, Ok(true));
        acked(folder, "deleted");
    }
}

async fn until_no_notices(store: &dyn EventStore) {
    loop {
        let mut waiting = 0;
        for group in GroupId::all() {
            waiting += store.notices(group).await.expect("a store").len();
        }
        if waiting == 0 {
            return;
        }
        pause().await;
    }
}

#[tokio::test]
async fn points_that_one_engine_never_passes_leave_a_right_store() {
    let points = Point::ALL.iter().copied().filter(|point| super::matrix::is_apart(*point));
    let cells: Vec<_> = points.map(|point| tokio::spawn(cell(point.name()))).collect();
    for cell in cells {
        cell.await.expect("a cell");
    }
}

async fn cell(point: &'static str) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().to_owned();
    let reached = tokio::task::spawn_blocking(move || {
        run_child("crash::two_engine_points::by_hand::child", &path, &format!("{point}:1"))
    });
    assert!(reached.await.expect("a child"), "{point} was not reached");
    look_after(folder.path(), point).await;
}

/// Runs a test of this binary as a child, armed; whether it aborted.
pub(super) fn run_child(child: &str, folder: &Path, armed: &str) -> bool {
    let this = std::env::current_exe().expect("this test");
    let status = Command::new(this)
        .args(["--ignored", "--exact", child])
        .envs([
            (FOLDER, folder.as_os_str().to_owned()),
            ("ORRERY_FAIL_POINT", OsString::from(armed)),
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("a child");
    assert!(status.success() || status.signal() == Some(6), "{armed}: {status}");
    !status.success()
}

/// An engine that drives everything runs what is there to its end.
async fn look_after(folder: &Path, armed: &str) {
    let acked = std::fs::read_to_string(folder.join("acked")).unwrap_or_default();
    let submitted = acked.lines().filter(|line| line.starts_with("submitted")).count();
    let (store, view) = open(folder);
    let deleted = store.read(&subject(JOBS), 1, usize::MAX).await.expect("a part");
    let is_deleted = deleted.tombstone.is_some();
    assert!(is_deleted == deleted.records.is_empty() || submitted < 6, "{armed}: half deleted");
    assert!(is_deleted || !acked.contains("deleted"), "{armed}: a deletion is lost");
    let driver = engine(DRIVER, &store, &view).await;
    for number in 1..=JOBS {
        let there = number <= submitted as u128 && !(number == JOBS && is_deleted);
        let id = JobId(Uuid::from_u128(number));
        loop {
            let job = match driver.jobs().job(&namespace(), id).await {
                Ok(job) => job,
                Err(error) if !there => break drop(error),
                Err(error) => panic!("{armed}: job {number}: {error}"),
            };
            if job.head.status == JobStatus::Completed {
                break;
            }
            work(&driver).await;
        }
    }
    driver.stop().await;
}

pub(super) async fn work(driver: &Engine) {
    for granted in driver.leases().lease(poll("worker", 10)).await.expect("leases") {
        let report = Report {
            node: granted.lease.node,
            epoch: granted.lease.epoch,
            hash: Hash::of(b"done"),
            outcome: Outcome::Complete { output: None, warnings: vec![], artifacts: vec![] },
        };
        let reports = vec![(granted.lease.job, report, Caller::engine())];
        let (answers, _) = driver.leases().report(&namespace(), reports, None).await;
        assert!(matches!(answers[..], [ReportOutcome::Recorded]), "{answers:?}");
    }
    pause().await;
}
