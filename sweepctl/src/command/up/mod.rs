//! `up`: a coordinator and an agent on this machine, looked after until Ctrl-C. What dies is
//! started again; what an earlier `up` left running is taken over.

mod process;
mod programs;

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep, timeout};

use self::process::{Process, Recipe};
use self::programs::Place;
use crate::cli;
use crate::client::Client;
use crate::config::{Config, address_in, url};
use crate::fault::{Fault, count};
use crate::login::Way;
use crate::output::{Out, safe};

/// How long a program may take until it is ready, seconds.
const READY_SECONDS: u64 = 30;
/// How often readiness is asked for.
const ASK_EVERY: Duration = Duration::from_millis(50);
/// Pause before a program that died is started again; doubled while it keeps dying.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// Longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A program that lived so long gets the first pause again.
const LIVED_WELL: Duration = Duration::from_secs(30);
/// How long an agent may take until it has said which data sets it has, before it is taken to have none.
const LOOKED_AROUND: Duration = Duration::from_secs(5);
/// How long programs may take to end before they are killed.
const GRACE: Duration = Duration::from_secs(30);

/// A program with its process, and how it fared.
struct Ward {
    recipe: Recipe,
    process: Process,
    since: Instant,
    pause: Duration,
}

/// Starts what is not running, says where things are, and stays.
pub(crate) async fn run(out: &Out, config: &Config, args: &cli::Up) -> Result<(), Fault> {
    let mut place = Place::new(config, args)?;
    let lock = place.state.join("up.lock");
    let disk = |source| Fault::Disk { what: "lock", path: lock.clone(), source };
    let file = File::options().create(true).truncate(false).write(true).open(&lock).map_err(disk)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return already(out, &place.state).await,
        Err(TryLockError::Error(error)) => return Err(disk(error)),
    }
    // Before anything is started, so that no signal finds it half done.
    let mut stop = Stop::new()?;
    let coordinator = place.coordinator()?;
    let adopted = coordinator.adopt();
    if adopted.is_none() && place.answers().await {
        return already(out, &place.state).await;
    }
    if adopted.is_none() {
        // It names a coordinator that is gone; the new one writes its own. It may never have been there.
        let _ = fs::remove_file(place.state.join("coordinator").join("address"));
    }
    let mut coordinator = Ward::new(out, coordinator, adopted)?;
    let mut agent = None;
    let started = tokio::select! {
        started = start(out, &mut place, &mut coordinator, &mut agent) => started.map(Some),
        () = stop.asked() => Ok(None),
    };
    let result = match (started, &mut agent) {
        (Ok(Some(client)), Some(agent)) => {
            // Whoever started this may not read what it says; that is no reason to end.
            match greet(out, &place, &client).await {
                Ok(()) | Err(Fault::Closed) => {
                    let kept = keep(out, &place, &mut coordinator, agent, &mut stop).await;
                    farewell(out, &client).await;
                    kept
                }
                Err(fault) => Err(fault),
            }
        }
        (Ok(_), _) => Ok(()),
        (Err(fault), _) => Err(fault),
    };
    if result.is_ok() {
        out.note("stopping");
    }
    shut_down(out, coordinator, agent, &mut stop).await;
    result
}

/// Somebody else looks after this state folder.
async fn already(out: &Out, state: &Path) -> Result<(), Fault> {
    let find = async {
        loop {
            if let Some(address) = address_in(state)
                && let Ok(way) = Way::to(&url(&address), Some(state))
                && Client::connect(&way).await.is_ok()
            {
                return url(&address);
            }
            sleep(ASK_EVERY).await;
        }
    };
    let wait = Duration::from_secs(READY_SECONDS);
    let log = state.join("log").join("coordinator.log");
    let late = |_| Fault::NotReady { program: "the coordinator", seconds: READY_SECONDS, log };
    let server = timeout(wait, find).await.map_err(late)?;
    out.note(format!("already running, with its state in {}", state.display()));
    out.print(format!("{server}\n"))
}

/// Starts both and waits until they can be used.
async fn start(
    out: &Out,
    place: &mut Place,
    coordinator: &mut Ward,
    agent: &mut Option<Ward>,
) -> Result<Client, Fault> {
    let client = ready(place, coordinator).await?;
    place.server = Some(client.server().to_owned());
    let recipe = place.agent()?;
    let adopted = recipe.adopt();
    let agent = agent.insert(Ward::new(out, recipe, adopted)?);
    let deadline = Instant::now() + Duration::from_secs(READY_SECONDS);
    loop {
        // First, because an agent that is not ours may be reachable, too.
        agent.check(deadline)?;
        if client.agents().await?.iter().any(|agent| agent.status == "reachable") {
            return Ok(client);
        }
        sleep(ASK_EVERY).await;
    }
}

/// Waits until the coordinator serves.
async fn ready(place: &Place, coordinator: &mut Ward) -> Result<Client, Fault> {
    let deadline = Instant::now() + Duration::from_secs(READY_SECONDS);
    loop {
        if let Some(address) = address_in(&place.state)
            && let Ok(way) = place.way(&address)
            && let Ok(client) = Client::connect(&way).await
            && client.is_serving().await
        {
            return Ok(client);
        }
        coordinator.check(deadline)?;
        sleep(ASK_EVERY).await;
    }
}

