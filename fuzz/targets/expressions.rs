//! Expressions: the first line is data, the rest an expression and a template. Whatever the bytes, reading and evaluating ends
//! within the bounds; a value is written as JSON and read again, and evaluating twice gives the same.
#![no_main]

use domain::exact_json::ExactJson;
use domain::expression::{Expression, Reference, Scope, Template, TextTemplate, Value};
use libfuzzer_sys::fuzz_target;

struct Data(Option<Value>);

impl Scope for Data {
    fn read(&self, _: &Reference) -> Option<Value> {
        self.0.clone()
    }
}

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (json, source) = text.split_once('\n').unwrap_or(("{}", text));
    let data = Data(Value::from_json(json));
    if let Ok(expression) = Expression::parse(source) {
        let written = expression.json(&data);
        assert_eq!(written, expression.json(&data), "{source}");
        if let Ok(json) = written {
            assert!(Value::from_json(&json).is_some(), "{source}: {json}");
        }
    }
    if let Ok(Some(template)) = TextTemplate::parse(source) {
        let _ = template.json(&data);
    }
    if let Ok(json) = serde_json::from_str::<ExactJson>(json)
        && let Ok(Some(template)) = Template::parse(&json)
    {
        let _ = template.evaluate(&data, 1 << 20);
    }
});
