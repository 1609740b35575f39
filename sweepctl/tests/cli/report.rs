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
    for rows in ["points", "trials", "epochs", "effects"] {
        bench.run(&["report", sweeps::NAME, "-o", file.to_str().unwrap(), "--rows", rows, "--force"]).expect(0);
        let bytes = std::fs::read(&file).unwrap();
        assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"), "{rows}");
    }
    bench.run(&["report", sweeps::NAME, "-o", "parquet"]).expect(2).tells("name one, such as report.parquet");
}

/// What the page shows is in the rows, too: effects, costs, fronts.
#[test]
fn rows_have_the_numbers_of_the_page() {
    let bench = Bench::new();
    let rows = |args: &[&str]| -> Vec<std::collections::BTreeMap<String, String>> {
        let out = bench.run(&[&["report", sweeps::NAME, "--csv"], args].concat()).expect(0).out;
        let mut lines = out.lines().map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
        let names = lines.next().unwrap();
        lines.map(|cells| names.iter().cloned().zip(cells).collect()).collect()
    };
    let points = rows(&[]);
    assert_eq!(
        (points[0]["device_hours"].as_str(), points[0]["kwh"].as_str()),
        ("0.10475000000000001", "0.1"),
        "{points:?}"
    );
    assert_eq!(points[0]["front_device_hours"], "true");
    assert_eq!((points[0]["seconds_per_epoch"].as_str(), points[0]["watts"].as_str()), ("36", "1000"));
    let json = bench.run(&["report", sweeps::NAME, "--json"]).expect(0).json();
    let needed = &json["analysis"]["points"][1]["against_best"]["needed"];
    assert_eq!(points[1]["best_needed"], needed.as_u64().map(|n| n.to_string()).unwrap_or_default());
    let effects = rows(&["--rows", "effects"]);
    let lr: Vec<_> = effects.iter().filter(|row| row["kind"] == "main_effect").collect();
    assert_eq!(lr.len(), 2, "{effects:?}");
    let told = &json["analysis"]["factors"][0]["levels"];
    for (row, told) in lr.iter().zip(told.as_array().unwrap()) {
        assert_eq!(row["level"], told["level"].as_str().unwrap());
        let mean = told["difference"]["mean"].as_f64().map(|mean| mean.to_string());
        assert_eq!(row["difference"], mean.unwrap_or_default(), "{row:?}");
    }
}

/// A reader of Parquet or pandas refuses a table, or takes the wrong one, where two columns have one name.
#[test]
fn no_two_columns_have_one_name() {
    let bench = Bench::new();
    for rows in ["points", "trials", "epochs", "effects"] {
        let csv = bench.run(&["report", "longer", "-o", "csv", "--rows", rows]).expect(0).out;
        let mut names: Vec<&str> = csv.lines().next().unwrap().split(',').collect();
        let (all, setting) = (names.len(), names.contains(&"setting.epochs"));
        assert_eq!(setting, rows == "trials", "only where `epochs` is taken: {names:?}");
        assert_eq!(names.contains(&"interval"), ["points", "effects"].contains(&rows), "{names:?}");
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all, "{rows}: {names:?}");
    }
}

