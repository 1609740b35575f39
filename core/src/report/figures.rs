//! The figures of a report, as SVG and for LaTeX: colours of Okabe & Ito (2008), which people with colour blindness tell apart, for light and dark
//! pages, with text that says the same as the drawing.

mod canvas;
mod confusion;
mod curves;
mod effects;
mod interaction;
mod pareto;
mod svg;
mod tex;

pub use confusion::confusion;
pub use curves::curves;
pub use effects::effects;
pub use interaction::interaction;
pub use pareto::pareto;
pub use svg::{Page, escape, fixed, standalone, style};
pub use tex::PREAMBLE;

/// A drawing with what it shows in words.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// What it shows.
    pub caption: String,
    /// The drawing, without [`style`].
    pub svg: String,
    /// The drawing for LaTeX.
    pub tex: String,
}
