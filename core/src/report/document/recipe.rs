//! The recipe of a sweep for its provenance: what all trials share has its value, what varies says so. The base of a plan has a value there,
//! too, which perhaps no trial was trained with.

use serde_json::Value;

use crate::plan::{at, put, spelt};
use crate::report::Report;

/// Longer lists of values are counted: every point has its own where they were drawn.
const MOST: usize = 120;

/// A path and its value for each field at the top of the recipe; after it each path below it that varies.
pub(super) fn rows(report: &Report) -> Vec<(String, String)> {
    let mut varying = varying(report);
    let Some(fields) = report.provenance.recipe.as_object() else { return Vec::new() };
    let mut rows = Vec::new();
    for (key, value) in fields {
        let (whole, below): (Vec<_>, Vec<_>) = varying.drain(..).partition(|(path, _)| path == key);
        let (below, others) =
            below.into_iter().partition(|(path, _): &(String, _)| path.starts_with(&format!("{key}.")));
        varying = others;
        let shown = match whole.first() {
            Some((_, labels)) => words(labels),
            None => marked(key, value, &below).to_string(),
        };
        rows.push((key.clone(), shown));
        rows.extend(below.into_iter().map(|(path, labels)| (path, words(&labels))));
    }
    // What the base does not name at all.
    rows.extend(varying.into_iter().map(|(path, labels)| (path, words(&labels))));
    rows
}

/// What is set point by point, or by the seed: the path, and what its values are called.
fn varying(report: &Report) -> Vec<(String, Vec<String>)> {
    let mut points: Vec<_> = report.points.iter().collect();
    points.sort_by_key(|row| row.point);
    let width = points.first().map_or(0, |row| row.settings.len());
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    for column in 0..width {
        let mut labels: Vec<String> = Vec::new();
        for (_, label) in points.iter().filter_map(|row| row.settings.get(column)) {
            if !labels.contains(label) {
                labels.push(label.clone());
            }
        }
        found.push((points[0].settings[column].0.clone(), labels));
    }
    found.push(("seed".to_owned(), report.provenance.seeds.iter().map(u64::to_string).collect()));
    found
}

/// `varies: 0.1, 0.2`; one value that all points have is the value.
fn words(labels: &[String]) -> String {
    let all = labels.join(", ");
    match labels.len() {
        1 => all,
        _ if all.chars().count() <= MOST => format!("varies: {all}"),
        count => format!("varies: {count} values"),
    }
}

/// A table of which some fields vary: it says so in their places.
fn marked(key: &str, value: &Value, below: &[(String, Vec<String>)]) -> Value {
    let mut marked = value.clone();
    for (path, labels) in below {
        let inner = path.strip_prefix(key).and_then(|rest| rest.strip_prefix('.')).unwrap_or_default();
        // Of another variant (`optimizer.adam.beta1` beside `sgd`) the base has nothing to say.
        if at(value, inner).is_some() {
            put(&mut marked, inner, if let [one] = labels.as_slice() { spelt(one) } else { Value::from("varies") });
        }
    }
    marked
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn report(base: &Value, paths: &[&str], points: &[&[&str]], seeds: &[u64]) -> Report {
        let row = |(point, labels): (usize, &&[&str])| {
            let settings: Vec<_> = paths.iter().zip(labels.iter()).map(|(path, label)| json!([path, label])).collect();
            let spread = json!({"n": 0, "mean": null, "std": null, "min": null, "max": null});
            json!({"rank": null, "point": point, "baseline": false, "settings": settings, "seeds": 1, "accuracy": spread,
                "loss": spread, "trials": []})
        };
        let points: Vec<Value> = points.iter().enumerate().map(row).collect();
        let whole = json!({
            "sweep": "00000000-0000-0000-0000-000000000001", "name": "s", "status": "completed", "metric": "val_accuracy",
            "points": points, "best": null, "trials": 0, "completed": 0, "failures": [],
            "cost": {"slot_seconds": 0.0, "attempts": 0}, "provenance": {"recipe": base, "seeds": seeds},
        });
        serde_json::from_value(whole).expect("a report")
    }

    fn shown(report: &Report) -> Vec<String> {
        rows(report).into_iter().map(|(path, value)| format!("{path} = {value}")).collect()
    }

    /// `lr` of the base was shown where no trial was trained with it.
    #[test]
    fn what_varies_is_not_shown_with_the_value_of_the_base() {
        let base = json!({"epochs": 3, "lr": 0.001, "optimizer": {"adam": {"beta1": 0.9, "eps": 1e-8}}, "seed": 0});
        let varied = report(
            &base,
            &["lr", "optimizer.adam.beta1", "model.m1.width"],
            &[&["0.1", "0.5", "8"], &["0.2", "0.5", "16"], &["0.1", "0.9", "8"]],
            &[4, 5],
        );
        assert_eq!(
            shown(&varied),
            [
                "epochs = 3",
                "lr = varies: 0.1, 0.2",
                "optimizer = {\"adam\":{\"beta1\":\"varies\",\"eps\":1e-8}}",
                "optimizer.adam.beta1 = varies: 0.5, 0.9",
                "seed = varies: 4, 5",
                "model.m1.width = varies: 8, 16",
            ]
        );
        // What has one value in all points is that, and not the base's.
        let one = shown(&report(&base, &["lr", "optimizer.adam.eps"], &[&["0.1", "1e-6"]], &[4]));
        assert_eq!(one[2], "optimizer = {\"adam\":{\"beta1\":0.9,\"eps\":1e-6}}");
        let one = shown(&report(&base, &["lr", "optimizer"], &[&["0.1", "sgd"]], &[4]));
        assert_eq!(one, ["epochs = 3", "lr = 0.1", "optimizer = sgd", "seed = 4"]);
    }

    #[test]
    fn many_values_are_counted() {
        let labels: Vec<String> = (0..100).map(|at| format!("0.{at:03}")).collect();
        let points: Vec<[&str; 1]> = labels.iter().map(|label| [label.as_str()]).collect();
        let points: Vec<&[&str]> = points.iter().map(<[&str; 1]>::as_slice).collect();
        assert_eq!(
            shown(&report(&json!({"lr": 0.001}), &["lr"], &points, &[0])),
            ["lr = varies: 100 values", "seed = 0"]
        );
    }
}
