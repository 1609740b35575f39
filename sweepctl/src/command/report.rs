//! `report`: what came out of a sweep and what it means, in the form that was asked for. The numbers are worked out in
//! `sweep_core::report`; here they are only written down.

mod classes;
mod fault;
pub(super) mod file;
pub(super) mod folder;
mod parquet;
mod people;
mod rows;

use serde::Serialize;
use sweep_core::report::Report;
use sweep_core::report::analysis::{Options, Study, analyse};
use sweep_core::report::document::html::html;
use sweep_core::report::document::latex::latex;
use sweep_core::report::document::markdown::markdown;
use sweep_core::report::document::{Classes, document};

use crate::cli::{self, Chosen, Form, Format, Rows, Target};
use crate::client::Client;
use crate::fault::Fault;
use crate::output::{Out, Page, safe, with_version};

pub(crate) use fault::ReportFault;

/// Prints or writes what came out so far.
pub(crate) async fn run(out: &Out, client: &Client, args: &cli::Report) -> Result<(), Fault> {
    let target = target(out, args);
    if let Some(path) = &target.file {
        file::check(path, args.force)?;
    }
    let curves = match target.form {
        Form::Table => false,
        Form::Csv | Form::Parquet => args.rows == Some(Rows::Epochs),
        _ => true,
    };
    let report = client.report(&args.sweep, curves).await?;
    let options = options(&report, args)?;
    let chosen =
        args.classes.iter().map(|chosen| number(&report, "--classes", chosen)).collect::<Result<Vec<_>, _>>()?;
    let classes = match target.form {
        Form::Html | Form::Tex | Form::Md | Form::Json => classes::classes(out, client, &report, &chosen).await,
        _ => Vec::new(),
    };
    let study = analyse(report, &options).map_err(ReportFault::from)?;
    let bytes = match target.form {
        Form::Table => people::people(if target.file.is_some() { Page::plain() } else { out.page() }, &study)?,
        form => written(&study, &classes, form, args)?,
    };
    match &target.file {
        None => out.print(bytes),
        Some(path) => {
            file::write(path, &bytes, args.force)?;
            out.note(format!("wrote {}", path.display()));
            Ok(())
        }
    }
}

/// Everything there is, as JSON has it.
#[derive(Debug, Serialize)]
struct Whole<'a> {
    #[serde(flatten)]
    study: &'a Study,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    classes: &'a [Classes],
}

/// For what has no place to say it: a figure, a comparison, an export.
pub(super) fn warn_of_probe(out: &Out, report: &Report) {
    if let Some(probe) = report.probe() {
        out.warn(format!("{}: {probe}", safe(&report.name)));
    }
}

fn target(out: &Out, args: &cli::Report) -> Target {
    let form = match (args.json, args.csv, out.format) {
        (true, _, _) => Form::Json,
        (_, true, _) => Form::Csv,
        (_, _, Format::Json) => Form::Json,
        (_, _, Format::Csv) => Form::Csv,
        (_, _, Format::Table) => Form::Table,
    };
    args.output.clone().unwrap_or(Target { form, file: None })
}

/// The number of a point that was named.
fn number(report: &Report, option: &'static str, chosen: &Chosen) -> Result<u32, ReportFault> {
    let found = report.points.iter().find(|row| match chosen {
        Chosen::Best => row.rank == Some(1),
        Chosen::Baseline => row.baseline,
        Chosen::Number(number) => row.point == *number,
    });
    let points = report.points.len();
    found.map(|row| row.point).ok_or_else(|| ReportFault::Point { option, asked: chosen.clone(), points })
}

fn options(report: &Report, args: &cli::Report) -> Result<Options, ReportFault> {
    let test = args.test.iter().map(|chosen| number(report, "--test", chosen)).collect::<Result<_, _>>()?;
    Ok(Options { method: args.interval.into(), factor: args.factor.clone(), test })
}

fn written(study: &Study, classes: &[Classes], form: Form, args: &cli::Report) -> Result<Vec<u8>, Fault> {
    Ok(match form {
        Form::Table => Vec::new(),
        Form::Json => format!("{}\n", with_version(&Whole { study, classes })).into_bytes(),
        Form::Csv => {
            let mut bytes = Vec::new();
            rows::rows(study, args.rows.unwrap_or(Rows::Points)).csv(&mut bytes).map_err(Fault::output)?;
            bytes
        }
        Form::Md => markdown(&document(study, classes)).into_bytes(),
        Form::Html => html(&document(study, classes)).into_bytes(),
        Form::Tex => latex(&document(study, classes)).into_bytes(),
        Form::Parquet => parquet::parquet(&rows::rows(study, args.rows.unwrap_or(Rows::Trials))),
    })
}
