//! Files that are cut, flipped and mixed, over a recorded run: an engine in a child process runs jobs over the
//! embedded store and is aborted when its checkpoint is about to copy pages. Each copy that is then damaged either
//! opens as one of the states the run went through, or is refused by name.
//! Always holds: a state is everything at once (streams with their chains, marks, append notices, what the store says of
//! itself), so that a mixture of two states is neither.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use domain::ids::{GroupId, JobId};
use orrery::engine::core::CoreSettings;
use orrery::engine::core::message::Caller;
use orrery::engine::executor::{self, Parts};
use orrery::engine::loader;
use orrery::environment::Surroundings;
use orrery::event_store::contract::{EventStore, EventStoreError};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::two_engine_points::{FOLDER, acked, open, run_child, tombstone, try_open, work};
use crate::harness::jobs::{diamond, fan, node, single, spec, subject, submission};

const HEADER: usize = 32;
const FRAME: usize = 24 + 4_096;
const PAGE: usize = 4_096;
const JOBS: u128 = 9;
/// Bytes at the beginning of the file of marks that say what was copied.
const COPIED_MARK: usize = 64;
/// Drawn places in each page of the file: with all pages some hundred, each a start of a store.
const FLIPS_A_PAGE: usize = 16;

/// The files of the run, as the abort left them.
struct Recorded {
    main: Vec<u8>,
    wal: Vec<u8>,
    mark: Vec<u8>,
    /// The main file once everything in the WAL has been copied into it.
    copied: Vec<u8>,
    /// Frames at which commits end, and the state after each.
    states: Vec<(usize, String)>,
}

/// Never part of a usual run: `scripts/test` passes them over by this name.
mod by_hand {
    use super::*;

    #[tokio::test]
    #[ignore = "the child of the tests beside it"]
    async fn child() {
        let folder = std::env::var_os(FOLDER).expect("its parent names the folder");
        let folder = Path::new(&folder);
        let (store, view) = open(folder);
        let parts = Parts {
            settings: CoreSettings { snapshot_every_events: 3, ..CoreSettings::default() },
            me: 1,
            drivers: GroupId::all().map(|_| Some(1)).collect(),
            store: Arc::clone(&store) as _,
            view,
            surroundings: Surroundings::system(),
            append_deadline: Duration::from_secs(5),
            forward: None,
        };
        let (engine, running) = executor::start(parts).await.expect("an engine");
        for number in 1..=JOBS {
            let mut job = match number % 3 {
                0 => fan(3),
                1 => diamond(),
                _ => single(),
            };
            if number % 4 == 0 {
                let text = format!("\"{}\"", "z".repeat(9_000));
                let mut large = node("large", &[]);
                large.input = Some(RawValue::from_string(text).expect("JSON"));
                job = spec(vec![large]);
            }
            let submission = submission(JobId(Uuid::from_u128(number)), job, engine.now());
            engine.jobs().submit(submission, Caller::engine()).await.expect("accepted");
            if number % 2 == 0 {
                work(&engine).await;
            }
        }
        acked(folder, "ran");
        engine.stop().await;
        running.await.expect("it ends").expect("well");
        drop(engine);
        let head = loader::load(store.as_ref(), &subject(JOBS)).await.expect("a stream").seq;
        let gone = store.delete(&subject(JOBS), head, tombstone(head), i64::MAX).await;
        assert_eq!(gone, Ok(true));
        acked(folder, "deleted");
        // Everything is copied as the store is dropped: there it aborts.
    }
}

