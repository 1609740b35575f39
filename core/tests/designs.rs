//! What each design and each short form of a sweep file means, example by example.

use std::collections::{BTreeMap, BTreeSet};

use sweep_core::plan::{BASE, Plan, plan_text};
use sweep_core::recipe::{Model, Optimizer};
use sweep_core::spec::Spec;

const HEAD: &str = "name = \"x\"\ndataset = \"d\"\n";

fn read(body: &str) -> (Plan, Spec) {
    match plan_text(format!("{HEAD}{body}").as_bytes()) {
        Ok(read) => read,
        Err(errors) => panic!("{body}\n{errors:?}"),
    }
}

/// Labels of every trial in order, e.g. `lr=0.1 seed=0`.
fn lines(plan: &Plan) -> Vec<String> {
    (0..plan.len())
        .map(|index| {
            let trial = plan.trial(index);
            let labels = plan.labels(trial.point);
            let mut parts: Vec<String> = (labels.iter()).map(|(path, label)| format!("{path}={label}")).collect();
            parts.push(format!("seed={}", plan.seeds[trial.seed as usize]));
            parts.join(" ")
        })
        .collect()
}

/// The labels of one column by trial, in order.
fn column(plan: &Plan, path: &str) -> Vec<String> {
    (0..plan.len())
        .map(|index| {
            let labels = plan.labels(plan.trial(index).point);
            let found = labels.into_iter().find(|(name, _)| *name == path);
            found.map(|(_, label)| label).unwrap_or_default()
        })
        .collect()
}

#[test]
fn a_file_without_anything_that_varies_is_one_point() {
    let (plan, _) = read("seeds = [7, 3]");
    assert_eq!(lines(&plan), ["seed=7", "seed=3"]);
    assert_eq!(plan.recipe(0).map(|recipe| recipe.seed).ok(), Some(7));
}

#[test]
fn an_ablation_changes_one_factor_at_a_time() {
    let (plan, _) = read(
        "design = \"ablation\"\nlr = 1e-3\n[grid]\ndropout = [0.0, 0.3, 0.5]\nlr = [1e-2, 0.001]\n\
        [[zip]]\nbatch_size = [32, 64]\nepochs = [10, 5]",
    );
    let expected = [
        "dropout=0.0 lr=0.001 batch_size=32 epochs=10 seed=0",
        "dropout=0.0 lr=0.001 batch_size=64 epochs=5 seed=0",
        "dropout=0.3 lr=0.001 batch_size=32 epochs=10 seed=0",
        "dropout=0.0 lr=1e-2 batch_size=32 epochs=10 seed=0",
        "dropout=0.5 lr=0.001 batch_size=32 epochs=10 seed=0",
    ];
    assert_eq!(lines(&plan), expected);
    assert_eq!(plan.baseline, Some(plan.trial(0).point));
}

#[test]
fn the_base_leads_a_grid_that_holds_it() {
    let (plan, _) = read("lr = 0.1\ndropout = 0.3\n[grid]\nlr = [0.01, 0.1]\ndropout = [0.0, 0.3]");
    assert_eq!(lines(&plan)[0], "lr=0.1 dropout=0.3 seed=0");
    let (plan, _) = read("lr = 0.1\n[grid]\nlr = [0.01, 0.1]\nimage_size = [32, 48]");
    assert_eq!(lines(&plan)[0], "lr=0.1 image_size=32 seed=0");
    let (plan, _) = read("[grid]\nlr = [0.01, 0.1]\nimage_size = [32, 48]");
    assert_eq!(lines(&plan)[0], "lr=0.01 image_size=32 seed=0");
}

