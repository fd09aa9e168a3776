//! A circuit breaker that is tried out: what happens to it, and what it does. Always holds: a step is one thing, and what
//! belongs to another kind of step is refused in it. Absent: the breaker itself, which is the domain's.

use domain::bounds::{JOB_TYPE_CHARS_MAX, LEASE_MS_MAX, TIMEOUT_MS_MAX};
use domain::refusal::FieldError;
use domain::retry::breaker::preview::{PreviewStep, PreviewedStep, previewed};
use domain::retry::breaker::settings::CircuitSettings;
use domain::retry::breaker::status::CircuitState;
use domain::retry::breaker::window::CallOutcome;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use validator::Validate;

use super::circuit_breaker::CircuitSettingsBody;
use super::{ObjectOf, stated};
use crate::http::extract::bounded;
use crate::view::resources::words::CircuitStateWord;

/// Steps of one preview: enough to fill a window and to see every break after it, and read in a moment.
const STEPS_MAX: usize = 1_000;
/// The longest step of time, in milliseconds (a year): longer than the longest break, and a thousand of them still are a
/// date.
const ADVANCE_MS_MAX: u64 = 365 * 24 * 3_600 * 1_000;
/// How long a trial may take when the step does not say: a lease for which no worker asked longer.
const LEASE_MS_USUAL: u64 = 30_000;

/// A circuit breaker, and what happens to it from its beginning.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PreviewCircuitBreaker)]
pub struct BreakerPreviewBody {
    /// What it goes by. When absent: as if every field of it were.
    #[serde(default)]
    #[schema(value_type = Option<CircuitSettingsBody>, nullable = false)]
    settings: ObjectOf<CircuitSettingsBody>,
    /// What happens, one after the other, at most 1,000 steps.
    #[serde(deserialize_with = "bounded::list::<{ STEPS_MAX }, _, _>")]
    #[schema(value_type = Vec<StepBody>, max_items = 1_000)]
    steps: Vec<ObjectOf<StepBody>>,
}

/// One thing that happens: exactly one of `ask`, `report`, `advance_ms` and `operator`, with what belongs to it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CircuitBreakerStep)]
pub struct StepBody {
    /// `true`: somebody wants to call.
    #[serde(default, deserialize_with = "stated")]
    #[schema(nullable = false)]
    ask: Option<bool>,
    /// With `ask`: a trial's permit is held for so long, and given to somebody else then.
    #[serde(default, deserialize_with = "stated")]
    #[schema(nullable = false, minimum = 1, maximum = 3_600_000, default = 30_000)]
    permit_ms: Option<u64>,
    /// A call ended: the newest of those that were let through, or one that did not ask.
    #[serde(default, deserialize_with = "stated")]
    #[schema(nullable = false)]
    report: Option<ReportWord>,
    /// With `ok` and `fail`: whether the call was slow follows from its time.
    #[serde(default, deserialize_with = "stated")]
    #[schema(nullable = false, minimum = 0, maximum = 2_592_000_000_i64, default = 0)]
    took_ms: Option<u64>,
    /// With `fail` and `slow_fail`: it is ignored when `ignored_errors` has its type.
    #[serde(default, deserialize_with = "stated")]
    #[schema(nullable = false, max_length = 100)]
    error_type: Option<String>,
    /// So many milliseconds pass.
    #[serde(default, deserialize_with = "stated")]
    #[schema(nullable = false, minimum = 0, maximum = 31_536_000_000_i64)]
    advance_ms: Option<u64>,
    /// An operator steps in.
    #[serde(default, deserialize_with = "stated")]
    #[schema(nullable = false)]
    operator: Option<OperatorWord>,
    /// With `force_open` and `disable`: for so many milliseconds; absent: until the next order.
    #[serde(default, deserialize_with = "stated")]
    #[schema(nullable = false, minimum = 1, maximum = 2_592_000_000_i64)]
    for_ms: Option<u64>,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = CallReport)]
pub enum ReportWord {
    /// It succeeded in time.
    Ok,
    /// It failed in time.
    Fail,
    /// It succeeded, and was slow.
    SlowOk,
    /// It failed, and was slow.
    SlowFail,
    /// It counts as nothing.
    Ignored,
}

/// What an operator does to a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = CircuitBreakerOrder)]
pub enum OperatorWord {
    /// Hold all calls back.
    ForceOpen,
    /// Let all calls through and count none.
    Disable,
    /// Close, and forget what was counted.
    Reset,
}

/// What the breaker did.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CircuitBreakerPreview)]
pub struct BreakerPreviewAnswer {
    /// The breaker after each step.
    states: Vec<StateAnswer>,
}

/// A breaker after a step.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CircuitBreakerPreviewState)]
pub struct StateAnswer {
    /// Where it stands.
    #[schema(value_type = CircuitStateWord)]
    state: CircuitState,
    /// Whether the call may go on; null when the step did not ask.
    permit: Option<bool>,
    /// Failures in percent: of the calls in the window, while it is open of those that opened it; null when there are too few
    /// to tell.
    failure_rate_pct: Option<f64>,
}

