//! Children of a test: an engine on a data folder, and workers. All are killed when the test lets go of them.
//! Waiting is asking again, bounded by attempts; nothing is asserted about time.

mod armed;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

const BINARY: &str = env!("CARGO_BIN_EXE_orrery");
/// Pause between two questions.
const ASK_AGAIN: Duration = Duration::from_millis(25);
/// Questions before a test gives up: two minutes on an idle machine.
const ASKED_MAX: usize = 4_800;

/// An engine process.
#[derive(Debug)]
pub(super) struct EngineProcess {
    child: Child,
    folder: PathBuf,
    port: u16,
    client: reqwest::Client,
    settings: &'static [(&'static str, &'static str)],
}

/// A worker process.
#[derive(Debug)]
pub(super) struct WorkerProcess(Child);

impl EngineProcess {
    /// Starts an engine on this folder and waits until it is ready.
    pub(super) async fn start(folder: &Path) -> Self {
        Self::start_with(folder, &[]).await
    }

    /// The same with settings of the environment, such as `ORRERY__ENGINE__PARK_AFTER_MS`.
    pub(super) async fn start_with(
        folder: &Path,
        settings: &'static [(&'static str, &'static str)],
    ) -> Self {
        let port = free_port();
        let engine = Self::of(serve(folder, port, settings), folder, port, settings);
        engine.until_ready().await;
        engine
    }

    /// Starts an engine whose command line somebody else finishes, such as with other streams.
    pub(super) async fn start_as(
        folder: &Path,
        settings: &'static [(&'static str, &'static str)],
        finish: impl FnOnce(&mut Command) -> &mut Command,
    ) -> Self {
        let port = free_port();
        let child = finish(&mut serving(folder, port, settings)).spawn().expect("it starts");
        let engine = Self::of(child, folder, port, settings);
        engine.until_ready().await;
        engine
    }

