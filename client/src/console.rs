//! Where commands write: data to standard output, everything said to people to standard error.
//!
//! Always: data goes out whole lines at a time and its errors are returned; a message that cannot be written is
//! dropped, for nobody is left to read it, and one that nobody reads keeps nobody waiting. Control characters of names,
//! messages and reasons never get through: a terminal would obey them, and a line end in a name would make a row that
//! is none ([`plain`]). Colour only on a terminal and never when `NO_COLOR` is set to something. Absent: any decision
//! about what is said.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::ValueEnum;
use serde::Serialize;

use super::failure::CliFailure;

/// How data is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// Aligned columns for people.
    #[default]
    Table,
    /// One JSON document for programs.
    Json,
}

/// How long the end of a command waits for its last words to be read.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The text as a terminal may get it: control characters, and those that change the direction of what follows, are
/// written out, such as `\n` or `\u{1b}`.
pub fn plain(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_obeyed) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        if is_obeyed(letter) {
            shown.extend(letter.escape_default());
        } else {
            shown.push(letter);
        }
    }
    Cow::Owned(shown)
}

/// Whether a terminal does something else with this character than to show it.
fn is_obeyed(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            // Line and paragraph separators; marks, embeddings, overrides and isolates of direction.
            '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}')
}

/// JSON text in which every such character is an escape: outside of strings JSON has none but line ends.
fn plain_json(text: &str) -> Cow<'_, str> {
    let obeyed = |letter: char| is_obeyed(letter) && letter != '\n';
    if !text.chars().any(obeyed) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        // A tab or carriage return can only stand between values, where a space is as good.
        match u32::from(letter) {
            0..0x20 if letter != '\n' => shown.push(' '),
            number if obeyed(letter) => {
                // Writing to a text cannot fail.
                let _ = write!(shown, "\\u{number:04x}");
            }
            _ => shown.push(letter),
        }
    }
    Cow::Owned(shown)
}

/// A message of ours, which may have lines and colours: everything else that a terminal would obey is written out.
fn said(text: &str) -> Cow<'_, str> {
    if !text.chars().any(|letter| is_obeyed(letter) && letter != '\n') {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let colour = COLOURS.iter().find(|colour| rest.starts_with(**colour));
        if let Some(colour) = colour {
            shown.push_str(colour);
            rest = &rest[colour.len()..];
            continue;
        }
        if is_obeyed(letter) && letter != '\n' {
            shown.extend(letter.escape_default());
        } else {
            shown.push(letter);
        }
        rest = &rest[letter.len_utf8()..];
    }
    Cow::Owned(shown)
}

/// The sequences that [`Console::coloured`] writes: good, bad, busy, waiting, faint, and the end of each.
const COLOURS: [&str; 6] =
    ["\u{1b}[32m", "\u{1b}[31m", "\u{1b}[36m", "\u{1b}[33m", "\u{1b}[2m", "\u{1b}[0m"];

/// Where messages go: a stream that keeps nobody waiting.
pub trait Messages: Send + Sync {
    /// Takes text, or loses it.
    fn put(&self, text: &[u8]);

    /// Waits until everything is written or lost, at most so long.
    fn finish(&self, at_most: Duration);
}

/// For what is always ready to be written; an error of it is lost.
#[cfg(test)]
impl<W: Write + Send> Messages for Mutex<W> {
    fn put(&self, text: &[u8]) {
        // Nobody reads any more; the command goes on and its exit code tells.
        let _ = self.lock().unwrap_or_else(PoisonError::into_inner).write_all(text);
    }

    fn finish(&self, _: Duration) {}
}

/// The two streams of a command. Clones share them.
#[derive(Clone)]
pub struct Console {
    out: Arc<Mutex<Box<dyn Write + Send>>>,
    err: Arc<dyn Messages>,
    terminal: bool,
    colour: bool,
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console").field("terminal", &self.terminal).finish_non_exhaustive()
    }
}

impl Console {
    /// The streams of this process; `err` leads to its standard error.
    pub fn of_process(err: Arc<dyn Messages>) -> Self {
        let terminal = io::stderr().is_terminal();
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        Self {
            out: Arc::new(Mutex::new(Box::new(io::stdout()))),
            err,
            terminal: terminal && !dumb,
            colour: terminal && !dumb && !no_colour,
        }
    }

    /// Streams given by the caller, taken for a file, not a terminal.
    #[cfg(test)]
    pub(crate) fn of(out: impl Write + Send + 'static, err: impl Write + Send + 'static) -> Self {
        Self {
            out: Arc::new(Mutex::new(Box::new(out))),
            err: Arc::new(Mutex::new(err)),
            terminal: false,
            colour: false,
        }
    }

