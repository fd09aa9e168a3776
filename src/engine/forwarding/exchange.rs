//! One body to another engine and its answers back, record by record.
//! Always holds: an engine that says nothing for 1.5 s is given up (one that lives and has no answer yet says so twice a
//! second); no record is held that is larger than its bound.

use std::time::Duration;

use super::client::UnderWay;
use super::line::WaitingRequest;
use super::peer_directory::PeerDirectory;
use super::wire::{MEDIA_TYPE, RECORD_END, Said, decode_said, encode_batch};
use super::{AnswerProof, PATH, PROOF};
use crate::engine::core::message::{Failure, Response};
use crate::environment::outbound::{Outbound, OutboundAnswer, SendError};
use crate::environment::{Clock, Sleep};
use crate::telemetry::metrics::FORWARD_REQUESTS;

/// An engine that says nothing for so long does not answer: three times as long as one that lives is silent, and less
/// than the time after which the core decides by itself.
const SILENCE: Duration = Duration::from_millis(1_500);
/// A body that is not answered whole by then is slow: the next one need not wait for it. It is what an answer may be
/// delayed by the company it travels in.
const SLOW: Duration = Duration::from_millis(5);
/// Bytes of one answer: a thousand leases with their inputs.
const RECORD_BYTES_MAX: usize = 32 * 1_024 * 1_024;

/// Why an exchange did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExchangeFailure {
    #[error(transparent)]
    Sending(#[from] SendError),
    #[error("it says nothing for {} ms", SILENCE.as_millis())]
    Silent,
    #[error("it does not know this engine's key, or has another cluster secret")]
    Forbidden,
    #[error("it has not seen this engine yet")]
    NotSeenYet,
    #[error("it has shown no key: an engine of another version, or one that is not seen any more")]
    NoKey,
    #[error("its answer is not proven: it comes from somebody else, or was changed on the way")]
    Forged,
    #[error("another engine, or another life of it, listens at its address")]
    Misdirected,
    #[error("it answered with status {0}")]
    Status(u16),
    #[error("its answer is not what an engine says")]
    Unreadable,
}

impl ExchangeFailure {
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Sending(SendError::Broken(_)) => "broken",
            Self::Sending(SendError::Unreachable(_) | SendError::Unusable(_)) => "unreachable",
            Self::Silent => "silent",
            Self::Forbidden => "forbidden",
            Self::NotSeenYet => "not_seen_yet",
            Self::NoKey => "no_key",
            Self::Forged => "forged",
            Self::Misdirected => "misdirected",
            Self::Status(_) => "not_taken",
            Self::Unreadable => "unreadable",
        }
    }

    /// It is to be expected of the next body too; else only of this one.
    pub(super) fn is_of_the_engine(&self) -> bool {
        match self {
            Self::Sending(_)
            | Self::Silent
            | Self::Forbidden
            | Self::NoKey
            | Self::Forged
            | Self::Misdirected
            | Self::Unreadable => true,
            // It looks every half second.
            Self::NotSeenYet => false,
            // 413: this body alone is too large.
            Self::Status(status) => *status != 413,
        }
    }
}

/// Sends the items and takes those that are answered out of the list.
pub(super) async fn run(
    others: &PeerDirectory,
    http: &Outbound,
    clock: &dyn Clock,
    under_way: &mut UnderWay<'_>,
    items: &mut [Option<WaitingRequest>],
) -> Result<(), ExchangeFailure> {
    let now = clock.monotonic();
    let asked = items.iter().flatten().map(|item| {
        let within = item.until.saturating_sub(now).as_millis();
        (u64::try_from(within).unwrap_or(u64::MAX), item.asked.as_slice())
    });
    let (to, sent_at) = (under_way.to.life, clock.now_ms());
    let body = encode_batch(others.me(), to, sent_at, asked);
    let (proof, answers) = others.prove(to, sent_at, &body).ok_or(ExchangeFailure::NoKey)?;
    metrics::histogram!(FORWARD_REQUESTS)
        .record(f64::from(u32::try_from(items.len()).unwrap_or(u32::MAX)));
    for item in items.iter_mut().flatten() {
        // It has its copy in the body.
        item.asked = Vec::new();
    }
    let address = std::sync::Arc::clone(&under_way.to.address);
    let mut patience = Patience { clock, slow: Some(clock.sleep(SLOW)) };
    let sent = http.post(&address, PATH, MEDIA_TYPE, (PROOF, &proof), body);
    let mut answer = patience.wait(under_way, sent).await??;
    match answer.status() {
        200 => under_way.answers(),
        401 => return Err(ExchangeFailure::Forbidden),
        425 => return Err(ExchangeFailure::NotSeenYet),
        421 => return Err(ExchangeFailure::Misdirected),
        503 => {
            under_way.answers();
            // It has too much to do; doing its work here would not make it less.
            for item in items.iter_mut().filter_map(Option::take) {
                let overloaded = Response::Failed(Failure::Overloaded);
                under_way.answered(item, Ok(Said::Response(Box::new(overloaded))));
            }
            return Ok(());
        }
        status => return Err(ExchangeFailure::Status(status)),
    }
    read(&mut patience, under_way, (&mut answer, answers), items).await
}

