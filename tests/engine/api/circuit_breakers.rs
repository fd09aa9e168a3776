//! Circuit breakers, tried out over HTTP. What they do is tested in the rules; here, that every setting and every step gets
//! there, and that wrong ones are told where they stand.

use serde_json::{Value, json};

use super::service::Service;

const PREVIEW: &str = "/api/v1/circuit-breakers/preview";

/// The breaker after each of these steps.
async fn states(service: &Service, settings: Value, steps: Value) -> Value {
    let body = json!({"settings": settings, "steps": steps});
    service.post(PREVIEW, &body).await.ok(200)["states"].take()
}

/// The same, of the last one only its state.
async fn end(service: &Service, settings: Value, steps: Value) -> Value {
    let mut states = states(service, settings, steps).await;
    states.as_array_mut().and_then(Vec::pop).map_or(Value::Null, |mut last| last["state"].take())
}

#[tokio::test]
async fn a_breaker_is_shown_after_each_step() {
    let service = Service::start().await;
    let before = service.store.appends();
    let after = states(
        &service,
        json!({"window": {"calls": 10}, "min_calls": 3, "failure_rate_pct": 50, "open_ms": 5_000}),
        json!([
            {"ask": true}, {"report": "fail"}, {"report": "ok"}, {"report": "fail"}, {"ask": true},
            {"advance_ms": 4_999}, {"advance_ms": 1}, {"ask": true}, {"ask": true}, {"report": "ok"},
            {"operator": "force_open"}, {"ask": true}, {"operator": "disable"}, {"ask": true},
            {"operator": "reset"},
        ]),
    )
    .await;
    let rate = 200.0 / 3.0;
    assert_eq!(
        after,
        json!([
            {"state": "closed", "permit": true, "failure_rate_pct": null},
            {"state": "closed", "permit": null, "failure_rate_pct": null},
            {"state": "closed", "permit": null, "failure_rate_pct": null},
            {"state": "open", "permit": null, "failure_rate_pct": rate},
            {"state": "open", "permit": false, "failure_rate_pct": rate},
            {"state": "open", "permit": null, "failure_rate_pct": rate},
            {"state": "half_open", "permit": null, "failure_rate_pct": null},
            {"state": "half_open", "permit": true, "failure_rate_pct": null},
            {"state": "half_open", "permit": false, "failure_rate_pct": null},
            {"state": "closed", "permit": null, "failure_rate_pct": null},
            {"state": "forced_open", "permit": null, "failure_rate_pct": null},
            {"state": "forced_open", "permit": false, "failure_rate_pct": null},
            {"state": "disabled", "permit": null, "failure_rate_pct": null},
            {"state": "disabled", "permit": true, "failure_rate_pct": null},
            {"state": "closed", "permit": null, "failure_rate_pct": null},
        ])
    );
    assert_eq!(service.store.appends(), before, "nothing is stored");
}

#[tokio::test]
async fn every_setting_counts() {
    let service = Service::start().await;
    let (ask, ok, fail) =
        (json!({"ask": true}), json!({"report": "ok"}), json!({"report": "fail"}));
    let wait = |ms: u64| json!({"advance_ms": ms});
    let time = json!({"window": {"ms": 1_000}, "min_calls": 2});
    let grows = json!({"consecutive_failures": 1, "open_ms": 1_000, "open_multiplier": 3, "open_max_ms": 2_500});
    let twice = |ms| json!([fail, wait(1_000), ask, fail, wait(ms)]);
    let two = json!({"consecutive_failures": 1, "open_ms": 0, "half_open_permits": 2});
    let slow = json!({"window": {"calls": 2}, "slow_rate_pct": 50});
    for (settings, steps, state) in [
        (json!({}), json!(vec![&fail; 99]), "closed"),
        (json!({}), json!(vec![&fail; 100]), "open"),
        (json!({"min_calls": 2}), json!([fail, fail]), "open"),
        (time.clone(), json!([fail, fail]), "open"),
        (time, json!([fail, wait(1_000), fail]), "closed"),
        (json!({"min_calls": 2, "failure_rate_pct": 50.5}), json!([ok, fail]), "closed"),
        (json!({"consecutive_failures": 1}), json!([fail]), "open"),
        (grows.clone(), twice(2_499), "open"),
        (grows, twice(2_500), "half_open"),
        (two.clone(), json!([fail, ask, ok]), "half_open"),
        (two, json!([fail, ask, ok, ask, ok]), "closed"),
        (slow.clone(), json!([ok, {"report": "slow_ok"}]), "open"),
        (slow, json!([ok, {"report": "slow_fail"}]), "open"),
    ] {
        assert_eq!(
            end(&service, settings.clone(), steps.clone()).await,
            state,
            "{settings} {steps}"
        );
    }
    let answer = service.post(PREVIEW, &json!({"steps": []})).await;
    assert_eq!(answer.ok(200), json!({"states": []}));
}

