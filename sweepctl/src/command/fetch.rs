//! `fetch`: a checkpoint from the store to a file: verified, then visible, never half.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde_json::json;
use sha2::{Digest, Sha256};

use super::{Patience, state_dict};
use crate::cli::{Fetch, StateFormat};
use crate::client::Client;
use crate::fault::Fault;
use crate::output::{Out, Progress, safe};
use crate::view::{CheckpointView, TrialPageView, short};

/// How often a download that breaks is begun again.
const TRIES: usize = 5;

/// Downloads the checkpoint of a trial, or of a sweep's best trial.
pub(crate) async fn run(out: &Out, client: &Client, args: &Fetch) -> Result<(), Fault> {
    let page = trial(client, &args.what).await?;
    let kind = if args.last { "last" } else { "best" };
    let stored = if args.last { &page.trial.last_checkpoint } else { &page.trial.best_checkpoint };
    let trial = short(&page.trial.trial).to_owned();
    let stored = stored.as_ref().ok_or(Fault::NoCheckpoint { trial: trial.clone(), kind })?;
    fs::create_dir_all(&args.out).map_err(disk("make the folder", &args.out))?;
    let target = args.out.join(format!("{}-{trial}-{kind}.safetensors", file_name(&page.sweep_name)));
    let there = match present(&target)? {
        Some(sha256) if sha256 == stored.sha256 => true,
        Some(_) if !args.force => return Err(Fault::Exists { path: target }),
        _ => false,
    };
    if there {
        out.note("it is already here");
    } else {
        save(out, client, stored, &target).await?;
    }
    let target = match args.format {
        StateFormat::Safetensors => target,
        StateFormat::Torchvision => convert(&target, args.force)?,
    };
    if args.json {
        return out.json(&json!({
            "path": target.display().to_string(),
            "trial": page.trial.trial,
            "sweep": page.sweep,
            "kind": kind,
            "epoch": stored.epoch,
            "sha256": stored.sha256,
            "bytes": stored.bytes,
        }));
    }
    out.print(format!("{}\n", safe(&target.display().to_string())))?;
    out.note(format!("epoch {}, {} bytes, sha256 {}", stored.epoch, stored.bytes, safe(&stored.sha256)));
    Ok(())
}

/// A trial by its id, else the best of a sweep.
pub(super) async fn trial(client: &Client, what: &str) -> Result<TrialPageView, Fault> {
    let not_a_trial = match client.show_trial(what).await {
        Err(fault) if fault.is_not_found() || fault.is_malformed() => fault,
        other => return other,
    };
    let sweep = match client.show(what, 0, 1, &[]).await {
        Ok(page) => page.summary,
        // What can be an id was probably meant as one.
        Err(fault) if fault.is_not_found() => {
            let digits = what.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
            return Err(if digits { not_a_trial } else { fault });
        }
        Err(fault) => return Err(fault),
    };
    let best = sweep.best_trial.ok_or(Fault::NoBest { sweep: sweep.name })?;
    client.show_trial(&best).await
}

/// Names of sweeps are safe by their own rules; a coordinator that breaks them writes nowhere else.
fn file_name(name: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
    let name: String = name.chars().map(safe).collect();
    name.trim_start_matches('.').to_owned()
}

/// The digest of the file at `path`, if there is one.
fn present(path: &Path) -> Result<Option<String>, Fault> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(disk("read", path)(error)),
    };
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer).map_err(disk("read", path))? {
            0 => return Ok(Some(format!("{:x}", hash.finalize()))),
            read => hash.update(&buffer[..read]),
        }
    }
}

/// Downloads beside the target, then renames.
async fn save(out: &Out, client: &Client, stored: &CheckpointView, target: &Path) -> Result<(), Fault> {
    let part = Part { path: target.with_extension(format!("part-{}", std::process::id())) };
    let mut patience = Patience::new();
    for left in (0..TRIES).rev() {
        match download(out, client, stored, &part.path).await {
            Err(fault) if fault.is_transient() && left > 0 => patience.wait().await,
            other => {
                other?;
                break;
            }
        }
    }
    publish(&part.path, target)
}

/// Writes the network of a checkpoint as a state dict beside it.
fn convert(checkpoint: &Path, force: bool) -> Result<PathBuf, Fault> {
    let target = checkpoint.with_extension("torchvision.safetensors");
    let file = fs::read(checkpoint).map_err(disk("read", checkpoint))?;
    let state = state_dict::of_checkpoint(&file).map_err(disk("read", checkpoint))?;
    match present(&target)? {
        Some(there) if there == format!("{:x}", Sha256::digest(&state)) => return Ok(target),
        Some(_) if !force => return Err(Fault::Exists { path: target }),
        _ => {}
    }
    let part = Part { path: target.with_extension(format!("part-{}", std::process::id())) };
    let mut file = File::create(&part.path).map_err(disk("write", &part.path))?;
    file.write_all(&state).and_then(|()| file.sync_all()).map_err(disk("write", &part.path))?;
    publish(&part.path, &target)?;
    Ok(target)
}

/// Gives a complete file its name.
fn publish(part: &Path, target: &Path) -> Result<(), Fault> {
    fs::rename(part, target).map_err(disk("write", target))?;
    // The file is there once its folder says so on disk.
    if let Some(folder) = target.parent() {
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(disk("sync the folder", folder))?;
    }
    Ok(())
}

async fn download(out: &Out, client: &Client, stored: &CheckpointView, path: &Path) -> Result<(), Fault> {
    let mut chunks = client.download(&stored.sha256).await?;
    let mut file = File::create(path).map_err(disk("write", path))?;
    let progress = Progress::bytes(stored.bytes, out.shows_progress());
    let mut hash = Sha256::new();
    let mut bytes = 0;
    while let Some(data) = chunks.next().await? {
        bytes += data.len() as u64;
        hash.update(&data);
        file.write_all(&data).map_err(disk("write", path))?;
        progress.advance(data.len() as u64);
        if bytes > stored.bytes {
            break;
        }
    }
    let actual = format!("{:x}", hash.finalize());
    if actual != stored.sha256 {
        return Err(Fault::Damaged { expected: stored.sha256.clone(), actual });
    }
    file.sync_all().map_err(disk("write", path))
}

/// A file that is removed unless it was renamed.
struct Part {
    path: PathBuf,
}

impl Drop for Part {
    fn drop(&mut self) {
        // Usually it is gone by now; if it cannot be removed, it is at least named as a part.
        let _ = fs::remove_file(&self.path);
    }
}

fn disk(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Fault {
    move |source| Fault::Disk { what, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strange_sweep_name_stays_in_the_folder() {
        assert_eq!(file_name("../../etc/passwd"), "_.._etc_passwd");
        assert_eq!(file_name("imagenette-first"), "imagenette-first");
    }
}
