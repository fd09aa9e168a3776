//! Who is let in, before anything of the body is read: by how urgent the route is, what the engine refuses now, how
//! many bytes of bodies are held already, and how many submissions are worked on, so that what finishes work always
//! finds a processor.
//! Always holds: a refusal costs no reading and no asking; every route of the API has its urgency (a test holds the
//! table to the router); health, metrics and documents are never refused. Absent: why something is refused (`engine`).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::extract::Request;
use axum::http::{Method, header};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::problem::{Code, Problem};
use super::state::Api;
use crate::engine::core::urgency::Urgency;
use crate::environment::Clock;
use crate::telemetry::metrics::HTTP_REFUSED;

/// What is counted for a request beside its body.
const REQUEST_BYTES: usize = 4 * 1_024;

/// Submissions that may wait for each that is worked on.
const WAITING_TIMES: usize = 4;
/// They wait at most so long: who is refused learns it while the word is worth something.
const WAIT_MAX: Duration = Duration::from_millis(500);

/// Submissions that are worked on at once. A few more wait for their turn, which costs nothing but a place.
#[derive(Debug)]
pub struct Submissions {
    places: Semaphore,
    waiting: AtomicUsize,
    waiting_max: usize,
}

impl Submissions {
    /// So many at once.
    pub fn new(max: usize) -> Self {
        let places = Semaphore::new(max);
        let waiting_max = max.saturating_mul(WAITING_TIMES);
        Self { places, waiting: AtomicUsize::new(0), waiting_max }
    }

    /// A place, at once or soon; none when too many wait for one.
    async fn place(&self, clock: &dyn Clock) -> Option<SemaphorePermit<'_>> {
        if let Ok(place) = self.places.try_acquire() {
            return Some(place);
        }
        let waits = Waits(&self.waiting);
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= self.waiting_max {
            return None;
        }
        let place = tokio::select! {
            biased;
            place = self.places.acquire() => place.ok(),
            () = clock.sleep(WAIT_MAX) => None,
        };
        drop(waits);
        place
    }
}

/// One that waits, also when its client goes away.
struct Waits<'a>(&'a AtomicUsize);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Bytes of request bodies that are held at once.
#[derive(Debug, Default)]
pub struct Bodies {
    held: AtomicUsize,
}

/// A request's part of them, for as long as it is answered.
#[derive(Debug)]
struct Part<'a> {
    bodies: &'a Bodies,
    bytes: usize,
}

impl Bodies {
    /// Room for a body, unless `max` bytes would be held then.
    fn hold(&self, bytes: usize, max: usize) -> Option<Part<'_>> {
        let part = Part { bodies: self, bytes };
        let before = self.held.fetch_add(bytes, Ordering::Relaxed);
        // One body that is larger than the bound still has its turn, alone.
        (before == 0 || before.saturating_add(bytes) <= max).then_some(part)
    }
}

impl Drop for Part<'_> {
    fn drop(&mut self) {
        self.bodies.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// How urgent a route is; none: it is never refused.
pub fn urgency_of(method: &Method, route: &str) -> Option<Urgency> {
    let path = route.strip_prefix("/api/v1/")?;
    Some(match (method, path) {
        (_, "leases/heartbeat" | "leases/complete" | "leases/fail" | "leases/release") => {
            Urgency::Report
        }
        (_, "queues/{queue}/lease") => Urgency::Lease,
        (&Method::POST, "jobs" | "jobs/batch") => Urgency::Submit,
        (&Method::GET | &Method::HEAD, _) => Urgency::Read,
        _ => Urgency::Cancel,
    })
}

/// What a request has of the engine while it is worked on.
#[derive(Debug)]
pub(super) struct Admitted<'a> {
    _part: Part<'a>,
    _place: Option<SemaphorePermit<'a>>,
}

/// Why a request is refused at once, if it is.
pub(super) fn refusal(api: &Api, urgency: Urgency) -> Option<Problem> {
    api.engine().refusal(urgency).map(|refusal| refused(urgency, refusal.into()))
}

