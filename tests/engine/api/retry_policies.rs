//! Retry policies over HTTP: what one would do, seen in advance, and what is refused of one wherever it stands.

use serde_json::{Value, json};

use super::service::Service;

const PREVIEW: &str = "/api/v1/retry-policies/preview";

async fn waits(service: &Service, body: &Value) -> Vec<Option<u64>> {
    let preview = service.post(PREVIEW, body).await.ok(200);
    let waits = preview["waits"].as_array().expect("waits");
    waits.iter().map(|wait| wait["delay_ms"].as_u64()).collect()
}

#[tokio::test]
async fn the_waits_of_each_strategy_are_those_of_its_closed_form() {
    let service = Service::start().await;
    let cases = [
        (json!({"strategy": "immediate"}), [0, 0, 0, 0]),
        (json!({"strategy": "linear_backoff", "step_delay_ms": 250}), [1_000, 1_250, 1_500, 1_750]),
        (json!({"strategy": "linear_backoff", "step_delay_ms": 0}), [1_000; 4]),
        (json!({"strategy": "linear_backoff", "step_delay_ms": -400}), [1_000, 600, 200, 0]),
        (json!({"strategy": "exponential_backoff"}), [1_000, 2_000, 4_000, 8_000]),
        (json!({"strategy": "fibonacci_backoff"}), [1_000, 1_000, 2_000, 3_000]),
        (json!({"strategy": "custom_backoff", "delays_ms": [5, 70]}), [5, 70, 70, 70]),
        (json!({"base_delay_ms": 9_000, "max_delay_ms": 4_000}), [4_000; 4]),
        (
            json!({"base_delay_ms": 86_400_000, "max_delay_ms": 1_000_000_000_000_u64, "multiplier": 100.0}),
            [86_400_000, 8_640_000_000, 864_000_000_000, 1_000_000_000_000],
        ),
    ];
    let before = service.store.appends();
    for (mut policy, expected) in cases {
        policy["jitter"] = json!({"mode": "none"});
        policy["max_attempts"] = json!(5);
        let body = json!({"policy": policy, "attempts": 5});
        let mut shown: Vec<_> = expected.into_iter().map(Some).collect();
        shown.push(None);
        assert_eq!(waits(&service, &body).await, shown, "{body}");
    }
    assert_eq!(service.store.appends(), before, "nothing is stored");
}

#[tokio::test]
async fn draws_and_the_ends_of_their_range_are_shown_with_the_decision_and_its_reason() {
    let service = Service::start().await;
    let body = json!({
        "policy": {"max_attempts": 3}, "attempts": 4, "draws": [0.25, 1.0],
        "error": {"type": "Mine", "status": 503},
    });
    let preview = service.post(PREVIEW, &body).await.ok(200);
    let wait = |attempt, delay: Value, most: Value| {
        let least = if delay.is_null() { Value::Null } else { json!(0) };
        json!({"attempt": attempt, "delay_ms": delay, "min_ms": least, "max_ms": most, "rule": null})
    };
    let expected = json!([
        wait(1, json!(250), json!(1_000)),
        wait(2, json!(2_000), json!(2_000)),
        wait(3, Value::Null, Value::Null),
        wait(4, Value::Null, Value::Null),
    ]);
    assert_eq!(preview["waits"], expected);
    assert_eq!(preview["total_ms"], 2_250);
    assert_eq!(
        (&preview["decision"], &preview["class"]),
        (&json!("retry"), &json!("server.unavailable"))
    );
    for (policy, error, decision, words) in [
        (json!({"max_attempts": 1}), json!(null), "fail", "all 1 executions"),
        (
            json!({"max_attempts": 1, "on_exhausted": "pause"}),
            json!(null),
            "pause",
            "all 1 executions",
        ),
        (json!({}), json!({"status": 404}), "fail", "this class"),
        (json!({}), json!({"retryable": false}), "fail", "not retryable"),
        (
            json!({"when": "error.status == 503"}),
            json!({"status": 500}),
            "fail",
            "`when` does not hold",
        ),
        (json!({"when": "error.code == 'x'"}), json!({}), "fail", "could not be evaluated"),
        (
            json!({"non_retryable_error_types": ["Card*"]}),
            json!({"type": "CardDeclined"}),
            "fail",
            "not retryable",
        ),
        (json!({}), json!({"retry_after_ms": 90_000}), "retry", "asked for it"),
        (
            json!({"classify": [{"types": ["Mine"], "class": "validation"}]}),
            json!({"type": "Mine", "class": "bug"}),
            "fail",
            "this class",
        ),
    ] {
        let mut body = json!({"policy": policy, "error": error});
        if error.is_null() {
            body.as_object_mut().expect("an object").remove("error");
        }
        let preview = service.post(PREVIEW, &body).await.ok(200);
        assert_eq!(preview["decision"], decision, "{body}: {preview}");
        let reason = preview["reason"].as_str().expect("a reason");
        assert!(reason.contains(words), "{body}: {reason}");
    }
}

