//! Which factors matter, and of which this design cannot say it.

use super::blocks::{Block, Table};
use super::sections::heading;
use crate::report::analysis::Study;
use crate::report::words::percent;

pub(super) fn importance(study: &Study) -> Vec<Block> {
    let importance = &study.analysis.importance;
    let caption = match importance.method.as_str() {
        "variance_shares" => Some("Share of the variance between points (functional ANOVA of the grid)"),
        "eta_squared" => Some(
            "Share of the variance between points that goes with the levels of each factor (η²); shares may overlap",
        ),
        _ => None,
    };
    let table = caption.map(|caption| {
        let mut table = Table::new(caption, ["factor"], ["share %"]);
        for share in &importance.shares {
            table.row(false, [share.factors.join(" × "), percent(share.share.0)]);
        }
        table
    });
    let mut text = Vec::new();
    if table.is_some() && study.analysis.has_single_runs() {
        text.push(
            "Some points rest on a single run: their shares hold the luck of that run, too, and noise alone makes shares like these."
                .to_owned(),
        );
    }
    if table.is_some() && importance.runs_left_out > 0 {
        text.push(format!(
            "Means of points are over the seeds that all of them have; runs left out: {}.",
            importance.runs_left_out
        ));
    }
    if table.is_some() && importance.uneven {
        text.push("Points have no seed in common: the shares hold what differs between seeds, too.".to_owned());
    }
    if table.is_some() && importance.missing > 0 {
        text.push(format!(
            "Points without a result: {}; a value that lost some is seen with other settings of the rest, which its share holds, too.",
            importance.missing
        ));
    }
    if !importance.left_out.is_empty() {
        text.push(format!(
            "Not told of {}: fewer than two of its values have a result, or too few points share a value.",
            importance.left_out.join(", ")
        ));
    }
    let text = (!text.is_empty()).then(|| Block::Text(text.join(" ")));
    let blocks: Vec<Block> = table.map(Block::Table).into_iter().chain(text).collect();
    if blocks.is_empty() { blocks } else { [vec![heading("Importance")], blocks].concat() }
}