/// Lets a request that brings so many bytes in, or refuses it, at once but for a submission that waits for its turn.
pub(super) async fn enter(
    api: &Api,
    urgency: Urgency,
    bytes: usize,
) -> Result<Admitted<'_>, Problem> {
    let most = match urgency {
        // The other half is for what finishes and stops work.
        Urgency::Submit => api.settings().bodies_bytes_max / 2,
        Urgency::Report | Urgency::Cancel | Urgency::Lease | Urgency::Read => {
            api.settings().bodies_bytes_max
        }
    };
    let Some(part) = api.bodies().hold(bytes, most) else {
        let detail = "too many bytes of requests are being worked on";
        return Err(refused(urgency, Problem::new(Code::Overloaded, detail)));
    };
    if urgency != Urgency::Submit {
        return Ok(Admitted { _part: part, _place: None });
    }
    let Some(place) = api.submissions().place(api.outside().clock.as_ref()).await else {
        let detail = "too many submissions are being worked on";
        return Err(refused(urgency, Problem::new(Code::Overloaded, detail)));
    };
    Ok(Admitted { _part: part, _place: Some(place) })
}

fn refused(urgency: Urgency, problem: Problem) -> Problem {
    metrics::counter!(HTTP_REFUSED, "urgency" => urgency.as_str()).increment(1);
    problem
}

/// The bytes that a request may bring; without word of them, as many as are allowed.
pub(super) fn announced(request: &Request, max: usize) -> usize {
    let headers = request.headers();
    let length = headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    let body = match length {
        Some(bytes) => bytes.min(max),
        None if headers.contains_key(header::TRANSFER_ENCODING) => max,
        None => 0,
    };
    body + REQUEST_BYTES
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::environment::SimulatedClock;

    #[test]
    fn bodies_are_held_up_to_their_bound_and_a_larger_one_alone() {
        let bodies = Bodies::default();
        let large = bodies.hold(500, 100);
        assert!(large.is_some(), "nothing else is held");
        assert!(bodies.hold(1, 100).is_none());
        drop(large);
        let parts = [bodies.hold(60, 100), bodies.hold(40, 100)];
        assert!(parts.iter().all(Option::is_some));
        assert!(bodies.hold(1, 100).is_none());
        drop(parts);
        assert_eq!(bodies.held.load(Ordering::Relaxed), 0, "also what was refused is let go of");
    }

    #[tokio::test]
    async fn submissions_wait_for_a_place_a_while_and_are_refused_when_too_many_do() {
        let clock = SimulatedClock::at(0);
        let submissions = Submissions::new(1);
        let first = submissions.place(&clock).await;
        assert!(first.is_some());
        let mut waiting: Vec<_> =
            (0..WAITING_TIMES).map(|_| Box::pin(submissions.place(&clock))).collect();
        for wait in &mut waiting {
            assert!(wait.now_or_never().is_none(), "it waits");
        }
        let more = submissions.place(&clock).now_or_never();
        assert!(more.is_some_and(|place| place.is_none()), "too many wait");
        let second = waiting.remove(0);
        drop(first);
        let second = second.await;
        assert!(second.is_some(), "its turn has come");
        clock.advance(WAIT_MAX);
        for wait in waiting {
            let place = wait.now_or_never();
            assert!(place.is_some_and(|place| place.is_none()), "it has waited long enough");
        }
        assert_eq!(submissions.waiting.load(Ordering::Relaxed), 0);
        drop(second);
        assert!(submissions.place(&clock).await.is_some());
    }

    #[test]
    fn what_finishes_work_is_the_most_urgent_and_new_jobs_the_least() {
        let of = |method: Method, path: &str| urgency_of(&method, &format!("/api/v1/{path}"));
        assert_eq!(of(Method::POST, "leases/complete"), Some(Urgency::Report));
        assert_eq!(of(Method::DELETE, "jobs/{id}"), Some(Urgency::Cancel));
        assert_eq!(of(Method::POST, "jobs/{id}/cancel"), Some(Urgency::Cancel));
        assert_eq!(of(Method::POST, "queues/{queue}/lease"), Some(Urgency::Lease));
        assert_eq!(of(Method::GET, "jobs"), Some(Urgency::Read));
        assert_eq!(of(Method::POST, "jobs"), Some(Urgency::Submit));
        assert_eq!(of(Method::POST, "jobs/batch"), Some(Urgency::Submit));
        assert_eq!(urgency_of(&Method::GET, "/livez"), None);
        assert_eq!(urgency_of(&Method::GET, "/metrics"), None);
    }
}
