//! The way to the other engines of a deployment: `peer_directory` says who they are, `proof` proves it, `client` carries requests
//! there, `wire` is their JSON. The other end is a route of `http`.

mod client;
mod exchange;
mod line;
mod peer_directory;
mod proof;
pub mod wire;

pub use self::client::Forwarding;
pub use self::peer_directory::{PeerDirectory, Proven, Unproven};
pub use self::proof::AnswerProof;

/// Where an engine takes what others ask.
pub const PATH: &str = "/internal/v1/forward";
/// The header with the proof that a body comes from an engine of the deployment, and for whom it is.
pub const PROOF: &str = "orrery-proof";
/// An engine that has no answer yet says so this often, milliseconds.
pub const ALIVE_EVERY_MS: u64 = 500;
/// A body that was sent longer ago than this, or will be, is refused. Shorter than an engine's own ids of commands are kept
/// (10 minutes) by as much as clocks may differ. A body counts once while its sender and this engine live; this bounds it
/// beyond that.
pub const AGE_MS_MAX: u64 = 300_000;
/// Bytes of the largest body.
pub const BODY_BYTES_MAX: usize = client::ASKED_BYTES_MAX + 64 * 1_024;
