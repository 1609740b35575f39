//! A whole report in one folder, for who keeps or publishes it: the page, the LaTeX, everything as JSON, a row for each trial.

use std::path::{Path, PathBuf};

use sweep_core::report::analysis::{Options, Study, analyse};
use sweep_core::report::document::html::html;
use sweep_core::report::document::latex::latex;
use sweep_core::report::document::{Classes, document};

use super::{ReportFault, Whole, classes, file, parquet, rows};
use crate::cli::Rows;
use crate::client::Client;
use crate::fault::Fault;
use crate::output::{Out, with_version};

/// A file and what it is written from.
type Form = (&'static str, fn(&Study, &[Classes]) -> Vec<u8>);

const FORMS: [Form; 4] = [
    ("report.html", |study, classes| html(&document(study, classes)).into_bytes()),
    ("report.tex", |study, classes| latex(&document(study, classes)).into_bytes()),
    ("report.json", |study, classes| format!("{}\n", with_version(&Whole { study, classes })).into_bytes()),
    ("trials.parquet", |study, _| parquet::parquet(&rows::rows(study, Rows::Trials))),
];

/// Makes the folder and refuses files that are in the way, before anything is submitted.
pub(in crate::command) fn check(folder: &Path, force: bool) -> Result<(), Fault> {
    std::fs::create_dir_all(folder).map_err(|source| Fault::Disk {
        what: "make the folder",
        path: PathBuf::from(folder),
        source,
    })?;
    FORMS.iter().try_for_each(|(name, _)| file::check(&folder.join(name), force))
}

/// Writes all forms from the same numbers, with the classes of the best point and of the baseline.
pub(in crate::command) async fn write(
    out: &Out,
    client: &Client,
    sweep: &str,
    folder: &Path,
    force: bool,
) -> Result<(), Fault> {
    let report = client.report(sweep, true).await?;
    let best = report.points.iter().filter(|row| row.rank == Some(1) || (row.baseline && row.accuracy.n > 0));
    let chosen: Vec<u32> = best.map(|row| row.point).collect();
    let classes = classes::classes(out, client, &report, &chosen).await;
    let study = analyse(report, &Options::default()).map_err(ReportFault::from)?;
    for (name, form) in FORMS {
        file::write(&folder.join(name), &form(&study, &classes), force)?;
    }
    let names: Vec<&str> = FORMS.iter().map(|(name, _)| *name).collect();
    out.note(format!("wrote {} into {}", names.join(", "), folder.display()));
    Ok(())
}
