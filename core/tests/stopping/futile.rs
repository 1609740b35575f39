//! What `check` refuses as stopping nobody stops nobody, and what it accepts stops somebody, whatever the rule, the rungs, the
//! brackets and the number of configurations.

use proptest::prelude::*;
use sweep_core::plan::plan_text;
use sweep_core::spec::{self, Reason};
use sweep_core::stopping::replay::replay_beside;
use sweep_core::stopping::{Cause, Fate, Rule, Stop};

/// A sweep file of so many configurations; all but a random design have a baseline, the first of them.
fn file(points: u32, epochs: u32, random: bool, stop: &str) -> String {
    let values: Vec<String> = (1..=points).map(|point| format!("{}.5", 10 + point)).collect();
    let (head, lr) = match random {
        true => (format!("design = \"random\"\nsamples = {points}\n"), "{ uniform = [0.1, 0.2] }".to_owned()),
        false => (String::new(), format!("[{}]", values.join(", "))),
    };
    format!("name = \"x\"\ndataset = \"d\"\nepochs = {epochs}\n{head}grid.lr = {lr}\n[stop]\n{stop}")
}

/// A table of accuracies, each epoch of each configuration.
fn table(points: u32, epochs: u32, value: impl Fn(u32, u32) -> f64) -> Vec<Vec<f64>> {
    (0..points).map(|point| (0..epochs).map(|epoch| value(point, epoch)).collect()).collect()
}

/// Whether the rule, and not a budget, stops somebody.
fn stops(stop: &Stop, curves: &[Vec<f64>], workers: usize, baseline: Option<u32>) -> bool {
    let found = replay_beside(stop, curves, workers, None, baseline);
    found.judgements.iter().any(|(_, judged)| judged.fate == Fate::Stop && judged.cause == Cause::Rule)
}

/// The table of `[stop]`, with what the rule has.
fn stop_table() -> impl Strategy<Value = (String, Rule)> {
    let rule = prop::sample::select(Rule::ALL.into_iter().filter(|rule| *rule != Rule::Budget).collect::<Vec<_>>());
    let numbers = (1u32..12, 2u32..6, 0u32..5, 0u32..5, 0u32..12);
    (rule, numbers, 0u32..12, 1u32..8).prop_map(|(rule, (first, factor, rungs, brackets, most), warmup, interval)| {
        let mut text = format!("rule = \"{}\"\n", rule.name());
        let mut add = |key: &str, value: u32, is_given: bool| {
            if is_given {
                text += &format!("{key} = {value}\n");
            }
        };
        if rule.has_rungs() {
            add("min_epochs", first, true);
            add("reduction_factor", factor, true);
            add("max_rungs", rungs, rungs > 0);
            add("brackets", brackets, brackets > 0 && rule != Rule::Halving);
        } else {
            add("warmup_epochs", warmup, true);
            add("interval", interval, true);
            add("min_configurations", first, true);
        }
        add("max_epochs", most, most > 0);
        (text, rule)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn check_refuses_exactly_what_stops_nobody(
        (text, _) in stop_table(), points in 1u32..9, epochs in 1u32..31, random: bool, noise: u64,
    ) {
        let text = file(points, epochs, random, &text);
        let stop = spec::parse(text.as_bytes()).expect("it can be read").stop.expect("it stops");
        let baseline = (!random).then_some(0);
        match plan_text(text.as_bytes()) {
            Ok((plan, _)) => {
                prop_assert_eq!((plan.points, plan.baseline), (points, baseline));
                // Each is worse than the one before.
                let falling = table(points, epochs, |point, _| 1.0 / f64::from(point + 1));
                prop_assert!(stops(&stop, &falling, 1, baseline), "nobody is stopped\n{}", text);
            }
            Err(errors) => {
                prop_assert!(errors.iter().all(|error| error.reason == Reason::StopUseless), "{:?}\n{}", errors, text);
                // A number of rungs, brackets or epochs that is never reached is refused for itself.
                let beyond = ["max_rungs = ", "brackets = ", "is never used up"];
                let said: Vec<String> = errors.iter().map(ToString::to_string).collect();
                prop_assume!(!said.iter().any(|said| beyond.iter().any(|word| said.contains(word))));
                for at in 0..20u64 {
                    let drawn = |point: u32, epoch: u32| {
                        let key = noise.wrapping_add(at << 32 | u64::from(point) << 16 | u64::from(epoch));
                        let mixed = key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                        ((mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40) as f64 / (1u64 << 24) as f64
                    };
                    let curves = table(points, epochs, drawn);
                    let workers = 1 + (at as usize % points as usize);
                    prop_assert!(!stops(&stop, &curves, workers, baseline), "{:?}\n{}", said, text);
                }
            }
        }
    }
}
