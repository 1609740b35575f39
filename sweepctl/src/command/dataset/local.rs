//! A data set's folder on this machine, and what the trainer says about it.

use std::path::{Component, PathBuf};
use std::process::{Command, Stdio};

use etcetera::BaseStrategy;
use serde::Deserialize;
use serde_json::Value;

use super::DatasetFault;
use crate::cli::DatasetOne;
use crate::command::program;
use crate::config::Config;
use crate::fault::Fault;
use crate::output::{Cell, Out, Table, percent};

/// Classes that are listed one by one; of more, only the smallest and the largest.
const CLASSES: usize = 20;
/// Rarest and commonest classes that are named of many.
const ENDS: usize = 3;

/// Files of one class.
#[derive(Debug, Deserialize)]
pub(super) struct Balance {
    pub(super) class: String,
    pub(super) train: u64,
    pub(super) val: u64,
}

/// Why a folder is no data set.
#[derive(Debug, Deserialize)]
pub(super) struct Trouble {
    reason: String,
    message: String,
}

impl Trouble {
    pub(super) fn fault(&self) -> Fault {
        DatasetFault::NotOne { reason: self.reason.clone(), message: self.message.clone() }.into()
    }
}

/// Where decoded images and what was measured are kept.
pub(super) fn cache() -> Result<PathBuf, Fault> {
    let base = etcetera::base_strategy::Xdg::new().map_err(|_| Fault::NoHome)?;
    Ok(base.cache_dir().join("sweep").join("datasets"))
}

/// The folder that is meant: a plain name is looked for in the data roots first.
pub(super) fn find(config: &Config, args: &DatasetOne) -> Result<PathBuf, Fault> {
    let roots = if args.data.is_empty() { &config.up.data } else { &args.data };
    let mut parts = args.what.components();
    let plain = matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None));
    let named = roots.iter().filter(|_| plain).map(|root| root.join(&args.what));
    let mut candidates = named.chain([args.what.clone()]);
    candidates.find(|path| path.exists()).ok_or_else(|| {
        DatasetFault::Unknown { what: args.what.clone(), roots: if plain { roots.clone() } else { Vec::new() } }.into()
    })
}

/// Lets the trainer look; its words about the progress go to standard error.
pub(super) fn ask(out: &Out, task: &str, folder: PathBuf, more: Option<PathBuf>) -> Result<Value, Fault> {
    let path = program("sweep-trainer")?;
    // The name of `.` is found by the trainer, which sees the same working folder; that of `..` is not in it.
    let folder = if folder.ends_with("..") || folder.as_os_str() == "." {
        folder.canonicalize().map_err(|source| Fault::Disk { what: "find the folder", path: folder.clone(), source })?
    } else {
        folder
    };
    let mut command = Command::new(&path);
    command.arg(task).arg(&folder).args(more).stdin(Stdio::null()).stdout(Stdio::piped());
    command.stderr(if out.is_quiet() { Stdio::null() } else { Stdio::inherit() });
    let output = command.output().map_err(|source| Fault::Program { path, source })?;
    if !output.status.success() {
        return Err(DatasetFault::Ended { how: output.status.to_string() }.into());
    }
    understood(&folder, serde_json::from_slice(&output.stdout))
}

/// What the trainer said, in the form that is wanted.
pub(super) fn understood<T>(folder: &std::path::Path, said: serde_json::Result<T>) -> Result<T, Fault> {
    said.map_err(|source| DatasetFault::Answer { what: folder.to_path_buf(), source }.into())
}

/// Images of each class; of many classes those at both ends.
pub(super) fn balance(out: &Out, balance: &[Balance]) -> Result<(), Fault> {
    let total: u64 = balance.iter().map(|class| class.train).sum();
    let mut table = Table::new(["class", "train", "share %", "val"]);
    let mut row = |class: &Balance| {
        table.row([
            Cell::new(&class.class),
            Cell::number(class.train),
            Cell::number(percent(class.train as f64 / total.max(1) as f64)),
            Cell::number(class.val),
        ]);
    };
    let mut by_size: Vec<&Balance> = balance.iter().collect();
    by_size.sort_by_key(|class| class.train);
    if balance.len() <= CLASSES {
        balance.iter().for_each(&mut row);
    } else {
        out.print(format!("of {} classes, the {ENDS} smallest and the {ENDS} largest:\n", balance.len()))?;
        by_size[..ENDS].iter().chain(&by_size[by_size.len() - ENDS..]).for_each(|class| row(class));
    }
    out.table(&table)?;
    if let [first, .., last] = by_size.as_slice() {
        let ratio = last.train as f64 / first.train.max(1) as f64;
        out.print(format!("largest class / smallest class: {ratio:.2}\n"))?;
    }
    Ok(())
}
