//! From a spec to its plan: rows, what they leave to the base, exclusions, duplicates, checks
//! across fields, order. Every step notes all it finds before the next one gives up.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::recipe::Augmentation;
use crate::recipe::augment::BUILT_IN;
use crate::spec::{Design, Errors, Reason, Spec, SpecError, check_stop};

use super::axis::{Rows, rows};
use super::order;
use super::patience;
use super::point::{Sections, top};
use super::search;
use super::{BASE, MAX_TRIALS, Plan, at, label_of};

/// Wrong combinations that are shown.
const SHOWN: usize = 20;

/// Expands a spec into its ordered list of trials.
///
/// # Errors
/// Everything that only shows when values meet: too many trials, combinations that are no recipe,
/// a point that is already in the plan, an exclusion that excludes nothing, nothing left to run.
pub fn expand(spec: &Spec) -> Result<Plan, Vec<SpecError>> {
    let mut errors = Errors::new(&spec.source).with_keys(spec.keys.clone());
    let base = spec.base_value();
    let mut rows = rows(spec, &base, &mut errors);
    if rows.count * spec.seeds.len() > MAX_TRIALS as usize {
        let what = format!("{} trials, the limit is {MAX_TRIALS}", rows.count * spec.seeds.len());
        errors.push(Reason::GridTooLarge, "grid", None, what, "");
    }
    if !errors.is_empty() {
        return Err(errors.into_list());
    }
    let mut sections = Sections::new(&base, &rows.columns);
    let ids: Vec<Vec<u32>> = (0..rows.count).map(|row| sections.of(&rows.columns, rows.row(row))).collect();
    fill(spec, &mut rows, &sections, &ids);
    let kept = exclude(spec, &rows, &mut errors);
    if kept.is_empty() && errors.is_empty() {
        let hint = "remove an [[exclude]]";
        errors.push(Reason::PlanEmpty, "exclude", None, "no point is left", hint);
    }
    duplicates(spec, &rows, &ids, &kept, &mut errors);
    combinations(spec, &rows, &sections, &ids, &kept, &mut errors);
    if !errors.is_empty() {
        return Err(errors.into_list());
    }
    let plan = assemble(spec, rows, &sections, &ids, &kept, &base);
    check_stop(&plan, &mut errors);
    patience::check(spec, &plan, &mut errors);
    search::check(spec, &plan, &mut errors);
    if errors.is_empty() { Ok(plan) } else { Err(errors.into_list()) }
}

/// Writes the base's value into cells that keep it, so that equal points look equal. Where columns
/// overlap a cell stays as it is: writing it could undo another one.
fn fill(spec: &Spec, rows: &mut Rows, sections: &Sections, ids: &[Vec<u32>]) {
    let width = rows.columns.len();
    for (row, ids) in ids.iter().enumerate() {
        for at in 0..width {
            let place = row * width + at;
            if rows.cells[place] != BASE || rows.columns[at].overlaps {
                continue;
            }
            let path = rows.columns[at].column.path.clone();
            let Some(value) = sections.value(ids, &path).filter(|value| !value.is_null()) else {
                continue;
            };
            let given = spec.base.iter().find(|setting| setting.path == path);
            let given = given.filter(|setting| setting.choice.value == *value);
            let (label, span) = match given {
                Some(setting) => (setting.choice.label.clone(), Some(&setting.choice.span)),
                None => (default_label(&path, value), None),
            };
            rows.cells[place] = rows.columns[at].cell(value, &label, span);
        }
    }
}

/// How a value that no file wrote is shown.
fn default_label(path: &str, value: &Value) -> String {
    let built_in = (BUILT_IN.iter()).find(|name| {
        let steps = Augmentation::built_in(name).map(serde_json::to_value);
        path == "augmentation" && matches!(steps, Some(Ok(steps)) if steps == *value)
    });
    built_in.map_or_else(|| label_of(path, value), |name| (*name).to_owned())
}