/// Says where things are and what to do next.
async fn greet(out: &Out, place: &Place, client: &Client) -> Result<(), Fault> {
    out.note("the coordinator and an agent are running, for you alone: whoever calls them shows a token that only you can read");
    out.note(format!("state    {}", place.state.display()));
    out.note(format!("logs     {}", place.state.join("log").display()));
    // A restarted coordinator knows the agent before the agent has said again what it has.
    let deadline = Instant::now() + LOOKED_AROUND;
    let sets = loop {
        let sets: Vec<String> = client.agents().await?.into_iter().flat_map(|agent| agent.datasets).collect();
        if !sets.is_empty() || !place.has_data() || Instant::now() >= deadline {
            break sets;
        }
        sleep(ASK_EVERY).await;
    };
    match sets.as_slice() {
        [] => out.note("data     no data sets found; --data DIR names a folder that holds some"),
        some => out.note(format!("data     {}", safe(&some.join(", ")))),
    }
    let default = format!("http://{}", crate::config::DEFAULT_LISTEN);
    if place.is_default || client.server() == default {
        out.note("next     sweepctl submit FILE --watch (in another terminal; Ctrl-C here stops everything)");
    } else {
        let server = client.server();
        out.note(format!("next     SWEEP_SERVER={server} sweepctl submit FILE --watch (Ctrl-C here stops everything)"));
    }
    out.print(format!("{}\n", client.server()))
}

/// Starts again whatever dies, until somebody wants the end.
async fn keep(
    out: &Out,
    place: &Place,
    coordinator: &mut Ward,
    agent: &mut Ward,
    stop: &mut Stop,
) -> Result<(), Fault> {
    loop {
        let (ward, how) = tokio::select! {
            () = stop.asked() => return Ok(()),
            how = coordinator.process.ended() => (&mut *coordinator, how),
            how = agent.process.ended() => (&mut *agent, how),
        };
        out.warn(format!("{} ended ({}); starting it again", ward.recipe.name, ending(how)));
        if ward.since.elapsed() > LIVED_WELL {
            ward.pause = FIRST_PAUSE;
        }
        tokio::select! {
            () = stop.asked() => return Ok(()),
            () = sleep(ward.pause) => {}
        }
        ward.pause = (ward.pause * 2).min(LONGEST_PAUSE);
        // The same address as before, or nobody would find it again.
        if ward.recipe.name == programs::COORDINATOR {
            ward.recipe.arguments = place.coordinator()?.arguments;
        }
        ward.process = ward.recipe.start()?;
        ward.since = Instant::now();
    }
}

/// Says what becomes of trainings that still run.
async fn farewell(out: &Out, client: &Client) {
    let agents = timeout(Duration::from_secs(1), client.agents()).await;
    let agents = agents.ok().and_then(Result::ok).unwrap_or_default();
    let busy = agents.iter().flat_map(|agent| &agent.slots).filter(|slot| slot.trial.is_some()).count();
    if busy > 0 {
        let trainings = count(busy, "training");
        out.note(format!(
            "{trainings} still running: within {} s each saves its state and ends; `sweepctl up` goes on from there",
            programs::ORPHAN_SECONDS
        ));
    }
}

/// Asks both to end, and insists after a while or a second Ctrl-C.
async fn shut_down(out: &Out, coordinator: Ward, agent: Option<Ward>, stop: &mut Stop) {
    let mut wards: Vec<Ward> = agent.into_iter().chain([coordinator]).collect();
    wards.iter().for_each(|ward| ward.process.terminate());
    let all = async {
        for ward in &mut wards {
            ward.process.ended().await;
        }
    };
    let patient = tokio::select! {
        done = timeout(GRACE, all) => done.is_ok(),
        () = stop.asked() => false,
    };
    for ward in &mut wards {
        if !patient && ward.process.has_ended().is_none() {
            out.warn(format!(
                "{} does not end; killing it (nothing is lost: the journal is on disk)",
                ward.recipe.name
            ));
            ward.process.kill();
            ward.process.ended().await;
        }
        let _ = fs::remove_file(&ward.recipe.pid_file);
    }
}

impl Ward {
    fn new(out: &Out, recipe: Recipe, adopted: Option<Process>) -> Result<Self, Fault> {
        let process = match adopted {
            Some(process) => {
                out.note(format!(
                    "{} of an earlier `sweepctl up` is still running; taking it over as it is",
                    recipe.name
                ));
                process
            }
            None => recipe.start()?,
        };
        Ok(Self { recipe, process, since: Instant::now(), pause: FIRST_PAUSE })
    }

    /// Fails when it has ended or is late.
    fn check(&mut self, deadline: Instant) -> Result<(), Fault> {
        let (program, log) = (self.recipe.name, self.recipe.log.clone());
        if let Some(how) = self.process.has_ended() {
            return Err(Fault::Ended {
                program,
                how: ending(how),
                log,
                words: self.recipe.last_words(&self.process, 10),
            });
        }
        if Instant::now() >= deadline {
            return Err(Fault::NotReady { program, seconds: READY_SECONDS, log });
        }
        Ok(())
    }
}

/// How a program ended, for people.
fn ending(how: Option<ExitStatus>) -> String {
    how.map_or_else(|| "it was started earlier, so how is not known".to_owned(), |how| how.to_string())
}

/// Whatever asks `up` to end: Ctrl-C, SIGTERM, a closed terminal.
struct Stop {
    signals: [tokio::signal::unix::Signal; 3],
}

impl Stop {
    fn new() -> Result<Self, Fault> {
        let listen = |kind| signal(kind).map_err(Fault::Process);
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let [a, b, c] = kinds.map(listen);
        Ok(Self { signals: [a?, b?, c?] })
    }

    async fn asked(&mut self) {
        let [a, b, c] = &mut self.signals;
        tokio::select! {
            _ = a.recv() => {}
            _ = b.recv() => {}
            _ = c.recv() => {}
        }
    }
}

/// A folder that is there, as an absolute path.
fn folder(path: &Path) -> Result<PathBuf, Fault> {
    path.canonicalize().map_err(|source| Fault::Disk { what: "find the folder", path: path.to_owned(), source })
}
