//! What surrounds every route: unknown paths and methods, request ids, health, the document and its page.

use std::time::Duration;

use axum::http::Method;
use serde_json::Value;

use super::service::Service;

#[tokio::test]
async fn an_unknown_path_and_method_are_problems_like_any_other() {
    let service = Service::start().await;
    let missing = service.get("/nothing?secret=1").await.problem(404, "unknown_route");
    assert_eq!(missing["instance"], "/nothing");
    let refused = service.call(Method::DELETE, "/livez", &[], None).await;
    refused.problem(405, "method_not_allowed");
    assert_eq!(refused.header("allow"), "GET,HEAD");
    let refused = service.call(Method::PUT, "/api/v1/jobs", &[], Some("{}")).await;
    refused.problem(405, "method_not_allowed");
    assert_eq!(refused.header("allow"), "GET,HEAD,POST");
}

#[tokio::test]
async fn every_documented_operation_is_routed() {
    let service = Service::start().await;
    let document = service.get("/openapi.json").await.json();
    let mut operations = 0;
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        for (method, _) in item.as_object().into_iter().flatten() {
            operations += 1;
            let path = path.replace(['{', '}'], "");
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method");
            let answer = service.call(method.clone(), &path, &[], None).await;
            assert_ne!(answer.status.as_u16(), 405, "{method} {path}");
            assert!(!answer.status.is_server_error(), "{method} {path}: {}", answer.text);
            if answer.status.as_u16() == 404 {
                assert_ne!(answer.json()["code"], "unknown_route", "{method} {path}");
            }
        }
    }
    assert!(operations > 20, "{operations}");
}

#[tokio::test]
async fn a_request_id_is_kept_or_replaced_and_always_returned() {
    let service = Service::start().await;
    let headers = [("x-request-id", "mine-1")];
    let answer = service.call(Method::GET, "/livez", &headers, None).await;
    assert_eq!(answer.header("x-request-id"), "mine-1");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    for unfit in ["not mine", &"x".repeat(129)] {
        let headers = [("x-request-id", unfit)];
        let answer = service.call(Method::GET, "/nothing", &headers, None).await;
        assert_ne!(answer.header("x-request-id"), unfit);
        answer.problem(404, "unknown_route");
    }
}

#[tokio::test]
async fn health_says_little_unless_asked() {
    let service = Service::start().await;
    assert_eq!(service.get("/livez").await.ok(200)["status"], "ok");
    assert!(service.get("/readyz").await.ok(200).get("checks").is_none());
    assert!(service.get("/readyz?verbose").await.ok(200)["checks"].is_array());
    let wrong = service.get("/readyz?loud").await.problem(422, "validation_failed");
    assert_eq!(wrong["errors"][0]["pointer"], "loud");
    let metrics = service.get("/metrics").await;
    assert!(metrics.text.contains("http_server_request_duration_seconds"), "{}", metrics.text);
}

#[tokio::test]
async fn a_write_from_another_site_is_refused() {
    let service = Service::start().await;
    let before = service.store.appends();
    let body = super::service::one_node().to_string();
    let site = |value| ("sec-fetch-site", value);
    let origin = |value| ("origin", value);
    let refused: &[&[(&str, &str)]] = &[
        &[site("cross-site")],
        &[site("same-site")],
        &[site("Cross-Site")],
        &[site("SAME-ORIGIN")],
        &[site("same-origin"), site("cross-site")],
        &[site("none"), site("none")],
        &[origin("http://attacker.example")],
        &[origin("http://localhost"), origin("http://attacker.example")],
        &[origin("null")],
        &[site("cross-site"), origin("http://localhost")],
    ];
    for headers in refused {
        let mut asks = super::service::request(Method::POST, "/api/v1/jobs", &[], Some(&body));
        for (name, value) in *headers {
            asks.headers_mut().append(*name, value.parse().expect("a value"));
        }
        service.send(asks).await.problem(403, "cross_site");
    }
    assert_eq!(service.store.appends(), before);
    for headers in [&[site("same-origin")][..], &[site("none")], &[origin("http://localhost")]] {
        service.call(Method::POST, "/api/v1/jobs", headers, Some(&body)).await.ok(201);
    }
    let read = [site("cross-site"), origin("http://elsewhere.example")];
    service.call(Method::GET, "/api/v1/jobs", &read, None).await.ok(200);
}

