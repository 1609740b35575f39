//! A longer trial that goes on from the end of a shorter one is the longer trial from its beginning, to the bit, wherever the rate does not
//! follow the number of epochs; where it does, the checkpoint is refused.

#![expect(clippy::unwrap_used, reason = "a test stops where it cannot go on")]

mod common;

use common::{Bench, Told, folder_of_images, with_val};
use sweep_core::attempt::{Body, CheckpointKind};

const SHORT: u32 = 3;
const LONG: u32 = 5;

const RECIPES: [(&str, &str); 6] = [
    ("constant", r#""optimizer":"adam","augmentation":["flip","crop"]"#),
    ("step", r#""schedule":{"step":{"step_size":2}},"optimizer":{"sgd":{"momentum":0.9,"nesterov":true}}"#),
    ("multi-step", r#""schedule":{"multi-step":{"milestones":[2,4]}},"warmup":{"steps":25},"checkpoint_steps":2"#),
    ("plateau", r#""schedule":{"plateau":{"patience":0,"factor":0.5,"threshold":0.3}},"optimizer":"adamw""#),
    ("restarts", r#""schedule":{"cosine-restarts":{"t_0":2,"t_mult":2}},"ema":{"decay":0.7},"accumulate":2"#),
    ("patience", r#""early_stop":{"patience":4},"schedule":{"cosine":{"t_max":4}},"copies":[[],["rotation"]]"#),
];

fn bench() -> Bench {
    let bench = Bench::new();
    with_val(&bench, "d");
    folder_of_images(&bench.data().join("d/test"), 3, 3);
    bench
}

fn recipe(fields: &str, epochs: u32) -> String {
    format!(
        r#"{{"dataset":"d","model":"cifar-cnn","image_size":32,"epochs":{epochs},"batch_size":7,"lr":0.003,"dropout":0.3,"seed":5,{fields}}}"#
    )
}

#[test]
fn a_longer_trial_goes_on_from_the_end_of_a_shorter_one() {
    for (name, fields) in RECIPES {
        let bench = bench();
        let whole = bench.run("whole", &bench.order(&recipe(fields, LONG)));
        let short = bench.run("short", &bench.order(&recipe(fields, SHORT)));
        let mut order = bench.order(&recipe(fields, LONG));
        order.work[0].resume = Some(short.resume());
        let rest = bench.run("rest", &order);
        assert_eq!(rest.weights(), whole.weights(), "{name}");
        let mut epochs = [short.epochs(), rest.epochs()].concat();
        let mut expected = whole.epochs();
        epochs.iter_mut().chain(&mut expected).for_each(|metrics| metrics.seq = 0);
        assert_eq!(epochs, expected, "{name}");
        let newest = |told: &Told| told.checkpoints(CheckpointKind::Last).last().unwrap().sha256.clone();
        assert_eq!(newest(&rest), newest(&whole), "{name}: with the test images by the last weights");
        let test = |told: &Told| match &told.last {
            Body::Done(done) => done.test.clone(),
            other => panic!("{name}: {other:?}"),
        };
        assert!(test(&whole).is_some_and(|score| test(&rest) == Some(score)), "{name}");
    }
}

#[test]
fn what_is_not_the_same_training_is_refused() {
    let bench = bench();
    let refused = |place: &str, fields: &str, resume| {
        let mut order = bench.order(&recipe(fields, LONG));
        order.work[0].resume = Some(resume);
        let told = bench.run(place, &order);
        told.failed().2.to_owned()
    };
    for schedule in [r#""schedule":"cosine""#, r#""schedule":"one-cycle","optimizer":"adam""#] {
        let place = format!("short {}", schedule.len());
        let short = bench.run(&place, &bench.order(&recipe(schedule, SHORT)));
        let told = refused(&format!("{place} longer"), schedule, short.resume());
        assert!(told.contains("another recipe"), "{told}");
    }
    let fields = r#""optimizer":"adam""#;
    let part = bench.run_with("part", &bench.order(&recipe(fields, SHORT)), |line, stop| {
        if matches!(line, Body::Checkpoint(line) if line.kind == CheckpointKind::Last && line.epoch == 2) {
            stop.ask();
        }
    });
    let told = refused("from the middle", fields, part.resume());
    assert!(told.contains("from the end of a shorter one only"), "{told}");
    let short = bench.run("shorter", &bench.order(&recipe(fields, SHORT)));
    let told = refused("another rate", r#""optimizer":"adam","clip_norm":1.0"#, short.resume());
    assert!(told.contains("another recipe"), "{told}");
}