    fn of(
        child: Child,
        folder: &Path,
        port: u16,
        settings: &'static [(&'static str, &'static str)],
    ) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { child, folder: folder.to_owned(), port, client, settings }
    }

    /// Its process's number.
    pub(super) fn id(&self) -> String {
        self.child.id().to_string()
    }

    /// Closes the reading ends of its streams.
    pub(super) fn stop_reading(&mut self) {
        drop((self.child.stdout.take(), self.child.stderr.take()));
    }

    /// Sends it a signal, and waits until it has ended; answers its exit code.
    pub(super) fn ended_by(&mut self, signal: &str) -> Option<i32> {
        assert!(send(signal, &self.id()), "it runs");
        self.child.wait().expect("it ends").code()
    }

    /// Gets status and JSON, whatever the status is.
    pub(super) async fn answer(&self, path: &str) -> (u16, Value) {
        let answer =
            self.client.get(format!("{}{path}", self.url())).send().await.expect("an answer");
        (answer.status().as_u16(), answer.json().await.unwrap_or(Value::Null))
    }

    /// Kills it with -9.
    pub(super) fn kill(&mut self) {
        self.child.kill().expect("the engine can be killed");
        self.child.wait().expect("it ends");
    }

    /// Asks it to end, and waits until it has.
    pub(super) fn stop(&mut self) {
        let id = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &id]).status().expect("the engine can be asked");
        assert!(self.child.wait().expect("it ends").success(), "it ends well");
    }

    /// Kills it with -9 and starts it again on the same folder and port.
    pub(super) async fn kill_and_restart(&mut self) {
        self.child.kill().expect("the engine can be killed");
        self.child.wait().expect("it ends");
        self.child = serve(&self.folder, self.port, self.settings);
        self.until_ready().await;
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    async fn until_ready(&self) {
        for _ in 0..ASKED_MAX {
            let answer = self.client.get(format!("{}/readyz", self.url())).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return;
            }
            pause().await;
        }
        panic!("the engine did not become ready");
    }

    /// Posts a body; answers status and JSON.
    pub(super) async fn post(&self, path: &str, body: &Value, key: Option<&str>) -> (u16, Value) {
        let request = self.client.post(format!("{}{path}", self.url())).json(body);
        let request = match key {
            Some(key) => request.header("Idempotency-Key", key),
            None => request,
        };
        let answer = request.send().await.expect("an answer");
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or(Value::Null))
    }

    /// Posts a text as JSON, whatever it is; answers status and text.
    pub(super) async fn post_text(&self, path: &str, body: String) -> (u16, String) {
        let request = self.client.post(format!("{}{path}", self.url())).body(body);
        let request = request.header("content-type", "application/json");
        let answer = request.send().await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("a text"))
    }

    /// The most memory that it ever had, in bytes.
    pub(super) fn peak_bytes(&self) -> usize {
        let status = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(status).expect("Linux");
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a peak");
        let kib: usize = line.split_whitespace().nth(1).expect("a number").parse().expect("one");
        kib * 1_024
    }

    /// Posts a body until it is answered with 200, and answers the JSON.
    pub(super) async fn until_answered(&self, path: &str, body: &Value) -> Value {
        let mut last = (0, Value::Null);
        for _ in 0..ASKED_MAX {
            last = self.post(path, body, None).await;
            if last.0 == 200 {
                return last.1;
            }
            pause().await;
        }
        panic!("{path} was not answered: {last:?}");
    }

    /// Submits a job until it is taken.
    pub(super) async fn until_submitted(&self, job: &Value) {
        let mut last = Value::Null;
        for _ in 0..ASKED_MAX {
            let (status, answer) = self.post("/api/v1/jobs", job, None).await;
            if status == 201 {
                return;
            }
            last = answer;
            pause().await;
        }
        panic!("the job was not taken: {last}");
    }

    /// Gets JSON; none while the engine does not answer with success.
    pub(super) async fn get(&self, path: &str) -> Option<Value> {
        let answer = self.client.get(format!("{}{path}", self.url())).send().await.ok()?;
        if answer.status().is_success() { answer.json().await.ok() } else { None }
    }

    /// Gets text.
    pub(super) async fn text(&self, path: &str) -> String {
        let answer =
            self.client.get(format!("{}{path}", self.url())).send().await.expect("an answer");
        answer.text().await.expect("a text")
    }

    /// Asks for the metrics until one without labels has this value.
    pub(super) async fn until_metric(&self, name: &str, value: &str) {
        let line = format!("{name} {value}");
        for _ in 0..ASKED_MAX {
            if self.text("/metrics").await.lines().any(|found| found == line) {
                return;
            }
            pause().await;
        }
        panic!("{name} did not become {value}");
    }

    /// Asks who drives what until `enough` of how many groups this engine drives and how many the others do.
    pub(super) async fn until_groups(&self, enough: impl Fn(usize, usize) -> bool) {
        let mut last = Value::Null;
        for _ in 0..ASKED_MAX {
            if let Some(listed) = self.get("/api/v1/engines").await {
                let (mut mine, mut others) = (0, 0);
                for engine in listed["engines"].as_array().expect("engines") {
                    let groups = engine["groups"].as_array().expect("groups").len();
                    if engine["answers"] == true { mine += groups } else { others += groups }
                }
                if enough(mine, others) {
                    return;
                }
                last = listed;
            }
            pause().await;
        }
        panic!("the groups did not get there: {last}");
    }

    /// Asks at a path until what is shown there is `enough`.
    pub(super) async fn until_shown(&self, path: &str, enough: impl Fn(&Value) -> bool) {
        let mut last = None;
        for _ in 0..ASKED_MAX {
            last = self.get(path).await;
            if last.as_ref().is_some_and(&enough) {
                return;
            }
            pause().await;
        }
        panic!("{path} did not get there: {last:?}");
    }

    /// Asks for a job until `enough`, and answers it.
    pub(super) async fn until(&self, job: &str, enough: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        for _ in 0..ASKED_MAX {
            if let Some(found) = self.get(&format!("/api/v1/jobs/{job}")).await {
                if enough(&found) {
                    return found;
                }
                last = found;
            }
            pause().await;
        }
        panic!("the job did not get there: {last}");
    }
}

