//! Times and names in texts: refused, or read and written again with the same meaning.
#![no_main]

use domain::ids::{JobId, LeaseId, SubjectId};
use libfuzzer_sys::fuzz_target;
use orrery::http::schemas::time;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Some(at) = time::parse(text) {
        assert_eq!(time::parse(&time::format(at)), Some(at), "{text}");
    }
    if let Ok(subject) = SubjectId::parse(text) {
        assert_eq!(SubjectId::parse(&subject.to_string()).ok(), Some(subject));
    }
    let _ = (JobId::parse(text), LeaseId::parse(text));
});
