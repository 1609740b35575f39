//! Which device, how many threads, and loading libtorch's CUDA half on hosts that have it.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;

use sweep_core::attempt::ORDER_FILE;
use tch::Device;

use crate::error::TrainError;
use crate::log::say;

/// libtorch's CUDA half inside a folder made by `deploy/libtorch.sh`.
const CUDA_LIBRARY: &str = "cuda/torch/lib/libtorch_cuda.so";
/// Set in the second start, so that there is no third.
const SECOND_START: &str = "SWEEP_TRAINER_CUDA_LOADED";

/// The device an order names: `cpu` or `cuda:<index>`.
pub fn parse(device: &str) -> Result<Device, TrainError> {
    let fail = |why| TrainError::DeviceUnavailable { device: device.to_owned(), why };
    if device == "cpu" {
        return Ok(Device::Cpu);
    }
    let index: usize = device
        .strip_prefix("cuda:")
        .and_then(|index| index.parse().ok())
        .ok_or_else(|| fail("must be cpu or cuda:<index>"))?;
    if !cuda_is_loaded() {
        return Err(fail("libtorch_cuda was not found beside this trainer"));
    }
    if !tch::Cuda::is_available() {
        return Err(fail("no NVIDIA driver, or no GPU is visible"));
    }
    if index >= tch::Cuda::device_count() as usize {
        return Err(fail("the index is above the number of visible GPUs"));
    }
    Ok(Device::Cuda(index))
}

/// Whether libtorch's CUDA half is in this process, with or without a driver.
pub fn cuda_is_loaded() -> bool {
    tch::utils::has_cudart()
}

/// The device that the order in an attempt folder names, read leniently: errors are reported later.
pub fn wanted_in(folder: &Path) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Wanted {
        device: String,
    }
    let text = std::fs::read(folder.join(ORDER_FILE)).ok()?;
    let wanted: Wanted = serde_json::from_slice(&text).ok()?;
    Some(wanted.device)
}

/// Restarts this program with libtorch_cuda loaded, if `device` asks for it and it is there.
///
/// The program links only against libtorch_cpu, so that one build serves hosts with and without a
/// GPU. libtorch_cuda registers its kernels when it is loaded; loading it from Rust would be
/// `dlopen`, which is `unsafe`. `exec` with `LD_PRELOAD` is not, keeps the process id, and costs a
/// few milliseconds. Must be called before any lock or file is opened. Returns if there is nothing
/// to load; the missing device is then reported by [`parse`].
pub fn load_cuda(device: &str) {
    if !device.starts_with("cuda") || cuda_is_loaded() || std::env::var_os(SECOND_START).is_some() {
        return;
    }
    let Some(library) = folders().into_iter().map(|folder| folder.join(CUDA_LIBRARY)).find(|library| library.exists())
    else {
        return;
    };
    let Ok(program) = std::env::current_exe() else {
        return;
    };
    let mut preload = library.into_os_string();
    if let Some(others) = std::env::var_os("LD_PRELOAD") {
        preload.push(":");
        preload.push(others);
    }
    let error = Command::new(program)
        .args(std::env::args_os().skip(1))
        .env("LD_PRELOAD", preload)
        .env(SECOND_START, "1")
        .exec();
    say(format_args!("cannot start again with libtorch_cuda: {error}"));
}

/// Where libtorch may be: named by the user, built against, or installed beside the program.
fn folders() -> Vec<PathBuf> {
    let mut folders = Vec::new();
    folders.extend(std::env::var_os("LIBTORCH").map(PathBuf::from));
    folders.extend(option_env!("SWEEP_LIBTORCH_DIR").map(PathBuf::from));
    if let Ok(program) = std::env::current_exe()
        && let Some(bin) = program.parent()
    {
        folders.push(bin.join("../lib/libtorch"));
    }
    folders
}

/// Limits libtorch to `threads` (at least 1) in this process. More threads than cores make
/// small networks 8 to 64 times slower, so the agent divides the cores between its trainers.
pub fn use_threads(threads: u32) {
    static INTEROP: Once = Once::new();
    // libtorch accepts this setting once, before its first parallel work.
    INTEROP.call_once(|| {
        if tch::get_num_interop_threads() != 1 {
            tch::set_num_interop_threads(1);
        }
    });
    tch::set_num_threads(threads.max(1) as i32);
}
