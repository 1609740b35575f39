//! `audit`: what the journal proves about a sweep, in words.

use serde_json::json;

use crate::cli::{Format, OneSweep};
use crate::client::Client;
use crate::fault::{Fault, count};
use crate::output::{Out, safe};
use crate::view::report::AuditView;

/// Asks the coordinator to check its journal, and explains what was found.
pub(crate) async fn run(out: &Out, client: &Client, args: &OneSweep) -> Result<(), Fault> {
    let audit = client.audit(&args.sweep).await?;
    let legal = audit.violations.is_empty();
    let exactly_once = legal && audit.completed + audit.reused + audit.stopped == audit.planned;
    if out.format == Format::Json {
        let mut value = json!(audit);
        value["legal"] = legal.into();
        value["exactly_once"] = exactly_once.into();
        out.json(&value)?;
    } else {
        out.print(explain(&audit))?;
    }
    if !legal {
        return Err(Fault::Illegal { violations: audit.violations.len() });
    }
    if !exactly_once {
        let AuditView { failed, cancelled, open, .. } = audit;
        return Err(Fault::Incomplete { failed, cancelled, open });
    }
    Ok(())
}

fn explain(audit: &AuditView) -> String {
    let mut parts = vec![format!("{} planned", audit.planned), format!("{} completed exactly once", audit.completed)];
    if audit.reused > 0 {
        parts.push(format!("{} with the result of an earlier sweep", audit.reused));
    }
    if audit.stopped > 0 {
        let by: Vec<&str> = audit.stopped_by.iter().map(String::as_str).collect();
        parts.push(format!("{} stopped early by {}", audit.stopped, safe(&by.join(", "))));
    }
    for (number, what) in [(audit.failed, "failed"), (audit.cancelled, "cancelled"), (audit.open, "not over yet")] {
        if number > 0 {
            parts.push(format!("{number} {what}"));
        }
    }
    let rules = |names: &[&str]| names.iter().any(|name| audit.violations.iter().any(|found| found.rule == *name));
    if !rules(&["lease_overlap", "slot_shared", "late_effect"]) {
        parts.push("no lease overlapped".to_owned());
    }
    if audit.completed + audit.reused + audit.stopped == audit.planned
        && !rules(&["plan_incomplete", "reports_missing", "epoch_gap"])
    {
        parts.push("nothing missing".to_owned());
    }
    let mut text = format!("{}\n", parts.join(", "));
    let (attempts, epochs) = (count(audit.attempts, "attempt"), count(audit.epochs, "epoch report"));
    text += &format!(
        "read {} of the journal: {attempts}, {epochs}, {}\n",
        count(audit.events, "event"),
        count(audit.checkpoints, "checkpoint"),
    );
    text += "checked: every point with every seed is planned once; attempts count 1, 2, 3, ...; a trial has one live\n\
             lease and a slot one trial; nothing is accepted under a lease that is over; epoch reports have no gap;\n\
             a checkpoint never comes before its epochs; an attempt goes on from the last checkpoint\n\
             (from the one before only if that is gone); a trial ends once;\n\
             a result that was not trained here was trained to its end with the same recipe, code and data\n";
    for violation in &audit.violations {
        text += &format!("BROKEN at event {}: {}: {}\n", violation.event, safe(&violation.rule), safe(&violation.what));
    }
    text
}
