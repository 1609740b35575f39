//! `show TRIAL --confusion`: every class by itself, and which is taken for which. They are in the header
//! of a checkpoint; of the file no more than that is read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sweep_core::evaluation::{ClassScore, Evaluation, Evaluations, HEADER_KEY, Score};

use crate::cli::{Format, Which};
use crate::client::Client;
use crate::command::{Patience, fetch};
use crate::fault::Fault;
use crate::output::{Cell, Out, Table, csv_row, number, percent};
use crate::view::short;

/// How often a download that breaks is begun again.
const TRIES: usize = 5;
/// The longest header of a safetensors file.
const LONGEST: u64 = 100_000_000;
/// With more classes the square does not fit on a screen.
const SQUARE: usize = 20;

/// Why there is nothing to show.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Nothing {
    /// The checkpoint has no such evaluation.
    #[error("trial {trial} has no evaluation `{which}`: {why}")]
    NotKept {
        /// Its id.
        trial: String,
        /// What was asked for.
        which: &'static str,
        /// The likely reason.
        why: &'static str,
    },
    /// The file does not begin like a checkpoint.
    #[error("the checkpoint {sha256} has no header that this release can read")]
    Header {
        /// Its name in the store.
        sha256: String,
        /// Why.
        source: Option<serde_json::Error>,
    },
}

/// What is told, as JSON.
#[derive(Debug, Serialize)]
struct Told<'a> {
    trial: &'a str,
    which: Which,
    checkpoint: &'a str,
    #[serde(flatten)]
    score: &'a Score,
    classes: Vec<Class<'a>>,
    /// A row for each class, a column for each class it may be taken for.
    confusion: Vec<Vec<u64>>,
}

#[derive(Debug, Serialize)]
struct Class<'a> {
    class: &'a str,
    images: u64,
    right: u64,
    accuracy: Option<f64>,
    taken_for: Option<&'a str>,
    taken_for_images: u64,
}

/// The part of a header that is looked at.
#[derive(Debug, Deserialize)]
pub(crate) struct Head {
    pub(crate) classes: Vec<String>,
    #[serde(default)]
    pub(crate) evaluations: Evaluations,
}

/// Shows one evaluation of a trial, or of a sweep's best trial.
pub(super) async fn run(out: &Out, client: &Client, what: &str, which: Which) -> Result<(), Fault> {
    let page = &fetch::trial(client, what).await?;
    let trial = short(&page.trial.trial);
    let (kind, stored) = match which {
        Which::Best => ("best", &page.trial.best_checkpoint),
        Which::Last | Which::Test => ("last", &page.trial.last_checkpoint),
    };
    let stored = stored.as_ref().ok_or(Fault::NoCheckpoint { trial: trial.to_owned(), kind })?;
    let Head { classes, evaluations } = head(client, &stored.sha256).await?;
    let (found, why) = match which {
        Which::Best => (evaluations.best, "its checkpoint is of an earlier release"),
        Which::Last => (evaluations.last, "its checkpoint is of an earlier release"),
        Which::Test if page.trial.phase == "completed" => (evaluations.test, "its data set has no test images"),
        Which::Test => (evaluations.test, "test images are looked at once, when it is completed"),
    };
    let trial = trial.to_owned();
    let evaluation = found.ok_or(Nothing::NotKept { trial, which: which.name(), why })?;
    let scores = evaluation.confusion.per_class(classes.len());
    match out.format {
        Format::Json => out.json(&Told {
            trial: &page.trial.trial,
            which,
            checkpoint: &stored.sha256,
            score: &evaluation.score,
            classes: classes.iter().zip(&scores).map(|(name, score)| class(name, score, &classes)).collect(),
            confusion: square(&evaluation, classes.len()),
        }),
        Format::Csv => out.write(|to| {
            csv_row(to, ["class", "taken_for", "images"])?;
            for (class, taken_for, images) in evaluation.confusion.cells() {
                let name = |class: u32| classes.get(class as usize).cloned().unwrap_or_default();
                csv_row(to, [name(*class), name(*taken_for), images.to_string()])?;
            }
            Ok(())
        }),
        Format::Table => people(out, which, &evaluation, &classes, &scores),
    }
}

fn class<'a>(name: &'a str, score: &ClassScore, classes: &'a [String]) -> Class<'a> {
    Class {
        class: name,
        images: score.images,
        right: score.right,
        accuracy: score.accuracy(),
        taken_for: score.taken_for.and_then(|(other, _)| classes.get(other as usize)).map(String::as_str),
        taken_for_images: score.taken_for.map_or(0, |(_, images)| images),
    }
}

fn square(evaluation: &Evaluation, classes: usize) -> Vec<Vec<u64>> {
    let mut rows = vec![vec![0; classes]; classes];
    for &(class, taken_for, images) in evaluation.confusion.cells() {
        if let Some(cell) = rows.get_mut(class as usize).and_then(|row| row.get_mut(taken_for as usize)) {
            *cell = images;
        }
    }
    rows
}

