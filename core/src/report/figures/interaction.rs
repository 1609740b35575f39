//! Two factors together: parallel lines mean that their effects add up.

use super::Figure;
use super::canvas::{Canvas, Scale, tick};
use crate::report::effects::Interaction;

/// Mean accuracy by the levels of the second factor, a line for each level of the first. Nothing for too many lines.
pub fn interaction(pair: &Interaction) -> Option<Figure> {
    const BOX: (f64, f64, f64, f64) = (64.0, 14.0, 480.0, 250.0);
    let heights = pair.means.iter().flatten().flatten().map(|mean| mean.0 * 100.0);
    let y = Scale::around(heights, BOX.3, BOX.1)?;
    if pair.rows.len() > 8 {
        return None;
    }
    let step = (BOX.2 - BOX.0) / pair.columns.len() as f64;
    let at = |column: usize| BOX.0 + step * (column as f64 + 0.5);
    let mut canvas = Canvas::new(700.0, 310.0);
    for value in y.ticks() {
        canvas.line("grid", (BOX.0, y.at(value)), (BOX.2, y.at(value)));
        canvas.text("small end", (BOX.0 - 8.0, y.at(value) + 4.0), &tick(value));
    }
    canvas.path("axis", &[(BOX.0, BOX.1), (BOX.0, BOX.3), (BOX.2, BOX.3)], false);
    let most = (step / 7.0).max(4.0) as usize;
    for (column, name) in pair.columns.iter().enumerate() {
        canvas.label("small middle", (at(column), BOX.3 + 18.0), name, most);
    }
    let (first, second) = (&pair.factors.0, &pair.factors.1);
    canvas.text("middle", ((BOX.0 + BOX.2) / 2.0, BOX.3 + 42.0), second);
    canvas.upright((18.0, (BOX.1 + BOX.3) / 2.0), "validation accuracy, %");
    canvas.label("small strong", (BOX.2 + 16.0, BOX.1 + 8.0), first, 28);
    for (series, (name, means)) in pair.rows.iter().zip(&pair.means).enumerate() {
        let points: Vec<(f64, f64)> = (means.iter().enumerate())
            .filter_map(|(column, mean)| Some((at(column), y.at((*mean)?.0 * 100.0))))
            .filter(|(_, y)| y.is_finite())
            .collect();
        canvas.path(&format!("line c{series}"), &points, false);
        points.iter().for_each(|point| canvas.dot(&format!("p{series}"), *point, 4.0, name));
        let key = BOX.1 + 30.0 + 22.0 * series as f64;
        canvas.line(&format!("line c{series}"), (BOX.2 + 16.0, key), (BOX.2 + 44.0, key));
        canvas.label("small", (BOX.2 + 52.0, key + 4.0), name, 22);
    }
    let note = pair.left_out().map(|note| format!("; {note}")).unwrap_or_default();
    let caption =
        format!("Interaction of {first} and {second}: mean accuracy; lines that are not parallel interact{note}");
    Some(canvas.finish(caption))
}
