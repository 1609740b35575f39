//! Accuracy against cost, with the front.

use super::Figure;
use super::canvas::{Canvas, Scale, tick};
use crate::report::pareto::Pareto;

/// All points; those on the front are filled and joined. Nothing with a single point.
pub fn pareto(pareto: &Pareto) -> Option<Figure> {
    const BOX: (f64, f64, f64, f64) = (64.0, 14.0, 620.0, 290.0);
    let (name, factor) = match pareto.cost.as_str() {
        "device_hours" => ("device-minutes a run", 60.0),
        "kwh" => ("Wh a run", 1000.0),
        "parameters" => ("million parameters", 1e-6),
        _ => ("peak memory, GB", 1e-9),
    };
    if pareto.points.len() < 2 {
        return None;
    }
    let costs: Vec<f64> = pareto.points.iter().map(|trade| trade.cost.0 * factor).collect();
    let x = Scale::wide(&costs, BOX.0, BOX.2)?;
    let y = Scale::around(pareto.points.iter().map(|trade| trade.accuracy.0 * 100.0), BOX.3, BOX.1)?;
    let mut canvas = Canvas::new(660.0, 346.0);
    for value in y.ticks() {
        canvas.line("grid", (BOX.0, y.at(value)), (BOX.2, y.at(value)));
        canvas.text("small end", (BOX.0 - 8.0, y.at(value) + 4.0), &tick(value));
    }
    for value in x.ticks() {
        canvas.line("grid", (x.at(value), BOX.1), (x.at(value), BOX.3));
        canvas.text("small middle", (x.at(value), BOX.3 + 18.0), &tick(value));
    }
    canvas.path("axis", &[(BOX.0, BOX.1), (BOX.0, BOX.3), (BOX.2, BOX.3)], false);
    canvas.text("middle", ((BOX.0 + BOX.2) / 2.0, BOX.3 + 42.0), name);
    canvas.upright((18.0, (BOX.1 + BOX.3) / 2.0), "validation accuracy, %");
    let at = |trade: &crate::report::pareto::Trade| (x.at(trade.cost.0 * factor), y.at(trade.accuracy.0 * 100.0));
    // The front is a stair: what one gets for a cost until the next point.
    let mut stair: Vec<(f64, f64)> = Vec::new();
    for trade in pareto.points.iter().filter(|trade| trade.front) {
        let here = at(trade);
        if let Some(before) = stair.last().copied() {
            stair.push((here.0, before.1));
        }
        stair.push(here);
    }
    canvas.path("line c0", &stair, false);
    for trade in &pareto.points {
        let class = if trade.front { "p0" } else { "p6 faint" };
        canvas.dot(class, at(trade), 5.0, &format!("point {}", trade.point));
        if trade.front {
            let (x, y) = at(trade);
            canvas.text("small", (x + 8.0, y + 14.0), &trade.point.to_string());
        }
    }
    let caption =
        format!("Accuracy against {name}: each dot a point (mean over seeds), the numbered ones on the Pareto front");
    Some(canvas.finish(caption))
}
