//! Query parameters, strictly: every one that is unknown, repeated or malformed is refused with its name, all of
//! them in one answer. A handler takes what it knows, then calls `finish`.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use domain::ids::Millis;
use domain::refusal::FieldError;
use percent_encoding::percent_decode_str;

use crate::http::problem::Problem;
use crate::http::schemas::time;

/// Parameters in one query; far more than any route knows.
const PARAMETERS_MAX: usize = 64;
/// Characters of a text filter: as long as the longest thing it can match.
const TEXT_CHARS_MAX: usize = 255;

/// The query, as far as it has not been taken yet.
#[derive(Debug, Default)]
pub struct Query {
    left: Vec<(String, String)>,
    errors: Vec<FieldError>,
}

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Self::read(parts.uri.query().unwrap_or_default())
    }
}

impl Query {
    pub fn read(text: &str) -> Result<Self, Problem> {
        let mut left = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let wrong = || Problem::field(name, "invalid_format", "is not percent-encoded UTF-8");
            left.push((decoded(name).ok_or_else(wrong)?, decoded(value).ok_or_else(wrong)?));
            if left.len() > PARAMETERS_MAX {
                let message = format!("has more than {PARAMETERS_MAX} parameters");
                return Err(Problem::field("query", "too_many", message));
            }
        }
        Ok(Self { left, errors: Vec::new() })
    }

    /// Notes that `name` is wrong.
    pub fn refuse(&mut self, name: &str, code: &'static str, message: impl Into<String>) {
        self.errors.push(FieldError::new(name, code, message));
    }

    /// A parameter that may be given once.
    pub fn text(&mut self, name: &str) -> Option<String> {
        let mut values = self.take(name);
        let first = if values.is_empty() { return None } else { values.remove(0) };
        if !values.is_empty() {
            self.refuse(name, "repeated", "is given more than once");
        } else if first.is_empty() {
            self.refuse(name, "invalid_value", "must not be empty");
        } else if first.chars().count() > TEXT_CHARS_MAX {
            self.refuse(name, "too_long", format!("must be at most {TEXT_CHARS_MAX} characters"));
        } else {
            return Some(first);
        }
        None
    }

    /// A parameter that may be given many times, or once with commas. Each must be readable.
    pub fn many<T>(
        &mut self,
        name: &str,
        allowed: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Vec<T> {
        let values = self.take(name);
        let read_all: Option<Vec<T>> =
            values.iter().flat_map(|value| value.split(',')).map(|one| read(one.trim())).collect();
        read_all.unwrap_or_else(|| {
            self.refuse(name, "invalid_value", format!("must be of {allowed}"));
            Vec::new()
        })
    }

    /// A parameter that must be readable.
    pub fn one<T>(
        &mut self,
        name: &str,
        allowed: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.text(name)?;
        let value = read(&text);
        if value.is_none() {
            self.refuse(name, "invalid_value", format!("must be {allowed}"));
        }
        value
    }

    /// A whole number.
    pub fn number<T: FromStr + PartialOrd + Display>(
        &mut self,
        name: &str,
        range: &RangeInclusive<T>,
    ) -> Option<T> {
        let text = self.text(name)?;
        let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse::<T>() {
            Ok(number) if is_plain && range.contains(&number) => Some(number),
            Ok(_) | Err(_) => {
                let message =
                    format!("must be a whole number from {} to {}", range.start(), range.end());
                self.refuse(name, "out_of_range", message);
                None
            }
        }
    }

    /// `true` or `false`; absent is false.
    pub fn flag(&mut self, name: &str) -> bool {
        self.one(name, "true or false", |text| text.parse().ok()).unwrap_or(false)
    }

    /// `?name` and `?name=true` alike, as health endpoints are asked.
    pub fn switch(&mut self, name: &str) -> bool {
        match self.left.iter().position(|(key, value)| key == name && value.is_empty()) {
            Some(position) => {
                self.left.remove(position);
                true
            }
            None => self.flag(name),
        }
    }

    /// A time in RFC 3339.
    pub fn time(&mut self, name: &str) -> Option<Millis> {
        self.one(name, time::ALLOWED, time::parse)
    }

    /// Whatever is left is unknown; whatever was wrong is told.
    pub fn finish(mut self) -> Result<(), Problem> {
        for (name, _) in std::mem::take(&mut self.left) {
            self.refuse(&name, "unknown_parameter", "there is no such parameter here");
        }
        if self.errors.is_empty() { Ok(()) } else { Err(Problem::invalid(self.errors)) }
    }

    fn take(&mut self, name: &str) -> Vec<String> {
        let (taken, left) =
            std::mem::take(&mut self.left).into_iter().partition(|(key, _)| key == name);
        self.left = left;
        let taken: Vec<(String, String)> = taken;
        taken.into_iter().map(|(_, value)| value).collect()
    }
}

/// Undoes form encoding; nothing for broken escapes, text that is not UTF-8, and control characters.
fn decoded(text: &str) -> Option<String> {
    // The decoder lets a broken escape through as it stands.
    let digits = |at: usize| text.as_bytes().get(at + 1..at + 3);
    let is_whole = |at| digits(at).is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit));
    if !text.match_indices('%').all(|(at, _)| is_whole(at)) {
        return None;
    }
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8().ok()?;
    (!decoded.chars().any(char::is_control)).then(|| decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_took_is_unknown() {
        let Ok(mut query) = Query::read("page=2&pagesize=3") else { panic!("readable") };
        assert_eq!(query.number("page", &(1..=9_u32)), Some(2));
        assert!(query.finish().is_err());
    }

    #[test]
    fn numbers_are_plain_and_in_range() {
        for wrong in ["page=0", "page=+1", "page=1.0", "page=", "page=a", "page=1&page=2", "page"] {
            let Ok(mut query) = Query::read(wrong) else { panic!("readable") };
            assert_eq!(query.number("page", &(1..=9_u32)), None, "{wrong}");
            assert!(query.finish().is_err(), "{wrong}");
        }
    }

    #[test]
    fn lists_come_with_commas_or_repeated() {
        let Ok(mut query) = Query::read("s=1,2&s=3") else { panic!("readable") };
        assert_eq!(query.many("s", "numbers", |text| text.parse::<u8>().ok()), [1, 2, 3]);
        assert!(query.finish().is_ok());
    }

    #[test]
    fn broken_encoding_is_refused_with_its_name() {
        for wrong in ["tag=%zz", "tag=%f", "tag=%ff", "tag=%00"] {
            assert!(Query::read(wrong).is_err(), "{wrong}");
        }
    }
}
