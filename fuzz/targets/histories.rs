//! An exported history: whatever the bytes, the verifier says whole or where it is not, and never accepts one that was
//! changed in a byte that counts.
#![no_main]

use domain::history::verify;
use domain::ids::SubjectId;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let subject = SubjectId::parse("job/default/0192aa00-0000-7000-8000-000000000001").expect("a subject");
    if verify(&subject, data).is_ok() {
        // Without its last line it is cut, and that shows.
        let whole = data.trim_ascii_end();
        let cut = whole.iter().rposition(|byte| *byte == b'\n').unwrap_or(0);
        assert!(verify(&subject, &whole[..cut]).is_err());
    }
});
