//! What a command's standard output is worth: JSON, or text that is wrapped, as the worker was told. Nothing is
//! guessed: what is not what it should be is a failure that says where, because a number that became a text, or a
//! log line before the document, would be found only by whoever reads the output much later.

use clap::ValueEnum;
use serde_json::value::RawValue;

use crate::api::shapes::AttemptErrorShape;

/// The engine's bound on an output.
pub(super) const OUTPUT_BYTES_MAX: usize = 256 * 1024;
/// Kept beyond it, for line ends and spaces around an output are none of it.
const MARGIN_BYTES: usize = 4 * 1024;
/// Characters of a wrong output that its error shows.
const SHOWN_CHARS_MAX: usize = 80;

/// How standard output is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// One JSON value; nothing at all is `{}`.
    #[default]
    Json,
    /// UTF-8 text, which becomes `{"stdout": "..."}`.
    Text,
}

/// The beginning of standard output, as long as an output may be.
#[derive(Debug, Default)]
pub(super) struct Stdout {
    bytes: Vec<u8>,
    /// Whether there was more than is kept.
    cut: bool,
}

impl Stdout {
    pub(super) fn take(&mut self, chunk: &[u8]) {
        let room = (OUTPUT_BYTES_MAX + MARGIN_BYTES).saturating_sub(self.bytes.len());
        let room = room.min(chunk.len());
        self.bytes.extend_from_slice(&chunk[..room]);
        self.cut |= chunk[room..].iter().any(|byte| !byte.is_ascii_whitespace());
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The output of a command that succeeded.
    pub(super) fn output(
        &self,
        format: OutputFormat,
    ) -> Result<Box<RawValue>, Box<AttemptErrorShape>> {
        let bytes = self.bytes.trim_ascii();
        if self.cut || bytes.len() > OUTPUT_BYTES_MAX {
            return Err(Box::new(too_large()));
        }
        let text = std::str::from_utf8(bytes).map_err(|error| {
            Box::new(failed(
                "output_not_utf8",
                "data",
                format!(
                    "standard output is not UTF-8 from byte {} on; convert it, such as with iconv",
                    error.valid_up_to()
                ),
            ))
        })?;
        match format {
            OutputFormat::Json if text.is_empty() => raw("{}".to_owned()),
            OutputFormat::Json => raw(text.to_owned()),
            OutputFormat::Text => {
                // As it was written, the end of the last line included.
                let whole = std::str::from_utf8(&self.bytes).unwrap_or(text);
                let wrapped = serde_json::json!({ "stdout": whole }).to_string();
                if wrapped.len() > OUTPUT_BYTES_MAX {
                    Err(Box::new(too_large()))
                } else {
                    raw(wrapped)
                }
            }
        }
    }
}

fn raw(text: String) -> Result<Box<RawValue>, Box<AttemptErrorShape>> {
    let begins: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    let marked = text.starts_with('\u{feff}');
    RawValue::from_string(text).map_err(|error| {
        let why = if marked { "it begins with a byte order mark".to_owned() } else { error.to_string() };
        Box::new(failed(
            "output_not_json",
            "data",
            format!(
                "standard output is not one JSON value: {why}; it begins with {begins:?}. Write the output only to \
                 standard output and everything else to standard error, or run the worker with --output text"
            ),
        ))
    })
}

fn too_large() -> AttemptErrorShape {
    failed(
        "output_too_large",
        "validation",
        format!(
            "the output is longer than {OUTPUT_BYTES_MAX} bytes; store it elsewhere and output where it is"
        ),
    )
}

/// An error of the worker's own.
pub(super) fn failed(kind: &str, class: &str, message: String) -> AttemptErrorShape {
    AttemptErrorShape {
        kind: kind.to_owned(),
        message,
        class: class.to_owned(),
        ..AttemptErrorShape::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(written: &[u8], format: OutputFormat) -> String {
        let mut stdout = Stdout::default();
        for chunk in written.chunks(8 * 1024) {
            stdout.take(chunk);
        }
        match stdout.output(format) {
            Ok(output) => output.get().to_owned(),
            Err(error) => format!("{} {}", error.kind, error.class),
        }
    }

    #[test]
    fn json_is_taken_as_it_was_written_and_nothing_is_an_empty_object() {
        let written = b"\n {\"b\": 1.50,\"a\":[]}\r\n";
        assert_eq!(read(written, OutputFormat::Json), r#"{"b": 1.50,"a":[]}"#);
        assert_eq!(read(b" \n", OutputFormat::Json), "{}");
        assert_eq!(read(b"12345678901234567890123", OutputFormat::Json), "12345678901234567890123");
    }

    #[test]
    fn what_is_not_json_is_said_and_not_guessed() {
        let wrong: [&[u8]; 7] = [
            b"two words\n",
            b"NaN",
            b"{\"a\": NaN}",
            b"\xef\xbb\xbf{}",
            b"loading\n{\"a\": 1}",
            b"{\"a\": 1}{\"b\": 2}",
            b"{\"a\": 1",
        ];
        for written in wrong {
            let shown = String::from_utf8_lossy(written);
            assert_eq!(read(written, OutputFormat::Json), "output_not_json data", "{shown}");
        }
        for format in [OutputFormat::Json, OutputFormat::Text] {
            assert_eq!(read(b"\"caf\xe9\"", format), "output_not_utf8 data");
        }
    }

    #[test]
    fn text_is_wrapped_whole() {
        assert_eq!(read(b"two words\n", OutputFormat::Text), r#"{"stdout":"two words\n"}"#);
        assert_eq!(read(b"7", OutputFormat::Text), r#"{"stdout":"7"}"#);
        assert_eq!(read(b"", OutputFormat::Text), r#"{"stdout":""}"#);
    }

    #[test]
    fn an_output_of_exactly_the_bound_may_end_its_line() {
        let exact = format!("\"{}\"", "x".repeat(OUTPUT_BYTES_MAX - 2));
        assert_eq!(read(format!("{exact}\n").as_bytes(), OutputFormat::Json), exact);
        let ended = format!("{exact}{}", "\r\n".repeat(MARGIN_BYTES));
        assert_eq!(read(ended.as_bytes(), OutputFormat::Json), exact);
        let longer = format!("\"{}\"\n", "x".repeat(OUTPUT_BYTES_MAX - 1));
        assert_eq!(read(longer.as_bytes(), OutputFormat::Json), "output_too_large validation");
        let much = "x".repeat(OUTPUT_BYTES_MAX * 2);
        for format in [OutputFormat::Json, OutputFormat::Text] {
            assert_eq!(read(much.as_bytes(), format), "output_too_large validation");
        }
    }
}
