//! Numbers about this host's devices for Prometheus: power and energy of processors and GPUs, and of a GPU its memory, load and
//! temperature. A thread of its own looks every few seconds, so that a slow driver holds up nobody.

use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nvml_wrapper::Nvml;
use nvml_wrapper::enum_wrappers::device::TemperatureSensor;
use sweep_ops::metrics;
use sweep_ops::metrics::prometheus_client::metrics::counter::Counter as Sum;
use sweep_ops::metrics::prometheus_client::metrics::family::Family;
use sweep_ops::metrics::prometheus_client::metrics::gauge::Gauge;
use sweep_ops::metrics::prometheus_client::registry::{Registry, Unit};

use crate::energy::Counter;
use crate::energy::rapl::Rapl;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(5);

type Labels = Vec<(&'static str, String)>;
type Real = Gauge<f64, AtomicU64>;

/// All of them; the lock is held while one text is made.
#[derive(Debug, Default)]
pub struct Metrics {
    registry: Mutex<Registry>,
    power: Family<Labels, Real>,
    energy: Family<Labels, Sum<f64, AtomicU64>>,
    memory: Family<Labels, Gauge>,
    load: Family<Labels, Real>,
    temperature: Family<Labels, Real>,
    slots: Gauge,
}

impl Metrics {
    /// Of a host with so many slots.
    pub fn new(slots: usize) -> Self {
        let metrics = Self::default();
        {
            let mut all = metrics.registry.lock().unwrap_or_else(PoisonError::into_inner);
            let text = "Power that a device draws";
            all.register_with_unit("sweep_device_power", text, Unit::Other("watts".into()), metrics.power.clone());
            let text = "Energy that a device has drawn since the agent started";
            all.register_with_unit("sweep_device_energy", text, Unit::Joules, metrics.energy.clone());
            let text = "Memory of a device, in use and in all";
            all.register_with_unit("sweep_device_memory", text, Unit::Bytes, metrics.memory.clone());
            let text = "Share of the time in which a device worked";
            all.register_with_unit("sweep_device_load", text, Unit::Ratios, metrics.load.clone());
            let text = "Temperature of a device";
            all.register_with_unit("sweep_device_temperature", text, Unit::Celsius, metrics.temperature.clone());
            all.register("sweep_agent_slots", "Trials that may run at once", metrics.slots.clone());
        }
        metrics.slots.set(slots as i64);
        metrics
    }

    /// As text.
    pub fn text(&self) -> String {
        metrics::text(&self.registry.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A device drew so many joules since the last look, so many seconds ago.
    fn drew(&self, device: &str, kind: &str, joules: f64, seconds: f64) {
        self.energy.get_or_create(&labels(device, kind)).inc_by(joules);
        if seconds > 0.0 {
            self.power.get_or_create(&labels(device, kind)).set(joules / seconds);
        }
    }
}

fn labels(device: &str, kind: &str) -> Labels {
    vec![("device", device.to_owned()), ("kind", kind.to_owned())]
}

/// A counter of joules, the reading before and its time.
struct Meter {
    counter: Box<dyn Counter>,
    last: Option<(f64, Instant)>,
}

/// What is looked at.
pub struct Devices {
    processors: Option<Meter>,
    nvml: Option<Nvml>,
    /// Millijoules of each GPU at the last look, and its time.
    gpus: Vec<Option<(u64, Instant)>>,
}

impl Devices {
    /// Whatever this host has; the energy counters of the processors below `powercap`.
    pub fn of_host(powercap: &std::path::Path) -> Self {
        let rapl = Rapl::open(powercap).ok().flatten();
        let processors = rapl.map(|rapl| Meter { counter: Box::new(rapl), last: None });
        Self { processors, nvml: Nvml::init().ok(), gpus: Vec::new() }
    }

    /// Reads everything once.
    pub fn look(&mut self, metrics: &Metrics) {
        if let Some(meter) = &mut self.processors
            && let Some(joules) = meter.counter.joules()
        {
            let now = Instant::now();
            if let Some((before, since)) = meter.last.replace((joules, now)) {
                metrics.drew("cpu", "processors", (joules - before).max(0.0), (now - since).as_secs_f64());
            }
        }
        let Some(nvml) = &self.nvml else { return };
        let count = nvml.device_count().unwrap_or(0);
        self.gpus.resize(count as usize, None);
        for (index, last) in (0..count).zip(&mut self.gpus) {
            let Ok(gpu) = nvml.device_by_index(index) else { continue };
            let (Ok(uuid), Ok(name)) = (gpu.uuid(), gpu.name()) else { continue };
            let of = || labels(&uuid, &name);
            if let Ok(millijoules) = gpu.total_energy_consumption() {
                let now = Instant::now();
                if let Some((before, since)) = last.replace((millijoules, now)) {
                    let joules = millijoules.saturating_sub(before) as f64 / 1e3;
                    metrics.drew(&uuid, &name, joules, (now - since).as_secs_f64());
                }
            }
            if let Ok(milliwatts) = gpu.power_usage() {
                metrics.power.get_or_create(&of()).set(f64::from(milliwatts) / 1e3);
            }
            if let Ok(load) = gpu.utilization_rates() {
                metrics.load.get_or_create(&of()).set(f64::from(load.gpu) / 100.0);
            }
            if let Ok(degrees) = gpu.temperature(TemperatureSensor::Gpu) {
                metrics.temperature.get_or_create(&of()).set(f64::from(degrees));
            }
            if let Ok(memory) = gpu.memory_info() {
                for (what, bytes) in [("used", memory.used), ("total", memory.total)] {
                    let labels = [of(), vec![("which", what.to_owned())]].concat();
                    metrics.memory.get_or_create(&labels).set(i64::try_from(bytes).unwrap_or(i64::MAX));
                }
            }
        }
    }
}

/// Looks for as long as the process lives.
///
/// # Errors
/// When there is no thread to be had.
pub fn watch(powercap: PathBuf, metrics: Arc<Metrics>) -> std::io::Result<()> {
    thread::Builder::new().name("metrics".to_owned()).spawn(move || {
        let mut devices = Devices::of_host(&powercap);
        loop {
            devices.look(&metrics);
            thread::sleep(LOOK);
        }
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn power_and_energy_of_the_processors_come_from_their_counter() {
        let folder = tempfile::tempdir().unwrap();
        let package = folder.path().join("intel-rapl:0");
        std::fs::create_dir(&package).unwrap();
        let write = |name: &str, text: &str| std::fs::write(package.join(name), text).unwrap();
        write("name", "package-0\n");
        write("max_energy_range_uj", "262143328850\n");
        write("energy_uj", "1000000\n");
        let metrics = Metrics::new(3);
        let mut devices = Devices::of_host(folder.path());
        devices.look(&metrics);
        write("energy_uj", "8500000\n");
        devices.look(&metrics);
        let text = metrics.text();
        let line = "sweep_device_energy_joules_total{device=\"cpu\",kind=\"processors\"} 7.5";
        assert!(text.lines().any(|found| found == line), "{text}");
        assert!(text.contains("sweep_device_power_watts{device=\"cpu\",kind=\"processors\"} "), "{text}");
        assert!(text.contains("sweep_agent_slots 3\n") && text.ends_with("# EOF\n"), "{text}");
    }
}