#[test]
fn points_follow_the_baseline_and_may_stand_alone() {
    let (plan, _) = read("seeds = 2\n[grid]\nlr = [0.1, 0.2]\n[[point]]\nlr = 0.1\nepochs = 3");
    let expected = [
        "lr=0.1 epochs=10 seed=0",
        "lr=0.1 epochs=10 seed=1",
        "lr=0.1 epochs=3 seed=0",
        "lr=0.2 epochs=10 seed=0",
        "lr=0.1 epochs=3 seed=1",
        "lr=0.2 epochs=10 seed=1",
    ];
    assert_eq!(lines(&plan), expected);
    let (plan, _) = read("[[point]]\nlr = 0.5\n[[point]]\nepochs = 3\n[[point]]");
    let expected = ["lr=0.5 epochs=10 seed=0", "lr=0.001 epochs=3 seed=0", "lr=0.001 epochs=10 seed=0"];
    assert_eq!(lines(&plan), expected);
}

#[test]
fn points_of_different_variants_keep_apart() {
    let (plan, _) =
        read("[[point]]\noptimizer.sgd.momentum = 0.5\n[[point]]\noptimizer.adam.beta1 = 0.8\n[[point]]\nlr = 0.1");
    let expected = [
        "optimizer.sgd.momentum=0.5 optimizer.adam.beta1=- lr=0.001 seed=0",
        "optimizer.sgd.momentum=- optimizer.adam.beta1=0.8 lr=0.001 seed=0",
        "optimizer.sgd.momentum=- optimizer.adam.beta1=0.9 lr=0.1 seed=0",
    ];
    assert_eq!(lines(&plan), expected);
    assert!(plan.cells.contains(&BASE));
    let sgd = plan.recipe(0).expect("a recipe");
    assert!(matches!(sgd.optimizer, Optimizer::Sgd(sgd) if sgd.momentum == 0.5));
}

#[test]
fn what_the_base_lacks_may_come_from_every_point() {
    let text = "name = \"x\"\n[grid]\ndataset = [\"a\", \"b\"]\n";
    let (plan, _) = plan_text(text.as_bytes()).expect("every point has a data set");
    assert_eq!(lines(&plan), ["dataset=a seed=0", "dataset=b seed=0"]);
    let (plan, _) = read("early_stop.min_delta = 0.1\n[grid]\nearly_stop.patience = [1, 2]");
    assert_eq!(plan.len(), 2);
    let (plan, _) = read("image_size = 16\n[grid]\nmodel = [\"cifar-cnn\"]");
    assert!(matches!(plan.recipe(0).map(|recipe| recipe.model), Ok(Model::CifarCnn(_))));
    let (plan, _) = read(
        "[grid]\nmodel = [\"resnet18\", \"cifar-cnn\"]\nimage_size = [16, 64]\n\
        [[exclude]]\nmodel = \"resnet18\"\nimage_size = 16",
    );
    assert_eq!(plan.len(), 3);
}

#[test]
fn a_point_may_bring_back_what_is_excluded() {
    let (plan, _) =
        read("[grid]\nlr = [0.1, 0.2, 0.3]\n[[exclude]]\nlr = 0.2\n[[exclude]]\nlr = 0.3\n[[point]]\nlr = 0.3");
    assert_eq!(lines(&plan), ["lr=0.1 seed=0", "lr=0.3 seed=0"]);
}

#[test]
fn named_augmentations_are_resolved_and_keep_their_name() {
    let (plan, _) = read(
        "augmentation = \"strong\"\n[augmentations]\nstrong = [\"flip\", { crop = { padding = 0.25 } }]\n\
        [grid]\naugmentation = [\"none\", \"strong\", [\"crop\"]]",
    );
    assert_eq!(column(&plan, "augmentation"), ["strong", "[crop]", "none"]);
    let values: Vec<String> = plan.columns[0].values.iter().map(|v| v.to_string()).collect();
    let expected = [
        "[]",
        r#"[{"flip":{"p":0.5}},{"crop":{"padding":0.25,"pixels":0,"size":0}}]"#,
        r#"[{"crop":{"padding":0.125,"pixels":0,"size":0}}]"#,
    ];
    assert_eq!(values, expected);
}

const RANDOM: &str = "design = \"random\"\nsamples = 200\nsample_seed = 3\n[grid]\n\
    lr = { log_uniform = [1e-5, 1e-1] }\nepochs = { int = [3, 5] }\n";

