//! How long a plan of the largest size takes, printed step by step:
//! `cargo run --release -p sweep-core --example plan_speed`.
#![expect(
    clippy::print_stdout,
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a measurement reads the clock and prints"
)]

use std::time::Instant;

use sweep_core::id::SweepId;
use sweep_core::{plan, spec};

fn list(values: impl Iterator<Item = String>) -> String {
    values.collect::<Vec<_>>().join(", ")
}

fn measure(name: &str, text: &str) {
    let start = Instant::now();
    let spec = match spec::parse(text.as_bytes()) {
        Ok(spec) => spec,
        Err(errors) => {
            println!("{name}: refused in {:.1?}: {}", start.elapsed(), errors[0]);
            return;
        }
    };
    let parsed = start.elapsed();
    let plan = match plan::expand(&spec) {
        Ok(plan) => plan,
        Err(errors) => {
            println!("{name}: refused in {:.1?}: {}", start.elapsed(), errors[0]);
            return;
        }
    };
    let expanded = start.elapsed();
    let sweep = SweepId::derive(&spec.canonical(), "");
    let ids: std::collections::BTreeSet<_> = plan.trial_ids(sweep).into_iter().collect();
    println!(
        "{name}: {} trials, {} ids; parse {parsed:.1?}, expand {:.1?}, ids {:.1?}, together {:.1?}",
        plan.len(),
        ids.len(),
        expanded - parsed,
        start.elapsed() - expanded,
        start.elapsed(),
    );
}

fn main() {
    let head = "name = \"x\"\ndataset = \"d\"\n";
    let grid = format!(
        "{head}[grid]\nlr = [{}]\nbatch_size = [{}]\ndropout = [{}]\noptimizer.sgd.momentum = [{}]\n\
        augmentation = [\"none\", \"flip\", \"crop\", \"flip-crop\", \"resized-crop\"]\n",
        list((1..=20).map(|i| format!("{i}e-4"))),
        list((1..=20).map(|i| format!("{}", i * 8))),
        list((0..10).map(|i| format!("0.0{i}"))),
        list((0..5).map(|i| format!("0.{i}"))),
    );
    measure("grid of 5 axes", &grid);
    measure("grid of 5 axes with an exclusion", &format!("{grid}[[exclude]]\nlr = 3e-4\nbatch_size = 8\n"));
    let seeds = grid.replace("[grid]", "seeds = 10\n[grid]").replace(", 20e-4", "");
    measure("too many with seeds", &seeds);
    let random = format!(
        "{head}design = \"random\"\nsamples = 100000\n[grid]\nlr = {{ log_uniform = [1e-5, 1e-1] }}\n\
        dropout = {{ uniform = [0.0, 0.5] }}\nbatch_size = {{ int = [1, 1000] }}\nepochs = {{ int = [1, 100] }}\n\
        optimizer.sgd.momentum = {{ uniform = [0.0, 0.99] }}\n"
    );
    measure("random of 5 axes", &random);
    let exact = format!(
        "{head}design = \"random\"\nsamples = 100000\n[grid]\nbatch_size = {{ int = [1, 1000] }}\nepochs = {{ int = [1, 100] }}\n"
    );
    measure("random over all of a finite space", &exact);
    let points: String = (1..=20_000).map(|i| format!("[[point]]\nlr = {i}e-6\nepochs = {}\n", i % 50 + 1)).collect();
    measure("points by hand", &format!("{head}{points}"));
    let linked: String =
        ["lr", "dropout", "batch_size", "epochs", "data.val_fraction", "data.split_seed", "optimizer.sgd.momentum"]
            .iter()
            .map(|path| {
                let value = |i: usize| match *path {
                    "batch_size" | "epochs" | "data.split_seed" => format!("{}", i + 1),
                    _ => format!("0.{:05}", i + 1),
                };
                format!("{path} = [{}]\n", list((0..10_000).map(value)))
            })
            .collect();
    measure("linked axes, 70,000 values", &format!("{head}[[zip]]\n{linked}"));
    let huge: String = ["lr", "dropout", "data.val_fraction", "optimizer.sgd.momentum"]
        .iter()
        .map(|path| format!("{path} = [{}]\n", list((0..1000).map(|i| format!("0.{:04}", i + 1)))))
        .collect();
    measure("grid of 1e12", &format!("{head}[grid]\n{huge}"));
    measure("10 MB", &"# ten million bytes\n".repeat(500_000));
    measure("deep nesting", &format!("{head}lr = {}", "[".repeat(900_000)));
    measure("deep keys", &format!("{head}{}a = 1", "a.".repeat(400_000)));
}
