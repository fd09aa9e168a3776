//! Every answer that a test of the API gets, held to the document that the engine serves: the path, the method, the
//! status, the content type and the body, down to its last field. `Service::send` asks here for each answer.
//! Always holds: what the document does not say fails the test that met it. The document leaves answers open to fields
//! and words of later engines; of this engine's own answers it must know every one, so it is closed here first.
//! Absent: what requests may hold, which the tests of each resource say.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use axum::http::{HeaderMap, Method};
use jsonschema::Validator;
use serde_json::{Value, json};

use super::service::Answer;

/// What is served beside the document: the document itself, pages, and what engines ask each other.
const BESIDE: [&str; 3] = ["/openapi.json", "/docs", orrery::engine::forwarding::PATH];
/// What can be refused before it is known which operation is meant.
const BEFORE_ROUTES: [&str; 5] =
    ["unknown_route", "method_not_allowed", "invalid_host", "host_not_served", "cross_site"];
const PROBLEM_JSON: &str = orrery::http::problem::PROBLEM_JSON;

/// The document of this engine.
static SERVED: LazyLock<Described> = LazyLock::new(|| {
    let text = orrery::http::openapi::text();
    Described::by(serde_json::from_str(&text).expect("the document is JSON"))
});

/// A document, and a judge for each schema that was asked for.
struct Described {
    document: Value,
    judges: Mutex<BTreeMap<String, Arc<Validator>>>,
}

/// Panics when the served document does not describe this answer.
#[track_caller]
pub(super) fn check(method: &Method, path: &str, answer: &Answer) {
    if let Err(why) = SERVED.check(method, path, answer) {
        panic!(
            "{method} {path}: {} is not as /openapi.json says: {why}\n{}",
            answer.status, answer.text
        );
    }
}

impl Described {
    fn by(mut document: Value) -> Self {
        close(&mut document["components"]["schemas"]);
        Self { document, judges: Mutex::default() }
    }

    fn check(&self, method: &Method, path: &str, answer: &Answer) -> Result<(), String> {
        let kind = content_type(&answer.headers);
        // What answers GET answers HEAD, without a body.
        let is_head = *method == Method::HEAD;
        if kind == PROBLEM_JSON && !is_head {
            self.fits("/components/schemas/Problem", &answer.text)?;
            let code = &answer.json()["code"];
            if BEFORE_ROUTES.iter().any(|known| code == known) {
                return Ok(());
            }
        }
        if BESIDE.iter().any(|beside| path.starts_with(beside)) {
            return Ok(());
        }
        let (template, item) = self.item(path).ok_or("no such path")?;
        let word = if is_head { "get".to_owned() } else { method.as_str().to_lowercase() };
        let responses = item.get(&word).and_then(|operation| operation.get("responses"));
        let responses = responses.ok_or("no such method")?;
        let status = answer.status.as_str();
        let mut at = format!("/paths/{}/{word}/responses/{status}", escaped(template));
        let mut response = responses.get(status).ok_or("no such status")?;
        if let Some(shared) = response["$ref"].as_str() {
            shared.trim_start_matches('#').clone_into(&mut at);
            response = self.document.pointer(&at).ok_or("no such response")?;
        }
        let contents = response["content"].as_object().filter(|contents| !contents.is_empty());
        let Some(contents) = contents else {
            return if answer.text.is_empty() { Ok(()) } else { Err("a body".to_owned()) };
        };
        let is_described = contents.contains_key(&kind);
        match kind.as_str() {
            _ if is_head => Ok(()),
            _ if !is_described => Err(format!("the content type {kind:?}")),
            "application/json" => {
                self.fits(&format!("{at}/content/application~1json/schema"), &answer.text)
            }
            _ => Ok(()),
        }
    }

    /// The path's template and what is served there; one without parameters comes first.
    fn item(&self, path: &str) -> Option<(&str, &Value)> {
        let path = path.split('?').next().unwrap_or_default();
        let items = self.document["paths"].as_object()?;
        let fits = |template: &str| {
            let (mut asked, mut known) = (path.split('/'), template.split('/'));
            loop {
                match (asked.next(), known.next()) {
                    (None, None) => return true,
                    (Some(asked), Some(known)) if asked == known => {}
                    (Some(asked), Some(known)) if known.starts_with('{') && !asked.is_empty() => {}
                    _ => return false,
                }
            }
        };
        let found = items.get_key_value(path);
        let found = found.or_else(|| items.iter().find(|(template, _)| fits(template)));
        found.map(|(template, item)| (template.as_str(), item))
    }

    /// Whether a text is JSON that fits the schema at this pointer.
    fn fits(&self, at: &str, text: &str) -> Result<(), String> {
        let body: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let judge = {
            let mut judges = self.judges.lock().unwrap_or_else(PoisonError::into_inner);
            let judge = judges.entry(at.to_owned()).or_insert_with(|| Arc::new(self.judge(at)));
            Arc::clone(judge)
        };
        let errors: Vec<String> = judge
            .iter_errors(&body)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        if errors.is_empty() { Ok(()) } else { Err(errors.join("; ")) }
    }

