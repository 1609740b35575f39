//! `plan`: the exact trials of a file, with the ids that `submit` will give them. Written piece by
//! piece, because there may be 100,000.

use std::io::{self, Write};
use std::time::Duration;

use serde::Serialize;
use serde_json::json;
use sweep_core::id::SweepId;
use sweep_core::plan::Plan;
use sweep_core::reuse::refused;

use super::reuse;
use crate::cli::{self, Format};
use crate::config::Config;
use crate::fault::{Fault, count};
use crate::output::{Listing, Out, csv_row, safe};
use crate::sweep_file::{self, SweepFile};
use crate::view::ReusableView;

/// One trial as scripts see it.
#[derive(Serialize)]
struct Row<'a> {
    index: u32,
    trial: String,
    point: u32,
    baseline: bool,
    seed: u64,
    settings: serde_json::Map<String, serde_json::Value>,
    #[serde(skip)]
    labels: Vec<(&'a str, String)>,
}

/// How long somebody who did not ask waits for what a coordinator knows.
const SOON: Duration = Duration::from_secs(1);

/// Whether a coordinator is asked: on demand, and for people if one is known.
pub(crate) fn asks(out: &Out, config: &Config, args: &cli::Plan) -> bool {
    args.reuse || (out.format == Format::Table && !out.is_quiet() && config.known_server().is_some())
}

/// Prints the plan of a file.
pub(crate) fn run(out: &Out, args: &cli::Plan) -> Result<(), Fault> {
    print(out, args, &sweep_file::load(out, &args.file)?, None)
}

/// The same, with what was trained before. Whoever did not ask for that is not told when nobody answers.
pub(crate) async fn ask(out: &Out, config: &Config, args: &cli::Plan) -> Result<(), Fault> {
    let file = sweep_file::load(out, &args.file)?;
    let (trials, refused) = (file.plan.len().into(), refused(&file.plan));
    let say = |found: &[ReusableView]| reuse::say(out, 0, trials, found, "submit --reuse");
    if !args.reuse {
        print(out, args, &file, None)?;
        if let (None, Ok(Ok(found))) = (refused, tokio::time::timeout(SOON, reuse::ask(config, &file)).await) {
            say(&found);
        }
        return Ok(());
    }
    let found = if refused.is_some() { Vec::new() } else { reuse::ask(config, &file).await? };
    print(out, args, &file, Some(&found))?;
    match refused {
        Some(why) => out.note(format!("`submit --reuse` refuses this file: {why}")),
        None if found.is_empty() => out.note(reuse::NOTHING),
        None => say(&found),
    }
    Ok(())
}

fn print(out: &Out, args: &cli::Plan, file: &SweepFile, reusable: Option<&[ReusableView]>) -> Result<(), Fault> {
    let sweep = file.id("");
    let shown = args.limit.unwrap_or(u32::MAX).min(file.plan.len());
    match out.format {
        Format::Json => out.write(|to| json_rows(to, file, sweep, shown, reusable)),
        Format::Csv => out.write(|to| csv_rows(to, &file.plan, sweep, shown)),
        Format::Table => {
            describe(out, &file.plan);
            out.write(|to| table_rows(to, &file.plan, sweep, shown))?;
            if shown < file.plan.len() {
                out.note(format!("{} more", file.plan.len() - shown));
            }
            if file.plan.all_trials() > file.plan.len() {
                let to_come = count(file.plan.all_trials() - file.plan.len(), "trial");
                out.note(format!("{to_come} not known yet: what they try follows from the results of those before"));
            }
            Ok(())
        }
    }
}

/// Counts, in words.
pub(crate) fn describe(out: &Out, plan: &Plan) {
    let (points, seeds) = (count(plan.all_points(), "point"), count(plan.seeds.len(), "seed"));
    out.note(format!("{}: {} = {points} x {seeds}", plan.name, count(plan.all_trials(), "trial")));
    for column in &plan.columns {
        const MOST: usize = 8;
        let mut labels = column.labels.iter().take(MOST).cloned().collect::<Vec<_>>().join(", ");
        if column.labels.len() > MOST {
            labels.push_str(", ...");
        }
        let values = count(column.labels.len(), "value");
        out.note(format!("  {}: {values} ({})", column.path, safe(&labels)));
    }
    sweep_core::search::words::describe(plan).into_iter().for_each(|line| out.note(line));
    sweep_core::stopping::words::describe(plan).into_iter().for_each(|line| out.note(line));
}

