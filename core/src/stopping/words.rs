//! What `check` and `plan` say about early stopping before anything runs.

use crate::plan::Plan;
use crate::recipe::Watched;

use super::settings::{Rule, Stop};

/// One or two lines; nothing for a plan that stops nothing.
pub fn describe(plan: &Plan) -> Vec<String> {
    let Some(stop) = plan.stop.as_deref() else { return Vec::new() };
    let epochs = plan.epochs(0);
    let mut lines = vec![format!("stop: {}", how(stop, epochs))];
    if let Some(expected) = stop.expected_epochs(plan.all_points(), epochs, plan.baseline) {
        let seeds = plan.seeds.len() as u64;
        let (expected, all) = (expected * seeds, u64::from(epochs) * u64::from(plan.all_points()) * seeds);
        let share = 100.0 * expected as f64 / all as f64;
        let whole = [(plan.baseline.is_some(), "the baseline"), (stop.audit_fraction > 0.0, "the stop audit")];
        let whole: Vec<&str> = whole.into_iter().filter(|(is_so, _)| *is_so).map(|(_, what)| what).collect();
        let with = if whole.is_empty() { String::new() } else { format!(", with {}", whole.join(" and ")) };
        lines.push(format!("  about {expected} of {all} epochs ({share:.0} %){with}, if every rung keeps its share"));
    }
    if stop.audit_fraction > 0.0 {
        let percent = 100.0 * stop.audit_fraction;
        lines.push(format!("  stop audit: {percent} % of the configurations that would be stopped run to their end"));
    }
    if let Some(steps) = stop.max_steps {
        lines.push(format!(
            "  whether max_steps = {steps} ends anything, and not all before it is compared, is checked by submit only: how many steps an epoch has follows \
             from the number of images, which is not known here"
        ));
    }
    lines.extend(caveats(plan).into_iter().map(|line| format!("  {line}")));
    if plan.baseline.is_some() && stop.rule != Rule::Budget {
        let budgets =
            [stop.max_epochs.is_some(), stop.max_steps.is_some(), stop.max_seconds.is_some(), stop.max_kwh.is_some()];
        let but = if budgets.contains(&true) { ", but by the budget" } else { "" };
        lines.push(format!("  the baseline is never stopped{but}"));
    }
    lines
}

/// What has to be so for it to stop anything, or to do so at little cost; nothing where that always is.
pub fn caveats(plan: &Plan) -> Vec<String> {
    let Some(stop) = plan.stop.as_deref() else { return Vec::new() };
    let energy = stop.max_kwh.map(|_| {
        "max_kwh holds only where the host measures energy (RAPL or a GPU's counter): where it does not, nothing is stopped by it; \
         the cost of a report, and `plan --estimate`, say whether energy was measured"
            .to_owned()
    });
    let seeds = plan.seeds.len();
    let by_curve = matches!(stop.rule, Rule::Median | Rule::Percentile);
    let together = (seeds > 1 && by_curve && stop.interval < 5 && plan.epochs(0) > 2 * stop.interval).then(|| {
        format!(
            "{} judges a configuration by its {seeds} seeds together{}: where fewer than {seeds} slots are free for them, trainers leave and \
             come back for each; `stop.interval` says how many epochs lie between",
            stop.rule.name(),
            if stop.interval > 1 { format!(", every {} epochs", stop.interval) } else { ", after every epoch".to_owned() }
        )
    });
    energy.into_iter().chain(together).collect()
}

fn how(stop: &Stop, epochs: u32) -> String {
    let metric = match stop.metric {
        Watched::ValAccuracy => "val_accuracy",
        Watched::ValLoss => "val_loss",
    };
    let mut text = match stop.rule {
        Rule::Budget => "budget".to_owned(),
        rule => format!("{} on {metric}", rule.name()),
    };
    if stop.rule.has_rungs() {
        let rungs: Vec<String> = stop.rungs(epochs).iter().map(u32::to_string).collect();
        text += &format!(", rungs at epochs {} of {epochs}", rungs.join(", "));
        text += &format!(", one in {} goes on", stop.reduction_factor);
        let brackets = stop.bracket_count(epochs);
        if brackets > 1 {
            text += &format!(", {brackets} brackets");
        }
    } else if stop.rule != Rule::Budget {
        let percentile = if stop.rule == Rule::Percentile { stop.percentile } else { 50.0 };
        text += &format!(
            ", the best {percentile} % go on, once {} configurations are at their end",
            stop.min_configurations
        );
    }
    let whole = [(stop.max_epochs.map(u64::from), "epochs"), (stop.max_steps, "steps")];
    for (most, what) in whole.into_iter().filter_map(|(most, what)| Some((most?, what))) {
        text += &format!(", at most {most} {what} a trial");
    }
    for (most, what) in [(stop.max_seconds, "s"), (stop.max_kwh, "kWh")] {
        text += &most.map_or_else(String::new, |most| format!(", at most {most} {what} a trial"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::plan_text;

    #[test]
    fn a_budget_of_energy_is_said_to_hold_where_energy_is_measured() {
        let lines = |budget: &str| {
            let text =
                format!("name = \"x\"\ndataset = \"d\"\ngrid.lr = [0.1, 0.2]\n[stop]\nrule = \"budget\"\n{budget}\n");
            describe(&plan_text(text.as_bytes()).unwrap_or_else(|errors| panic!("{errors:?}")).0).join("\n")
        };
        assert!(lines("max_kwh = 0.1").contains("max_kwh holds only where the host measures energy"));
        assert!(!lines("max_seconds = 60").contains("measures energy"));
    }

    /// A file with a budget that no training uses up was called right, and refused when it was submitted.
    #[test]
    fn a_budget_of_steps_is_said_to_be_checked_later() {
        let lines = |budget: &str| {
            let text =
                format!("name = \"x\"\ndataset = \"d\"\ngrid.lr = [0.1, 0.2]\n[stop]\nrule = \"budget\"\n{budget}\n");
            let plan = plan_text(text.as_bytes()).unwrap_or_else(|errors| panic!("{errors:?}")).0;
            (describe(&plan).join("\n"), caveats(&plan))
        };
        let (told, at_submit) = lines("max_steps = 1000000");
        assert!(
            told.contains("max_steps = 1000000 ends anything") && told.contains("checked by submit only"),
            "{told}"
        );
        assert!(at_submit.is_empty(), "submit checks it: {at_submit:?}");
        assert!(!lines("max_seconds = 60").0.contains("submit"));
    }

    #[test]
    fn how_often_seeds_wait_for_each_other_is_said_before() {
        let lines = |rule: &str, seeds: u32| {
            let text = format!(
                "name = \"x\"\ndataset = \"d\"\nepochs = 9\nseeds = {seeds}\ngrid.lr = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]\n\
                 [stop]\nrule = \"{rule}\"\n"
            );
            describe(&plan_text(text.as_bytes()).unwrap_or_else(|errors| panic!("{errors:?}")).0).join("\n")
        };
        for rule in ["median", "percentile"] {
            assert!(lines(rule, 3).contains("after every epoch: where fewer than 3 slots are free for them"), "{rule}");
            assert!(
                lines(&format!("{rule}\"\ninterval = 3\n#\""), 3).contains("every 3 epochs: where fewer"),
                "{rule}"
            );
            assert!(!lines(&format!("{rule}\"\ninterval = 5\n#\""), 3).contains("slots"), "{rule}");
            assert!(!lines(rule, 1).contains("slots"), "{rule}");
        }
        for rule in ["asha", "asha-stop"] {
            assert!(!lines(rule, 3).contains("slots"), "{rule}");
        }
    }
}
