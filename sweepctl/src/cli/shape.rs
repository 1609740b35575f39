//! The form of the output, as flags: colour, table, JSON, CSV.

use clap::{Args, ValueEnum};

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The form of what is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Format {
    /// For people.
    Table,
    /// For scripts; has a `schema_version`.
    Json,
    /// For spreadsheets, where there are rows; otherwise like `table`.
    Csv,
}

/// How a command prints its data.
#[derive(Debug, Default, Args)]
pub(crate) struct Shape {
    /// Form of the output: table, json or csv [env: SWEEP_OUTPUT; default: table]
    #[arg(short, long, value_name = "FORM", hide_possible_values = true)]
    pub(crate) output: Option<Format>,
    /// Same as `--output json`
    #[arg(long, conflicts_with_all = ["output", "csv"])]
    pub(crate) json: bool,
    /// Same as `--output csv`
    #[arg(long, conflicts_with = "output")]
    pub(crate) csv: bool,
}

impl Shape {
    /// What was asked for on the command line.
    pub(crate) fn format(&self) -> Option<Format> {
        match (self.json, self.csv) {
            (true, _) => Some(Format::Json),
            (_, true) => Some(Format::Csv),
            _ => self.output,
        }
    }
}
