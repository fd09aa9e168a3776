//! Where commands write: data to standard output, everything said to people to standard error.
//!
//! Always: data goes out whole lines at a time and its errors are returned; a message that cannot be written is
//! dropped, for nobody is left to read it. Colour only on a terminal and never when `NO_COLOR` is set to
//! something. Absent: any decision about what is said.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};

use clap::ValueEnum;
use serde::Serialize;

use super::failure::Failure;

/// How data is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    /// Aligned columns for people.
    #[default]
    Table,
    /// One JSON document for programs.
    Json,
}

/// The two streams of a command. Clones share them.
#[derive(Clone)]
pub(crate) struct Console {
    out: Arc<Mutex<Box<dyn Write + Send>>>,
    err: Arc<Mutex<Box<dyn Write + Send>>>,
    terminal: bool,
    colour: bool,
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console").field("terminal", &self.terminal).finish_non_exhaustive()
    }
}

impl Console {
    /// The streams of this process.
    pub(crate) fn of_process() -> Self {
        let terminal = io::stderr().is_terminal();
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        Self {
            out: Arc::new(Mutex::new(Box::new(io::stdout()))),
            err: Arc::new(Mutex::new(Box::new(io::stderr()))),
            terminal: terminal && !dumb,
            colour: terminal && !dumb && !no_colour,
        }
    }

    /// Streams given by the caller, taken for a file, not a terminal.
    #[cfg(test)]
    pub(crate) fn of(out: impl Write + Send + 'static, err: impl Write + Send + 'static) -> Self {
        Self {
            out: Arc::new(Mutex::new(Box::new(out))),
            err: Arc::new(Mutex::new(Box::new(err))),
            terminal: false,
            colour: false,
        }
    }

    /// Whether messages go to a terminal, so that lines may be drawn again.
    pub(crate) fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Writes one line of data.
    ///
    /// # Errors
    /// [`Failure::Output`] when standard output cannot be written.
    pub(crate) fn data(&self, line: &str) -> Result<(), Failure> {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(out, "{line}")?;
        out.flush()?;
        Ok(())
    }

    /// Writes a JSON document, indented, as data.
    ///
    /// # Errors
    /// [`Failure::Output`] when standard output cannot be written.
    pub(crate) fn json<T: Serialize>(&self, document: &T) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(document).map_err(io::Error::from)?;
        self.data(&text)
    }

    /// Writes rows as aligned columns, the first one being the heading.
    ///
    /// # Errors
    /// [`Failure::Output`] when standard output cannot be written.
    pub(crate) fn table(&self, rows: &[Vec<String>]) -> Result<(), Failure> {
        let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
        let width = |column: usize| {
            rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
        };
        let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
        for row in rows {
            let cells: Vec<String> =
                row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
            self.data(cells.join("  ").trim_end())?;
        }
        Ok(())
    }

    /// Says one line to the person at the terminal.
    pub(crate) fn say(&self, line: &str) {
        self.raw(&format!("{line}\n"));
    }

    /// Writes to the terminal without a line end: for what is drawn again in place.
    pub(crate) fn raw(&self, text: &str) {
        let mut err = self.err.lock().unwrap_or_else(PoisonError::into_inner);
        if err.write_all(text.as_bytes()).and_then(|()| err.flush()).is_err() {
            // Nobody reads any more; the command goes on and its exit code tells.
        }
    }

    /// The text in the colour of a status word, or as it is where colour is not wanted.
    pub(crate) fn coloured(&self, status: &str, text: &str) -> String {
        let code = match status {
            "completed" | "ok" => "32",
            "failed" | "timeout" | "aborted" | "error" => "31",
            "running" | "scheduled" | "recovering" => "36",
            "retrying" | "paused" | "waiting" | "compensating" => "33",
            "cancelled" | "skipped" | "pending" => "2",
            _ => return text.to_owned(),
        };
        if self.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}
