//! Real trainers: one process group per attempt, told what to do by a file and heard through
//! another. A trainer outlives its agent; the next life of the agent takes it over.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sweep_core::attempt::{CHECKPOINT_DIR, EVENTS_FILE, FailureClass, LOG_FILE, OrderFile, PROTOCOL, Resume, Work};
use sweep_core::environment;
use sweep_core::event::{Checkpoint, Failure};
use sweep_core::id::Lease;
use sweep_core::retry::{BEST_MISSING, CHECKPOINT_MISSING};
use sweep_proto::convert::PlacedOrder;
use tokio::process::Command;

use super::scan::{self, FOLDER_VAR, SLOT_VAR};
use super::trainer::{Body, ProcessTrainer};
use super::{Disposal, Found, Launcher, Source, Trainer};
use crate::attempts::Folders;
use crate::devices::Devices;
use crate::energy::meters::Meters;
use crate::hardware::Slot;
use crate::rpc::blobs::{BlobClient, DownloadError};
use crate::sandbox::{Sandbox, Walls};

/// What trainers get of the agent's own environment; nothing else reaches them.
const PASSED_ON: [&str; 13] = [
    "PATH",
    "HOME",
    "LANG",
    "TMPDIR",
    "RUST_BACKTRACE",
    "SWEEP_LOG",
    environment::NVIDIA_TF32,
    environment::TORCH_TF32,
    "SWEEP_NOOP_EPOCHS",
    "SWEEP_NOOP_EPOCH_MS",
    "SWEEP_NOOP_CHECKPOINT",
    "SWEEP_NOOP_LINGER_MS",
    "SWEEP_NOOP_SPEED",
];

/// How trainers of this host are run.
#[derive(Clone, Debug)]
pub struct ProcessConfig {
    /// The trainer program.
    pub trainer: PathBuf,
    /// What each slot is.
    pub slots: Vec<Slot>,
    /// Threads of one trainer.
    pub threads: u32,
    /// Where data sets are looked up.
    pub data_roots: Vec<PathBuf>,
    /// Where decoded images are kept.
    pub cache_dir: PathBuf,
    /// The agent's lock.
    pub agent_lock: PathBuf,
    /// How long a trainer goes on without an agent, seconds.
    pub orphan_limit_s: u64,
    /// How long a trainer may show no progress.
    pub stall_limit: Option<Duration>,
    /// The host was started again since the agent last ran.
    pub rebooted: bool,
    /// What trainers are kept from; `None` where they are not confined.
    pub sandbox: Option<Arc<Sandbox>>,
    /// Whether TorchScript files may be run.
    pub allow_torchscript: bool,
    /// Where the energy counters of the processors are; `None` to measure no energy at all.
    pub powercap: Option<PathBuf>,
    /// What is seen on its devices, if it has any.
    pub devices: Option<Devices>,
}

/// Starts real trainers.
#[derive(Debug)]
pub struct ProcessLauncher {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: ProcessConfig,
    folders: Folders,
    blobs: BlobClient,
    /// What trainers read: nothing.
    silence: File,
    /// After which epochs trainers wait. Held while such a word is written, so that the newest is the one that stays.
    waits: Mutex<BTreeMap<Lease, u32>>,
    /// The part of the environment that is the same for all.
    environment: Vec<(&'static str, OsString)>,
}

impl ProcessLauncher {
    /// Looks after the attempt folders below `folders`.
    ///
    /// # Errors
    /// When `/dev/null` cannot be opened.
    pub fn new(config: ProcessConfig, folders: Folders, blobs: BlobClient) -> io::Result<Self> {
        let silence = File::open("/dev/null")?;
        let passed = PASSED_ON.iter().filter_map(|name| Some((*name, std::env::var_os(name)?)));
        let ours = environment::of_trainer(config.threads).map(|(name, value)| (name, value.into()));
        let environment = passed.chain(ours).collect();
        let waits = Mutex::default();
        Ok(Self { inner: Arc::new(Inner { config, folders, blobs, silence, waits, environment }) })
    }
}

impl Launcher for ProcessLauncher {
    fn found(&self) -> Vec<Found> {
        let folders = &self.inner.folders;
        let leases = folders.list().unwrap_or_else(|error| {
            tracing::error!(%error, "cannot list the attempt folders");
            Vec::new()
        });
        let living = scan::all(&folders.root());
        let mut found = Vec::new();
        for lease in leases {
            let slot = living.get(&lease).and_then(|found| found.slot);
            let events = fs::metadata(folders.path(lease).join(EVENTS_FILE));
            if !living.contains_key(&lease) && events.map_or(0, |events| events.len()) == 0 {
                // Its trainer never said a word: it never began, and nobody is to blame.
                self.dispose(lease, Disposal::Remove);
                continue;
            }
            found.push(Found { lease, slot });
        }
        found
    }

