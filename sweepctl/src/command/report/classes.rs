//! Which classes a point takes for which: read from the headers of its checkpoints, of which no more is downloaded. What cannot be read
//! is a gap that is stated: everything else of the report is there without it.

use std::collections::BTreeMap;

use sweep_core::evaluation::{Confusion, Evaluation};
use sweep_core::report::document::Classes;
use sweep_core::report::{Report, TrialRow};

use crate::client::Client;
use crate::command::show::confusion::head;
use crate::fault::Fault;
use crate::output::{Out, safe};

/// Of each point, over all of its runs to the end whose best checkpoint is kept and says so.
pub(super) async fn classes(out: &Out, client: &Client, report: &Report, points: &[u32]) -> Vec<Classes> {
    let mut all = Vec::new();
    // Nobody is asked again who does not answer: each question would be repeated for a while.
    let mut away = None;
    for row in points.iter().filter_map(|point| report.points.iter().find(|row| row.point == *point)) {
        let mut found = Classes { index: row.point, point: row.label(), ..Classes::default() };
        let mut cells = BTreeMap::new();
        for trial in row.trials.iter().filter(|trial| trial.is_at_its_end()) {
            let told = match &away {
                None => evaluation(client, trial).await,
                Some(why) => Ok(Err(String::clone(why))),
            };
            let told = told.unwrap_or_else(|fault| {
                let why = said(&fault);
                away = fault.is_transient().then(|| why.clone());
                Err(why)
            });
            let other = |names: &[String]| found.runs > 0 && found.names != names;
            match told {
                Ok((names, _)) if other(&names) => {
                    found.gaps.push(gap(trial, "its classes are not those of the others"));
                }
                Ok((names, best)) => {
                    (found.names, found.runs) = (names, found.runs + 1);
                    for &(class, taken_for, images) in best.confusion.cells() {
                        *cells.entry((class, taken_for)).or_insert(0) += images;
                    }
                }
                Err(why) => found.gaps.push(gap(trial, &why)),
            }
        }
        for gap in &found.gaps {
            out.warn(format!("classes of point {}: {}", row.point, safe(gap)));
        }
        if found.runs == 0 && found.gaps.is_empty() {
            found.gaps.push("no run of it has a result".to_owned());
        }
        found.confusion = Confusion::of_counts(cells);
        all.push(found);
    }
    all
}

/// What the best checkpoint of a trial says of each class; or why there is nothing.
async fn evaluation(client: &Client, trial: &TrialRow) -> Result<Result<(Vec<String>, Evaluation), String>, Fault> {
    let page = client.show_trial(&trial.trial.to_string()).await?;
    let Some(stored) = page.trial.best_checkpoint else {
        return Ok(Err("its best checkpoint is not in the store".to_owned()));
    };
    let head = head(client, &stored.sha256).await?;
    let nothing = || "its checkpoint, of an earlier release, does not say".to_owned();
    Ok(head.evaluations.best.map(|best| (head.classes, best)).ok_or_else(nothing))
}

fn gap(trial: &TrialRow, why: &str) -> String {
    format!("run {} (seed {}): {why}", trial.trial.short(), trial.seed)
}

/// A fault with its causes, in one line.
fn said(fault: &Fault) -> String {
    let mut text = fault.to_string();
    let mut cause = std::error::Error::source(fault);
    while let Some(next) = cause {
        text += &format!(": {next}");
        cause = next.source();
    }
    text
}
