//! Learning curves with bands over the seeds.

use super::Figure;
use super::canvas::{Canvas, LETTER, Scale, room, tick};
use crate::report::analysis::Study;

/// Validation accuracy by epoch, a line for each setting. Nothing without curves.
pub fn curves(study: &Study) -> Option<Figure> {
    const BOX: (f64, f64, f64, f64) = (64.0, 14.0, 560.0, 330.0);
    let curves = &study.analysis.curves;
    let epochs = || curves.lines.iter().flat_map(|line| &line.epochs);
    let heights = epochs().flat_map(|epoch| [epoch.val_accuracy.mean, epoch.val_accuracy.low, epoch.val_accuracy.high]);
    // A band of two or three seeds may be wider than accuracies can be.
    let heights = heights.flatten().map(|value| (value.0 * 100.0).clamp(0.0, 100.0));
    let y = Scale::around(heights, BOX.3, BOX.1)?;
    let last = epochs().map(|epoch| epoch.epoch).max()?;
    let x = Scale::around([1.0, f64::from(last)], BOX.0, BOX.2)?;
    let most = room(curves.lines.iter().map(|line| line.name.as_str()), 24);
    let mut canvas = Canvas::new(780.0 + (most - 24) as f64 * LETTER, 384.0);
    for value in y.ticks() {
        canvas.line("grid", (BOX.0, y.at(value)), (BOX.2, y.at(value)));
        canvas.text("small end", (BOX.0 - 8.0, y.at(value) + 4.0), &tick(value));
    }
    for value in x.ticks().into_iter().filter(|value| value.fract() == 0.0 && *value >= 1.0) {
        canvas.text("small middle", (x.at(value), BOX.3 + 18.0), &tick(value));
    }
    canvas.path("axis", &[(BOX.0, BOX.1), (BOX.0, BOX.3), (BOX.2, BOX.3)], false);
    canvas.text("middle", ((BOX.0 + BOX.2) / 2.0, BOX.3 + 42.0), "epoch");
    canvas.upright((18.0, (BOX.1 + BOX.3) / 2.0), "validation accuracy, %");
    for (series, line) in curves.lines.iter().enumerate() {
        let ends = line.epochs.iter().filter_map(|epoch| {
            let (low, high) = (epoch.val_accuracy.low?, epoch.val_accuracy.high?);
            Some((x.at(f64::from(epoch.epoch)), low.0 * 100.0, high.0 * 100.0))
        });
        let ends: Vec<_> =
            ends.map(|(at, low, high)| (at, y.at(low.clamp(y.low, y.high)), y.at(high.clamp(y.low, y.high)))).collect();
        let band =
            ends.iter().map(|(at, _, high)| (*at, *high)).chain(ends.iter().rev().map(|(at, low, _)| (*at, *low)));
        if !ends.is_empty() {
            canvas.path(&format!("band p{series}"), &band.collect::<Vec<_>>(), true);
        }
    }
    for (series, line) in curves.lines.iter().enumerate() {
        let points: Vec<(f64, f64)> = (line.epochs.iter())
            .filter_map(|epoch| Some((x.at(f64::from(epoch.epoch)), y.at(epoch.val_accuracy.mean?.0 * 100.0))))
            .filter(|(_, y)| y.is_finite())
            .collect();
        canvas.path(&format!("line c{series}"), &points, false);
        if let [only] = points[..] {
            canvas.dot(&format!("p{series}"), only, 4.0, &line.name);
        }
        let key = BOX.1 + 12.0 + 22.0 * series as f64;
        canvas.line(&format!("line c{series}"), (BOX.2 + 16.0, key), (BOX.2 + 44.0, key));
        canvas.label("small", (BOX.2 + 52.0, key + 4.0), &line.name, most);
    }
    let what = curves.factor.as_ref().map_or("the best points".to_owned(), |factor| format!("each value of {factor}"));
    let note = curves.note().map(|note| format!("; {note}")).unwrap_or_default();
    let caption = format!(
        "Learning curves: validation accuracy by epoch for {what}; mean over seeds, band: {:.0} % interval, drawn as far as all runs went{note}",
        study.analysis.level * 100.0
    );
    Some(canvas.finish(caption))
}
