//! Budgets that could stop nothing are refused where the data are known.

use std::sync::Arc;

use sweep_core::command::Reply;
use sweep_core::plan::plan_text;

use crate::lab::*;

/// Submits a sweep of its own for these words, and says what came of it.
fn ask(lab: &mut Lab, text: &str, stop: &str, max_steps: u64) -> String {
    let name = format!("budget-{}", lab.core.state().sweeps.len());
    let text = format!("name = \"{name}\"\ndataset = \"d\"\n{text}\n[stop]\n{stop}\nmax_steps = {max_steps}");
    let (plan, _) = plan_text(text.as_bytes()).unwrap();
    match lab.submit(Arc::new(plan)) {
        Reply::Rejected(reject) => format!("{}: {reject}", reject.reason()),
        other => format!("{other:?}"),
    }
}

#[test]
fn a_budget_of_steps_that_is_never_used_up_is_refused() {
    let mut lab = Lab::new();
    lab.hello(facts(1, 1, 1), &[]);
    let mut ask = |text: &str, max_steps: u64| ask(&mut lab, text, "rule = \"budget\"", max_steps);
    // 100 images in batches of 40 are 3 steps.
    let plain = "epochs = 10\nbatch_size = 40";
    let wanted = "stop_useless: stop.max_steps = 30 is never used up: 100 training images of `d` are at most 30 steps";
    let refused = ask(plain, 30);
    assert!(refused.starts_with(wanted), "{refused}");
    assert!(ask(plain, 29).starts_with("Submitted"));
    let two = format!("{plain}\naccumulate = 2");
    assert!(ask(&two, 20).starts_with("stop_useless"), "two batches make a step");
    assert!(ask(&two, 19).starts_with("Submitted"));
    let copies = format!("{plain}\ncopies = [\"none\", \"none\"]");
    assert!(ask(&copies, 79).starts_with("Submitted"), "300 images in batches of 40 are 8 steps");
    assert!(ask(&copies, 80).starts_with("stop_useless"));
    let varied = "epochs = 10\ngrid.batch_size = [10, 40]";
    assert!(ask(varied, 99).starts_with("Submitted"), "the small batch makes 100 steps");
    assert!(ask(varied, 100).starts_with("stop_useless"));
    // Which batches a search will come to is not known.
    let searched = "epochs = 10\nsamples = 20\nsearch = \"tpe\"\ngrid.batch_size = { int = [1, 64] }";
    assert!(ask(searched, 999).starts_with("Submitted"));
}

#[test]
fn a_budget_of_steps_that_ends_everybody_before_anything_is_compared_is_refused() {
    let mut lab = Lab::new();
    lab.hello(facts(1, 1, 1), &[]);
    // 80 of 100 images are certain (a fifth is split off, if there are no others to validate with): 8 batches of 10.
    let plain = "epochs = 10\nbatch_size = 10\ngrid.lr = [1e-4, 1e-3, 1e-2, 1e-1]";
    let asha = "rule = \"asha\"\nmin_epochs = 2";
    let wanted = "stop_useless: stop.max_steps = 16 ends every trial on `d` before `asha` compares anything: that is after epoch 2, of 16 \
                  steps at the least; raise it above 16, or use `rule = \"budget\"`";
    assert_eq!(ask(&mut lab, plain, asha, 16), wanted);
    assert!(ask(&mut lab, plain, asha, 17).starts_with("Submitted"));
    let median = "rule = \"median\"\nwarmup_epochs = 3\nmin_configurations = 2";
    assert!(ask(&mut lab, plain, median, 24).starts_with("stop_useless"));
    assert!(ask(&mut lab, plain, median, 25).starts_with("Submitted"));
    assert!(
        ask(&mut lab, plain, "rule = \"percentile\"\ninterval = 2\nmin_configurations = 2", 16)
            .starts_with("stop_useless")
    );
    assert!(ask(&mut lab, plain, "rule = \"budget\"", 1).starts_with("Submitted"), "it compares nothing");
    let varied = "epochs = 10\ngrid.batch_size = [10, 30]\ngrid.lr = [1e-3, 1e-2]";
    assert!(
        ask(&mut lab, varied, asha, 6).starts_with("stop_useless"),
        "80 images in batches of 30 are 3 steps, twice"
    );
    assert!(ask(&mut lab, varied, asha, 7).starts_with("Submitted"), "the large batch is not at its end by then");
    // How many images are too small is not known.
    let some = format!("data.min_side = 8\n{plain}");
    assert!(ask(&mut lab, &some, asha, 1).starts_with("Submitted"));
    // Nor how many a copy has that nobody has looked at.
    let mut other = facts(2, 1, 1);
    (other.datasets, other.any_dataset) = (Vec::new(), true);
    lab.hello(other, &[]);
    let reply = ask(&mut lab, plain, asha, 16);
    assert!(reply.starts_with("Submitted"), "{reply}");
}
