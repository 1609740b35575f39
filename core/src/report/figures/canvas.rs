//! Drawing: shapes and text into an SVG, scales and their ticks.

use std::fmt::Write;

/// How the shapes look, on a light and on a dark page. Series differ in dashes too, for who sees no colour.
pub const STYLE: &str = "\
.fig{--f0:#0072B2;--f1:#D55E00;--f2:#009E73;--f3:#CC79A7;--f4:#E69F00;--f5:#56B4E9;--f6:#777777;--f7:#8C6D00;color:#1b1f24}
@media (prefers-color-scheme:dark){.fig{--f0:#4EA3E0;--f1:#F07C2C;--f2:#1FBF94;--f3:#DE9CC0;--f4:#F0B429;--f5:#8CCBF0;--f6:#A0A0A0;--f7:#F0E442;color:#e4e7eb}}
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

/// An SVG under way.
#[derive(Debug)]
pub(super) struct Canvas {
    width: f64,
    height: f64,
    body: String,
}

impl Canvas {
    pub(super) fn new(width: f64, height: f64) -> Self {
        Self { width, height, body: String::new() }
    }

    fn add(&mut self, shape: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = self.body.write_fmt(shape);
        self.body.push('\n');
    }

    pub(super) fn line(&mut self, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
        self.add(format_args!(r#"<line class="{class}" x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}"/>"#));
    }

    pub(super) fn path(&mut self, class: &str, points: &[(f64, f64)], closed: bool) {
        let mut d = String::new();
        for (at, (x, y)) in points.iter().enumerate() {
            let _ = write!(d, "{}{x:.1} {y:.1}", if at == 0 { 'M' } else { 'L' });
        }
        let end = if closed { "Z" } else { "" };
        self.add(format_args!(r#"<path class="{class}" d="{d}{end}"/>"#));
    }

    /// A dot that says what it is when it is pointed at.
    pub(super) fn dot(&mut self, class: &str, (x, y): (f64, f64), radius: f64, title: &str) {
        let title = escape(title);
        self.add(format_args!(
            r#"<circle class="{class}" cx="{x:.1}" cy="{y:.1}" r="{radius}"><title>{title}</title></circle>"#
        ));
    }

    pub(super) fn square(
        &mut self,
        class: &str,
        (x, y): (f64, f64),
        (width, height): (f64, f64),
        opacity: f64,
        title: &str,
    ) {
        let title = escape(title);
        self.add(format_args!(
            r#"<rect class="{class}" x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" fill-opacity="{opacity:.3}"><title>{title}</title></rect>"#
        ));
    }

    pub(super) fn text(&mut self, class: &str, (x, y): (f64, f64), text: &str) {
        let text = escape(text);
        self.add(format_args!(r#"<text class="{class}" x="{x:.1}" y="{y:.1}">{text}</text>"#));
    }

    /// Text from bottom to top.
    pub(super) fn upright(&mut self, (x, y): (f64, f64), text: &str) {
        let text = escape(text);
        self.add(format_args!(
            r#"<text class="middle" transform="translate({x:.1} {y:.1}) rotate(-90)">{text}</text>"#
        ));
    }

    /// Text that is cut after so many characters, whole when it is pointed at.
    pub(super) fn label(&mut self, class: &str, (x, y): (f64, f64), text: &str, most: usize) {
        let (shown, whole) = (escape(&cut(text, most)), escape(text));
        self.add(format_args!(r#"<text class="{class}" x="{x:.1}" y="{y:.1}">{shown}<title>{whole}</title></text>"#));
    }

    pub(super) fn finish(self, title: &str) -> String {
        let (width, height, title) = (self.width, self.height, escape(title));
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"fig\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\" aria-label=\"{title}\">\n{}</svg>\n",
            self.body
        )
    }
}

/// The drawing as a file of its own.
pub fn standalone(svg: &str) -> String {
    let page = "svg.fig{background:#fff}@media (prefers-color-scheme:dark){svg.fig{background:#15181c}}";
    svg.replacen(">\n", &format!(">\n<style>\n{STYLE}{page}\n</style>\n"), 1)
}

pub(super) fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
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

/// Numbers onto a stretch of the drawing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) from: f64,
    pub(super) to: f64,
    log: bool,
}

impl Scale {
    /// Around these values, with some room; finite ones only.
    pub(super) fn around(values: impl IntoIterator<Item = f64>, from: f64, to: f64) -> Option<Self> {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        values.into_iter().filter(|value| value.is_finite()).for_each(|value| {
            low = low.min(value);
            high = high.max(value);
        });
        if low > high {
            return None;
        }
        let room = if high > low { (high - low) * 0.06 } else { low.abs().max(1e-3) * 0.1 };
        Some(Self { low: low - room, high: high + room, from, to, log: false })
    }

    /// The same in logarithms, if the values are far apart.
    pub(super) fn wide(values: &[f64], from: f64, to: f64) -> Option<Self> {
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let most = values.iter().copied().fold(0.0, f64::max);
        if least > 0.0 && most / least > 20.0 {
            return Self::around(values.iter().map(|value| value.log10()), from, to)
                .map(|scale| Self { log: true, ..scale });
        }
        Self::around(values.iter().copied(), from, to)
    }

    pub(super) fn at(&self, value: f64) -> f64 {
        let value = if self.log { value.log10() } else { value };
        self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    /// Round numbers within: steps of 1, 2 or 5 times a power of ten, or powers of ten.
    pub(super) fn ticks(&self) -> Vec<f64> {
        if self.log {
            let whole = (self.low.ceil() as i32)..=(self.high.floor() as i32);
            let powers: Vec<f64> = whole.map(|power| 10f64.powi(power)).collect();
            if powers.len() >= 2 {
                return powers;
            }
            let (low, high) = (10f64.powf(self.low), 10f64.powf(self.high));
            return Self { low, high, log: false, ..*self }.ticks().into_iter().filter(|tick| *tick > 0.0).collect();
        }
        let rough = (self.high - self.low) / 5.0;
        let power = 10f64.powf(rough.log10().floor());
        let step =
            [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * power).find(|step| *step >= rough).unwrap_or(rough);
        let (first, last) = ((self.low / step).ceil() as i64, (self.high / step).floor() as i64);
        (first..=last).map(|tick| tick as f64 * step).collect()
    }
}

/// A tick as short as it can be told from its neighbours.
pub(super) fn tick(value: f64) -> String {
    let text = format!("{value:.6}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if value != 0.0 && (text == "0" || text == "-0") { format!("{value:.0e}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        let scale = Scale::around([0.0, 10.0], 0.0, 100.0).unwrap();
        assert_eq!(scale.ticks(), [0.0, 5.0, 10.0].to_vec());
        assert!((scale.at(5.0) - 50.0).abs() < 1e-9);
        let wide = Scale::wide(&[0.01, 100.0], 0.0, 100.0).unwrap();
        assert_eq!(
            wide.ticks().iter().map(|value| tick(*value)).collect::<Vec<_>>(),
            ["0.01", "0.1", "1", "10", "100"]
        );
        assert!(Scale::around([f64::NAN], 0.0, 1.0).is_none());
        assert!(Scale::around([0.0, 0.0], 0.0, 1.0).unwrap().at(0.0).is_finite());
    }

    #[test]
    fn foreign_text_stays_text() {
        let mut canvas = Canvas::new(10.0, 10.0);
        canvas.text("small", (0.0, 0.0), "<script>&\"\u{1b}");
        let svg = canvas.finish("a<b");
        assert!(svg.contains("&lt;script&gt;&amp;&quot; ") && svg.contains("a&lt;b"), "{svg}");
        assert!(standalone(&svg).contains("<style>"));
    }
}