/// What a plan is, without its trials.
pub(crate) fn head(file: &SweepFile, sweep: SweepId) -> serde_json::Value {
    let plan = &file.plan;
    let axis = |column: &sweep_core::plan::Column| json!({"path": column.path, "values": column.labels});
    json!({
        "name": plan.name,
        "sweep": sweep.to_string(),
        "count": plan.len(),
        "points": plan.points,
        "to_come": plan.all_trials() - plan.len(),
        "search": plan.search,
        "seeds": plan.seeds,
        "baseline": plan.baseline,
        "base": plan.base,
        "stop": plan.stop,
        "rungs": plan.stop.as_deref().map(|stop| stop.rungs(plan.epochs(0))),
        "axes": plan.columns.iter().map(axis).collect::<Vec<_>>(),
    })
}

fn row(plan: &Plan, sweep: SweepId, index: u32) -> Row<'_> {
    let trial = plan.trial(index);
    Row {
        index,
        trial: plan.trial_id(sweep, index).to_string(),
        point: trial.point,
        baseline: plan.baseline == Some(trial.point),
        seed: plan.seeds[trial.seed as usize],
        settings: serde_json::Map::new(),
        labels: plan.labels(trial.point),
    }
}

fn json_rows(
    to: &mut dyn Write,
    file: &SweepFile,
    sweep: SweepId,
    shown: u32,
    reusable: Option<&[ReusableView]>,
) -> io::Result<()> {
    let mut head = head(file, sweep);
    if let Some(reusable) = reusable {
        head["reusable"] = json!(reusable);
    }
    let mut list = Listing::open(to, &head, "trials")?;
    for index in 0..shown {
        let mut row = row(&file.plan, sweep, index);
        row.settings = row.labels.drain(..).map(|(path, label)| (path.to_owned(), label.into())).collect();
        list.push(&row)?;
    }
    list.close()
}

fn csv_rows(to: &mut dyn Write, plan: &Plan, sweep: SweepId, shown: u32) -> io::Result<()> {
    let paths = plan.columns.iter().map(|column| column.path.as_str());
    csv_row(to, ["index", "trial", "point"].into_iter().chain(paths).chain(["seed"]))?;
    for index in 0..shown {
        let row = row(plan, sweep, index);
        let before = [row.index.to_string(), row.trial, row.point.to_string()];
        let labels = row.labels.into_iter().map(|(_, label)| label);
        csv_row(to, before.into_iter().chain(labels).chain([row.seed.to_string()]))?;
    }
    Ok(())
}

/// Aligned without looking at every row first: the widths follow from the labels.
fn table_rows(to: &mut dyn Write, plan: &Plan, sweep: SweepId, shown: u32) -> io::Result<()> {
    let wide = |text: &str| text.chars().count();
    let number = wide(&plan.len().to_string());
    let base = plan.columns.len();
    let width = |index: usize| {
        let column = &plan.columns[index];
        let labels = column.labels.iter().map(|label| wide(&safe(label)));
        // A cell that keeps the base shows the base's value, which may be none of the labels.
        let at_base = sweep_core::plan::at(&plan.base, &column.path);
        let at_base = at_base.map(|value| sweep_core::plan::label_of(&column.path, value));
        labels.chain([wide(&column.path)]).chain(at_base.map(|label| wide(&safe(&label)))).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..base).map(width).collect();
    write!(to, "{:>number$}  {:<8}", "#", "trial")?;
    for (column, width) in plan.columns.iter().zip(&widths) {
        write!(to, "  {:<width$}", column.path)?;
    }
    writeln!(to, "  seed")?;
    for index in 0..shown {
        let row = row(plan, sweep, index);
        write!(to, "{index:>number$}  {:<8}", &row.trial[..8])?;
        for ((_, label), width) in row.labels.iter().zip(&widths) {
            write!(to, "  {:<width$}", safe(label))?;
        }
        writeln!(to, "  {}{}", row.seed, if row.baseline { "  baseline" } else { "" })?;
    }
    Ok(())
}
