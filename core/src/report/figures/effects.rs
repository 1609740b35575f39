//! Main effects with their intervals: a forest plot.

use super::Figure;
use super::canvas::{Canvas, LETTER, Scale, room, tick};
use crate::report::analysis::Study;
use crate::report::effects::{FactorEffects, LevelEffect, Unpaired};
use crate::report::words::{points, verdict};
use crate::stats::paired::Verdict;

/// Levels that are drawn.
const MOST: usize = 60;
/// What a line of a landscape page holds, about.
const WIDEST: f64 = 1000.0;

/// Each level against its reference, factor under factor. Nothing without a comparison.
pub fn effects(study: &Study) -> Option<Figure> {
    const ROW: f64 = 24.0;
    let compared = |factor: &&FactorEffects| factor.levels.iter().any(|row| row.difference.is_some());
    let factors: Vec<_> = study.analysis.factors.iter().filter(compared).collect();
    let most = room(factors.iter().flat_map(|factor| &factor.levels).map(|row| row.level.as_str()), 28);
    let left = 230.0 + (most - 28) as f64 * LETTER;
    let said: Vec<String> =
        factors.iter().flat_map(|factor| factor.levels.iter().map(|row| words(factor, row))).collect();
    let beside = room(said.iter().map(String::as_str), 16) as f64 * LETTER + 18.0;
    // Long names and words take from the middle, so that a page of paper has room for all.
    let right = left + (WIDEST - left - beside).clamp(250.0, 410.0);
    let all = factors.iter().flat_map(|factor| &factor.levels).filter_map(|row| row.difference).take(MOST);
    let ends = all.flat_map(|found| [found.estimate.mean, found.estimate.low, found.estimate.high]).flatten();
    let scale = Scale::around(ends.map(|value| value.0 * 100.0).chain([0.0]), left, right)?;
    let rows: usize = factors.iter().map(|factor| factor.levels.len() + 1).sum::<usize>().min(MOST);
    if factors.is_empty() {
        return None;
    }
    let bottom = 16.0 + rows as f64 * ROW;
    let mut canvas = Canvas::new(right + beside, bottom + 48.0);
    for value in scale.ticks() {
        let x = scale.at(value);
        canvas.line("grid", (x, 8.0), (x, bottom));
        canvas.text("small middle", (x, bottom + 18.0), &tick(value));
    }
    canvas.line("zero", (scale.at(0.0), 8.0), (scale.at(0.0), bottom));
    canvas.line("axis", (left, bottom), (right, bottom));
    canvas.text(
        "middle",
        ((left + right) / 2.0, bottom + 40.0),
        "difference in validation accuracy, percentage points",
    );
    let mut y = 16.0;
    let mut drawn = 0;
    'all: for factor in factors {
        if drawn >= MOST {
            break;
        }
        canvas.label("strong", (8.0, y + 12.0), &factor.factor, most + 6);
        (y, drawn) = (y + ROW, drawn + 1);
        for row in &factor.levels {
            if drawn >= MOST {
                break 'all;
            }
            canvas.label("end", (left - 12.0, y + 12.0), &row.level, most);
            let middle = y + 8.0;
            match &row.difference {
                Some(found) => {
                    let estimate = found.estimate;
                    let series = match found.verdict {
                        Verdict::Better => 2,
                        Verdict::Worse => 1,
                        Verdict::Tie | Verdict::Unknown => 6,
                    };
                    if let (Some(low), Some(high)) = (estimate.low, estimate.high) {
                        let ends = (scale.at(low.0 * 100.0), scale.at(high.0 * 100.0));
                        canvas.line(&format!("bar c{series}"), (ends.0, middle), (ends.1, middle));
                    }
                    if let Some(mean) = estimate.mean.filter(|mean| mean.0.is_finite()) {
                        let at = (scale.at(mean.0 * 100.0), middle);
                        let title = format!("{}={}: {} points", factor.factor, row.level, points(mean.0));
                        canvas.dot(&format!("p{series}"), at, 5.0, &title);
                    }
                }
                None if row.level == factor.reference => {
                    canvas.dot("p6 faint", (scale.at(0.0), middle), 4.0, "reference");
                }
                None => {}
            }
            canvas.text("small", (right + 10.0, y + 12.0), &words(factor, row));
            (y, drawn) = (y + ROW, drawn + 1);
        }
    }
    let caption = "Main effects: difference of each level from its reference, paired by seed, with interval; green better, orange worse, grey a tie or unknown";
    Some(canvas.finish(caption.to_owned()))
}

/// What stands beside a level: the words of the table.
fn words(factor: &FactorEffects, row: &LevelEffect) -> String {
    match &row.difference {
        Some(found) => {
            let mean = found.estimate.mean.filter(|mean| mean.0.is_finite());
            mean.map_or_else(String::new, |mean| format!("{} {}", points(mean.0), verdict(found)))
        }
        None if row.level == factor.reference => "reference".to_owned(),
        None => row.unpaired.unwrap_or(Unpaired::NoPair).words().to_owned(),
    }
}
