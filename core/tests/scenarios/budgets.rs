//! Budgets that could stop nothing are refused where the data are known.

use std::sync::Arc;

use sweep_core::command::Reply;
use sweep_core::plan::plan_text;

use crate::lab::*;

#[test]
fn a_budget_of_steps_that_is_never_used_up_is_refused() {
    let mut lab = Lab::new();
    lab.hello(facts(1, 1, 1), &[]);
    let mut number = 0;
    let mut ask = |text: &str, max_steps: u64| {
        number += 1;
        let text = format!(
            "name = \"budget-{number}\"\ndataset = \"d\"\n{text}\n[stop]\nrule = \"budget\"\nmax_steps = {max_steps}"
        );
        let (plan, _) = plan_text(text.as_bytes()).unwrap();
        match lab.submit(Arc::new(plan)) {
            Reply::Rejected(reject) => format!("{}: {reject}", reject.reason()),
            other => format!("{other:?}"),
        }
    };
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
