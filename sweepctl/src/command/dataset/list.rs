//! `dataset list`: which data sets agents offer; copies that differ stand on lines of their own.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use crate::cli::Format;
use crate::client::Client;
use crate::fault::Fault;
use crate::output::{Cell, Out, Table, csv_row, safe};
use crate::view::{AgentView, DatasetView};

/// One copy of a data set, and who has it.
struct Offer<'a> {
    set: &'a DatasetView,
    hosts: Vec<&'a str>,
}

/// Asks the coordinator what its agents have.
pub(crate) async fn run(out: &Out, client: &Client) -> Result<(), Fault> {
    let agents = client.agents().await?;
    let offers = offers(&agents);
    match out.format {
        Format::Json => {
            let one = |offer: &Offer<'_>| {
                let mut value = json!(offer.set);
                value["agents"] = json!(offer.hosts);
                value
            };
            out.json(&json!({"datasets": offers.iter().map(one).collect::<Vec<_>>()}))
        }
        Format::Csv => out.write(|to| {
            csv_row(to, ["name", "layout", "classes", "train", "val", "fingerprint", "agents", "problem"])?;
            offers.iter().try_for_each(|offer| csv_row(to, offer.fields()))
        }),
        Format::Table => table(out, &offers),
    }
}

/// Equal copies together; agents that are gone offer nothing.
fn offers(agents: &[AgentView]) -> Vec<Offer<'_>> {
    let mut offers: BTreeMap<_, Offer<'_>> = BTreeMap::new();
    for agent in agents.iter().filter(|agent| agent.status != "gone") {
        for set in &agent.data {
            let key = (&set.name, &set.fingerprint, &set.problem, set.classes, set.train_images, set.val_images);
            offers.entry(key).or_insert(Offer { set, hosts: Vec::new() }).hosts.push(&agent.host);
        }
    }
    offers.into_values().collect()
}

impl Offer<'_> {
    fn fields(&self) -> [String; 8] {
        let set = self.set;
        [
            set.name.clone(),
            set.layout.clone().unwrap_or_default(),
            set.classes.to_string(),
            set.train_images.to_string(),
            set.val_images.to_string(),
            set.fingerprint.clone().unwrap_or_default(),
            self.hosts.join(" "),
            set.problem.clone().unwrap_or_default(),
        ]
    }
}

fn table(out: &Out, offers: &[Offer<'_>]) -> Result<(), Fault> {
    if offers.is_empty() {
        out.note("no agent has a data set; next: sweepctl dataset add, sweepctl up --data DIR");
        return Ok(());
    }
    let mut table = Table::new(["name", "layout", "classes", "train", "val", "fingerprint", "agents"]);
    for offer in offers {
        let [name, layout, classes, train, val, fingerprint, hosts, _] = offer.fields();
        let numbers = [classes, train, val].map(Cell::number);
        let row = [Cell::new(name), Cell::new(layout)].into_iter().chain(numbers);
        table.row(row.chain([Cell::new(fingerprint), Cell::new(hosts)]));
    }
    out.table(&table)?;
    for Offer { set, hosts } in offers {
        if let Some(problem) = &set.problem {
            out.warn(format!("{} on {} cannot be used: {}", safe(&set.name), safe(&hosts.join(" ")), safe(problem)));
        }
    }
    let mut seen = BTreeSet::new();
    let twice: BTreeSet<&str> = (offers.iter().filter(|offer| offer.set.problem.is_none()))
        .map(|offer| offer.set.name.as_str())
        .filter(|name| !seen.insert(*name))
        .collect();
    for name in twice {
        out.warn(format!("the copies of {} differ; a sweep trains on the one that its first trial got", safe(name)));
    }
    Ok(())
}
