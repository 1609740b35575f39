//! `export`: the curves of a sweep for other programs.

mod mlflow;
mod tensorboard;

use std::fs;
use std::path::Path;

use sweep_core::report::Report;
use tensorboard::Events;

use super::report::{file, warn_of_probe};
use crate::cli;
use crate::client::Client;
use crate::config::variable;
use crate::fault::{Fault, count};
use crate::output::{Out, safe};

pub(crate) use mlflow::MlflowFault;

/// Writes every trial that has trained into what was named.
pub(crate) async fn run(out: &Out, client: &Client, args: &cli::Export) -> Result<(), Fault> {
    let report = client.report(&args.sweep, true).await?;
    warn_of_probe(out, &report);
    if let Some(folder) = &args.tensorboard {
        tensorboard(out, &report, folder, args.force)?;
    }
    if let Some(url) = &args.mlflow {
        let (to, token, name) = (url.clone(), variable("MLFLOW_TRACKING_TOKEN"), report.name.clone());
        let written = tokio::task::spawn_blocking(move || mlflow::export(&to, token, &report));
        let written = written.await.expect("the export does not panic")?;
        let runs = count(written.runs, "run");
        out.note(format!(
            "wrote {runs} into the experiment {} of {}; {} were there",
            safe(&name),
            safe(url),
            written.there
        ));
    }
    Ok(())
}

/// An event file for each trial that has trained.
fn tensorboard(out: &Out, report: &Report, folder: &Path, force: bool) -> Result<(), Fault> {
    let started = report.provenance.submitted as f64 / 1e6;
    let (mut files, mut there) = (Vec::new(), 0);
    for curve in &report.curves {
        let row = report.points.iter().find(|row| row.point == curve.point);
        let trial = row.and_then(|row| row.trials.iter().find(|trial| trial.seed == curve.seed));
        let Some(trial) = trial.filter(|_| !curve.epochs.is_empty()) else { continue };
        let label: String = row.map(|row| row.label()).unwrap_or_default();
        let within = folder.join(name(curve.point, &label, curve.seed));
        let mut events = Events::new(started);
        for epoch in &curve.epochs {
            events.scalars(
                epoch.epoch,
                &[
                    ("accuracy/val", epoch.val_accuracy.0),
                    ("accuracy/train", epoch.train_accuracy.0),
                    ("loss/val", epoch.val_loss.0),
                    ("loss/train", epoch.train_loss.0),
                ],
            );
        }
        let path = within.join(format!("events.out.tfevents.{}.{}", started as u64, trial.trial.short()));
        let bytes = events.end();
        if file::is_there(&path, &bytes) {
            there += 1;
            continue;
        }
        file::check(&path, force)?;
        files.push((within, path, bytes));
    }
    let written = files.len();
    for (within, path, bytes) in files {
        fs::create_dir_all(&within).map_err(|source| Fault::Disk { what: "make the folder", path: within, source })?;
        file::write(&path, &bytes, force)?;
    }
    let name = folder.display();
    out.note(format!(
        "wrote {} below {name}; {there} were there; look at them with: tensorboard --logdir {name}",
        count(written, "event file")
    ));
    Ok(())
}

/// A name that any file system takes: `003-lr=0.1-seed=2`.
fn name(point: u32, label: &str, seed: u64) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '=' | '-' | '_') { c } else { '_' };
    let label: String = label.replace(", ", "-").chars().map(safe).take(120).collect();
    format!("{point:03}-{label}-seed={seed}")
}