    /// Whether messages go to a terminal, so that lines may be drawn again.
    pub fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Writes one line of data.
    ///
    /// # Errors
    /// [`CliFailure::Output`] when standard output cannot be written.
    pub fn data(&self, line: &str) -> Result<(), CliFailure> {
        self.text(&plain(line))
    }

    /// Writes text that this program made, as it is: a document, a script.
    ///
    /// # Errors
    /// [`CliFailure::Output`] when standard output cannot be written.
    pub fn text(&self, line: &str) -> Result<(), CliFailure> {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(out, "{line}")?;
        out.flush()?;
        Ok(())
    }

    /// Writes a JSON document, indented, as data.
    ///
    /// # Errors
    /// [`CliFailure::Output`] when standard output cannot be written.
    pub fn json<T: Serialize>(&self, document: &T) -> Result<(), CliFailure> {
        let text = serde_json::to_string_pretty(document).map_err(io::Error::from)?;
        self.text(&plain_json(&text))
    }

    /// Writes rows as aligned columns, the first one being the heading.
    ///
    /// # Errors
    /// [`CliFailure::Output`] when standard output cannot be written.
    pub fn table(&self, rows: &[Vec<String>]) -> Result<(), CliFailure> {
        let rows: Vec<Vec<Cow<'_, str>>> =
            rows.iter().map(|row| row.iter().map(|cell| plain(cell)).collect()).collect();
        let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
        let width = |column: usize| {
            rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
        };
        let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
        for row in &rows {
            let cells: Vec<String> =
                row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
            self.data(cells.join("  ").trim_end())?;
        }
        Ok(())
    }

    /// Says one line to the person at the terminal.
    pub fn say(&self, line: &str) {
        self.raw(&format!("{}\n", said(line)));
    }

    /// Waits a moment for what was said to be read; before the process ends.
    pub fn finish(&self) {
        self.err.finish(LAST_WORDS);
    }

    /// What a panic says goes the same way: the standard hook would wait for a pipe that nobody reads.
    pub fn take_panics(&self) {
        let console = self.clone();
        std::panic::set_hook(Box::new(move |panic| {
            let thread = std::thread::current();
            console.say(&format!("thread {:?} {panic}", thread.name().unwrap_or("unnamed")));
        }));
    }

    /// Writes to the terminal without a line end: for what is drawn again in place.
    pub fn raw(&self, text: &str) {
        self.err.put(text.as_bytes());
    }

    /// The text in the colour of a status word, or as it is where colour is not wanted.
    pub fn coloured(&self, status: &str, text: &str) -> String {
        let colour = match status {
            "completed" | "ok" => COLOURS[0],
            "failed" | "timeout" | "aborted" | "error" => COLOURS[1],
            "running" | "scheduled" | "recovering" => COLOURS[2],
            "retrying" | "paused" | "waiting" | "compensating" => COLOURS[3],
            "cancelled" | "skipped" | "pending" => COLOURS[4],
            _ => return text.to_owned(),
        };
        if self.colour { format!("{colour}{text}{}", COLOURS[5]) } else { text.to_owned() }
    }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test says what it expects")]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Sink {
        fn text(&self) -> String {
            let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
            String::from_utf8(bytes).expect("text")
        }
    }

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A name that clears the screen, sets a title, forges a row, rings, goes back and turns what follows around.
    const HOSTILE: &str =
        "a\u{1b}[2J\u{1b}]0;x\u{7}\nforged  completed\r\u{9b}31m\u{8}\u{202e}b\u{2028}\u{7f}";

    #[test]
    fn nothing_that_a_terminal_obeys_gets_through_and_no_row_is_forged() {
        let (out, err) = (Sink::default(), Sink::default());
        let console = Console::of(out.clone(), err.clone());
        console.data(HOSTILE).expect("written");
        console.table(&[vec![HOSTILE.to_owned(), "x".to_owned()]]).expect("written");
        console.json(&serde_json::json!({ HOSTILE: [HOSTILE] })).expect("written");
        console.say(&plain(HOSTILE));
        console.say(&format!("{}ok{}", COLOURS[0], COLOURS[5]));
        let shown = out.text();
        assert_eq!(shown.lines().count(), 2 + 5, "{shown:?}");
        assert!(!shown.chars().any(|letter| is_obeyed(letter) && letter != '\n'), "{shown:?}");
        let json: serde_json::Value =
            shown.split_once("{\n").map_or(serde_json::Value::Null, |(_, json)| {
                serde_json::from_str(&format!("{{{json}")).expect("JSON")
            });
        assert_eq!(json[HOSTILE][0], HOSTILE, "JSON says the same in escapes");
        let said = err.text();
        assert!(said.contains("\u{1b}[32mok\u{1b}[0m\n"), "{said:?}");
        assert_eq!(said.lines().count(), 2, "{said:?}");
        assert_eq!(said.matches('\u{1b}').count(), 2, "only our own colours: {said:?}");
    }
}
