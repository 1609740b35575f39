//! Devices out of a file, for tests and for trying things out: trials on them compute on the processors. The file is
//! read again at every look.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sweep_core::device::{DeviceSeen, Occupant, Process};

use super::{Probe, process};
use crate::launcher::scan;

/// What such a file holds.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(alias = "device")]
    devices: Vec<FakeDevice>,
}

/// A device that is not there.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FakeDevice {
    /// Its lasting id.
    pub id: String,
    /// What it is.
    pub model: String,
    /// Its memory.
    #[serde(deserialize_with = "bytes")]
    pub memory: u64,
    #[serde(default, deserialize_with = "bytes")]
    used: u64,
    utilisation: Option<u32>,
    /// Watts.
    power: Option<u32>,
    temperature: Option<i32>,
    ecc_errors: Option<u64>,
    mig: Option<bool>,
    fault: Option<String>,
    /// Every trial of ours on it holds so much.
    #[serde(default, deserialize_with = "bytes")]
    trial: u64,
    #[serde(default, alias = "process")]
    processes: Vec<FakeProcess>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FakeProcess {
    pid: u32,
    user: String,
    command: String,
    #[serde(default, deserialize_with = "bytes")]
    memory: u64,
}

/// `40 GB`, `512 MB`, or a number of bytes.
fn bytes<'de, D: serde::Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Number(u64),
        Text(String),
    }
    let wrong = |text: &str| {
        serde::de::Error::custom(format!("`{text}` is not an amount of memory: write e.g. \"40 GB\" or \"512 MB\""))
    };
    match Written::deserialize(from)? {
        Written::Number(number) => Ok(number),
        Written::Text(text) => sweep_core::device::memory(&text).ok_or_else(|| wrong(&text)),
    }
}

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FakeError {
    /// It cannot be read.
    #[error("cannot read the file of devices {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It does not hold devices.
    #[error("{} is not a list of devices: {what}", path.display())]
    Wrong {
        /// Which.
        path: PathBuf,
        /// Where and what.
        what: String,
    },
}

/// Reads such a file: JSON if it is called so, else TOML.
///
/// # Errors
/// When it cannot be read, or says something else.
pub fn read(path: &Path) -> Result<Vec<FakeDevice>, FakeError> {
    let wrong = |what: String| FakeError::Wrong { path: path.to_owned(), what };
    let text = fs::read_to_string(path).map_err(|source| FakeError::Read { path: path.to_owned(), source })?;
    let file: File = match path.extension().is_some_and(|extension| extension == "json") {
        true => serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?,
        false => toml::from_str(&text).map_err(|error| wrong(error.to_string()))?,
    };
    let repeated = file
        .devices
        .iter()
        .enumerate()
        .find(|(place, device)| file.devices[..*place].iter().any(|other| other.id == device.id));
    match repeated {
        Some((_, device)) => Err(wrong(format!("two devices have the id `{}`", device.id))),
        None if file.devices.is_empty() => Err(wrong("it has no device".to_owned())),
        None => Ok(file.devices),
    }
}

/// Reads the file at every look. While it cannot be read, nothing changes.
#[derive(Debug)]
pub struct FakeProbe {
    path: Option<PathBuf>,
    /// Where attempts are.
    attempts: PathBuf,
    last: Vec<DeviceSeen>,
    said: bool,
}

impl FakeProbe {
    /// Of this file; trials have their folders in `attempts`.
    pub fn new(path: PathBuf, attempts: PathBuf) -> Self {
        Self { path: Some(path), attempts, last: Vec::new(), said: false }
    }

    /// Of no devices at all.
    pub fn nothing() -> Self {
        Self { path: None, attempts: PathBuf::new(), last: Vec::new(), said: false }
    }
}

impl Probe for FakeProbe {
    fn look(&mut self) -> Vec<DeviceSeen> {
        let Some(path) = &self.path else { return Vec::new() };
        match read(path) {
            Ok(devices) => {
                self.said = false;
                self.last = devices.iter().map(seen).collect();
                if devices.iter().any(|device| device.trial > 0) {
                    self.trials(&devices);
                }
            }
            Err(error) if !self.said => {
                self.said = true;
                tracing::warn!(error = &error as &dyn std::error::Error, "the devices stay as they were");
            }
            Err(_) => {}
        }
        self.last.clone()
    }
}

impl FakeProbe {
    /// The trials that run, each on the device of its slot.
    fn trials(&mut self, devices: &[FakeDevice]) {
        for found in scan::all(&self.attempts).into_values() {
            let (Some(slot), Some(pid)) = (found.slot, found.pids.first()) else { continue };
            let place = slot as usize % devices.len();
            let memory = devices[place].trial;
            let who = process::occupant(pid.as_raw_pid().unsigned_abs(), memory);
            self.last[place].used += memory;
            self.last[place].processes.push(Process { who, ours: true });
        }
    }
}

fn seen(device: &FakeDevice) -> DeviceSeen {
    let process = |process: &FakeProcess| {
        let FakeProcess { pid, user, command, memory } = process.clone();
        Process { who: Occupant { pid, user, command, memory }, ours: false }
    };
    DeviceSeen {
        id: device.id.clone(),
        used: device.used.max(device.processes.iter().map(|process| process.memory).sum()),
        utilisation: device.utilisation,
        power: device.power.map(|watts| watts.saturating_mul(1000)),
        temperature: device.temperature,
        ecc_errors: device.ecc_errors,
        mig: device.mig,
        processes: device.processes.iter().map(process).collect(),
        fault: device.fault.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_read_from_toml_and_json_and_a_wrong_file_says_where() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let toml = "[[device]]\nid = \"GPU-0\"\nmodel = \"A100\"\nmemory = \"40 GB\"\npower = 250\n\
                    [[device.process]]\npid = 1\nuser = \"alice\"\ncommand = \"python train.py\"\nmemory = \"9.2 GB\"\n";
        fs::write(path("a.toml"), toml).unwrap();
        let mut probe = FakeProbe::new(path("a.toml"), path("attempts"));
        let [seen] = &probe.look()[..] else { panic!() };
        assert_eq!((seen.used, seen.power), (9_200_000_000, Some(250_000)));
        assert_eq!(seen.processes[0].who.to_string(), "alice, python train.py, 9.2 GB");
        fs::write(path("a.toml"), "[[device]]\nid = 3\n").unwrap();
        assert_eq!(probe.look().len(), 1, "nothing changes");
        let error = read(&path("a.toml")).unwrap_err().to_string();
        assert!(error.contains("a.toml") && error.contains("line 2"), "{error}");
        fs::write(path("b.json"), r#"{"devices": [{"id": "G", "model": "H200", "memory": 7}]}"#).unwrap();
        assert_eq!(read(&path("b.json")).unwrap()[0].memory, 7);
        fs::write(path("c.toml"), toml.replace("40 GB", "40 bananas")).unwrap();
        let error = read(&path("c.toml")).unwrap_err().to_string();
        assert!(error.contains("`40 bananas` is not an amount of memory"), "{error}");
        fs::write(path("d.toml"), format!("{toml}{toml}")).unwrap();
        assert!(read(&path("d.toml")).unwrap_err().to_string().contains("two devices have the id `GPU-0`"));
    }
}
