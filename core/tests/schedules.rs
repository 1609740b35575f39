//! Every schedule against rates that PyTorch said (`tests/reference/schedules.py` records them).

use serde::Deserialize;
use serde_json::Value;
use sweep_core::recipe::schedule::Moment;
use sweep_core::recipe::{Recipe, Schedule};

#[derive(Deserialize)]
struct Recorded {
    lr: f64,
    epochs: u32,
    steps_per_epoch: u64,
    losses: Vec<f64>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    recipe: Value,
    steps: Vec<(f64, Option<f64>)>,
}

/// Relative to the value, and for values near zero to a millionth of the largest rate: PyTorch works
/// with differences of rates there.
fn close(ours: f64, theirs: f64, lr: f64) -> bool {
    (ours - theirs).abs() <= 1e-12 * theirs.abs().max(lr * 1e-4)
}

#[test]
fn every_schedule_says_what_pytorch_says() {
    let recorded: Recorded = serde_json::from_str(include_str!("schedules.json")).expect("the record is there");
    assert!(recorded.cases.len() >= 17);
    for case in &recorded.cases {
        let mut fields = case.recipe.clone();
        fields["dataset"] = "x".into();
        let mut recipe: Recipe = serde_json::from_value(fields).expect("a recipe");
        (recipe.lr, recipe.epochs) = (recorded.lr, recorded.epochs);
        assert_eq!(recipe.check(), [], "{}", case.recipe);
        assert_eq!(case.steps.len() as u64, u64::from(recorded.epochs) * recorded.steps_per_epoch);
        let mut plateau = None;
        for (step, (lr, momentum)) in (0..).zip(&case.steps) {
            let epoch = (step / recorded.steps_per_epoch) as u32;
            let at = Moment { epoch, step, steps_per_epoch: recorded.steps_per_epoch };
            let pace = recipe.pace(&at, plateau.as_ref());
            assert!(close(pace.lr, *lr, recorded.lr), "{} step {step}: {} {lr}", case.recipe, pace.lr);
            let same = match (pace.momentum, momentum) {
                (Some(ours), Some(theirs)) => close(ours, *theirs, 0.0),
                (ours, theirs) => ours.is_none() && theirs.is_none(),
            };
            assert!(same, "{} step {step}: {:?} {momentum:?}", case.recipe, pace.momentum);
            if let (Schedule::Plateau(rule), true) = (&recipe.schedule, (step + 1) % recorded.steps_per_epoch == 0) {
                plateau = Some(rule.observe(plateau, recipe.lr, recorded.losses[epoch as usize], 0.0));
            }
        }
    }
}

#[test]
fn a_plateau_can_watch_accuracy() {
    let fields = r#"{"dataset":"x","schedule":{"plateau":{"metric":"val_accuracy","patience":1,"threshold":0.1}}}"#;
    let recipe: Recipe = serde_json::from_str(fields).expect("a recipe");
    let Schedule::Plateau(rule) = &recipe.schedule else { unreachable!() };
    let mut state = None;
    // 0.54 is not a tenth better than 0.5.
    let rates: Vec<f64> = [0.3, 0.5, 0.54, 0.5, 0.6, 0.6]
        .into_iter()
        .map(|accuracy| {
            state = Some(rule.observe(state, 1.0, f64::NAN, accuracy));
            recipe.pace(&Moment { epoch: 0, step: 0, steps_per_epoch: 1 }, state.as_ref()).lr
        })
        .collect();
    assert_eq!(rates, [1.0, 1.0, 1.0, 0.1, 0.1, 0.1]);
}

#[test]
fn short_trials_have_rates_too() {
    for name in sweep_core::recipe::schedule::SCHEDULE_NAMES {
        let fields = serde_json::json!({"dataset": "x", "epochs": 1, "schedule": name});
        let recipe: Recipe = serde_json::from_value(fields).expect("every name has defaults");
        for steps_per_epoch in 1..5 {
            for step in 0..steps_per_epoch {
                let pace = recipe.pace(&Moment { epoch: 0, step, steps_per_epoch }, None);
                assert!(pace.lr.is_finite() && pace.lr > 0.0, "{name} {step}/{steps_per_epoch}: {}", pace.lr);
            }
        }
    }
}
