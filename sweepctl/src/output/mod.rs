//! The only place where anything is printed: data on standard output, words on standard error.
//! Knows terminals, colour and closed pipes; what is said is left to the commands.

mod diagnostic;
mod json;
mod progress;
mod table;
mod words;

use std::io::{self, BufWriter, IsTerminal, Write};

use anstyle::{AnsiColor, Style};

use crate::cli::{Color, Format, Shape};
use crate::config::Config;
use crate::fault::Fault;

pub(crate) use diagnostic::{Source, as_json as diagnostic_json, render as diagnostic};
pub(crate) use json::{Listing, csv_row, with_version};
pub(crate) use progress::Progress;
pub(crate) use table::{Cell, Table, cut};
pub(crate) use words::{
    ago, bytes, kwh, kwh_in_words, number, number_with_spread, percent, percent_with_spread, safe, safe_json, span,
    stamp, tidy,
};

/// Where output goes and how it looks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Out {
    /// Form of the data.
    pub(crate) format: Format,
    quiet: bool,
    colour_out: bool,
    colour_err: bool,
    tty_out: bool,
    tty_err: bool,
}

impl Out {
    /// For a command that takes `shape`.
    pub(crate) fn new(config: &Config, quiet: bool, shape: Option<&Shape>) -> Self {
        let (tty_out, tty_err) = (io::stdout().is_terminal(), io::stderr().is_terminal());
        let asked = |auto: anstream::ColorChoice| match config.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => auto != anstream::ColorChoice::Never,
        };
        Self {
            format: shape.and_then(Shape::format).unwrap_or(config.format),
            quiet,
            colour_out: asked(anstream::AutoStream::choice(&io::stdout())),
            colour_err: asked(anstream::AutoStream::choice(&io::stderr())),
            tty_out,
            tty_err,
        }
    }

    /// Before any configuration is known: for errors about the configuration.
    pub(crate) fn plain() -> Self {
        let (tty_out, tty_err) = (io::stdout().is_terminal(), io::stderr().is_terminal());
        let [colour_out, colour_err] = [false; 2];
        Self { format: Format::Table, quiet: false, colour_out, colour_err, tty_out, tty_err }
    }

    /// Whether standard output is a terminal.
    pub(crate) fn is_terminal(&self) -> bool {
        self.tty_out
    }

    /// Whether nothing but data and errors is wanted.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Whether a progress bar makes sense.
    pub(crate) fn shows_progress(&self) -> bool {
        self.tty_err && !self.quiet
    }

    /// Whether diagnostics may have colour.
    pub(crate) fn colours_words(&self) -> bool {
        self.colour_err
    }

    /// Data, as it is.
    pub(crate) fn print(&self, data: impl AsRef<[u8]>) -> Result<(), Fault> {
        self.write(|out| out.write_all(data.as_ref()))
    }

    /// Data that is written piece by piece, buffered.
    pub(crate) fn write(&self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Fault> {
        let mut out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
        write(&mut out).and_then(|()| out.flush()).map_err(Fault::output)
    }

    /// A table; fitted to a terminal, never shortened for a pipe.
    pub(crate) fn table(&self, table: &Table) -> Result<(), Fault> {
        let width = if self.tty_out { terminal_width() } else { None };
        self.write(|out| table.write(out, width, self.colour_out))
    }

    /// Columns and lines of the terminal on standard output, if it is one that says.
    pub(crate) fn screen(&self) -> Option<(usize, usize)> {
        if self.tty_out { terminal() } else { None }
    }

    /// To be filled piece by piece and printed as a whole.
    pub(crate) fn page(&self) -> Page {
        let width = if self.tty_out { terminal_width() } else { None };
        Page { text: Vec::new(), width, colour: self.colour_out }
    }

    /// One JSON document on a line of its own, with `schema_version`.
    pub(crate) fn json(&self, value: &impl serde::Serialize) -> Result<(), Fault> {
        let text = with_version(value);
        self.write(|out| writeln!(out, "{text}"))
    }

    /// Words for people; nothing with `--quiet`.
    pub(crate) fn note(&self, text: impl AsRef<str>) {
        if !self.quiet {
            self.words(text.as_ref());
        }
    }

    /// Words that matter also with `--quiet`.
    pub(crate) fn warn(&self, text: impl AsRef<str>) {
        let label = self.paint_err("warning", AnsiColor::Yellow.on_default().bold());
        self.words(&format!("{label}: {}", text.as_ref()));
    }

    /// Text that is already laid out for standard error.
    pub(crate) fn words(&self, text: &str) {
        // Nobody can be told that standard error does not work.
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// What went wrong, why, and what to do.
    pub(crate) fn fault(&self, fault: &Fault) {
        if fault.is_silent() {
            return;
        }
        let label = self.paint_err("error", AnsiColor::Red.on_default().bold());
        let mut text = tidy(&fault.to_string()).into_owned();
        // The last source says what happened; those between only say that something did.
        let mut source = std::error::Error::source(fault);
        while let Some(inner) = source.and_then(std::error::Error::source) {
            source = Some(inner);
        }
        if let Some(source) = source.filter(|_| !matches!(fault, Fault::Status { .. })) {
            text = format!("{text}: {}", safe(source.to_string().trim_end()));
        }
        if let Fault::Status { reason: Some(reason), .. } = fault {
            text = format!("{text} [{}]", safe(reason));
        }
        self.words(&format!("{label}: {text}"));
        if let Some(hint) = fault.hint() {
            let label = self.paint_err("hint", AnsiColor::Cyan.on_default().bold());
            self.words(&format!("{label}: {hint}"));
        }
    }

    fn paint_err(&self, text: &str, style: Style) -> String {
        paint(text, style, self.colour_err)
    }
}

/// Data with tables, for standard output or a file.
#[derive(Debug, Default)]
pub(crate) struct Page {
    text: Vec<u8>,
    width: Option<usize>,
    colour: bool,
}

impl Page {
    /// For a file: without colour, as wide as it is.
    pub(crate) fn plain() -> Self {
        Self::default()
    }

    pub(crate) fn print(&mut self, text: impl AsRef<[u8]>) {
        self.text.extend_from_slice(text.as_ref());
    }

    pub(crate) fn table(&mut self, table: &Table) -> Result<(), Fault> {
        table.write(&mut self.text, self.width, self.colour).map_err(Fault::output)
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.text
    }
}

/// Colour, if it is wanted.
fn paint(text: &str, style: Style, colour: bool) -> String {
    if colour { format!("{style}{text}{style:#}") } else { text.to_owned() }
}

fn terminal_width() -> Option<usize> {
    terminal().map(|(width, _)| width)
}

/// Columns and lines of the terminal; nothing where it does not say.
fn terminal() -> Option<(usize, usize)> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    (size.ws_col > 0).then_some((usize::from(size.ws_col), usize::from(size.ws_row)))
}