async fn recorded() -> Recorded {
    let folder = tempfile::tempdir().expect("a folder");
    assert!(
        run_child("crash::damage::by_hand::child", folder.path(), "checkpoint.begin:1"),
        "it aborted"
    );
    let said = fs::read_to_string(folder.path().join("acked")).expect("what it did");
    assert!(said.contains("deleted"), "it aborted too early: {said}");
    let read = |name: &str| fs::read(folder.path().join(name)).expect("a file");
    let (main, wal, mark) = (read("events.db"), read("events.db-wal"), read("events.db-mark"));
    let mut states = Vec::new();
    for end in commits(&wal) {
        let cut = &wal[..HEADER + end * FRAME];
        states.push((end, found(&main, cut, &[]).await.expect("a prefix of what was written")));
    }
    let closed = lay(&main, &wal, &mark);
    drop(try_open(closed.path()).expect("the whole run"));
    let copied = fs::read(closed.path().join("events.db")).expect("a file");
    Recorded { main, wal, mark, copied, states }
}

/// The frames at which commits end.
fn commits(wal: &[u8]) -> Vec<usize> {
    let frames = (wal.len() - HEADER) / FRAME;
    let ends = |frame: &usize| {
        let at = HEADER + (frame - 1) * FRAME;
        wal[at + 4..at + 8] != [0; 4] && wal[at + 8..at + 16] == wal[16..24]
    };
    (1..=frames).filter(ends).collect()
}

fn lay(main: &[u8], wal: &[u8], mark: &[u8]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, bytes) in [("events.db", main), ("events.db-wal", wal), ("events.db-mark", mark)] {
        if !bytes.is_empty() {
            fs::write(folder.path().join(name), bytes).expect("written");
        }
    }
    folder
}

/// The state that a store over these files has; an error is a refusal, and names a file or a subject.
async fn found(main: &[u8], wal: &[u8], mark: &[u8]) -> Result<String, String> {
    let folder = lay(main, wal, mark);
    let store = try_open(folder.path()).map_err(|error| {
        let said = error.to_string();
        assert!(said.contains("events.db"), "refused without a name: {said}");
        said
    })?;
    let state = state_of(&store).await.map_err(|error| match error {
        EventStoreError::Damaged { .. } => error.to_string(),
        other => panic!("neither a state nor a refusal: {other}"),
    });
    drop(store);
    state
}

/// What lines of a state begin with that may differ in one way without harm.
const MARK: &str = "mark ";
const KEPT: &str = "kept ";
const DUE: &str = "due ";

/// Whether a state is the other one but for marks that are due now instead, and snapshots that are passed over.
fn is_harmless(state: &str, other: &str) -> bool {
    let (lines, others) = (state.lines().collect::<Vec<_>>(), other.lines().collect::<Vec<_>>());
    let mut pairs = lines.iter().zip(&others);
    lines.len() == others.len()
        && pairs.all(|(line, other)| {
            line == other
                || line.starts_with("mark Some((0, ")
                || *line == "kept None"
                // Follows from the marks.
                || (line.starts_with(DUE) && state.contains("mark Some((0, "))
        })
}

/// Everything the store holds, in words.
async fn state_of(store: &dyn EventStore) -> Result<String, EventStoreError> {
    let mut lines = vec![format!("{:?}", store.info().await?)];
    for group in GroupId::all() {
        for subject in store.subjects(group, None, 1_000).await? {
            let stream = loader::load(store, &subject).await?;
            let mark = stream.mark.map(|mark| (mark.due, mark.number));
            let kept =
                store.snapshot(&subject).await?.map(|snapshot| (snapshot.seq, snapshot.hash));
            let entity = stream.entity.is_some();
            lines.push(format!("{subject} {} {:?} {entity}", stream.seq, stream.chain));
            lines.push(format!("{MARK}{mark:?}"));
            lines.push(format!("{KEPT}{kept:?}"));
            lines.push(format!("{:?}", payloads(store, &subject).await?));
            let part = store.read(&subject, 1, usize::MAX).await?;
            let records = part.records.iter();
            let records =
                records.map(|record| (record.first, record.count, record.at, record.nonce));
            lines.push(format!("{:?}", records.collect::<Vec<_>>()));
        }
        let due = store.live(group, i64::MAX, None, 1_000).await?;
        lines.push(format!("{DUE}{due:?}"));
        lines.push(format!("{:?}", store.notices(group).await?));
    }
    let gone = store.read(&subject(JOBS), 1, usize::MAX).await?;
    lines.push(format!("{:?}", gone.tombstone));
    Ok(lines.join("\n"))
}

