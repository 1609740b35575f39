//! Words for people, on stderr: the agent keeps them in `log.txt`, nothing parses them.

use std::fmt::Display;

/// Writes one line to stderr.
#[expect(clippy::print_stderr, reason = "the one place where the trainer talks to people")]
pub fn say(words: impl Display) {
    eprintln!("sweep-trainer: {words}");
}
