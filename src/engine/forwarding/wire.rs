//! How requests travel to another engine, and answers back: many requests in one JSON body, an answer a record, each as
//! soon as it is there. Raw JSON stays raw.
//! Always holds: what cannot be read of one item says so for that item alone and touches no other; unknown fields are
//! passed over; moments on the asker's clock arrive as moments on the clock of the one who reads. So engines of two
//! versions work side by side: what one does not understand, the other decides itself.
//! Absent: connections (`client`), and who may ask (`peer_directory`).

use std::io::Write as _;

use domain::ids::Millis;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::engine::core::message::{Announced, EngineId, Request, Response};
use crate::membership::contract::Life;

/// Of the envelope; raised only when an older engine must not read it at all.
pub const VERSION: u16 = 1;
/// What a body of this kind is declared as, both ways.
pub const MEDIA_TYPE: &str = "application/vnd.orrery.forward";
/// Ends an answer. JSON has it nowhere, neither between its tokens nor inside a text, where newlines may stand.
pub const RECORD_END: u8 = 0x1e;
/// Requests in one body: what one turn of an engine hears.
pub const ITEMS_MAX: usize = 1_024;

/// What one engine asks another.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PeerRequest {
    /// To be decided there, and never passed on again.
    Request(Box<Request>),
    /// To say when the view shows all that it has acknowledged by now, as the driver of these groups (by index). One that
    /// does not drive all of them says no: what their driver before acknowledged may not be shown.
    Shown(Vec<u8>),
    /// To know of work that nobody takes over there.
    Announced(Vec<Announced>),
    /// To say until when the view shows all that it has acknowledged, as the driver of these groups (by index).
    ShownUntil(Vec<u8>),
}

/// What the other says.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    Response(Box<Response>),
    /// Whether the view shows it, or cannot in time.
    Shown(bool),
    /// Until when the view shows all of it, by its clock.
    ShownUntil(Millis),
    /// It knows now.
    Heard,
    /// It cannot read what was asked, and did nothing.
    NotUnderstood(String),
    /// It cannot answer, or not in time; what it did is not known.
    NotAnswered(String),
}

/// A body that is not what an engine sends.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Of a version that this engine does not read.
    #[error("the body is of version {0}; this engine reads version {VERSION}")]
    Version(u64),
    /// Not of this shape.
    #[error("the body is not a batch of requests: {0}")]
    Malformed(String),
    /// More requests than one body may hold.
    #[error("the body holds {0} requests; at most {ITEMS_MAX} are allowed")]
    TooMany(usize),
    /// It cannot be written.
    #[error("it has no JSON: {0}")]
    Unwritable(String),
}

/// Many requests, read.
#[derive(Debug, Deserialize)]
pub struct RequestBatch {
    v: u64,
    pub from: EngineId,
    /// Who is asked. Whoever is somebody else answers nothing: it may listen at the address of one that is gone.
    pub to: Life,
    /// When it was sent, on the asker's clock.
    pub at: Millis,
    /// What is asked.
    pub items: Vec<Item>,
}

/// One of them.
#[derive(Debug, Deserialize)]
pub struct Item {
    /// Names it in the answers.
    pub n: u32,
    /// Nobody waits for the answer any longer than that, milliseconds.
    pub within_ms: u64,
    asked: Box<RawValue>,
}

/// Only what says how to read the rest.
#[derive(Deserialize)]
struct FrameHead {
    v: u64,
}

#[derive(Deserialize)]
struct WireRecord {
    n: u32,
    said: Box<RawValue>,
}

impl PeerRequest {
    /// Its JSON.
    ///
    /// # Errors
    /// `Unwritable`; nothing that the engine holds is.
    pub fn encode(&self) -> Result<Vec<u8>, WireError> {
        serde_json::to_vec(self).map_err(|error| WireError::Unwritable(error.to_string()))
    }

    /// Moments of the asker's clock on a clock that is `ahead` of it.
    fn moved_by(mut self, ahead: Millis) -> Self {
        let Self::Request(request) = &mut self else { return self };
        match &mut **request {
            Request::Lease(poll) | Request::NextWork { request: poll, .. } => {
                poll.wait_until = poll.wait_until.saturating_add(ahead);
            }
            // Moments of the store: every engine's clock follows it.
            Request::Command { .. }
            | Request::Heartbeat { .. }
            | Request::Read { .. }
            | Request::Claimed { .. }
            | Request::AskGrant { .. }
            | Request::Queues { .. }
            | Request::Workers { .. }
            | Request::Inspect { .. } => {}
        }
        self
    }
}

