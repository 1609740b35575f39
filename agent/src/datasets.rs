//! Which data sets this host has: the sub-folders of its data roots, as the trainer sees them. The
//! trainer does the looking, in a process of its own with a time limit; reading images is its job.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use sweep_core::event::DatasetFacts;
use tokio::process::Command;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::sandbox::{Sandbox, Walls};

/// How often the roots are looked at.
const EVERY: Duration = Duration::from_secs(60);
/// How long the trainer may look at them.
const LOOK: Duration = Duration::from_secs(30);
/// Most bytes of what it says.
const MOST: usize = 4 << 20;
/// After so many looks all is read again: a file that was replaced changes the time of no folder.
const AGAIN: u32 = 10;
/// Folders below a data set whose change means that it has changed.
const DEPTH: u32 = 3;

/// Looks again and again and says what it finds; a data set that has not changed is not read again.
pub async fn watch(
    trainer: PathBuf,
    sandbox: Option<Arc<Sandbox>>,
    roots: Vec<PathBuf>,
    found: watch::Sender<Option<Vec<DatasetFacts>>>,
) {
    let mut seen = None;
    let mut looks = 0u32;
    loop {
        let places = roots.clone();
        let signature = tokio::task::spawn_blocking(move || signature(&places)).await;
        if let Ok(signature) = signature
            && (seen.as_ref() != Some(&signature) || looks.is_multiple_of(AGAIN))
        {
            let facts = look(&trainer, sandbox.as_deref(), signature.keys()).await;
            found.send_if_modified(|old| {
                let changed = old.as_ref() != Some(&facts);
                *old = Some(facts);
                changed
            });
            seen = Some(signature);
        }
        if found.is_closed() {
            return;
        }
        looks = looks.wrapping_add(1);
        sleep(EVERY).await;
    }
}

/// Every data set folder with the times its folders changed.
fn signature(roots: &[PathBuf]) -> BTreeMap<PathBuf, Vec<SystemTime>> {
    let mut out = BTreeMap::new();
    let mut names = BTreeSet::new();
    for root in roots {
        let entries = match fs::read_dir(root) {
            Ok(entries) => entries,
            Err(error) => {
                tracing::warn!(root = %root.display(), %error, "cannot read a data root");
                continue;
            }
        };
        let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort_unstable();
        for path in paths {
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
                tracing::warn!(path = %path.display(), "left out: its name is not UTF-8");
                continue;
            };
            if name.starts_with('.') || !path.is_dir() || is_of_weights(&path) {
                continue;
            }
            if !names.insert(name.to_owned()) {
                let known = "an earlier data root has a data set of this name; this one is found by its path only";
                tracing::warn!(path = %path.display(), "{known}");
            }
            let manifest = fs::metadata(path.join("manifest.csv")).and_then(|metadata| metadata.modified());
            let mut times: Vec<_> = manifest.into_iter().collect();
            changes(&path, DEPTH, &mut times);
            out.insert(path, times);
        }
    }
    out
}

/// Whether it is a folder of weights or modules for `init.weights` and `torchscript`, which lie beside the data sets.
fn is_of_weights(folder: &Path) -> bool {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let files: Vec<PathBuf> = entries.collect();
    let is_weights = |path: &PathBuf| path.extension().is_some_and(|of| of == "safetensors" || of == "pt");
    let is_of_images = |path: &PathBuf| path.is_dir() || path.file_name().is_some_and(|name| name == "manifest.csv");
    files.iter().any(is_weights) && !files.iter().any(is_of_images)
}

fn changes(folder: &Path, depth: u32, times: &mut Vec<SystemTime>) {
    let modified = fs::metadata(folder).and_then(|metadata| metadata.modified());
    times.extend(modified.ok());
    if depth == 0 {
        return;
    }
    let mut below: Vec<_> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect();
    below.sort_unstable();
    for folder in below {
        changes(&folder, depth - 1, times);
    }
}

/// What the trainer says of one folder; fields that this version does not know are left alone.
#[derive(Debug, Deserialize)]
struct Inspected {
    path: PathBuf,
    #[serde(default)]
    layout: Option<String>,
    #[serde(default)]
    fingerprint: Option<String>,
    /// Their names.
    #[serde(default)]
    classes: Vec<String>,
    #[serde(default)]
    train_images: u64,
    #[serde(default)]
    val_images: u64,
    #[serde(default)]
    error: Option<Problem>,
}

#[derive(Debug, Deserialize)]
struct Problem {
    reason: String,
    message: String,
}