    fn meters(&self) -> Meters {
        let config = &self.inner.config;
        let energy = config.powercap.as_ref().map(|powercap| Meters::of_host(powercap, &config.slots));
        energy.unwrap_or_default().with(config.devices.clone())
    }

    fn devices(&self) -> Option<Devices> {
        self.inner.config.devices.clone()
    }

    fn start(&self, order: PlacedOrder) -> BoxFuture<'static, Result<Box<dyn Trainer>, Failure>> {
        let inner = Arc::clone(&self.inner);
        async move { Ok(Box::new(inner.start(order).await?) as Box<dyn Trainer>) }.boxed()
    }

    fn attach(&self, lease: Lease) -> BoxFuture<'static, Result<Box<dyn Trainer>, Failure>> {
        let inner = Arc::clone(&self.inner);
        async move { Ok(Box::new(inner.attach(lease)?) as Box<dyn Trainer>) }.boxed()
    }

    fn wait_at(&self, lease: Lease, epoch: Option<u32>) -> bool {
        let mut waits = self.inner.waits.lock().unwrap_or_else(PoisonError::into_inner);
        match epoch {
            Some(epoch) => drop(waits.insert(lease, epoch)),
            None => drop(waits.remove(&lease)),
        }
        let folder = self.inner.folders.path(lease);
        // One that is about to be started has none yet: it finds the word when it is made.
        !folder.is_dir() || say_wait(lease, &folder, epoch)
    }

    fn checkpoint(&self, lease: Lease, file: &str) -> Option<Source> {
        // A name from a trainer never leads out of its folder.
        let name = Path::new(file).file_name().filter(|name| *name == file)?;
        let path = self.inner.folders.path(lease);
        let path = path.join(CHECKPOINT_DIR).join(name);
        path.is_file().then_some(Source::File(path))
    }

    fn dispose(&self, lease: Lease, how: Disposal) {
        self.inner.waits.lock().unwrap_or_else(PoisonError::into_inner).remove(&lease);
        if let Err(error) = self.inner.folders.dispose(lease, how) {
            tracing::warn!(%lease, %error, "cannot settle the attempt's folder");
        }
    }
}

impl Inner {
    async fn start(&self, order: PlacedOrder) -> Result<ProcessTrainer, Failure> {
        let lease = order.lease;
        self.check_device(order.slot)?;
        let folder = self
            .folders
            .create(lease)
            .map_err(|error| host(&error, format!("cannot make the attempt's folder: {error}")))?;
        {
            let waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(epoch) = waits.get(&lease) {
                Folders::write_wait(&folder, Some(*epoch))
                    .map_err(|error| host(&error, format!("cannot tell the trainer when to wait: {error}")))?;
            }
        }
        let resume = match &order.order.resume {
            None => None,
            Some(checkpoint) => Some(Resume {
                file: self.download(&folder, checkpoint, CHECKPOINT_MISSING).await?,
                epoch: checkpoint.epoch,
                best: match &order.order.best {
                    Some(best) if best.sha256 != checkpoint.sha256 => {
                        Some(self.download(&folder, best, BEST_MISSING).await?)
                    }
                    _ => None,
                },
            }),
        };
        let config = &self.config;
        let slot = &config.slots[order.slot as usize];
        let tf32 = order.order.recipe.tf32;
        let file = OrderFile {
            protocol: PROTOCOL,
            work: vec![Work {
                lease,
                recipe: order.order.recipe,
                resume,
                fingerprint: order.order.fingerprint,
                numerics: order.order.numerics,
                alike: order.order.alike,
                probe_steps: order.order.probe_steps,
            }],
            device: slot.device().to_owned(),
            threads: config.threads,
            data_roots: config.data_roots.clone(),
            cache_dir: config.cache_dir.clone(),
            agent_lock: config.agent_lock.clone(),
            orphan_limit_s: config.orphan_limit_s,
            allow_torchscript: config.allow_torchscript,
        };
        Folders::write_order(&folder, &file)
            .map_err(|error| host(&error, format!("cannot write the order: {error}")))?;
        self.spawn(lease, order.slot, folder, tf32)
    }

