//! Every sweep of `sweeps/` makes the plan that is written down in `tests/golden`. `UPDATE=1` rewrites
//! the files; a change there changes what people run.

use std::path::{Path, PathBuf};

use sweep_core::id::SweepId;
use sweep_core::plan::{BASE, Plan, plan_text};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn text_of(plan: &Plan, canonical: &str) -> String {
    let sweep = SweepId::derive(canonical, "");
    let mut text = format!("{} {sweep}\n{} trials\n{canonical}\n", plan.name, plan.len());
    for index in 0..plan.len() {
        let trial = plan.trial(index);
        let labels: Vec<String> =
            (plan.labels(trial.point).iter()).map(|(path, label)| format!("{path}={label}")).collect();
        let id = plan.trial_id(sweep, index);
        let seed = plan.seeds[trial.seed as usize];
        text.push_str(&format!("{index:3} {id} {} seed={seed}\n", labels.join(" ")));
    }
    text
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test reads its files; the core itself may not")]
fn every_sweep_makes_its_plan() {
    let mut names: Vec<String> = std::fs::read_dir(folder("../sweeps"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| name.strip_suffix(".toml").map(str::to_owned))
        .collect();
    names.sort();
    assert!(names.len() >= 6, "{names:?}");
    for name in names {
        let file = std::fs::read(folder("../sweeps").join(format!("{name}.toml"))).unwrap();
        let (plan, spec) = plan_text(&file).unwrap_or_else(|errors| {
            panic!("{name}: {}", errors.iter().map(|e| e.to_string()).collect::<Vec<_>>().join("\n"))
        });
        assert_eq!(plan.name, name, "a sweep is called like its file");
        let row = format!("| `{name}.toml` | {} |", plan.len());
        assert!(include_str!("../../sweeps/README.md").contains(&row), "{row}");
        for index in 0..plan.len() {
            assert_eq!(plan.recipe(index).unwrap().check(), [], "{name} {index}");
        }
        // Its points set what its grid leaves as it is.
        let whole = !plan.cells.contains(&BASE) || name == "study-d-small";
        assert!(whole, "{name}: every cell has a value");
        let text = text_of(&plan, &spec.canonical());
        let golden = folder("tests/golden").join(format!("{name}.txt"));
        if std::env::var_os("UPDATE").is_some() {
            std::fs::create_dir_all(folder("tests/golden")).unwrap();
            std::fs::write(&golden, &text).unwrap();
        }
        let expected = std::fs::read_to_string(&golden).unwrap_or_default();
        assert_eq!(text, expected, "{name}: UPDATE=1 writes the new plan");
    }
}
