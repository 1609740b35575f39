//! One command from the file to the report: real training of a grid of four factors, and every number of the report again by SciPy,
//! where that is there.

use std::process::Command;

use serde_json::Value;

use crate::{lab, skipped, sweep};

const FOUR: &str = "epochs = 1\nbatch_size = 64\nseeds = 2\n\n[grid]\nlr = [1e-3, 1e-2]\ndropout = [0.0, 0.5]\n\
    optimizer = [\"adam\", \"sgd\"]\naugmentation = [\"none\", \"flip-crop\"]\n";

#[test]
fn a_grid_of_four_factors_goes_from_the_file_to_a_report_in_one_command() {
    let dir = tempfile::tempdir().unwrap();
    let (spec, out) = (dir.path().join("four.toml"), dir.path().join("out"));
    std::fs::write(&spec, sweep("four", FOUR)).unwrap();
    let lab = lab(dir.path(), "lab");
    lab.wait_for_agent().unwrap();
    lab.text(&["submit", spec.to_str().unwrap(), "--report", out.to_str().unwrap()]).unwrap();
    let text = |name: &str| std::fs::read_to_string(out.join(name)).unwrap();
    let report: Value = serde_json::from_str(&text("report.json")).unwrap();
    let shown = lab.json(&["report", "four"]).unwrap();
    assert!(report["points"] == shown["points"], "what is written is what is shown");
    let analysis = &report["analysis"];
    let all = |key: &str| analysis[key].as_array().unwrap().clone();
    assert_eq!(all("points").len(), 16);
    assert!(all("points").iter().all(|point| point["accuracy"]["n"] == 2));
    let factors: Vec<Value> = all("factors").iter().map(|factor| factor["factor"].clone()).collect();
    assert_eq!(factors, ["augmentation", "dropout", "lr", "optimizer"]);
    assert_eq!(all("interactions").len(), 6, "two of four");
    for (name, parts) in [("report.html", "<svg"), ("report.tex", "\\begin{longtable}")] {
        let text = text(name);
        assert!(text.contains(parts) && text.contains("augmentation"), "{name}");
    }
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let modules = "import numpy, pandas, pyarrow, scipy, statsmodels";
    let has = Command::new(&python).args(["-c", modules]).output();
    if !has.is_ok_and(|ran| ran.status.success()) {
        return skipped("python3 lacks one of numpy, pandas, pyarrow, scipy, statsmodels");
    }
    let check = concat!(env!("CARGO_MANIFEST_DIR"), "/reference/check_report.py");
    let files = [out.join("trials.parquet"), out.join("report.json")];
    let ran = Command::new(&python).arg(check).args(files).output().unwrap();
    let (said, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success() && said.contains("numbers compared"), "{said}{err}");
}