    /// A device that did not give its memory back gets nothing more, also before the coordinator knows.
    fn check_device(&self, slot: u32) -> Result<(), Failure> {
        let fault = self.claim(Some(slot)).and_then(|(devices, device)| devices.fault(&device));
        fault.map_or(Ok(()), |fault| Err(failure("device_not_released", fault)))
    }

    /// The device of a slot, if it is looked at.
    fn claim(&self, slot: Option<u32>) -> Option<(Devices, String)> {
        let slot = self.config.slots.get(slot? as usize)?;
        Some((self.config.devices.clone()?, slot.device_id.clone()?))
    }

    fn spawn(&self, lease: Lease, slot: u32, folder: PathBuf, tf32: Option<bool>) -> Result<ProcessTrainer, Failure> {
        let config = &self.config;
        let log = open_log(&folder).map_err(|error| host(&error, format!("{LOG_FILE}: {error}")))?;
        let streams = || Ok((self.silence.try_clone()?, log.try_clone()?, log.try_clone()?));
        let (silence, out, err) = streams().map_err(|error: io::Error| host(&error, format!("{LOG_FILE}: {error}")))?;
        let mut command = Command::new(&config.trainer);
        command
            .arg(&folder)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .env(FOLDER_VAR, &folder)
            .env(SLOT_VAR, slot.to_string())
            .env("SWEEP_TRIAL_ID", lease.trial.to_string())
            .env("SWEEP_ATTEMPT", lease.attempt.to_string())
            .env("CUDA_VISIBLE_DEVICES", config.slots[slot as usize].visible())
            .stdin(silence)
            .stdout(out)
            .stderr(err)
            .process_group(0)
            .kill_on_drop(false);
        for (name, value) in environment::of_tf32(tf32) {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let started = match &config.sandbox {
            None => command.spawn(),
            Some(sandbox) => {
                // The system's place for temporary files is not theirs.
                command.env("TMPDIR", &folder);
                let gpu = config.slots[slot as usize].gpu.as_deref();
                sandbox.spawn(&mut command, &Walls { folder: Some(&folder), gpu })
            }
        };
        let child = started.map_err(|error| {
            let program = config.trainer.display();
            let reason = match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => "trainer_missing",
                _ => "trainer_not_started",
            };
            failure(reason, format!("cannot start {program}: {error}"))
        })?;
        let limit = self.config.stall_limit;
        Ok(ProcessTrainer::new(Body::own(child), lease, folder, log, self.claim(Some(slot)), limit))
    }

    fn attach(&self, lease: Lease) -> Result<ProcessTrainer, Failure> {
        let folder = self.folders.path(lease);
        let log = open_log(&folder).map_err(|error| host(&error, format!("{LOG_FILE}: {error}")))?;
        let body = Body::found(self.folders.root(), lease, &folder, self.config.rebooted);
        // Where an attempt of an earlier life was is known only while it lives.
        Ok(ProcessTrainer::new(body, lease, folder, log, None, self.config.stall_limit))
    }

    /// `missing` says what the attempt lacks if the store does not have it.
    async fn download(&self, folder: &Path, checkpoint: &Checkpoint, missing: &str) -> Result<PathBuf, Failure> {
        let path = folder.join(format!("from-{}.safetensors", checkpoint.sha256));
        match self.blobs.download(&checkpoint.sha256, &path).await {
            Ok(()) => Ok(path),
            Err(DownloadError::Missing) => {
                Err(failure(missing, format!("the coordinator has no blob {}", checkpoint.sha256)))
            }
            Err(DownloadError::Write(error)) => {
                Err(host(&error, format!("cannot store the checkpoint to go on from: {error}")))
            }
        }
    }
}

fn open_log(folder: &Path) -> io::Result<File> {
    let mut options = fs::File::options();
    options.read(true).append(true).create(true);
    options.open(folder.join(LOG_FILE))
}

fn failure(reason: &str, message: String) -> Failure {
    Failure { class: FailureClass::Host, reason: reason.into(), message }
}

/// Tells a trainer after which epoch it waits. One that cannot be told trains on.
fn say_wait(lease: Lease, folder: &Path, epoch: Option<u32>) -> bool {
    let said = Folders::write_wait(folder, epoch);
    said.inspect_err(|error| tracing::warn!(%lease, %error, "cannot tell the trainer when to wait")).is_ok()
}

/// A failure of this host, never charged to the trial.
fn host(error: &io::Error, message: String) -> Failure {
    let reason = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "disk_full",
        _ => "folder_unusable",
    };
    failure(reason, message)
}
