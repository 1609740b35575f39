//! A drawing as SVG, for light and dark pages.

use std::fmt::Write;

use super::canvas::{Canvas, Place, Shape};

/// What a drawing lies on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// White.
    Light,
    /// Nearly black.
    Dark,
}

impl Page {
    const fn paper(self) -> &'static str {
        match self {
            Self::Light => "#fff",
            Self::Dark => "#15181c",
        }
    }

    /// Colours of series, and of everything else.
    const fn colours(self) -> &'static str {
        match self {
            Self::Light => {
                "--f0:#0072B2;--f1:#D55E00;--f2:#009E73;--f3:#CC79A7;--f4:#E69F00;--f5:#56B4E9;--f6:#777777;--f7:#8C6D00;color:#1b1f24"
            }
            Self::Dark => {
                "--f0:#4EA3E0;--f1:#F07C2C;--f2:#1FBF94;--f3:#DE9CC0;--f4:#F0B429;--f5:#8CCBF0;--f6:#A0A0A0;--f7:#F0E442;color:#e4e7eb"
            }
        }
    }
}

/// How the shapes look, whatever the page. Series differ in dashes too, for who sees no colour.
const SHAPES: &str = "\
.fig text{fill:currentColor;font:13px system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif}
.fig .small{font-size:11.5px}.fig .strong{font-weight:600}.fig .end{text-anchor:end}.fig .middle{text-anchor:middle}
.fig .axis{stroke:currentColor;stroke-opacity:.65;fill:none}.fig .grid{stroke:currentColor;stroke-opacity:.14;fill:none}
.fig .zero{stroke:currentColor;stroke-opacity:.6;stroke-dasharray:4 3}
.fig .line{fill:none;stroke-width:2}.fig .band{stroke:none;fill-opacity:.16}.fig .bar{stroke-width:2.5}.fig .faint{opacity:.45}
.fig .c0{stroke:var(--f0)}.fig .c1{stroke:var(--f1)}.fig .c2{stroke:var(--f2)}.fig .c3{stroke:var(--f3)}
.fig .c4{stroke:var(--f4)}.fig .c5{stroke:var(--f5)}.fig .c6{stroke:var(--f6)}.fig .c7{stroke:var(--f7)}
.fig .p0{fill:var(--f0)}.fig .p1{fill:var(--f1)}.fig .p2{fill:var(--f2)}.fig .p3{fill:var(--f3)}
.fig .p4{fill:var(--f4)}.fig .p5{fill:var(--f5)}.fig .p6{fill:var(--f6)}.fig .p7{fill:var(--f7)}
.fig .line.c1{stroke-dasharray:7 3}.fig .line.c2{stroke-dasharray:2 3}.fig .line.c3{stroke-dasharray:9 3 2 3}
.fig .line.c5{stroke-dasharray:7 3}.fig .line.c6{stroke-dasharray:2 3}.fig .line.c7{stroke-dasharray:9 3 2 3}
";

/// How drawings look, on a light and on a dark page.
pub fn style() -> String {
    let (light, dark) = (Page::Light.colours(), Page::Dark.colours());
    format!(".fig{{{light}}}\n@media (prefers-color-scheme:dark){{.fig{{{dark}}}}}\n{SHAPES}")
}

/// The drawing, without [`style`].
pub(super) fn svg(canvas: &Canvas, title: &str) -> String {
    let (width, height, title) = (canvas.width, canvas.height, escape(title));
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"fig\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\" aria-label=\"{title}\">\n"
    );
    for shape in &canvas.shapes {
        // Writing to a string cannot fail.
        let _ = write(&mut text, shape);
        text.push('\n');
    }
    text + "</svg>\n"
}

fn write(out: &mut String, shape: &Shape) -> std::fmt::Result {
    match shape {
        Shape::Path { class, places, closed } => match (places.as_slice(), closed) {
            ([(x1, y1), (x2, y2)], false) => {
                write!(out, r#"<line class="{class}" x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}"/>"#)
            }
            (_, closed) => {
                write!(out, r#"<path class="{class}" d="{}{}"/>"#, way(places), if *closed { "Z" } else { "" })
            }
        },
        Shape::Dot { class, at: (x, y), radius, title } => {
            let title = escape(title);
            write!(
                out,
                r#"<circle class="{class}" cx="{x:.1}" cy="{y:.1}" r="{radius}"><title>{title}</title></circle>"#
            )
        }
        Shape::Area { class, at: (x, y), size: (width, height), opacity, title } => write!(
            out,
            r#"<rect class="{class}" x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" fill-opacity="{opacity:.3}"><title>{}</title></rect>"#,
            escape(title)
        ),
        Shape::Text { class, at: (x, y), text, whole } => {
            let whole = whole.as_ref().map(|whole| format!("<title>{}</title>", escape(whole))).unwrap_or_default();
            write!(out, r#"<text class="{class}" x="{x:.1}" y="{y:.1}">{}{whole}</text>"#, escape(text))
        }
        Shape::Upright { at: (x, y), text } => write!(
            out,
            r#"<text class="middle" transform="translate({x:.1} {y:.1}) rotate(-90)">{}</text>"#,
            escape(text)
        ),
    }
}

fn way(places: &[Place]) -> String {
    let step = |(at, (x, y)): (usize, &Place)| format!("{}{x:.1} {y:.1}", if at == 0 { 'M' } else { 'L' });
    places.iter().enumerate().map(step).collect()
}

/// The drawing as a file of its own.
pub fn standalone(svg: &str) -> String {
    let (light, dark) = (Page::Light.paper(), Page::Dark.paper());
    let page =
        format!("svg.fig{{background:{light}}}@media (prefers-color-scheme:dark){{svg.fig{{background:{dark}}}}}");
    begins_with(svg, &format!("<style>\n{}{page}\n</style>\n", style()))
}

/// The drawing on one page, for programs that know neither the variables nor the questions of CSS.
pub fn fixed(svg: &str, page: Page) -> String {
    let colours = page.colours().split(';').filter_map(|one| one.split_once(':'));
    let style = colours.fold(SHAPES.to_owned(), |style, (name, colour)| match name {
        "color" => style.replace("currentColor", colour),
        name => style.replace(&format!("var({name})"), colour),
    });
    let paper = page.paper();
    begins_with(svg, &format!("<style>\n{style}</style>\n<rect width=\"100%\" height=\"100%\" fill=\"{paper}\"/>\n"))
}

fn begins_with(svg: &str, first: &str) -> String {
    svg.replacen(">\n", &format!(">\n{first}"), 1)
}

/// Text as it stands in SVG and HTML, in attributes too.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_stays_text() {
        let mut canvas = Canvas::new(10.0, 10.0);
        canvas.text("small", (0.0, 0.0), "<script>&\"\u{1b}");
        let svg = canvas.finish("a<b".to_owned()).svg;
        assert!(svg.contains("&lt;script&gt;&amp;&quot; ") && svg.contains("a&lt;b"), "{svg}");
        assert!(standalone(&svg).contains("<style>"));
        for (page, ink, series) in [(Page::Light, "#1b1f24", "#0072B2"), (Page::Dark, "#e4e7eb", "#4EA3E0")] {
            let fixed = fixed(&svg, page);
            assert!(fixed.contains(&format!("fill:{ink};")) && fixed.contains(&format!("stroke:{series}")), "{fixed}");
            assert!(!["var(", "@media", "currentColor"].iter().any(|word| fixed.contains(word)), "{fixed}");
        }
    }
}
