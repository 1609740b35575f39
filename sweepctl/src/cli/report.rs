//! The arguments of `report`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Arguments of `report`.
#[derive(Debug, Args)]
pub(crate) struct Report {
    /// Name, id or prefix
    pub(crate) sweep: String,
    /// table, json, csv, md, html or tex; or a file, whose ending says the form (also .txt and .parquet) [env: SWEEP_OUTPUT; default: table]
    #[arg(short, long, value_name = "FORM|FILE", value_parser = target)]
    pub(crate) output: Option<Target>,
    /// Same as `--output json`
    #[arg(long, conflicts_with_all = ["output", "csv"])]
    pub(crate) json: bool,
    /// Same as `--output csv`
    #[arg(long, conflicts_with = "output")]
    pub(crate) csv: bool,
    /// What a row of CSV or Parquet is: points with their statistics, trials, epochs of trials, or effects of factors [default: points; for Parquet trials]
    #[arg(long, value_name = "WHAT")]
    pub(crate) rows: Option<Rows>,
    /// Show one line for each value of this in learning curves [default: what matters most]
    #[arg(long, value_name = "PATH")]
    pub(crate) factor: Option<String>,
    /// How intervals are made
    #[arg(long, value_name = "METHOD", default_value = "t")]
    pub(crate) interval: Interval,
    /// Show the test accuracy of this point: `best`, `baseline` or its number; may be repeated
    #[arg(long, value_name = "POINT")]
    pub(crate) test: Vec<Chosen>,
    /// Show which classes this point takes for which, in HTML, LaTeX, Markdown and JSON: `best`, `baseline` or its number; may be
    /// repeated
    #[arg(long, value_name = "POINT")]
    pub(crate) classes: Vec<Chosen>,
    /// Replace a file that exists
    #[arg(long)]
    pub(crate) force: bool,
}

/// A form, and where it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// The form.
    pub(crate) form: Form,
    /// The file; standard output if absent.
    pub(crate) file: Option<PathBuf>,
}

/// The forms of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// For people, on a terminal; plain text in a file that ends in .txt.
    #[value(alias = "txt")]
    Table,
    /// Everything, for scripts.
    Json,
    /// Rows, for spreadsheets.
    Csv,
    /// Markdown.
    Md,
    /// One page with figures, without network.
    Html,
    /// LaTeX.
    Tex,
    /// Rows, for data frames; into a file only.
    Parquet,
}

/// What a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Rows {
    /// A point with its statistics.
    Points,
    /// A trial.
    Trials,
    /// An epoch of a trial.
    Epochs,
    /// A value of a factor, two of them together, or a factor's share of the variance.
    Effects,
}

/// How intervals are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Interval {
    /// Student's t.
    T,
    /// Percentile bootstrap.
    Bootstrap,
}

impl From<Interval> for sweep_core::stats::sample::Method {
    fn from(interval: Interval) -> Self {
        match interval {
            Interval::T => Self::T,
            Interval::Bootstrap => Self::Bootstrap,
        }
    }
}

/// A point as a user names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Chosen {
    /// The one with the highest mean.
    Best,
    /// The one that the design compares with.
    Baseline,
    /// By its number in the plan.
    Number(u32),
}

impl std::str::FromStr for Chosen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "best" => Ok(Self::Best),
            "baseline" => Ok(Self::Baseline),
            number => {
                number.parse().map(Self::Number).map_err(|_| "name `best`, `baseline` or the number of a point".into())
            }
        }
    }
}

/// A form by its word, or a file by its ending.
fn target(text: &str) -> Result<Target, String> {
    let form = |word: &str| Form::from_str(word, true).ok();
    if let Some(form) = form(text).filter(|form| *form != Form::Parquet) {
        return Ok(Target { form, file: None });
    }
    let path = PathBuf::from(text);
    let ending = path.extension().and_then(|ending| ending.to_str()).map(str::to_lowercase);
    match ending.as_deref().filter(|ending| *ending != "table").and_then(form) {
        Some(form) => Ok(Target { form, file: Some(path) }),
        None if form(text) == Some(Form::Parquet) => {
            Err("Parquet goes into a file: name one, such as report.parquet".to_owned())
        }
        None => {
            let known: Vec<_> = Form::value_variants().iter().filter_map(ValueEnum::to_possible_value).collect();
            let known: Vec<&str> = known.iter().map(|value| value.get_name()).collect();
            Err(format!("neither a form ({}) nor a file whose ending is one", known.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ending_of_a_file_is_its_form() {
        assert_eq!(target("md").unwrap(), Target { form: Form::Md, file: None });
        let file = Some(PathBuf::from("out/a.b.CSV"));
        assert_eq!(target("out/a.b.CSV").unwrap(), Target { form: Form::Csv, file });
        assert!(target("parquet").unwrap_err().contains("report.parquet"));
        for wrong in ["pdf", "out.pdf", "out", "x.table", ""] {
            assert!(target(wrong).unwrap_err().contains("md"), "{wrong}");
        }
    }
}
