//! Tables for people: aligned columns, no borders, so that `grep` and `awk` still work on them.

use std::borrow::Cow;
use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

use super::{paint, safe};

/// Rows under a header.
#[derive(Debug, Default)]
pub(crate) struct Table {
    header: Vec<Cell>,
    rows: Vec<Vec<Cell>>,
}

/// One field of a table.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    text: String,
    style: Style,
    right: bool,
}

impl Cell {
    /// Text, aligned left.
    pub(crate) fn new(text: impl AsRef<str>) -> Self {
        let text = safe(text.as_ref()).into_owned();
        Self { text, style: Style::new(), right: false }
    }

    /// A number, aligned right.
    pub(crate) fn number(text: impl ToString) -> Self {
        Self { right: true, ..Self::new(text.to_string()) }
    }

    /// A state, in its colour.
    pub(crate) fn state(name: &str) -> Self {
        let style = match name {
            "completed" | "reachable" => AnsiColor::Green.on_default(),
            "failed" | "unreachable" | "gone" => AnsiColor::Red.on_default(),
            "running" => AnsiColor::Cyan.on_default(),
            "backoff" | "cancelled" | "paused" | "suspended" => AnsiColor::Yellow.on_default(),
            _ => Style::new(),
        };
        Self { style, ..Self::new(name) }
    }

    /// The same in bold.
    pub(crate) fn bold(self) -> Self {
        Self { style: self.style.bold(), ..self }
    }

    fn width(&self) -> usize {
        self.text.chars().count()
    }
}

impl Table {
    /// A table with these columns; the alignment of a header follows its column.
    pub(crate) fn new<'a>(header: impl IntoIterator<Item = &'a str>) -> Self {
        let header = header.into_iter().map(|name| Cell::new(name).bold()).collect();
        Self { header, rows: Vec::new() }
    }

    /// Adds a row; short rows are filled with nothing.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Writes it. With a width, the widest columns that are aligned left give way until it fits.
    pub(super) fn write(&self, out: &mut dyn Write, width: Option<usize>, colour: bool) -> io::Result<()> {
        let columns = self.rows.iter().map(Vec::len).chain([self.header.len()]).max().unwrap_or_default();
        let mut widths = vec![0; columns];
        let mut right = vec![false; columns];
        for row in self.rows.iter().chain([&self.header]) {
            for (index, cell) in row.iter().enumerate() {
                widths[index] = widths[index].max(cell.width());
                right[index] |= cell.right;
            }
        }
        if let Some(width) = width {
            shrink(&mut widths, &right, width);
        }
        for row in std::iter::once(&self.header).filter(|header| !header.is_empty()).chain(&self.rows) {
            let mut line = String::new();
            let mut pending = 0;
            for (index, cell) in row.iter().enumerate() {
                let text = cut(&cell.text, widths[index]);
                let pad = widths[index] - text.chars().count();
                let before = pending + if right[index] { pad } else { 0 };
                line.extend(std::iter::repeat_n(' ', before));
                line.push_str(&paint(&text, cell.style, colour && cell.style != Style::new()));
                // Spaces are written only before something, so that no line ends with one.
                pending = 2 + if right[index] { 0 } else { pad };
            }
            writeln!(out, "{}", line.trim_end_matches(' '))?;
        }
        Ok(())
    }
}

/// Takes from the widest left-aligned columns, never below eight characters.
fn shrink(widths: &mut [usize], right: &[bool], limit: usize) {
    loop {
        let total = widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1);
        if total <= limit {
            return;
        }
        let widest = (0..widths.len()).filter(|index| !right[*index]).max_by_key(|index| widths[*index]);
        match widest {
            Some(index) if widths[index] > 8 => widths[index] -= 1,
            _ => return,
        }
    }
}

fn cut(text: &str, width: usize) -> Cow<'_, str> {
    if text.chars().count() <= width {
        return Cow::Borrowed(text);
    }
    let mut short: String = text.chars().take(width.saturating_sub(1)).collect();
    short.push('…');
    Cow::Owned(short)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(table: &Table, width: Option<usize>) -> String {
        let mut out = Vec::new();
        table.write(&mut out, width, false).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_line_up_and_lines_have_no_trailing_space() {
        let mut table = Table::new(["name", "n", "note"]);
        table.row([Cell::new("a"), Cell::number(5), Cell::new("")]);
        table.row([Cell::new("longer"), Cell::number(12), Cell::new("x\n\u{1b}[31my")]);
        assert_eq!(render(&table, None), "name     n  note\na        5\nlonger  12  x\\n\\u{1b}[31my\n");
    }

    #[test]
    fn a_narrow_terminal_shortens_the_widest_text_and_a_pipe_nothing() {
        let mut table = Table::new(["id", "text"]);
        table.row([Cell::new("3f9a01c2"), Cell::new("a very long text that does not fit")]);
        assert_eq!(render(&table, Some(20)), "id        text\n3f9a01c2  a very lo…\n");
        assert!(render(&table, None).contains("does not fit"));
    }
}
