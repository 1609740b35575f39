//! The meters of this host and what each attempt took since it was last asked: processors with their memory for every
//! slot, a GPU for the slots that are on it, and memory of the GPU. The clock is here; the shares are [`Meter`]'s.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use nvml_wrapper::Nvml;
use sweep_core::attempt::{Body, EpochMetrics, Line};
use sweep_core::cost::Energy;
use sweep_core::id::Lease;
use sweep_core::num::Num;

use super::rapl::Rapl;
use super::{Counter, Drawn, Meter};
use crate::devices::Devices;
use crate::hardware::Slot;

/// Seconds between two looks that nothing else asks for: a processor's counter starts again after minutes.
const LOOK: f64 = 1.0;

/// Which part of a host a meter is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The processors and their memory; trials of all slots use them.
    Processors,
    /// A GPU: the slots on it.
    Gpu,
}

struct One {
    part: Part,
    /// The slots on it; `None` for all.
    slots: Option<Vec<u32>>,
    meter: Meter,
    /// What each attempt was told of already.
    told: BTreeMap<Lease, Drawn>,
}

/// All meters of a host; none where nothing is measured.
#[derive(Default)]
pub struct Meters {
    all: Vec<One>,
    /// What is seen on devices.
    devices: Option<Devices>,
    began: Option<Instant>,
    looked: f64,
}

impl Meters {
    /// The counters of this host, for its slots: those below `powercap` and of its GPUs. What cannot be read is left out, with a word in the log.
    pub fn of_host(powercap: &Path, slots: &[Slot]) -> Self {
        let mut meters = Self::default();
        match Rapl::open(powercap) {
            Ok(Some(rapl)) => meters.add(Part::Processors, None, Box::new(rapl)),
            Ok(None) => {}
            Err(error) => tracing::info!(%error, "the energy of the processors is not measured: RAPL may not be read"),
        }
        for (uuid, slots) in by_gpu(slots) {
            match Gpu::open(&uuid) {
                Ok(gpu) => meters.add(Part::Gpu, Some(slots), Box::new(gpu)),
                Err(error) => tracing::info!(gpu = uuid, %error, "the energy of this GPU is not measured"),
            }
        }
        if meters.all.is_empty() {
            tracing::info!("energy is not measured: this host offers neither RAPL nor a GPU's counter");
        }
        meters
    }

    /// With what is seen on devices, memory of trials is measured, too.
    #[must_use]
    pub fn with(mut self, devices: Option<Devices>) -> Self {
        self.devices = devices;
        self
    }

    /// Adds a counter for some slots, or for all.
    pub fn add(&mut self, part: Part, slots: Option<Vec<u32>>, counter: Box<dyn Counter>) {
        self.all.push(One { part, slots, meter: Meter::new(counter), told: BTreeMap::new() });
    }

    fn now(&mut self) -> f64 {
        self.began.get_or_insert_with(Instant::now).elapsed().as_secs_f64()
    }

    /// Reads the counters, now and then.
    pub fn look(&mut self) {
        let now = self.now();
        if now - self.looked >= LOOK {
            self.looked = now;
            self.all.iter_mut().for_each(|one| one.meter.look(now));
        }
    }

    /// An attempt starts, on a slot if that is known.
    pub fn start(&mut self, lease: Lease, slot: Option<u32>) {
        let now = self.now();
        for one in &mut self.all {
            if one.slots.as_ref().is_none_or(|slots| slot.is_some_and(|slot| slots.contains(&slot))) {
                one.meter.start(lease, now);
            }
        }
    }

    /// An attempt is over.
    pub fn stop(&mut self, lease: Lease) {
        let now = self.now();
        for one in &mut self.all {
            one.meter.stop(lease, now);
            one.told.remove(&lease);
        }
        if let Some(devices) = &self.devices {
            devices.forget(lease);
        }
    }

    /// Writes into an epoch what its attempt took since its epoch before, or since its start.
    pub fn stamp(&mut self, lease: Lease, metrics: &mut EpochMetrics) {
        if let Some(cost) = &mut metrics.cost {
            cost.energy = self.since(lease);
            cost.device_memory = self.devices.as_ref().and_then(|devices| devices.peak(lease));
        }
    }

    /// [`Meters::stamp`] for every epoch among some lines.
    pub fn stamp_all(&mut self, lease: Lease, lines: &mut [Line]) {
        for line in lines {
            if let Body::Epoch(metrics) = &mut line.body {
                self.stamp(lease, metrics);
            }
        }
    }

    fn since(&mut self, lease: Lease) -> Option<Energy> {
        let now = self.now();
        let mut energy = Energy::default();
        let (mut idle, mut any) = (Some(0.0), false);
        for one in &mut self.all {
            one.meter.look(now);
            let Some(whole) = one.meter.so_far(lease) else { continue };
            let before = one.told.insert(lease, whole).unwrap_or_default();
            let joules = Some(Num(whole.joules - before.joules));
            match one.part {
                Part::Processors => energy.cpu = joules,
                Part::Gpu => energy.gpu = joules,
            }
            let anyway = whole.idle.map(|idle| idle - before.idle.unwrap_or(0.0));
            idle = idle.zip(anyway).map(|(sum, more)| sum + more);
            any = true;
        }
        energy.idle = idle.map(Num);
        any.then_some(energy)
    }
}

/// The slots of each GPU.
fn by_gpu(slots: &[Slot]) -> BTreeMap<String, Vec<u32>> {
    let mut out: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for (number, slot) in (0..).zip(slots) {
        if let Some(gpu) = &slot.gpu {
            out.entry(gpu.clone()).or_default().push(number);
        }
    }
    out
}

/// The counter of a GPU, millijoules since the driver was loaded (Volta and later).
struct Gpu {
    nvml: Nvml,
    uuid: String,
}

impl Gpu {
    fn open(uuid: &str) -> Result<Self, nvml_wrapper::error::NvmlError> {
        let nvml = Nvml::init()?;
        nvml.device_by_uuid(uuid)?.total_energy_consumption()?;
        Ok(Self { nvml, uuid: uuid.to_owned() })
    }
}

impl Counter for Gpu {
    fn joules(&mut self) -> Option<f64> {
        let device = self.nvml.device_by_uuid(self.uuid.as_str()).ok()?;
        device.total_energy_consumption().ok().map(|millijoules| millijoules as f64 / 1e3)
    }
}

#[cfg(test)]
#[path = "../meters_tests.rs"]
mod tests;
