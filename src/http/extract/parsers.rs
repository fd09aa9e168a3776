//! Threads for large bodies: reading one takes milliseconds, in which a thread of the runtime would answer hundreds of
//! others. Always holds: so many large bodies are read at once and no more, so what they cost while they are read has a
//! bound whatever comes; small ones are read where they are, which is faster than asking somebody.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::environment::{NotRun, Threads};
use crate::http::problem::{Code, Problem};

/// A body from this size on is large: it takes about as long as an append.
const LARGE_BYTES: usize = 64 * 1_024;
/// Large bodies that are read at once: as many as leave a processor of a small machine to the others.
const AT_ONCE: usize = 2;
/// Large bodies that wait for their turn; further ones are refused. Their bytes are charged already.
const WAITING_MAX: usize = 256;

/// Reads large bodies.
#[derive(Debug)]
pub struct Parsers {
    /// None: the system gives no threads; then they are read where they are.
    threads: Option<Threads<()>>,
}

impl Parsers {
    /// Starts the threads.
    pub fn start() -> Self {
        let threads = Threads::start("body-reader", vec![(); AT_ONCE], WAITING_MAX);
        if let Err(error) = &threads {
            tracing::warn!(%error, "large bodies are read on the threads of the runtime");
        }
        Self { threads: threads.ok() }
    }

    /// Does what is to be done with so many bytes of a body: beside the runtime when they are many.
    ///
    /// # Errors
    /// `overloaded` when too many wait.
    pub async fn run<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        match &self.threads {
            Some(threads) if bytes >= LARGE_BYTES => {
                // A thread that panics is gone for all bodies to come.
                let ran = threads.run(move |()| catch_unwind(AssertUnwindSafe(work)));
                match ran.await {
                    Ok(Ok(done)) => Ok(done),
                    Ok(Err(_)) | Err(NotRun::Ended) => {
                        Err(Problem::new(Code::InternalError, "the body could not be read"))
                    }
                    Err(NotRun::QueueFull) => {
                        let detail = "too many large bodies wait to be read";
                        Err(Problem::new(Code::Overloaded, detail))
                    }
                }
            }
            Some(_) | None => Ok(work()),
        }
    }
}
