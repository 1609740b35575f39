//! What other programs make of reports and exports: SciPy, TensorBoard, MLflow, LaTeX. Each test says on the terminal when its program is
//! not there.

use std::io::Write;
use std::os::unix::process::CommandExt as _;

use crate::online::Bench;
use crate::ran::wait_until;
use crate::sweeps;

/// Says that a test shows nothing here, past the test runner, which keeps back what a passing test prints.
fn skipped(test: &str, why: &str) {
    let _ = writeln!(std::io::stderr(), "skipped: {test}: {why}");
}

fn python() -> String {
    std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned())
}

/// The numbers of the report's tables of points and effects once more, by SciPy and statsmodels, from its Parquet rows.
#[test]
fn scipy_finds_the_same_numbers() {
    const TEST: &str = "scipy_finds_the_same_numbers";
    let modules = "import numpy, pandas, pyarrow, scipy, statsmodels";
    let Ok(has) = std::process::Command::new(python()).args(["-c", modules]).output() else {
        return skipped(TEST, "there is no python3");
    };
    if !has.status.success() {
        return skipped(TEST, "python3 lacks one of numpy, pandas, pyarrow, scipy, statsmodels");
    }
    let bench = Bench::new();
    let [rows, report] = ["trials.parquet", "report.json"].map(|name| bench.home.path().join(name));
    // The second has a setting that is called like a column.
    for sweep in [sweeps::NAME, "longer"] {
        for file in [&rows, &report] {
            bench.run(&["report", sweep, "-o", file.to_str().unwrap(), "--force"]).expect(0);
        }
        let check = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/reference/check_report.py");
        let ran = std::process::Command::new(python()).arg(check).args([&rows, &report]).output().unwrap();
        let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        assert!(ran.status.success() && out.contains("numbers compared"), "{sweep}: {out}{err}");
    }
}

#[test]
fn tensorboard_reads_what_is_exported() {
    let bench = Bench::new();
    let folder = bench.home.path().join("runs");
    let args = ["export", sweeps::NAME, "--tensorboard", folder.to_str().unwrap()];
    bench.run(&args).expect(0).tells("wrote 3 event files");
    bench.run(&args).expect(0).tells("wrote 0 event files").tells("3 were there");
    let python = python();
    const READ: &str = r#"
import pathlib, sys
try:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
except ImportError:
    print("absent")
    sys.exit()
for folder in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    found = EventAccumulator(str(folder)).Reload()
    values = [(event.step, round(event.value, 6)) for event in found.Scalars("accuracy/val")]
    print(len(found.Tags()["scalars"]), values)
"#;
    let Ok(read) = std::process::Command::new(python).args(["-c", READ]).arg(&folder).output() else {
        return skipped("tensorboard_reads_what_is_exported", "there is no python3");
    };
    let text = String::from_utf8(read.stdout).unwrap();
    if text.trim() == "absent" {
        return skipped("tensorboard_reads_what_is_exported", "python3 has no tensorboard");
    }
    assert_eq!(text, "4 [(1, 0.9), (2, 0.9), (3, 0.9)]\n".repeat(3), "{}", String::from_utf8_lossy(&read.stderr));
}

/// A program that ends with the test, and whatever it has started: it leads a process group.
struct Ends(std::process::Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let group = format!("-{}", self.0.id());
        let _ = std::process::Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn mlflow_has_every_run_once() {
    let bench = Bench::new();
    let nobody = ["export", sweeps::NAME, "--mlflow", "http://127.0.0.1:1"];
    bench.run(&nobody).expect(1).tells("does not answer");
    bench.run(&["export", sweeps::NAME, "--mlflow", "http://me:secret@x"]).expect(1).tells("MLFLOW_TRACKING_TOKEN");
    bench.run(&["export", sweeps::NAME]).expect(2).tells("--mlflow");
    let python = python();
    let has = std::process::Command::new(&python).args(["-c", "import mlflow"]).output();
    if !has.is_ok_and(|ran| ran.status.success()) {
        return skipped("mlflow_has_every_run_once", "python3 has no mlflow");
    }
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let store = format!("sqlite:///{}", bench.home.path().join("mlflow.db").display());
    let mut server = std::process::Command::new(&python);
    server.args(["-m", "mlflow", "server", "--host", "127.0.0.1", "--port", &port, "--workers", "1"]);
    server.args(["--backend-store-uri", &store]).current_dir(bench.home.path()).process_group(0);
    let log = std::fs::File::create(bench.home.path().join("mlflow.log")).unwrap();
    let _server = Ends(server.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap());
    let url = format!("http://127.0.0.1:{port}");
    let python_says = |program: &str| {
        let ran = std::process::Command::new(&python).args(["-c", program, &url]).output().unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stdout).unwrap()
    };
    const HEALTH: &str = "import sys, urllib.request as r; r.urlopen(sys.argv[1] + '/health', timeout=1).read()";
    wait_until("MLflow answers", || {
        let asked = std::process::Command::new(&python).args(["-c", HEALTH, &url]).output().unwrap();
        asked.status.success().then_some(())
    });
    let args = ["export", sweeps::NAME, "--mlflow", &url];
    bench.run(&args).expect(0).tells("wrote 3 runs").tells("0 were there");
    bench.run(&args).expect(0).tells("wrote 0 runs").tells("3 were there");
    const READ: &str = r#"
import sys
from mlflow.tracking import MlflowClient
client = MlflowClient(sys.argv[1])
experiment = client.get_experiment_by_name("imagenette-first")
for run in sorted(client.search_runs([experiment.experiment_id]), key=lambda run: run.info.run_name):
    curve = [(metric.step, round(metric.value, 6)) for metric in client.get_metric_history(run.info.run_id, "val_accuracy")]
    print(run.info.run_name, run.info.status, sorted(run.data.params.items()), len(run.data.metrics), sorted(curve))
"#;
    let text = python_says(READ);
    assert_eq!(text.lines().count(), 3, "{text}");
    let first =
        "FINISHED [('augmentation', 'flip-crop'), ('lr', '1e-3'), ('seed', '0')] 4 [(1, 0.9), (2, 0.9), (3, 0.9)]";
    assert!(text.contains(&format!("point 1 seed 0 {first}")), "{text}");
}

#[test]
fn the_latex_form_compiles() {
    let bench = Bench::new();
    let file = bench.home.path().join("report.tex");
    let args = ["report", sweeps::NAME, "-o", file.to_str().unwrap(), "--classes", "best", "--test", "best"];
    bench.run(&args).expect(0);
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.matches("\\begin{picture}").count() >= 3, "effects, curves, costs");
    let mut tried = 0;
    for engine in ["pdflatex", "lualatex", "xelatex"] {
        let mut command = std::process::Command::new(engine);
        command.args(["-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "report.tex"]);
        let Ok(ran) = command.current_dir(bench.home.path()).output() else { continue };
        tried += 1;
        let log = String::from_utf8_lossy(&ran.stdout);
        if let Some(line) = log.lines().find(|line| line.contains(".sty' not found")) {
            skipped("the_latex_form_compiles", &format!("{engine}: {line}"));
            continue;
        }
        assert!(ran.status.success(), "{engine}: {log}");
        let pdf = std::fs::read(file.with_extension("pdf")).unwrap();
        assert!(pdf.starts_with(b"%PDF") && pdf.len() > 20_000, "{engine}");
    }
    if tried == 0 {
        skipped("the_latex_form_compiles", "there is no pdflatex, lualatex or xelatex");
    }
}
