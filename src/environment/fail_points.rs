//! Named places where a test makes the process end, or a write fail: one before and one after everything that
//! becomes durable or leaves the engine. The list is closed; `tests/engine/crash/` goes through all of it.
//! Always holds: without the feature `proof`, which only the builds of the tests have, a point is nothing at all.
//! Absent: any effect of a point that is not armed, and more than one armed point a process.
//!
//! `ORRERY_FAIL_POINT=NAME:N` aborts the process at the N-th time the point is passed; `NAME:N-M=full` and
//! `NAME:N-M=io` make the write there fail from the N-th to the M-th time (docs/crash-matrix.md).

use std::path::PathBuf;

/// What a write meets instead of being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The disk is full.
    Full,
    /// The system says that writing, or syncing, failed.
    Io,
}

macro_rules! points {
    ($($(#[doc = $about:literal])+ $point:ident = $name:literal;)+) => {
        /// A place that can be armed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Point {
            $($(#[doc = $about])+ $point,)+
        }

        impl Point {
            /// Every one there is.
            pub const ALL: &'static [Self] = &[$(Self::$point,)+];

            /// As `ORRERY_FAIL_POINT` names it.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$point => $name,)+ }
            }

            /// Where it is.
            pub const fn about(self) -> &'static str {
                match self { $(Self::$point => concat!($($about),+),)+ }
            }
        }
    };
}

points! {
    /// The file of the streams is made or migrated, nothing is served.
    StoreOpened = "store.opened";
    /// A write transaction of the event store begins.
    WriteBegin = "write.begin";
    /// A payload's row is written, its record is not.
    PayloadWritten = "write.payload";
    /// A record's row is written, its transaction is open.
    RecordWritten = "write.record";
    /// Marks are moved in the open transaction.
    MarksWritten = "write.marks";
    /// Append notices are written in the open transaction.
    NoticesWritten = "write.notices";
    /// Append notices are deleted in the open transaction.
    NoticesDeleted = "write.notices_deleted";
    /// A snapshot is written in the open transaction.
    SnapshotWritten = "write.snapshot";
    /// A stream is replaced by its tombstone in the open transaction.
    StreamDeleted = "write.deleted";
    /// Everything is written, the commit is next. Faults are met here.
    WriteCommit = "write.commit";
    /// Committed and synced, nobody has been told.
    WriteCommitted = "write.committed";
    /// Everybody has been told.
    WriteAnswered = "write.answered";
    /// The checkpoint thread is woken.
    CheckpointWoken = "checkpoint.woken";
    /// The mark says that pages may be copied from the WAL, none is. Faults are met here.
    CheckpointBegin = "checkpoint.begin";
    /// The checkpoint thread has copied and synced.
    CheckpointDone = "checkpoint.done";
    /// The writer is about to copy what came meanwhile.
    CheckpointFollow = "checkpoint.follow";
    /// The writer has copied it: the next write starts the WAL over.
    CheckpointFollowed = "checkpoint.followed";
    /// The view's file is made, nothing is in it.
    ViewOpened = "view.opened";
    /// A transaction of the view begins.
    ViewBegin = "view.begin";
    /// Its documents are written, the commit is next.
    ViewCommit = "view.commit";
    /// Committed, not synced.
    ViewCommitted = "view.committed";
    /// The view is about to be synced. Faults are met here.
    ViewSync = "view.sync";
    /// The file of the view was synced.
    ViewSynced = "view.synced";
    /// The view says whose it is.
    ViewAdopted = "view.adopted";
    /// A page of subjects, or the last one, is shown by a view that is made anew.
    ViewRebuilt = "view.rebuilt";
    /// The engine is about to ask for an append.
    Append = "effect.append";
    /// The append is answered, the core has not heard.
    Appended = "effect.appended";
    /// The engine is about to write append notices.
    AppendNotice = "effect.notice";
    /// The append notices are durable, the append they tell of is next.
    Noticed = "effect.noticed";
    /// The engine is about to move marks.
    MoveWakeUps = "effect.move_wake_ups";
    /// The marks are moved, the core has not heard.
    WakeUpsMoved = "effect.wake_ups_moved";
    /// The engine is about to delete append notices.
    ClearNotices = "effect.clear_notices";
    /// The append notices are gone.
    NoticesCleared = "effect.notices_cleared";
    /// The engine is about to keep a snapshot.
    KeepSnapshot = "effect.keep_snapshot";
    /// The snapshot is kept.
    SnapshotKept = "effect.snapshot_kept";
    /// The engine is about to flush documents.
    Flush = "effect.flush";
    /// They are flushed and synced, the core has not heard.
    Flushed = "effect.flushed";
    /// A stream is loaded, the core has not heard.
    Loaded = "effect.loaded";
    /// The core has decided an answer that rests on what is durable; it has not left the engine.
    AnswerDecided = "answer.decided";
    /// The answer to a write is made; it has not left the process.
    AnswerMade = "answer.made";
    /// The connection takes an answer with leases.
    LeasesTaken = "answer.leases_taken";
}

/// Passes a point; the process ends here when it is armed and its time has come.
#[inline]
pub fn pass(point: Point) {
    let _ = fault(point);
}

/// As `pass`, and what the write at this point meets when it is armed with a fault.
#[inline]
pub fn fault(point: Point) -> Option<Fault> {
    #[cfg(feature = "proof")]
    return armed::met(point);
    #[cfg(not(feature = "proof"))]
    {
        let _ = point;
        None
    }
}

/// Notes beside a file's WAL how many of its frames are surely on the disk, so that a test can take away the rest.
/// `synced` (the file, the frames) is asked only when a point is armed.
#[inline]
pub fn note_synced(synced: impl FnOnce() -> Option<(PathBuf, i64)>) {
    #[cfg(feature = "proof")]
    armed::note_synced(synced);
    #[cfg(not(feature = "proof"))]
    let _ = synced;
}

/// How far a test has set the wall clock forward (negative: back), in milliseconds: what is written in the file that
/// `ORRERY_WALL_CLOCK_OFF_BY` names, each time the clock is read.
#[inline]
pub(super) fn wall_clock_off_by() -> i64 {
    #[cfg(feature = "proof")]
    return armed::wall_clock_off_by();
    #[cfg(not(feature = "proof"))]
    0
}

#[cfg(feature = "proof")]
mod armed {
    //! What a build for the tests does at a point.

    use std::ffi::OsString;
    use std::fs::OpenOptions;
    use std::io::Write as _;
    use std::path::PathBuf;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::{Fault, Point};

    /// The only variables that are read here.
    const VARIABLE: &str = "ORRERY_FAIL_POINT";
    const WALL_CLOCK: &str = "ORRERY_WALL_CLOCK_OFF_BY";

    struct Armed {
        point: Point,
        first: u64,
        last: u64,
        /// None: the process ends.
        fault: Option<Fault>,
        passed: AtomicU64,
    }

    fn armed() -> Option<&'static Armed> {
        static ARMED: OnceLock<Option<Armed>> = OnceLock::new();
        let read = || {
            let text = std::env::var_os(VARIABLE)?;
            let armed = text.to_str().and_then(parse);
            // A misspelt point would be a test that tests nothing.
            Some(armed.unwrap_or_else(|| std::process::abort()))
        };
        ARMED.get_or_init(read).as_ref()
    }

    fn parse(text: &str) -> Option<Armed> {
        let (text, fault) = match text.split_once('=') {
            None => (text, None),
            Some((text, "full")) => (text, Some(Fault::Full)),
            Some((text, "io")) => (text, Some(Fault::Io)),
            Some(_) => return None,
        };
        let (name, times) = text.split_once(':')?;
        let (first, last) = times.split_once('-').unwrap_or((times, times));
        let point = *Point::ALL.iter().find(|point| point.name() == name)?;
        let (first, last) = (first.parse().ok()?, last.parse().ok()?);
        Some(Armed { point, first, last, fault, passed: AtomicU64::new(0) })
    }

    pub(super) fn met(point: Point) -> Option<Fault> {
        let armed = armed().filter(|armed| armed.point == point)?;
        let passed = armed.passed.fetch_add(1, Ordering::Relaxed) + 1;
        if !(armed.first..=armed.last).contains(&passed) {
            return None;
        }
        if armed.fault.is_none() {
            std::process::abort();
        }
        armed.fault
    }

    pub(super) fn wall_clock_off_by() -> i64 {
        static FILE: OnceLock<Option<PathBuf>> = OnceLock::new();
        let file = FILE.get_or_init(|| std::env::var_os(WALL_CLOCK).map(PathBuf::from));
        let text = file.as_ref().and_then(|file| std::fs::read_to_string(file).ok());
        text.and_then(|text| text.trim().parse().ok()).unwrap_or(0)
    }

    pub(super) fn note_synced(synced: impl FnOnce() -> Option<(PathBuf, i64)>) {
        if armed().is_none() {
            return;
        }
        let Some((file, frames)) = synced() else { return };
        let mut name = OsString::from(file);
        name.push("-wal.synced");
        let note = OpenOptions::new().write(true).create(true).truncate(false).open(name);
        // Of one length and in one write: another thread may end the process at any moment, and half a note, or none,
        // would take away what was synced. Read only by the test that armed the point, which fails without it.
        let _ = note.and_then(|mut note| note.write_all(format!("{frames:020}").as_bytes()));
    }
}