#[test]
fn random_draws_stay_in_their_ranges_and_fill_them() {
    let (plan, _) = read(&format!("{RANDOM}dropout = {{ uniform = [0.2, 0.4] }}\n"));
    let numbers = |path: &str| -> Vec<f64> {
        let labels = column(&plan, path);
        labels.iter().map(|label| label.parse().expect("a number")).collect()
    };
    let lr = numbers("lr");
    assert!(lr.iter().all(|lr| (1e-5..=1e-1).contains(lr)));
    for decade in [1e-5, 1e-4, 1e-3, 1e-2] {
        let here = lr.iter().filter(|lr| (decade..decade * 10.0).contains(*lr));
        assert!((25..=75).contains(&here.count()), "about a quarter of 200 in each decade");
    }
    assert!(numbers("dropout").iter().all(|value| (0.2..=0.4).contains(value)));
    let epochs: BTreeSet<String> = column(&plan, "epochs").into_iter().collect();
    assert_eq!(epochs.into_iter().collect::<Vec<_>>(), ["3", "4", "5"]);
    assert_eq!(plan.baseline, None);
}

#[test]
fn another_axis_changes_no_draw_of_the_others() {
    let (plan, _) = read(RANDOM);
    let (more, _) = read(&format!("{RANDOM}dropout = {{ uniform = [0.0, 0.5] }}\n"));
    for path in ["lr", "epochs"] {
        assert_eq!(column(&plan, path), column(&more, path));
    }
    let (other, _) = read(&RANDOM.replace("sample_seed = 3", "sample_seed = 4"));
    assert_ne!(column(&plan, "lr"), column(&other, "lr"));
}

#[test]
fn random_can_take_all_of_a_finite_space_but_the_excluded() {
    let (plan, _) = read(
        "design = \"random\"\nsamples = 10\n[grid]\nepochs = { int = [1, 4] }\nlr = [0.1, 0.2, 0.3]\n\
        [[exclude]]\nlr = 0.2\nepochs = 1\n[[exclude]]\nlr = 0.3\nepochs = 2",
    );
    let distinct: BTreeSet<String> = lines(&plan).into_iter().collect();
    assert_eq!(distinct.len(), 10);
    assert!(!distinct.contains("epochs=1 lr=0.2 seed=0"));
}

#[test]
fn limits_come_from_the_file() {
    let (plan, spec) = read("max_parallel = 4\nmax_retries = 0\ndescription = \"why\"");
    assert_eq!((plan.limits.max_parallel, plan.limits.max_retries), (Some(4), Some(0)));
    assert_eq!(spec.description.as_deref(), Some("why"));
}

#[test]
fn files_that_mean_the_same_have_the_same_canonical_text() {
    let plain = "model = \"resnet18\"\nlr = 0.01\nseeds = 2\n[optimizer.sgd]\nmomentum = 0.8\n\
        [grid]\nbatch_size = [16, 32]\naugmentation = [\"none\", \"flip\"]\n";
    let same = [
        "# comment\nseeds = [0, 1]\nlr = 1e-2\nmodel = { resnet18 = {} }\n\
         optimizer = { sgd = { momentum = 0.80, nesterov = false } }\ngrid.batch_size = [0x10, 3_2]\n\
         grid.augmentation = [[], [\"flip\"]]\n",
        "version = 1\ndescription = \"words\"\nmax_retries = 3\nepochs = 10\nimage_size = 64\ndesign = \"grid\"\n\
         lr = 0.01\nseeds = 2\n[grid]\naugmentation = [\"none\", [{ flip = { p = 0.5 } }]]\nbatch_size = [16, 32]\n\
         [optimizer]\nsgd = { momentum = 0.8 }\n",
    ];
    let different = [
        plain.replace("0.8", "0.9"),
        plain.replace("[16, 32]", "[32, 16]"),
        plain.replace("seeds = 2", "seeds = 3"),
        plain.replace("seeds = 2", "seeds = 2\nmax_parallel = 1"),
        format!("{plain}[[exclude]]\nbatch_size = 16\n"),
        format!("{plain}[[point]]\nbatch_size = 64\n"),
    ];
    let (plan, spec) = read(plain);
    for text in same {
        let (other_plan, other) = read(text);
        assert_eq!(spec.canonical(), other.canonical());
        let recipes = |plan: &Plan| -> BTreeMap<u32, String> {
            let recipe = |index| format!("{:?}", plan.recipe(index).expect("a recipe"));
            (0..plan.len()).map(|index| (index, recipe(index))).collect()
        };
        assert_eq!(recipes(&plan), recipes(&other_plan));
    }
    for text in different {
        assert_ne!(spec.canonical(), read(&text).1.canonical(), "{text}");
    }
}