/// The lengths of the payloads that the stream names.
async fn payloads(
    store: &dyn EventStore,
    of: &domain::ids::SubjectId,
) -> Result<Vec<Option<usize>>, EventStoreError> {
    let part = store.read(of, 1, usize::MAX).await?;
    let mut hashes = Vec::new();
    for record in &part.records {
        let text = String::from_utf8_lossy(&record.body).into_owned();
        for after in text.split("\"sha256\":\"").skip(1) {
            if let Some(hash) = after.get(..64).and_then(domain::payload::Hash::parse) {
                hashes.push(hash.0);
            }
        }
    }
    let found = store.payloads(of, &hashes).await?;
    Ok(found.into_iter().map(|bytes| bytes.map(|bytes| bytes.len())).collect())
}

/// The marks without the one of what was copied, as before the first checkpoint.
fn only_synced(marks: &[u8]) -> Vec<u8> {
    let mut marks = marks.to_vec();
    marks[..COPIED_MARK].fill(0);
    marks
}

/// Small numbers that look drawn and are the same in every run.
fn drawn(seed: usize) -> usize {
    let mixed = (seed as u64).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    usize::try_from((mixed ^ (mixed >> 29)) & 0x7FFF_FFFF).unwrap_or(0)
}

#[tokio::test]
async fn a_log_cut_anywhere_is_a_whole_prefix_or_refused() {
    let run = recorded().await;
    let frames = (run.wal.len() - HEADER) / FRAME;
    let last = run.states.last().expect("states").clone();
    assert!(run.states.len() > 20, "{} commits", run.states.len());
    for frame in 0..=frames {
        for more in [0, 9, FRAME - 1] {
            let cut = &run.wal[..(HEADER + frame * FRAME + more).min(run.wal.len())];
            // Nothing was copied: what is left is what had been committed by then.
            let state = found(&run.main, cut, &[]).await;
            let before = run.states.iter().rfind(|(end, _)| *end <= frame);
            match before {
                Some((_, before)) => assert_eq!(state.as_ref(), Ok(before), "cut at {frame}"),
                // Before the first commit there is nothing: a new store, with an id of its own.
                None => assert!(state.is_ok() || frame == 0, "cut at {frame}: {state:?}"),
            }
            // The mark of what was synced alone: less than all of it is refused.
            match &found(&run.main, cut, &only_synced(&run.mark)).await {
                Ok(state) => assert!(frame >= last.0 && *state == last.1, "cut at {frame}"),
                Err(said) => assert!(said.contains("events.db-wal") && frame < last.0, "{said}"),
            }
            // Pages may have been copied: less than all of it is refused.
            let marked = found(&run.main, cut, &run.mark).await;
            match &marked {
                Ok(state) => assert!(frame >= last.0 && *state == last.1, "cut at {frame}"),
                Err(said) => assert!(said.contains("events.db-wal") && frame < last.0, "{said}"),
            }
        }
    }
}

