//! A sweep file from disk to plan, with the same reading and the same errors for every command.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sweep_core::id::SweepId;
use sweep_core::plan::{Plan, plan_text};
use sweep_core::spec::SpecError;

use crate::fault::Fault;
use crate::output::{self, Out, Source};

/// No file is read further than this, bytes; far above what a sweep file may have.
const MOST_BYTES: u64 = 64 << 20;

/// A file that is a valid sweep.
#[derive(Debug)]
pub(crate) struct SweepFile {
    /// Its text.
    pub(crate) source: Source,
    /// Its trials.
    pub(crate) plan: Plan,
    canonical: String,
}

impl SweepFile {
    /// The id that a submission under a run label gets.
    pub(crate) fn id(&self, run: &str) -> SweepId {
        SweepId::derive(&self.canonical, run)
    }
}

/// Reads a file; `-` is standard input.
pub(crate) fn read(path: &Path) -> Result<Source, Fault> {
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        io::stdin().lock().take(MOST_BYTES).read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(MOST_BYTES).read_to_end(&mut bytes))
    };
    read.map_err(|source| Fault::Read { path: path.to_owned(), source })?;
    let name = if path == Path::new("-") { "<stdin>".to_owned() } else { path.display().to_string() };
    Ok(Source { name, bytes })
}

/// Plans a file that was read.
pub(crate) fn plan(source: Source) -> Result<SweepFile, (Source, Vec<SpecError>)> {
    match plan_text(&source.bytes) {
        Ok((plan, spec)) => Ok(SweepFile { source, plan, canonical: spec.canonical() }),
        Err(errors) => Err((source, errors)),
    }
}

/// Reads and plans a file; prints everything that is wrong with it.
pub(crate) fn load(out: &Out, path: &Path) -> Result<SweepFile, Fault> {
    plan(read(path)?).map_err(|(source, errors)| {
        complain(out, &source, &errors);
        Fault::Invalid { errors: errors.len(), files: 1 }
    })
}

/// Prints the errors of one file.
pub(crate) fn complain(out: &Out, source: &Source, errors: &[SpecError]) {
    for error in errors {
        out.words(&output::diagnostic(source, error, out.colours_words()));
        out.words("");
    }
}
