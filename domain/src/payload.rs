//! Inputs and outputs: raw JSON from end to end, never parsed here. Small ones travel in the events; larger ones are
//! named by their hash and stored beside the stream before the event that names them.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::bounds::PAYLOAD_INLINE_BYTES_MAX;

/// A payload as events name it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Payload {
    /// The JSON itself.
    #[serde(rename = "json")]
    Inline(Arc<RawValue>),
    /// Stored beside the stream.
    #[serde(rename = "stored")]
    Stored(StoredPayload),
}

/// Names a stored payload of the same subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StoredPayload {
    /// sha-256 of the bytes.
    pub sha256: Hash,
    /// How many bytes.
    pub bytes: u64,
}

/// Bytes that must be durable no later than the event that names them.
#[derive(Debug, Clone)]
pub struct PayloadBytes {
    /// sha-256 of the bytes.
    pub sha256: Hash,
    /// Raw JSON text.
    pub bytes: Arc<[u8]>,
}

impl Payload {
    /// Takes raw JSON; what is too large to travel in an event is pushed to `stored`.
    pub fn new(raw: Box<RawValue>, stored: &mut Vec<PayloadBytes>) -> Self {
        let bytes = raw.get().as_bytes();
        if bytes.len() <= PAYLOAD_INLINE_BYTES_MAX {
            return Self::Inline(Arc::from(raw));
        }
        let sha256 = Hash::of(bytes);
        let payload = StoredPayload { sha256, bytes: bytes.len() as u64 };
        stored.push(PayloadBytes { sha256, bytes: Arc::from(bytes) });
        Self::Stored(payload)
    }

    /// Of raw JSON that travels in the event however large it is, because a rule reads it.
    pub fn inlined(raw: Box<RawValue>) -> Self {
        Self::Inline(Arc::from(raw))
    }

    /// The JSON text, where it travels in the event.
    pub fn inline(&self) -> Option<&str> {
        match self {
            Self::Inline(raw) => Some(raw.get()),
            Self::Stored(_) => None,
        }
    }

    /// Of raw JSON that somebody else keeps: what would be stored comes with it, and is pushed nowhere.
    pub fn copied(raw: &Arc<RawValue>) -> (Self, Option<PayloadBytes>) {
        let bytes = raw.get().as_bytes();
        if bytes.len() <= PAYLOAD_INLINE_BYTES_MAX {
            return (Self::Inline(Arc::clone(raw)), None);
        }
        let stored = PayloadBytes { sha256: Hash::of(bytes), bytes: Arc::from(bytes) };
        let named = StoredPayload { sha256: stored.sha256, bytes: bytes.len() as u64 };
        (Self::Stored(named), Some(stored))
    }

    /// Bytes of the JSON text.
    pub fn len(&self) -> u64 {
        match self {
            Self::Inline(raw) => raw.get().len() as u64,
            Self::Stored(stored) => stored.bytes,
        }
    }

    /// Never true: the shortest JSON text is one byte.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Reads JSON that is given, also as null: only what is absent is none.
///
/// # Errors
/// It cannot be read.
pub fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Inline(a), Self::Inline(b)) => a.get() == b.get(),
            (Self::Stored(a), Self::Stored(b)) => a == b,
            (Self::Inline(_), Self::Stored(_)) | (Self::Stored(_), Self::Inline(_)) => false,
        }
    }
}

/// A sha-256, hexadecimal in JSON.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// The hash of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// 64 lower-case hexadecimal digits.
    pub fn hex(&self) -> String {
        self.digits().as_str().to_owned()
    }

    /// The same without an allocation: every event has one.
    fn digits(&self) -> Digits {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut digits = Digits([0; 64]);
        for (pair, byte) in digits.0.chunks_exact_mut(2).zip(self.0) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        digits
    }

    /// Reads what `hex` wrote.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 64 || !text.is_ascii() {
            return None;
        }
        let mut bytes = [0u8; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self(bytes))
    }

    /// The first eight bytes: enough to tell two reports of one attempt apart.
    pub fn short(&self) -> u64 {
        self.0[..8].iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }
}

struct Digits([u8; 64]);

impl Digits {
    fn as_str(&self) -> &str {
        // They are all ASCII.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl std::fmt::Debug for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.hex())
    }
}

impl Serialize for Hash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.digits().as_str())
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("not a sha-256"))
    }
}
