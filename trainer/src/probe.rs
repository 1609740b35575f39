//! Which precision and layout are the fastest here, found by a few steps of each on a network that
//! is thrown away. The first trial of its kind on a host looks; its finding is kept beside the
//! decoded images, so that all trials of a sweep on this host compute alike.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use sweep_core::recipe::Recipe;
use tch::{Device, Kind, Tensor};

use crate::data::cache::hex;
use crate::error::TrainError;
use crate::init::Files;
use crate::link::Stop;
use crate::log::say;
use crate::model::Mode;
use crate::numerics::Numerics;
use crate::seed::{Purpose, stream};
use crate::state::cross_entropy;

/// Steps of each candidate that are timed, the fastest counts; one more comes before them.
const STEPS: usize = 5;
/// No more steps once they took so long, all together.
const LONG: Duration = Duration::from_secs(2);
/// Images in a step, at most: what wins with these wins with more.
const IMAGES: u32 = 64;
/// A plainer candidate is given up only for one that needs less than this share of its time.
const CLEARLY: f64 = 0.95;

/// What a probe is about: another value, another probe.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Folder of the host's findings.
    pub cache_dir: &'a Path,
    /// As the order names it.
    pub device_name: &'a str,
    /// That device.
    pub device: Device,
    /// Threads of this process.
    pub threads: u32,
}

/// What was found, as it is kept.
#[derive(Debug, Serialize, Deserialize)]
struct Finding {
    chosen: Numerics,
    /// For people: each candidate with the time of its step, milliseconds.
    steps: Vec<(String, f64)>,
}

/// The numerics of a new trial.
pub fn choose(
    recipe: &Recipe,
    files: &Files,
    classes: u32,
    place: Place<'_>,
    stop: &Stop,
) -> Result<Numerics, TrainError> {
    let allowed = Numerics::allowed(recipe);
    if let [only] = allowed.as_slice() {
        return Ok(*only);
    }
    let path = place.cache_dir.join(format!("probe-{}.json", key(recipe, classes, place)));
    let known = read(&path, &allowed);
    let (finding, how) = match known {
        Some(finding) => (finding, "found before"),
        None => {
            let finding = measure(recipe, files, classes, place.device, &allowed, stop)?;
            // Whoever was faster has decided for all.
            (keep(&path, &finding).and_then(|()| read(&path, &allowed)).unwrap_or(finding), "measured")
        }
    };
    let steps: Vec<_> = finding.steps.iter().map(|(what, ms)| format!("{what}: {ms:.1} ms")).collect();
    say(format_args!("{} ({how}; a step took with {})", finding.chosen, steps.join("; ")));
    Ok(finding.chosen)
}

fn key(recipe: &Recipe, classes: u32, place: Place<'_>) -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let about = json!({
        "model": recipe.model, "image_size": recipe.image_size, "batch_size": recipe.batch_size, "classes": classes,
        "precision": recipe.precision, "layout": recipe.layout,
        "device": place.device_name, "threads": place.threads,
        "processor": cpu.lines().find(|line| line.starts_with("model name")),
        "build": crate::run::build_name(), "libtorch": option_env!("SWEEP_LIBTORCH_VERSION"),
    });
    hex(&Sha256::digest(about.to_string()))[..16].to_owned()
}

fn read(path: &Path, allowed: &[Numerics]) -> Option<Finding> {
    let finding: Finding = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    allowed.contains(&finding.chosen).then_some(finding)
}

