//! Which class is taken for which.

use super::Figure;
use super::canvas::Canvas;
use crate::evaluation::Confusion;

/// Classes that fit a figure.
const MOST: usize = 30;

/// A row for each class, a column for each class that its images are taken for. Nothing for too many classes.
pub fn confusion(name: &str, classes: &[String], confusion: &Confusion) -> Option<Figure> {
    if classes.is_empty() || classes.len() > MOST {
        return None;
    }
    let size = if classes.len() <= 12 { 44.0 } else { 24.0 };
    let (left, top) = (190.0, 34.0);
    let side = size * classes.len() as f64;
    let mut canvas = Canvas::new(left + side + 20.0, top + side + 16.0);
    canvas.text("small middle", (left + side / 2.0, 14.0), "taken for (number of the class)");
    let scores = confusion.per_class(classes.len());
    for (index, name) in classes.iter().enumerate() {
        let middle = size * (index as f64 + 0.5);
        canvas.label("small end", (left - 8.0, top + middle + 4.0), &format!("{name}  {index}"), 26);
        canvas.text("small middle", (left + middle, top - 5.0), &index.to_string());
    }
    for &(class, taken, images) in confusion.cells() {
        let (Some(score), Some(other)) = (scores.get(class as usize), classes.get(taken as usize)) else { continue };
        let share = images as f64 / score.images.max(1) as f64;
        let at = (left + size * f64::from(taken), top + size * f64::from(class));
        let colour = if class == taken { "p2" } else { "p1" };
        let title = format!("{}: {images} of {} taken for {other}", classes[class as usize], score.images);
        canvas.square(colour, at, (size, size), 0.08 + 0.55 * share, &title);
        if size > 30.0 {
            canvas.text("small middle", (at.0 + size / 2.0, at.1 + size / 2.0 + 4.0), &images.to_string());
        }
    }
    for line in 0..=classes.len() {
        let at = size * line as f64;
        canvas.line("grid", (left, top + at), (left + side, top + at));
        canvas.line("grid", (left + at, top), (left + at, top + side));
    }
    let caption =
        format!("Confusion of {name}: a row for each class, a column for each class that its images are taken for");
    Some(canvas.finish(caption))
}
