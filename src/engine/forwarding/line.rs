//! The line to one engine, as pure state: requests that wait for the next body, how many bodies are under way, and
//! whether the engine answers at all.
//! Always holds: a body is sent while another is under way only up to the bound, so that what comes meanwhile travels
//! together; a body that is slow to be answered does not count, so that it holds up nobody; an engine that does not
//! answer is tried again seldom, each time after twice as long, by one body.
//! Absent: sending (`client`), and any clock.

use std::collections::VecDeque;
use std::time::Duration;

use domain::ids::{LeaseId, Namespace};
use tokio::sync::oneshot;

use super::wire::{ITEMS_MAX, Said};
use crate::engine::core::message::Response;

/// Bodies under way that are not slow yet. A few, so that one is written while others are read and decided; not more, so
/// that what comes meanwhile gathers.
const QUICK_MAX: usize = 4;
/// Bodies under way in all; a connection each.
pub(super) const OPEN_MAX: usize = 64;
/// Of these, bodies with requests that wait for work: the others are for what does not.
const LONG_MAX: usize = 32;
/// Bytes of one body; one larger request goes alone.
const BODY_BYTES_MAX: usize = 1_024 * 1_024;
/// Requests, and their bytes, that wait for a body.
const WAITING_MAX: usize = 20_000;
const WAITING_BYTES_MAX: usize = 64 * 1_024 * 1_024;
/// An engine that did not answer is tried again after so long, then after twice as long, up to the last: what is asked
/// of it meanwhile is decided here at once.
const AGAIN_FIRST: Duration = Duration::from_millis(250);
const AGAIN_LAST: Duration = Duration::from_secs(5);

/// A request that waits for its body, or for its answer.
#[derive(Debug)]
pub(super) struct WaitingRequest {
    pub(super) asked: Vec<u8>,
    /// Nobody waits any longer than that, on the monotonic clock.
    pub(super) until: Duration,
    /// It may wait for work: it goes alone.
    pub(super) is_long: bool,
    /// Who asked; none: nobody wants the answer, and it is sent all the same.
    pub(super) reply: Option<oneshot::Sender<Result<Said, &'static str>>>,
}

impl WaitingRequest {
    /// Whoever asked does not wait any more.
    fn is_gone(&self) -> bool {
        self.reply.as_ref().is_some_and(oneshot::Sender::is_closed)
    }

    /// Tells whoever asked. Gives back what nobody takes.
    pub(super) fn tell(self, answer: Result<Said, &'static str>) -> Option<Said> {
        let untold = match self.reply {
            Some(reply) => reply.send(answer).err()?,
            None => answer,
        };
        untold.ok()
    }
}

/// The line's state.
#[derive(Debug, Default)]
pub(super) struct Line {
    waiting: VecDeque<WaitingRequest>,
    long: VecDeque<WaitingRequest>,
    bytes: usize,
    quick: usize,
    open: usize,
    open_long: usize,
    down: Option<Down>,
    /// Somebody is about to send what waits.
    is_called: bool,
}

#[derive(Debug, Clone, Copy)]
struct Down {
    until: Duration,
    wait: Duration,
    /// Somebody is finding out.
    is_tried: bool,
}

/// A body's place among those under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LineSlot {
    pub(super) is_quick: bool,
    pub(super) is_long: bool,
}

impl Line {
    /// Takes a request, or says why not.
    pub(super) fn take(
        &mut self,
        request: WaitingRequest,
        now: Duration,
    ) -> Result<(), &'static str> {
        if let Some(down) = &mut self.down {
            if now < down.until {
                return Err("down");
            }
            // This one finds out whether it answers again.
            *down = Down { until: now.saturating_add(down.wait), is_tried: true, ..*down };
        }
        let waiting = self.waiting.len() + self.long.len();
        let bytes = self.bytes.saturating_add(request.asked.len());
        if waiting >= WAITING_MAX || bytes > WAITING_BYTES_MAX {
            return Err("full");
        }
        self.bytes = bytes;
        let queue = if request.is_long { &mut self.long } else { &mut self.waiting };
        queue.push_back(request);
        Ok(())
    }

    /// Somebody should send what waits. False: somebody is about to, or there is nothing.
    pub(super) fn is_called(&mut self) -> bool {
        let waits = !self.waiting.is_empty() || !self.long.is_empty();
        waits && !std::mem::replace(&mut self.is_called, true)
    }

    /// Somebody looks now.
    pub(super) fn is_heard(&mut self) {
        self.is_called = false;
    }

    /// What the next body holds, if it may be sent now.
    pub(super) fn next_body(&mut self) -> Option<(LineSlot, Vec<WaitingRequest>)> {
        if self.open >= OPEN_MAX {
            return None;
        }
        self.release();
        if self.quick < QUICK_MAX && !self.waiting.is_empty() {
            let mut items = Vec::new();
            let mut bytes = 0;
            while let Some(next) = self.waiting.front()
                && items.len() < ITEMS_MAX
                && (items.is_empty() || bytes + next.asked.len() <= BODY_BYTES_MAX)
                && let Some(item) = self.waiting.pop_front()
            {
                bytes += item.asked.len();
                items.push(item);
            }
            self.bytes -= bytes;
            self.open += 1;
            self.quick += 1;
            return Some((LineSlot { is_quick: true, is_long: false }, items));
        }
        if self.open_long < LONG_MAX {
            let item = self.long.pop_front()?;
            self.bytes -= item.asked.len();
            self.open += 1;
            self.open_long += 1;
            return Some((LineSlot { is_quick: false, is_long: true }, vec![item]));
        }
        None
    }

    /// Of those at the head, whoever is gone is asked nothing more.
    fn release(&mut self) {
        for queue in [&mut self.waiting, &mut self.long] {
            while let Some(gone) = queue.pop_front_if(|item| item.is_gone()) {
                self.bytes -= gone.asked.len();
            }
        }
    }

    /// A body is slow to be answered: others may go meanwhile.
    pub(super) fn is_slow(&mut self, place: &mut LineSlot) {
        if std::mem::take(&mut place.is_quick) {
            self.quick -= 1;
        }
    }

    /// A body is not under way any more.
    pub(super) fn is_over(&mut self, mut place: LineSlot) {
        self.is_slow(&mut place);
        self.open -= 1;
        self.open_long -= usize::from(place.is_long);
    }

    /// The engine answers. Whether that is news.
    pub(super) fn answers(&mut self) -> bool {
        self.down.take().is_some()
    }

    /// The engine does not answer: whoever waits is to be told. Whether that is news.
    pub(super) fn fails(&mut self, now: Duration) -> (bool, Vec<WaitingRequest>) {
        let is_news = self.down.is_none();
        let wait = match self.down {
            None => Some(AGAIN_FIRST),
            Some(down) if down.is_tried => Some(down.wait.saturating_mul(2).min(AGAIN_LAST)),
            // Bodies that fail together are one failure.
            Some(_) => None,
        };
        if let Some(wait) = wait {
            self.down = Some(Down { until: now.saturating_add(wait), wait, is_tried: false });
        }
        self.bytes = 0;
        let mut all: Vec<_> = self.waiting.drain(..).collect();
        all.extend(self.long.drain(..));
        (is_news, all)
    }
}

