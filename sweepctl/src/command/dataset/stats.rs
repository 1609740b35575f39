//! `dataset stats`: numbers about a data set.

use serde::Deserialize;
use serde_json::Value;

use super::local::{Balance, Trouble, ask, balance, cache, find, understood};
use crate::cli::{DatasetOne, Format};
use crate::config::Config;
use crate::fault::{Fault, count};
use crate::output::{Out, csv_row, safe};

#[derive(Debug, Deserialize)]
struct Stats {
    name: String,
    #[serde(default)]
    layout: Option<String>,
    train_images: u64,
    val_images: u64,
    bytes: u64,
    balance: Vec<Balance>,
    #[serde(default)]
    measured: Option<Measured>,
    cached: bool,
    #[serde(default)]
    error: Option<Trouble>,
}

#[derive(Debug, Deserialize)]
struct Measured {
    images: u64,
    unreadable: u64,
    mean: [f64; 3],
    std: [f64; 3],
    width: Spread,
    height: Spread,
    common: Vec<(u32, u32, u64)>,
}

#[derive(Debug, Deserialize)]
struct Spread {
    min: u32,
    median: u32,
    max: u32,
}

impl Spread {
    fn words(&self) -> String {
        format!("{} to {}, median {}", self.min, self.max, self.median)
    }
}

/// Lets the trainer measure, or find what it measured before.
pub(super) fn run(out: &Out, config: &Config, args: &DatasetOne) -> Result<(), Fault> {
    let folder = find(config, args)?;
    let said: Value = ask(out, "stats", folder.clone(), Some(cache()?))?;
    let stats = understood(&folder, Stats::deserialize(&said))?;
    match out.format {
        Format::Json => out.json(&said)?,
        _ if stats.error.is_some() => {}
        Format::Csv => out.write(|to| {
            csv_row(to, ["class", "train", "val"])?;
            (stats.balance.iter())
                .try_for_each(|class| csv_row(to, [&class.class, &class.train.to_string(), &class.val.to_string()]))
        })?,
        Format::Table => table(out, &stats)?,
    }
    stats.error.as_ref().map_or(Ok(()), |trouble| Err(trouble.fault()))
}

fn table(out: &Out, stats: &Stats) -> Result<(), Fault> {
    let layout = stats.layout.as_deref().unwrap_or("unknown");
    out.print(format!(
        "{} ({layout}): {} to train on, {} to validate, {:.1} MB\n",
        safe(&stats.name),
        count(stats.train_images, "image"),
        stats.val_images,
        stats.bytes as f64 / 1e6
    ))?;
    balance(out, &stats.balance)?;
    let Some(measured) = &stats.measured else { return Ok(()) };
    let three = |values: [f64; 3]| values.map(|value| format!("{value:.4}")).join(" ");
    let common: Vec<_> = measured.common.iter().map(|(width, height, n)| format!("{width}x{height} ({n})")).collect();
    let unreadable = match measured.unreadable {
        0 => String::new(),
        n => format!(", {n} unreadable left out"),
    };
    out.print(format!(
        "of {}{unreadable}, pixels as they are in the files{}:\n  width   {}\n  height  {}\n  common  {}\n  mean    {}\n  std     {}\n",
        count(measured.images, "training image"),
        if stats.cached { " (measured before)" } else { "" },
        measured.width.words(),
        measured.height.words(),
        common.join(", "),
        three(measured.mean),
        three(measured.std),
    ))
}
