//! A document as GitHub-flavoured Markdown.

use std::fmt::Write;

use super::blocks::{Block, Document, Table};

/// The document; of drawings their numbers stay where they are a table, else their captions.
pub fn markdown(document: &Document) -> String {
    let mut text = format!("# {}\n", escape(&document.title));
    for block in &document.blocks {
        text.push('\n');
        match block {
            Block::Heading(heading) => text += &format!("## {}\n", escape(heading)),
            Block::Text(words) => text += &format!("{}\n", escape(words)),
            Block::Table(table) => text += &rows(table),
            Block::Code(code) => text += &fenced(code),
            Block::Figure { numbers: Some(table), .. } => text += &rows(table),
            Block::Figure { caption, .. } => text += &format!("*Figure: {}*\n", escape(caption)),
        }
    }
    text
}

/// Between fences that are longer than any row of grave accents in it.
fn fenced(code: &str) -> String {
    let longest = code.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat((longest + 1).max(3));
    format!("{fence}toml\n{}\n{fence}\n", code.trim_end())
}

fn rows(table: &Table) -> String {
    let mut text = format!("*{}*\n\n", escape(&table.caption));
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    text += &line(table.columns.iter().map(|column| escape(&column.name)).collect());
    text += &line(table.columns.iter().map(|column| if column.number { "--:" } else { "---" }.to_owned()).collect());
    for row in &table.rows {
        let strong = |cell: &String| match escape(cell) {
            cell if row.strong && !cell.is_empty() => format!("**{cell}**"),
            cell => cell,
        };
        text += &line(row.cells.iter().map(strong).collect());
    }
    text
}

/// What has a meaning in Markdown, a table or HTML is written as itself; control characters as their codes.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' => out.push(' '),
            '|' | '*' | '_' | '`' | '[' | ']' | '\\' | '<' | '>' | '#' | '&' | '~' => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => {
                // Writing to a string cannot fail.
                let _ = write!(out, "{}", c.escape_default());
            }
            c => out.push(c),
        }
    }
    out
}
