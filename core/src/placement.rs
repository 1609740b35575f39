//! Where the trials of a sweep may run: what its file asks of a host and a device, and whether a slot has it. Which of
//! the slots that fit is taken is decided in `schedule`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::device::gigabytes;
use crate::nearest::nearest;
use crate::state::agent::Agent;

/// What a sweep asks of where its trials run. Nothing by default.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Placement {
    /// Models of GPUs, any of them, separated by `|`: parts of their names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu: Option<String>,
    /// Names of hosts, any of them, separated by `|`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Labels of the host, all of them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Memory of the device that a trial needs, bytes. The trials on one device never ask for more than it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// Memory of the host that a trial needs, bytes. The trials on one host never ask for more than it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ram: Option<u64>,
    /// Cores that a trial needs. The trials on one host never ask for more than it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cores: Option<u32>,
    /// Fill one host before the next, in place of spreading over them.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub pack: bool,
}

/// One thing that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand<'a> {
    /// [`Placement::host`].
    Host(&'a str),
    /// One of [`Placement::labels`].
    Label(&'a str, &'a str),
    /// [`Placement::gpu`].
    Gpu(&'a str),
    /// [`Placement::memory`].
    Memory(u64),
    /// [`Placement::ram`].
    Ram(u64),
    /// [`Placement::cores`].
    Cores(u32),
}

impl Placement {
    /// Anywhere will do.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Everything that is asked for.
    pub fn demands(&self) -> impl Iterator<Item = Demand<'_>> {
        let labels = self.labels.iter().map(|(key, value)| Demand::Label(key, value));
        let host = self.host.as_deref().map(Demand::Host).into_iter();
        let gpu = self.gpu.as_deref().map(Demand::Gpu).into_iter();
        let rest = [self.memory.map(Demand::Memory), self.ram.map(Demand::Ram), self.cores.map(Demand::Cores)];
        host.chain(labels).chain(gpu).chain(rest.into_iter().flatten())
    }

    /// Whether a trial fits on a slot, were it empty and alone.
    pub fn fits(&self, agent: &Agent, slot: u32) -> bool {
        self.demands().all(|demand| demand.is_met(agent, slot))
    }

    /// Whether a trial fits on some slot of an agent, were it empty and alone.
    pub fn fits_on(&self, agent: &Agent) -> bool {
        let slots = agent.slots.len() as u32;
        slots > 0 && (self.is_default() || (0..slots).any(|slot| self.fits(agent, slot)))
    }

    /// Why none of these agents could ever run it, if that is so.
    pub fn nowhere(&self, agents: &[&Agent]) -> Option<Nowhere> {
        if self.is_default() || agents.iter().any(|agent| self.fits_on(agent)) {
            return None;
        }
        let met = |demand: &Demand<'_>| {
            let on = |agent: &&Agent| (0..agent.slots.len() as u32).any(|slot| demand.is_met(agent, slot));
            agents.iter().any(on)
        };
        let missing = self.demands().find(|demand| !met(demand));
        let Some(missing) = missing else {
            return Some(Nowhere { what: "no host has all that its placement asks for at once".to_owned() });
        };
        let known: BTreeSet<String> = agents.iter().flat_map(|agent| missing.offered(agent)).collect();
        let near = nearest(&missing.value(), known.iter().map(String::as_str));
        let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        let known: Vec<String> = known.into_iter().collect();
        let known = if known.is_empty() { String::new() } else { format!("; there is: {}", known.join(", ")) };
        Some(Nowhere { what: format!("{missing}{known}{near}") })
    }
}

/// Why a placement fits nowhere, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nowhere {
    what: String,
}

impl fmt::Display for Nowhere {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.what)
    }
}

impl Demand<'_> {
    fn is_met(&self, agent: &Agent, slot: u32) -> bool {
        let offer = &agent.facts.offer;
        match self {
            Self::Host(names) => names.split('|').any(|name| name.trim() == agent.facts.host),
            Self::Label(key, value) => offer.labels.get(*key).is_some_and(|found| found == value),
            Self::Gpu(models) => {
                let model = offer.device_of(slot).map(|device| plain(&device.model));
                model.is_some_and(|model| models.split('|').any(|part| model.contains(&plain(part))))
            }
            Self::Memory(bytes) => offer.device_of(slot).is_some_and(|device| device.memory >= *bytes),
            Self::Ram(bytes) => offer.memory >= *bytes,
            Self::Cores(cores) => offer.cores >= *cores,
        }
    }

    /// What an agent has of the kind.
    fn offered(&self, agent: &Agent) -> Vec<String> {
        let offer = &agent.facts.offer;
        match self {
            Self::Host(_) => vec![agent.facts.host.clone()],
            Self::Label(key, _) => offer.labels.get(*key).into_iter().cloned().collect(),
            Self::Gpu(_) => offer.devices.iter().map(|device| device.model.clone()).collect(),
            Self::Memory(_) => offer.devices.iter().map(|device| gigabytes(device.memory)).collect(),
            Self::Ram(_) => vec![gigabytes(offer.memory)],
            Self::Cores(_) => vec![offer.cores.to_string()],
        }
    }

    fn value(&self) -> String {
        match self {
            Self::Host(value) | Self::Gpu(value) | Self::Label(_, value) => (*value).to_owned(),
            Self::Memory(_) | Self::Ram(_) | Self::Cores(_) => String::new(),
        }
    }
}

impl fmt::Display for Demand<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(names) => write!(out, "no host is called {names}"),
            Self::Label(key, value) => write!(out, "no host has label {key}={value}"),
            Self::Gpu(models) => write!(out, "no device has label gpu={models}"),
            Self::Memory(bytes) => write!(out, "no device has {} of memory", gigabytes(*bytes)),
            Self::Ram(bytes) => write!(out, "no host has {} of memory", gigabytes(*bytes)),
            Self::Cores(cores) => write!(out, "no host has {cores} cores"),
        }
    }
}

/// `NVIDIA A100-SXM4-80GB` holds `a100`.
fn plain(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase()).collect()
}
