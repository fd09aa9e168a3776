//! The lists of a policy: rules for failures of a kind, classes of types, times of day.

use chrono::{NaiveTime, Weekday};
use domain::bounds;
use domain::refusal::FieldError;
use domain::retry::rules::{ClassOverride, RetryRule};
use domain::retry::windows::{Window, zone_named};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{JitterBody, StrategyWord};
use crate::http::extract::bounded;

/// What a policy says of failures of a kind. What it leaves out is the policy's.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RetryRule)]
pub struct RuleBody {
    /// Error types: exact, or with a `*` at the end; empty: any.
    #[serde(default, deserialize_with = "bounded::list::<{ bounds::POLICY_LIST_MAX }, _, _>")]
    #[schema(max_items = 100)]
    types: Vec<String>,
    /// Failure classes: exact, or with a `*` at the end; empty: any.
    #[serde(default, deserialize_with = "bounded::list::<{ bounds::POLICY_LIST_MAX }, _, _>")]
    #[schema(max_items = 100)]
    classes: Vec<String>,
    /// One more than the retries that failures of this kind get; 1: none. They are counted for themselves.
    #[schema(nullable = false, minimum = 1, maximum = 1_000)]
    max_attempts: Option<u32>,
    /// How waits grow.
    #[schema(nullable = false)]
    strategy: Option<StrategyWord>,
    /// First wait, in milliseconds.
    #[schema(nullable = false, minimum = 0, maximum = 86_400_000)]
    base_delay_ms: Option<u64>,
    /// Cap of every wait, in milliseconds.
    #[schema(nullable = false, minimum = 0, maximum = 1_000_000_000_000_i64)]
    max_delay_ms: Option<u64>,
    /// Growth of exponential_backoff.
    #[schema(nullable = false, minimum = 1, maximum = 100)]
    multiplier: Option<f64>,
    /// Growth of linear_backoff in milliseconds, of any sign.
    #[schema(nullable = false, minimum = -1_000_000_000_000_i64, maximum = 1_000_000_000_000_i64)]
    step_delay_ms: Option<i64>,
    /// Waits of custom_backoff in milliseconds; the last one repeats.
    #[serde(default, deserialize_with = "bounded::list::<{ bounds::POLICY_LIST_MAX }, _, _>")]
    #[schema(max_items = 100)]
    delays_ms: Vec<u64>,
    /// How waits are spread, after the cap.
    #[schema(nullable = false)]
    jitter: Option<JitterBody>,
}

/// Failures of these types are of this class.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RetryClassify)]
pub struct ClassifyBody {
    /// Exact, or with a `*` at the end.
    #[serde(deserialize_with = "bounded::list::<{ bounds::POLICY_LIST_MAX }, _, _>")]
    #[schema(min_items = 1, max_items = 100)]
    types: Vec<String>,
    #[schema(examples("throttled"))]
    class: String,
}

/// A part of the day, in a time zone.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RetryWindow)]
pub struct WindowBody {
    /// It opens with this time of day.
    #[schema(pattern = "^[0-2][0-9]:[0-5][0-9]$", examples("22:00"))]
    from: String,
    /// It is closed from this time of day on; before `from`: on the next day.
    #[schema(pattern = "^[0-2][0-9]:[0-5][0-9]$", examples("06:00"))]
    to: String,
    /// A name of the IANA database of time zones.
    #[serde(default)]
    #[schema(value_type = Option<String>, nullable = false, default = "UTC", examples("Europe/Berlin"))]
    zone: Option<String>,
    /// On which days it opens; empty: on all. A window over midnight belongs to the day on which it opens.
    #[serde(default, deserialize_with = "bounded::list::<7, _, _>")]
    #[schema(max_items = 7)]
    days: Vec<DayWord>,
}

/// A day of the week.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = DayOfWeek)]
pub enum DayWord {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

impl RuleBody {
    pub(super) fn into_rule(self, at: &str, errors: &mut Vec<FieldError>) -> RetryRule {
        let (jitter, jitter_range) =
            self.jitter.map_or((None, None), |jitter| (Some(jitter.mode), jitter.range));
        RetryRule {
            types: self.types,
            classes: self.classes,
            max_attempts: self.max_attempts,
            strategy: StrategyWord::strategy(self.strategy, at, errors),
            base_delay_ms: self.base_delay_ms,
            max_delay_ms: self.max_delay_ms,
            multiplier: self.multiplier,
            step_delay_ms: self.step_delay_ms,
            delays_ms: self.delays_ms,
            jitter,
            jitter_range,
        }
    }
}

impl ClassifyBody {
    pub(super) fn into_override(self) -> ClassOverride {
        ClassOverride { types: self.types, class: self.class }
    }
}

impl WindowBody {
    pub(super) fn into_window(self, at: &str, errors: &mut Vec<FieldError>) -> Option<Window> {
        let mut time = |field: &str, text: &str| {
            let time = NaiveTime::parse_from_str(text, "%H:%M").ok().filter(|_| text.len() == 5);
            if time.is_none() {
                let message = "must be a time of day from 00:00 to 23:59";
                errors.push(FieldError::new(format!("{at}/{field}"), "invalid_format", message));
            }
            time
        };
        let (from, to) = (time("from", &self.from), time("to", &self.to));
        let zone = zone_named(self.zone.as_deref().unwrap_or("UTC"));
        if zone.is_none() {
            let message =
                "must be a name of the IANA database of time zones, such as Europe/Berlin";
            errors.push(FieldError::new(format!("{at}/zone"), "invalid_value", message));
        }
        let days = self.days.into_iter().map(DayWord::weekday).collect();
        Some(Window { from: from?, to: to?, zone: zone?, days })
    }
}

impl DayWord {
    fn weekday(self) -> Weekday {
        match self {
            Self::Mon => Weekday::Mon,
            Self::Tue => Weekday::Tue,
            Self::Wed => Weekday::Wed,
            Self::Thu => Weekday::Thu,
            Self::Fri => Weekday::Fri,
            Self::Sat => Weekday::Sat,
            Self::Sun => Weekday::Sun,
        }
    }
}
