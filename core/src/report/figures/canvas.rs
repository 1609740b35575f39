//! Drawing: shapes and text in the order in which they cover each other. How they are written down is in `svg` and `tex`.

use super::{Figure, svg, tex};

/// A place on the drawing, from the top left.
pub(super) type Place = (f64, f64);

/// What is drawn. Classes say how it looks.
#[derive(Clone, Debug)]
pub(super) enum Shape {
    /// A line through places; closed: an area.
    Path { class: String, places: Vec<Place>, closed: bool },
    /// A dot that says what it is when it is pointed at.
    Dot { class: String, at: Place, radius: f64, title: String },
    /// A filled rectangle, by its upper left corner.
    Area { class: String, at: Place, size: (f64, f64), opacity: f64, title: String },
    /// Words on one line; whole, if more than what is shown, when they are pointed at.
    Text { class: String, at: Place, text: String, whole: Option<String> },
    /// Words from bottom to top, around their middle.
    Upright { at: Place, text: String },
}

/// A drawing under way.
#[derive(Debug)]
pub(super) struct Canvas {
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) shapes: Vec<Shape>,
}

impl Canvas {
    pub(super) fn new(width: f64, height: f64) -> Self {
        Self { width, height, shapes: Vec::new() }
    }

    pub(super) fn line(&mut self, class: &str, from: Place, to: Place) {
        self.path(class, &[from, to], false);
    }

    pub(super) fn path(&mut self, class: &str, places: &[Place], closed: bool) {
        self.shapes.push(Shape::Path { class: class.to_owned(), places: places.to_vec(), closed });
    }

    pub(super) fn dot(&mut self, class: &str, at: Place, radius: f64, title: &str) {
        self.shapes.push(Shape::Dot { class: class.to_owned(), at, radius, title: title.to_owned() });
    }

    pub(super) fn square(&mut self, class: &str, at: Place, size: (f64, f64), opacity: f64, title: &str) {
        self.shapes.push(Shape::Area { class: class.to_owned(), at, size, opacity, title: title.to_owned() });
    }

    pub(super) fn text(&mut self, class: &str, at: Place, text: &str) {
        self.shapes.push(Shape::Text { class: class.to_owned(), at, text: text.to_owned(), whole: None });
    }

    pub(super) fn upright(&mut self, at: Place, text: &str) {
        self.shapes.push(Shape::Upright { at, text: text.to_owned() });
    }

    /// Text that is cut after so many characters.
    pub(super) fn label(&mut self, class: &str, at: Place, text: &str, most: usize) {
        let (class, shown) = (class.to_owned(), cut(text, most));
        self.shapes.push(Shape::Text { class, at, text: shown, whole: Some(text.to_owned()) });
    }

    /// The figure that it is.
    pub(super) fn finish(self, caption: String) -> Figure {
        Figure { svg: svg::svg(&self, &caption), tex: tex::tex(&self), caption }
    }
}

/// The width of a small letter, at most but for the widest few.
pub(super) const LETTER: f64 = 7.0;

/// How many letters there is room for, so that names can be told apart: as many as the longest has, `least` if it has fewer, and at
/// most 56.
pub(super) fn room<'a>(names: impl Iterator<Item = &'a str>, least: usize) -> usize {
    names.map(|name| name.chars().count()).max().unwrap_or_default().clamp(least, 56)
}

pub(super) fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
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
}
