//! What this host has to offer: slots. Up to four per GPU where NVML finds any, given out by what trials need of it, else one per
//! processor core. Memory and power of a GPU are looked at elsewhere, when there is something to look at.

use std::fs;
use std::path::Path;
use std::thread::available_parallelism;

use nvml_wrapper::Nvml;
use nvml_wrapper::error::NvmlError;
use sweep_core::device::DeviceFacts;

use crate::devices::fake::FakeDevice;

/// Memory that a trainer on a processor is assumed to want, bytes.
const MEMORY_PER_SLOT: u64 = 2 << 30;

/// A place for one trainer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// What people see, e.g. `cpu (1 thread)` or `NVIDIA H200`.
    pub label: String,
    /// The GPU's lasting id, if it is one.
    pub gpu: Option<String>,
    /// The lasting id of the device that it is on, pretend ones included, if it is looked at.
    pub device_id: Option<String>,
}

impl Slot {
    /// The device as an order names it.
    pub fn device(&self) -> &'static str {
        match self.gpu {
            // The only visible one.
            Some(_) => "cuda:0",
            None => "cpu",
        }
    }

    /// What CUDA is allowed to see.
    pub fn visible(&self) -> &str {
        self.gpu.as_deref().unwrap_or("")
    }
}

/// The slots of this host and the threads each trainer may use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hardware {
    /// At least one.
    pub slots: Vec<Slot>,
    /// At least 1.
    pub threads: u32,
    /// The devices that the slots are on, processors left out.
    pub devices: Vec<DeviceFacts>,
    /// Processor cores.
    pub cores: u32,
    /// Memory of the host, bytes; 0 if it cannot be told.
    pub memory: u64,
}

/// How many trainers there may be at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// So many in all, wherever there is a slot; GPUs are not given out by parts.
    pub slots: Option<u32>,
    /// At most so many on a GPU, as far as measured memory and speed allow.
    pub share: Option<u32>,
    /// No more than so many of the host's cores; the others are left to other people.
    pub cores: Option<u32>,
    /// No more than so much of the host's memory, bytes.
    pub memory: Option<u64>,
}

/// Most trials that share a GPU unless people say otherwise.
const SHARE: u32 = 4;

/// Looks.
///
/// Unless people say otherwise a host with GPUs has up to four slots per GPU, which are given out by what trials need, and no more than cores; another has one per core, but at most one per
/// 2 GiB of memory: small networks gain nothing from threads and everything from more trials side
/// by side, and a trial with one thread gives the same numbers on every host, however many cores
/// it has. Threads are divided: two trainers with all threads each are 8 to 64 times slower.
///
/// # Errors
/// When there is a driver that does not answer, as between its upgrade and the next start of the host: nobody wants trials for GPUs on
/// the processors then.
pub fn look(wanted: Wanted) -> Result<Hardware, DriverError> {
    Ok(arrange(wanted, cores(), memory(), &gpus(Nvml::init().map_err(Some), has_driver())?))
}

/// The kernel's part of the driver is loaded.
pub fn has_driver() -> bool {
    Path::new("/proc/driver/nvidia/version").exists()
}

/// There are GPUs, and nobody tells about them.
#[derive(Debug, thiserror::Error)]
#[error("there is an NVIDIA driver, but NVML does not answer; `sweep-agent doctor` says what to do")]
pub struct DriverError(#[source] Option<NvmlError>);

/// The slots of devices out of a file: trials on them compute on the processors.
pub fn pretend(wanted: Wanted, devices: &[FakeDevice]) -> Hardware {
    let gpu = |device: &FakeDevice| (device.model.clone(), device.id.clone(), device.memory);
    let gpus: Vec<_> = devices.iter().map(gpu).collect();
    let mut hardware = arrange(wanted, cores(), memory(), &gpus);
    hardware.slots.iter_mut().for_each(|slot| slot.gpu = None);
    hardware
}

fn cores() -> u32 {
    available_parallelism().map_or(1, |cores| cores.get() as u32)
}

/// `gpus`: names, ids, bytes of memory.
fn arrange(wanted: Wanted, cores: u32, memory: u64, gpus: &[(String, String, u64)]) -> Hardware {
    let cores = wanted.cores.map_or(cores, |most| most.min(cores)).max(1);
    let memory = wanted.memory.map_or(memory, |most| most.min(memory));
    let by_memory = u32::try_from(memory / MEMORY_PER_SLOT).unwrap_or(u32::MAX);
    let share = match gpus.len() as u32 {
        0 => 1,
        gpus => wanted.share.unwrap_or(SHARE.min(cores / gpus)).max(1),
    };
    let default = match gpus.len() as u32 {
        0 => cores.min(by_memory).max(1),
        gpus => gpus * share,
    };
    let count = wanted.slots.unwrap_or(default).max(1);
    let packed = wanted.slots.is_none() && share > 1;
    let threads = (cores / count).max(1);
    let slot = |index: u32| match gpus.get(index as usize % gpus.len().max(1)) {
        Some((name, uuid, _)) => Slot { label: name.clone(), gpu: Some(uuid.clone()), device_id: Some(uuid.clone()) },
        None => {
            let label = format!("cpu ({threads} thread{})", if threads == 1 { "" } else { "s" });
            Slot { label, gpu: None, device_id: None }
        }
    };
    let device = |(place, (model, id, memory)): (u32, &(String, String, u64))| DeviceFacts {
        id: id.clone(),
        model: model.clone(),
        memory: *memory,
        slots: (place..count).step_by(gpus.len()).collect(),
        packed,
    };
    let devices = (0u32..count).zip(gpus).map(device).collect();
    let known = if memory == u64::MAX { 0 } else { memory };
    Hardware { slots: (0..count).map(slot).collect(), threads, devices, cores, memory: known }
}

/// Names, ids and memory of the GPUs. A host without a driver has none.
fn gpus(nvml: Result<Nvml, Option<NvmlError>>, has_driver: bool) -> Result<Vec<(String, String, u64)>, DriverError> {
    let nvml = match nvml {
        Ok(nvml) => nvml,
        Err(error) if has_driver => return Err(DriverError(error)),
        Err(_) => {
            tracing::debug!("no NVIDIA driver, using the processor");
            return Ok(Vec::new());
        }
    };
    let count = nvml.device_count().unwrap_or(0);
    let gpu = |index| {
        let device = nvml.device_by_index(index)?;
        let memory = device.memory_info().map_or(0, |memory| memory.total);
        Ok::<_, nvml_wrapper::error::NvmlError>((device.name()?, device.uuid()?, memory))
    };
    let found = (0..count).filter_map(|index| {
        gpu(index).inspect_err(|error| tracing::warn!(index, %error, "a GPU does not answer, left out")).ok()
    });
    Ok(found.collect())
}

/// Memory of the host, bytes.
fn memory() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = text.lines().find_map(|line| {
        let kib = line.strip_prefix("MemTotal:")?.trim().strip_suffix("kB")?;
        kib.trim().parse::<u64>().ok()
    });
    total.map_or(u64::MAX, |kib| kib.saturating_mul(1024))
}

