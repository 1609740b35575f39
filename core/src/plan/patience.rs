//! Patience that cannot run out: with as many epochs of it as there are, no trial ends before its last one.

use serde_json::Value;

use crate::spec::{Errors, Reason, Spec};

use super::{Plan, at};

const TABLE: &str = "early_stop";
const PATIENCE: &str = "early_stop.patience";

/// Refuses it where it can act in no point. One that acts in some of them is a setting like others.
pub(super) fn check(spec: &Spec, plan: &Plan, errors: &mut Errors<'_>) {
    let is_ours = |path: &str| path == TABLE || path.starts_with("early_stop.");
    let varies = plan.columns.iter().any(|column| is_ours(&column.path));
    let to_be_chosen = plan.search.is_some() && (varies || plan.columns.iter().any(|column| column.path == "epochs"));
    if to_be_chosen || !(varies || at(&plan.base, TABLE).is_some_and(Value::is_object)) {
        return;
    }
    let mut useless = None;
    for point in 0..plan.points {
        let recipe = plan.point_value(point);
        let whole = |path: &str| at(&recipe, path).and_then(Value::as_u64);
        if let (Some(patience), Some(epochs)) = (whole(PATIENCE), whole("epochs")) {
            if patience < epochs {
                return;
            }
            useless.get_or_insert((patience, epochs));
        }
    }
    let Some((patience, epochs)) = useless else { return };
    let set = spec.base.iter().filter(|setting| is_ours(&setting.path));
    let set = set.map(|setting| (setting.path.as_str(), setting.key.as_str(), &setting.choice.span));
    let axes = spec.groups.iter().flat_map(|group| &group.axes).filter(|axis| is_ours(&axis.path));
    let all = set.chain(axes.map(|axis| (axis.path.as_str(), axis.path.as_str(), &axis.span)));
    let place = all.max_by_key(|(path, ..)| *path == PATIENCE);
    let what = format!("patience of {patience} cannot run out in {epochs} epochs: no trial would end early");
    let hint = match epochs {
        0 | 1 => "train longer, or leave `early_stop` out".to_owned(),
        _ => format!(
            "lower it, or leave `early_stop` out; `patience = {}` stops none before its last epoch, and restores the best state",
            epochs - 1
        ),
    };
    let key = place.map_or(PATIENCE, |(_, key, _)| key);
    errors.push(Reason::StopUseless, key, place.map(|(_, _, span)| span), what, hint);
}
