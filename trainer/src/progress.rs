//! How far a long job has come, on stderr: one line that is rewritten on a terminal, a line now and
//! then elsewhere, nothing for a job that is over at once.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use crate::log::say;

/// Nothing is said before.
const FIRST: Duration = Duration::from_secs(1);
/// Between two lines on a terminal.
const REWRITE: Duration = Duration::from_millis(200);
/// Between two lines in a log.
const REPEAT: Duration = Duration::from_secs(10);

/// A job of a known length.
#[derive(Debug)]
pub struct Progress {
    what: &'static str,
    total: usize,
    began: Instant,
    next: Duration,
    terminal: bool,
    drawn: bool,
}

impl Progress {
    /// A job that begins now: `what` is done to `total` things.
    pub fn new(what: &'static str, total: usize) -> Self {
        let terminal = io::stderr().is_terminal();
        let next = if terminal { FIRST } else { REPEAT };
        Self { what, total, began: Instant::now(), next, terminal, drawn: false }
    }

    /// `done` of them are done.
    pub fn at(&mut self, done: usize) {
        let time = self.began.elapsed();
        if time < self.next {
            return;
        }
        let words = words(self.what, done, self.total, time);
        if self.terminal {
            self.next = time + REWRITE;
            self.drawn = true;
            // Clears to the end of the line: what stood there may have been longer.
            write!(io::stderr(), "\r{words}\x1b[K").ok();
        } else {
            self.next = time + REPEAT;
            say(words);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.drawn {
            write!(io::stderr(), "\r\x1b[K").ok();
        }
    }
}

fn words(what: &str, done: usize, total: usize, time: Duration) -> String {
    let rate = done as f64 / time.as_secs_f64();
    let left = if done == 0 { 0.0 } else { (total.saturating_sub(done)) as f64 / rate };
    format!("{what}: {done} of {total} ({}%), {rate:.0}/s, {left:.0} s left", 100 * done / total.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_say_how_far_how_fast_and_how_long() {
        assert_eq!(
            words("looking at images", 500, 2000, Duration::from_secs(5)),
            "looking at images: 500 of 2000 (25%), 100/s, 15 s left"
        );
        assert_eq!(words("x", 0, 0, Duration::from_secs(5)), "x: 0 of 0 (0%), 0/s, 0 s left");
    }
}