/// The rows that stay, in order. Points written by hand always do.
fn exclude(spec: &Spec, rows: &Rows, errors: &mut Errors<'_>) -> Vec<usize> {
    if matches!(spec.design, Design::Random { .. }) {
        // Drawn around the exclusions.
        return (0..rows.count).collect();
    }
    let mut patterns: Vec<Vec<(usize, u32)>> = Vec::new();
    for exclude in &spec.excludes {
        let mut pattern = Vec::new();
        for setting in &exclude.settings {
            let place = (rows.columns.iter()).position(|draft| draft.column.path == setting.path);
            let cell = place.and_then(|at| rows.columns[at].find(&setting.choice.value));
            if let (Some(at), Some(cell)) = (place, cell) {
                pattern.push((at, cell));
            } else {
                let labels = place.map(|at| rows.columns[at].column.labels.as_slice());
                let labels = labels.unwrap_or_default();
                let hint = format!("its values: {}", labels[..labels.len().min(10)].join(", "));
                let what = format!("`{}` is never {}", setting.path, setting.choice.label);
                let span = Some(&setting.choice.span);
                errors.push(Reason::ExcludeUnmatched, &setting.key, span, what, hint);
            }
        }
        patterns.push(pattern);
    }
    if !errors.is_empty() {
        return (0..rows.count).collect();
    }
    let mut hits = vec![0usize; patterns.len()];
    let kept = (0..rows.count)
        .filter(|row| {
            let cells = rows.row(*row);
            let mut out = false;
            for (pattern, hits) in patterns.iter().zip(&mut hits) {
                let hit = *row < rows.designed && pattern.iter().all(|(at, cell)| cells[*at] == *cell);
                *hits += usize::from(hit);
                out |= hit;
            }
            if out && *row == 0 && spec.design == Design::Ablation {
                let what = "this excludes the baseline";
                let hint = "an ablation is compared with its baseline";
                errors.push(Reason::ExcludeUnmatched, "exclude", None, what, hint);
            }
            !out
        })
        .collect();
    for (exclude, hits) in spec.excludes.iter().zip(hits) {
        if hits == 0 {
            let what = "this excludes nothing";
            let hint = "no point of the design has all of these values";
            let span = Some(&exclude.span);
            errors.push(Reason::ExcludeUnmatched, &exclude.key, span, what, hint);
        }
    }
    kept
}

/// Notes points that are the same recipe.
fn duplicates(spec: &Spec, rows: &Rows, ids: &[Vec<u32>], kept: &[usize], errors: &mut Errors<'_>) {
    let mut seen: BTreeMap<&[u32], usize> = BTreeMap::new();
    for row in kept {
        let Some(first) = seen.insert(&ids[*row], *row) else {
            continue;
        };
        let name = |row: usize, errors: &Errors<'_>| match row.checked_sub(rows.designed) {
            Some(at) => {
                let line = errors.line(&spec.points[at].span);
                format!("point[{at}] on line {line}")
            }
            None => format!("a point of the design ({})", combination(rows, row, |_| true)),
        };
        let what = format!("the same as {}", name(first, errors));
        let place = row.checked_sub(rows.designed).map(|at| &spec.points[at]);
        let key = place.map_or("grid", |point| point.key.as_str());
        let span = place.map(|point| point.span.clone());
        errors.push(Reason::DuplicatePoint, key, span.as_ref(), what, "remove one of them");
    }
}

/// Notes what is wrong with combinations of values that are right by themselves.
fn combinations(
    spec: &Spec,
    rows: &Rows,
    sections: &Sections,
    ids: &[Vec<u32>],
    kept: &[usize],
    errors: &mut Errors<'_>,
) {
    // By what is wrong: the first row that has it, and how many do.
    let mut wrong: BTreeMap<(Reason, String, String), (usize, usize)> = BTreeMap::new();
    let mut note = |key, row| wrong.entry(key).or_insert((row, 0)).1 += 1;
    for row in kept {
        for (section, (reason, what)) in sections.broken(&ids[*row]) {
            note((*reason, section.name.clone(), what.clone()), *row);
        }
        for error in sections.check(&ids[*row]) {
            let what = format!("{} is not allowed: must be {}", error.value, error.allowed);
            note((Reason::ValueOutOfRange, error.path, what), *row);
        }
    }
    let all = wrong.len();
    for ((reason, path, what), (row, count)) in wrong.into_iter().take(SHOWN) {
        let matters = |at: usize| {
            let column = rows.columns[at].column.path.as_str();
            reason == Reason::MissingField && top(column) == path
                || decides(sections, &ids[row], top(column), &path, &what)
        };
        let shown = combination(rows, row, matters);
        let place = |at: &usize| {
            let span = rows.columns[*at].spans.get(rows.row(row)[*at] as usize);
            span.cloned().flatten().map(|span| (*at, span))
        };
        let touching = |at: &usize| top(&rows.columns[*at].column.path) == top(&path);
        let columns = 0..rows.columns.len();
        let column = (columns.clone().filter(touching).find_map(|at| place(&at)))
            .or_else(|| columns.filter(|at| matters(*at)).find_map(|at| place(&at)));
        let given = spec.base.iter().find(|setting| top(&setting.path) == top(&path));
        let span = match (column, row.checked_sub(rows.designed)) {
            (Some((_, span)), _) => Some(span),
            (None, Some(point)) => Some(spec.points[point].span.clone()),
            (None, None) => given.map(|setting| setting.choice.span.clone()),
        };
        let many = match (shown.is_empty(), count) {
            (_, 1) => "in 1 point".to_owned(),
            _ => format!("in {count} points"),
        };
        let with = if shown.is_empty() { String::new() } else { format!(" with {shown}") };
        let hint = match reason {
            Reason::MissingField if path == "dataset" => "add `dataset = \"...\"` at the top",
            Reason::MissingField => "set it at the top or in every point",
            _ if shown.is_empty() => "",
            _ => "change a value, or leave the combination out with [[exclude]]",
        };
        let text = format!("{what}, {many}{with}");
        errors.push(reason, path, span.as_ref(), text, hint);
    }
    if all > SHOWN {
        let what = format!("and {} more kinds of wrong combinations", all - SHOWN);
        errors.push(Reason::TooManyErrors, "", None, what, "");
    }
}

