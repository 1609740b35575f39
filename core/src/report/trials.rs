//! Two trials side by side: where their recipes differ, and their curves epoch by epoch.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::EpochRow;
use super::compare::Field;
use crate::num::Num;

/// What two trials have in common, and what not.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TrialComparison {
    /// Fields in which the recipes differ, by their dotted path; nothing stands for a field that one of them lacks.
    pub recipe: Vec<Field>,
    /// Epochs that at least one of them has.
    pub epochs: Vec<EpochPair>,
    /// Epochs that both have.
    pub shared: u32,
    /// Mean of the differences in validation accuracy over shared epochs. The epochs of a run are not independent of each other,
    /// so there is no interval and no test: for these compare points over seeds.
    pub mean: Option<Num>,
    /// The difference between the best epochs, wherever they are.
    pub best: Option<Num>,
}

/// One epoch of both.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochPair {
    /// Which.
    pub epoch: u32,
    /// Of the first trial.
    pub a: Option<EpochRow>,
    /// Of the second.
    pub b: Option<EpochRow>,
    /// Validation accuracy, second minus first.
    pub difference: Option<Num>,
}

/// Compares `b` with `a`; recipes are as JSON, curves from the first epoch on.
pub fn compare_trials(a: (&Value, &[EpochRow]), b: (&Value, &[EpochRow])) -> TrialComparison {
    let mut recipe = Vec::new();
    differ("", Some(a.0), Some(b.0), &mut recipe);
    let last = a.1.iter().chain(b.1).map(|row| row.epoch).max().unwrap_or(0);
    let row = |curve: &[EpochRow], epoch: u32| curve.iter().find(|row| row.epoch == epoch).cloned();
    let pair = |epoch: u32| {
        let (a, b) = (row(a.1, epoch), row(b.1, epoch));
        let difference = a.as_ref().zip(b.as_ref()).map(|(a, b)| Num(b.val_accuracy.0 - a.val_accuracy.0));
        (a.is_some() || b.is_some()).then_some(EpochPair { epoch, a, b, difference })
    };
    let epochs: Vec<EpochPair> = (1..=last).filter_map(pair).collect();
    let shared: Vec<f64> = epochs.iter().filter_map(|pair| Some(pair.difference?.0)).collect();
    let best = |curve: &[EpochRow]| {
        curve.iter().map(|row| row.val_accuracy.0).filter(|value| !value.is_nan()).reduce(f64::max)
    };
    TrialComparison {
        recipe,
        shared: shared.len() as u32,
        mean: (!shared.is_empty()).then(|| Num(shared.iter().sum::<f64>() / shared.len() as f64)),
        best: best(a.1).zip(best(b.1)).map(|(a, b)| Num(b - a)),
        epochs,
    }
}

/// Tables are opened, everything else is compared as it is.
pub(super) fn differ(path: &str, a: Option<&Value>, b: Option<&Value>, out: &mut Vec<Field>) {
    let (Some(Value::Object(left)), Some(Value::Object(right))) = (a, b) else {
        if a != b {
            let text = |value: Option<&Value>| value.map(Value::to_string);
            out.push((path.to_owned(), text(a), text(b)));
        }
        return;
    };
    let keys: std::collections::BTreeSet<&String> = left.keys().chain(right.keys()).collect();
    for key in keys {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        differ(&path, left.get(key), right.get(key), out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn row(epoch: u32, accuracy: f64) -> EpochRow {
        let one = Num(1.0);
        EpochRow { epoch, val_accuracy: Num(accuracy), val_loss: one, train_accuracy: one, train_loss: one }
    }

    #[test]
    fn recipes_and_curves_are_set_side_by_side() {
        let a = json!({"lr": 0.1, "optimizer": {"adam": {"beta1": 0.9}}, "same": [1]});
        let b = json!({"lr": 0.2, "optimizer": {"sgd": {"momentum": 0.9}}, "same": [1], "new": null});
        let found =
            compare_trials((&a, &[row(1, 0.25), row(2, 0.5)]), (&b, &[row(1, 0.5), row(2, f64::NAN), row(3, 0.25)]));
        let paths: Vec<&str> = found.recipe.iter().map(|(path, ..)| path.as_str()).collect();
        assert_eq!(paths, ["lr", "new", "optimizer.adam", "optimizer.sgd"]);
        assert_eq!(found.recipe[0], ("lr".to_owned(), Some("0.1".to_owned()), Some("0.2".to_owned())));
        assert_eq!(found.recipe[2].2, None);
        assert_eq!((found.epochs.len(), found.shared, found.best), (3, 2, Some(Num(0.0))));
        assert_eq!((found.epochs[0].difference, found.epochs[2].difference), (Some(Num(0.25)), None));
        assert!(found.mean.unwrap().0.is_nan(), "an accuracy that is no number is not hidden");
        let same = compare_trials((&a, &[]), (&a, &[]));
        assert_eq!(same, TrialComparison::default());
    }
}
