//! Which device, how many threads, and loading libtorch's CUDA half on hosts that have it.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;

use sweep_core::attempt::ORDER_FILE;
use tch::Device;

use crate::error::TrainError;
use crate::log::say;

/// The half of libtorch that is always loaded, in `lib` of its folder.
const CPU_LIBRARY: &str = "libtorch_cpu.so";
/// libtorch's CUDA half inside a folder made by `deploy/libtorch.sh`.
const CUDA_LIBRARY: &str = "cuda/torch/lib/libtorch_cuda.so";
/// Set in the second start, so that there is no third.
const SECOND_START: &str = "SWEEP_TRAINER_SECOND_START";
const WAIT_POLICY: &str = "OMP_WAIT_POLICY";
const PRELOAD: &str = "LD_PRELOAD";

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

/// What an order asks of the process itself, read leniently: errors are reported later.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct Wanted {
    device: String,
    threads: u32,
}

/// Starts this program again, once, with the environment that the order in `folder` needs and that
/// libraries only read when they are loaded. Keeps the process id and costs a fraction of a second.
/// Must be called before any lock is taken. Does nothing when all is set already.
///
/// * libtorch_cuda, for a CUDA device. The program links only against libtorch_cpu, so that one build
///   serves hosts with and without a GPU; libtorch_cuda registers its kernels when it is loaded.
///   Loading it from Rust would be `dlopen`, which is `unsafe`; `LD_PRELOAD` is not. If it is not
///   there, [`parse`] reports the missing device.
/// * `OMP_WAIT_POLICY=passive`, for more than one thread. The OpenMP library otherwise spins at the end of every
///   operation, which makes a small network 10 to 50 times slower when other programs use the cores.
pub fn start_again_if_needed(folder: &Path) {
    if std::env::var_os(SECOND_START).is_some() {
        return;
    }
    let order = std::fs::read(folder.join(ORDER_FILE)).unwrap_or_default();
    let wanted: Wanted = serde_json::from_slice(&order).unwrap_or_default();
    let mut needed: Vec<(&str, OsString)> = Vec::new();
    if wanted.threads > 1 && std::env::var_os(WAIT_POLICY).is_none() {
        needed.push((WAIT_POLICY, "passive".into()));
    }
    if wanted.device.starts_with("cuda") && !cuda_is_loaded() {
        let mut libraries = folders().into_iter().map(|folder| folder.join(CUDA_LIBRARY));
        if let Some(library) = libraries.find(|library| library.exists()) {
            let mut preload = library.into_os_string();
            if let Some(others) = std::env::var_os(PRELOAD) {
                preload.push(":");
                preload.push(others);
            }
            needed.push((PRELOAD, preload));
        }
    }
    if needed.is_empty() {
        return;
    }
    let Ok(program) = std::env::current_exe() else {
        return;
    };
    let mut again = Command::new(program);
    again.args(std::env::args_os().skip(1)).envs(needed).env(SECOND_START, "1");
    say(format_args!("cannot start again with another environment: {}", again.exec()));
}

/// Where libtorch may be: named by the user, where the half that is loaded comes from, or installed beside the program.
fn folders() -> Vec<PathBuf> {
    let mut folders = Vec::new();
    folders.extend(std::env::var_os("LIBTORCH").map(PathBuf::from));
    folders.extend(loaded(&std::fs::read_to_string("/proc/self/maps").unwrap_or_default()));
    if let Ok(program) = std::env::current_exe()
        && let Some(bin) = program.parent()
    {
        folders.push(bin.join("../lib/libtorch"));
    }
    folders
}

/// The folder above that of libtorch's library, by the memory map of a process.
fn loaded(maps: &str) -> Option<PathBuf> {
    let paths = maps.lines().filter_map(|line| line.find('/').map(|at| Path::new(&line[at..])));
    let mut libraries = paths.filter(|path| path.file_name().is_some_and(|name| name == CPU_LIBRARY));
    Some(libraries.next()?.parent()?.parent()?.to_owned())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libtorch_is_where_it_was_loaded_from() {
        let maps = "7f00-7f01 r-xp 00000000 08:01 1 /usr/lib/libc.so.6\n7f02-7f03 rw-p 00000000 00:00 0 \n\
                    7f04-7f05 r-xp 00000000 08:01 2   /opt/my torch/lib/libtorch_cpu.so\n";
        assert_eq!(loaded(maps), Some(PathBuf::from("/opt/my torch")));
        assert_eq!(loaded("7f00-7f01 r-xp 00000000 08:01 1 /usr/lib/libc.so.6\n"), None);
        let own = loaded(&std::fs::read_to_string("/proc/self/maps").unwrap()).unwrap();
        assert!(own.join("lib").join(CPU_LIBRARY).exists(), "this test has it, too");
    }
}
