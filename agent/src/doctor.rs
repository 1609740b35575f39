//! What is wrong with this agent's host. Looks and changes nothing; works beside an agent that runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nvml_wrapper::Nvml;
use sweep_identity::address::Address;
use sweep_identity::dial::Tls;
use sweep_identity::trouble::Held;
use sweep_ops::doctor::{Findings, size};
use tokio::process::Command;
use tokio::time::timeout;

use crate::config::Cli;
use crate::energy::rapl::Rapl;
use crate::membership::Member;
use crate::rpc::about::{About, about};
use crate::sandbox::Features;
use crate::version;

/// Time for a program or a coordinator to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How an agent that is no member any more becomes one.
const AGAIN: &str = "stop it, sweepctl admin agent-token, sweep-agent with its flags and --join-file FILE join --again; start it, sweepctl undrain HOST";
/// Shared memory below which CUDA's and PyTorch's helpers have too little, bytes.
const SHARED: u64 = 64 << 20;

/// Looks at everything that a start with these flags would need.
pub async fn look(cli: &Cli) -> Findings {
    let mut found = Findings::default();
    found.ok("release", format!("{} (protocol {})", env!("CARGO_PKG_VERSION"), sweep_proto::PROTOCOL));
    places(cli, &mut found);
    devices(cli, &mut found);
    trainer(&cli.trainer(), &mut found).await;
    walls(&mut found);
    memory(&mut found);
    coordinator(cli, &mut found).await;
    found
}

fn places(cli: &Cli, found: &mut Findings) {
    match cli.state() {
        Err(error) => found.problem("state", error.to_string(), "--state DIR"),
        Ok(state) => {
            found.disk("state", &state);
            found.private("state", &state);
            found.private("key", &state.join("member.pem"));
        }
    }
    match cli.cache() {
        Err(error) => found.problem("cache", error.to_string(), "--cache DIR"),
        Ok(cache) => found.disk("cache", &cache),
    }
    if cli.data.is_empty() {
        found.warn("data", "no data roots: nothing can be trained here", "--data DIR");
    }
    for root in &cli.data {
        match fs::read_dir(root) {
            Ok(entries) => found.ok("data", format!("{}: {} entries", root.display(), entries.count())),
            Err(error) => {
                let fix = "mount it, or let the agent's user read it (chmod o+rx, or its group)";
                found.problem("data", format!("{}: {error}", root.display()), fix);
            }
        }
    }
}

fn devices(cli: &Cli, found: &mut Findings) {
    let has_driver = crate::hardware::has_driver();
    match Nvml::init() {
        Ok(nvml) => {
            let driver = nvml.sys_driver_version().unwrap_or_else(|error| error.to_string());
            found.ok("GPU", format!("driver {driver}, {} GPUs", nvml.device_count().unwrap_or(0)));
        }
        Err(error) if has_driver => {
            let fix = "install the driver's libnvidia-ml.so.1 of the same version as its kernel module, or start the host again \
                       after an upgrade";
            found.problem("GPU", format!("there is a driver, but NVML does not answer: {error}"), fix);
        }
        Err(_) => found.ok("GPU", "no NVIDIA driver: trials run on the processor"),
    }
    match Rapl::open(&cli.powercap) {
        Ok(Some(_)) => found.ok("energy", "RAPL can be read"),
        Ok(None) => found.ok("energy", "this host has no RAPL: the processors' energy is not measured"),
        Err(error) => {
            let fix = "chmod o+r /sys/class/powercap/*/energy_uj at every start, where that is wanted";
            found.warn("energy", format!("RAPL may not be read: {error}"), fix);
        }
    }
}

async fn trainer(program: &Path, found: &mut Findings) {
    let mut asked = Command::new(program);
    asked.arg("--version").stdin(Stdio::null()).kill_on_drop(true);
    let name = program.display();
    let fix = "install sweep-trainer beside sweep-agent and libtorch in ../lib/libtorch (deploy/libtorch.sh), or name it with --trainer";
    match timeout(PATIENCE, asked.output()).await {
        Err(_) => found.problem("trainer", format!("{name} --version does not end"), fix),
        Ok(Err(error)) => found.problem("trainer", format!("{name}: {error}"), fix),
        Ok(Ok(said)) if !said.status.success() => {
            let words = String::from_utf8_lossy(&said.stderr);
            let last = words.lines().last().unwrap_or_default().to_owned();
            found.problem("trainer", format!("{name} --version ended with {}: {last}", said.status), fix);
        }
        Ok(Ok(said)) => {
            let words = String::from_utf8_lossy(&said.stdout).trim().to_owned();
            match version::protocol(&words) == Some(sweep_core::attempt::PROTOCOL) {
                true => found.ok("trainer", words),
                false => {
                    found.problem("trainer", format!("{words}: another protocol"), "install the same release of both")
                }
            }
        }
    }
}

fn walls(found: &mut Findings) {
    let features = Features::of_this_kernel();
    for gap in features.gaps() {
        found.warn("sandbox", gap, "start a newer kernel, or trust whoever may submit");
    }
    if features.gaps().is_empty() {
        found.ok("sandbox", format!("Landlock {} and seccomp confine trainers", features.landlock));
    }
}

