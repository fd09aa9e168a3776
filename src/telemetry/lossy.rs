//! Lines to a stream that nobody may be reading: whoever writes one never waits for it, never fails and never panics.
//!
//! A pipe whose reader hangs blocks every write for ever, and one whose reader went away, or a full disk, fails it. An
//! engine must go on answering all the same, so lines go through a bounded queue to a thread of their own, and are
//! lost when there is no room or the stream does not take them. What was lost is counted, and the count is the next
//! line that gets through. Absent: what a line says.

use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

use super::metrics::LOG_LINES_LOST;

/// Bytes that wait to be written: minutes of an engine's usual log, and a second of its busiest.
const QUEUE_BYTES_MAX: usize = 4 * 1_024 * 1_024;
/// What a line costs beside its bytes, so that empty ones have a bound as well.
const LINE_BYTES: usize = 64;

/// The lines on their way to one stream. Clones share them.
#[derive(Clone)]
pub struct Lossy(Arc<LossyShared>);

struct LossyShared {
    state: Mutex<LossyState>,
    /// There is something to write.
    filled: Condvar,
    /// Everything is written or lost.
    emptied: Condvar,
}

#[derive(Default)]
struct LossyState {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    /// Lost since the last line that got through.
    lost: u64,
    /// Whether a line is being written, outside of the lock.
    writing: bool,
}

impl fmt::Debug for Lossy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lossy").finish_non_exhaustive()
    }
}

impl Lossy {
    /// Lines to this process's standard output. `tell` makes the line that says how many were lost.
    pub fn stdout(tell: fn(u64) -> String) -> Self {
        match io::stdout().as_fd().try_clone_to_owned() {
            Ok(stream) => Self::to(File::from(stream), tell),
            Err(_) => Self::to(io::stdout(), tell),
        }
    }

    /// Lines to this process's standard error.
    pub fn stderr(tell: fn(u64) -> String) -> Self {
        // A handle of our own: whoever waits inside of the standard one's lock must not keep us waiting.
        match io::stderr().as_fd().try_clone_to_owned() {
            Ok(stream) => Self::to(File::from(stream), tell),
            Err(_) => Self::to(io::stderr(), tell),
        }
    }

    /// Lines to any stream.
    pub fn to(stream: impl Write + Send + 'static, tell: fn(u64) -> String) -> Self {
        let shared = Arc::new(LossyShared {
            state: Mutex::default(),
            filled: Condvar::new(),
            emptied: Condvar::new(),
        });
        let writer = Arc::clone(&shared);
        // Nobody waits for this thread's end: it may be inside of a write that never returns.
        let begun = std::thread::Builder::new()
            .name("lines".to_owned())
            .spawn(move || writer.write_for_ever(stream, tell));
        // Without a thread everything is lost once the queue is full, which is still better than no engine.
        drop(begun);
        Self(shared)
    }

    /// Takes text that ends with its line end, or loses it.
    pub fn put(&self, text: &[u8]) {
        let mut state = self.0.state();
        let cost = text.len() + LINE_BYTES;
        if state.bytes + cost > QUEUE_BYTES_MAX {
            state.lost += 1;
            drop(state);
            count_lost();
            return;
        }
        state.bytes += cost;
        state.lines.push_back(text.to_vec());
        drop(state);
        self.0.filled.notify_one();
    }

