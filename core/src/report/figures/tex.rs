//! A drawing for LaTeX: lines and areas as PDF operators (PDF 1.7, section 8.5), words as LaTeX sets them. It needs no package for
//! drawing; [`PREAMBLE`] hands the operators to whichever engine runs.

use std::fmt::Write;

use super::canvas::{Canvas, Place, Shape};
use crate::report::document::latex::escape;

/// What a document with drawings needs before its beginning.
pub const PREAMBLE: &str = r"\usepackage{graphicx}
\ifdefined\directlua \def\sweepdraw#1{\pdfextension literal{#1}}
\else\ifdefined\XeTeXversion \def\sweepdraw#1{\special{pdf:content #1}}
\else \def\sweepdraw#1{\pdfliteral{#1}}\fi\fi
";

/// Of a pixel, in PostScript points: 660 pixels are 17 cm.
const UNIT: f64 = 0.75;
/// The distance of a Bézier curve's handles that makes a quarter of a circle, in radii.
const QUARTER: f64 = 0.552_285;
/// As in the style of the SVG: Okabe & Ito (2008).
const COLOURS: [u32; 8] = [0x0072B2, 0xD55E00, 0x009E73, 0xCC79A7, 0xE69F00, 0x56B4E9, 0x777777, 0x8C6D00];
const INK: u32 = 0x1b1f24;

/// The drawing, as a `picture`.
pub(super) fn tex(canvas: &Canvas) -> String {
    let (width, height) = (canvas.width, canvas.height);
    let mut text = format!("{{\\setlength{{\\unitlength}}{{{UNIT}bp}}\n\\begin{{picture}}({width:.0},{height:.0})\n");
    for shape in &canvas.shapes {
        // Writing to a string cannot fail.
        let _ = match shape {
            Shape::Text { class, at, text: words, .. } => put(&mut text, class, (at.0, height - at.1), words),
            Shape::Upright { at: (x, y), text: words } => {
                let words = format!("\\rotatebox{{90}}{{\\makebox[0pt][c]{{{}}}}}", set("", words));
                writeln!(text, "\\put({x:.1},{:.1}){{{words}}}", height - y)
            }
            shape => writeln!(text, "\\put(0,0){{\\sweepdraw{{q {UNIT} 0 0 {UNIT} 0 0 cm {}Q}}}}", draw(shape, height)),
        };
    }
    text + "\\end{picture}}\n"
}

fn put(out: &mut String, class: &str, (x, y): Place, words: &str) -> std::fmt::Result {
    let words = set(class, words);
    let has = |word: &str| class.split(' ').any(|found| found == word);
    match (has("end"), has("middle")) {
        (true, _) => writeln!(out, "\\put({x:.1},{y:.1}){{\\makebox[0pt][r]{{{words}}}}}"),
        (_, true) => writeln!(out, "\\put({x:.1},{y:.1}){{\\makebox[0pt][c]{{{words}}}}}"),
        _ => writeln!(out, "\\put({x:.1},{y:.1}){{{words}}}"),
    }
}

/// Words in the size and weight of their class.
fn set(class: &str, words: &str) -> String {
    let has = |word: &str| class.split(' ').any(|found| found == word);
    let size = if has("small") { 8.2 } else { 9.2 };
    let weight = if has("strong") { "\\bfseries" } else { "" };
    format!("\\fontsize{{{size}}}{{11}}\\selectfont\\sffamily{weight} {}", escape(words))
}

/// How something is drawn: line, area, width, dashes. There is no transparency: colours are mixed with white.
struct Pen {
    stroke: Option<(u32, f64)>,
    fill: Option<(u32, f64)>,
    width: f64,
    dashes: &'static str,
}

fn pen(class: &str, opacity: f64) -> Pen {
    let mut pen = Pen { stroke: None, fill: None, width: 1.0, dashes: "" };
    let mut series = 0;
    let mut faint = opacity;
    for word in class.split(' ') {
        let number =
            || word.get(1..).and_then(|digits| digits.parse::<usize>().ok()).map(|number| number % COLOURS.len());
        match word {
            "axis" => pen.stroke = Some((INK, 0.65)),
            "grid" => pen.stroke = Some((INK, 0.14)),
            "zero" => (pen.stroke, pen.dashes) = (Some((INK, 0.6)), "4 3"),
            "line" => pen.width = 2.0,
            "bar" => pen.width = 2.5,
            "band" => faint = 0.16,
            "faint" => faint = 0.45,
            _ if word.starts_with('c') => {
                series = number().unwrap_or(0);
                pen.stroke = Some((COLOURS[series], 1.0));
            }
            _ if word.starts_with('p') => pen.fill = number().map(|number| (COLOURS[number], 1.0)),
            _ => {}
        }
    }
    pen.fill = pen.fill.map(|(colour, _)| (colour, faint));
    if class.starts_with("line") {
        pen.dashes = match series {
            1 | 5 => "7 3",
            2 | 6 => "2 3",
            3 | 7 => "9 3 2 3",
            _ => "",
        };
    }
    pen
}

