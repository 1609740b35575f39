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
use sweep_core::attempt::Work;
use sweep_core::recipe::{Numerics, OutOfRange, Recipe};
use tch::{Device, Kind, Tensor};

use crate::data::cache::hex;
use crate::error::TrainError;
use crate::init::Files;
use crate::link::Stop;
use crate::log::say;
use crate::model::Mode;
use crate::numerics::forward;
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

/// The numerics of a new trial: what its sweep has decided, else what the first of the trials that have to
/// compute alike found on this host, else what is found now.
pub fn choose(work: &Work, files: &Files, classes: u32, place: Place<'_>, stop: &Stop) -> Result<Numerics, TrainError> {
    let recipe = &work.recipe;
    let allowed = Numerics::allowed(recipe);
    if let Some(decided) = work.numerics {
        if !allowed.contains(&decided) {
            let allowed = "what the recipe leaves open".to_owned();
            let wrong = OutOfRange { path: "numerics".to_owned(), value: decided.to_string(), allowed };
            return Err(TrainError::OutOfRange(vec![wrong]));
        }
        say(format_args!("{decided} (as the sweep does)"));
        return Ok(decided);
    }
    if let [only] = allowed.as_slice() {
        return Ok(*only);
    }
    let file = |kind: &str, key: &str| place.cache_dir.join(format!("{kind}-{key}.json"));
    let path = file("probe", &key(recipe, classes, place));
    let group = work.alike.as_ref().map(|name| file("choice", &hex(&Sha256::digest(name))[..16]));
    let known = group.as_ref().and_then(|path| read(path, &allowed)).map(|finding| (finding, "as other trials here"));
    let (finding, how) = match known.or_else(|| read(&path, &allowed).map(|finding| (finding, "found before"))) {
        Some(known) => known,
        None => {
            let finding = measure(recipe, files, classes, place.device, &allowed, stop)?;
            (shared(&path, finding, &allowed), "measured")
        }
    };
    let finding = match group {
        Some(group) => shared(&group, finding, &allowed),
        None => finding,
    };
    let steps: Vec<_> = finding.steps.iter().map(|(what, ms)| format!("{what}: {ms:.1} ms")).collect();
    say(format_args!("{} ({how}; a step took with {})", finding.chosen, steps.join("; ")));
    Ok(finding.chosen)
}

/// Keeps a finding for others, or takes theirs: whoever was first has decided for all.
fn shared(path: &PathBuf, finding: Finding, allowed: &[Numerics]) -> Finding {
    keep(path, &finding).and_then(|()| read(path, allowed)).unwrap_or(finding)
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
    let folder = path.parent().map_or(Ok(()), fs::create_dir_all);
    let kept = folder.and_then(|()| fs::write(&temporary, text)).and_then(|()| fs::hard_link(&temporary, path));
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
        let loss = cross_entropy(&forward(candidate, &model, &images, &mut mode), &labels, 0.0);
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

    fn work(fields: &str) -> Work {
        let recipe = recipe(&format!(
            r#"{{"dataset":"d","model":"cifar-cnn","image_size":32,"precision":"auto","layout":"auto",{fields}}}"#
        ));
        let trial = sweep_core::id::TrialId::derive(sweep_core::id::SweepId::derive("probe", ""), "");
        Work::new(sweep_core::id::Lease { trial, attempt: 1 }, recipe)
    }

    fn chosen(work: &Work, folder: &Path, threads: u32) -> Numerics {
        let place = Place { cache_dir: folder, device_name: "cpu", device: Device::Cpu, threads };
        choose(work, &Files::default(), 3, place, &Stop::default()).expect("a choice")
    }

    fn file(folder: &Path, kind: &str) -> PathBuf {
        let mut files = fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("an entry").path());
        let of_kind = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(kind));
        files.find(of_kind).expect("a file of this kind")
    }

    #[test]
    fn the_first_finding_decides_for_all() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let folder = folder.path();
        let work = work(r#""batch_size":4"#);
        chosen(&work, folder, 1);
        // Another one decided otherwise, a moment before.
        let path = file(folder, "probe-");
        for first in Numerics::allowed(&work.recipe) {
            fs::remove_file(&path).expect("the finding");
            keep(&path, &Finding { chosen: first, steps: Vec::new() }).expect("kept");
            keep(&path, &Finding { chosen: Numerics::PLAIN, steps: Vec::new() }).expect("left alone");
            assert_eq!(chosen(&work, folder, 1), first);
        }
        fs::write(&path, "{").expect("damage");
        chosen(&work, folder, 1);
        chosen(&work, folder, 2);
        assert_eq!(fs::read_dir(folder).expect("the folder").count(), 2);
    }

    #[test]
    fn trials_that_have_to_compute_alike_do_whatever_their_batch() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let folder = folder.path();
        let of =
            |batch: u32, alike: &str| Work { alike: Some(alike.into()), ..work(&format!(r#""batch_size":{batch}"#)) };
        let here = chosen(&of(4, "sweep/cifar-cnn"), folder, 1);
        for other in Numerics::allowed(&of(8, "").recipe).into_iter().filter(|other| *other != here) {
            // What a probe says of another batch does not count for this sweep, and does for another.
            fs::remove_file(file(folder, "probe-")).expect("the finding");
            chosen(&work(r#""batch_size":8"#), folder, 1);
            let path = file(folder, "probe-");
            fs::remove_file(&path).expect("the finding");
            keep(&path, &Finding { chosen: other, steps: Vec::new() }).expect("kept");
            assert_eq!(chosen(&of(8, "sweep/cifar-cnn"), folder, 1), here);
            assert_eq!(chosen(&of(8, &format!("another/{other}")), folder, 1), other);
        }
    }

    #[test]
    fn what_the_sweep_has_decided_is_not_probed() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let mut work = work(r#""batch_size":4"#);
        for decided in Numerics::allowed(&work.recipe) {
            work.numerics = Some(decided);
            assert_eq!(chosen(&work, folder.path(), 1), decided);
        }
        assert_eq!(fs::read_dir(folder.path()).expect("the folder").count(), 0);
        work.recipe.precision = sweep_core::recipe::Precision::Fp32;
        let place = Place { cache_dir: folder.path(), device_name: "cpu", device: Device::Cpu, threads: 1 };
        let wrong = choose(&work, &Files::default(), 3, place, &Stop::default()).expect_err("fp32 was asked for");
        assert!(wrong.to_string().contains("numerics"), "{wrong}");
    }
}