#[tokio::test]
async fn what_belongs_to_a_step_counts() {
    let service = Service::start().await;
    let settings = json!({
        "window": {"calls": 2}, "consecutive_failures": 1, "open_ms": 0, "slow_call_ms": 100, "slow_rate_pct": 50,
        "ignored_errors": ["Http.4*"],
    });
    for (steps, state) in [
        (json!([{"report": "ok"}, {"report": "ok", "took_ms": 101}]), "open"),
        (json!([{"report": "ok"}, {"report": "ok", "took_ms": 100}]), "closed"),
        (json!([{"report": "ignored"}]), "closed"),
        (json!([{"report": "fail", "error_type": "Http.404"}]), "closed"),
        (json!([{"report": "fail", "error_type": "Http.404", "took_ms": 101}]), "closed"),
        (json!([{"report": "slow_fail", "error_type": "Http.404"}]), "closed"),
        (json!([{"report": "fail", "error_type": "Http.500"}]), "open"),
        (json!([{"operator": "force_open", "for_ms": 10}, {"advance_ms": 9}]), "forced_open"),
        (json!([{"operator": "disable", "for_ms": 10}, {"advance_ms": 10}]), "closed"),
    ] {
        assert_eq!(end(&service, settings.clone(), steps.clone()).await, state, "{steps}");
    }
    let lost = json!([{"report": "fail"}, {"ask": true, "permit_ms": 50}, {"advance_ms": 50}, {"ask": true}]);
    assert_eq!(states(&service, settings, lost).await[3]["permit"], true);
}

#[tokio::test]
async fn wrong_settings_are_told_where_they_stand() {
    let service = Service::start().await;
    for (settings, pointer, code) in [
        (json!(null), "", "wrong_type"),
        (json!([]), "", "wrong_type"),
        (json!({"other": 1}), "/other", "unknown_field"),
        (json!({"window": null}), "/window", "wrong_type"),
        (json!({"window": 10}), "/window", "wrong_type"),
        (json!({"window": [10]}), "/window", "wrong_type"),
        (json!({"window": {}}), "/window", "invalid_value"),
        (json!({"window": {"calls": 1, "ms": 1}}), "/window", "invalid_value"),
        (json!({"window": {"calls": 0}}), "/window/calls", "out_of_range"),
        (json!({"window": {"calls": 10_001}}), "/window/calls", "out_of_range"),
        (json!({"window": {"calls": "10"}}), "/window/calls", "wrong_type"),
        (json!({"window": {"ms": 86_400_001}}), "/window/ms", "out_of_range"),
        (json!({"window": {"seconds": 1}}), "/window/seconds", "unknown_field"),
        (json!({"min_calls": 0}), "/min_calls", "out_of_range"),
        (json!({"min_calls": null}), "/min_calls", "wrong_type"),
        (json!({"min_calls": -1}), "/min_calls", "out_of_range"),
        (json!({"min_calls": 1.5}), "/min_calls", "wrong_type"),
        (json!({"failure_rate_pct": 0}), "/failure_rate_pct", "out_of_range"),
        (json!({"failure_rate_pct": 100.1}), "/failure_rate_pct", "out_of_range"),
        (json!({"failure_rate_pct": null}), "/failure_rate_pct", "wrong_type"),
        (json!({"consecutive_failures": 0}), "/consecutive_failures", "out_of_range"),
        (json!({"slow_call_ms": 2_592_000_001_i64}), "/slow_call_ms", "out_of_range"),
        (json!({"slow_rate_pct": -5}), "/slow_rate_pct", "out_of_range"),
        (json!({"open_ms": 2_592_000_001_i64}), "/open_ms", "out_of_range"),
        (json!({"open_multiplier": 0.5}), "/open_multiplier", "out_of_range"),
        (json!({"open_multiplier": 101}), "/open_multiplier", "out_of_range"),
        (json!({"open_max_ms": -1}), "/open_max_ms", "out_of_range"),
        (json!({"half_open_permits": 0}), "/half_open_permits", "out_of_range"),
        (json!({"half_open_permits": 1_001}), "/half_open_permits", "out_of_range"),
        (json!({"ignored_errors": "a"}), "/ignored_errors", "wrong_type"),
        (json!({"ignored_errors": vec!["a"; 101]}), "/ignored_errors", "too_many"),
        (json!({"ignored_errors": ["a", ""]}), "/ignored_errors/1", "invalid_length"),
        (json!({"ignored_errors": ["a*b"]}), "/ignored_errors/0", "invalid_format"),
    ] {
        let body = json!({"settings": settings, "steps": []});
        let problem = service.post(PREVIEW, &body).await.problem(422, "validation_failed");
        let error = &problem["errors"][0];
        assert_eq!(error["pointer"], format!("/settings{pointer}"), "{problem}");
        assert_eq!(error["code"], code, "{problem}");
    }
}