impl Drop for EngineProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl WorkerProcess {
    /// A worker that sleeps each task's recorded time, scaled.
    pub(super) fn start(engine: &EngineProcess, concurrency: usize, scale: f64) -> Self {
        let child = Command::new(BINARY)
            .args(["worker", "--queue", "default", "--lease-ms", "5000"])
            .args(["--concurrency", &concurrency.to_string(), "--sleep-scale", &scale.to_string()])
            .args(["--url", &engine.url()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a worker starts");
        Self(child)
    }

    /// A worker that runs a command for every attempt, with a queue of its own; what it says goes to `said`.
    pub(super) fn running(
        engine: &EngineProcess,
        queue: &str,
        options: &[&str],
        command: &[&str],
        said: &Path,
    ) -> Self {
        let said = std::fs::File::create(said).expect("a file");
        let child = Command::new(BINARY)
            .args(["worker", "--queue", queue, "--url", &engine.url()])
            .args(options)
            .arg("--")
            .args(command)
            .stdout(Stdio::null())
            .stderr(said)
            .spawn()
            .expect("a worker starts");
        Self(child)
    }

    /// Sends it a signal, such as `-TERM`.
    pub(super) fn signal(&self, signal: &str) {
        send(signal, &self.0.id().to_string());
    }

    /// Waits until it has ended; answers its exit code, or the negative number of the signal that ended it.
    pub(super) async fn ended(&mut self) -> i32 {
        for _ in 0..ASKED_MAX {
            if let Some(status) = self.0.try_wait().expect("it can be waited for") {
                let signal = std::os::unix::process::ExitStatusExt::signal(&status);
                return status.code().unwrap_or_else(|| signal.map_or(i32::MIN, |number| -number));
            }
            pause().await;
        }
        panic!("the worker did not end");
    }

    /// Kills it with -9: its leases run out.
    pub(super) fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Sends a signal to a process, or with a number below zero to a group. Whether there is one.
pub(super) fn send(signal: &str, process: &str) -> bool {
    let mut kill = Command::new("kill");
    let kill = kill.args([signal, "--", process]).stderr(Stdio::null());
    kill.status().expect("processes can be signalled").success()
}

/// Whether a process runs; one that has ended and was not taken yet does not.
pub(super) fn runs(process: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    state.is_some_and(|state| state != 'Z')
}

/// Runs a subcommand to its end; answers its standard output.
pub(super) fn run(args: &[&str]) -> String {
    let output = Command::new(BINARY).args(args).output().expect("the command runs");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// Runs a subcommand to its end; answers exit code, standard output and standard error.
pub(super) fn tried(args: &[&str]) -> (i32, String, String) {
    let output = Command::new(BINARY).args(args).output().expect("the command runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

/// Runs an engine that cannot start, with every word of its log; answers exit code and all that it said.
pub(super) fn refused_start(folder: &Path, uri: &str) -> (i32, String) {
    let output = Command::new(BINARY)
        .env("ORRERY__STORAGE__URI", uri)
        .env("ORRERY__LOG__LEVEL", "trace")
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(folder)
        .output()
        .expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&said).into_owned())
}

/// Runs an engine on a folder that it refuses, with such an environment; answers exit code and all that it said.
pub(super) fn refused_start_with(folder: &Path, settings: &[(&str, &str)]) -> (i32, String) {
    let output = Command::new(BINARY)
        .envs(settings.iter().copied())
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(folder)
        .output()
        .expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&said).into_owned())
}

fn serve(folder: &Path, port: u16, settings: &[(&str, &str)]) -> Child {
    let mut serving = serving(folder, port, settings);
    let silent = serving.stdout(Stdio::null()).stderr(Stdio::null());
    silent.spawn().expect("the engine starts")
}

fn serving(folder: &Path, port: u16, settings: &[(&str, &str)]) -> Command {
    let mut serving = Command::new(BINARY);
    serving
        .envs(settings.iter().copied())
        .args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--data"])
        .arg(folder);
    serving
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its number").port()
}

/// Real processes run on real time: between two questions the machine is left to them.
pub(super) async fn pause() {
    tokio::time::sleep(ASK_AGAIN).await;
}
