//! Did you mean: the nearest right name for a wrong one.

/// Other names that people know from elsewhere.
const ALIASES: &[(&str, &str)] = &[
    ("learning_rate", "lr"),
    ("learning-rate", "lr"),
    ("bs", "batch_size"),
    ("batch", "batch_size"),
    ("arch", "model"),
    ("network", "model"),
    ("data_set", "dataset"),
    ("augment", "augmentation"),
    ("num_epochs", "epochs"),
    ("max_epochs", "epochs"),
    ("n_seeds", "seeds"),
    ("wd", "weight_decay"),
    ("retries", "max_retries"),
    ("parallel", "max_parallel"),
    ("grids", "grid"),
    ("axes", "grid"),
    ("image_width", "image_size"),
    ("resolution", "image_size"),
    ("optim", "optimizer"),
    ("sgd", "optimizer"),
    ("adam", "optimizer"),
    ("flip", "augmentation"),
    ("crop", "augmentation"),
    ("eta", "reduction_factor"),
    ("grace", "min_epochs"),
    ("grace_period", "min_epochs"),
    ("min_resource", "min_epochs"),
    ("n_startup_trials", "min_configurations"),
    ("n_warmup_steps", "warmup_epochs"),
    ("pruner", "stop"),
    ("scheduler", "stop"),
    ("max_time", "max_seconds"),
    ("sha", "halving"),
];

/// The nearest of `names`, if one is near. A name whose last segment is what was written counts as
/// near: `momentum` finds `optimizer.sgd.momentum`.
pub(super) fn nearest<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A mistyped megabyte is not worth comparing.
    if wrong.len() > 100 {
        return None;
    }
    let wrong = wrong.to_ascii_lowercase();
    let alias = (ALIASES.iter()).find_map(|(from, to)| (*from == wrong).then_some(*to));
    let last = |path: &str| path.rsplit('.').next().map(str::to_owned);
    (names.into_iter())
        .filter_map(|name| {
            let tail = last(name).unwrap_or_default();
            let tail_of_wrong = last(&wrong).unwrap_or_default();
            if alias == Some(name) || alias == Some(tail.as_str()) {
                return Some((0, name.len(), name));
            }
            let near = |a: &str, b: &str| {
                let distance = strsim::damerau_levenshtein(a, b);
                (distance <= (a.chars().count() / 3).max(1)).then_some(distance)
            };
            // Another place is worse than a slip of the finger, better than nothing.
            let elsewhere = near(&tail_of_wrong, &tail).map(|distance| distance + 1);
            let distance = near(&wrong, name).into_iter().chain(elsewhere).min()?;
            Some((distance, name.len(), name))
        })
        .min()
        .map(|(_, _, name)| name)
}

/// `did you mean` with the nearest name, else the whole list.
pub(super) fn hint<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str> + Clone) -> String {
    match nearest(wrong, names.clone()) {
        Some(name) => format!("did you mean `{name}`?"),
        None => {
            let all: Vec<_> = names.into_iter().collect();
            if all.is_empty() { String::new() } else { format!("possible: {}", all.join(", ")) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_also_by_its_last_segment() {
        let names = ["lr", "batch_size", "optimizer.sgd.momentum", "epochs", "dropout"];
        for (wrong, right) in [
            ("learning_rate", Some("lr")),
            ("batchsize", Some("batch_size")),
            ("momentum", Some("optimizer.sgd.momentum")),
            ("optimizer.momentum", Some("optimizer.sgd.momentum")),
            ("epocks", Some("epochs")),
            ("zzzzzz", None),
            ("データ", None),
            ("sgd", None),
        ] {
            assert_eq!(nearest(wrong, names), right, "{wrong}");
        }
    }
}