#[tokio::test]
async fn a_log_with_a_flipped_bit_is_refused_or_lacks_only_its_end() {
    let run = recorded().await;
    let frames = (run.wal.len() - HEADER) / FRAME;
    let last = run.states.last().expect("states").clone();
    let ends: BTreeMap<&str, usize> =
        run.states.iter().map(|(end, state)| (state.as_str(), *end)).collect();
    let mut refused = 0;
    let heads = (0..HEADER).map(|byte| (0, byte));
    let places = (0..frames).flat_map(|frame| {
        let at = HEADER + frame * FRAME;
        [0, 3, 4, 7, 9, 17, 23, 24, 24 + drawn(frame) % PAGE].map(|byte| (frame + 1, at + byte))
    });
    for (frame, byte) in heads.chain(places) {
        let mut wal = run.wal.clone();
        wal[byte] ^= 1 << (drawn(byte) % 8);
        match found(&run.main, &wal, &[]).await {
            Ok(state) => {
                let end = *ends.get(state.as_str()).unwrap_or_else(|| {
                    panic!("byte {byte} of frame {frame}: a state that never was:\n{state}")
                });
                let lost = run.states.iter().filter(|(other, _)| *other > end).count();
                assert!(lost <= 2, "byte {byte} of frame {frame}: {lost} commits are lost");
            }
            Err(said) => {
                assert!(said.contains("events.db-wal"), "{said}");
                refused += 1;
            }
        }
        for mark in [&run.mark, &only_synced(&run.mark)] {
            match found(&run.main, &wal, mark).await {
                Ok(state) => assert!(state == last.1, "byte {byte} of frame {frame}"),
                Err(said) => assert!(said.contains("events.db-wal"), "{said}"),
            }
        }
    }
    assert!(refused > frames, "{refused} refused of {frames} frames");
}

#[tokio::test]
async fn a_checkpoint_that_was_cut_off_anywhere_is_made_good_or_refused() {
    let run = recorded().await;
    let last = run.states.last().expect("states").1.clone();
    for round in 0..40 {
        // Any pages of the copy may have reached the disk, in any order; the file may have any length.
        let mut main = run.copied.clone();
        let old = |page: usize| run.main.get(page * PAGE..(page + 1) * PAGE);
        for page in 0..main.len() / PAGE {
            if drawn(round * 1_000 + page).is_multiple_of(2) {
                let zeros = [0; PAGE];
                let old = old(page).unwrap_or(&zeros);
                main[page * PAGE..(page + 1) * PAGE].copy_from_slice(old);
            }
        }
        main.truncate((main.len() - drawn(round) % main.len()).max(run.main.len()));
        assert_eq!(found(&main, &run.wal, &run.mark).await, Ok(last.clone()), "round {round}");
        // With a log that is not whole, the file is a mixture that nobody can part.
        let cut = HEADER + drawn(round) % (run.wal.len() - HEADER - FRAME);
        let said = found(&main, &run.wal[..cut], &run.mark).await.expect_err("refused");
        assert!(said.contains("events.db"), "{said}");
    }
}

#[tokio::test]
async fn a_file_cut_at_any_page_is_refused() {
    let run = recorded().await;
    let last = run.states.last().expect("states").1.clone();
    assert_eq!(found(&run.copied, &[], &[]).await, Ok(last));
    for page in 1..run.copied.len() / PAGE {
        for more in [0, 100] {
            let said =
                found(&run.copied[..page * PAGE + more], &[], &[]).await.expect_err("refused");
            assert!(said.contains("events.db is damaged"), "{said}");
        }
    }
}

#[tokio::test]
async fn a_file_with_a_flipped_bit_says_so_or_holds_what_it_held() {
    let run = recorded().await;
    let last = run.states.last().expect("states").1.clone();
    let (mut said, mut healed, pages) = (0, 0, run.copied.len() / PAGE);
    for page in 0..pages {
        for round in 0..FLIPS_A_PAGE {
            let byte = page * PAGE + drawn(page * FLIPS_A_PAGE + round) % PAGE;
            let mut main = run.copied.clone();
            main[byte] ^= 1 << (drawn(byte) % 8);
            match found(&main, &[], &[]).await {
                Ok(state) => {
                    assert!(is_harmless(&state, &last), "byte {byte}, from\n{last}\nto\n{state}");
                    healed += usize::from(state != last);
                }
                Err(_) => said += 1,
            }
        }
    }
    assert!(said > pages, "{said} of {pages} pages said so, {healed} were made good");
}
