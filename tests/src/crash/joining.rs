//! An agent joins a lab over TLS while it, or the coordinator, dies at one place after the other: its token is good until it has heard
//! that it is a member.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use super::{AGENT, COORDINATOR, Round, SIGKILL, arm, build, private};
use crate::process::wait_for;

/// Who dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The agent.
    Agent,
    /// The coordinator.
    Coordinator,
}

/// Joins `places` times, each time with a new agent that has one token, where `who` dies at the next place once. Returns how many
/// died.
///
/// # Errors
/// When an agent is shut out with the token that it was given, or a log has a token or a key in it.
pub fn run(bin: &Path, dir: &Path, who: Who, places: u32) -> Result<u32> {
    let lab = Lab {
        bin: bin.to_owned(),
        dir: dir.to_owned(),
        folder: dir.join("crash"),
        library: build(&dir.join("crash"))?,
    };
    let init = lab.command(COORDINATOR).args(["init", "--data", "lab", "--host", "127.0.0.1"]).output()?;
    ensure!(init.status.success(), "init: {}", String::from_utf8_lossy(&init.stderr));
    arm(&lab.folder, Round::every(COORDINATOR, 0))?;
    arm(&lab.folder, Round::every(AGENT, 0))?;
    let mut coordinator = lab.serve("127.0.0.1:0")?;
    let address = std::fs::read_to_string(dir.join("lab/address"))?.trim().trim_start_matches("https://").to_owned();
    let mut login = lab.command("sweepctl").args(["login", &address]).stdin(Stdio::piped()).spawn()?;
    login.stdin.take().context("a pipe")?.write_all(&init.stdout)?;
    ensure!(login.wait()?.success(), "login");
    let (mut died, mut tokens) = (0, vec![init.stdout]);
    for place in 0..places {
        let home = format!("agent-{place}");
        let token = lab.command("sweepctl").args(["admin", "agent-token", "--note", &home]).output()?;
        ensure!(token.status.success(), "agent-token: {}", String::from_utf8_lossy(&token.stderr));
        private(&dir.join(format!("{home}.join")), &String::from_utf8_lossy(&token.stdout))?;
        tokens.push(token.stdout);
        let program = if who == Who::Agent { AGENT } else { COORDINATOR };
        arm(&lab.folder, Round::every(program, place + 1))?;
        std::fs::write(lab.folder.join(format!("{program}.next")), place.to_string())?;
        if who == Who::Coordinator {
            // Its start is looked at elsewhere.
            coordinator.end()?;
            std::fs::write(lab.folder.join(format!("{COORDINATOR}.hold")), "")?;
            coordinator = lab.serve(&address)?;
            std::fs::remove_file(lab.folder.join(format!("{COORDINATOR}.hold")))?;
        }
        let mut agent = lab.join(&address, &home)?;
        let member = dir.join(&home).join("member.pem");
        wait_for("an agent that has joined", || {
            if lab.has_died(&mut coordinator, who == Who::Coordinator, &mut died) {
                coordinator = lab.serve(&address).ok()?;
            }
            if lab.has_died(&mut agent, who == Who::Agent, &mut died) {
                agent = lab.join(&address, &home).ok()?;
            }
            // Its service does this where the token is of no use or nobody answers.
            if agent.0.try_wait().ok()?.is_some() {
                agent = lab.join(&address, &home).ok()?;
            }
            (member.exists() && lab.is_reachable(&home)).then_some(())
        })
        .with_context(|| {
            format!("place {place}\n{}", std::fs::read_to_string(dir.join(format!("{home}.log"))).unwrap_or_default())
        })?;
        ensure!(
            !dir.join(&home).join("joining.pem").exists(),
            "the key that nobody waits with any more is still there"
        );
        agent.end()?;
    }
    lab.keeps_secrets(&tokens)?;
    Ok(died)
}

struct Lab {
    bin: PathBuf,
    dir: PathBuf,
    folder: PathBuf,
    library: PathBuf,
}

/// A process that ends with its owner.
struct Running(Child);

impl Running {
    fn end(&mut self) -> Result<()> {
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

impl Lab {
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.bin.join(program));
        command
            .current_dir(&self.dir)
            .env("HOME", &self.dir)
            .env("SWEEP_LOG", "debug")
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("XDG_STATE_HOME");
        command.env_remove("SWEEP_SERVER").stdout(Stdio::piped()).stderr(Stdio::piped()).stdin(Stdio::null());
        command
    }

    /// What is logged, in detail, says no token and no key. A token ends with what nobody knows, before the fingerprint of the CA.
    fn keeps_secrets(&self, tokens: &[Vec<u8>]) -> Result<()> {
        for entry in std::fs::read_dir(&self.dir)? {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != "log") {
                continue;
            }
            let log = String::from_utf8_lossy(&std::fs::read(&path)?).into_owned();
            ensure!(log.contains("DEBUG"), "{} is not in detail", path.display());
            ensure!(!log.contains("PRIVATE KEY"), "{} has a key in it", path.display());
            for token in tokens {
                let token = String::from_utf8_lossy(token);
                let secret = token.trim().split('.').next().unwrap_or_default();
                let end = secret.get(secret.len().saturating_sub(20)..).filter(|end| end.len() == 20);
                let end = end.context("a token without a secret")?;
                ensure!(!log.contains(end), "{} has a token in it", path.display());
            }
        }
        Ok(())
    }

    /// A program that dies where it is told to.
    fn doomed(&self, program: &str, log: &str) -> Result<Command> {
        let mut command = self.command(program);
        command.env("LD_PRELOAD", &self.library).env("CRASH", &self.folder).env("CRASH_ROOT", &self.dir);
        let log = std::fs::File::options().create(true).append(true).open(self.dir.join(log))?;
        command.stdout(Stdio::null()).stderr(log);
        Ok(command)
    }

    fn serve(&self, address: &str) -> Result<Running> {
        let file = self.dir.join("lab/address");
        std::fs::remove_file(&file).ok();
        let mut command = self.doomed(COORDINATOR, "coordinator.log")?;
        let child = command.args(["--data", "lab", "--listen", address]).spawn().context("sweep-coordinator")?;
        wait_for("the coordinator", || file.exists().then_some(()))?;
        Ok(Running(child))
    }

    fn join(&self, address: &str, home: &str) -> Result<Running> {
        let mut command = self.doomed(AGENT, &format!("{home}.log"))?;
        command.args(["--coordinator", &format!("https://{address}"), "--join-file", &format!("{home}.join")]);
        command.args(["--state", home, "--cache", "cache", "--slots", "1", "--trainer"]);
        Ok(Running(command.arg(self.bin.join("sweep-noop-trainer")).spawn().context("sweep-agent")?))
    }

    /// Whether the coordinator hears an agent that it knows as a member.
    fn is_reachable(&self, home: &str) -> bool {
        let Ok(id) = std::fs::read_to_string(self.dir.join(home).join("agent-id")) else { return false };
        let Ok(shown) = self.command("sweepctl").args(["agents", "--json"]).output() else { return false };
        let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap_or_default();
        let mut agents = shown["agents"].as_array().into_iter().flatten();
        agents.any(|agent| agent["agent"].as_str() == Some(id.trim()) && agent["status"] == "reachable")
    }

    /// Whether a program has died as it was told to.
    fn has_died(&self, program: &mut Running, is_doomed: bool, died: &mut u32) -> bool {
        use std::os::unix::process::ExitStatusExt as _;
        let has_died =
            is_doomed && program.0.try_wait().is_ok_and(|end| end.and_then(|end| end.signal()) == Some(SIGKILL));
        *died += u32::from(has_died);
        has_died
    }
}
