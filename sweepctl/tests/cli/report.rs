//! The forms of a report, its figures, comparisons and exports.

use crate::online::Bench;
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
    bench.run(&["plot", sweeps::NAME, "--figure", "time", "-o", "x.png"]).expect(2).tells("rsvg-convert");
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
