//! Probes: a tiny sweep that trains one trial of each shape that was never trained, for a few steps, so that a plan can be estimated.
//! Two epochs, of each only so many steps: the first gets everything going, the second is what is looked at.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Limits, Plan, put};

/// What decides over many epochs and costs nothing in one: left out of a probe.
const LONG: [&str; 4] = ["schedule", "warmup", "early_stop", "checkpoint_steps"];
/// Steps of an epoch.
const STEPS: u32 = 20;
/// The longest name of a sweep.
const LONGEST: usize = 64;

impl Plan {
    /// The first trials of these points, each for a few steps, behind everything else that their owner runs.
    pub fn probe(&self, points: &BTreeSet<u32>) -> Self {
        let long = |path: &str| path == "epochs" || LONG.contains(&path.split('.').next().unwrap_or(path));
        let kept: Vec<usize> = (0..self.columns.len()).filter(|column| !long(&self.columns[*column].path)).collect();
        let mut base = self.base.clone();
        if let Value::Object(table) = &mut base {
            LONG.iter().for_each(|key| drop(table.remove(*key)));
        }
        put(&mut base, "epochs", Value::from(2));
        let cells = points.iter().flat_map(|point| kept.iter().map(|column| self.row(*point)[*column])).collect();
        let name: String = format!("probe-{}", self.name).chars().take(LONGEST).collect();
        Self {
            name,
            base,
            columns: kept.iter().map(|column| self.columns[*column].clone()).collect(),
            cells,
            points: points.len() as u32,
            seeds: self.seeds[..1].to_vec(),
            order: (0..points.len() as u32).collect(),
            baseline: None,
            limits: Limits {
                priority: Some(0),
                max_retries: Some(0),
                max_parallel: None,
                probe_steps: Some(STEPS),
                placement: self.limits.placement.clone(),
            },
            stop: None,
            search: None,
            source: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::plan::{BASE, at, plan_text};

    #[test]
    fn a_probe_is_a_trial_of_each_point_with_the_same_shape() {
        let text = "name = \"x\"\ndataset = \"d\"\nmodel = \"m1\"\nseeds = 3\nearly_stop.patience = 2\nstop = \"asha\"\n\
                    epochs = 90\nwarmup.epochs = 5\n[grid]\nbatch_size = [8, 16]\nlr = [0.1, 0.2]\n";
        let (plan, _) = plan_text(text.as_bytes()).expect("a plan");
        let probe = plan.probe(&[0, 3].into());
        assert_eq!((probe.name.as_str(), probe.len(), probe.seeds.len()), ("probe-x", 2, 1));
        for (index, point) in [(0, 0), (1, 3)] {
            let recipe = probe.recipe(index).expect("a recipe");
            assert!(recipe.check().is_empty() && recipe.epochs == 2 && recipe.early_stop.is_none(), "{recipe:?}");
            for path in ["batch_size", "lr", "model"] {
                assert_eq!(probe.value(index, path), plan.value(point, path));
            }
        }
        assert_eq!(at(&probe.base, "warmup"), None);
        let varied = text
            .replace("epochs = 90\n", "")
            .replace("stop = \"asha\"\n", "")
            .replace("lr =", "epochs = [20, 30]\nlr =");
        let probe = plan_text(varied.as_bytes()).expect("a plan").0.probe(&[7].into());
        assert_eq!((probe.epochs(0), probe.columns.len()), (2, 2));
        assert!(probe.row(0).iter().all(|cell| *cell != BASE));
    }
}
