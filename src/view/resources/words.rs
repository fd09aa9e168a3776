//! The words of the rules as the API's document lists them.
//! Always holds: a word is written here as the rules serialise it, and the compiler asks for one that the rules add.
//! Absent: words of requests that the rules do not know (`http/schemas`).

use std::borrow::Cow;

use domain::job::explain::{EndCode, EndsOn, WaitCode};
use domain::job::outcome::PauseCause;
use domain::job::spec::Start;
use domain::job::status::JobStatus;
use domain::node::spec::DependencyCondition;
use domain::node::status::NodeStatus;
use domain::retry::breaker::status::CircuitState;
use domain::retry::policy::{JitterMode, OnExhausted, Strategy};
use serde::Serialize;
use serde_json::Value;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// For each enum of the rules a type that stands for it in the document.
macro_rules! words {
    ($(#[doc = $about:literal] $schema:ident $name:literal of $rule:ident { $($word:ident)* })*) => {$(
        #[doc = $about]
        #[derive(Debug)]
        pub struct $schema;

        impl PartialSchema for $schema {
            fn schema() -> RefOr<Schema> {
                let known = |word: $rule| match word { $($rule::$word)|* => written(&word) };
                listed($about, vec![$(known($rule::$word)),*])
            }
        }

        impl ToSchema for $schema {
            fn name() -> Cow<'static, str> {
                Cow::Borrowed($name)
            }
        }
    )*};
}

words! {
    /// Where a job stands.
    JobStatusWord "JobStatus" of JobStatus {
        Pending Queued Scheduled Running Paused Completed Failed Timeout Cancelled Retrying Recovering Aborted
    }
    /// Where a node stands.
    NodeStatusWord "NodeStatus" of NodeStatus {
        Pending Ready Running Waiting Retrying Completed Failed Timeout Skipped Cancelled Compensating Compensated
    }
    /// Why a job is paused.
    PauseCauseWord "PauseCause" of PauseCause { Requested OutcomeUnknown RetriesExhausted }
    /// What lets a job leave `pending`, for the document only.
    StartWord "Start" of Start { Auto Manual }
    /// When the parents of a node let it start.
    ConditionWord "DependencyConditionAnswer" of DependencyCondition { All Any Conditional }
    /// How waits between executions grow.
    StrategyWord "RetryStrategyAnswer" of Strategy {
        Immediate LinearBackoff ExponentialBackoff FibonacciBackoff CustomBackoff None
    }
    /// What becomes of a node whose executions are used up.
    ExhaustedWord "OnExhaustedAnswer" of OnExhausted { Fail Pause }
    /// The kinds of spread, for the document only.
    JitterWord "JitterMode" of JitterMode { None Full Equal Decorrelated Proportional }
    /// Where a circuit breaker stands.
    CircuitStateWord "CircuitState" of CircuitState { Closed Open HalfOpen ForcedOpen Disabled }
    /// Why something waits.
    WaitCodeWord "WaitCode" of WaitCode {
        Unreadable ScheduledStart ManualStart Grant Paused Ending OutcomeUnknown Exhausted Attempt Worker Retry Delay Place
        Blocked Parents Evaluating Members Group Cleanup
    }
    /// The event that ends a wait.
    EndsOnWord "EndsOn" of EndsOn {
        Time Start Grant Resume Report Lease Place Parents JobEnd Repair Evaluation Members Group
    }
    /// How something ended.
    EndCodeWord "EndCode" of EndCode {
        Completed Failed FailFast ConditionNotMet TimedOut Cancelled Aborted Skipped Blocked
    }
}

fn written(word: &impl Serialize) -> Value {
    // A word is a text, which has no way to fail; a test of the document would miss it.
    serde_json::to_value(word).unwrap_or_default()
}

fn listed(about: &str, words: Vec<Value>) -> RefOr<Schema> {
    let text = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words));
    RefOr::T(Schema::Object(text.description(Some(about.trim())).build()))
}
