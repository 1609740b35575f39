//! Properties of plans, judged by an expansion that shares nothing with the real one: every point of the
//! file times every seed exactly once, baseline first, ids unique, the same meaning the same plan.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use sweep_core::id::SweepId;
use sweep_core::plan::{Plan, plan_text};
use sweep_core::recipe::Recipe;

/// Axes that the files are made of: path, and values as a file writes them. No two are equal, none
/// is refused together with another one.
const AXES: &[(&str, &[&str])] = &[
    ("lr", &["1e-4", "0.001", "1e-2", "0.1"]),
    ("batch_size", &["16", "32", "64"]),
    ("dropout", &["0.0", "0.25", "5e-1"]),
    ("augmentation", &["\"none\"", "\"flip\"", "[\"crop\", { flip = { p = 0.1 } }]"]),
    ("optimizer.adam.beta1", &["0.8", "0.9"]),
    ("model", &["\"resnet18\"", "\"cifar-cnn\""]),
    ("early_stop.patience", &["1", "2", "3"]),
    ("schedule", &["\"constant\"", "{ cosine = { min_lr = 1e-5 } }"]),
];

/// One file: which axes with how many values, how they are grouped, and the rest.
#[derive(Clone, Debug)]
struct Draft {
    /// Index into [`AXES`] and number of values, in the order of the file.
    axes: Vec<(usize, usize)>,
    /// Whether the first two axes are linked (cut to equal length).
    linked: bool,
    seeds: u64,
    /// Values, one per axis, of points to leave out: index modulo length.
    exclude: Option<Vec<usize>>,
    /// A learning rate of a point written by hand.
    point: bool,
}

fn draft() -> impl Strategy<Value = Draft> {
    let axes = Just((0..AXES.len()).collect::<Vec<_>>()).prop_shuffle();
    let exclude = proptest::option::of(proptest::collection::vec(0usize..4, 2));
    (axes, 0usize..5, proptest::collection::vec(1usize..5, 8), any::<bool>(), 1u64..4, exclude, any::<bool>()).prop_map(
        |(axes, count, lengths, linked, seeds, exclude, point)| Draft {
            axes: axes[..count].iter().map(|at| (*at, lengths[*at].min(AXES[*at].1.len()))).collect(),
            linked: linked && count >= 2,
            seeds,
            exclude: exclude.filter(|_| count >= 2),
            point,
        },
    )
}

impl Draft {
    /// How many values axis `at` of this file has.
    fn length(&self, at: usize) -> usize {
        match at {
            0 | 1 if self.linked => self.axes[0].1.min(self.axes[1].1),
            _ => self.axes[at].1,
        }
    }