/// Whether another value of a top-level field would end an error.
fn decides(sections: &Sections, ids: &[u32], name: &str, path: &str, what: &str) -> bool {
    let Some(place) = (sections.list.iter()).position(|section| section.name == name) else {
        return false;
    };
    let mut other = ids.to_vec();
    (0..sections.list[place].fields.len().min(1000)).any(|id| {
        other[place] = id as u32;
        !(sections.check(&other).iter()).any(|error| error.path == path && what.ends_with(error.allowed.as_str()))
    })
}

/// `lr = 0.1, model = resnet18`: the columns of a row that matter.
fn combination(rows: &Rows, row: usize, matters: impl Fn(usize) -> bool) -> String {
    let shown: Vec<String> = (rows.columns.iter().zip(rows.row(row)).enumerate())
        .filter(|(at, (_, cell))| **cell != BASE && matters(*at))
        .map(|(_, (draft, cell))| {
            let column = &draft.column;
            format!("{} = {}", column.path, column.labels[*cell as usize])
        })
        .collect();
    shown.join(", ")
}

fn assemble(spec: &Spec, rows: Rows, sections: &Sections, ids: &[Vec<u32>], kept: &[usize], base: &Value) -> Plan {
    let mut number = vec![u32::MAX; rows.count];
    for (point, row) in kept.iter().enumerate() {
        number[*row] = point as u32;
    }
    let design = design_order(spec, &rows, &number, base);
    let by_hand = rows.designed..rows.count;
    let (first, rest) = design.split_at(design.len().min(1));
    let order: Vec<u32> = (first.iter().copied().chain(by_hand))
        .chain(rest.iter().copied())
        .map(|row| number[row])
        .filter(|point| *point != u32::MAX)
        .collect();
    let baseline = match spec.design {
        Design::Random { .. } => None,
        _ => order.first().copied(),
    };
    let cells = (kept.iter()).flat_map(|row| rows.row(*row).iter().copied()).collect();
    Plan {
        name: spec.name.clone(),
        base: sections.whole(&ids[kept[0]]),
        cells,
        points: kept.len() as u32,
        order: order::trials(
            &order,
            spec.seeds.len(),
            baseline.is_some(),
            spec.stop.is_some() || spec.search.is_some(),
        ),
        seeds: spec.seeds.clone(),
        baseline,
        limits: spec.limits.clone(),
        stop: spec.stop.clone().map(Box::new),
        search: search::search(spec, (rows.count - rows.designed) as u32),
        columns: rows.columns.into_iter().map(|draft| draft.column).collect(),
        source: None,
    }
}

/// The rows of the design in the order of their start, the baseline first. Excluded rows
/// (`number` says so) may be among them.
fn design_order(spec: &Spec, rows: &Rows, number: &[u32], base: &Value) -> Vec<usize> {
    // The order in which axes are written down must not matter: take them by path.
    let mut groups: Vec<usize> = (0..rows.lengths.len()).collect();
    groups.sort_by_key(|group| {
        let axes = spec.groups[*group].axes.iter();
        axes.map(|axis| axis.path.as_str()).min()
    });
    match spec.design {
        _ if rows.designed == 0 => Vec::new(),
        Design::Random { .. } => (0..rows.designed).collect(),
        Design::Ablation => {
            let starts: Vec<usize> =
                (0..rows.lengths.len()).map(|group| 1 + rows.lengths[..group].iter().sum::<usize>()).collect();
            let longest = rows.lengths.iter().max().copied().unwrap_or_default();
            let steps = (0..longest).flat_map(|step| groups.iter().map(move |at| (*at, step)));
            let rows =
                steps.filter(|(group, step)| *step < rows.lengths[*group]).map(|(group, step)| starts[group] + step);
            std::iter::once(0).chain(rows).collect()
        }
        Design::Grid => {
            let lengths: Vec<usize> = groups.iter().map(|group| rows.lengths[*group]).collect();
            // From an index over the sorted groups to the row of the file.
            let row_of = |index: usize| {
                let mut rest = index;
                let mut row = 0;
                for (group, length) in groups.iter().zip(&lengths).rev() {
                    let weight: usize = rows.lengths[group + 1..].iter().product();
                    row += rest % length * weight;
                    rest /= length;
                }
                row
            };
            let alike = |row: usize| {
                let cells = rows.columns.iter().zip(rows.row(row));
                let same = cells.filter(|(draft, cell)| {
                    let value = draft.column.values.get(**cell as usize);
                    value.is_some() && value == at(base, &draft.column.path)
                });
                same.count()
            };
            let kept = |index: usize| number[row_of(index)] != u32::MAX;
            let start = (0..rows.designed)
                .filter(|index| kept(*index))
                .max_by_key(|index| (alike(row_of(*index)), std::cmp::Reverse(*index)))
                .unwrap_or_default();
            (order::spread(&lengths, start, kept).into_iter()).map(row_of).collect()
        }
    }
}
