//! The way to the other engines: requests to one engine that wait while a body is under way travel together in the
//! next one, and their answers come back one by one.
//! Always holds: a slow answer holds up no other; an engine where nobody listens, or that says nothing for 1.5 s, is given
//! up, and what was asked of it is decided by whoever asked, which the append makes safe; leases that come for somebody
//! who is gone are given back. Every task ends: by its answer's end, or by silence.
//! Absent: the state of a line (`line`), and the JSON (`wire`).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::ids::Millis;
use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

use super::exchange::{self, ExchangeFailure};
use super::line::{Line, LineSlot, OPEN_MAX, WaitingRequest, to_give_back};
use super::peer_directory::{PeerDirectory, place};
use super::wire::{PeerRequest, Said};
use crate::engine::core::message::{Announced, EngineId, Request, Response};
use crate::engine::forward::Forward;
use crate::engine::undelivered::giving_back;
use crate::environment::Clock;
use crate::environment::outbound::{Outbound, SendError};
use crate::membership::contract::Life;
use crate::telemetry::metrics::{FORWARD_DURATION, FORWARDS};

/// How long the view of another engine is waited for: longer than that engine itself does.
const SHOWN_WITHIN: Duration = Duration::from_secs(3);
/// How long word of work or of leases that come back is worth anything.
const TOLD_WITHIN: Duration = Duration::from_secs(2);
/// A larger request is decided here: the other engine takes no larger body.
pub(super) const ASKED_BYTES_MAX: usize = 16 * 1_024 * 1_024;

/// Carries requests to other engines over HTTP.
#[derive(Debug, Clone)]
pub struct Forwarding(Arc<ForwardingShared>);

#[derive(Debug)]
struct ForwardingShared {
    others: PeerDirectory,
    http: Outbound,
    clock: Arc<dyn Clock>,
    lines: Mutex<BTreeMap<EngineId, Arc<To>>>,
}

/// One life of one engine at one address.
#[derive(Debug)]
pub(super) struct To {
    pub(super) life: Life,
    pub(super) address: Arc<str>,
    line: Mutex<Line>,
}

impl To {
    pub(super) fn line(&self) -> MutexGuard<'_, Line> {
        // Each call leaves a whole line.
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Forwarding {
    /// To these engines.
    ///
    /// # Errors
    /// When there is no HTTP client.
    pub fn new(others: PeerDirectory, clock: Arc<dyn Clock>) -> Result<Self, SendError> {
        let (http, lines) = (Outbound::new(OPEN_MAX)?, Mutex::default());
        Ok(Self(Arc::new(ForwardingShared { others, http, clock, lines })))
    }

    /// The line to an engine that is known to live. Those that are not are forgotten.
    fn to(&self, engine: EngineId) -> Option<Arc<To>> {
        let seen = self.0.others.seen();
        let (life, address) = place(&seen, engine)?;
        let mut lines = self.0.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() > seen.len() {
            lines.retain(|engine, _| seen.contains_key(engine));
        }
        let same = |to: &&Arc<To>| to.life == life && &*to.address == address;
        let found = lines.get(&engine).filter(same).cloned();
        Some(found.unwrap_or_else(|| {
            let to = Arc::new(To { life, address: Arc::from(address), line: Mutex::default() });
            lines.insert(engine, Arc::clone(&to));
            to
        }))
    }

    async fn ask(
        &self,
        engine: EngineId,
        asked: PeerRequest,
        within: Duration,
    ) -> Result<Said, &'static str> {
        let clock = &self.0.clock;
        let to = self.to(engine).ok_or("unknown")?;
        let waits = waits_for_work(&asked, clock.now_ms());
        let asked = asked.encode().map_err(|_| "too_large")?;
        if asked.len() > ASKED_BYTES_MAX {
            return Err("too_large");
        }
        let (reply, answer) = oneshot::channel();
        let now = clock.monotonic();
        let until = now.saturating_add(within);
        let waiting =
            WaitingRequest { asked, until, is_long: !waits.is_zero(), reply: Some(reply) };
        to.line().take(waiting, now)?;
        self.send_on(&to);
        // Whoever asks has the time in hand, and lets go of this when it is over.
        answer.await.unwrap_or(Err("broken"))
    }

