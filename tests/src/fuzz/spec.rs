//! Any bytes as a sweep file: a plan, the same at every time, or errors that say where they are.

use std::collections::BTreeSet;

use sweep_core::id::SweepId;
use sweep_core::plan::{Plan, plan_text};
use sweep_core::spec::{MAX_ERRORS, SpecError};

use super::kind;

/// What sweep files are made of.
pub(super) const WORDS: [&str; 30] = [
    "name = \"x\"\n",
    "dataset = \"none\"\n",
    "model = \"resnet18\"\n",
    "[grid]\n",
    "[base]\n",
    "[[point]]\n",
    "[[exclude]]\n",
    "[zip]\n",
    "[stop]\n",
    "rule = \"asha\"\n",
    "search = \"tpe\"\n",
    "samples = 8\n",
    "seeds = [0, 1]\n",
    "design = \"ablation\"\n",
    "lr = [0.1, 0.01]\n",
    "{ log_uniform = [1e-5, 1e-1] }",
    "{ uniform = [0.0, 1.0] }",
    "{ int = [1, 64] }",
    "optimizer",
    ".adam.beta1",
    "augmentation",
    "\"flip\"",
    "schedule",
    "epochs",
    "batch_size",
    "dropout",
    "\u{202e}",
    "\x1b[2J",
    "\"\"\"",
    "[[[[[[[[",
];

/// Largest plan of which every trial is looked at.
const ALL: u32 = 500;

/// See the module.
pub(super) fn spec(bytes: &[u8]) -> u64 {
    match plan_text(bytes) {
        Ok((plan, _)) => {
            let (again, _) = plan_text(bytes).expect("what was read once is read again");
            assert!(again == plan, "the same file gave two plans");
            planned(&plan, bytes)
        }
        Err(errors) => {
            assert!(!errors.is_empty(), "refused without a word");
            assert!(errors.len() <= MAX_ERRORS + 1, "{} errors", errors.len());
            let lines = 1 + bytes.iter().filter(|byte| **byte == b'\n').count();
            errors.iter().for_each(|error| placed(error, lines, bytes.len()));
            kind(errors.iter().map(|error| (error.reason.as_str(), error.hint.is_some())).collect::<BTreeSet<_>>())
        }
    }
}

fn planned(plan: &Plan, bytes: &[u8]) -> u64 {
    let text = serde_json::to_string(plan).expect("a plan is JSON");
    let read: Plan =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("the journal could not hold it: {error}"));
    assert!(read == *plan, "a plan is not what it was after the journal");
    assert!(
        plan.source.as_deref().is_none_or(|source| source.as_bytes() == bytes),
        "the file was not kept word for word"
    );
    assert!(!plan.is_empty(), "a plan of nothing");
    let ids = plan.trial_ids(SweepId::derive("fuzz", ""));
    assert!(ids.iter().collect::<BTreeSet<_>>().len() == ids.len(), "two trials are the same");
    let step = (plan.len() / ALL).max(1) as usize;
    for index in (0..plan.len()).step_by(step) {
        assert!(plan.recipe(index).is_ok(), "trial {index} has no recipe");
        assert!(plan.epochs(index) > 0, "trial {index} has no epochs");
    }
    let paths: Vec<&str> = plan.columns.iter().map(|column| column.path.as_str()).collect();
    kind((paths, plan.seeds.len().min(3), plan.baseline.is_some(), plan.stop.is_some(), plan.search.is_some()))
}

/// An error has a place, or is about the whole file.
fn placed(error: &SpecError, lines: usize, length: usize) {
    let text = error.to_string();
    assert!(!error.what.is_empty(), "an error without words");
    assert!(!text.contains(char::is_control), "control characters in {text:?}");
    assert!(error.line as usize <= lines, "line {} of {lines}: {text}", error.line);
    assert!((error.line == 0) == (error.column == 0), "half a place: {text}");
    match &error.span {
        Some(span) => {
            assert!(span.start <= span.end && span.end <= length.max(1) && error.line > 0, "{span:?}: {text}")
        }
        None => assert!(error.line == 0, "a line without a place: {text}"),
    }
}
