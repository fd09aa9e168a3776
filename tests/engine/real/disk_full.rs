//! A disk that is really full: new jobs are refused, what runs is finished from the reserve, and the engine goes on by
//! itself when there is room. Needs the right to mount a small disk; says so where it has none.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::process::{EngineProcess, tried};

/// A small disk in memory, gone with the test.
struct SmallDisk {
    place: tempfile::TempDir,
}

impl SmallDisk {
    fn mount() -> Self {
        let place = tempfile::tempdir().expect("a folder");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=24m", "tmpfs"])
            .arg(place.path())
            .status();
        assert!(mounted.is_ok_and(|status| status.success()), "no disk can be mounted here");
        Self { place }
    }

    fn path(&self) -> &Path {
        self.place.path()
    }

    /// Somebody else takes all that is left.
    fn fill(&self) {
        // Smaller and smaller pieces until not a page fits any more; each size fits once at most after the one before.
        let mut size = 16 * 1_024 * 1_024;
        while size >= 4_096 {
            let part = self.path().join(format!("somebody-elses-{size}"));
            if fs::write(&part, vec![0; size]).is_err() {
                let _ = fs::remove_file(&part);
            }
            size /= 2;
        }
    }

    fn make_room(&self) {
        for entry in fs::read_dir(self.path()).expect("the disk").flatten() {
            if entry.file_name().to_string_lossy().starts_with("somebody-elses") {
                fs::remove_file(entry.path()).expect("removed");
            }
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.path()).status();
    }
}

const SMALL: &[(&str, &str)] = &[
    ("ORRERY__STORAGE__FREE_SPACE_MIN_BYTES", "4194304"),
    ("ORRERY__STORAGE__RESERVE_BYTES", "4194304"),
];

async fn submit(engine: &EngineProcess, name: &str) -> (u16, Value) {
    let job =
        json!({ "name": name, "nodes": [{ "key": "a" }, { "key": "b", "depends_on": ["a"] }] });
    engine.post("/api/v1/jobs", &job, None).await
}

async fn lease(engine: &EngineProcess, max: usize) -> Vec<Value> {
    let ask = json!({ "worker": "w", "max": max, "lease_ms": 600_000 });
    let (status, leased) = engine.post("/api/v1/queues/default/lease", &ask, None).await;
    assert_eq!(status, 200, "{leased}");
    leased["leases"].as_array().expect("leases").clone()
}

#[tokio::test]
#[ignore = "needs to mount a disk: scripts/test tries whether it may"]
async fn a_full_disk_stops_new_work_only_and_the_engine_goes_on_when_there_is_room() {
    let disk = SmallDisk::mount();
    let folder = disk.path().join("data");
    let mut engine = EngineProcess::start_with(&folder, SMALL).await;
    for number in 0..60 {
        let (status, made) = submit(&engine, &format!("job {number}")).await;
        assert_eq!(status, 201, "{made}");
    }
    let held = lease(&engine, 60).await;
    disk.fill();
    let (status, refused) = submit(&engine, "too late").await;
    assert_eq!((status, &refused["code"]), (507, &json!("storage_full")), "{refused}");

    // What runs is finished: first from what the files have, then from the reserve.
    let padding = "x".repeat(10_000);
    for lease in &held {
        let item = json!({ "lease": lease["lease"], "output": { "padding": padding } });
        let (status, answer) =
            engine.post("/api/v1/leases/complete", &json!({ "items": [item] }), None).await;
        assert_eq!(
            (status, &answer["results"][0]["outcome"]),
            (200, &json!("recorded")),
            "{answer}"
        );
    }
    assert!(!folder.join("reserve.bin").exists(), "the reserve was given up");
    let cancelled = held[0]["job_id"].as_str().expect("an id");
    let (status, answer) =
        engine.post(&format!("/api/v1/jobs/{cancelled}/cancel"), &json!({}), None).await;
    assert_eq!(status, 200, "{answer}");
    let job = engine.get(&format!("/api/v1/jobs/{cancelled}")).await.expect("reads go on");
    assert_eq!(job["status"], "cancelled", "{job}");
    let (status, refused) = submit(&engine, "still too late").await;
    assert_eq!((status, &refused["code"]), (507, &json!("storage_full")), "{refused}");
    engine.kill_and_restart().await;
    let (status, refused) = submit(&engine, "too late for the next one").await;
    assert_eq!((status, &refused["code"]), (507, &json!("storage_full")), "{refused}");

    disk.make_room();
    engine.until_submitted(&json!({ "name": "in time", "nodes": [{ "key": "a" }] })).await;
    assert!(folder.join("reserve.bin").exists(), "and the reserve is kept again");
    engine.kill();
    let (code, out, said) = tried(&["check", folder.to_str().expect("Unicode"), "-o", "json"]);
    assert_eq!(code, 0, "{out}{said}");
}
