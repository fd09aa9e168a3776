//! Which engine answers: its number and its name, in a header of every answer.
//! Always holds: the header is made once a number, and not once an answer; an eviction, after which the engine goes by another
//! number, makes it anew. Absent: answers of a connection that was turned away, which no engine has heard.

use std::sync::{PoisonError, RwLock};

use axum::http::{HeaderName, HeaderValue};

use crate::membership::contract::EngineId;

/// `NUMBER; name="NAME"`, as RFC 8941 writes an item with a parameter; both as in `GET /engines`.
pub(super) const ENGINE: HeaderName = HeaderName::from_static("orrery-engine");

/// The header, once it is made.
#[derive(Debug, Default)]
pub(super) struct EngineHeader(RwLock<Option<(EngineId, HeaderValue)>>);

impl EngineHeader {
    /// That of the engine with this number.
    pub(super) fn header(
        &self,
        number: EngineId,
        name_of: impl Fn(EngineId) -> String,
    ) -> HeaderValue {
        let made = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((_, header)) = made.filter(|(of, _)| *of == number) {
            return header;
        }
        let header = header_of(number, &name_of(number));
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some((number, header.clone()));
        header
    }
}

/// What of a name no header can hold is `?` there.
fn header_of(number: EngineId, name: &str) -> HeaderValue {
    let fits = |c: char| (c == ' ' || c.is_ascii_graphic()) && !matches!(c, '"' | '\\');
    let name: String = name.chars().map(|c| if fits(c) { c } else { '?' }).collect();
    HeaderValue::try_from(format!("{number}; name=\"{name}\""))
        .unwrap_or_else(|_| HeaderValue::from(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_made_once_a_number_and_holds_any_name() {
        let engine_header = EngineHeader::default();
        assert_eq!(engine_header.header(3, |_| "blue".to_owned()), "3; name=\"blue\"");
        assert_eq!(engine_header.header(3, |_| "never asked again".to_owned()), "3; name=\"blue\"");
        let strange = engine_header.header(4, |number| format!("gr\u{fc}n\r\n\"{number}\""));
        assert_eq!(strange, "4; name=\"gr?n???4?\"");
    }
}
