//! Runs in an MLflow server, through its REST API (`/api/2.0/mlflow`): an experiment for the sweep, a run for each trial with its
//! settings as parameters and its epochs as metrics. What is there already stays as it is.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use sweep_core::report::{Curve, PointRow, Report, TrialRow};
use ureq::Agent;

/// How long the server may take for an answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// Most metrics in one call, by the limits of MLflow.
const AT_ONCE: usize = 1000;
/// Longest value of a parameter that every version of MLflow takes.
const LONGEST: usize = 500;
/// What a run of ours is recognised by.
const TRIAL: &str = "sweep.trial";

/// Why the runs could not be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MlflowFault {
    /// A URL is shown in process lists and errors.
    #[error("the URL has a user or a password in it; name the server only, and give a token in MLFLOW_TRACKING_TOKEN")]
    Secret,
    /// Nobody answers like an MLflow server.
    #[error("{url} does not answer")]
    Silent {
        /// What was called.
        url: String,
        /// What happened.
        source: Box<ureq::Error>,
    },
    /// It says no.
    #[error("{url} answers {status}: {message}")]
    Refused {
        /// What was called.
        url: String,
        /// The HTTP status.
        status: u16,
        /// What it says.
        message: String,
    },
    /// It says something else than MLflow does.
    #[error("{url} answers without `{what}`: is it an MLflow server?")]
    Strange {
        /// What was called.
        url: String,
        /// What is missing.
        what: &'static str,
    },
}

/// What was done.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Written {
    /// Runs that are new, or were not finished before.
    pub(super) runs: usize,
    /// Runs of trials that were written whole before.
    pub(super) there: usize,
}

/// A server, and who asks.
#[derive(Debug)]
struct Server {
    agent: Agent,
    url: String,
    token: Option<String>,
}

/// Writes every trial that has trained. `token` is sent as a bearer token.
pub(super) fn export(url: &str, token: Option<String>, report: &Report) -> Result<Written, MlflowFault> {
    if url.contains('@') {
        return Err(MlflowFault::Secret);
    }
    let agent = Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(PATIENCE))
        .user_agent(concat!("sweepctl/", env!("CARGO_PKG_VERSION")))
        .build()
        .into();
    let server = Server { agent, url: format!("{}/api/2.0/mlflow", url.trim_end_matches('/')), token };
    let experiment = server.experiment(report)?;
    let known = server.known(&experiment)?;
    let mut written = Written::default();
    for row in &report.points {
        for trial in &row.trials {
            let curve = report.curves.iter().find(|curve| curve.point == row.point && curve.seed == trial.seed);
            let Some(curve) = curve.filter(|curve| !curve.epochs.is_empty()) else { continue };
            let id = trial.trial.to_string();
            let run = match known.get(&id) {
                Some((_, status)) if status != "RUNNING" => {
                    written.there += 1;
                    continue;
                }
                Some((run, _)) => run.clone(),
                None => server.create(&experiment, report, row, trial)?,
            };
            server.fill(&run, report, row, trial, curve)?;
            written.runs += 1;
        }
    }
    Ok(written)
}

