//! The bodies that the bench sends and the parts of answers that it reads. What is the same in every request is
//! written once; what is read is borrowed from the answer.
//! Absent: connections (`link`) and what the answers mean (`drive`).

use std::io::Write as _;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// Stands in a document where the job's number goes; with its quotes it becomes the bare number.
const NUMBER: &str = "@number@";

/// A job document with gaps for the number of the job.
#[derive(Debug, Clone)]
pub(super) struct JobText {
    pieces: Vec<String>,
    steps: usize,
}

impl JobText {
    /// Of a document whose numbers are [`JobText::number`].
    pub(super) fn of(document: &Value) -> Self {
        let steps = document["nodes"].as_array().map_or(0, Vec::len);
        let gap = format!("\"{NUMBER}\"");
        let pieces = document.to_string().split(&gap).map(str::to_owned).collect();
        Self { pieces, steps }
    }

    /// The same document, of which so many nodes come to workers: members come to be.
    pub(super) fn with_steps(self, steps: usize) -> Self {
        Self { steps, ..self }
    }

    pub(super) fn number() -> Value {
        Value::from(NUMBER)
    }

    /// Nodes of the job.
    pub(super) fn steps(&self) -> usize {
        self.steps
    }

    /// Writes the document of job `number`.
    pub(super) fn write(&self, number: u64, out: &mut Vec<u8>) {
        let digits = number.to_string();
        for (position, piece) in self.pieces.iter().enumerate() {
            if position > 0 {
                out.extend_from_slice(digits.as_bytes());
            }
            out.extend_from_slice(piece.as_bytes());
        }
    }

    /// Writes the body of `POST /jobs/batch` for these jobs.
    pub(super) fn write_batch(&self, jobs: &[u64], out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"jobs\":[");
        for (position, job) in jobs.iter().enumerate() {
            if position > 0 {
                out.push(b',');
            }
            self.write(*job, out);
        }
        out.extend_from_slice(b"]}");
    }
}

/// How a worker asks for work.
#[derive(Debug, Clone)]
pub(super) struct Wants {
    pub(super) queue: String,
    pub(super) worker: String,
    pub(super) max: usize,
    pub(super) lease_ms: Option<u64>,
}

impl Wants {
    /// The path of a plain request for work.
    pub(super) fn path(&self) -> String {
        format!("/api/v1/queues/{}/lease", self.queue)
    }

    /// The body of a plain request that waits.
    pub(super) fn body(&self, wait_ms: u64) -> Vec<u8> {
        format!("{{{}}}", self.fields(wait_ms)).into_bytes()
    }

    /// What follows the items of a report: nothing more.
    pub(super) fn end() -> Vec<u8> {
        b"]}".to_vec()
    }

    /// What follows the items of a report that asks for the next work, and does not wait for it.
    pub(super) fn next(&self) -> Vec<u8> {
        format!("],\"lease\":{{\"queue\":\"{}\",{}}}}}", self.queue, self.fields(0)).into_bytes()
    }

    fn fields(&self, wait_ms: u64) -> String {
        let lease_ms = self.lease_ms.map(|ms| format!(",\"lease_ms\":{ms}")).unwrap_or_default();
        format!(
            "\"worker\":\"{}\",\"max\":{},\"wait_ms\":{wait_ms}{lease_ms}",
            self.worker, self.max
        )
    }
}

/// Writes one item of a report. `first` items open the body.
pub(super) fn write_item(out: &mut Vec<u8>, lease: &str, failed: bool) {
    out.extend_from_slice(if out.is_empty() { b"{\"items\":[" } else { b"," });
    let rest = if failed {
        r#""error":{"type":"BenchFailure","message":"as --fail asked","class":"server.error"}"#
    } else {
        r#""output":{"ok":true}"#
    };
    // Writing to memory cannot fail.
    let _ = write!(out, "{{\"lease\":\"{lease}\",{rest}}}");
}

/// An answer to a report or a request for work.
#[derive(Debug, Default, Deserialize)]
pub(super) struct WorkAnswer<'a> {
    #[serde(borrow, default)]
    pub(super) results: Vec<ResultItem<'a>>,
    #[serde(borrow, default)]
    pub(super) leases: Vec<LeaseItem<'a>>,
}

/// What became of one report.
#[derive(Debug, Deserialize)]
pub(super) struct ResultItem<'a> {
    outcome: &'a str,
    #[serde(borrow, default)]
    pub(super) error: Option<ErrorText<'a>>,
}

impl ResultItem<'_> {
    /// Whether the report counts, now or since it was first sent.
    pub(super) fn counts(&self) -> bool {
        self.outcome != "refused"
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct LeaseItem<'a> {
    pub(super) lease: &'a str,
    #[serde(default)]
    pub(super) input: Option<StepInput>,
}

