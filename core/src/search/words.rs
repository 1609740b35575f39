//! What `check` and `plan` say about points that are not known yet.

use crate::plan::Plan;
use crate::recipe::Watched;

/// One or two lines; nothing for a plan that is known to its end.
pub fn describe(plan: &Plan) -> Vec<String> {
    let Some(search) = plan.search.as_deref() else { return Vec::new() };
    let knobs = &search.knobs;
    let metric = match knobs.metric {
        Watched::ValAccuracy => "val_accuracy",
        Watched::ValLoss => "val_loss",
    };
    let (known, to_come) = (plan.points, plan.all_points() - plan.points);
    vec![
        format!(
            "search: {} on {metric}; {known} points are known, {to_come} are chosen from results while the sweep runs",
            knobs.method.name()
        ),
        format!("  each the best of {} candidates, at most {} under way at once", knobs.candidates, knobs.outstanding),
    ]
}