    /// As `ask`, counted.
    async fn asked(&self, engine: EngineId, asked: PeerRequest, within: Duration) -> Option<Said> {
        let clock = self.0.clock.as_ref();
        let mut counted =
            CountedForward { engine, clock, began: clock.monotonic(), outcome: "late" };
        let answer = self.ask(engine, asked, within).await;
        counted.outcome = answer.as_ref().err().copied().unwrap_or("answered");
        answer.ok()
    }

    /// Sends what may be sent.
    fn send_on(&self, to: &Arc<To>) {
        if !to.line().is_called() {
            return;
        }
        let (forwarding, to) = (self.clone(), Arc::clone(to));
        tokio::spawn(async move {
            // What is asked in the same breath has its turn before, and goes along.
            tokio::task::yield_now().await;
            to.line().is_heard();
            loop {
                let next = to.line().next_body();
                let Some((place, items)) = next else { return };
                let (forwarding, to) = (forwarding.clone(), Arc::clone(&to));
                tokio::spawn(async move { forwarding.carry(to, place, items).await });
            }
        });
    }

    /// One body: there, and its answers back.
    async fn carry(self, to: Arc<To>, place: LineSlot, items: Vec<WaitingRequest>) {
        let ForwardingShared { others, http, clock, .. } = &*self.0;
        let mut under_way = UnderWay { forwarding: &self, to: &to, place };
        let mut items: Vec<_> = items.into_iter().map(Some).collect();
        let ended = exchange::run(others, http, clock.as_ref(), &mut under_way, &mut items).await;
        let why = match ended {
            Ok(()) => "not_answered",
            Err(ended) => self.failed(&to, &ended),
        };
        for item in items.into_iter().flatten() {
            item.tell(Err(why));
        }
    }

    /// The engine gave no answer, or not all.
    fn failed(&self, to: &To, ended: &ExchangeFailure) -> &'static str {
        let why = ended.word();
        if !ended.is_of_the_engine() {
            tracing::debug!(engine = to.life.engine, reason = %ended, "requests were not taken by another engine");
            return why;
        }
        let (is_news, waiting) = to.line().fails(self.0.clock.monotonic());
        if is_news {
            tracing::warn!(
                engine = to.life.engine,
                address = &*to.address,
                reason = %ended,
                "another engine does not answer; what it drives is decided here meanwhile"
            );
        }
        for item in waiting {
            item.tell(Err(why));
        }
        why
    }

    /// Leases that nobody takes go back to where they came from.
    fn give_back(&self, to: &Arc<To>, said: &Said) {
        let now = self.0.clock.monotonic();
        for (namespace, lease) in to_give_back(said) {
            let request = giving_back(&namespace, lease);
            let Ok(asked) = PeerRequest::Request(Box::new(request)).encode() else { continue };
            let until = now.saturating_add(TOLD_WITHIN);
            // When it cannot be told, the lease runs out.
            let _ =
                to.line().take(WaitingRequest { asked, until, is_long: false, reply: None }, now);
        }
        self.send_on(to);
    }
}

