//! The forms of a report, its figures, comparisons and exports.

use crate::online::Bench;
use crate::ran::wait_until;
use crate::sweeps;

#[test]
fn the_test_accuracy_is_shown_of_named_points_only() {
    let bench = Bench::new();
    for form in ["table", "json", "csv", "md"] {
        let ran = bench.run(&["report", sweeps::NAME, "-o", form]).expect(0);
        assert!(!ran.out.contains("89.00") && !ran.out.contains("0.89"), "{form}: {}", ran.out);
    }
    bench.run(&["report", sweeps::NAME]).expect(0).says("kept back for 1 point");
    bench.run(&["report", sweeps::NAME, "-o", "md", "--test", "1"]).expect(0).says("89.00 ± 2.12");
    bench.run(&["report", sweeps::NAME, "--test", "7"]).expect(2).tells("no point 7; the points are 0 to 1");
    bench.run(&["report", sweeps::NAME, "--test", "worst"]).expect(2).tells("`best`, `baseline` or the number");
    bench.run(&["report", sweeps::NAME, "--factor", "depth"]).expect(2).tells("no factor `depth`");
}

#[test]
fn pages_and_tables_are_written_whole() {
    let bench = Bench::new();
    let html = bench.run(&["report", sweeps::NAME, "-o", "html", "--classes", "best"]).expect(0).out;
    assert!(html.starts_with("<!DOCTYPE html>") && html.trim_end().ends_with("</html>"));
    for word in ["<script", "http://", "https://", "url(", "@import", "\u{1b}"] {
        let found = html.replace("http://www.w3.org/2000/svg", "");
        assert!(!found.contains(word), "{word} in the page");
    }
    for tag in ["table", "tr", "td", "th", "svg", "figure", "text", "style"] {
        let open = html.matches(&format!("<{tag}>")).count() + html.matches(&format!("<{tag} ")).count();
        assert_eq!(open, html.matches(&format!("</{tag}>")).count(), "{tag}");
    }
    assert!(html.contains("prefers-color-scheme") && html.contains("92.00 ± 1.41"), "{html}");
    // Whoever reads any form must see that not everything was trained to its end.
    for form in ["html", "md", "tex"] {
        let text = bench.run(&["report", sweeps::NAME, "-o", form]).expect(0).out;
        assert!(
            text.contains("early stopping by asha: 1 configuration stopped, 14 of 20 epochs trained"),
            "{form}: {text}"
        );
    }
    let tex = bench.run(&["report", sweeps::NAME, "-o", "tex"]).expect(0).out;
    assert_eq!(tex.matches("\\begin{").count(), tex.matches("\\end{").count());
    assert_eq!(tex.matches('{').count(), tex.matches('}').count(), "braces");
    assert!(tex.is_ascii() && tex.contains("92.00 $\\pm$ 1.41") && tex.contains("imagenette-first"), "{tex}");
    let file = bench.home.path().join("rows.parquet");
    bench.run(&["report", sweeps::NAME, "-o", file.to_str().unwrap()]).expect(0);
    let bytes = std::fs::read(&file).unwrap();
    assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"));
    bench.run(&["report", sweeps::NAME, "-o", "parquet"]).expect(2).tells("neither a form");
}

/// Whoever reads any form of it must not take a probe for a result.
#[test]
fn every_form_of_a_probe_says_that_it_is_one() {
    let bench = Bench::new();
    for form in ["table", "html", "md", "tex"] {
        let text = bench.run(&["report", "probe-x", "-o", form]).expect(0).out;
        assert!(text.contains("This is a probe, not a result") && text.contains("at most 20 steps"), "{form}: {text}");
        let usual = bench.run(&["report", sweeps::NAME, "-o", form]).expect(0).out;
        assert!(!usual.contains("a probe"), "{form}: {usual}");
    }
    assert_eq!(bench.run(&["report", "probe-x", "-o", "json"]).expect(0).json()["probe_steps"], 20);
    for (sweep, word) in [("probe-x", "true"), (sweeps::NAME, "false")] {
        for rows in ["points", "trials", "epochs"] {
            let csv = bench.run(&["report", sweep, "-o", "csv", "--rows", rows]).expect(0).out;
            let last: Vec<&str> = csv.lines().filter_map(|line| line.rsplit(',').next()).collect();
            assert!(last[0] == "probe" && last.len() > 1 && last[1..].iter().all(|cell| *cell == word), "{csv}");
        }
    }
    let file = bench.home.path().join("x.png");
    bench.run(&["plot", "probe-x", "--figure", "curves", "-o", file.to_str().unwrap()]).expect(0).tells("not a result");
    bench.run(&["compare", sweeps::NAME, "probe-x"]).expect(0).tells("probe-x: This is a probe");
    let folder = bench.home.path().join("runs");
    bench.run(&["export", "probe-x", "--tensorboard", folder.to_str().unwrap()]).expect(0).tells("not a result");
}

