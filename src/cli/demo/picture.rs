//! Shows the demo's nodes while they run: drawn again in place on a terminal, one line a change elsewhere.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use orrery_client::api::shapes::{Job, Node};
use orrery_client::console::Console;
use tokio::time::Instant;

use super::job::KEYS;

/// What was shown last, and since when the job runs.
#[derive(Debug)]
pub(super) struct Picture {
    console: Console,
    started: Instant,
    shown: BTreeMap<String, (String, u64)>,
    drawn: bool,
}

impl Picture {
    pub(super) fn new(console: Console) -> Self {
        Self { console, started: Instant::now(), shown: BTreeMap::new(), drawn: false }
    }

    /// Shows the job as it is now.
    pub(super) fn show(&mut self, job: &Job, nodes: &[Node]) {
        if self.console.is_terminal() {
            self.redraw(job, nodes);
        } else {
            self.lines(job, nodes);
        }
    }

    fn redraw(&mut self, job: &Job, nodes: &[Node]) {
        let mut text = String::new();
        if self.drawn {
            // Up over the nodes and the line of the job.
            let _ = write!(text, "\u{1b}[{}A", KEYS.len() + 1);
        }
        let status = self.console.coloured(&job.status, &format!("{:<10}", job.status));
        let elapsed = self.started.elapsed().as_secs_f64();
        let _ = writeln!(text, "\u{1b}[2K  job       {status} {elapsed:5.1} s");
        for key in KEYS {
            let node = nodes.iter().find(|node| node.key == key);
            let status = node.map_or("pending", |node| node.status.as_str());
            let shown = self.console.coloured(status, &format!("{status:<10}"));
            let _ = writeln!(
                text,
                "\u{1b}[2K  {key:<9} {shown} {}",
                node.map(remark).unwrap_or_default()
            );
        }
        self.console.raw(&text);
        self.drawn = true;
    }

    fn lines(&mut self, job: &Job, nodes: &[Node]) {
        for node in nodes {
            let now = (node.status.clone(), node.attempt.unwrap_or_default());
            if self.shown.get(&node.key) != Some(&now) && node.status != "pending" {
                self.line(&node.key, &node.status, &remark(node));
                self.shown.insert(node.key.clone(), now);
            }
        }
        let now = (job.status.clone(), 0);
        if self.shown.get("") != Some(&now) {
            self.line("job", &job.status, "");
            self.shown.insert(String::new(), now);
        }
    }

    fn line(&self, what: &str, status: &str, remark: &str) {
        let elapsed = self.started.elapsed().as_secs_f64();
        let line = format!("{elapsed:6.2} s  {what:<9} {status:<10} {remark}");
        self.console.say(line.trim_end());
    }
}

/// What is worth saying about a node beside its state.
fn remark(node: &Node) -> String {
    let attempt = node.attempt.unwrap_or_default();
    match (node.status.as_str(), &node.error) {
        ("retrying" | "failed", Some(error)) => {
            format!(
                "attempt {attempt} failed: {}",
                error.message.as_deref().unwrap_or("no message")
            )
        }
        ("running" | "completed", _) if attempt > 0 => format!("attempt {attempt}"),
        _ => String::new(),
    }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test says what it expects")]
mod tests {
    use super::*;

    #[test]
    fn a_failed_attempt_is_shown_with_its_reason() {
        let node: Node = serde_json::from_value(serde_json::json!({
            "key": "charge", "status": "retrying", "attempt": 1, "error": {"class": "x", "message": "no luck"}
        }))
        .expect("a node");
        assert_eq!(remark(&node), "attempt 1 failed: no luck");
    }
}
