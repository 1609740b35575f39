//! `dataset check`: what is wrong with a data set.

use serde::Deserialize;
use serde_json::Value;

use super::DatasetFault;
use super::local::{Balance, Trouble, ask, balance, find, understood};
use crate::cli::{DatasetOne, Format};
use crate::config::Config;
use crate::fault::{Fault, count};
use crate::output::{Out, csv_row, safe};

/// Lines of each kind that people are shown.
const SHOWN: usize = 10;

#[derive(Debug, Deserialize)]
struct Checked {
    name: String,
    #[serde(default)]
    layout: Option<String>,
    images: [u64; 3],
    gray: u64,
    balance: Vec<Balance>,
    bad: Vec<Bad>,
    odd: Vec<Strange>,
    copies: Vec<Copies>,
    problems: u64,
    warnings: u64,
    #[serde(default)]
    error: Option<Trouble>,
}

#[derive(Debug, Deserialize)]
struct Bad {
    #[serde(default)]
    file: Option<String>,
    reason: String,
    message: String,
}

#[derive(Debug, Deserialize)]
struct Strange {
    file: String,
    what: String,
    message: String,
}

#[derive(Debug, Deserialize)]
struct Copies {
    same: String,
    leak: bool,
    labels_differ: bool,
    files: Vec<Member>,
}

#[derive(Debug, Deserialize)]
struct Member {
    side: String,
    #[serde(default)]
    class: Option<String>,
    file: String,
}

impl Copies {
    fn kind(&self) -> &'static str {
        match (self.leak, self.labels_differ) {
            (true, true) => "leaked and in several classes",
            (true, false) => "leaked",
            (false, true) => "in several classes",
            (false, false) => "copies",
        }
    }

    fn words(&self) -> String {
        let names: Vec<_> = self.files.iter().map(|one| safe(&one.file).into_owned()).collect();
        format!("{}: {} (same {})", self.kind(), names.join(" = "), self.same)
    }
}

/// Lets the trainer look at every image and shows what it found.
pub(super) fn run(out: &Out, config: &Config, args: &DatasetOne) -> Result<(), Fault> {
    let folder = find(config, args)?;
    let said: Value = ask(out, "check", folder.clone(), None)?;
    let checked = understood(&folder, Checked::deserialize(&said))?;
    match out.format {
        Format::Json => out.json(&said)?,
        Format::Csv => csv(out, &checked)?,
        Format::Table => table(out, &checked)?,
    }
    match (&checked.error, checked.problems) {
        (Some(trouble), _) => Err(trouble.fault()),
        (None, 0) => Ok(()),
        (None, problems) => Err(DatasetFault::Problems { name: checked.name, problems }.into()),
    }
}

fn table(out: &Out, checked: &Checked) -> Result<(), Fault> {
    if checked.error.is_some() {
        return Ok(());
    }
    let [train, val, test] = checked.images;
    let layout = checked.layout.as_deref().unwrap_or("unknown");
    let name = safe(&checked.name);
    out.print(format!(
        "{name} ({layout}): {} in {}, {train} train, {val} val, {test} test; {} gray\n",
        count(train + val + test, "image"),
        class_count(checked.balance.len()),
        checked.gray
    ))?;
    balance(out, &checked.balance)?;
    let bad = checked.bad.iter().map(|bad| match &bad.file {
        Some(file) => format!("bad: {} {} [{}]", safe(file), message(bad, file), safe(&bad.reason)),
        None => format!("bad: {} [{}]", safe(&bad.message), safe(&bad.reason)),
    });
    list(out, "bad", bad.collect())?;
    let grave = |group: &&Copies| group.leak || group.labels_differ;
    list(out, "grave copies", checked.copies.iter().filter(grave).map(Copies::words).collect())?;
    list(out, "other copies", checked.copies.iter().filter(|group| !grave(group)).map(Copies::words).collect())?;
    list(
        out,
        "unusual",
        checked.odd.iter().map(|odd| format!("unusual: {} {}", safe(&odd.file), odd.message)).collect(),
    )?;
    let verdict = format!("{}, {}\n", count(checked.problems, "problem"), count(checked.warnings, "warning"));
    out.print(verdict)?;
    if val == 0 && checked.copies.iter().any(|group| !group.leak) {
        out.note("without a validation folder, copies may come to stand on both sides of a split");
    }
    Ok(())
}

/// The message of a listing names the whole path; what follows it is enough.
fn message(bad: &Bad, file: &str) -> String {
    let rest = bad.message.split_once(file).map_or(bad.message.as_str(), |(_, rest)| rest);
    safe(rest.trim_start_matches(['"', ':', ' '])).into_owned()
}

fn class_count(classes: usize) -> String {
    if classes == 1 { "1 class".to_owned() } else { format!("{classes} classes") }
}

fn list(out: &Out, kind: &str, lines: Vec<String>) -> Result<(), Fault> {
    for line in lines.iter().take(SHOWN) {
        out.print(format!("{line}\n"))?;
    }
    match lines.len().saturating_sub(SHOWN) {
        0 => Ok(()),
        more => out.print(format!("and {more} more ({kind}); --json names all\n")),
    }
}

fn csv(out: &Out, checked: &Checked) -> Result<(), Fault> {
    out.write(|to| {
        csv_row(to, ["kind", "group", "side", "class", "file", "detail"])?;
        for bad in &checked.bad {
            csv_row(to, ["bad", "", "", "", bad.file.as_deref().unwrap_or_default(), &bad.message])?;
        }
        for odd in &checked.odd {
            csv_row(to, ["unusual", "", "", "", &odd.file, &odd.what])?;
        }
        for (number, group) in checked.copies.iter().enumerate() {
            let number = number.to_string();
            for one in &group.files {
                let class = one.class.as_deref().unwrap_or_default();
                csv_row(to, [group.kind(), &number, &one.side, class, &one.file, &group.same])?;
            }
        }
        Ok(())
    })
}