#[tokio::test]
async fn a_name_that_was_rebound_to_this_machine_commands_nothing() {
    let service = Service::start().await;
    let before = service.store.appends();
    let body = super::service::one_node().to_string();
    let asks = |hosts: &[&str]| {
        let headers = [("sec-fetch-site", "same-origin")];
        let mut asks = super::service::request(Method::POST, "/api/v1/jobs", &headers, Some(&body));
        asks.headers_mut().remove("host");
        for host in hosts {
            asks.headers_mut().append("host", host.parse().expect("a value"));
        }
        asks
    };
    for host in ["attacker.example", "attacker.example:8080", "10.0.0.7:8080"] {
        service.send(asks(&[host])).await.problem(421, "host_not_served");
    }
    for hosts in [&[][..], &["localhost", "localhost"], &["localhost", "attacker.example"]] {
        let problem = service.send(asks(hosts)).await.problem(400, "invalid_host");
        assert_eq!(problem["errors"][0]["pointer"], "Host", "{problem}");
    }
    for path in ["/api/v1/jobs", "/metrics", "/docs/", "/openapi.json", "/nothing"] {
        let headers = [("host", "attacker.example")];
        service.call(Method::GET, path, &headers, None).await.problem(421, "host_not_served");
    }
    assert_eq!(service.store.appends(), before);
    for host in ["127.0.0.1:8080", "[::1]:8080", "localhost:9999"] {
        service.send(asks(&[host])).await.ok(201);
    }
    let probe = [("host", "10.0.0.7:8080")];
    service.call(Method::GET, "/livez", &probe, None).await.ok(200);
}

#[tokio::test]
async fn the_documentation_comes_out_of_the_binary() {
    let service = Service::start().await;
    for path in ["/docs/", "/docs/swagger-initializer.js", "/docs/errors/lease_lost"] {
        let answer = service.get(path).await;
        assert_eq!(answer.status.as_u16(), 200, "{path}");
        let policy = answer.header("content-security-policy").to_owned();
        assert!(policy.contains("style-src 'self' 'unsafe-inline'"), "{path}: {policy}");
    }
    assert!(!service.get("/livez").await.header("content-security-policy").contains("unsafe"));
    for path in ["/docs/nothing.js", "/docs/errors/nothing"] {
        service.get(path).await.problem(404, "unknown_route");
    }
}

#[tokio::test]
async fn who_asks_for_nothing_is_told_where_to_begin() {
    let service = Service::start().await;
    let told = service.get("/").await;
    assert_eq!(told.header("vary"), "accept");
    let start = told.ok(200);
    for (what, link) in start["links"].as_object().expect("links") {
        let link = link.as_str().expect("a path");
        assert_eq!(service.get(link).await.status.as_u16(), 200, "{what}");
    }
    // The first request works as it stands.
    let request = start["first_request"].as_str().expect("a text");
    let body = request.split('\'').nth(3).expect("a body");
    assert!(request.ends_with(" http://localhost/api/v1/jobs"), "{request}");
    service.call(Method::POST, "/api/v1/jobs", &[], Some(body)).await.ok(201);
    let browser = [("accept", "text/html,application/xhtml+xml,*/*;q=0.8")];
    let page = service.call(Method::GET, "/", &browser, None).await;
    assert_eq!(
        (page.status.as_u16(), page.header("content-type")),
        (200, "text/html; charset=utf-8")
    );
    assert!(
        page.text.contains("<a href=\"/docs/\">") && page.text.contains(request),
        "{}",
        page.text
    );
}

#[tokio::test]
async fn services_are_listed_like_any_list() {
    let service = Service::start().await;
    let list = service.get("/api/v1/services").await.ok(200);
    assert_eq!(list["services"], Value::Array(Vec::new()));
    assert_eq!(
        (&list["page"], &list["has_next"], &list["total_count"]),
        (&1.into(), &false.into(), &0.into())
    );
    let wrong = service.get("/api/v1/services?all=1").await.problem(422, "validation_failed");
    assert_eq!(wrong["errors"][0]["code"], "unknown_parameter");
}

