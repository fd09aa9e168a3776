//! The bar that shows how far a run is, on a terminal; elsewhere nothing is drawn.

use std::cell::RefCell;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::shapes::Variant;

/// One bar after the other.
#[derive(Debug)]
pub(super) struct Progress {
    terminal: bool,
    bar: RefCell<Option<ProgressBar>>,
}

impl Progress {
    /// Nothing is drawn yet.
    pub(super) fn new(terminal: bool) -> Self {
        Self { terminal, bar: RefCell::new(None) }
    }

    /// A new bar for something that takes `whole`.
    pub(super) fn begin(&self, variant: &Variant, whole: Duration) {
        if !self.terminal {
            return;
        }
        let length = u64::try_from(whole.as_millis()).unwrap_or(u64::MAX);
        let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{prefix:40} {wide_bar} {msg:>16}") {
            bar.set_style(style);
        }
        bar.set_prefix(format!("{} {}", variant.shape, variant.name));
        *self.bar.borrow_mut() = Some(bar);
    }

    /// So much time has passed, and so many steps were done in it.
    pub(super) fn tick(&self, passed: Duration, steps: u64) {
        if let Some(bar) = &*self.bar.borrow() {
            let millis = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX);
            bar.inc(millis);
            bar.set_message(format!("{} steps/s", steps * 1_000 / millis.max(1)));
        }
    }

    /// The bar goes away; its figures come in the table.
    pub(super) fn end(&self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}
