//! Threads that each own a value (a connection) and run what others hand them, for work that blocks.
//! Always holds: the number of threads and the length of the queue are bounded; what was accepted is run, also
//! when nobody waits for the answer any more; dropping the pool waits until the queue is empty.
//! Absent: async. The runtime's own threads never block on a file.

use std::fmt;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::oneshot;

/// Why a pool ran nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotRun {
    /// As many calls are waiting as the queue holds.
    #[error("too many calls are waiting")]
    QueueFull,
    /// The thread is gone.
    #[error("the thread has ended")]
    Ended,
}

type Work<T> = Box<dyn FnOnce(&mut T) + Send>;

/// A pool of threads, each with a `T` of its own.
pub struct Threads<T> {
    queue: Option<SyncSender<Work<T>>>,
    handles: Vec<JoinHandle<()>>,
}

impl<T> fmt::Debug for Threads<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Threads").field("threads", &self.handles.len()).finish_non_exhaustive()
    }
}

impl<T: Send + 'static> Threads<T> {
    /// One thread for each of `owned`, named `name`; at most `queue_max` calls wait.
    pub fn start(name: &str, owned: Vec<T>, queue_max: usize) -> std::io::Result<Self> {
        let (queue, work) = sync_channel::<Work<T>>(queue_max);
        let work = Arc::new(Mutex::new(work));
        let mut handles = Vec::with_capacity(owned.len());
        for mut own in owned {
            let work = Arc::clone(&work);
            let thread = std::thread::Builder::new().name(name.to_owned());
            handles.push(thread.spawn(move || {
                while let Some(call) = next(&work) {
                    call(&mut own);
                }
            })?);
        }
        Ok(Self { queue: Some(queue), handles })
    }

    /// Runs `call` on one of the threads. It runs also when the returned future is dropped.
    pub async fn run<R: Send + 'static>(
        &self,
        call: impl FnOnce(&mut T) -> R + Send + 'static,
    ) -> Result<R, NotRun> {
        let (answer, answered) = oneshot::channel();
        let work: Work<T> = Box::new(move |own| {
            // Nobody waits any more: the call was made all the same, which is what was promised.
            let _ = answer.send(call(own));
        });
        let queue = self.queue.as_ref().ok_or(NotRun::Ended)?;
        queue.try_send(work).map_err(|error| match error {
            TrySendError::Full(_) => NotRun::QueueFull,
            TrySendError::Disconnected(_) => NotRun::Ended,
        })?;
        answered.await.map_err(|_| NotRun::Ended)
    }
}

fn next<T>(work: &Mutex<Receiver<Work<T>>>) -> Option<Work<T>> {
    work.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

impl<T> Drop for Threads<T> {
    fn drop(&mut self) {
        drop(self.queue.take());
        for handle in self.handles.drain(..) {
            // A thread that panicked has reported that itself; there is nothing to do about it here.
            let _ = handle.join();
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::expect_used, reason = "a test that cannot go on says why")]

    use super::*;

    #[tokio::test]
    async fn what_was_accepted_is_run_before_the_pool_is_gone() {
        let (seen, heard) = std::sync::mpsc::channel();
        let threads = Threads::start("test", vec![0_u32, 0], 4).expect("threads start");
        assert_eq!(
            threads
                .run(|own| {
                    *own += 1;
                    *own
                })
                .await,
            Ok(1)
        );
        let told = seen.clone();
        let unanswered = Box::pin(threads.run(move |_| told.send(8)));
        assert!(
            futures_util::future::poll_immediate(unanswered).await.is_none_or(|ran| ran.is_ok())
        );
        drop(threads);
        assert_eq!(heard.try_recv(), Ok(8));
    }
}
