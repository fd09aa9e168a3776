//! An engine that ends in the middle of something: started to abort at a named point (docs/crash-matrix.md), and waited
//! for until it has. It goes on with `kill_and_restart`.

use std::os::unix::process::ExitStatusExt as _;

use super::*;

/// The signal of `abort`.
const ABORTED: i32 = 6;

impl EngineProcess {
    /// Kills it with -9 and starts it again on the same folder and port, to abort at a point (`NAME:N`). It may have done
    /// so before it is ready.
    pub(in crate::real) fn kill_and_arm(&mut self, point: &str) {
        self.kill();
        let mut serving = serving(&self.folder, self.port, self.settings);
        let silent = serving.stdout(Stdio::null()).stderr(Stdio::null());
        self.child = silent.env("ORRERY_FAIL_POINT", point).spawn().expect("the engine starts");
    }

    /// As `kill_and_arm`, at a point that it does not pass before it is asked for something: waits until it is ready.
    pub(in crate::real) async fn kill_and_arm_ready(&mut self, point: &str) {
        self.kill_and_arm(point);
        self.until_ready().await;
    }

    /// Waits until it has aborted.
    pub(in crate::real) async fn until_aborted(&mut self) {
        for _ in 0..ASKED_MAX {
            if let Some(status) = self.child.try_wait().expect("it can be waited for") {
                assert_eq!(status.signal(), Some(ABORTED), "it ended otherwise: {status}");
                return;
            }
            pause().await;
        }
        panic!("the engine did not come to its point");
    }

    /// Posts a body to an engine that may be gone before it answers; whether it answered.
    pub(in crate::real) fn posting(
        &self,
        path: &str,
        body: &Value,
    ) -> impl Future<Output = bool> + Send + use<> {
        let request = self.client.post(format!("{}{path}", self.url())).json(body);
        async move { request.send().await.is_ok() }
    }
}
