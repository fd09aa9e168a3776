//! A bar that shows how far something is, on a terminal; elsewhere nothing is drawn.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::console::Console;

/// What a bar counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BarUnit {
    /// Counted in bytes.
    Bytes,
    Streams,
}

/// A bar, or none.
#[derive(Debug)]
pub struct Bar(Option<ProgressBar>);

impl Bar {
    /// A bar at its beginning.
    pub fn begin(console: &Console, what: &str, unit: BarUnit) -> Self {
        if !console.is_terminal() {
            return Self(None);
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        let template = match unit {
            BarUnit::Bytes => "{prefix} {wide_bar} {bytes} of {total_bytes}",
            BarUnit::Streams => "{prefix} {wide_bar} {human_pos} of {human_len} streams",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_prefix(what.to_owned());
        Self(Some(bar))
    }

    /// So much is done, of so much.
    pub fn set(&self, done: u64, all: u64) {
        if let Some(bar) = &self.0 {
            bar.set_length(all.max(done));
            bar.set_position(done);
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
