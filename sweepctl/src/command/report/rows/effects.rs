//! What factors do, as rows: main effects, then interactions, then shares of the variance. Which of them a row is stands in `kind`.

use sweep_core::report::analysis::Study;

use super::{COMPARED, Kind, Rowed, Value, compared, count, named};

const BEFORE: [(&str, Kind); 14] = [
    ("kind", Kind::Text),
    ("factor", Kind::Text),
    ("level", Kind::Text),
    ("reference", Kind::Text),
    ("other_factor", Kind::Text),
    ("other_level", Kind::Text),
    ("points", Kind::Count),
    ("pairs", Kind::Count),
    ("accuracy_mean", Kind::Number),
    ("accuracy_std", Kind::Number),
    ("accuracy_low", Kind::Number),
    ("accuracy_high", Kind::Number),
    ("reference_mean", Kind::Number),
    ("share", Kind::Number),
];

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// A row of each.
pub(super) fn effects(study: &Study) -> Rowed {
    let mut rowed = Rowed { columns: named(&[&BEFORE[..], &COMPARED[..]].concat()), rows: Vec::new() };
    let nothing = || Value::None;
    for factor in &study.analysis.factors {
        for level in &factor.levels {
            let (accuracy, reference) = (level.accuracy, level.reference_accuracy.mean);
            let before = [
                text("main_effect"),
                text(&factor.factor),
                text(&level.level),
                text(&factor.reference),
                nothing(),
                nothing(),
                count(level.points),
                count(level.pairs),
                accuracy.mean.into(),
                accuracy.sd.into(),
                accuracy.low.into(),
                accuracy.high.into(),
                reference.into(),
                nothing(),
            ];
            rowed.rows.push(before.into_iter().chain(compared(level.difference.as_ref())).collect());
        }
    }
    for pair in &study.analysis.interactions {
        for contrast in &pair.contrasts {
            let mut before: [Value; 14] = std::array::from_fn(|_| Value::None);
            (before[0], before[1], before[2]) = (text("interaction"), text(&pair.factors.0), text(&contrast.row));
            (before[4], before[5]) = (text(&pair.factors.1), text(&contrast.column));
            before[7] = count(contrast.pairs);
            rowed.rows.push(before.into_iter().chain(compared(Some(&contrast.difference))).collect());
        }
    }
    for share in &study.analysis.importance.shares {
        let mut before: [Value; 14] = std::array::from_fn(|_| Value::None);
        before[0] = text("importance");
        before[1] = share.factors.first().map_or(Value::None, |name| text(name));
        before[4] = share.factors.get(1).map_or(Value::None, |name| text(name));
        before[13] = Value::Number(share.share.0);
        rowed.rows.push(before.into_iter().chain(compared(None)).collect());
    }
    rowed
}
