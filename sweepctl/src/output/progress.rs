//! The progress bar of `watch`, on standard error.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar that can be drawn or not.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// A bar over `length` steps; drawn only if `shown`.
    pub(crate) fn new(length: u64, shown: bool) -> Self {
        let bar = if shown { ProgressBar::new(length) } else { ProgressBar::hidden() };
        let style = ProgressStyle::with_template("{prefix} [{wide_bar}] {pos}/{len} {msg}")
            .expect("the template is a constant and was tried");
        bar.set_style(style.progress_chars("=> "));
        Self { bar }
    }

    /// A bar over bytes.
    pub(crate) fn bytes(length: u64, shown: bool) -> Self {
        let progress = Self::new(length, shown);
        let style = ProgressStyle::with_template("{prefix} [{wide_bar}] {bytes}/{total_bytes} {bytes_per_sec}")
            .expect("the template is a constant and was tried");
        progress.bar.set_style(style.progress_chars("=> "));
        progress
    }

    /// What stands before the bar.
    pub(crate) fn name(&self, name: &str) {
        self.bar.set_prefix(super::safe(name).into_owned());
    }

    /// Where it is and what stands behind it.
    pub(crate) fn set(&self, position: u64, length: u64, message: String) {
        self.bar.set_length(length);
        self.bar.set_position(position);
        self.bar.set_message(message);
    }

    /// Some steps further.
    pub(crate) fn advance(&self, by: u64) {
        self.bar.inc(by);
    }

    /// Says something while it is off the screen, so that they do not mix.
    pub(crate) fn aside(&self, say: impl FnOnce()) {
        self.bar.suspend(say);
    }

    /// Takes it off the screen.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}