impl Server {
    fn call(&self, path: &str, body: Option<&Value>) -> Result<(u16, Value), MlflowFault> {
        let url = format!("{}/{path}", self.url);
        let silent = |source: ureq::Error| MlflowFault::Silent { url: url.clone(), source: Box::new(source) };
        let bearer = self.token.as_ref().map(|token| format!("Bearer {token}"));
        let answer = match body {
            Some(body) => {
                let mut request = self.agent.post(&url);
                if let Some(bearer) = &bearer {
                    request = request.header("Authorization", bearer);
                }
                request.content_type("application/json").send(body.to_string())
            }
            None => {
                let mut request = self.agent.get(&url);
                if let Some(bearer) = &bearer {
                    request = request.header("Authorization", bearer);
                }
                request.call()
            }
        };
        let mut answer = answer.map_err(silent)?;
        let status = answer.status().as_u16();
        let text = answer.body_mut().read_to_string().map_err(silent)?;
        Ok((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value, MlflowFault> {
        let (status, answer) = self.call(path, Some(body))?;
        if status == 200 { Ok(answer) } else { Err(self.refused(path, status, &answer)) }
    }

    fn refused(&self, path: &str, status: u16, answer: &Value) -> MlflowFault {
        let said = answer["message"].as_str().or(answer.as_str()).unwrap_or_default();
        let message: String = said.chars().filter(|c| !c.is_control()).take(300).collect();
        MlflowFault::Refused { url: format!("{}/{path}", self.url), status, message }
    }

    fn text(&self, path: &str, found: &Value, what: &'static str) -> Result<String, MlflowFault> {
        let strange = || MlflowFault::Strange { url: format!("{}/{path}", self.url), what };
        found.as_str().map(str::to_owned).ok_or_else(strange)
    }

    /// The experiment with the name of the sweep; made if there is none.
    fn experiment(&self, report: &Report) -> Result<String, MlflowFault> {
        let create = "experiments/create";
        let tags = json!([{ "key": "sweep.id", "value": report.sweep.to_string() }]);
        let (status, answer) = self.call(create, Some(&json!({ "name": report.name, "tags": tags })))?;
        if status == 200 {
            return self.text(create, &answer["experiment_id"], "experiment_id");
        }
        if answer["error_code"] != "RESOURCE_ALREADY_EXISTS" {
            return Err(self.refused(create, status, &answer));
        }
        // Names of sweeps need no escape in a URL.
        let find = format!("experiments/get-by-name?experiment_name={}", report.name);
        match self.call(&find, None)? {
            (200, answer) => self.text(&find, &answer["experiment"]["experiment_id"], "experiment_id"),
            (status, answer) => Err(self.refused(&find, status, &answer)),
        }
    }

    /// By trial, its run and how far that is.
    fn known(&self, experiment: &str) -> Result<BTreeMap<String, (String, String)>, MlflowFault> {
        let mut known = BTreeMap::new();
        let mut page = String::new();
        loop {
            let mut ask = json!({ "experiment_ids": [experiment], "max_results": 1000 });
            if !page.is_empty() {
                ask["page_token"] = json!(page);
            }
            let answer = self.post("runs/search", &ask)?;
            for run in answer["runs"].as_array().into_iter().flatten() {
                let tags = run["data"]["tags"].as_array().into_iter().flatten();
                let trial = tags.filter(|tag| tag["key"] == TRIAL).find_map(|tag| tag["value"].as_str());
                let (id, status) = (run["info"]["run_id"].as_str(), run["info"]["status"].as_str());
                if let (Some(trial), Some(id)) = (trial, id) {
                    known.insert(trial.to_owned(), (id.to_owned(), status.unwrap_or("RUNNING").to_owned()));
                }
            }
            match answer["next_page_token"].as_str() {
                Some(next) if !next.is_empty() => page = next.to_owned(),
                _ => return Ok(known),
            }
        }
    }

    fn create(
        &self,
        experiment: &str,
        report: &Report,
        row: &PointRow,
        trial: &TrialRow,
    ) -> Result<String, MlflowFault> {
        let name = format!("point {} seed {}", row.point, trial.seed);
        let tag = |key: &str, value: String| json!({ "key": key, "value": value });
        let tags = [
            tag(TRIAL, trial.trial.to_string()),
            tag("sweep.id", report.sweep.to_string()),
            tag("sweep.point", row.point.to_string()),
            tag("mlflow.user", report.provenance.user.clone()),
            tag("mlflow.runName", name.clone()),
        ];
        let ask = json!({
            "experiment_id": experiment, "run_name": name, "tags": tags, "start_time": millis(report.provenance.submitted),
        });
        let answer = self.post("runs/create", &ask)?;
        self.text("runs/create", &answer["run"]["info"]["run_id"], "run_id")
    }

    /// Parameters and metrics, then the end. Written twice they are what they are: a run that was cut off is filled again.
    fn fill(
        &self,
        run: &str,
        report: &Report,
        row: &PointRow,
        trial: &TrialRow,
        curve: &Curve,
    ) -> Result<(), MlflowFault> {
        let value = |text: &str| text.chars().take(LONGEST).collect::<String>();
        let settings = row.settings.iter().map(|(path, label)| json!({ "key": path, "value": value(label) }));
        let params: Vec<Value> = settings.chain([json!({ "key": "seed", "value": trial.seed.to_string() })]).collect();
        for params in params.chunks(100) {
            self.post("runs/log-batch", &json!({ "run_id": run, "params": params }))?;
        }
        let at = millis(report.provenance.submitted);
        let epochs = curve.epochs.iter();
        let metrics: Vec<Value> = epochs
            .flat_map(|epoch| {
                let names = [
                    ("val_accuracy", epoch.val_accuracy),
                    ("val_loss", epoch.val_loss),
                    ("train_accuracy", epoch.train_accuracy),
                    ("train_loss", epoch.train_loss),
                ];
                names.map(|(key, value)| json!({ "key": key, "value": number(value.0), "timestamp": at, "step": epoch.epoch }))
            })
            .collect();
        for metrics in metrics.chunks(AT_ONCE) {
            self.post("runs/log-batch", &json!({ "run_id": run, "metrics": metrics }))?;
        }
        let status = match trial.phase.as_str() {
            // At the end of a budget it is at its end.
            _ if trial.is_at_its_end() => "FINISHED",
            "failed" => "FAILED",
            "stopped" | "cancelled" => "KILLED",
            _ => return Ok(()),
        };
        let ended = millis(report.provenance.ended.unwrap_or(report.provenance.submitted));
        self.post("runs/update", &json!({ "run_id": run, "status": status, "end_time": ended })).map(drop)
    }
}

fn millis(micros: i64) -> i64 {
    micros / 1000
}

/// As protobuf's JSON has numbers that JSON has not.
fn number(value: f64) -> Value {
    match value {
        value if value.is_nan() => json!("NaN"),
        f64::INFINITY => json!("Infinity"),
        f64::NEG_INFINITY => json!("-Infinity"),
        value => json!(value),
    }
}