#[tokio::test]
async fn rules_count_and_wait_for_themselves_and_windows_move_what_ends_outside() {
    let service = Service::start().await;
    let policy = json!({
        "jitter": {"mode": "none"}, "max_attempts": 2,
        "rules": [
            {"types": ["Card*"], "max_attempts": 1},
            {"classes": ["throttled"], "max_attempts": 4, "strategy": "linear_backoff", "base_delay_ms": 3_000, "step_delay_ms": 0},
        ],
    });
    let of = |error: Value| json!({"policy": policy, "attempts": 4, "error": error});
    let shown = waits(&service, &of(json!({"type": "CardDeclined"}))).await;
    assert_eq!(shown, [None; 4]);
    let shown = waits(&service, &of(json!({"type": "X", "status": 429}))).await;
    assert_eq!(shown, [Some(3_000), Some(3_000), Some(3_000), None]);
    let shown = waits(&service, &of(json!({"type": "X"}))).await;
    assert_eq!(shown, [Some(1_000), None, None, None]);
    let body = json!({
        "policy": {"jitter": {"mode": "none"}, "windows": [{"from": "08:00", "to": "09:00", "zone": "Europe/Berlin", "days": ["sun"]}]},
        "attempts": 1, "at": "2026-03-29T00:59:59Z",
    });
    // 08:00 of that Sunday is 06:00 in UTC: the clock was set forward at 01:00.
    assert_eq!(waits(&service, &body).await, [Some(5 * 3_600_000 + 1_000)]);
    let body = json!({"policy": {"total_ms": 2_000, "jitter": {"mode": "none"}}, "attempts": 2});
    assert_eq!(waits(&service, &body).await, [Some(1_000), None]);
}

#[tokio::test]
async fn a_wrong_preview_is_refused_where_it_is_wrong() {
    let service = Service::start().await;
    #[rustfmt::skip]
    let wrong = [
        (json!({}), "/policy", "required"),
        (json!({"policy": []}), "/policy", "wrong_type"),
        (json!({"policy": {"max_attempts": 0}}), "/policy/max_attempts", "out_of_range"),
        (json!({"policy": {"max_attempts": 1_001}}), "/policy/max_attempts", "out_of_range"),
        (json!({"policy": {"max_attempts": -1}}), "/policy/max_attempts", "out_of_range"),
        (json!({"policy": {"base_delay_ms": 86_400_001}}), "/policy/base_delay_ms", "out_of_range"),
        (json!({"policy": {"max_delay_ms": 1_000_000_000_001_u64}}), "/policy/max_delay_ms", "out_of_range"),
        (json!({"policy": {"multiplier": 0.5}}), "/policy/multiplier", "out_of_range"),
        (json!({"policy": {"multiplier": 101}}), "/policy/multiplier", "out_of_range"),
        (json!({"policy": {"jitter": {"range": 2}}}), "/policy/jitter/range", "out_of_range"),
        (json!({"policy": {"jitter": {"mode": "some"}}}), "/policy/jitter/mode", "invalid_value"),
        (json!({"policy": {"strategy": "custom_backoff"}}), "/policy/delays_ms", "required"),
        (json!({"policy": {"strategy": "circuit_breaker"}}), "/policy/strategy", "not_available"),
        (json!({"policy": {"on_exhausted": "escalate"}}), "/policy/on_exhausted", "not_available"),
        (json!({"policy": {"policy_id": "p"}}), "/policy/policy_id", "unknown_policy"),
        (json!({"policy": {"name": "x"}}), "/policy/name", "unknown_field"),
        (json!({"policy": {"retryable_error_types": ["a*b"]}}), "/policy/retryable_error_types/0", "invalid_format"),
        (json!({"policy": {"retryable_error_types": [""]}}), "/policy/retryable_error_types/0", "invalid_length"),
        (json!({"policy": {"rules": [{}]}}), "/policy/rules/0", "required"),
        (json!({"policy": {"rules": [{"types": ["A"], "max_attempts": 0}]}}), "/policy/rules/0/max_attempts", "out_of_range"),
        (json!({"policy": {"rules": [{"types": ["A"], "when": "true"}]}}), "/policy/rules/0/when", "unknown_field"),
        (json!({"policy": {"classify": [{"types": [], "class": "x"}]}}), "/policy/classify/0/types", "required"),
        (json!({"policy": {"windows": [{"from": "25:00", "to": "09:00"}]}}), "/policy/windows/0/from", "invalid_format"),
        (json!({"policy": {"windows": [{"from": "8:00", "to": "09:00"}]}}), "/policy/windows/0/from", "invalid_format"),
        (json!({"policy": {"windows": [{"from": "08:00", "to": "08:00"}]}}), "/policy/windows/0/to", "contradiction"),
        (json!({"policy": {"windows": [{"from": "08:00", "to": "09:00", "zone": "Mars/Olympus"}]}}), "/policy/windows/0/zone", "invalid_value"),
        (json!({"policy": {"windows": [{"from": "08:00", "to": "09:00", "days": ["someday"]}]}}), "/policy/windows/0/days/0", "invalid_value"),
        (json!({"policy": {"when": "nodes.a.output"}}), "/policy/when", "expression"),
        (json!({"policy": {"when": "1 +"}}), "/policy/when", "expression"),
        (json!({"policy": {"total_ms": 0}}), "/policy/total_ms", "out_of_range"),
        (json!({"policy": {}, "attempts": 0}), "/attempts", "out_of_range"),
        (json!({"policy": {}, "attempts": 1_001}), "/attempts", "out_of_range"),
        (json!({"policy": {}, "draws": [1.5]}), "/draws/0", "out_of_range"),
        (json!({"policy": {}, "at": "yesterday"}), "/at", "invalid_format"),
        (json!({"policy": {}, "error": {"status": 99}}), "/error/status", "out_of_range"),
        (json!({"policy": {}, "error": {"kind": "x"}}), "/error/kind", "unknown_field"),
    ];
    for (body, pointer, code) in wrong {
        let kind = if code == "not_available" { code } else { "validation_failed" };
        let problem = service.post(PREVIEW, &body).await.problem(422, kind);
        let error = &problem["errors"][0];
        let said = (error["pointer"].as_str(), error["code"].as_str());
        assert_eq!(said, (Some(pointer), Some(code)), "{body}: {problem}");
    }
}
