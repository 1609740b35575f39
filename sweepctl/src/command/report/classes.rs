//! Which classes a point takes for which: read from the headers of its checkpoints, of which no more is downloaded.

use std::collections::BTreeMap;

use sweep_core::evaluation::Confusion;
use sweep_core::report::Report;
use sweep_core::report::document::Classes;

use crate::client::Client;
use crate::command::show::confusion::head;
use crate::fault::Fault;
use crate::output::Out;

/// Of each point, over all of its completed runs whose best checkpoint is kept and says so.
pub(super) async fn classes(
    out: &Out,
    client: &Client,
    report: &Report,
    points: &[u32],
) -> Result<Vec<Classes>, Fault> {
    let mut all = Vec::new();
    for row in points.iter().filter_map(|point| report.points.iter().find(|row| row.point == *point)) {
        let mut found = Classes { point: row.label(), ..Classes::default() };
        let mut cells = BTreeMap::new();
        for trial in row.trials.iter().filter(|trial| trial.phase == "completed") {
            let page = client.show_trial(&trial.trial.to_string()).await?;
            let Some(stored) = page.trial.best_checkpoint else { continue };
            let head = head(client, &stored.sha256).await?;
            let Some(best) = head.evaluations.best else { continue };
            if found.runs > 0 && found.names != head.classes {
                continue;
            }
            (found.names, found.runs) = (head.classes, found.runs + 1);
            for &(class, taken_for, images) in best.confusion.cells() {
                *cells.entry((class, taken_for)).or_insert(0) += images;
            }
        }
        if found.runs == 0 {
            out.note(format!("point {}: none of its checkpoints says which class is taken for which", row.point));
            continue;
        }
        found.confusion = Confusion::of_counts(cells);
        all.push(found);
    }
    Ok(all)
}