#[test]
fn figures_are_drawn_one_by_one() {
    let bench = Bench::new();
    let file = bench.home.path().join("x.svg");
    let path = file.to_str().unwrap();
    for figure in ["effects", "curves", "time"] {
        bench.run(&["plot", sweeps::NAME, "--figure", figure, "-o", path, "--force"]).expect(0).tells("wrote");
        let svg = std::fs::read_to_string(&file).unwrap();
        assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>") && svg.contains("<style>"), "{figure}");
    }
    bench.run(&["plot", sweeps::NAME, "--figure", "time", "-o", path]).expect(7).tells("--force");
    bench
        .run(&["plot", sweeps::NAME, "--figure", "interaction", "-o", path, "--force"])
        .expect(2)
        .tells("nothing to draw");
}

#[test]
fn figures_are_svg_or_png_by_the_ending() {
    let bench = Bench::new();
    let plot = |file: &str, more: &[&str]| {
        let path = bench.home.path().join(file);
        let args = ["plot", sweeps::NAME, "--figure", "effects", "-o", path.to_str().unwrap()];
        (bench.run(&[&args[..], more].concat()), path)
    };
    let (_, svg) = plot("x.svg", &[]);
    let svg = std::fs::read_to_string(svg).unwrap();
    let side = |name: &str| {
        let after = svg.split_once(&format!(" {name}=\"")).unwrap().1;
        after[..after.find('"').unwrap()].parse::<u32>().unwrap()
    };
    for (file, more, scale, paper) in [
        ("x.png", &[][..], 2, [255, 255, 255]),
        ("print.PNG", &["--scale", "3"], 3, [255, 255, 255]),
        ("dark.png", &["--dark", "--scale", "1"], 1, [0x15, 0x18, 0x1c]),
    ] {
        let (ran, path) = plot(file, more);
        ran.expect(0).tells("wrote");
        let file = std::io::BufReader::new(std::fs::File::open(path).unwrap());
        let mut reader = png::Decoder::new(file).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let frame = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((frame.width, frame.height), (scale * side("width"), scale * side("height")));
        assert_eq!(pixels[..3], paper);
    }
    for wrong in ["x.pdf", "x", "png"] {
        plot(wrong, &[]).0.expect(2).tells(".svg or .png");
    }
    for option in [&["--dark"][..], &["--scale", "2"]] {
        plot("y.svg", option).0.expect(2).tells(option[0]).tells("is for PNG");
    }
    plot("y.png", &["--scale", "9"]).0.expect(2).tells("1..=6");
    plot("x.png", &[]).0.expect(7).tells("--force");
}

#[test]
fn two_sweeps_are_compared_point_by_point() {
    let bench = Bench::new();
    let json = bench.run(&["compare", sweeps::NAME, "again", "--json"]).expect(0).json();
    assert_eq!(json["rows"].as_array().unwrap().len(), 2);
    assert_eq!((json["rows"][1]["difference"]["mean"].as_f64(), json["only_a"].as_u64()), (Some(0.0), Some(0)));
    bench.run(&["compare", sweeps::NAME, "again"]).expect(0).says("all of these");
    assert_eq!(bench.run(&["compare", sweeps::NAME, "again", "--csv"]).expect(0).out.lines().count(), 3);
}

#[test]
fn two_trials_are_compared_epoch_by_epoch() {
    let bench = Bench::new();
    let (a, b) = (sweeps::trial_id(1).to_string(), sweeps::trial_id(2).to_string());
    let ran = bench.run(&["compare", &a, &b]).expect(0).says("differs in").says("seed").says("+0.00");
    ran.tells("over 3 shared epochs").tells("compare points over seeds");
    let json = bench.run(&["compare", &a, &b, "--json"]).expect(0).json();
    assert_eq!((json["comparison"]["shared"].as_u64(), json["comparison"]["mean"].as_f64()), (Some(3), Some(0.0)));
    assert_eq!(bench.run(&["compare", &a, &b, "--csv"]).expect(0).out.lines().count(), 4);
    bench.run(&["compare", &a, &a]).expect(0).tells("the same recipe and seed");
    bench.run(&["compare", "missing", &b]).expect(3).tells("no sweep `missing`");
    bench.run(&["compare", &a, "missing"]).expect(3).tells("no trial `missing`");
}

