//! A document as LaTeX that pdflatex, lualatex and xelatex read with nothing but `booktabs`, `longtable`, `geometry`, `graphicx` and
//! `textcomp`: one file, drawings included.

use super::blocks::{Block, Document, Table};
use crate::report::figures::PREAMBLE;

const HEAD: &str = r"\documentclass[10pt]{article}
\usepackage[utf8]{inputenc}
\usepackage[T1]{fontenc}
\usepackage{textcomp}
\usepackage[a4paper,landscape,margin=15mm]{geometry}
\usepackage{booktabs}
\usepackage{longtable}
\setlength{\tabcolsep}{3.5pt}
\setlength{\LTleft}{0pt}
\setlength{\LTright}{\fill}
\setlength{\LTpre}{4pt}
\setlength{\parindent}{0pt}
\setlength{\parskip}{6pt}
\emergencystretch=3em
";

/// Text columns this long break into lines, characters.
const LONG: usize = 48;
/// Columns beside which a long text has less of the line.
const MANY: usize = 10;

/// The document.
pub fn latex(document: &Document) -> String {
    let mut text = format!(
        "{HEAD}{PREAMBLE}\\title{{{}}}\n\\date{{}}\n\\begin{{document}}\n\\maketitle\n",
        escape(&document.title)
    );
    for block in &document.blocks {
        match block {
            Block::Heading(heading) => text += &format!("\n\\section*{{{}}}\n", escape(heading)),
            Block::Text(words) => text += &format!("\n{}\n", escape(words)),
            Block::Table(table) => text += &rows(table),
            Block::Code(code) => text += &listing(code),
            Block::Figure { caption, tex, .. } => {
                // A picture and its caption stay on one page.
                text += &format!(
                    "\n\\begin{{minipage}}{{\\linewidth}}\\vspace{{6pt}}\n\\noindent {tex}\n\\emph{{{}}}\n\\end{{minipage}}\n",
                    escape(caption)
                );
            }
        }
    }
    text + "\n\\end{document}\n"
}

fn rows(table: &Table) -> String {
    let longest = |column: usize| table.rows.iter().map(|row| row.cells[column].chars().count()).max().unwrap_or(0);
    // Beside many numbers less is left of the line.
    let share = if table.columns.len() > MANY { 0.35 } else { 0.55 };
    let kind = |(at, column): (usize, &super::Column)| match (column.number, longest(at) > LONG) {
        (true, _) => "r".to_owned(),
        (false, false) => "l".to_owned(),
        (false, true) => format!("p{{{share}\\linewidth}}"),
    };
    let kinds: String = table.columns.iter().enumerate().map(kind).collect();
    // Wide tables in smaller type: each column takes at least as much as its header or a number.
    let width: usize = (table.columns.iter().enumerate())
        .map(|(at, column)| longest(at).min(LONG).max(column.name.chars().count()) + 2)
        .sum();
    let size = match width {
        0..130 => "footnotesize",
        130..170 => "scriptsize",
        _ => "tiny",
    };
    let line = |cells: Vec<String>| format!("{} \\\\\n", cells.join(" & "));
    let header = line(table.columns.iter().map(|column| format!("\\textbf{{{}}}", escape(&column.name))).collect());
    let caption = escape(&table.caption);
    let mut text =
        format!("\n\\emph{{{caption}}}\\nopagebreak\n\n{{\\{size}\n\\begin{{longtable}}{{@{{}}{kinds}@{{}}}}\n");
    text += &format!(
        "\\toprule\n{header}\\midrule\n\\endfirsthead\n\\toprule\n{header}\\midrule\n\\endhead\n\\bottomrule\n\\endfoot\n"
    );
    for row in &table.rows {
        let strong = |cell: &String| match escape(cell) {
            cell if row.strong && !cell.is_empty() => format!("\\textbf{{{cell}}}"),
            cell => cell,
        };
        text += &line(row.cells.iter().map(strong).collect());
    }
    text + "\\end{longtable}}\n"
}

/// Line by line in type of one width, spaces and signs as they are.
fn listing(code: &str) -> String {
    let line = |line: &str| match line.trim_end() {
        "" => "\\mbox{}\\\\\n".to_owned(),
        line => {
            let plain = |c: char| match c {
                ' ' => "\\ ".to_owned(),
                // Two in a row would be joined.
                '-' | ',' => format!("{c}{{}}"),
                '\'' => "\\textquotesingle{}".to_owned(),
                '`' => "\\textasciigrave{}".to_owned(),
                c => escape(c.encode_utf8(&mut [0; 4])),
            };
            format!("\\mbox{{}}{}\\\\\n", line.chars().map(plain).collect::<String>())
        }
    };
    let lines: String = code.trim_end().lines().map(line).collect();
    format!("\n{{\\footnotesize\\ttfamily\n{lines}\\par}}\n")
}

/// What has a meaning in TeX as itself, the signs that the report uses as theirs; other characters that T1 fonts may not have
/// as their code points, so that every text compiles.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\textbackslash{}"),
            '{' | '}' | '$' | '&' | '#' | '%' | '_' => {
                out.push('\\');
                out.push(c);
            }
            '^' => out.push_str("\\textasciicircum{}"),
            '~' => out.push_str("\\textasciitilde{}"),
            '<' => out.push_str("\\textless{}"),
            '>' => out.push_str("\\textgreater{}"),
            '|' => out.push_str("\\textbar{}"),
            '"' => out.push_str("\\textquotedbl{}"),
            // Brackets after a line break would be taken for its argument.
            '[' => out.push_str("{[}"),
            ']' => out.push_str("{]}"),
            '±' => out.push_str("$\\pm$"),
            '×' => out.push_str("$\\times$"),
            '·' => out.push_str("$\\cdot$"),
            'Δ' => out.push_str("$\\Delta$"),
            'η' => out.push_str("$\\eta$"),
            '²' => out.push_str("\\textsuperscript{2}"),
            '…' => out.push_str("\\dots{}"),
            c if c.is_control() => out.push(' '),
            c if c.is_ascii() || ('\u{c0}'..='\u{ff}').contains(&c) => out.push(c),
            c => out.push_str(&format!("U+{:04X}", u32::from(c))),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With twelve columns of numbers a table of costs left the paper.
    #[test]
    fn a_long_text_leaves_room_for_the_numbers_beside_it() {
        let of = |numbers: usize| {
            let mut table = Table::new("Cost", ["point", "settings"], vec!["kWh"; numbers]);
            let cells = ["0".to_owned(), "x".repeat(LONG + 1)].into_iter();
            table.row(false, cells.chain(std::iter::repeat_n("1".to_owned(), numbers)));
            rows(&table)
        };
        assert!(of(8).contains("{@{}lp{0.55\\linewidth}rrrr"), "{}", of(8));
        assert!(of(10).contains("{@{}lp{0.35\\linewidth}rrrr"), "{}", of(10));
    }
}