#[test]
fn a_sobol_design_leaves_no_gap() {
    let file = |seed: u32, axes: &str| {
        format!("name = \"x\"\ndataset = \"d\"\ndesign = \"sobol\"\nsamples = 16\nsample_seed = {seed}\n[grid]\n{axes}")
    };
    let (dropout, lr) = ("dropout = { uniform = [0.0, 0.8] }\n", "lr = { log_uniform = [1e-4, 1e-1] }\n");
    let drawn = |text: &str, path: &str| -> Vec<f64> {
        let (plan, _) = plan_text(text.as_bytes()).expect("a good file");
        let column = plan.columns.iter().position(|column| column.path == path).expect("a column");
        let value = |point: u32| plan.columns[column].values[plan.row(point)[column] as usize].as_f64();
        (0..plan.points).map(|point| value(point).expect("a number")).collect()
    };
    let text = file(3, &format!("{dropout}{lr}"));
    let mut slices: Vec<u32> = drawn(&text, "dropout").iter().map(|value| (value / 0.8 * 16.0) as u32).collect();
    slices.sort_unstable();
    assert_eq!(slices, (0..16).collect::<Vec<_>>(), "one in each sixteenth");
    let mut slices: Vec<u32> =
        drawn(&text, "lr").iter().map(|value| ((value / 1e-4).log10() / 3.0 * 16.0) as u32).collect();
    slices.sort_unstable();
    assert_eq!(slices, (0..16).collect::<Vec<_>>(), "one in each sixteenth of the logarithm");
    assert_eq!(
        drawn(&text, "lr"),
        drawn(&file(3, &format!("{lr}{dropout}")), "lr"),
        "the order of axes does not count"
    );
    assert_ne!(drawn(&text, "lr"), drawn(&file(4, &format!("{dropout}{lr}")), "lr"));
    // Few values: points that come twice are left out, and all are found.
    let few = file(0, "dropout = [0.0, 0.1, 0.2, 0.3]\nbatch_size = [8, 16, 32, 64]\n");
    assert_eq!(plan_text(few.as_bytes()).expect("a good file").0.points, 16);
}

#[test]
fn a_plan_knows_which_values_were_drawn() {
    let file = |design: &str| {
        format!(
            "name = \"x\"\ndataset = \"d\"\n{design}\n[grid]\nlr = {{ log_uniform = [0.001, 0.1] }}\nbatch_size = {{ int = [8, 64] }}\nmodel = [\"resnet18\", \"cifar-cnn\"]\n"
        )
    };
    for design in
        ["design = \"random\"\nsamples = 12", "design = \"sobol\"\nsamples = 12", "search = \"tpe\"\nsamples = 40"]
    {
        let text = file(design);
        let (mut plan, _) = sweep_core::plan::plan_text(text.as_bytes()).expect(design);
        plan.source = Some(text);
        assert_eq!(plan.drawn(), ["lr", "batch_size"], "{design}");
    }
    let written = "name = \"x\"\ndataset = \"d\"\n[grid]\nlr = [0.1, 0.01]\n";
    let (mut plan, _) = sweep_core::plan::plan_text(written.as_bytes()).expect("a plan");
    plan.source = Some(written.to_owned());
    assert!(plan.drawn().is_empty());
}