#[test]
fn tensorboard_reads_what_is_exported() {
    let bench = Bench::new();
    let folder = bench.home.path().join("runs");
    let args = ["export", sweeps::NAME, "--tensorboard", folder.to_str().unwrap()];
    bench.run(&args).expect(0).tells("wrote 3 event files");
    bench.run(&args).expect(7).tells("--force");
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
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
        return eprintln!("skipped: no python3");
    };
    let text = String::from_utf8(read.stdout).unwrap();
    if text.trim() == "absent" {
        return eprintln!("skipped: python3 has no tensorboard");
    }
    assert_eq!(text, "4 [(1, 0.9), (2, 0.9), (3, 0.9)]\n".repeat(3), "{}", String::from_utf8_lossy(&read.stderr));
}

/// A program that ends with the test.
struct Ends(std::process::Child);

impl Drop for Ends {
    fn drop(&mut self) {
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
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let has = std::process::Command::new(&python).args(["-c", "import mlflow"]).output();
    if !has.is_ok_and(|ran| ran.status.success()) {
        return eprintln!("skipped: python3 has no mlflow");
    }
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let store = format!("sqlite:///{}", bench.home.path().join("mlflow.db").display());
    let mut server = std::process::Command::new(&python);
    server.args(["-m", "mlflow", "server", "--host", "127.0.0.1", "--port", &port, "--workers", "1"]);
    server.args(["--backend-store-uri", &store]).current_dir(bench.home.path());
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
fn a_report_goes_into_a_file_but_not_over_another() {
    let bench = Bench::new();
    let file = bench.home.path().join("out.md");
    let path = file.to_str().unwrap();
    bench.run(&["report", sweeps::NAME, "-o", path]).expect(0).tells("wrote");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("## Against the baseline") && text.contains("single run: no spread known"), "{text}");
    std::fs::write(&file, "mine").unwrap();
    bench.run(&["report", sweeps::NAME, "-o", path]).expect(7).tells("--force");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
    bench.run(&["report", sweeps::NAME, "-o", path, "--force"]).expect(0);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text, "the same numbers, the same bytes");
    bench.run(&["report", sweeps::NAME, "-o", "out.pdf"]).expect(2).tells("nor a file whose ending is one");
    let nowhere = bench.home.path().join("no/out.md");
    bench.run(&["report", sweeps::NAME, "-o", nowhere.to_str().unwrap()]).expect(1).tells("cannot write into");
}

#[test]
fn one_command_goes_from_the_file_to_the_report() {
    let bench = Bench::new();
    let out = bench.home.path().join("out/here");
    let args = ["submit", "grid.toml", "--report", out.to_str().unwrap()];
    bench.run(&args).expect(0).says("completed").tells("wrote report.html, report.tex, report.json, trials.parquet");
    let read = |name: &str| std::fs::read(out.join(name)).unwrap();
    assert!(read("report.html").starts_with(b"<!DOCTYPE html>") && read("trials.parquet").starts_with(b"PAR1"));
    let json: serde_json::Value = serde_json::from_slice(&read("report.json")).unwrap();
    assert_eq!(json["analysis"]["points"].as_array().unwrap().len(), 2);
    assert_eq!(bench.asked().len(), 1);
    // What is in the way is found before anything is submitted.
    bench.run(&args).expect(7).tells("--force");
    assert_eq!(bench.asked().len(), 1);
    bench.run(&[&args[..], &["--force"]].concat()).expect(0);
    bench.run(&["submit", "grid.toml", "--force"]).expect(2).tells("--report");
    bench.run(&["submit", "grid.toml", "--report", "x", "--dry-run"]).expect(2);
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
        assert!(ran.status.success(), "{engine}: {log}");
        let pdf = std::fs::read(file.with_extension("pdf")).unwrap();
        assert!(pdf.starts_with(b"%PDF") && pdf.len() > 20_000, "{engine}");
    }
    if tried == 0 {
        eprintln!("skipped: no pdflatex, lualatex or xelatex");
    }
}
