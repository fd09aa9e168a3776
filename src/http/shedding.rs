//! Who is let in, before anything of the body is read: by how urgent the route is, what the engine refuses now, whether
//! there is room for bodies (`bodies`), and how many submissions are worked on, so that what finishes work always finds a
//! processor.
//! Always holds: a refusal costs no reading and no asking; every route of the API has its urgency (a test holds the
//! table to the router); health, metrics and documents are never refused. Absent: why something is refused (`engine`).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::Method;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::bodies::Charge;
use super::peers::PeerAddress;
use super::problem::{Code, Problem};
use super::state::Api;
use crate::engine::core::urgency::Urgency;
use crate::environment::Clock;
use crate::telemetry::metrics::HTTP_REFUSED;

/// Submissions that may wait for each that is worked on.
const WAITING_TIMES: usize = 4;
/// They wait at most so long: who is refused learns it while the word is worth something.
const WAIT_MAX: Duration = Duration::from_millis(500);

/// Submissions that are worked on at once. A few more wait for their turn, which costs nothing but a place.
#[derive(Debug)]
pub struct Submissions {
    places: Arc<Semaphore>,
    waiting: AtomicUsize,
    waiting_max: usize,
}

impl Submissions {
    /// So many at once.
    pub fn new(max: usize) -> Self {
        let places = Arc::new(Semaphore::new(max));
        let waiting_max = max.saturating_mul(WAITING_TIMES);
        Self { places, waiting: AtomicUsize::new(0), waiting_max }
    }

    /// A place, at once or soon; none when too many wait for one.
    async fn place(&self, clock: &dyn Clock) -> Option<OwnedSemaphorePermit> {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return Some(place);
        }
        let waits = Waits(&self.waiting);
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= self.waiting_max {
            return None;
        }
        let place = tokio::select! {
            biased;
            place = Arc::clone(&self.places).acquire_owned() => place.ok(),
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

/// Why a request is refused at once, if it is.
pub(super) fn refusal(api: &Api, urgency: Urgency) -> Option<Problem> {
    api.engine().refusal(urgency).map(|refusal| refused(urgency, refusal.into()))
}

/// What a request has of the engine while it is read and worked on; it is given back when this is dropped.
#[derive(Debug)]
pub struct RequestPermit {
    charge: Charge,
    /// Whose turn a submission waits for once it has been read; none: it needs no place.
    turns: Option<Turns>,
    place: Mutex<Option<OwnedSemaphorePermit>>,
}

#[derive(Debug)]
struct Turns {
    submissions: Arc<Submissions>,
    clock: Arc<dyn Clock>,
}

impl RequestPermit {
    /// Lets a request of this peer in, as far as it is known before its body is read.
    pub(super) fn begin(
        api: &Api,
        urgency: Urgency,
        peer: Option<PeerAddress>,
    ) -> Result<Self, Problem> {
        let charge = api.bodies().charge(urgency, peer);
        let charge = charge.map_err(|problem| refused(urgency, problem))?;
        let turns = (urgency == Urgency::Submit).then(|| Turns {
            submissions: Arc::clone(api.submissions()),
            clock: Arc::clone(&api.outside().clock),
        });
        Ok(Self { charge, turns, place: Mutex::default() })
    }

    /// Lets in what another engine asks: the core weighs it, here only its bytes count.
    pub(super) fn of_engine(api: &Api) -> Result<Self, Problem> {
        Ok(Self { charge: api.bodies().charge_engine()?, turns: None, place: Mutex::default() })
    }

    /// So many bytes of the body have come.
    ///
    /// # Errors
    /// `overloaded` when there is no room for them.
    pub fn came(&self, bytes: usize) -> Result<(), Problem> {
        let grown = self.charge.grow(bytes);
        grown.map_err(|problem| match self.turns {
            Some(_) => refused(Urgency::Submit, problem),
            None => problem,
        })
    }

    /// The body is here. A submission waits for its turn, and is refused when that does not come; a body that is slow in
    /// coming takes nobody's turn.
    ///
    /// # Errors
    /// `overloaded` when too many submissions are worked on.
    pub async fn is_read(&self) -> Result<(), Problem> {
        let Some(Turns { submissions, clock }) = &self.turns else { return Ok(()) };
        let Some(place) = submissions.place(clock.as_ref()).await else {
            let detail = "too many submissions are being worked on";
            return Err(refused(Urgency::Submit, Problem::new(Code::Overloaded, detail)));
        };
        *self.place.lock().unwrap_or_else(PoisonError::into_inner) = Some(place);
        Ok(())
    }
}

fn refused(urgency: Urgency, problem: Problem) -> Problem {
    metrics::counter!(HTTP_REFUSED, "urgency" => urgency.as_str()).increment(1);
    problem
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::environment::SimulatedClock;

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