/// How intervals were made is said wherever there are some, and what is not known is not called a tie.
#[test]
fn intervals_and_verdicts_are_called_what_they_are() {
    let bench = Bench::new();
    let shown = |args: &[&str]| bench.run(&[&["report", sweeps::NAME], args].concat()).expect(0).out;
    assert!(shown(&[]).contains("intervals: Student's t intervals of the mean"));
    assert!(shown(&["--interval", "bootstrap"]).contains("intervals: percentile bootstrap intervals"));
    assert!(shown(&["--interval", "bootstrap", "--csv"]).lines().nth(1).unwrap().ends_with(",bootstrap,false"));
    let text = shown(&[]);
    assert!(text.contains("nothing can be said of 1 point (0): there is no spread"), "{text}");
    assert!(!text.contains("cannot be told from it"), "{text}");
    let compared = bench.run(&["compare", sweeps::NAME, "again", "--interval", "bootstrap"]);
    compared.expect(0).tells("intervals: percentile bootstrap");
    let json = bench.run(&["compare", sweeps::NAME, "again", "--json"]).expect(0).json();
    assert_eq!(json["interval"], "t");
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

/// The reason is the true one, and the same in every form.
#[test]
fn what_cannot_be_compared_or_drawn_says_why() {
    let bench = Bench::new();
    let path = bench.home.path().join("x.svg");
    let plot = |sweep: &str, figure: &str| {
        bench.run(&["plot", sweep, "--figure", figure, "-o", path.to_str().unwrap()]).expect(2)
    };
    let why = "of the points that differ in it alone those with the value of the reference have no result";
    for form in ["table", "md"] {
        let ran = bench.run(&["report", "no-baseline", "-o", form]).expect(0);
        let ran = ran.says("No point can be compared with the baseline: it diverged, and has no result.");
        let ran = ran.says(&format!("Nothing can be said of lr: {why}."));
        assert!(ran.out.contains("baseline, diverged") && !ran.out.contains("some seeds"), "{form}: {}", ran.out);
    }
    plot("no-baseline", "effects").tells(&format!("nothing can be said of lr: {why}"));
    for figure in ["curves", "effects", "time"] {
        let ran = plot("no-result", figure).tells("no trial has a result, and the sweep is over: 4 failed");
        assert!(!ran.err.contains("yet"), "{}", ran.err);
    }
}

/// It is heeded, or refused; what does not vary is named once.
#[test]
fn a_figure_is_of_the_factor_that_was_named() {
    let bench = Bench::new();
    let file = bench.home.path().join("x.svg");
    let plot = |figure: &str, factor: &str| {
        let path = file.to_str().unwrap();
        bench.run(&["plot", sweeps::NAME, "--figure", figure, "--factor", factor, "-o", path, "--force"])
    };
    plot("effects", "lr").expect(0).tells("wrote");
    plot("effects", "augmentation").expect(2);
    for (figure, factor) in [("effects", "foo"), ("curves", "foo"), ("interaction", "lr,foo")] {
        let ran = plot(figure, factor).expect(2);
        assert_eq!(ran.err.matches("no factor `foo` in this sweep").count(), 1, "{}", ran.err);
    }
    plot("time", "lr").expect(2).tells("leave it out");
}

#[test]
fn a_report_for_people_goes_into_a_file() {
    let bench = Bench::new();
    let file = bench.home.path().join("report.txt");
    bench.run(&["report", sweeps::NAME, "-o", file.to_str().unwrap()]).expect(0).tells("wrote");
    let shown = bench.run(&["report", sweeps::NAME]).expect(0).out;
    assert_eq!(std::fs::read_to_string(&file).unwrap(), shown);
    assert_eq!(bench.run(&["report", sweeps::NAME, "-o", "txt"]).expect(0).out, shown);
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

/// A run that both sweeps have from one training says nothing about a difference.
#[test]
fn results_that_were_taken_over_are_not_compared_with_themselves() {
    let bench = Bench::new();
    let json = bench.run(&["compare", sweeps::NAME, "taken", "--json"]).expect(0).json();
    let row = |at: usize| (json["rows"][at]["same"].as_u64(), json["rows"][at]["difference"]["n"].as_u64());
    assert_eq!((row(0), row(1), &json["same"]), ((Some(1), None), (Some(1), Some(1)), &2.into()));
    let ran = bench.run(&["compare", sweeps::NAME, "taken"]).expect(0);
    ran.tells("2 runs of both sweeps from one training").tells("accuracies are over the seeds of the difference");
    let again = bench.run(&["compare", sweeps::NAME, "again"]).expect(0);
    assert!(!again.err.contains("from one training") && !again.err.contains("accuracies are over"), "{again:#?}");
    let csv = bench.run(&["compare", sweeps::NAME, "taken", "--csv"]).expect(0);
    assert!(
        csv.out.lines().next().unwrap().ends_with(",same,interval")
            && csv.out.lines().nth(1).unwrap().ends_with(",1,t")
    );
    let whole = bench.run(&["compare", sweeps::NAME, sweeps::NAME]).expect(0);
    whole.tells("3 runs of both sweeps from one training").says("-");
}

/// Nothing to do is no fault: what is there byte for byte is left, as in MLflow; what was changed is not written over.
#[test]
fn an_export_that_is_there_is_left() {
    let bench = Bench::new();
    let folder = bench.home.path().join("runs");
    let args = ["export", sweeps::NAME, "--tensorboard", folder.to_str().unwrap()];
    bench.run(&args).expect(0).tells("wrote 3 event files").tells("0 were there");
    bench.run(&args).expect(0).tells("wrote 0 event files").tells("3 were there");
    let run = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    let file = std::fs::read_dir(run).unwrap().next().unwrap().unwrap().path();
    std::fs::write(&file, "mine").unwrap();
    bench.run(&args).expect(7).tells("exists and is another file");
    assert_eq!(std::fs::read(&file).unwrap(), b"mine");
    bench.run(&[&args[..], &["--force"]].concat()).expect(0).tells("wrote 1 event file").tells("2 were there");
}

/// A checkpoint that cannot be read is a gap that is stated, not the end of the report.
#[test]
fn a_checkpoint_that_cannot_be_read_is_a_gap_in_the_report() {
    let bench = Bench::new();
    let all = ["--classes", "best", "--classes", "baseline"];
    for form in ["html", "md", "tex", "json"] {
        let ran = bench.run(&[&["report", sweeps::NAME, "-o", form], &all[..]].concat()).expect(0);
        let ran = ran.tells("point 1: run").tells("no blob");
        // The other point is there; of this one it is said what is missing.
        assert!(ran.out.contains("church") && ran.out.contains("no blob"), "{form}: {}", ran.out);
    }
    let json = bench.run(&[&["report", sweeps::NAME, "--json"], &all[..]].concat()).expect(0).json();
    let classes = json["classes"].as_array().unwrap();
    assert_eq!((&classes[0]["index"], &classes[0]["runs"], &classes[1]["runs"]), (&1.into(), &0.into(), &1.into()));
    assert!(classes[0]["gaps"][0].as_str().unwrap().contains("no blob"), "{classes:?}");
    assert_eq!(classes[1]["confusion"][0], serde_json::json!([0, 0, 117]));
}

#[test]
fn two_trials_are_compared_epoch_by_epoch() {
    let bench = Bench::new();
    let (a, b) = (sweeps::trial_id(1).to_string(), sweeps::trial_id(2).to_string());
    let ran = bench.run(&["compare", &a, &b]).expect(0).says("differs in").says("seed").says("     0.00      1.1500");
    ran.tells("over 3 shared epochs").tells("compare points over seeds");
    let json = bench.run(&["compare", &a, &b, "--json"]).expect(0).json();
    assert_eq!((json["comparison"]["shared"].as_u64(), json["comparison"]["mean"].as_f64()), (Some(3), Some(0.0)));
    assert_eq!(bench.run(&["compare", &a, &b, "--csv"]).expect(0).out.lines().count(), 4);
    bench.run(&["compare", &a, &a]).expect(0).tells("the same recipe and seed");
    bench.run(&["compare", "missing", &b]).expect(3).tells("no sweep `missing`");
    bench.run(&["compare", &a, "missing"]).expect(3).tells("no trial `missing`");
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