async fn look(trainer: &Path, sandbox: Option<&Sandbox>, paths: impl Iterator<Item = &PathBuf>) -> Vec<DatasetFacts> {
    let paths: Vec<&PathBuf> = paths.collect();
    if paths.is_empty() {
        return Vec::new();
    }
    let mut inspected = match inspect(trainer, sandbox, &paths).await {
        Ok(inspected) => inspected,
        Err(error) => {
            tracing::warn!(trainer = %trainer.display(), %error, "cannot look at the data sets");
            return Vec::new();
        }
    };
    let facts = paths.into_iter().filter_map(|path| {
        let name = path.file_name()?.to_str()?.to_owned();
        let seen = inspected.remove(path);
        let problem = match &seen {
            None => Some("dataset_unseen: the trainer said nothing about it in time".to_owned()),
            Some(seen) => (seen.error.as_ref()).map(|error| format!("{}: {}", error.reason, error.message)),
        };
        if let Some(problem) = &problem {
            tracing::warn!(name, problem, "a data set cannot be used");
        }
        let seen = seen.map_or_else(DatasetFacts::default, |seen| DatasetFacts {
            classes: seen.classes.len() as u32,
            train_images: seen.train_images,
            val_images: seen.val_images,
            layout: seen.layout,
            fingerprint: seen.fingerprint,
            ..DatasetFacts::default()
        });
        Some(DatasetFacts { name, problem, path: path.to_str().map(str::to_owned), ..seen })
    });
    facts.collect()
}

async fn inspect(
    trainer: &Path,
    sandbox: Option<&Sandbox>,
    paths: &[&PathBuf],
) -> io::Result<BTreeMap<PathBuf, Inspected>> {
    let mut command = Command::new(trainer);
    command
        .arg("inspect")
        .args(paths)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let mut child = match sandbox {
        None => command.spawn()?,
        Some(sandbox) => sandbox.spawn(&mut command, &Walls::default())?,
    };
    let mut text = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        use tokio::io::AsyncReadExt;
        let mut stdout = stdout.take(MOST as u64);
        let read = stdout.read_to_end(&mut text);
        if timeout(LOOK, read).await.is_err() {
            tracing::warn!("looking at the data sets takes too long; what was seen until now is used");
        }
    }
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let seen = lines.filter_map(|line| {
        let seen = serde_json::from_slice::<Inspected>(line);
        seen.inspect_err(|error| tracing::warn!(%error, "the trainer says something else about a data set")).ok()
    });
    Ok(seen.map(|seen| (seen.path.clone(), seen)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sub_folders_are_reported_as_the_trainer_sees_them() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["data/good/train", "data/bad", "data/.hidden", "other/good"] {
            fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        let trainer = folder.path().join("trainer");
        let script = "#!/bin/sh\nshift\nfor p in \"$@\"; do case $p in *good) echo \"{\\\"path\\\":\\\"$p\\\",\\\"classes\\\":[\\\"a\\\",\\\"b\\\",\\\"c\\\"],\\\"train_images\\\":9,\\\"val_images\\\":2,\\\"layout\\\":\\\"folder\\\",\\\"fingerprint\\\":\\\"f1-aa\\\"}\";; *) echo \"{\\\"path\\\":\\\"$p\\\",\\\"error\\\":{\\\"reason\\\":\\\"dataset_empty\\\",\\\"message\\\":\\\"no images\\\"}}\";; esac; done\n";
        program(&trainer, script);
        // Weights beside the data sets are none.
        let weights = folder.path().join("data/pretrained");
        fs::create_dir(&weights).unwrap();
        fs::write(weights.join("resnet18.safetensors"), "").unwrap();
        assert!(is_of_weights(&weights) && !is_of_weights(&folder.path().join("data/bad")));
        let roots = [folder.path().join("data"), folder.path().join("other")];
        let found = look(&trainer, None, signature(&roots).keys()).await;
        // The second `good` is found by its path.
        let expected = [("bad", 0, Some("dataset_empty: no images")), ("good", 9, None), ("good", 9, None)];
        assert_eq!(found.len(), 3);
        let paths: Vec<_> = found.iter().map(|facts| facts.path.as_deref()).collect();
        let at = |name: &str| Some(folder.path().join(name).to_str().unwrap().to_owned());
        assert_eq!(paths, [at("data/bad").as_deref(), at("data/good").as_deref(), at("other/good").as_deref()]);
        assert_eq!(found[1].fingerprint.as_deref(), Some("f1-aa"));
        assert_eq!(found[1].layout.as_deref(), Some("folder"));
        for (found, (name, images, problem)) in found.iter().zip(expected) {
            assert_eq!((found.name.as_str(), found.train_images), (name, images));
            assert_eq!(found.problem.as_deref(), problem);
        }
        let none = look(Path::new("/no/trainer"), None, signature(&roots).keys()).await;
        assert_eq!(none, []);
    }

    /// Writes a program. A process of its own holds the file open while it is written: a descriptor of this
    /// process could be inherited by whatever another test starts just then, and the program be "busy".
    fn program(path: &std::path::Path, text: &str) {
        use std::io::Write;
        let mut shell = std::process::Command::new("/bin/sh");
        shell.args(["-c", "cat > \"$1\" && chmod 755 \"$1\"", "sh"]).arg(path).stdin(std::process::Stdio::piped());
        let mut shell = shell.spawn().unwrap();
        shell.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        assert!(shell.wait().unwrap().success());
    }
}
