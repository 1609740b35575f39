//! Whoever uses the simulated cluster: submits, more than once, as people do; cancels and changes their mind; runs again what has
//! failed; and waits until all of it is done.

use std::time::Duration;

use sweep_identity::wire::Wire;
use sweep_proto::v1;
use sweep_proto::v1::sweeps_client::SweepsClient;
use sweep_proto::v1::upkeep_client::UpkeepClient;
use tokio::time::{Instant, sleep, timeout};

use crate::random::Random;

/// How long somebody waits for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The sweeps of one run.
pub(super) fn specs(random: &mut Random) -> Vec<String> {
    let count = 1 + random.below(2);
    (0..count).map(|number| spec(random, number)).collect()
}

fn spec(random: &mut Random, number: u64) -> String {
    let retries = [0, 1, 3, 50][random.below(4) as usize];
    let seeds = 1 + random.below(2);
    let head = |epochs: u64| {
        format!(
            "name = \"sweep-{number}\"\ndataset = \"none\"\nepochs = {epochs}\nseeds = {seeds}\nmax_retries = {retries}\n"
        )
    };
    let grid = "[grid]\nlr = [1e-4, 1e-3, 1e-2]\n";
    match random.below(6) {
        0..3 => format!("{}\n{grid}", head(1 + random.below(5))),
        3 => format!("{}stop = \"asha\"\n\n{grid}dropout = [0.0, 0.2]\n", head(5)),
        4 => {
            let rule = ["halving", "hyperband", "asha-stop", "median"][random.below(4) as usize];
            let more = if rule == "median" { "min_configurations = 2\n" } else { "" };
            format!("{}\n[stop]\nrule = \"{rule}\"\n{more}\n{grid}dropout = [0.0, 0.2]\n", head(5))
        }
        _ => format!(
            "{}search = \"tpe\"\nsamples = 12\n\n[grid]\nlr = {{ log_uniform = [1e-5, 1e-1] }}\n",
            head(1 + random.below(3))
        ),
    }
}

/// Submits and waits for the end. With `meddles_until`, cancels now and then before that time.
pub(super) async fn ann(wire: Wire, specs: Vec<String>, mut random: Random, meddles_until: Option<Instant>) {
    for spec in &specs {
        let mut times = 1 + random.below(2);
        while times > 0 {
            let mut client = SweepsClient::new(wire.clone());
            let request = v1::SubmitRequest { spec: spec.clone().into_bytes().into(), ..Default::default() };
            if matches!(timeout(PATIENCE, client.submit(request)).await, Ok(Ok(_))) {
                times -= 1;
            } else {
                sleep(Duration::from_millis(500)).await;
            }
        }
    }
    loop {
        sleep(Duration::from_millis(1000 + random.below(3000))).await;
        let mut client = SweepsClient::new(wire.clone());
        let asked = timeout(PATIENCE, client.list(v1::ListRequest { limit: 0 })).await;
        let Ok(Ok(listed)) = asked else { continue };
        let sweeps = listed.into_inner().sweeps;
        if sweeps.iter().all(|sweep| sweep.completed + sweep.stopped == sweep.trials && sweep.status == "completed") {
            return;
        }
        for sweep in sweeps {
            let again = sweep.failed > 0 || sweep.cancelled > 0 || sweep.status == "suspended";
            let name = sweep.name;
            if meddles_until.is_some_and(|until| Instant::now() < until) && random.chance(10) {
                let request = v1::CancelRequest { sweep: name, user: "ann".into(), ..Default::default() };
                drop(timeout(PATIENCE, client.cancel(request)).await);
            } else if again && random.chance(50) {
                let request = v1::RetryRequest { sweep: name, cancelled: true, user: "ann".into() };
                drop(timeout(PATIENCE, client.retry(request)).await);
            }
        }
    }
}

/// Whoever runs the coordinator: sees after a while that it is in safe mode, and goes on without what was lost a while after that.
pub(super) async fn admin(wire: Wire, mut random: Random) {
    loop {
        sleep(Duration::from_millis(1000 + random.below(20_000))).await;
        let asked = timeout(PATIENCE, SweepsClient::new(wire.clone()).info(v1::InfoRequest {})).await;
        if !asked.is_ok_and(|answer| answer.is_ok_and(|info| !info.into_inner().safe_mode.is_empty())) {
            continue;
        }
        sleep(Duration::from_millis(random.below(60_000))).await;
        let request = v1::AcceptRollbackRequest { user: "root".into() };
        drop(timeout(PATIENCE, UpkeepClient::new(wire.clone()).accept_rollback(request)).await);
    }
}
