//! A submission: whatever the bytes, they are refused with pointers or become a specification within its bounds.
#![no_main]

use domain::bounds::Bounds;
use domain::job::check::{CheckSettings, check};
use libfuzzer_sys::fuzz_target;
use orrery::http::extract::json::parse;
use orrery::http::schemas::job::JobBody;

fuzz_target!(|data: &[u8]| {
    let bounds = Bounds::default();
    let Ok(body) = parse::<JobBody>(data, &bounds) else { return };
    let Ok(spec) = body.into_spec() else { return };
    let nodes = spec.nodes.len();
    let settings = CheckSettings { bounds: bounds.clone(), queue_timeout_ms: None, now: 1_700_000_000_000 };
    match check(spec, &settings) {
        Ok(_) => {
            assert!((1..=bounds.nodes_max).contains(&nodes));
        }
        Err(errors) => assert!(!errors.is_empty()),
    }
});
