//! The settings of a circuit breaker as they are written. Always holds: what is left out is as the rules have it, and null is
//! not a way to leave something out. Absent: the bounds of each field, which the domain checks.

use domain::bounds::POLICY_LIST_MAX;
use domain::refusal::FieldError;
use domain::retry::breaker::settings::{CircuitSettings, WindowSpan};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{ObjectOf, stated};
use crate::http::extract::bounded;

/// When a circuit breaker opens, for how long, and what closes it.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CircuitBreakerSettings)]
pub struct CircuitSettingsBody {
    /// The calls that are counted while it is closed. When absent: the last 100.
    #[serde(default, deserialize_with = "stated")]
    #[schema(value_type = Option<CircuitWindowBody>, nullable = false)]
    window: Option<ObjectOf<CircuitWindowBody>>,
    /// Rates say nothing about fewer calls than this, or than `window.calls`.
    #[serde(default, deserialize_with = "stated")]
    #[schema(nullable = false, minimum = 1, maximum = 10_000, default = 100)]
    min_calls: Option<u32>,
    /// It opens when this share of the calls failed, or more.
    #[serde(default, deserialize_with = "stated")]
    #[schema(nullable = false, exclusive_minimum = 0, maximum = 100, default = 50)]
    failure_rate_pct: Option<f64>,
    /// It opens after so many failures in a row, whatever `min_calls` says. When absent: never for that.
    #[serde(default, deserialize_with = "stated")]
    #[schema(nullable = false, minimum = 1, maximum = 10_000)]
    consecutive_failures: Option<u32>,
    /// A call that takes longer is slow.
    #[serde(default, deserialize_with = "stated")]
    #[schema(nullable = false, minimum = 0, maximum = 2_592_000_000_i64, default = 60_000)]
    slow_call_ms: Option<u64>,
    /// It opens when this share of the calls was slow, or more.
    #[serde(default, deserialize_with = "stated")]
    #[schema(nullable = false, exclusive_minimum = 0, maximum = 100, default = 100)]
    slow_rate_pct: Option<f64>,
    /// The break, in milliseconds; it is over at its end.
    #[serde(default, deserialize_with = "stated")]
    #[schema(nullable = false, minimum = 0, maximum = 2_592_000_000_i64, default = 60_000)]
    open_ms: Option<u64>,
    /// By which each break is longer than the one before, until the breaker has closed.
    #[serde(default, deserialize_with = "stated")]
    #[schema(nullable = false, minimum = 1, maximum = 100, default = 1.0)]
    open_multiplier: Option<f64>,
    /// The longest break, in milliseconds.
    #[serde(default, deserialize_with = "stated")]
    #[schema(
        nullable = false,
        minimum = 0,
        maximum = 2_592_000_000_i64,
        default = 2_592_000_000_i64
    )]
    open_max_ms: Option<u64>,
    /// Trials after a break. When all have their results, the rates decide: open again, or closed.
    #[serde(default, deserialize_with = "stated")]
    #[schema(nullable = false, minimum = 1, maximum = 1_000, default = 1)]
    half_open_permits: Option<u32>,
    /// Types of errors that count as nothing: exact, or with a `*` at the end.
    #[serde(default, deserialize_with = "bounded::list::<{ POLICY_LIST_MAX }, _, _>")]
    #[schema(max_items = 100)]
    ignored_errors: Vec<String>,
}

/// Which calls are counted: exactly one of the two.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CircuitBreakerWindow)]
pub struct CircuitWindowBody {
    /// The last so many.
    #[serde(default, deserialize_with = "stated")]
    #[schema(nullable = false, minimum = 1, maximum = 10_000)]
    calls: Option<u32>,
    /// Those that ended less than so many milliseconds ago; of more than 10,000 the newest.
    #[serde(default, deserialize_with = "stated")]
    #[schema(nullable = false, minimum = 1, maximum = 86_400_000)]
    ms: Option<u64>,
}

impl CircuitSettingsBody {
    /// The domain's settings. `at` is where they stand in the body.
    pub(super) fn into_settings(self, at: &str, errors: &mut Vec<FieldError>) -> CircuitSettings {
        let default = CircuitSettings::default();
        let window = match self.window {
            None => default.window,
            Some(ObjectOf(CircuitWindowBody { calls: Some(calls), ms: None })) => {
                WindowSpan::Calls(calls)
            }
            Some(ObjectOf(CircuitWindowBody { calls: None, ms: Some(ms) })) => WindowSpan::Ms(ms),
            Some(ObjectOf(CircuitWindowBody { .. })) => {
                let message = "must be one of {\"calls\": n}, {\"ms\": n}";
                errors.push(FieldError::new(format!("{at}/window"), "invalid_value", message));
                default.window
            }
        };
        let settings = CircuitSettings {
            window,
            min_calls: self.min_calls.unwrap_or(default.min_calls),
            failure_rate_pct: self.failure_rate_pct.unwrap_or(default.failure_rate_pct),
            consecutive_failures: self.consecutive_failures,
            slow_call_ms: self.slow_call_ms.unwrap_or(default.slow_call_ms),
            slow_rate_pct: self.slow_rate_pct.unwrap_or(default.slow_rate_pct),
            open_ms: self.open_ms.unwrap_or(default.open_ms),
            open_multiplier: self.open_multiplier.unwrap_or(default.open_multiplier),
            open_max_ms: self.open_max_ms.unwrap_or(default.open_max_ms),
            half_open_permits: self.half_open_permits.unwrap_or(default.half_open_permits),
            ignored_errors: self.ignored_errors,
        };
        errors.extend(settings.check(at));
        settings
    }
}
