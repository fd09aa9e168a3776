//! The shapes on the wire, one file a resource: requests with the way into the domain's words, answers with the
//! way out. Always holds: requests refuse unknown fields, times are RFC 3339 UTC with milliseconds, durations are
//! integers in `_ms`, what is absent in an answer is null.

pub mod circuit_breaker;
pub mod circuit_preview;
pub mod complete_when;
pub mod driving;
pub mod engine;
pub mod environment;
pub mod explain;
pub mod expression;
pub mod job;
pub mod job_answer;
pub mod job_details;
pub mod job_query;
pub mod later;
pub mod lease;
pub mod lease_answer;
pub mod node;
pub mod node_patch;
pub mod patch;
pub mod pause;
pub mod payload;
pub mod queue;
pub mod report;
pub mod retry;
pub mod service;
pub mod time;

use std::fmt;
use std::marker::PhantomData;

use domain::payload::given;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// Reads a field that may be left out and may not be null.
fn stated<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// What must be written as an object. Where every field may be left out, a list would be read as the fields in their order.
#[derive(Debug, Default)]
struct ObjectOf<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for ObjectOf<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = ObjectOf<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(fields)).map(ObjectOf)
            }
        }
        deserializer.deserialize_map(Fields(PhantomData))
    }
}