/// What was granted to somebody who is gone.
pub(super) fn to_give_back(said: &Said) -> Vec<(Namespace, LeaseId)> {
    let Said::Response(response) = said else { return Vec::new() };
    let Response::Leases(granted) = &**response else { return Vec::new() };
    granted.iter().map(|lease| (lease.namespace.clone(), lease.lease)).collect()
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test says what it expects")]
mod tests {
    use super::*;

    fn request(bytes: usize, is_long: bool) -> WaitingRequest {
        WaitingRequest { asked: vec![b' '; bytes], until: Duration::MAX, is_long, reply: None }
    }

    fn take(line: &mut Line, bytes: usize, is_long: bool) {
        line.take(request(bytes, is_long), Duration::ZERO).expect("there is room");
    }

    fn bodies(line: &mut Line) -> Vec<(LineSlot, usize)> {
        std::iter::from_fn(|| line.next_body().map(|(place, items)| (place, items.len()))).collect()
    }

    #[test]
    fn what_comes_while_bodies_are_under_way_travels_together_and_a_slow_one_does_not_count() {
        let mut line = Line::default();
        let mut under_way = Vec::new();
        for _ in 0..QUICK_MAX {
            take(&mut line, 10, false);
            under_way.extend(bodies(&mut line));
        }
        assert_eq!(under_way.len(), QUICK_MAX);
        for _ in 0..100 {
            take(&mut line, 10, false);
        }
        assert!(bodies(&mut line).is_empty(), "enough is under way");
        line.is_slow(&mut under_way[0].0);
        line.is_slow(&mut under_way[0].0);
        let next = bodies(&mut line);
        assert_eq!(next.iter().map(|(_, items)| *items).collect::<Vec<_>>(), [100]);
        for (place, _) in under_way.into_iter().chain(next) {
            line.is_over(place);
        }
        assert_eq!((line.open, line.quick, line.bytes), (0, 0, 0));
    }

    #[test]
    fn a_body_has_its_bounds_and_one_large_request_goes_alone() {
        let mut line = Line::default();
        take(&mut line, 10, false);
        take(&mut line, BODY_BYTES_MAX * 2, false);
        for _ in 0..=ITEMS_MAX {
            take(&mut line, 1, false);
        }
        let items: Vec<_> = bodies(&mut line).into_iter().map(|(_, items)| items).collect();
        assert_eq!(items, [1, 1, ITEMS_MAX, 1]);
        let too_much = line.take(request(WAITING_BYTES_MAX + 1, false), Duration::ZERO);
        assert_eq!(too_much, Err("full"));
    }

    #[test]
    fn what_waits_for_work_goes_alone_and_leaves_room_for_what_does_not() {
        let mut line = Line::default();
        for _ in 0..OPEN_MAX * 2 {
            take(&mut line, 1, true);
        }
        assert_eq!(bodies(&mut line).len(), LONG_MAX);
        take(&mut line, 1, false);
        let quick = bodies(&mut line);
        assert!(quick.len() == 1 && !quick[0].0.is_long);
        let long = LineSlot { is_quick: false, is_long: true };
        line.is_over(long);
        assert_eq!(bodies(&mut line), [(long, 1)]);
    }

    #[test]
    fn an_engine_that_does_not_answer_is_tried_seldom_and_by_one() {
        let mut line = Line::default();
        let ms = Duration::from_millis;
        take(&mut line, 1, false);
        let (is_news, told) = line.fails(ms(0));
        assert!(is_news && told.len() == 1, "who waits is told");
        let mut now = ms(0);
        for wait in [250, 500, 1_000, 2_000, 4_000, 5_000, 5_000] {
            assert_eq!(line.take(request(1, false), now + ms(wait - 1)), Err("down"));
            now += ms(wait);
            assert_eq!(line.take(request(1, false), now), Ok(()), "after {wait} ms");
            assert_eq!(line.take(request(1, false), now), Err("down"), "one finds out");
            let (is_news, told) = line.fails(now);
            assert!(!is_news && told.len() == 1);
            // What failed with it is no failure of its own.
            assert!(line.fails(now).1.is_empty());
        }
        assert!(line.answers() && !line.answers());
        assert_eq!(line.take(request(1, false), now), Ok(()));
    }
}
