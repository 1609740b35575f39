//! What a trainer may touch: a trainer decodes other people's files, so it gets what its trial needs and nothing else of this
//! user's. It can read the system, its libraries and the data roots, write its attempt folder and the image cache, and open no
//! network connection; the agent's key, home folders and other processes are out of its reach.
//!
//! Two means of the kernel, both for unprivileged users and both inherited by whatever the trainer starts: Landlock (files, signals,
//! TCP) and a seccomp filter (`filter`: sockets, and system calls that only an attack needs). They are put on a thread
//! of the agent that starts the trainer and ends: no helper program and no second `exec`.

mod filter;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, Scope, make_bitflags,
};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};
use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::time::timeout;

use filter::{Filters, Sockets};

/// The newest rules that are asked for; an older kernel enforces those it knows.
const NEWEST: ABI = ABI::V6;
/// The first kernel interface with which files cannot be changed by any way that is known.
const WHOLE: i32 = 3;
/// What every program needs to run. What is not there is left out.
const SYSTEM: [&str; 15] = [
    "/usr",
    "/lib",
    "/lib32",
    "/lib64",
    "/bin",
    "/nix/store",
    "/gnu/store",
    "/etc/ld.so.cache",
    "/etc/ld.so.preload",
    "/etc/localtime",
    "/proc",
    "/sys",
    "/dev/random",
    "/dev/urandom",
    "/dev/full",
];
/// Devices that hold nothing.
const EMPTY_DEVICES: [&str; 2] = ["/dev/null", "/dev/zero"];
/// What every user of a GPU opens.
const GPU_DEVICES: [&str; 5] =
    ["/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidia-modeset", "/dev/nvidia-caps"];
/// Open files of one trainer.
const OPEN_FILES: u64 = 65_536;
/// Time for the loader to name a program's libraries.
const NAME: Duration = Duration::from_secs(10);

const READ: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadFile | ReadDir});
const RUN: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadFile | ReadDir | Execute});
/// No links, no devices, nothing to execute: files and folders only.
const WRITE: BitFlags<AccessFs> = make_bitflags!(AccessFs::{
    ReadFile | ReadDir | WriteFile | Truncate | MakeReg | MakeDir | RemoveFile | RemoveDir | Refer
});
const DEVICE: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadFile | WriteFile | ReadDir | IoctlDev});

/// Whether trainers are confined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// As far as the kernel allows; what it does not is said in the log.
    Auto,
    /// Not at all.
    Off,
    /// Completely, or the agent does not start.
    Required,
}

/// Why there is no sandbox.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The kernel lacks something and `required` was asked for.
    #[error("trainers cannot be confined as --sandbox required asks: {0}")]
    Missing(String),
    /// The filter cannot be made.
    #[error("no seccomp filter for this processor: {0}")]
    Filter(String),
}

/// What this kernel can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Features {
    /// Landlock's interface version; 0 without it.
    pub landlock: i32,
    /// Whether a filter of system calls can be set.
    pub seccomp: bool,
}

impl Features {
    /// Tries both on a thread that does nothing else.
    pub fn of_this_kernel() -> Self {
        thread::scope(|scope| {
            let tried = scope.spawn(|| {
                let ruleset = Ruleset::default().handle_access(AccessFs::from_all(NEWEST))?.create()?;
                let landlock = match ruleset.restrict_self()?.landlock {
                    LandlockStatus::Available { effective_abi, kernel_abi } => {
                        kernel_abi.unwrap_or(effective_abi as i32)
                    }
                    LandlockStatus::NotEnabled | LandlockStatus::NotImplemented => 0,
                };
                Ok::<_, RulesetError>(landlock)
            });
            let landlock = tried.join().ok().and_then(Result::ok).unwrap_or(0);
            let tried = scope.spawn(|| Filters::new().is_ok_and(|filters| filters.enter(Sockets::None).is_ok()));
            Self { landlock, seccomp: tried.join().unwrap_or(false) }
        })
    }

    /// What trainers are not kept from, in words; nothing where all is well.
    pub fn gaps(&self) -> Vec<String> {
        let mut gaps = Vec::new();
        match self.landlock {
            0 => gaps.push("this kernel has no Landlock (Linux 5.13 with `landlock` in lsm=): trainers can read and write what this user can".to_owned()),
            1.. if self.landlock < WHOLE => gaps.push(format!(
                "Landlock of this kernel (interface {}) does not keep trainers from truncating files: Linux 6.2 does",
                self.landlock
            )),
            _ if self.landlock < 6 => gaps.push(format!(
                "Landlock of this kernel (interface {}) does not keep trainers from signalling processes of this user: Linux 6.12 does",
                self.landlock
            )),
            _ => {}
        }
        if !self.seccomp {
            gaps.push("this kernel takes no seccomp filter: trainers can open network connections".to_owned());
        }
        gaps
    }
}

