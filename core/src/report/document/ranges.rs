//! Drawn values: why they have no table of main effects, and what their thirds show.

use super::blocks::{Block, Table};
use super::sections::heading;
use crate::report::analysis::Study;
use crate::report::ranges::DrawnFactor;
use crate::report::words::{NOTHING, percent};

/// Nothing where no values were drawn.
pub fn drawn(study: &Study) -> Vec<Block> {
    let factors = &study.analysis.drawn;
    if factors.is_empty() {
        return Vec::new();
    }
    let names: Vec<&str> = factors.iter().map(|factor| factor.factor.as_str()).collect();
    let mut text = format!(
        "Values of {} were drawn from a range: every point has its own, so no two points differ in one of them alone, and there are no main effects to show.",
        names.join(", ")
    );
    text.push_str(if factors.iter().any(|factor| !factor.thirds.is_empty()) {
        " Below, the points with a result are cut into thirds by the value. Points of a third differ in everything else, too, and a search looks more often where results are good: this shows where to look next, it tests nothing."
    } else {
        " Fewer than nine points with different values have a result, which is too few to cut them into thirds."
    });
    let tables = factors.iter().filter(|factor| !factor.thirds.is_empty()).map(|factor| Block::Table(thirds(factor)));
    [heading("Drawn values"), Block::Text(text)].into_iter().chain(tables).collect()
}

fn thirds(factor: &DrawnFactor) -> Table {
    let share = factor.share.map_or_else(|| NOTHING.to_owned(), |share| format!("{} %", percent(share.0)));
    let caption = format!(
        "Thirds of the points by {}; share of the variance between points that goes with the third, adjusted for chance: {share}",
        factor.factor
    );
    let mut table = Table::new(caption, [factor.factor.as_str()], ["points", "median accuracy %", "best accuracy %"]);
    let best = factor.thirds.iter().map(|third| third.median.0).reduce(f64::max);
    for third in &factor.thirds {
        let cells = [third.range(), third.points.to_string(), percent(third.median.0), percent(third.best.0)];
        table.row(Some(third.median.0) == best, cells);
    }
    table
}