impl Forward for Forwarding {
    fn forward(
        &self,
        to: EngineId,
        request: Request,
        within: Duration,
    ) -> BoxFuture<'static, Option<Response>> {
        let forwarding = self.clone();
        Box::pin(async move {
            match forwarding.asked(to, PeerRequest::Request(Box::new(request)), within).await? {
                Said::Response(response) => Some(*response),
                Said::Shown(_)
                | Said::ShownUntil(_)
                | Said::Heard
                | Said::NotUnderstood(_)
                | Said::NotAnswered(_) => None,
            }
        })
    }

    fn announce(&self, to: EngineId, queues: Arc<[Announced]>) -> BoxFuture<'static, ()> {
        let forwarding = self.clone();
        Box::pin(async move {
            let told = forwarding.asked(to, PeerRequest::Announced(queues.to_vec()), TOLD_WITHIN);
            // Nothing rests on it.
            tokio::select! {
                _ = told => {}
                () = forwarding.0.clock.sleep(TOLD_WITHIN) => {}
            }
        })
    }

    fn others(&self) -> Vec<EngineId> {
        self.0.others.living()
    }

    fn drivers(&self) -> Arc<[Option<EngineId>]> {
        self.0.others.drivers()
    }

    fn shown(&self, engine: EngineId) -> BoxFuture<'static, bool> {
        let forwarding = self.clone();
        let asked = PeerRequest::Shown(self.0.others.groups_of(engine));
        Box::pin(async move {
            let shown = tokio::select! {
                biased;
                shown = forwarding.asked(engine, asked, SHOWN_WITHIN) => shown,
                () = forwarding.0.clock.sleep(SHOWN_WITHIN) => None,
            };
            matches!(shown, Some(Said::Shown(true)))
        })
    }

    fn shown_until(&self, engine: EngineId) -> BoxFuture<'static, Option<Millis>> {
        let forwarding = self.clone();
        let asked = PeerRequest::ShownUntil(self.0.others.groups_of(engine));
        Box::pin(async move {
            match forwarding.asked(engine, asked, TOLD_WITHIN).await? {
                Said::ShownUntil(until) => Some(until),
                Said::Response(_)
                | Said::Shown(_)
                | Said::Heard
                | Said::NotUnderstood(_)
                | Said::NotAnswered(_) => None,
            }
        })
    }
}

/// A body's place, given back when it is over, however it ends.
pub(super) struct UnderWay<'a> {
    forwarding: &'a Forwarding,
    pub(super) to: &'a Arc<To>,
    place: LineSlot,
}

impl UnderWay<'_> {
    /// What is asked meanwhile need not wait for the rest of its answers.
    pub(super) fn is_slow(&mut self) {
        self.to.line().is_slow(&mut self.place);
        self.forwarding.send_on(self.to);
    }

    /// The engine answers.
    pub(super) fn answers(&self) {
        if self.to.line().answers() {
            tracing::info!(engine = self.to.life.engine, "another engine answers again");
        }
    }

    /// Carries an answer to who asked.
    pub(super) fn answered(&self, item: WaitingRequest, answer: Result<Said, &'static str>) {
        if let Some(said) = item.tell(answer) {
            self.forwarding.give_back(self.to, &said);
        }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.to.line().is_over(self.place);
        self.forwarding.send_on(self.to);
    }
}

/// What became of a request that was passed on, also when whoever asked does not wait any longer.
struct CountedForward<'a> {
    engine: EngineId,
    clock: &'a dyn Clock,
    began: Duration,
    outcome: &'static str,
}

impl Drop for CountedForward<'_> {
    fn drop(&mut self) {
        let took = self.clock.monotonic().saturating_sub(self.began);
        metrics::histogram!(FORWARD_DURATION).record(took.as_secs_f64());
        metrics::counter!(FORWARDS, "outcome" => self.outcome).increment(1);
        tracing::trace!(engine = self.engine, outcome = self.outcome, "a request was passed on");
    }
}

/// How long a request may wait for work; nothing else waits.
fn waits_for_work(asked: &PeerRequest, now: Millis) -> Duration {
    let PeerRequest::Request(request) = asked else { return Duration::ZERO };
    match &**request {
        Request::Lease(poll) | Request::NextWork { request: poll, .. } => {
            Duration::from_millis(u64::try_from(poll.wait_until.saturating_sub(now)).unwrap_or(0))
        }
        Request::Command { .. }
        | Request::Heartbeat { .. }
        | Request::Read { .. }
        | Request::Claimed { .. }
        | Request::AskGrant { .. }
        | Request::Queues { .. }
        | Request::Workers { .. }
        | Request::Inspect { .. } => Duration::ZERO,
    }
}
