//! The way into the executor: what may be sent to it, and the sender that everything above the core shares. What it
//! refuses anyway is known here without asking it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use domain::ids::Millis;
use tokio::sync::{mpsc, oneshot};

use crate::engine::core::message::{Failure, Input, LeaseRequest, Request, Response, Ticket};
use crate::engine::core::urgency::Urgency;
use crate::engine::error::EngineError;
use crate::environment::Clock;

/// Messages that may wait; beyond it askers wait in the channel, which is their backpressure.
const CHANNEL_MAX: usize = 65_536;
/// New jobs are refused when one in so many of the messages that may wait do so.
const UNHEARD_SHARE: usize = 8;
/// Beside the bits of the urgencies: new jobs are refused because the view is behind.
const VIEW_BEHIND: u8 = 1 << 7;

/// What reaches the executor.
#[derive(Debug)]
pub(super) enum Message {
    Ask {
        /// Drawn by whoever asks.
        ticket: Ticket,
        /// What is asked.
        request: Request,
        /// For the answer.
        reply: oneshot::Sender<Response>,
        /// By another engine.
        forwarded: bool,
        /// On the engine's clock.
        at: Millis,
    },
    /// Many requests at once, answered together.
    AskAll {
        /// The ticket of the first; the others have those that follow.
        first: Ticket,
        /// What is asked, in order.
        requests: Vec<Request>,
        /// For the answers, in order; none: nobody waits for them.
        reply: Option<oneshot::Sender<Vec<Response>>>,
        /// The work that is wanted after them; its ticket is the one before the first.
        next: Option<(LeaseRequest, oneshot::Sender<Response>)>,
        /// By another engine.
        forwarded: bool,
        /// On the engine's clock.
        at: Millis,
    },
    /// What the clock's source says.
    Sampled {
        /// Milliseconds since 1970.
        source_ms: Millis,
    },
    /// Nobody waits any more for the answer to a request for work.
    Gone {
        /// Of that request.
        ticket: Ticket,
    },
    /// Something that was asked of the outside came back.
    StoreCompleted(Input),
    /// Finish what is under way, then end.
    Stop,
}

/// What the core refuses, by urgency, in a word that anybody may read.
pub(super) fn refused(refusal: impl Fn(Urgency) -> Option<Failure>) -> u8 {
    let refused = |urgency: &Urgency| match refusal(*urgency) {
        None => 0,
        Some(Failure::ViewBehind) => VIEW_BEHIND | 1 << (*urgency as u8),
        Some(_) => 1 << (*urgency as u8),
    };
    Urgency::ALL.iter().map(refused).fold(0, |all, bits| all | bits)
}

/// What the word says about something of this urgency.
pub(super) fn refusal(word: u8, urgency: Urgency) -> Option<Failure> {
    let refused = word & 1 << (urgency as u8) != 0;
    let behind = word & VIEW_BEHIND != 0;
    refused.then_some(if behind { Failure::ViewBehind } else { Failure::Overloaded })
}

/// Sends to the executor.
#[derive(Debug)]
pub(super) struct Mailbox {
    inputs: mpsc::Sender<Message>,
    /// The next ticket.
    tickets: AtomicU64,
    clock: Arc<dyn Clock>,
}

impl Mailbox {
    /// A mailbox, and what comes out of it.
    pub(super) fn new(clock: Arc<dyn Clock>) -> (Self, mpsc::Receiver<Message>) {
        let (inputs, messages) = mpsc::channel(CHANNEL_MAX);
        (Self { inputs, tickets: AtomicU64::new(1), clock }, messages)
    }

    /// The first of so many tickets.
    pub(super) fn draw(&self, tickets: u64) -> Ticket {
        self.tickets.fetch_add(tickets, Ordering::Relaxed)
    }

    /// Sends something, as soon as there is room for it.
    ///
    /// # Errors
    /// `Stopping` when the executor is gone.
    pub(super) async fn send(&self, message: Message) -> Result<(), EngineError> {
        self.inputs.send(message).await.map_err(|_| EngineError::Stopping)
    }

    /// Sends something if there is room for it now. Whether it is heard does not matter to whoever sends it.
    pub(super) fn send_now(&self, message: Message) {
        let _ = self.inputs.try_send(message);
    }

    /// So much waits to be heard that a new job had better not come: that does not show in the core.
    pub(super) fn is_behind(&self) -> bool {
        let most = self.inputs.max_capacity();
        most - self.inputs.capacity() > most / UNHEARD_SHARE
    }

    /// Asks the core, and waits for the answer.
    ///
    /// # Errors
    /// `Stopping` when the executor is gone.
    pub(super) async fn ask(&self, request: Request) -> Result<Response, EngineError> {
        let (reply, answer) = oneshot::channel();
        let (ticket, at) = (self.draw(1), self.clock.now_ms());
        self.send(Message::Ask { ticket, request, reply, forwarded: false, at }).await?;
        answer.await.map_err(|_| EngineError::Stopping)
    }

    /// Asks many things at once: they reach the core together, and their answers come together.
    ///
    /// # Errors
    /// `Stopping` when the executor is gone.
    pub(super) async fn ask_all(
        &self,
        requests: Vec<Request>,
        forwarded: bool,
    ) -> Result<Vec<Response>, EngineError> {
        if requests.is_empty() {
            return Ok(Vec::new());
        }
        let (reply, answers) = oneshot::channel();
        let (first, at) = (self.draw(requests.len() as u64), self.clock.now_ms());
        let reply = Some(reply);
        self.send(Message::AskAll { first, requests, reply, next: None, forwarded, at }).await?;
        answers.await.map_err(|_| EngineError::Stopping)
    }
}
