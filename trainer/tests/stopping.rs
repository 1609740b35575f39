//! When early stopping ends a training: which number it watches, and by how much that must get better.

#![expect(clippy::unwrap_used, reason = "a test stops where it cannot go on")]

mod common;

use common::{Bench, Told, with_val};
use sweep_core::attempt::Body;

const EPOCHS: usize = 5;

fn train(bench: &Bench, place: &str, lr: f64, epochs: usize, early_stop: &str) -> Told {
    bench.run(
        place,
        &bench.order(&format!(
            r#"{{"dataset":"d","model":"cifar-cnn","image_size":16,"epochs":{epochs},"batch_size":8,"lr":{lr},
            "optimizer":"adam","seed":3{early_stop}}}"#
        )),
    )
}

/// After how many epochs it ended, and whether patience had run out.
fn end(told: &Told) -> (usize, bool) {
    match &told.last {
        Body::Done(done) => (told.epochs().len(), done.early),
        other => panic!("not done: {other:?}"),
    }
}

#[test]
fn a_training_that_gets_better_by_too_little_is_stopped() {
    let bench = Bench::new();
    with_val(&bench, "d");
    // So slow that the loss falls in every epoch, and no image changes its class.
    let slow = |place: &str, rule: &str| train(&bench, place, 1e-5, EPOCHS, &format!(r#","early_stop":{rule}"#));
    let by_loss = slow("loss", r#"{"patience":2,"metric":"val_loss"}"#);
    let epochs = by_loss.epochs();
    assert!(epochs.is_sorted_by(|a, b| a.val_loss.0 > b.val_loss.0), "{epochs:?}");
    assert!(epochs.iter().all(|epoch| epoch.val_accuracy == epochs[0].val_accuracy), "{epochs:?}");
    assert_eq!(end(&by_loss), (EPOCHS, false));

    // Accuracy is what is watched if nothing is said; of equal epochs the first is the best.
    let by_accuracy = slow("accuracy", r#"{"patience":2}"#);
    assert_eq!(end(&by_accuracy), (3, true));
    let first = train(&bench, "first", 1e-5, 1, "");
    assert_eq!(by_accuracy.weights(), first.weights());

    let gain = |epoch: usize| epochs[0].val_loss.0 - epochs[epoch - 1].val_loss.0;
    let least = |place: &str, min_delta: f64| {
        slow(place, &format!(r#"{{"patience":2,"metric":"val_loss","min_delta":{min_delta}}}"#))
    };
    let too_little = least("too little", f64::midpoint(gain(3), gain(4)));
    assert_eq!(end(&too_little), (3, true));
    assert_eq!(too_little.weights(), first.weights());
    // Two epochs together are better by enough.
    assert_eq!(end(&least("enough", f64::midpoint(gain(2), gain(3)))), (EPOCHS, false));
}

#[test]
fn a_training_whose_accuracy_no_longer_rises_is_stopped() {
    let bench = Bench::new();
    with_val(&bench, "d");
    let train = |place: &str, epochs: usize, early_stop: &str| train(&bench, place, 0.002, epochs, early_stop);
    let whole = train("whole", 12, "");
    let accuracies: Vec<f64> = whole.epochs().iter().map(|epoch| epoch.val_accuracy.0).collect();
    // It rises at least every other epoch until every image is right, early enough for patience to run out.
    let best = 1 + accuracies.iter().position(|accuracy| *accuracy == 1.0).unwrap();
    let rising = &accuracies[..best];
    assert!(rising.is_sorted() && rising.windows(3).all(|three| three[0] < three[2]), "{accuracies:?}");
    assert!((3..10).contains(&best), "{accuracies:?}");
    let stopped = train("stopped", 12, r#","early_stop":{"patience":2}"#);
    assert_eq!(end(&stopped), (best + 2, true), "{accuracies:?}");
    assert_eq!(stopped.weights(), train("short", best, "").weights());
    // No accuracy is more than 1 above another.
    assert_eq!(end(&train("never", 12, r#","early_stop":{"patience":2,"min_delta":1}"#)), (3, true));
}