    /// Waits until everything is written or lost, at most so long. Whether it is.
    pub fn finish(&self, at_most: Duration) -> bool {
        let busy = |state: &mut LossyState| state.writing || !state.lines.is_empty();
        let waited = self.0.emptied.wait_timeout_while(self.0.state(), at_most, busy);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

/// Never with the state locked: what panics in it is said through the same lines.
fn count_lost() {
    ::metrics::counter!(LOG_LINES_LOST).increment(1);
}

impl LossyShared {
    fn state(&self) -> MutexGuard<'_, LossyState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_for_ever(&self, mut stream: impl Write, tell: fn(u64) -> String) {
        loop {
            let mut state = self.state();
            let (line, lost) = loop {
                if let Some(line) = state.lines.pop_front() {
                    state.bytes -= line.len() + LINE_BYTES;
                    state.writing = true;
                    break (line, std::mem::take(&mut state.lost));
                }
                state.writing = false;
                self.emptied.notify_all();
                state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
            };
            drop(state);
            let told = lost == 0 || written(&mut stream, tell(lost).as_bytes());
            let done = told && written(&mut stream, &line);
            if !done {
                let mut state = self.state();
                state.lost += 1 + if told { 0 } else { lost };
                drop(state);
                count_lost();
            }
        }
    }
}

fn written(stream: &mut impl Write, line: &[u8]) -> bool {
    stream.write_all(line).and_then(|()| stream.flush()).is_ok()
}

impl<'a> MakeWriter<'a> for Lossy {
    type Writer = OneLine<'a>;

    fn make_writer(&'a self) -> OneLine<'a> {
        OneLine(self)
    }
}

/// What a subscriber writes one event into; it does so at once.
#[derive(Debug)]
pub struct OneLine<'a>(&'a Lossy);

impl Write for OneLine<'_> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.put(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test says what it expects")]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    const SOON: Duration = Duration::from_mins(1);

    /// A stream whose reader says what becomes of each write: taken, or an error.
    struct Played {
        allowed: Receiver<bool>,
        taken: Sender<String>,
    }

    impl Write for Played {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            match self.allowed.recv() {
                Ok(true) => {
                    let _ = self.taken.send(String::from_utf8_lossy(text).into_owned());
                    Ok(text.len())
                }
                Ok(false) | Err(_) => Err(io::ErrorKind::BrokenPipe.into()),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn played() -> (Lossy, Sender<bool>, Receiver<String>) {
        let (allow, allowed) = channel();
        let (taken, seen) = channel();
        (Lossy::to(Played { allowed, taken }, |lost| format!("{lost} lost\n")), allow, seen)
    }

    #[test]
    fn a_stream_that_takes_nothing_keeps_nobody_waiting_and_what_was_lost_is_said() {
        let (lines, allow, seen) = played();
        let text = vec![b'x'; 1_023];
        let fit = QUEUE_BYTES_MAX / (text.len() + LINE_BYTES);
        // One more than fits may be on its way.
        for _ in 0..fit + 3 {
            lines.put(&text);
        }
        let late = vec![b'y'; text.len()];
        lines.put(&late);
        assert!(!lines.finish(Duration::ZERO), "it is not written");
        for _ in 0..2 * fit {
            allow.send(true).expect("it is written");
        }
        lines.put(b"next\n");
        assert!(lines.finish(SOON));
        lines.put(b"last\n");
        assert!(lines.finish(SOON));
        let seen: Vec<String> = seen.try_iter().collect();
        let told = seen.iter().filter(|line| line.ends_with(" lost\n")).count();
        assert_eq!(told, 1, "the loss is told once, before the next line that gets through");
        assert!(!seen.iter().any(|line| line.contains('y')), "it found no room");
        assert_eq!(seen.last().map(String::as_str), Some("last\n"));
    }

    #[test]
    fn a_stream_that_fails_loses_lines_and_tells_when_it_takes_some_again() {
        let (lines, allow, seen) = played();
        for _ in 0..3 {
            // The line that tells of the loss fails as well.
            allow.send(false).expect("it is written");
            lines.put(b"lost\n");
            assert!(lines.finish(SOON));
        }
        for _ in 0..2 {
            allow.send(true).expect("it is written");
        }
        lines.put(b"next\n");
        assert!(lines.finish(SOON));
        assert_eq!(seen.try_iter().collect::<Vec<_>>(), ["3 lost\n", "next\n"]);
    }
}
