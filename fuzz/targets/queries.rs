//! A query of a list with its cursor: refused by name, or read; a cursor that is read is written as the same text.
#![no_main]

use domain::ids::Namespace;
use libfuzzer_sys::fuzz_target;
use orrery::http::extract::query::Query;
use orrery::http::page::Cursor;
use orrery::http::schemas::job_query::JobListRequest;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Some(cursor) = Cursor::parse(text) {
        assert_eq!(Cursor::parse(&cursor.text()), Some(cursor));
    }
    let Ok(query) = Query::read(text) else { return };
    if let Ok(asked) = JobListRequest::read(Namespace::default_namespace(), query) {
        assert!((1..=100).contains(&asked.query.page_size));
    }
});
