//! `admin backup`, `admin restore`, `admin fsck`: what is stored, copied, put back, looked at. `restore` works on the
//! coordinator's own folder, by its own program; the others ask the coordinator.

use std::process::{Command, Stdio};

use serde_json::json;
use sweep_ops::doctor::size;

use super::program;
use crate::cli::{Backup, Format, Fsck, Restore};
use crate::client::Client;
use crate::fault::{Fault, count};
use crate::output::{Out, safe};

/// Has a copy made.
pub(crate) async fn backup(out: &Out, client: &Client, args: &Backup) -> Result<(), Fault> {
    let made = client.backup(args.target.as_deref().unwrap_or_default(), args.with_blobs).await?;
    if out.format == Format::Json {
        return out.json(&json!(made));
    }
    out.print(format!("{}\n", safe(&made.path)))?;
    let blobs = format!("{} of {}", count(made.blobs, "checkpoint"), size(made.blob_bytes));
    let with = if args.with_blobs { format!("with {blobs}") } else { format!("without the {blobs} it refers to") };
    out.note(format!("{} in {}, {with}, read back and found good", count(made.events, "event"), size(made.bytes)));
    if !made.missing.is_empty() {
        out.note(format!("missing in the store: {}", made.missing.join(", ")));
    }
    Ok(())
}

/// Puts a copy in place.
pub(crate) fn restore(args: &Restore) -> Result<(), Fault> {
    let path = program("sweep-coordinator")?;
    let mut command = Command::new(&path);
    command.arg("restore").stdin(Stdio::null());
    if let Some(data) = &args.data {
        command.arg("--data").arg(data);
    }
    command.arg(&args.backup);
    match command.status() {
        Err(source) => Err(Fault::Program { path, source }),
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(Fault::Child { program: "sweep-coordinator restore" }),
    }
}

/// Says so while nothing is decided because the end of the journal was lost.
pub(crate) async fn warn(out: &Out, client: &Client) -> Result<(), Fault> {
    let info = client.info().await?;
    if !info.safe_mode.is_empty() {
        out.note(safe(&info.safe_mode));
    }
    Ok(())
}

/// Goes on without the end of the journal.
pub(crate) async fn accept(out: &Out, client: &Client) -> Result<(), Fault> {
    let (accepted, generation) = client.accept_rollback().await?;
    match accepted {
        true => out.note(format!("generation {generation} begins; agents are asked what they hold")),
        false => out.note("nothing to accept: no end of the journal is taken for lost"),
    }
    Ok(())
}

/// Has everything looked at.
pub(crate) async fn fsck(out: &Out, client: &Client, args: &Fsck) -> Result<(), Fault> {
    let found = client.check_stored(args.quick).await?;
    match out.format {
        Format::Json => out.json(&json!({ "findings": found }))?,
        Format::Table | Format::Csv => {
            let width = found.iter().map(|finding| finding.check.len()).max().unwrap_or(0);
            for finding in &found {
                let (check, level) = (safe(&finding.check), safe(&finding.level));
                out.print(format!("{level:<7}  {check:<width$}  {}\n", safe(&finding.found)))?;
                if !finding.fix.is_empty() {
                    out.print(format!("{:<7}  {:<width$}  fix: {}\n", "", "", safe(&finding.fix)))?;
                }
            }
        }
    }
    if found.iter().any(|finding| finding.level == "problem") { Err(Fault::Unwell) } else { Ok(()) }
}
