//! Reads a document that was named on the command line: plain or gzipped, `-` for standard input. Absent: what is in
//! it.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// A file is not read beyond this, also when its compressed form is small. Real ones have a few MB.
const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Reads a file, or standard input for `-`, and unpacks it when it is gzipped.
///
/// # Errors
/// When it cannot be read, or is longer than any recorded workflow.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let stream: Box<dyn Read> = if path == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        Box::new(File::open(path)?)
    };
    let bytes = bounded(stream)?;
    if bytes.starts_with(&[0x1f, 0x8b]) {
        bounded(flate2::read::MultiGzDecoder::new(&bytes[..]))
    } else {
        Ok(bytes)
    }
}

fn bounded(stream: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    stream.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other(format!("longer than {FILE_BYTES_MAX} bytes")));
    }
    Ok(bytes)
}
