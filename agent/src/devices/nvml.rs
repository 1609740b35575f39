//! GPUs through the driver's library, which is loaded when the agent starts. What a GPU does not tell is left out; one
//! that answers nothing has a fault.

use nvml_wrapper::Nvml;
use nvml_wrapper::enum_wrappers::device::{EccCounter, MemoryError, TemperatureSensor};
use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::struct_wrappers::device::ProcessInfo;
use sweep_core::device::{DeviceSeen, Process};

use super::{Probe, process};

/// The GPUs that slots are on.
#[derive(Debug)]
pub struct NvmlProbe {
    nvml: Nvml,
    ids: Vec<String>,
}

impl NvmlProbe {
    /// Looks at GPUs by their ids.
    ///
    /// # Errors
    /// Without a driver.
    pub fn open(ids: Vec<String>) -> Result<Self, NvmlError> {
        Ok(Self { nvml: Nvml::init()?, ids })
    }

    fn one(&self, id: &str) -> Result<DeviceSeen, NvmlError> {
        let device = self.nvml.device_by_uuid(id)?;
        let processes = device.running_compute_processes()?;
        let mig = device.mig_mode().ok().map(|mode| mode.current == 1);
        Ok(DeviceSeen {
            id: id.to_owned(),
            used: device.memory_info()?.used,
            utilisation: device.utilization_rates().ok().map(|rates| rates.gpu),
            power: device.power_usage().ok(),
            temperature: device.temperature(TemperatureSensor::Gpu).ok().and_then(|found| i32::try_from(found).ok()),
            ecc_errors: device.total_ecc_errors(MemoryError::Uncorrected, EccCounter::Volatile).ok(),
            mig,
            processes: processes.iter().map(one_process).collect(),
            fault: None,
        })
    }
}

fn one_process(info: &ProcessInfo) -> Process {
    let memory = match info.used_gpu_memory {
        UsedGpuMemory::Used(bytes) => bytes,
        UsedGpuMemory::Unavailable => 0,
    };
    Process { who: process::occupant(info.pid, memory), ours: false }
}

impl Probe for NvmlProbe {
    fn look(&mut self) -> Vec<DeviceSeen> {
        let look = |id: &String| {
            self.one(id).unwrap_or_else(|error| DeviceSeen {
                id: id.clone(),
                fault: Some(format!("the driver does not answer for it: {error}")),
                ..DeviceSeen::default()
            })
        };
        self.ids.iter().map(look).collect()
    }
}