/// Writes the finding unless there is one. Only time is lost if it cannot be kept.
fn keep(path: &PathBuf, finding: &Finding) -> Option<()> {
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    let text = serde_json::to_vec(finding).expect("a finding is plain JSON");
    let kept = fs::write(&temporary, text).and_then(|()| fs::hard_link(&temporary, path));
    fs::remove_file(&temporary).ok();
    match kept {
        Ok(()) => Some(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Some(()),
        Err(error) => {
            say(format_args!("cannot keep what a probe found in {}: {error}", path.display()));
            None
        }
    }
}

fn measure(
    recipe: &Recipe,
    files: &Files,
    classes: u32,
    device: Device,
    allowed: &[Numerics],
    stop: &Stop,
) -> Result<Finding, TrainError> {
    let model = files.make(recipe, classes, device)?;
    let (n, side) = (i64::from(recipe.batch_size.min(IMAGES)), i64::from(recipe.image_size));
    let images = Tensor::linspace(-2.0, 2.0, n * 3 * side * side, (Kind::Float, device)).view([n, 3, side, side]);
    let labels = Tensor::arange(n, (Kind::Int64, device)).remainder(i64::from(classes));
    let weights: Vec<&Tensor> = model.weights().map(|named| &named.tensor).collect();
    let step = |candidate: Numerics| -> Result<f64, TrainError> {
        stop.check()?;
        let began = Instant::now();
        let mut random = stream(recipe.seed, Purpose::Dropout, &[0]);
        let mut mode = Mode::Train { dropout: recipe.dropout_rate(), random: &mut random };
        let loss = cross_entropy(&candidate.forward(&model, &images, &mut mode), &labels, 0.0);
        let gradients = Tensor::f_run_backward(&[&loss], &weights, false, false)?;
        // Reading a value waits for the device.
        gradients.first().map(|gradient| gradient.sum(Kind::Float).double_value(&[]));
        Ok(began.elapsed().as_secs_f64())
    };
    for &candidate in allowed {
        step(candidate)?;
    }
    let mut steps: Vec<(Numerics, f64)> = allowed.iter().map(|&candidate| (candidate, f64::INFINITY)).collect();
    let began = Instant::now();
    // In turn, so that whatever else keeps the machine busy meanwhile is in the way of all.
    for _ in 0..STEPS {
        for (candidate, fastest) in &mut steps {
            *fastest = fastest.min(step(*candidate)?);
        }
        if began.elapsed() > LONG {
            break;
        }
    }
    let chosen = winner(&steps);
    Ok(Finding { chosen, steps: steps.iter().map(|(what, seconds)| (what.to_string(), seconds * 1e3)).collect() })
}

/// The fastest, unless a plainer one is about as fast.
fn winner(steps: &[(Numerics, f64)]) -> Numerics {
    let fastest = steps.iter().map(|(_, seconds)| *seconds).fold(f64::INFINITY, f64::min);
    let about = steps.iter().find(|(_, seconds)| fastest >= seconds * CLEARLY);
    about.map_or(Numerics::PLAIN, |(numerics, _)| *numerics)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(text: &str) -> Recipe {
        serde_json::from_str(text).expect("a recipe")
    }

    #[test]
    fn a_winner_must_win_clearly() {
        let all = Numerics::allowed(&recipe(r#"{"dataset":"d","precision":"auto","layout":"auto"}"#));
        let with = |seconds: [f64; 4]| winner(&all.iter().copied().zip(seconds).collect::<Vec<_>>());
        assert_eq!(all.len(), 4);
        assert_eq!(all[0], Numerics::PLAIN);
        assert_eq!(with([1.0, 0.99, 0.97, 0.96]), all[0]);
        assert_eq!(with([1.0, 0.5, 0.49, 0.9]), all[1]);
        assert_eq!(with([1.0, 0.5, 0.4, 0.2]), all[3]);
        assert_eq!(with([f64::NAN; 4]), Numerics::PLAIN);
    }

    #[test]
    fn the_first_finding_decides_for_all() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let place = |threads| Place { cache_dir: folder.path(), device_name: "cpu", device: Device::Cpu, threads };
        let recipe = recipe(
            r#"{"dataset":"d","model":"cifar-cnn","image_size":32,"batch_size":4,"precision":"auto","layout":"auto"}"#,
        );
        let stop = Stop::default();
        choose(&recipe, &Files::default(), 3, place(1), &stop).expect("a choice");
        // Another one decided otherwise, a moment before.
        let path = folder.path().join(format!("probe-{}.json", key(&recipe, 3, place(1))));
        for chosen in Numerics::allowed(&recipe) {
            fs::remove_file(&path).expect("the finding");
            keep(&path, &Finding { chosen, steps: Vec::new() }).expect("kept");
            keep(&path, &Finding { chosen: Numerics::PLAIN, steps: Vec::new() }).expect("left alone");
            assert_eq!(choose(&recipe, &Files::default(), 3, place(1), &stop).expect("a choice"), chosen);
        }
        fs::write(&path, "{").expect("damage");
        choose(&recipe, &Files::default(), 3, place(1), &stop).expect("a choice in spite of it");
        choose(&recipe, &Files::default(), 3, place(2), &stop).expect("a choice for two threads");
        assert_eq!(fs::read_dir(folder.path()).expect("the folder").count(), 2);
    }
}