/// The walls for trainers of one host.
#[derive(Debug)]
pub struct Sandbox {
    filters: Filters,
    features: Features,
    /// What every program needs, opened once: a system's folders stay where they are.
    system: Vec<(PathFd, BitFlags<AccessFs>)>,
    /// The trainer and its libraries.
    programs: Vec<PathBuf>,
    read: Vec<PathBuf>,
    write: Vec<PathBuf>,
}

/// What one trainer gets beyond what all get.
#[derive(Clone, Copy, Debug, Default)]
pub struct Walls<'a> {
    /// Its own folder, if it has one.
    pub folder: Option<&'a Path>,
    /// Its GPU's id, if it has one.
    pub gpu: Option<&'a str>,
}

impl Sandbox {
    /// For a trainer program that reads below `read` and writes below `write` and its own folder; `None` where nothing shall be confined.
    ///
    /// # Errors
    /// When everything is required and something is missing.
    pub async fn new(
        mode: Mode,
        trainer: &Path,
        read: Vec<PathBuf>,
        write: Vec<PathBuf>,
    ) -> Result<Option<Self>, SandboxError> {
        if mode == Mode::Off {
            tracing::warn!("trainers are not confined (--sandbox off): they can do what this user can");
            return Ok(None);
        }
        let features = Features::of_this_kernel();
        let gaps = features.gaps();
        if mode == Mode::Required && !gaps.is_empty() {
            return Err(SandboxError::Missing(gaps.join("; ")));
        }
        gaps.iter().for_each(|gap| tracing::warn!("{gap}"));
        let programs = programs(trainer).await;
        tracing::debug!(?features, ?programs, ?read, ?write, "trainers are confined");
        let filters = Filters::new().map_err(|error| SandboxError::Filter(error.to_string()))?;
        let system = SYSTEM.iter().map(|path| (Path::new(path), RUN));
        let devices = EMPTY_DEVICES.iter().map(|path| (Path::new(path), DEVICE));
        let system = system.chain(devices).filter_map(open).collect();
        Ok(Some(Self { filters, features, system, programs, read, write }))
    }

    /// Starts a program inside the walls.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(&self, command: &mut Command, walls: &Walls<'_>) -> io::Result<Child> {
        let runtime = Handle::current();
        let started = thread::scope(|scope| {
            let starting = scope.spawn(|| {
                let _inside = runtime.enter();
                self.enter(walls)?;
                command.spawn()
            });
            starting.join().unwrap_or_else(|_| Err(io::Error::other("the thread that starts trainers panicked")))
        })?;
        if let Some(pid) = started.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)) {
            limit(pid);
        }
        Ok(started)
    }

    /// Confines the calling thread, for ever.
    fn enter(&self, walls: &Walls<'_>) -> io::Result<()> {
        no_capabilities()?;
        if self.features.landlock > 0 {
            self.wall(walls).map_err(io::Error::other)?;
        }
        if self.features.seccomp {
            // CUDA asks for a multi-process server over a socket of the file system.
            let sockets = if walls.gpu.is_some() { Sockets::Local } else { Sockets::None };
            self.filters.enter(sockets).map_err(io::Error::other)?;
        }
        Ok(())
    }

    fn wall(&self, walls: &Walls<'_>) -> Result<(), RulesetError> {
        let gpu = walls.gpu.map(devices_of).unwrap_or_default();
        // A newer trainer may have taken the place of the one that was there.
        let all = (self.programs.iter().map(|path| (path.as_path(), RUN)))
            .chain(self.read.iter().map(|path| (path.as_path(), READ)))
            .chain(self.write.iter().map(|path| (path.as_path(), WRITE)))
            .chain(gpu.iter().map(|path| (path.as_path(), DEVICE)))
            .chain(walls.folder.map(|path| (path, WRITE)));
        let mut rules = Ruleset::default()
            .handle_access(AccessFs::from_all(NEWEST))?
            .handle_access(AccessNet::from_all(NEWEST))?
            .scope(Scope::from_all(NEWEST))?
            .create()?;
        for (file, access) in &self.system {
            rules = rules.add_rule(PathBeneath::new(file, *access))?;
        }
        for (file, access) in all.filter_map(open) {
            rules = rules.add_rule(PathBeneath::new(file, access))?;
        }
        rules.restrict_self()?;
        Ok(())
    }
}

/// A file or folder, with what may be done with it. What is not there cannot be given away.
fn open((path, access): (&Path, BitFlags<AccessFs>)) -> Option<(PathFd, BitFlags<AccessFs>)> {
    let file = PathFd::new(path).ok()?;
    let is_folder = fs::metadata(path).is_ok_and(|found| found.is_dir());
    Some((file, if is_folder { access } else { access & AccessFs::from_file(NEWEST) }))
}