    fn values(&self, at: usize) -> &'static [&'static str] {
        &AXES[self.axes[at].0].1[..self.length(at)]
    }

    fn excluded(&self) -> Option<Vec<(usize, &'static str)>> {
        let picks = self.exclude.as_ref()?;
        // Linked axes are excluded by one of them, so that the pair exists.
        let places: &[usize] = if self.linked { &[0] } else { &[0, 1] };
        let pick = |at: &usize| (*at, self.values(*at)[picks[*at] % self.length(*at)]);
        Some(places.iter().map(pick).collect())
    }

    /// The file; `order` permutes its axes without changing their meaning.
    fn text(&self, reversed: bool) -> String {
        let line = |at: usize| format!("{} = [{}]\n", AXES[self.axes[at].0].0, self.values(at).join(", "));
        let mut order: Vec<usize> = (0..self.axes.len()).collect();
        if reversed {
            order.reverse();
        }
        let mut text = format!("name = \"p\"\ndataset = \"d\"\nseeds = {}\n", self.seeds);
        let (zip, grid): (Vec<usize>, Vec<usize>) = order.into_iter().partition(|at| self.linked && *at < 2);
        let table = |header: &str, axes: Vec<usize>| match axes.len() {
            0 => String::new(),
            _ => format!("{header}\n{}", axes.into_iter().map(line).collect::<String>()),
        };
        text.push_str(&table("[[zip]]", zip));
        text.push_str(&table("[grid]", grid));
        if let Some(excluded) = self.excluded() {
            text.push_str("[[exclude]]\n");
            for (at, value) in excluded {
                text.push_str(&format!("{} = {value}\n", AXES[self.axes[at].0].0));
            }
        }
        if self.point {
            text.push_str("[[point]]\nlr = 0.7\n");
        }
        text
    }

    /// The points, written out one by one the slow way: path -> value as in the file.
    fn expected(&self) -> Vec<BTreeMap<&'static str, &'static str>> {
        let mut points = Vec::new();
        if !self.axes.is_empty() || !self.point {
            points.push(BTreeMap::new());
        }
        for at in 0..self.axes.len() {
            let path = AXES[self.axes[at].0].0;
            let mut longer = Vec::new();
            for point in &points {
                for (step, value) in self.values(at).iter().enumerate() {
                    let first = self.linked.then(|| AXES[self.axes[0].0].0);
                    if let (1, Some(first)) = (at, first)
                        && point.get(first) != Some(&self.values(0)[step])
                    {
                        continue;
                    }
                    let mut point: BTreeMap<_, _> = point.clone();
                    point.insert(path, *value);
                    longer.push(point);
                }
            }
            points = longer;
        }
        if let Some(excluded) = self.excluded() {
            points.retain(|point| !(excluded.iter()).all(|(at, value)| point[AXES[self.axes[*at].0].0] == *value));
        }
        if self.point {
            points.push(BTreeMap::from([("lr", "0.7")]));
        }
        points
    }
}

/// A recipe as a file that holds nothing else would give it, as JSON.
fn recipe_of(point: &BTreeMap<&str, &str>, seed: u64) -> String {
    let mut text = format!("name = \"q\"\ndataset = \"d\"\nseeds = [{seed}]\n");
    for (path, value) in point {
        text.push_str(&format!("{path} = {value}\n"));
    }
    let (plan, _) = plan_text(text.as_bytes()).expect("a single point is a good file");
    assert_eq!(plan.len(), 1);
    json(&plan.recipe(0).expect("a recipe"))
}

fn json(recipe: &Recipe) -> String {
    serde_json::to_string(recipe).expect("a recipe is plain JSON")
}

fn recipes(plan: &Plan) -> Vec<String> {
    (0..plan.len()).map(|index| json(&plan.recipe(index).expect("every trial is a recipe"))).collect()
}