#[tokio::test]
async fn wrong_steps_are_told_where_they_stand() {
    let service = Service::start().await;
    let year = 365 * 24 * 3_600 * 1_000_i64;
    for (step, pointer, code) in [
        (json!({}), "", "invalid_value"),
        (json!(null), "", "wrong_type"),
        (json!([true]), "", "wrong_type"),
        (json!({"ask": true, "report": "ok"}), "", "invalid_value"),
        (json!({"ask": false}), "/ask", "invalid_value"),
        (json!({"ask": null}), "/ask", "wrong_type"),
        (json!({"ask": true, "permit_ms": 0}), "/permit_ms", "out_of_range"),
        (json!({"advance_ms": 1, "permit_ms": 1}), "/permit_ms", "contradiction"),
        (json!({"report": "late"}), "/report", "invalid_value"),
        (json!({"report": true}), "/report", "wrong_type"),
        (json!({"report": "slow_ok", "took_ms": 1}), "/took_ms", "contradiction"),
        (json!({"report": "ok", "took_ms": 2_592_000_001_i64}), "/took_ms", "out_of_range"),
        (json!({"report": "ok", "error_type": "a"}), "/error_type", "contradiction"),
        (json!({"report": "fail", "error_type": "a".repeat(101)}), "/error_type", "too_long"),
        (json!({"advance_ms": -1}), "/advance_ms", "out_of_range"),
        (json!({"advance_ms": year + 1}), "/advance_ms", "out_of_range"),
        (json!({"operator": "open"}), "/operator", "invalid_value"),
        (json!({"operator": "reset", "for_ms": 1}), "/for_ms", "contradiction"),
        (json!({"operator": "disable", "for_ms": 0}), "/for_ms", "out_of_range"),
        (json!({"wait": 1}), "/wait", "unknown_field"),
    ] {
        let body = json!({"steps": [{"ask": true}, step]});
        let problem = service.post(PREVIEW, &body).await.problem(422, "validation_failed");
        let error = &problem["errors"][0];
        assert_eq!(error["pointer"], format!("/steps/1{pointer}"), "{problem}");
        assert_eq!(error["code"], code, "{problem}");
    }
    for (body, pointer) in [
        (json!({}), "/steps"),
        (json!({"steps": null}), "/steps"),
        (json!({"steps": vec![json!({"ask": true}); 1_001]}), "/steps"),
        (json!({"steps": [], "more": 1}), "/more"),
    ] {
        let problem = service.post(PREVIEW, &body).await.problem(422, "validation_failed");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
    let body = json!({"steps": vec![json!({"advance_ms": year}); 1_000]});
    assert_eq!(
        service.post(PREVIEW, &body).await.ok(200)["states"].as_array().map(Vec::len),
        Some(1_000)
    );
}

#[tokio::test]
async fn all_that_is_wrong_is_told_at_once() {
    let service = Service::start().await;
    let body =
        json!({"settings": {"min_calls": 0, "open_multiplier": 0}, "steps": [{}, {"ask": false}]});
    let problem = service.post(PREVIEW, &body).await.problem(422, "validation_failed");
    let errors = problem["errors"].as_array().into_iter().flatten();
    let pointers: Vec<&str> = errors.filter_map(|error| error["pointer"].as_str()).collect();
    let all = ["/settings/min_calls", "/settings/open_multiplier", "/steps/0", "/steps/1/ask"];
    assert_eq!(pointers, all);
}