#[tokio::test]
async fn an_embedded_engine_is_listed_as_the_one_that_drives_everything() {
    let service = Service::start().await;
    let list = service.get("/api/v1/engines").await.ok(200);
    let engine = &list["engines"][0];
    assert_eq!(list["total_count"], 1, "{list}");
    assert_eq!((&engine["engine"], &engine["name"]), (&1.into(), &"engine-1".into()));
    let flags = (&engine["answers"], &engine["lives"], &engine["leaving"]);
    assert_eq!(flags, (&true.into(), &true.into(), &false.into()));
    assert_eq!(engine["groups"].as_array().map(Vec::len), Some(64));
    assert_eq!(engine["address"], "127.0.0.1:8080");
}

#[tokio::test]
async fn every_answer_names_the_engine_that_gave_it() {
    let service = Service::start().await;
    let engine = "1; name=\"engine-1\"";
    for path in ["/livez", "/metrics", "/openapi.json", "/docs/", "/nothing", "/api/v1/jobs"] {
        assert_eq!(service.get(path).await.header("orrery-engine"), engine, "{path}");
    }
    let body = super::service::one_node().to_string();
    let made = service.call(Method::POST, "/api/v1/jobs", &[], Some(&body)).await;
    assert_eq!((made.status.as_u16(), made.header("orrery-engine")), (201, engine));
    let refused = service.call(Method::POST, "/api/v1/jobs", &[], Some("{")).await;
    assert_eq!((refused.status.as_u16(), refused.header("orrery-engine")), (400, engine));
    let poll = r#"{"worker": "w", "wait_ms": 0}"#;
    let leased = service.call(Method::POST, "/api/v1/queues/q/lease", &[], Some(poll)).await;
    assert_eq!((leased.status.as_u16(), leased.header("orrery-engine")), (200, engine));
}

#[tokio::test]
async fn every_group_has_its_numbers() {
    let service = Service::start().await;
    let id = service.job(&super::service::one_node()).await;
    let subject = domain::ids::SubjectId::job(
        domain::ids::Namespace::default_namespace(),
        domain::ids::JobId::parse(&id).expect("an id"),
    );
    let by_group = service.engine.cluster().by_group();
    assert_eq!((by_group.subjects.len(), by_group.reading.len()), (64, 64));
    assert_eq!(by_group.subjects[usize::from(subject.group().index())], 1);
    assert_eq!(by_group.subjects.iter().sum::<u32>(), 1);
    let metrics = service.get("/metrics").await.text;
    for series in [
        "orrery_group_subjects{group=\"63\"}",
        "orrery_group_streams_reading{group=\"0\"}",
        "orrery_group_load_duration_seconds_count",
        "orrery_subjects_left_total{why=\"retired\"}",
    ] {
        assert!(metrics.contains(series), "{series}: {metrics}");
    }
}

#[tokio::test]
async fn the_example_of_every_request_body_is_taken_as_it_stands() {
    let service = Service::start().await;
    let document = service.get("/openapi.json").await.json();
    let mut examples = 0;
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in item.as_object().into_iter().flatten() {
            let body = &operation["requestBody"]["content"]["application/json"]["example"];
            if body.is_null() {
                continue;
            }
            examples += 1;
            // A job of its own, so that no example meets a state that another one left.
            let job = service.job(&super::service::one_node()).await;
            let id = match path.split('/').nth(3) {
                Some("environments") => "gpu",
                Some("retry-policies") => "flaky%20http",
                Some(_) | None => &job,
            };
            let path = path
                .replace("{id}", id)
                .replace("{queue}", "shop")
                .replace("{key}", "a")
                .replace("{type}", "t");
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method");
            let text = body.to_string();
            let mut asking = Box::pin(service.call(method.clone(), &path, &[], Some(&text)));
            let answer = loop {
                tokio::select! {
                    biased;
                    answer = &mut asking => break answer,
                    // The example of a lease request waits for work.
                    () = tokio::task::yield_now() => service.pass_exactly(Duration::from_millis(1)),
                }
            };
            // A job that is running already cannot be started or resumed: 409 is an answer to what was read.
            let was_read = matches!(answer.status.as_u16(), 200 | 201 | 409);
            assert!(was_read, "{method} {path} {body}: {}", answer.text);
        }
    }
    assert!(examples >= 15, "{examples}");
}