fn check(draft: &Draft) {
    let text = draft.text(false);
    let expected = draft.expected();
    let result = plan_text(text.as_bytes());
    let empty = expected.is_empty();
    let Ok((plan, spec)) = result else {
        assert!(empty, "refused: {:?}\n{text}", result.err());
        return;
    };
    // Every point x seed exactly once.
    let found = recipes(&plan);
    let mut sorted = found.clone();
    sorted.sort();
    let mut wanted: Vec<String> =
        (expected.iter()).flat_map(|point| (0..draft.seeds).map(move |seed| recipe_of(point, seed))).collect();
    wanted.sort();
    assert_eq!(sorted, wanted, "{text}");
    let distinct: BTreeSet<&String> = found.iter().collect();
    assert_eq!(distinct.len(), found.len(), "{text}");
    // Ids: unique, and the same one by one and all at once.
    let sweep = SweepId::derive(&spec.canonical(), "");
    let ids = plan.trial_ids(sweep);
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), found.len(), "{text}");
    for (index, id) in ids.iter().enumerate() {
        assert_eq!(*id, plan.trial_id(sweep, index as u32), "{text}");
    }
    // The baseline leads with the first seed; all points have the first seed before the last has another.
    let first = plan.trial(0);
    assert_eq!((Some(first.point), first.seed), (plan.baseline, 0), "{text}");
    let rest: Vec<u32> = (0..plan.len())
        .map(|index| plan.trial(index))
        .filter(|trial| Some(trial.point) != plan.baseline)
        .map(|trial| trial.seed)
        .collect();
    assert!(rest.is_sorted(), "{text}");
    // The order in which axes are written changes neither the id nor what runs when.
    let (other, other_spec) = plan_text(draft.text(true).as_bytes()).expect("the same file");
    assert_eq!(other_spec.canonical(), spec.canonical(), "{text}");
    assert_eq!(recipes(&other), found, "{text}");
    assert_eq!(other.trial_ids(sweep), ids, "{text}");
    // A plan survives the journal.
    let stored = serde_json::to_string(&plan).expect("a plan is plain JSON");
    assert_eq!(serde_json::from_str::<Plan>(&stored).expect("a plan"), plan);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_point_runs_exactly_once_with_every_seed(draft in draft()) {
        check(&draft);
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "[a-z\\[\\]{}=.,\"'# \n0-9_e+-]{0,200}") {
        let whole = format!("name = \"x\"\ndataset = \"d\"\n{text}");
        drop(plan_text(text.as_bytes()));
        drop(plan_text(whole.as_bytes()));
    }

    #[test]
    fn no_mixture_of_lines_makes_the_reader_panic(
        lines in proptest::collection::vec(proptest::sample::select(LINES), 0..12),
    ) {
        if let Ok((plan, _)) = plan_text(lines.join("\n").as_bytes()) {
            for index in 0..plan.len() {
                prop_assert!(plan.recipe(index).is_ok_and(|recipe| recipe.check().is_empty()));
                prop_assert_eq!(plan.labels(plan.trial(index).point).len(), plan.columns.len());
            }
        }
    }
}

const LINES: &[&str] = &[
    "name = \"x\"",
    "dataset = \"d\"",
    "seeds = 2",
    "seeds = [5, 6]",
    "design = \"ablation\"",
    "design = \"random\"",
    "samples = 5",
    "model = \"cifar-cnn\"",
    "image_size = 16",
    "lr = 0.1",
    "[grid]",
    "[[zip]]",
    "[[point]]",
    "[[exclude]]",
    "[optimizer.sgd]",
    "momentum = 0.5",
    "optimizer = \"sgd\"",
    "optimizer = [\"sgd\", \"adam\"]",
    "lr = [0.1, 0.2]",
    "lr = 0.2",
    "epochs = [1, 2, 3]",
    "epochs = { int = [1, 4] }",
    "image_size = [16, 32]",
    "dataset = [\"a\", \"b\"]",
    "optimizer.sgd.momentum = 0.3",
    "optimizer.adam.eps = [1e-8, 1e-7]",
    "early_stop.min_delta = 0.1",
    "early_stop.patience = [1, 2]",
    "[early_stop]",
    "patience = 2",
    "[augmentations]",
    "a = [\"flip\"]",
    "augmentation = [\"a\", \"none\"]",
    "augmentation = \"a\"",
    "data.mean = [[0.1, 0.2, 0.3]]",
];

#[test]
fn tf32_may_be_an_axis_and_is_open_where_nothing_is_said() {
    let tf32 = |lines: &str| -> Vec<Option<bool>> {
        let text = format!("name = \"t\"\ndataset = \"d\"\n{lines}\n");
        let (plan, _) = plan_text(text.as_bytes()).expect("a good file");
        let of = |recipe: &String| serde_json::from_str::<Recipe>(recipe).expect("a recipe").tf32;
        recipes(&plan).iter().map(of).collect()
    };
    assert_eq!(tf32("[grid]\ntf32 = [true, false]"), [Some(true), Some(false)]);
    assert_eq!(tf32("tf32 = false\n[grid]\nlr = [0.1, 0.2]"), [Some(false); 2]);
    assert_eq!(tf32("[grid]\nlr = [0.1, 0.2]"), [None; 2]);
}