fn people(
    out: &Out,
    which: Which,
    evaluation: &Evaluation,
    classes: &[String],
    scores: &[ClassScore],
) -> Result<(), Fault> {
    let Score { epoch, images, loss, accuracy, top5 } = &evaluation.score;
    let set = if which == Which::Test { "test" } else { "validation" };
    let top5 = top5.map(|top5| format!(", top-5 {} %", percent(top5.0))).unwrap_or_default();
    let (right, loss) = (percent(accuracy.0), number(loss.0));
    out.print(format!("{images} {set} images, weights of epoch {epoch}: accuracy {right} %{top5}, loss {loss}\n\n"))?;
    let mut table = Table::new(["#", "class", "images", "right %", "most often taken for"]);
    for (index, (name, score)) in classes.iter().zip(scores).enumerate() {
        let other = score.taken_for.map_or_else(String::new, |(other, images)| {
            let name = classes.get(other as usize).map_or("?", String::as_str);
            format!("{name} ({images})")
        });
        table.row([
            Cell::number(index),
            Cell::new(name),
            Cell::number(score.images),
            Cell::number(score.accuracy().map_or_else(|| "-".to_owned(), percent)),
            Cell::new(other),
        ]);
    }
    out.table(&table)?;
    if classes.len() > SQUARE {
        out.note(format!("{} classes: the whole square is in -o json and -o csv", classes.len()));
        return Ok(());
    }
    let numbers: Vec<String> = (0..classes.len()).map(|index| index.to_string()).collect();
    let mut table = Table::new(["#"].into_iter().chain(numbers.iter().map(String::as_str)).chain(["class"]));
    for (index, (row, name)) in square(evaluation, classes.len()).into_iter().zip(classes).enumerate() {
        let cells = row.into_iter().enumerate().map(|(column, images)| {
            let cell = Cell::number(images);
            if column == index { cell.bold() } else { cell }
        });
        table.row([Cell::number(index)].into_iter().chain(cells).chain([Cell::new(name)]));
    }
    out.print("\n")?;
    out.table(&table)?;
    out.note("a row for each class, a column for each class that its images are taken for");
    Ok(())
}

/// The header of a stored checkpoint.
pub(crate) async fn head(client: &Client, sha256: &str) -> Result<Head, Fault> {
    let (mut patience, mut left) = (Patience::new(), TRIES);
    let bytes = loop {
        left -= 1;
        match begin(client, sha256).await {
            Err(fault) if fault.is_transient() && left > 0 => patience.wait().await,
            other => break other?,
        }
    };
    let header = parse(&bytes).map_err(|source| Nothing::Header { sha256: short(sha256).to_owned(), source });
    Ok(header?)
}

/// The beginning of the file, up to the end of its header or as far as it goes.
async fn begin(client: &Client, sha256: &str) -> Result<Vec<u8>, Fault> {
    let mut chunks = client.download(sha256).await?;
    let mut bytes = Vec::new();
    while end(&bytes).is_none_or(|end| bytes.len() < end) {
        match chunks.next().await? {
            Some(data) => bytes.extend(data),
            None => break,
        }
    }
    Ok(bytes)
}

/// Where the header ends, once its length is there. One that is too long ends at once.
fn end(bytes: &[u8]) -> Option<usize> {
    let length = u64::from_le_bytes(bytes.first_chunk().copied()?);
    Some(if length > LONGEST { 0 } else { 8 + length as usize })
}

fn parse(bytes: &[u8]) -> Result<Head, Option<serde_json::Error>> {
    #[derive(Deserialize)]
    struct File {
        #[serde(rename = "__metadata__")]
        metadata: BTreeMap<String, String>,
    }
    let text = end(bytes).and_then(|end| bytes.get(8..end)).ok_or(None)?;
    let file: File = serde_json::from_slice(text).map_err(Some)?;
    let head = file.metadata.get(HEADER_KEY).ok_or(None)?;
    serde_json::from_str(head).map_err(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str) -> Vec<u8> {
        let length = (header.len() as u64).to_le_bytes();
        length.into_iter().chain(header.bytes()).chain([0; 8]).collect()
    }

    #[test]
    fn a_header_is_read_and_anything_else_is_refused() {
        let head = parse(&file(r#"{"w":{},"__metadata__":{"sweep":"{\"format\":1,\"classes\":[\"a\"]}"}}"#)).unwrap();
        assert!(head.classes == ["a"] && head.evaluations.is_empty(), "as the first release wrote it");
        assert!(parse(&file(r#"{"__metadata__":{"format":"pt"}}"#)).unwrap_err().is_none());
        assert!(parse(&file(r#"{"__metadata__":{"sweep":"no"}}"#)).unwrap_err().is_some());
        assert!(parse(&file("{")).unwrap_err().is_some());
        let whole = file(r#"{"__metadata__":{"sweep":"{}"}}"#);
        for length in 0..whole.len() - 8 {
            assert!(parse(&whole[..length]).unwrap_err().is_none(), "{length}");
        }
        assert!(parse(&[0xff; 64]).is_err(), "a length beyond all limits");
        assert_eq!((end(&[0xff; 64]), end(&[0; 7])), (Some(0), None));
    }
}