    fn judge(&self, at: &str) -> Validator {
        let schema = self.document.pointer(at).expect("a schema");
        let schema = json!({"allOf": [schema], "components": self.document["components"]});
        jsonschema::options()
            .with_draft(jsonschema::Draft::Draft202012)
            .should_validate_formats(true)
            .build(&schema)
            .expect("the document's schemas are schemas")
    }
}

fn content_type(headers: &HeaderMap) -> String {
    let value = headers.get("content-type").and_then(|value| value.to_str().ok());
    value.and_then(|value| value.split(';').next()).unwrap_or_default().trim().to_owned()
}

fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// Refuses fields and words that these schemas do not know, and asks for every field that may be null: an answer says null
/// where it says nothing, and leaves out only what is never null. What is flattened into others stays open by itself: those
/// that it is a part of are closed as a whole.
fn close(schemas: &mut Value) {
    let mut parts = Vec::new();
    for schema in schemas.as_object().into_iter().flat_map(|schemas| schemas.values()) {
        let of = schema["allOf"].as_array().into_iter().flatten();
        parts.extend(of.filter_map(|part| part["$ref"].as_str().map(str::to_owned)));
    }
    for (name, schema) in schemas.as_object_mut().into_iter().flatten() {
        if !parts.contains(&format!("#/components/schemas/{name}")) {
            close_within(schema);
        }
    }
}

fn close_within(schema: &mut Value) {
    match schema {
        Value::Object(keywords) => {
            if let Some(words) = keywords.get("x-extensible-enum").cloned() {
                keywords.insert("enum".to_owned(), words);
            }
            if let Some(properties) = keywords.get("properties").and_then(Value::as_object) {
                let nullable = properties.iter().filter(|(_, schema)| may_be_null(schema));
                let mut required: Vec<Value> =
                    nullable.map(|(name, _)| name.as_str().into()).collect();
                required.extend(
                    keywords.get("required").and_then(Value::as_array).cloned().unwrap_or_default(),
                );
                keywords.insert("required".to_owned(), Value::Array(required));
            }
            let is_record = keywords.contains_key("properties") || keywords.contains_key("allOf");
            for (keyword, value) in &mut *keywords {
                // The parts of an object that is put together are no objects by themselves.
                if keyword != "allOf" {
                    close_within(value);
                }
            }
            if is_record && !keywords.contains_key("additionalProperties") {
                keywords.insert("unevaluatedProperties".to_owned(), Value::Bool(false));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(close_within),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn may_be_null(schema: &Value) -> bool {
    let types = schema["type"].as_array().into_iter().flatten();
    let choices = schema["oneOf"].as_array().into_iter().flatten();
    types.chain(choices.map(|choice| &choice["type"])).any(|kind| kind == "null")
}

/// The document with another value at a pointer of it.
fn planted(at: &str, value: Value) -> Described {
    let mut document: Value =
        serde_json::from_str(&orrery::http::openapi::text()).expect("the document is JSON");
    *document.pointer_mut(at).expect("it is there") = value;
    Described::by(document)
}

#[tokio::test]
async fn an_answer_that_the_document_does_not_describe_fails_the_test_that_met_it() {
    let service = super::service::Service::start().await;
    let path = "/api/v1/jobs";
    let made = service.post(path, &super::service::one_node()).await;
    assert_eq!(SERVED.check(&Method::POST, path, &made), Ok(()));
    let said = |described: &Described, method: Method, path: &str, answer: &Answer| {
        described.check(&method, path, answer).expect_err("it is another document")
    };
    let job = "/components/schemas/Job/properties";
    for (at, value, why) in [
        // A type, words, a field that is not known, one that is missing, a form.
        (format!("{job}/priority"), json!({"type": "string"}), "/priority"),
        (
            "/components/schemas/JobStatusAnswer/x-extensible-enum".to_owned(),
            json!(["x"]),
            "/status",
        ),
        (job.to_owned(), json!({}), "'namespace'"),
        ("/components/schemas/Job/required".to_owned(), json!(["nothing"]), "nothing"),
        (format!("{job}/name"), json!({"type": "string", "format": "uuid"}), "/name"),
        ("/paths/~1api~1v1~1jobs/post/responses".to_owned(), json!({}), "no such status"),
        ("/paths/~1api~1v1~1jobs/post".to_owned(), Value::Null, "no such method"),
        ("/paths/~1api~1v1~1jobs/post/responses/201/content".to_owned(), json!({}), "a body"),
        (
            "/paths/~1api~1v1~1jobs/post/responses/201/content".to_owned(),
            json!({"text/plain": {}}),
            "the content type",
        ),
    ] {
        let found = said(&planted(&at, value), Method::POST, path, &made);
        assert!(found.contains(why), "{at}: {found}");
    }
    assert_eq!(said(&SERVED, Method::GET, "/api/v1/nothing", &made), "no such path");
    let refused = service.get("/api/v1/jobs?page=0").await;
    let closed =
        planted("/components/schemas/Problem/properties/status", json!({"type": "string"}));
    assert!(said(&closed, Method::GET, path, &refused).contains("/status"));
}