/// The host's name.
pub fn host_name() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .ok()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_that_does_not_answer_makes_no_host_without_gpus() {
        assert_eq!(gpus(Err(None), false).unwrap(), [], "there is none");
        let error = gpus(Err(Some(NvmlError::LibRmVersionMismatch)), true).unwrap_err().to_string();
        assert!(error.contains("NVML does not answer") && error.contains("sweep-agent doctor"), "{error}");
    }

    #[test]
    fn slots_and_threads_follow_the_host() {
        let gib = 1 << 30;
        let check = |wanted, cores, memory, gpus: usize, slots: usize, threads, label: &str| {
            let gpus: Vec<_> = (0..gpus).map(|gpu| (format!("GPU {gpu}"), format!("uuid-{gpu}"), 7)).collect();
            let found = arrange(wanted, cores, memory, &gpus);
            let packed = wanted.slots.is_none() && slots > gpus.len();
            assert!(found.devices.iter().all(|device| device.packed == packed));
            assert_eq!((found.slots.len(), found.threads), (slots, threads));
            let on = |slot: usize| {
                let device = found.devices.iter().find(|device| device.slots.contains(&(slot as u32)));
                device.map(|device| device.id.clone())
            };
            (0..slots).for_each(|slot| assert_eq!(on(slot), found.slots[slot].device_id));
            assert_eq!(found.slots[slots - 1].label, label);
        };
        let (all, none) = (|slots| Wanted { slots: Some(slots), ..Wanted::default() }, Wanted::default());
        let shared = |share| Wanted { share: Some(share), ..Wanted::default() };
        let part = |cores, gib_left: u64| Wanted { cores: Some(cores), memory: Some(gib_left * gib), ..none };
        check(none, 2, 24 * gib, 0, 2, 1, "cpu (1 thread)");
        check(none, 64, 16 * gib, 0, 8, 8, "cpu (8 threads)");
        check(none, 1, gib, 0, 1, 1, "cpu (1 thread)");
        check(all(1), 4, 24 * gib, 0, 1, 4, "cpu (4 threads)");
        check(all(8), 2, 24 * gib, 0, 8, 1, "cpu (1 thread)");
        check(none, 16, gib, 2, 8, 2, "GPU 1");
        check(none, 4, gib, 2, 4, 1, "GPU 1");
        check(none, 1, gib, 2, 2, 1, "GPU 1");
        check(shared(1), 16, gib, 2, 2, 8, "GPU 1");
        check(shared(3), 16, gib, 2, 6, 2, "GPU 1");
        check(all(3), 16, gib, 2, 3, 5, "GPU 0");
        // The rest of the host is for others.
        check(part(4, 64), 64, 256 * gib, 0, 4, 1, "cpu (1 thread)");
        check(part(64, 6), 16, 64 * gib, 0, 3, 5, "cpu (5 threads)");
        check(part(4, 64), 16, 64 * gib, 2, 4, 1, "GPU 1");
        let offers = |wanted| arrange(wanted, 16, 64 * gib, &[]);
        assert_eq!((offers(part(4, 6)).cores, offers(part(4, 6)).memory), (4, 6 * gib));
        assert_eq!((offers(part(99, 99)).cores, offers(part(99, 99)).memory), (16, 64 * gib), "no more than there is");
    }
}
