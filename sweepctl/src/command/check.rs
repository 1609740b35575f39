//! `check`: everything that is wrong with sweep files, without a coordinator.

use serde_json::json;

use crate::cli::{Check, Format};
use crate::fault::{Fault, count};
use crate::output::{self, Out};
use crate::sweep_file::{self, SweepFile};

/// Reads every file; valid only if all are.
pub(crate) fn run(out: &Out, args: &Check) -> Result<(), Fault> {
    let (mut bad_files, mut total, mut unreadable) = (0, 0, None);
    let mut list = Vec::new();
    for path in &args.files {
        let source = match sweep_file::read(path) {
            Ok(source) => source,
            Err(fault) => {
                // The other files are still worth reading.
                out.fault(&fault);
                list.push(json!({"file": path.display().to_string(), "ok": false, "unreadable": fault.to_string()}));
                unreadable.get_or_insert(fault);
                continue;
            }
        };
        let name = source.name.clone();
        match sweep_file::plan(source) {
            Ok(file) => {
                list.push(valid(&name, &file));
                if out.format != Format::Json {
                    let prefix =
                        if args.files.len() > 1 { format!("{}: ", output::safe(&name)) } else { String::new() };
                    out.print(format!("{prefix}ok: {}\n", count(file.plan.all_trials(), "trial")))?;
                    let search = sweep_core::search::words::describe(&file.plan);
                    let stop = sweep_core::stopping::words::describe(&file.plan);
                    search.into_iter().chain(stop).for_each(|line| out.note(line));
                }
            }
            Err((source, errors)) => {
                bad_files += 1;
                total += errors.len();
                list.push(json!({"file": name, "ok": false, "errors": output::diagnostic_json(&errors)}));
                if out.format != Format::Json {
                    sweep_file::complain(out, &source, &errors);
                }
            }
        }
    }
    if out.format == Format::Json {
        out.json(&json!({"ok": total == 0 && unreadable.is_none(), "files": list}))?;
    }
    match unreadable {
        _ if total > 0 => Err(Fault::Invalid { errors: total, files: bad_files }),
        Some(_) => Err(Fault::Unread { files: args.files.len() - list_ok(&list) - bad_files }),
        None => Ok(()),
    }
}

fn list_ok(list: &[serde_json::Value]) -> usize {
    list.iter().filter(|file| file["ok"] == true).count()
}

fn valid(name: &str, file: &SweepFile) -> serde_json::Value {
    json!({
        "file": name,
        "ok": true,
        "name": file.plan.name,
        "sweep": file.id("").to_string(),
        "trials": file.plan.all_trials(),
        "errors": [],
    })
}
