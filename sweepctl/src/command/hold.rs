//! `cordon`, `drain`, `quarantine`, `yield`, `undrain`: who keeps trials from slots and hosts.

use serde_json::json;

use crate::cli::{Format, Holding, Place};
use crate::client::Client;
use crate::fault::{Fault, count};
use crate::output::{Out, safe, span};

/// Does it and says what follows.
pub(crate) async fn run(out: &Out, client: &Client, command: &Holding) -> Result<(), Fault> {
    match command {
        Holding::Cordon(args) => hold(out, client, &args.target, ("cordon", "cordoned"), &args.reason, None).await,
        Holding::Drain(args) => hold(out, client, &args.target, ("drain", "drained"), &args.reason, None).await,
        Holding::Quarantine(args) => {
            hold(out, client, &args.target, ("quarantine", "quarantined"), &args.reason, None).await
        }
        Holding::Yield(args) => {
            hold(out, client, &args.target, ("yield", "given back"), &args.reason, Some(args.span)).await
        }
        Holding::Undrain(args) => {
            let (lifted, closed) = client.lift(&args.target).await?;
            if out.format == Format::Json {
                let closed = (!closed.is_empty()).then_some(closed);
                return out.json(&json!({ "target": args.target.to_string(), "lifted": lifted, "closed": closed }));
            }
            let target = args.target.to_string();
            out.print(match (lifted, closed.is_empty()) {
                (0, true) => format!("{} was open\n", safe(&target)),
                (_, true) => format!("{} is open again\n", safe(&target)),
                (0, false) => format!("nothing was held on {}; still closed: {}\n", safe(&target), safe(&closed)),
                (_, false) => format!("lifted on {}; still closed: {}\n", safe(&target), safe(&closed)),
            })?;
            if args.target.slot.is_some() && !closed.is_empty() {
                out.note(format!("if the whole host is held: sweepctl undrain {}", safe(&args.target.host)));
            }
            Ok(())
        }
    }
}

async fn hold(
    out: &Out,
    client: &Client,
    target: &Place,
    (kind, done): (&str, &str),
    reason: &str,
    time: Option<std::time::Duration>,
) -> Result<(), Fault> {
    let micros = time.map(|time| i64::try_from(time.as_micros()).unwrap_or(i64::MAX));
    let leaving =
        client.hold(target, crate::client::machines::Holding { kind, reason, span: micros, from: None }).await?;
    let target = target.to_string();
    if out.format == Format::Json {
        return out.json(&json!({ "target": target, "kind": kind, "leaving": leaving }));
    }
    let time = time.map(|time| format!(" for {}", span(time.as_secs_f64()))).unwrap_or_default();
    let leaves = match leaving {
        0 => String::new(),
        1 => "; 1 trial leaves".to_owned(),
        _ => format!("; {} leave", count(leaving, "trial")),
    };
    out.print(format!("{} is {done}{time}{leaves}\n", safe(&target)))?;
    out.note(format!("open it again: sweepctl undrain {}", safe(&target)));
    Ok(())
}