/// What the shapes write into a node's input.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(default)]
pub(super) struct StepInput {
    /// The job's number.
    pub(super) job: Option<u64>,
    pub(super) runtime_s: f64,
}

/// An answer to a batch of jobs.
#[derive(Debug, Deserialize)]
pub(super) struct BatchAnswer<'a> {
    #[serde(borrow)]
    pub(super) results: Vec<SubmitItem<'a>>,
}

/// What became of one job of a batch.
#[derive(Debug, Deserialize)]
pub(super) struct SubmitItem<'a> {
    #[serde(borrow, default)]
    pub(super) error: Option<ErrorText<'a>>,
}

/// The problem of one item of a batch, as it came.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(transparent)]
pub(super) struct ErrorText<'a>(#[serde(borrow)] &'a RawValue);

impl ErrorText<'_> {
    /// Whether the engine says that it can do it later.
    pub(super) fn is_busy(&self) -> bool {
        #[derive(Deserialize)]
        struct Problem {
            status: u16,
        }
        serde_json::from_str(self.0.get()).is_ok_and(|problem: Problem| is_busy(problem.status))
    }

    /// The whole of it.
    pub(super) fn shown(&self) -> String {
        self.0.to_string()
    }
}

/// Whether a status says that the engine can do it later: overload, a view behind, no room.
pub(super) fn is_busy(status: u16) -> bool {
    matches!(status, 429 | 503 | 507)
}

/// The part of an accepted job that the bench reads.
#[derive(Debug, Deserialize)]
pub(super) struct JobAnswer<'a> {
    pub(super) id: &'a str,
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test says what it expects")]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(bytes: &[u8]) -> Value {
        serde_json::from_slice(bytes).expect("JSON")
    }

    #[test]
    fn the_jobs_number_fills_every_gap() {
        let input = json!({ "job": JobText::number() });
        let document = json!({ "name": "x", "nodes": [{ "key": "a", "input": input }, { "key": "b", "input": input }] });
        let text = JobText::of(&document);
        assert_eq!(text.steps(), 2);
        let mut out = Vec::new();
        text.write(17, &mut out);
        assert_eq!(read(&out)["nodes"][1]["input"], json!({ "job": 17 }));
        out.clear();
        text.write_batch(&[8, 9, 10], &mut out);
        let jobs = read(&out);
        let number = |job: &Value| job["nodes"][0]["input"]["job"].clone();
        let numbers: Vec<Value> =
            jobs["jobs"].as_array().expect("jobs").iter().map(number).collect();
        assert_eq!(numbers, [8, 9, 10]);
    }

    #[test]
    fn requests_are_what_the_api_takes() {
        let wants =
            Wants { queue: "q".to_owned(), worker: "w".to_owned(), max: 7, lease_ms: Some(5_000) };
        assert_eq!(wants.path(), "/api/v1/queues/q/lease");
        let plain = json!({ "worker": "w", "max": 7, "wait_ms": 9, "lease_ms": 5_000 });
        assert_eq!(read(&wants.body(9)), plain);
        let mut report = Vec::new();
        write_item(&mut report, "l1", false);
        write_item(&mut report, "l2", true);
        report.extend(wants.next());
        let report = read(&report);
        assert_eq!(report["items"][0], json!({ "lease": "l1", "output": { "ok": true } }));
        assert_eq!(report["items"][1]["error"]["type"], "BenchFailure");
        let next =
            json!({ "queue": "q", "worker": "w", "max": 7, "wait_ms": 0, "lease_ms": 5_000 });
        assert_eq!(report["lease"], next);
    }

    #[test]
    fn answers_are_read_with_what_the_bench_does_not_know() {
        let answer: WorkAnswer<'_> = serde_json::from_str(
            r#"{"results":[{"lease":"a","outcome":"recorded","error":null},{"lease":"b","outcome":"refused","error":{"code":"lease_lost","status":409}},{"lease":"b","outcome":"refused","error":{"code":"overloaded","status":503}}],
                "leases":[{"lease":"c","job_id":"j","node":"n","attempt":1,"input":{"job":3,"runtime_s":0.5,"program":"x"}},{"lease":"d","input":null}]}"#,
        )
        .expect("an answer");
        let counts: Vec<bool> = answer.results.iter().map(ResultItem::counts).collect();
        assert_eq!(counts, [true, false, false]);
        let errors = answer.results.iter().map(|result| result.error.map(|error| error.is_busy()));
        assert_eq!(errors.collect::<Vec<_>>(), [None, Some(false), Some(true)]);
        assert!(answer.results[1].error.is_some_and(|error| error.shown().contains("lease_lost")));
        let jobs: Vec<Option<u64>> =
            answer.leases.iter().map(|lease| lease.input.and_then(|input| input.job)).collect();
        assert_eq!(jobs, [Some(3), None]);
    }
}
