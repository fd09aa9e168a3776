//! What becomes of the engines' outputs: carried out at once, held until the test releases them, or handed to another
//! engine the way that the test has chosen.

use domain::ids::Millis;
use orrery::engine::core::message::{ForwardTicket, Input, Output, Request, Response, Ticket};

use super::{Lab, Way, carry};

impl Lab {
    /// Something reaches one engine.
    pub(crate) fn hears(&mut self, at: usize, input: Input) {
        self.members[at].core.handle(self.now, input);
        self.settle();
    }

    /// The engine could not listen for so long.
    pub(crate) fn stalled(&mut self, at: usize, ms: Millis) {
        self.members[at].core.record_stall(self.now, ms);
        self.settle();
    }

    /// Carries out what was held.
    pub(crate) fn release_appends(&mut self) {
        (self.holds_appends, self.holds_flushes) = (false, false);
        for (at, output) in std::mem::take(&mut self.held) {
            self.perform(at, output);
        }
        self.settle();
    }

    /// Carries out the oldest of what is held; the rest goes on waiting.
    pub(crate) fn release_append(&mut self) {
        let Some((at, output)) = self.held.pop_front() else { return };
        self.holds_appends = false;
        self.perform(at, output);
        self.holds_appends = true;
        self.settle();
    }

    pub(crate) fn held(&self) -> usize {
        self.held.len()
    }

    pub(super) fn perform(&mut self, at: usize, output: Output) {
        if let Output::Flush { documents } = &output {
            let with_pages = documents.iter().filter(|document| !document.nodes.is_empty());
            self.pages.extend(with_pages.map(|document| {
                let numbers = document.nodes.iter().map(|page| page.number).collect();
                (document.subject.clone(), numbers)
            }));
        }
        let output = match output {
            Output::Append { .. } if self.holds_appends => {
                return self.held.push_back((at, output));
            }
            Output::Flush { .. } if self.holds_flushes => {
                return self.held.push_back((at, output));
            }
            Output::Flush { documents } if self.view_fails => {
                let shown = documents.iter().map(|d| (d.subject.clone(), d.seq)).collect();
                let input = Input::Flushed { shown, durable: false };
                return self.members[at].core.handle(self.now, input);
            }
            Output::Answer { ticket, response } => return self.answered(at, ticket, response),
            Output::Forward { to, ticket, request, .. } => {
                return self.forward(at, to, ticket, request);
            }
            Output::Announce { to, queues } => {
                self.announcements += 1;
                let from = u32::try_from(at).expect("few engines");
                let heard = to.into_iter().filter(|_| self.way != Way::Cut);
                for engine in heard.filter_map(|engine| usize::try_from(engine).ok()) {
                    let input = Input::Announced { from, queues: queues.clone() };
                    self.members[engine].core.handle(self.now, input);
                }
                return;
            }
            output => output,
        };
        let Some(input) = carry(&self.store, &self.view, output) else { return };
        self.members[at].core.handle(self.now, input);
    }

    fn forward(&mut self, at: usize, to: u32, ticket: ForwardTicket, request: Request) {
        let to = usize::try_from(to).expect("few engines");
        self.forwarded += 1;
        if self.way != Way::Works {
            let input = Input::NotForwarded { ticket, request: request.clone() };
            self.members[at].core.handle(self.now, input);
        }
        if self.way == Way::Late {
            return self.late.push((to, request));
        }
        if self.way != Way::Cut {
            self.next_ticket += 1;
            if self.way == Way::Works {
                self.forwards.insert(self.next_ticket, (at, ticket));
            }
            let input = Input::Request { ticket: self.next_ticket, request, forwarded: true };
            self.members[to].core.handle(self.now, input);
        }
    }

    /// What was late arrives; answers what is said to it, which nobody waits for.
    pub(crate) fn late_arrive(&mut self) -> Vec<Response> {
        let late = std::mem::take(&mut self.late);
        let tickets: Vec<_> =
            late.into_iter().map(|(to, request)| self.give(to, request, true)).collect();
        self.settle();
        tickets.into_iter().filter_map(|ticket| self.heard(ticket)).collect()
    }

    fn answered(&mut self, at: usize, ticket: Ticket, response: Response) {
        if let Some((from, ticket)) = self.forwards.remove(&ticket) {
            let input = Input::Forwarded { ticket, response };
            return self.members[from].core.handle(self.now, input);
        }
        if !self.gone.remove(&ticket) {
            let before = self.answers.insert(ticket, response);
            assert!(before.is_none(), "two answers to one request");
            return;
        }
        let Response::Leases(granted) = response else { return };
        self.members[at].core.handle(self.now, Input::Undelivered { granted });
    }
}
