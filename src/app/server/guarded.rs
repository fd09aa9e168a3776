//! A connection's bytes, with deadlines for a peer that does not speak or does not listen.
//! Always holds: a peer that has not shown within the deadline which HTTP it speaks is cut off (hyper itself waits for
//! that for ever), and so is one that takes nothing of an answer for as long as the write deadline.
//! Absent: the deadlines of heads (hyper) and of bodies (`http/extract`).

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::environment::{Clock, Sleep};

/// What an HTTP/2 peer says first. Whoever says anything else speaks HTTP/1, and hyper waits for its head.
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A connection with deadlines.
pub(super) struct Guarded<S> {
    stream: S,
    clock: Arc<dyn Clock>,
    /// Bytes of the preface that came so far; the deadline of the rest. None: it is known what the peer speaks.
    greeting: Option<(usize, Sleep)>,
    write_timeout: Duration,
    /// Runs while the peer takes nothing.
    stalled: Option<Sleep>,
}

impl<S> Guarded<S> {
    pub(super) fn new(
        stream: S,
        clock: Arc<dyn Clock>,
        greeting_timeout: Duration,
        write_timeout: Duration,
    ) -> Self {
        let greeting = Some((0, clock.sleep(greeting_timeout)));
        Self { stream, clock, greeting, write_timeout, stalled: None }
    }

    /// Looks at what came: the whole preface, or a byte that is not of it, and the deadline is over.
    fn heard(&mut self, bytes: &[u8]) {
        let Some((matched, _)) = &mut self.greeting else { return };
        let rest = &PREFACE[*matched..];
        let same = rest.iter().zip(bytes).take_while(|(one, other)| one == other).count();
        *matched += same;
        if same < bytes.len() || *matched == PREFACE.len() {
            self.greeting = None;
        }
    }

    /// Lets a write that goes on forget the deadline, and one that does not run into it.
    fn watch(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let (clock, wait) = (&self.clock, self.write_timeout);
        let stalled = self.stalled.get_or_insert_with(|| clock.sleep(wait));
        ready!(stalled.as_mut().poll(context));
        Poll::Ready(Err(late("the peer takes nothing of its answer")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_ready() {
            self.heard(&buffer.filled()[before..]);
            return read;
        }
        if let Some((_, deadline)) = &mut self.greeting {
            ready!(deadline.as_mut().poll(context));
            return Poll::Ready(Err(late("the peer does not say what it speaks")));
        }
        Poll::Pending
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.watch(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

fn late(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what)
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test says what it expects")]
mod tests {
    use futures_util::FutureExt as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    use super::*;
    use crate::environment::SimulatedClock;

    const GREETING: Duration = Duration::from_secs(10);
    const WRITE: Duration = Duration::from_secs(20);

    fn guarded() -> (Guarded<DuplexStream>, DuplexStream, SimulatedClock) {
        let clock = SimulatedClock::at(0);
        let (near, far) = duplex(64);
        (Guarded::new(near, Arc::new(clock.clone()), GREETING, WRITE), far, clock)
    }

    /// Lets `work` begin, lets time pass, and gives what it comes to by that alone.
    fn after<T>(clock: &SimulatedClock, wait: Duration, work: impl Future<Output = T>) -> T {
        let mut work = Box::pin(work);
        assert!((&mut work).now_or_never().is_none(), "it ended too early");
        clock.advance(wait);
        work.now_or_never().expect("it ends")
    }

    #[tokio::test]
    async fn a_peer_that_says_nothing_or_only_begins_to_is_cut_off() {
        for said in [&b""[..], b"PRI * HT"] {
            let (mut near, mut far, clock) = guarded();
            far.write_all(said).await.expect("room");
            let mut buffer = [0; 64];
            if !said.is_empty() {
                assert_eq!(near.read(&mut buffer).await.expect("bytes"), said.len());
            }
            let cut = after(&clock, GREETING, near.read(&mut buffer));
            assert_eq!(cut.expect_err("a deadline").kind(), io::ErrorKind::TimedOut);
        }
    }

    #[tokio::test]
    async fn a_peer_that_has_said_what_it_speaks_is_left_to_hyper() {
        for said in [PREFACE, b"GET / HTTP/1.1\r\n", b"PUT"] {
            let (mut near, mut far, clock) = guarded();
            let mut buffer = [0; 64];
            for byte in said {
                far.write_all(&[*byte]).await.expect("room");
                assert_eq!(near.read(&mut buffer).await.expect("a byte"), 1);
            }
            let mut more = Box::pin(near.read(&mut buffer));
            assert!((&mut more).now_or_never().is_none(), "nothing more has come");
            clock.advance(GREETING * 2);
            assert!((&mut more).now_or_never().is_none(), "it is waited for");
            far.write_all(b"x").await.expect("room");
            assert_eq!(more.await.expect("a byte"), 1);
        }
    }

    #[tokio::test]
    async fn a_peer_that_takes_nothing_is_cut_off_and_a_slow_one_is_not() {
        let (mut near, mut far, clock) = guarded();
        near.write_all(&[0; 64]).await.expect("room");
        let mut buffer = [0; 64];
        for _ in 0..4 {
            let mut more = Box::pin(near.write(&[0; 16]));
            tokio::select! {
                biased;
                _ = &mut more => panic!("there was no room"),
                () = std::future::ready(()) => {}
            }
            clock.advance(WRITE / 2);
            assert_eq!(far.read(&mut buffer[..16]).await.expect("bytes"), 16);
            assert_eq!(more.await.expect("room again"), 16);
        }
        let cut = after(&clock, WRITE, near.write(&[0; 16]));
        assert_eq!(cut.expect_err("a deadline").kind(), io::ErrorKind::TimedOut);
    }
}
