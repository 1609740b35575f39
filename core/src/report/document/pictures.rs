//! Learning curves, and each class by itself.

use serde::Serialize;

use super::blocks::{Block, Table};
use super::sections::heading;
use crate::evaluation::Confusion;
use crate::report::analysis::Study;
use crate::report::figures::{self, Figure};
use crate::report::words::{NOTHING, percent};

/// Classes that are listed.
const MOST: usize = 200;

/// Which class a point takes for which, over its runs. It comes from checkpoints, which are not in a report.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Classes {
    /// Index of the point in the plan.
    pub index: u32,
    /// The point, in words.
    pub point: String,
    /// Runs that were added up.
    pub runs: u32,
    /// Names of the classes.
    pub names: Vec<String>,
    /// The validation images by the weights of each run's best epoch.
    pub confusion: Confusion,
    /// Completed runs that are not in it, and why.
    pub gaps: Vec<String>,
}

impl From<Figure> for Block {
    fn from(Figure { caption, svg, tex }: Figure) -> Self {
        Self::Figure { caption, svg, tex, numbers: None }
    }
}

pub(super) fn curves(study: &Study) -> Vec<Block> {
    let figure = figures::curves(study).map(Block::from);
    figure.map(|figure| vec![heading("Learning curves"), figure]).unwrap_or_default()
}

pub(super) fn classes(all: &[Classes]) -> Vec<Block> {
    let mut blocks = Vec::new();
    for point in all {
        let gaps = (!point.gaps.is_empty())
            .then(|| Block::Text(format!("Not in the classes of {}: {}.", point.point, point.gaps.join("; "))));
        if point.runs == 0 {
            blocks.extend(gaps);
            continue;
        }
        let caption = format!(
            "Accuracy by class of {}: validation images by the weights of the best epoch, {} runs added up",
            point.point, point.runs
        );
        let mut table =
            Table::new(caption, ["class"], ["images", "right", "accuracy %"]).and_text("most often taken for");
        for (name, score) in point.names.iter().zip(point.confusion.per_class(point.names.len())).take(MOST) {
            let other = score
                .taken_for
                .and_then(|(other, images)| Some(format!("{} ({images})", point.names.get(other as usize)?)));
            let accuracy = score.accuracy().map_or_else(|| NOTHING.to_owned(), percent);
            let other = other.unwrap_or_else(|| NOTHING.to_owned());
            table.row(false, [name.clone(), score.images.to_string(), score.right.to_string(), accuracy, other]);
        }
        blocks.push(Block::Table(table));
        let matrix = figures::confusion(&point.point, &point.names, &point.confusion);
        blocks.extend(matrix.map(|Figure { caption, svg, tex }| {
            let numbers = Some(matrix_of(&caption, point));
            Block::Figure { caption, svg, tex, numbers }
        }));
        blocks.extend(gaps);
    }
    if !blocks.is_empty() {
        blocks.insert(0, heading("Classes"));
    }
    blocks
}

/// The drawing of a confusion matrix in numbers.
fn matrix_of(caption: &str, point: &Classes) -> Table {
    let mut table = Table::new(caption, ["class"], point.names.iter().map(String::as_str));
    let mut images = vec![vec![0; point.names.len()]; point.names.len()];
    for &(class, taken_for, count) in point.confusion.cells() {
        if let Some(cell) = images.get_mut(class as usize).and_then(|row| row.get_mut(taken_for as usize)) {
            *cell += count;
        }
    }
    for (name, row) in point.names.iter().zip(images) {
        table.row(false, std::iter::once(name.clone()).chain(row.iter().map(ToString::to_string)));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::document::Document;
    use crate::report::document::markdown::markdown;

    #[test]
    fn a_form_without_drawings_has_the_confusion_matrix_in_numbers() {
        let confusion = Confusion::count([(0, 0), (0, 0), (0, 1), (1, 1), (2, 0)]);
        let names = ["cat", "deer", "dog"].map(str::to_owned).to_vec();
        let point = Classes { point: "lr=0.1".to_owned(), runs: 1, names, confusion, ..Classes::default() };
        let text = markdown(&Document { title: "x".to_owned(), blocks: classes(&[point]) });
        for row in
            ["| class | cat | deer | dog |", "| cat | 2 | 1 | 0 |", "| deer | 0 | 1 | 0 |", "| dog | 1 | 0 | 0 |"]
        {
            assert!(text.lines().any(|line| line == row), "{row} is not in {text}");
        }
        assert!(!text.contains("*Figure:"), "{text}");
    }
}