/// Writes a batch of encoded requests to one engine, numbered in their order.
pub fn encode_batch<'a>(
    from: EngineId,
    to: Life,
    at: Millis,
    items: impl IntoIterator<Item = (u64, &'a [u8])>,
) -> Vec<u8> {
    let mut body = Vec::new();
    // A vector takes all that is written to it.
    let Life { engine, started_at } = to;
    let _ = write!(
        body,
        "{{\"v\":{VERSION},\"from\":{from},\"to\":{{\"engine\":{engine},\"started_at\":{started_at}}},\
         \"at\":{at},\"items\":["
    );
    for (n, (within_ms, asked)) in items.into_iter().enumerate() {
        let comma = if n > 0 { "," } else { "" };
        let _ = write!(body, "{comma}{{\"n\":{n},\"within_ms\":{within_ms},\"asked\":");
        body.extend_from_slice(asked);
        body.push(b'}');
    }
    body.extend_from_slice(b"]}");
    body
}

impl RequestBatch {
    /// Reads a body.
    ///
    /// # Errors
    /// When it is not one of this version and size. Of what its items say nothing is known yet.
    pub fn decode(body: &[u8]) -> Result<Self, WireError> {
        let batch = match serde_json::from_slice::<Self>(body) {
            Ok(batch) => batch,
            Err(error) => {
                // Another version may have another shape.
                return Err(match serde_json::from_slice::<FrameHead>(body) {
                    Ok(FrameHead { v }) if v != u64::from(VERSION) => WireError::Version(v),
                    _ => WireError::Malformed(place(&error)),
                });
            }
        };
        if batch.v != u64::from(VERSION) {
            return Err(WireError::Version(batch.v));
        }
        if batch.items.len() > ITEMS_MAX {
            return Err(WireError::TooMany(batch.items.len()));
        }
        Ok(batch)
    }
}

impl Item {
    /// What is asked, on the clock of an engine that heard it at `now`.
    ///
    /// # Errors
    /// `Malformed`, when this engine does not know it.
    pub fn asked(&self, sent_at: Millis, now: Millis) -> Result<PeerRequest, WireError> {
        let asked = serde_json::from_str::<PeerRequest>(self.asked.get());
        let asked = asked.map_err(|error| WireError::Malformed(place(&error)))?;
        Ok(asked.moved_by(now.saturating_sub(sent_at)))
    }
}

/// Appends an answer to `out`, with its end.
pub fn encode_said(n: u32, said: &Said, out: &mut Vec<u8>) {
    let before = out.len();
    let _ = write!(out, "{{\"n\":{n},\"said\":");
    if let Err(error) = serde_json::to_writer(&mut *out, said) {
        out.truncate(before);
        let reason = serde_json::json!({ "not_answered": error.to_string() });
        let _ = write!(out, "{{\"n\":{n},\"said\":{reason}");
    }
    out.push(b'}');
    out.push(RECORD_END);
}

/// Reads an answer without its end: whose it is, and what it says.
///
/// # Errors
/// `Malformed`, when it is no answer at all. One that says what this engine does not know is `NotUnderstood`.
pub fn decode_said(record: &[u8]) -> Result<(u32, Said), WireError> {
    let record: WireRecord =
        serde_json::from_slice(record).map_err(|error| WireError::Malformed(place(&error)))?;
    let said = serde_json::from_str(record.said.get());
    Ok((record.n, said.unwrap_or_else(|error| Said::NotUnderstood(place(&error)))))
}

/// Where and what kind of error, never the text around it: that may be a payload.
fn place(error: &serde_json::Error) -> String {
    let kind = match error.classify() {
        serde_json::error::Category::Syntax => "not JSON",
        serde_json::error::Category::Eof => "it breaks off",
        serde_json::error::Category::Data => "not of a known shape",
        serde_json::error::Category::Io => "not readable",
    };
    format!("{kind} at line {} column {}", error.line(), error.column())
}