/// No core dump of this process and of what it starts: keys are in memory, and images of other people.
pub fn no_core_dumps() {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(error) = setrlimit(Resource::Core, none) {
        tracing::warn!(%error, "core dumps cannot be switched off");
    }
}

/// Root's trainers are no root, but for reading data whoever they belong to: with no new privileges, which both walls switch on, none comes
/// back with the program. Others have nothing to lose.
fn no_capabilities() -> io::Result<()> {
    let all = capabilities(None)?;
    let kept = all.permitted & CapabilitySet::DAC_READ_SEARCH;
    if all.permitted == kept && all.inheritable.is_empty() {
        // A unit may forbid the call to those who have nothing to give away.
        return Ok(());
    }
    set_capabilities(None, CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() })?;
    Ok(())
}

/// Enough files for any trainer and not for a flood.
fn limit(pid: Pid) {
    let most = getrlimit(Resource::Nofile).maximum.map_or(OPEN_FILES, |most| most.min(OPEN_FILES));
    let files = Rlimit { current: Some(most), maximum: Some(most) };
    if let Err(error) = prlimit(Some(pid), Resource::Nofile, files) {
        tracing::debug!(%error, "the trainer has gone already, or its limits cannot be set");
    }
}

/// The device files of a GPU: those of all GPUs where its own cannot be told.
fn devices_of(uuid: &str) -> Vec<PathBuf> {
    let number = nvml_wrapper::Nvml::init().and_then(|nvml| nvml.device_by_uuid(uuid)?.minor_number());
    let own = match number {
        Ok(number) => vec![PathBuf::from(format!("/dev/nvidia{number}"))],
        Err(_) => (0..64).map(|number| PathBuf::from(format!("/dev/nvidia{number}"))).collect(),
    };
    GPU_DEVICES.iter().map(PathBuf::from).chain(own).collect()
}

/// A program and the folders of its libraries outside the system's, as the loader finds them.
async fn programs(program: &Path) -> Vec<PathBuf> {
    let mut found = vec![program.to_owned()];
    found.extend(program.canonicalize().ok());
    let mut loader = Command::new(program);
    // The loader lists and does not run; a script's interpreter is listed instead.
    loader.env("LD_TRACE_LOADED_OBJECTS", "1").stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let listed = match timeout(NAME, loader.output()).await {
        Ok(Ok(output)) => String::from_utf8_lossy(&output.stdout).into_owned(),
        // It will be said when the first trainer cannot be started.
        Ok(Err(_)) | Err(_) => String::new(),
    };
    found.extend(libraries(&listed));
    found.sort_unstable();
    found.dedup();
    found
}

/// The folders in lines such as `libtorch_cpu.so => /opt/libtorch/lib/libtorch_cpu.so (0x0)`. The folder `cuda` beside that of libtorch
/// belongs to it (`deploy/libtorch.sh`).
fn libraries(listed: &str) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for line in listed.lines() {
        let path = line.split_once("=>").map_or("", |(_, found)| found).trim();
        let path = path.rsplit_once(" (").map_or(path, |(path, _)| path);
        let path = Path::new(path);
        let Some(folder) = path.parent().filter(|_| path.is_absolute()) else { continue };
        if ["/usr", "/lib", "/lib64", "/lib32"].iter().any(|system| folder.starts_with(system)) {
            continue;
        }
        folders.push(folder.to_owned());
        if let Ok(real) = path.canonicalize()
            && let Some(folder) = real.parent()
        {
            folders.push(folder.to_owned());
        }
        let is_torch = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("libtorch"));
        folders.extend(folder.parent().filter(|_| is_torch).map(|libtorch| libtorch.join("cuda")));
    }
    folders.sort_unstable();
    folders.dedup();
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_outside_the_system_are_found() {
        let listed = "\tlinux-vdso.so.1 (0x00007ffe)\n\tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f)\n\
                      \tlibtorch_cpu.so => /opt/torch/lib/libtorch_cpu.so (0x00007f)\n\tlibnone.so => not found\n\
                      \tlibc10.so => /opt/torch/lib/libc10.so (0x00007f)\n\t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        assert_eq!(libraries(listed), ["/opt/torch/cuda", "/opt/torch/lib"].map(PathBuf::from));
        assert!(libraries("").is_empty());
    }

    #[test]
    fn what_a_kernel_lacks_is_said() {
        let features = |landlock, seccomp| Features { landlock, seccomp }.gaps().join("; ");
        assert_eq!(features(6, true), "");
        assert!(features(0, true).contains("no Landlock"));
        assert!(features(2, true).contains("Linux 6.2"));
        assert!(features(4, false).contains("Linux 6.12") && features(4, false).contains("network"));
    }
}
