//! Who waits for which answer: one for its own, or one for the answers to many requests at once.
//! Always holds: an answer goes to whoever waits for it, once; what nobody takes comes back to the executor.

use std::collections::{BTreeMap, HashMap};

use tokio::sync::oneshot;

use crate::engine::core::message::{Response, Ticket};

/// Requests that are answered together.
struct Group {
    responses: Vec<Option<Response>>,
    unanswered: usize,
    reply: oneshot::Sender<Vec<Response>>,
}

/// Everybody who waits.
#[derive(Default)]
pub(super) struct Replies {
    /// Looked up by ticket only.
    alone: HashMap<Ticket, oneshot::Sender<Response>>,
    /// By the ticket of the first.
    together: BTreeMap<Ticket, Group>,
}

impl Replies {
    pub(super) fn wait(&mut self, ticket: Ticket, reply: oneshot::Sender<Response>) {
        self.alone.insert(ticket, reply);
    }

    /// For `count` requests from the ticket `first` on.
    pub(super) fn wait_for_all(
        &mut self,
        first: Ticket,
        count: usize,
        reply: oneshot::Sender<Vec<Response>>,
    ) {
        let responses = std::iter::repeat_with(|| None).take(count).collect();
        self.together.insert(first, Group { responses, unanswered: count, reply });
    }

    /// Nobody waits any more for this one. Answers whether somebody did.
    pub(super) fn forget(&mut self, ticket: Ticket) -> bool {
        self.alone.remove(&ticket).is_some()
    }

    /// Carries an answer to who waits for it. Gives back one that nobody takes.
    pub(super) fn answer(&mut self, ticket: Ticket, response: Response) -> Option<Response> {
        if let Some(reply) = self.alone.remove(&ticket) {
            return reply.send(response).err();
        }
        let Some((first, group)) = self.together.range_mut(..=ticket).next_back() else {
            return Some(response);
        };
        let (first, place) = (*first, usize::try_from(ticket - *first).unwrap_or(usize::MAX));
        let Some(place) = group.responses.get_mut(place).filter(|place| place.is_none()) else {
            return Some(response);
        };
        *place = Some(response);
        group.unanswered -= 1;
        if group.unanswered == 0
            && let Some(group) = self.together.remove(&first)
        {
            // Whoever asked may be gone; what was decided stays decided.
            let _ = group.reply.send(group.responses.into_iter().flatten().collect());
        }
        None
    }
}
