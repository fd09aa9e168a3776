//! What the executor hears: requests and their tickets, how late they are heard, which is told to the core; and what the
//! core refuses for it, told to everybody without asking. Absent: any judgement of lateness (`core/pace`).

use domain::ids::Millis;
use tokio::sync::oneshot;

use super::outside::driven;
use super::{Executor, Message};
use crate::engine::core::Core;
use crate::engine::core::message::{Failure, Input, LeaseRequest, Request, Response, Ticket};
use crate::engine::core::urgency::Urgency;

impl Message {
    fn asked_at(&self) -> Option<Millis> {
        match self {
            Self::Ask { at, .. } | Self::AskAll { at, .. } => Some(*at),
            Self::Gone { .. } | Self::Came(_) | Self::Stop => None,
        }
    }
}

/// Beside the bits of the urgencies: new jobs are refused because the view is behind.
const VIEW_BEHIND: u8 = 1 << 7;

/// What the core refuses now, in a word that anybody may read.
pub(super) fn refused(core: &Core) -> u8 {
    let refused = |urgency: &Urgency| match core.refusal(*urgency) {
        None => 0,
        Some(Failure::ViewBehind) => VIEW_BEHIND | 1 << (*urgency as u8),
        Some(_) => 1 << (*urgency as u8),
    };
    Urgency::ALL.iter().map(refused).fold(0, |all, bits| all | bits)
}

/// What the word says about something of this urgency.
pub(in crate::engine) fn refusal(word: u8, urgency: Urgency) -> Option<Failure> {
    let refused = word & 1 << (urgency as u8) != 0;
    let behind = word & VIEW_BEHIND != 0;
    refused.then_some(if behind { Failure::ViewBehind } else { Failure::Overloaded })
}

impl Executor {
    /// Tells the core how late this engine is: for its own next turn, and for what was asked first of what is heard.
    pub(super) fn look_how_late(&mut self, next: Millis, heard: &[Message]) {
        let now = self.clock.now_ms();
        self.core.was_away(now, now.saturating_sub(next));
        // They come in their order: the first is the oldest.
        if let Some(at) = heard.iter().find_map(Message::asked_at) {
            self.core.heard_late(now, now.saturating_sub(at));
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
            Message::Came(input) => {
                if let Input::Routes { drivers } = &input {
                    self.drive(driven(drivers, self.me));
                    self.look_now = true;
                }
                self.core.handle(self.clock.now_ms(), input);
            }
            Message::Stop => self.stopping = true,
        }
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
