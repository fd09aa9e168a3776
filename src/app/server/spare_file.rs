//! What can still be done for connections when the process has no file left for them: one file is kept to be given up
//! for a moment, so that whoever waits is told at once instead of waiting until it gives up by itself.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::sync::{Mutex, PoisonError};

use futures_util::FutureExt as _;
use tokio::net::TcpListener;

/// Connections that are told in one turn; the next one comes a moment later.
const TOLD_AT_ONCE_MAX: usize = 64;

/// A file that is given up when there is no other one.
#[derive(Debug)]
pub(super) struct SpareFile(Mutex<Option<File>>);

impl SpareFile {
    pub(super) fn open() -> Self {
        Self(Mutex::new(opened()))
    }

    /// Takes the connections that wait, one after the other with the same file, says that there is no room and closes
    /// them. Answers how many they were.
    pub(super) fn tell_who_waits(&self, listener: &TcpListener, answer: &[u8]) -> u64 {
        let mut told = 0;
        let mut spare = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..TOLD_AT_ONCE_MAX {
            drop(spare.take());
            let Some(Ok((stream, _))) = listener.accept().now_or_never() else { break };
            told += 1;
            if let Ok(stream) = stream.into_std() {
                tell(&stream, answer);
            }
            *spare = opened();
        }
        if spare.is_none() {
            *spare = opened();
        }
        told
    }
}

fn opened() -> Option<File> {
    File::open("/dev/null").ok()
}

/// Without waiting for anything: the answer fits into any buffer, and what was sent already is taken, because a
/// connection that is closed with something unread takes its last words with it.
fn tell(mut stream: &std::net::TcpStream, answer: &[u8]) {
    let _ = stream.write_all(answer);
    let _ = stream.shutdown(Shutdown::Write);
    let _ = stream.read(&mut [0; 4_096]);
}