fn memory(found: &mut Findings) {
    if let Ok(disk) = rustix::fs::statvfs("/dev/shm") {
        let all = disk.f_blocks * disk.f_frsize;
        match all < SHARED {
            true => {
                found.warn("shared memory", format!("/dev/shm has {}", size(all)), "mount -o remount,size=1G /dev/shm")
            }
            false => found.ok("shared memory", format!("/dev/shm has {}", size(all))),
        }
    }
    let group = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let group = group.lines().find_map(|line| line.strip_prefix("0::")).map(|path| format!("/sys/fs/cgroup{path}"));
    let Some(group) = group.map(PathBuf::from) else {
        found.ok("cgroup", "no unified cgroup hierarchy: no limit of this agent is known");
        return;
    };
    let limit = group.ancestors().find_map(|group| {
        let text = fs::read_to_string(group.join("memory.max")).ok()?;
        text.trim().parse::<u64>().ok()
    });
    match limit {
        None => found.ok("cgroup", "no limit of memory"),
        Some(bytes) => found.ok("cgroup", format!("memory of agent and trainers together: {}", size(bytes))),
    }
}

async fn coordinator(cli: &Cli, found: &mut Findings) {
    let address: Address = match cli.coordinator.parse() {
        Ok(address) => address,
        Err(error) => return found.problem("coordinator", format!("{error}"), "--coordinator URL"),
    };
    let member = if address.encrypted { member(cli, found) } else { None };
    let tls = match (&member, address.encrypted) {
        (Some(member), _) => member.tls(),
        (None, false) => return talk(&address, None, None, found).await,
        // The token says which coordinator is the right one.
        (None, true) => match pinned(cli, found) {
            Some(tls) => return talk(&address, Some(&tls), Some(Held::JoinToken), found).await,
            None => return listens(&address, found).await,
        },
    };
    match tls {
        Ok(tls) => talk(&address, Some(&tls), Some(Held::Member), found).await,
        Err(error) => found.problem("member", error.to_string(), AGAIN),
    }
}

/// Believes whom the token of `--join-file` names, if there is one.
fn pinned(cli: &Cli, found: &mut Findings) -> Option<Tls> {
    match Member::pinned(cli.join_file.as_deref()?) {
        Ok((tls, _)) => Some(tls),
        Err(error) => {
            let fix = "sweepctl admin agent-token > FILE; chmod 600 FILE";
            found.problem("member", error.to_string(), fix);
            None
        }
    }
}

/// Calls the coordinator, as whoever this is.
async fn talk(address: &Address, tls: Option<&Tls>, held: Option<Held>, found: &mut Findings) {
    let start = Instant::now();
    let fix = match address.encrypted {
        true => "look at the coordinator's log",
        false => "start it, or name it with --coordinator URL",
    };
    match timeout(PATIENCE, about(address, tls)).await {
        Ok(Ok(About { build, protocol, now })) => {
            let how = match held {
                Some(Held::Member) => " and takes this agent for a member",
                Some(_) => " and is the one that the token is for",
                None => "",
            };
            found.ok("coordinator", format!("{address} answers{how}"));
            found.versions((env!("CARGO_PKG_VERSION"), sweep_proto::PROTOCOL), (&build, protocol));
            if let Some(theirs) = now {
                found.clock(since_1970(), theirs, start.elapsed());
            }
        }
        Ok(Err(error)) if error.is_revoked() => {
            found.problem("member", format!("{address} has revoked this agent"), AGAIN);
        }
        Ok(Err(error)) => match error.trouble().zip(held) {
            Some((trouble, held)) => {
                found.problem("coordinator", trouble.what(address, held), trouble.fix(address, held));
            }
            None => found.problem("coordinator", format!("{address}: {error}"), fix),
        },
        Err(_) => found.problem("coordinator", format!("{address} does not answer"), fix),
    }
}

/// Whether this agent has joined, and until when; a member that can be asked as.
fn member(cli: &Cli, found: &mut Findings) -> Option<Member> {
    let member = match Member::read(&cli.state().ok()?) {
        Ok(Some(member)) => member,
        Ok(None) if cli.join_file.is_some() => {
            found.ok(
                "member",
                "this agent has not joined yet; it does at its first start, with the token of --join-file",
            );
            return None;
        }
        Ok(None) => {
            let fix = "sweepctl admin agent-token, then start it once with --join-file FILE";
            found.problem("member", "this agent has not joined the lab", fix);
            return None;
        }
        Err(error) => {
            found.problem("member", error.to_string(), AGAIN);
            return None;
        }
    };
    let now = since_1970().as_secs() as i64;
    let (id, days) = (member.agent(), (member.expires() - now) / 86_400);
    match now {
        _ if now >= member.expires() => {
            let fix = format!("sweepctl admin agent revoke {id}; {AGAIN}");
            found.problem("member", format!("the certificate of agent {id} has ended"), fix);
            return None;
        }
        _ if now >= member.renews() => {
            let fix = "let the agent run: it asks for another one by itself; its log says why it has none yet";
            found.warn("member", format!("the certificate of agent {id} ends in {days} days and is not renewed"), fix);
        }
        _ => found
            .ok("member", format!("agent {id} has joined; its certificate is good for {days} days and renews itself")),
    }
    Some(member)
}

/// Who it is says its certificate, which an agent without token and certificate cannot judge; that somebody listens can be seen.
async fn listens(address: &Address, found: &mut Findings) {
    let place = (address.host.as_str(), address.port);
    let dialled = timeout(PATIENCE, tokio::net::TcpStream::connect(place)).await;
    match dialled.map_err(|_| "no answer".to_owned()).and_then(|dialled| dialled.map_err(|error| error.to_string())) {
        Ok(_) => {
            let found_it =
                format!("{address} can be reached; whether it is the coordinator shows with --join-file FILE");
            found.ok("coordinator", found_it);
        }
        Err(error) => {
            let fix = "is it running, is the name right, does a firewall let this host through?";
            found.problem("coordinator", format!("{address}: {error}"), fix);
        }
    }
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