async fn read(
    patience: &mut Patience<'_>,
    under_way: &mut UnderWay<'_>,
    (answer, mut proof): (&mut OutboundAnswer, AnswerProof),
    items: &mut [Option<WaitingRequest>],
) -> Result<(), ExchangeFailure> {
    let mut rest: Vec<u8> = Vec::new();
    while let Some(piece) = patience.wait(under_way, answer.piece()).await?? {
        let mut piece = piece.bytes();
        while let Some(end) = piece.iter().position(|byte| *byte == RECORD_END) {
            let (record, after) = piece.split_at(end);
            if rest.is_empty() {
                heard(under_way, proof.open(record).ok_or(ExchangeFailure::Forged)?, items)?;
            } else {
                rest.extend_from_slice(record);
                heard(under_way, proof.open(&rest).ok_or(ExchangeFailure::Forged)?, items)?;
                rest.clear();
            }
            piece = &after[1..];
        }
        if rest.len() + piece.len() > RECORD_BYTES_MAX {
            return Err(ExchangeFailure::Unreadable);
        }
        rest.extend_from_slice(piece);
    }
    Ok(())
}

fn heard(
    under_way: &UnderWay<'_>,
    record: &[u8],
    items: &mut [Option<WaitingRequest>],
) -> Result<(), ExchangeFailure> {
    // It lives and has no answer yet.
    if record.is_empty() {
        return Ok(());
    }
    let (n, said) = decode_said(record).map_err(|_| ExchangeFailure::Unreadable)?;
    let place = usize::try_from(n).ok().and_then(|n| items.get_mut(n));
    let Some(item) = place.and_then(Option::take) else { return Ok(()) };
    let answer = match said {
        said @ (Said::Response(_) | Said::Shown(_) | Said::ShownUntil(_) | Said::Heard) => Ok(said),
        Said::NotUnderstood(reason) => {
            tracing::debug!(
                engine = under_way.to.life.engine,
                reason,
                "a request is not understood there"
            );
            Err("not_understood")
        }
        Said::NotAnswered(_) => Err("not_answered"),
    };
    under_way.answered(item, answer);
    Ok(())
}

/// Waits for one thing after the other, none longer than the silence that is borne.
struct Patience<'a> {
    clock: &'a dyn Clock,
    /// When the body counts as slow, until it does.
    slow: Option<Sleep>,
}

impl Patience<'_> {
    async fn wait<T>(
        &mut self,
        under_way: &mut UnderWay<'_>,
        work: impl Future<Output = T>,
    ) -> Result<T, ExchangeFailure> {
        let mut work = std::pin::pin!(work);
        let silence = self.clock.sleep(SILENCE);
        let mut silence = std::pin::pin!(silence);
        loop {
            let Some(slow) = &mut self.slow else {
                return tokio::select! {
                    biased;
                    done = &mut work => Ok(done),
                    () = &mut silence => Err(ExchangeFailure::Silent),
                };
            };
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                () = slow => {
                    self.slow = None;
                    under_way.is_slow();
                }
                () = &mut silence => return Err(ExchangeFailure::Silent),
            }
        }
    }
}