/// Operators that draw a shape; `height` turns it the right way up.
fn draw(shape: &Shape, height: f64) -> String {
    let (class, opacity) = match shape {
        Shape::Area { class, opacity, .. } => (class.as_str(), *opacity),
        Shape::Path { class, .. } | Shape::Dot { class, .. } => (class.as_str(), 1.0),
        Shape::Text { .. } | Shape::Upright { .. } => return String::new(),
    };
    let pen = pen(class, opacity);
    let mut out = String::new();
    if let Some(colour) = pen.fill {
        out += &format!("{} rg ", mixed(colour));
    }
    if let Some(colour) = pen.stroke {
        out += &format!("{} RG {} w [{}] 0 d ", mixed(colour), pen.width, pen.dashes);
    }
    out += &match shape {
        Shape::Path { places, closed, .. } => {
            let step = |(at, (x, y)): (usize, &Place)| {
                format!("{x:.1} {:.1} {} ", height - y, if at == 0 { "m" } else { "l" })
            };
            let way: String = places.iter().enumerate().map(step).collect();
            way + if *closed { "h " } else { "" }
        }
        Shape::Dot { at: (x, y), radius, .. } => circle((*x, height - y), *radius),
        Shape::Area { at: (x, y), size: (wide, high), .. } => {
            format!("{x:.1} {:.1} {wide:.1} {high:.1} re ", height - y - high)
        }
        Shape::Text { .. } | Shape::Upright { .. } => String::new(),
    };
    out + match (pen.stroke.is_some(), pen.fill.is_some()) {
        (true, true) => "B ",
        (true, false) => "S ",
        (false, true) => "f ",
        (false, false) => "n ",
    }
}

fn circle((x, y): Place, radius: f64) -> String {
    let handle = radius * QUARTER;
    let mut out = format!("{:.2} {y:.2} m ", x + radius);
    for (a, b) in
        [((1.0, 0.0), (0.0, 1.0)), ((0.0, 1.0), (-1.0, 0.0)), ((-1.0, 0.0), (0.0, -1.0)), ((0.0, -1.0), (1.0, 0.0))]
    {
        let near = (x + a.0 * radius + b.0 * handle, y + a.1 * radius + b.1 * handle);
        let far = (x + b.0 * radius + a.0 * handle, y + b.1 * radius + a.1 * handle);
        let end = (x + b.0 * radius, y + b.1 * radius);
        out += &format!("{:.2} {:.2} {:.2} {:.2} {:.2} {:.2} c ", near.0, near.1, far.0, far.1, end.0, end.1);
    }
    out + "h "
}

/// Red, green and blue on white.
fn mixed((colour, opacity): (u32, f64)) -> String {
    let part = |shift: u32| 1.0 - opacity * (1.0 - f64::from(colour >> shift & 0xff) / 255.0);
    format!("{:.3} {:.3} {:.3}", part(16), part(8), part(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_become_operators_the_right_way_up() {
        let mut canvas = Canvas::new(100.0, 50.0);
        canvas.line("grid", (0.0, 10.0), (100.0, 10.0));
        canvas.path("line c2", &[(0.0, 0.0), (1.0, 2.0), (3.0, 4.0)], false);
        canvas.path("band p0", &[(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)], true);
        canvas.dot("p1", (5.0, 5.0), 2.0, "title");
        canvas.text("small end", (1.0, 2.0), "50 % & [x]");
        canvas.upright((3.0, 4.0), "up");
        let tex = canvas.finish(String::new()).tex;
        assert!(tex.contains("0.0 40.0 m 100.0 40.0 l S Q"), "{tex}");
        assert!(tex.contains("0.000 0.620 0.451 RG 2 w [2 3] 0 d 0.0 50.0 m 1.0 48.0 l 3.0 46.0 l S Q"), "{tex}");
        assert!(tex.contains("0.840 0.912 0.952 rg 0.0 50.0 m 1.0 50.0 l 0.0 49.0 l h f Q"), "{tex}");
        assert!(tex.contains("0.835 0.369 0.000 rg 7.00 45.00 m ") && tex.contains(" c h f Q"), "{tex}");
        assert!(tex.contains("\\put(1.0,48.0){\\makebox[0pt][r]{") && tex.contains("50 \\% \\& {[}x{]}"), "{tex}");
        assert!(tex.contains("\\put(3.0,46.0){\\rotatebox{90}{\\makebox[0pt][c]"), "{tex}");
        assert_eq!(tex.matches('{').count(), tex.matches('}').count());
    }
}
