//! docs/jobs.md and docs/retry.md against the engine: each of their examples is accepted as it stands, and each field that
//! the API's document knows of a submission is told there.

use std::collections::BTreeSet;

use serde_json::Value;

use super::service::Service;

const PAGES: [&str; 2] =
    [include_str!("../../../docs/jobs.md"), include_str!("../../../docs/retry.md")];

/// The examples of the pages, as they stand between their fences.
fn examples() -> Vec<&'static str> {
    let parts = PAGES.iter().flat_map(|page| page.split("```json\n").skip(1));
    parts.map(|part| part.split("```").next().unwrap_or_default()).collect()
}

#[tokio::test]
async fn every_example_of_the_pages_about_jobs_is_accepted() {
    let service = Service::start().await;
    let examples = examples();
    assert!(examples.len() >= 12, "{} examples", examples.len());
    for example in examples {
        let body: Value = serde_json::from_str(example).expect("an example is JSON");
        let (path, status) = match (body.get("policy"), body.get("nodes")) {
            (Some(_), _) => ("/api/v1/retry-policies/preview", 200),
            (None, Some(_)) => ("/api/v1/jobs", 201),
            (None, None) => ("/api/v1/retry-policies", 201),
        };
        let answer = service.post(path, &body).await;
        assert_eq!(answer.status.as_u16(), status, "{example}\n{}", answer.text);
    }
}

/// Adds the fields of objects in a request, by name.
fn fields<'d>(
    document: &'d Value,
    at: &'d Value,
    seen: &mut BTreeSet<&'d str>,
    found: &mut BTreeSet<&'d str>,
) {
    match at {
        Value::Object(entries) => {
            for (key, inner) in entries {
                match (key.as_str(), inner) {
                    ("$ref", Value::String(target)) if seen.insert(target) => {
                        let target = document.pointer(target.trim_start_matches('#'));
                        fields(document, target.expect("what is named"), seen, found);
                    }
                    ("properties", Value::Object(properties)) => {
                        found.extend(properties.keys().map(String::as_str));
                        properties.values().for_each(|of| fields(document, of, seen, found));
                    }
                    ("description" | "example" | "examples", _) => {}
                    _ => fields(document, inner, seen, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| fields(document, item, seen, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn every_field_of_a_job_is_told_and_stands_in_an_example() {
    let document: Value =
        serde_json::from_str(&orrery::http::openapi::text()).expect("the document is JSON");
    let (mut seen, mut found) = (BTreeSet::new(), BTreeSet::new());
    fields(&document, &document["components"]["schemas"]["SubmitJob"], &mut seen, &mut found);
    assert!(found.len() > 50, "{found:?}");
    let examples = examples().concat();
    let prose: String = PAGES.iter().flat_map(|page| page.split("```").step_by(2)).collect();
    for field in found {
        let told = [format!("`{field}`"), format!("`{field}_"), format!("\"{field}\"")];
        assert!(told.iter().any(|told| prose.contains(told)), "`{field}` is not told");
        // Only one strategy can stand in an example of a policy.
        if !["delays_ms", "step_delay_ms"].contains(&field) {
            assert!(examples.contains(&format!("\"{field}\"")), "`{field}` has no example");
        }
    }
}
