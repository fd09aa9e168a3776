//! What the executor hears: requests and their tickets, and how late they are heard, which is told to the
//! core. Absent: any judgement of lateness (`core/pace`).

use std::sync::atomic::Ordering;

use domain::ids::Millis;
use tokio::sync::oneshot;

use super::Executor;
use super::store_io::driven;
use crate::engine::core::message::{Input, LeaseRequest, Request, Response, Ticket};
use crate::engine::mailbox::Message;
use crate::telemetry::metrics::CLOCK_STEPS;

impl Message {
    fn asked_at(&self) -> Option<Millis> {
        match self {
            Self::Ask { at, .. } | Self::AskAll { at, .. } => Some(*at),
            Self::Gone { .. } | Self::StoreCompleted(_) | Self::Sampled { .. } | Self::Stop => None,
        }
    }
}

impl Executor {
    /// Tells the core how late this engine is: for its own next turn, and for what was asked first of what is heard.
    pub(super) fn look_how_late(&mut self, next: Millis, heard: &[Message]) {
        let now = self.clock.now_ms();
        self.core.record_stall(now, now.saturating_sub(next));
        // They come in their order: the first is the oldest. Time that the clock stepped over is no wait.
        if let Some(at) = heard.iter().find_map(Message::asked_at) {
            self.core.record_delay(now, now.saturating_sub(at.max(self.stepped_to)));
        }
    }

    pub(super) fn hear(&mut self, message: Message) {
        match message {
            Message::Ask { ticket, request, reply, forwarded, .. } => {
                self.replies.wait(ticket, reply);
                let input = Input::Request { ticket, request, forwarded };
                self.core.handle(self.clock.now_ms(), input);
            }
            Message::AskAll { first, requests, reply, next, forwarded, .. } => {
                self.ask_all(first, requests, reply, next, forwarded);
            }
            Message::Gone { ticket } => {
                if self.replies.forget(ticket) {
                    self.core.handle(self.clock.now_ms(), Input::Gone { ticket });
                }
            }
            Message::StoreCompleted(input) => {
                if let Input::Routes { drivers } = &input {
                    self.drive(driven(drivers, self.me));
                    self.look_now = true;
                }
                self.core.handle(self.clock.now_ms(), input);
            }
            Message::Sampled { source_ms } => self.sampled(source_ms),
            Message::Stop => self.stopping = true,
        }
    }

    /// A sample of the clock's source. A step is made here, so that the core hears of it before it looks at any time.
    fn sampled(&mut self, source_ms: Millis) {
        let by = self.clock.sampled(source_ms);
        if by == 0 {
            return;
        }
        let now = self.clock.now_ms();
        self.stepped_to = now;
        self.gauges.clock_stepped.fetch_add(u64::try_from(by).unwrap_or(0), Ordering::Relaxed);
        metrics::counter!(CLOCK_STEPS).increment(1);
        tracing::warn!(
            by_ms = by,
            "the clock stepped forward to its source: the machine was suspended, or its clock was set; running attempts \
             are good for one full period more"
        );
        self.core.handle(now, Input::Stepped { by });
    }

    fn ask_all(
        &mut self,
        first: Ticket,
        requests: Vec<Request>,
        reply: Option<oneshot::Sender<Vec<Response>>>,
        next: Option<(LeaseRequest, oneshot::Sender<Response>)>,
        forwarded: bool,
    ) {
        let now = self.clock.now_ms();
        if let Some((request, reply)) = next {
            let ticket = first - 1;
            self.replies.wait(ticket, reply);
            let request = Request::NextWork { request, reports: requests.len() as u64 };
            self.core.handle(now, Input::Request { ticket, request, forwarded: false });
        }
        if let Some(reply) = reply {
            self.replies.wait_for_all(first, requests.len(), reply);
        }
        for (request, ticket) in requests.into_iter().zip(first..) {
            self.core.handle(now, Input::Request { ticket, request, forwarded });
        }
    }
}
