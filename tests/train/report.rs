//! One command from the file to the report: real training of a grid of four factors with three seeds, on real images where they are,
//! and the numbers of its tables of points, effects and interactions again by SciPy, where that is there.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use sweep_tests::process::{Lab, Setup, built};
use sweep_tests::skipped;

use crate::{python, python_has, setup, sweep};

const FOUR: &str = "epochs = 2\nbatch_size = 64\nseeds = 3\n\n[grid]\nlr = [1e-3, 1e-2]\ndropout = [0.0, 0.5]\n\
    optimizer = [\"adam\", \"sgd\"]\naugmentation = [\"none\", \"flip-crop\"]\n";

/// At least so many of 16 points with 3 seeds: estimates, differences, effects, interactions, shares, costs. 654 are usual; where runs end
/// alike there is less to compare.
const NUMBERS: usize = 520;

/// The first images of every class of `from`, as a data set `imagenette-small` in `root`.
fn some_images(from: &Path, root: &Path) {
    for (part, most) in [("train", 24), ("val", 12)] {
        for class in fs::read_dir(from.join(part)).unwrap().flatten() {
            let to = root.join("imagenette-small").join(part).join(class.file_name());
            fs::create_dir_all(&to).unwrap();
            let mut images: Vec<_> = fs::read_dir(class.path()).unwrap().flatten().map(|file| file.path()).collect();
            images.sort();
            for image in images.iter().take(most) {
                fs::copy(image, to.join(image.file_name().unwrap())).unwrap();
            }
        }
    }
}

/// A lab and the sweep: over the demo's images, if there are no real ones.
fn of_real_images(dir: &Path) -> (Setup, String) {
    let text = sweep("four", FOUR);
    let real = sweep_tests::images::root().map(|root| root.join("imagenette-small")).filter(|folder| folder.is_dir());
    let Some(real) = real else {
        skipped("no real images ($SWEEP_TEST_DATA is not set): four factors over the demo's");
        return (setup(dir, "lab"), text);
    };
    some_images(&real, &dir.join("some"));
    let mut setup = Setup::new(built().unwrap(), dir.join("lab"));
    setup.data = vec![dir.join("some")];
    assert!(text.contains("\"demo\""), "{text}");
    (setup, text.replace("\"demo\"", "\"imagenette-small\""))
}

#[test]
fn a_grid_of_four_factors_goes_from_the_file_to_a_report_in_one_command() {
    let dir = tempfile::tempdir().unwrap();
    let (spec, out) = (dir.path().join("four.toml"), dir.path().join("out"));
    let (setup, text) = of_real_images(dir.path());
    fs::write(&spec, text).unwrap();
    let lab = Lab::start(setup).unwrap();
    lab.wait_for_agent().unwrap();
    lab.text(&["submit", spec.to_str().unwrap(), "--report", out.to_str().unwrap()]).unwrap();
    let text = |name: &str| fs::read_to_string(out.join(name)).unwrap();
    let report: Value = serde_json::from_str(&text("report.json")).unwrap();
    let shown = lab.json(&["report", "four"]).unwrap();
    assert!(report["points"] == shown["points"], "what is written is what is shown");
    let analysis = &report["analysis"];
    let all = |key: &str| analysis[key].as_array().unwrap().clone();
    assert_eq!(all("points").len(), 16);
    assert!(all("points").iter().all(|point| point["accuracy"]["n"] == 3));
    let factors: Vec<Value> = all("factors").iter().map(|factor| factor["factor"].clone()).collect();
    assert_eq!(factors, ["augmentation", "dropout", "lr", "optimizer"]);
    assert_eq!(all("interactions").len(), 6, "two of four");
    for (name, parts) in [("report.html", "<svg"), ("report.tex", "\\begin{longtable}")] {
        let text = text(name);
        assert!(text.contains(parts) && text.contains("augmentation"), "{name}");
    }
    if !python_has("numpy, pandas, pyarrow, scipy, statsmodels") {
        return skipped("python3 lacks one of numpy, pandas, pyarrow, scipy, statsmodels");
    }
    let check = concat!(env!("CARGO_MANIFEST_DIR"), "/reference/check_report.py");
    let files = [out.join("trials.parquet"), out.join("report.json")];
    let ran = Command::new(python()).arg(check).args(files).output().unwrap();
    let (said, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{said}{err}");
    let compared: Option<usize> = said.split_once(" numbers compared").and_then(|(count, _)| count.trim().parse().ok());
    assert!(compared.is_some_and(|count| count >= NUMBERS), "{said}{err}");
}
