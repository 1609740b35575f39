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
    /// Rows that are only counted.
    more: usize,
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
        Self { header, ..Self::default() }
    }

    /// Adds a row; short rows are filled with nothing.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Leaves so many lines of it, header and a line that counts the rest included. A table without rows has its header.
    pub(crate) fn keep(&mut self, lines: usize) {
        if self.lines() <= lines {
            return;
        }
        let left = lines.saturating_sub(2);
        let gone = self.rows.len() - left.min(self.rows.len());
        self.rows.truncate(left);
        self.more = gone;
    }

    /// How many lines it has.
    pub(crate) fn lines(&self) -> usize {
        self.rows.len() + usize::from(!self.header.is_empty()) + usize::from(self.more > 0)
    }

    /// Writes it. With a width no line is longer: the widest columns that are aligned left give way, and what is still too long is cut.
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
            let (mut pending, mut written) = (0, 0);
            for (index, cell) in row.iter().enumerate() {
                let text = cut(&cell.text, widths[index]);
                let pad = widths[index] - text.chars().count();
                let before = pending + if right[index] { pad } else { 0 };
                let room = width.map_or(usize::MAX, |width| width.saturating_sub(written + before));
                let text = cut(&text, room);
                if text.is_empty() {
                    pending = before + if right[index] { 2 } else { pad + 2 };
                    continue;
                }
                line.extend(std::iter::repeat_n(' ', before));
                line.push_str(&paint(&text, cell.style, colour && cell.style != Style::new()));
                written += before + text.chars().count();
                // Spaces are written only before something, so that no line ends with one.
                pending = 2 + if right[index] { 0 } else { pad };
            }
            writeln!(out, "{}", line.trim_end_matches(' '))?;
        }
        if self.more > 0 {
            writeln!(out, "{}", cut(&format!("… {} more", self.more), width.unwrap_or(usize::MAX)))?;
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

/// What fits, with a sign that something is missing.
pub(crate) fn cut(text: &str, width: usize) -> Cow<'_, str> {
    if text.chars().count() <= width {
        return Cow::Borrowed(text);
    }
    if width == 0 {
        return Cow::Borrowed("");
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

    #[test]
    fn no_line_is_longer_than_the_terminal() {
        let mut table = Table::new(["host", "status", "slot", "device", "trial", "sweep", "user", "since"]);
        for slot in 0..40 {
            let words = ["a-very-long-host-name", "reachable"].map(Cell::new);
            let more = ["NVIDIA H100 80GB", "3f9a01c2-1", "imagenette-first", "somebody", "3 h ago"].map(Cell::new);
            table.row(words.into_iter().chain([Cell::number(slot)]).chain(more));
        }
        for width in [200, 80, 60, 40, 20, 10, 1] {
            let text = render(&table, Some(width));
            assert!(text.lines().all(|line| line.chars().count() <= width), "{width}:\n{text}");
            assert!(text.lines().count() == 41 && text.lines().all(|line| !line.ends_with(' ')), "{width}");
        }
    }

    #[test]
    fn rows_that_have_no_room_are_counted() {
        let mut table = Table::new(["n"]);
        (0..20).for_each(|row| table.row([Cell::number(row)]));
        table.keep(21);
        assert_eq!(table.lines(), 21);
        table.keep(6);
        assert_eq!((render(&table, None).as_str(), table.lines()), ("n\n0\n1\n2\n3\n… 16 more\n", 6));
        let mut small = Table::new(["n"]);
        (0..3).for_each(|row| small.row([Cell::number(row)]));
        small.keep(0);
        assert_eq!(render(&small, None), "n\n… 3 more\n", "it is said that there is something");
    }
}
