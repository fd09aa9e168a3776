//! JSON texts of events, documents and answers. serde_json hands over each quote, comma and colon by itself, hundreds of
//! them for one job; here each of those is a byte pushed in place, not a call that copies one byte.
//! Always holds: byte for byte what serde_json writes itself. Absent: any choice of form.

use std::io;

use serde::Serialize;

/// Adds the JSON of `value` to `out`.
///
/// # Errors
/// What cannot be written as JSON; part of it may stand in `out` then.
pub fn write(out: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) -> serde_json::Result<()> {
    serde_json::to_writer(Tokens(out), value)
}

struct Tokens<'a>(&'a mut Vec<u8>);

impl io::Write for Tokens<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    #[expect(clippy::inline_always, reason = "only where it is called is the length known")]
    #[inline(always)]
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match bytes {
            [byte] => self.0.push(*byte),
            _ => self.0.extend_from_slice(bytes),
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::expect_used, reason = "a test that cannot go on says why")]

    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_is_what_serde_json_writes_and_is_added_at_the_end() {
        let values = [
            json!(null),
            json!({}),
            json!([]),
            json!({"a": [1, -2.5, true, null], "b": {"c": "\"quoted\" \\ \n \u{1} ä \u{1F600}"}, "": [[], {}]}),
        ];
        let mut out = b"before ".to_vec();
        let mut wanted = "before ".to_owned();
        for value in &values {
            write(&mut out, value).expect("JSON");
            wanted.push_str(&value.to_string());
        }
        assert_eq!(String::from_utf8(out).expect("text"), wanted);
    }
}