impl BreakerPreviewBody {
    /// The breaker after each step, or everything that is wrong.
    pub fn previewed(self) -> Result<BreakerPreviewAnswer, Vec<FieldError>> {
        let mut errors = Vec::new();
        let settings = self.settings.0.into_settings("/settings", &mut errors);
        let mut steps = Vec::with_capacity(self.steps.len());
        for (ix, ObjectOf(step)) in self.steps.iter().enumerate() {
            match step.as_step(&settings) {
                Ok(step) => steps.push(step),
                Err((field, code, message)) => {
                    errors.push(FieldError::new(format!("/steps/{ix}{field}"), code, message));
                }
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let states = previewed(&settings, &steps).into_iter().map(StateAnswer::from).collect();
        Ok(BreakerPreviewAnswer { states })
    }
}

/// What is wrong with a step: the field below it, the code, the message.
type WrongStep = (&'static str, &'static str, String);

impl StepBody {
    fn as_step(&self, settings: &CircuitSettings) -> Result<PreviewStep, WrongStep> {
        self.must_fit()?;
        match (self.ask, self.report, self.advance_ms, self.operator) {
            (Some(true), None, None, None) => {
                let lease_ms = within("/permit_ms", self.permit_ms, 1, LEASE_MS_MAX)?;
                Ok(PreviewStep::Ask { lease_ms: lease_ms.unwrap_or(LEASE_MS_USUAL) })
            }
            (Some(false), None, None, None) => {
                Err(("/ask", "invalid_value", "must be true".to_owned()))
            }
            (None, Some(report), None, None) => {
                let chars = self.error_type.as_ref().map_or(0, |word| word.chars().count());
                if chars > JOB_TYPE_CHARS_MAX {
                    let message = format!("must be at most {JOB_TYPE_CHARS_MAX} characters");
                    return Err(("/error_type", "too_long", message));
                }
                let took_ms = within("/took_ms", self.took_ms, 0, TIMEOUT_MS_MAX)?;
                Ok(PreviewStep::Report(self.outcome(settings, report, took_ms.unwrap_or(0))))
            }
            (None, None, Some(ms), None) => {
                within("/advance_ms", Some(ms), 0, ADVANCE_MS_MAX)?;
                Ok(PreviewStep::Advance { ms })
            }
            (None, None, None, Some(order)) => {
                let for_ms = within("/for_ms", self.for_ms, 1, TIMEOUT_MS_MAX)?;
                Ok(match order {
                    OperatorWord::ForceOpen => PreviewStep::ForceOpen { for_ms },
                    OperatorWord::Disable => PreviewStep::Disable { for_ms },
                    OperatorWord::Reset => PreviewStep::Reset,
                })
            }
            _ => {
                let message = "must have exactly one of ask, report, advance_ms, operator";
                Err(("", "invalid_value", message.to_owned()))
            }
        }
    }

    /// Whether what belongs to one kind of step stands in one of that kind.
    fn must_fit(&self) -> Result<(), WrongStep> {
        let report = |words: &[ReportWord]| self.report.is_some_and(|word| words.contains(&word));
        let holds_back =
            matches!(self.operator, Some(OperatorWord::ForceOpen | OperatorWord::Disable));
        let fails = report(&[ReportWord::Fail, ReportWord::SlowFail]);
        let has_time = report(&[ReportWord::Ok, ReportWord::Fail]);
        for (field, is_given, fits, of) in [
            ("/permit_ms", self.permit_ms.is_some(), self.ask.is_some(), "ask"),
            ("/took_ms", self.took_ms.is_some(), has_time, "the reports ok and fail"),
            ("/error_type", self.error_type.is_some(), fails, "the reports fail and slow_fail"),
            ("/for_ms", self.for_ms.is_some(), holds_back, "the orders force_open and disable"),
        ] {
            if is_given && !fits {
                return Err((field, "contradiction", format!("belongs to {of} alone")));
            }
        }
        Ok(())
    }

    fn outcome(&self, settings: &CircuitSettings, report: ReportWord, took_ms: u64) -> CallOutcome {
        let error_type = self.error_type.as_deref().unwrap_or_default();
        match report {
            ReportWord::Ok => settings.outcome(None, took_ms),
            ReportWord::Fail => settings.outcome(Some(error_type), took_ms),
            ReportWord::SlowOk => CallOutcome::SlowOk,
            ReportWord::SlowFail if settings.ignores(error_type) => CallOutcome::Ignored,
            ReportWord::SlowFail => CallOutcome::SlowFail,
            ReportWord::Ignored => CallOutcome::Ignored,
        }
    }
}

/// The value, when it is none or within its bounds.
fn within(
    field: &'static str,
    ms: Option<u64>,
    least: u64,
    most: u64,
) -> Result<Option<u64>, WrongStep> {
    if ms.is_some_and(|ms| !(least..=most).contains(&ms)) {
        return Err((field, "out_of_range", format!("must be {least} to {most}")));
    }
    Ok(ms)
}

impl From<PreviewedStep> for StateAnswer {
    fn from(step: PreviewedStep) -> Self {
        let PreviewedStep { state, permit, failure_rate_pct } = step;
        Self { state, permit, failure_rate_pct }
    }
}
