//! `submit`: check here, then hand the file to the coordinator.

use serde_json::json;

use super::{plan, report, reuse, watch};
use crate::cli::{Format, Submit};
use crate::client::{Client, Submission};
use crate::config::{Config, variable};
use crate::fault::{Fault, count};
use crate::output::{Out, safe};
use crate::sweep_file::{self, SweepFile};

/// Submits a file. A file that is not valid never reaches the coordinator.
pub(crate) async fn run(out: &Out, config: &Config, args: &Submit) -> Result<(), Fault> {
    let file = sweep_file::load(out, &args.file)?;
    if args.dry_run {
        return dry_run(out, &file, &args.run);
    }
    if let Some(folder) = &args.report {
        report::folder::check(folder, args.force)?;
    }
    let client = Client::connect(&config.way()?).await?;
    let id = file.id(&args.run);
    let submission = Submission {
        spec: file.source.bytes,
        run: &args.run,
        queue_anyway: args.queue_anyway,
        project: args.project.clone().or_else(|| variable("SWEEP_PROJECT")).unwrap_or_default(),
        priority: args.priority,
        max_parallel: args.max_parallel,
        reuse: args.reuse,
        new_project: args.new_project,
    };
    let submitted = client.submit(submission).await?;
    match out.format {
        Format::Json => out.json(&submitted)?,
        Format::Table | Format::Csv => out.print(format!("{} {}\n", safe(&submitted.name), submitted.sweep))?,
    }
    if submitted.sweep != id.to_string() {
        another_id(out, &client, &id.to_string()).await?;
    }
    if submitted.existing {
        out.note("this sweep was submitted before; nothing was changed (to repeat it on purpose: --run LABEL)");
    } else {
        out.note(format!("submitted {}", count(submitted.trials, "trial")));
        reuse::say(out, submitted.reused, submitted.trials, &submitted.reusable, "--reuse");
        if args.reuse && submitted.reused == 0 {
            out.note(reuse::NOTHING);
        }
        sweep_core::stopping::words::caveats(&file.plan).into_iter().for_each(|line| out.note(line));
    }
    if submitted.name != file.plan.name {
        out.note(format!(
            "another sweep is called {}; this one is called {}",
            safe(&file.plan.name),
            safe(&submitted.name)
        ));
    }
    if args.watch || args.report.is_some() {
        let followed = watch::follow(out, &client, &submitted.sweep, args.timeout).await;
        // What failed stands in the report, too.
        if let (Ok(()) | Err(Fault::Incomplete { .. }), Some(folder)) = (&followed, &args.report) {
            report::folder::write(out, &client, &submitted.sweep, folder, args.force).await?;
        }
        return followed;
    }
    out.note(format!("next: sweepctl watch {}", safe(&submitted.name)));
    Ok(())
}

/// What `plan` shows is not what was submitted, where the releases differ. In the same release the file is another project's, too, and this
/// sweep has an id of its own.
async fn another_id(out: &Out, client: &Client, id: &str) -> Result<(), Fault> {
    let (ours, theirs) = (env!("CARGO_PKG_VERSION"), client.info().await?.build);
    if theirs != ours {
        out.warn(format!(
            "sweepctl {ours} derives another id ({id}) than the coordinator, which is {}: install the same release of both",
            safe(&theirs)
        ));
    }
    Ok(())
}

fn dry_run(out: &Out, file: &SweepFile, run: &str) -> Result<(), Fault> {
    let sweep = file.id(run);
    match out.format {
        Format::Json => out.json(&json!({"dry_run": true, "plan": plan::head(file, sweep)}))?,
        Format::Table | Format::Csv => {
            out.print(format!("{} {sweep}\n", file.plan.name))?;
            plan::describe(out, &file.plan);
        }
    }
    out.note("dry run: nothing was submitted");
    Ok(())
}
