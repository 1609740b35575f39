//! A document as one HTML file: no scripts, nothing fetched, light and dark, readable when printed.

use super::blocks::{Block, Document, Table};
use crate::report::figures::{escape, style};

const PAGE: &str = "\
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#59636e;--page:#fff;--rule:#d4d9df;--head:#f3f5f7;--strong:#eaf3fb}
@media (prefers-color-scheme:dark){:root{--ink:#e4e7eb;--soft:#9aa4af;--page:#15181c;--rule:#353b43;--head:#1d2127;--strong:#182a3a}}
*{box-sizing:border-box}body{margin:0 auto;max-width:1240px;padding:24px 20px 64px;background:var(--page);color:var(--ink);
font:16px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif}
h1{font-size:1.7rem;margin:.2em 0 .4em}h2{font-size:1.2rem;margin:2em 0 .5em;padding-top:.4em;border-top:1px solid var(--rule)}
p{max-width:78ch}nav{font-size:.9rem;color:var(--soft)}nav a{color:inherit;margin-right:1em;white-space:nowrap}
.wide{overflow-x:auto;margin:.4em 0 1.2em}table{border-collapse:collapse;font-size:.84rem;font-variant-numeric:tabular-nums}
.caption{color:var(--soft);font-size:.9rem;margin:1em 0 .3em}
th,td{padding:.26em .55em;border-bottom:1px solid var(--rule);text-align:left;vertical-align:top;white-space:nowrap}
td.long{white-space:normal;min-width:22em;overflow-wrap:anywhere}
th{background:var(--head);font-weight:600}.n{text-align:right}tr.strong td{background:var(--strong);font-weight:600}
pre{background:var(--head);padding:.8em 1em;overflow-x:auto;font-size:.84rem}
figure{margin:.6em 0 1.6em}figcaption{color:var(--soft);font-size:.9rem;max-width:78ch}svg.fig{max-width:100%;height:auto}
footer{margin-top:3em;color:var(--soft);font-size:.85rem}
@media print{body{max-width:none}h2{break-after:avoid}figure,tr{break-inside:avoid}nav{display:none}}
";

/// The document.
pub fn html(document: &Document) -> String {
    let title = escape(&document.title);
    let headings = document.blocks.iter().filter_map(|block| match block {
        Block::Heading(text) => Some(format!("<a href=\"#{}\">{}</a>", anchor(text), escape(text))),
        _ => None,
    });
    let mut text = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n\
         <style>\n{PAGE}{}</style>\n</head>\n<body>\n<h1>{title}</h1>\n<nav>{}</nav>\n",
        style(),
        headings.collect::<Vec<_>>().join("\n")
    );
    for block in &document.blocks {
        match block {
            Block::Heading(heading) => {
                text += &format!("<h2 id=\"{}\">{}</h2>\n", anchor(heading), escape(heading));
            }
            Block::Text(words) => text += &format!("<p>{}</p>\n", escape(words)),
            Block::Table(table) => text += &rows(table),
            Block::Code(code) => {
                let lines: Vec<String> = code.lines().map(escape).collect();
                text += &format!("<pre>{}</pre>\n", lines.join("\n"));
            }
            Block::Figure { caption, svg, .. } => {
                text += &format!("<figure>\n{svg}<figcaption>{}</figcaption>\n</figure>\n", escape(caption));
            }
        }
    }
    text + "<footer>Written by sweepctl.</footer>\n</body>\n</html>\n"
}

fn rows(table: &Table) -> String {
    let mut text = format!(
        "<p class=\"caption\">{0}</p>\n<div class=\"wide\"><table aria-label=\"{0}\">\n<thead><tr>",
        escape(&table.caption)
    );
    for column in &table.columns {
        let class = if column.number { " class=\"n\"" } else { "" };
        text += &format!("<th scope=\"col\"{class}>{}</th>", escape(&column.name));
    }
    text += "</tr></thead>\n<tbody>\n";
    for row in &table.rows {
        text += if row.strong { "<tr class=\"strong\">" } else { "<tr>" };
        for (cell, column) in row.cells.iter().zip(&table.columns) {
            let class = match (column.number, cell.chars().count() > LONG) {
                (true, _) => " class=\"n\"",
                (false, true) => " class=\"long\"",
                (false, false) => "",
            };
            text += &format!("<td{class}>{}</td>", escape(cell));
        }
        text += "</tr>\n";
    }
    text + "</tbody></table></div>\n"
}

/// Characters after which a cell of text may break.
const LONG: usize = 60;

fn anchor(heading: &str) -> String {
    heading.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect()
}
