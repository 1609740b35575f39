//! Commands that ask the coordinator.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};

use crate::fake::Fake;
use crate::offline::GRID;
use crate::ran::{Ran, command, run};
use crate::sweeps;

pub(crate) struct Bench {
    fake: Fake,
    pub(crate) home: tempfile::TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("grid.toml"), GRID).unwrap();
        Self { fake: Fake::start(), home }
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        run(self.home.path(), &[args, &["--server", &self.fake.server][..]].concat())
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.fake.asked.lock().unwrap().clone()
    }
}

#[test]
fn submit_prints_name_and_id_and_repeating_it_is_harmless() {
    let bench = Bench::new();
    let first = bench.run(&["submit", "grid.toml"]).expect(0).tells("submitted 72 trials");
    let plan = bench.run(&["plan", "grid.toml", "--json", "--limit", "1"]).expect(0).json();
    assert_eq!(first.out, format!("imagenette-first {}\n", plan["sweep"].as_str().unwrap()));
    let second = bench.run(&["submit", "grid.toml"]).expect(0).tells("submitted before");
    assert_eq!(first.out, second.out);
    let repeated = bench.run(&["submit", "grid.toml", "--run", "again", "--json"]).expect(0).json();
    assert_eq!((&repeated["existing"], &repeated["trials"]), (&false.into(), &72.into()));
    assert_ne!(repeated["sweep"], plan["sweep"]);
    assert!(bench.asked().iter().all(|line| line.ends_with(" ada")), "{:?}", bench.asked());
}

#[test]
fn another_file_of_the_same_name_is_told_its_name() {
    let bench = Bench::new();
    std::fs::write(bench.home.path().join("taken.toml"), GRID.replace("imagenette-first", "taken")).unwrap();
    let ran = bench.run(&["submit", "taken.toml"]).expect(0);
    assert!(ran.out.starts_with("taken-2 "), "{}", ran.out);
    ran.tells("another sweep is called taken; this one is called taken-2").tells("next: sweepctl watch taken-2");
}

#[test]
fn a_refused_submission_says_why_and_what_to_do() {
    let bench = Bench::new();
    let spec = GRID.replace("imagenette-first", "nodata").replace("\"imagenette\"", "\"imagenett\"");
    std::fs::write(bench.home.path().join("nodata.toml"), spec).unwrap();
    let ran = bench.run(&["submit", "nodata.toml"]).expect(2).tells("did you mean `imagenette`?");
    let ran = ran.tells("[dataset_unknown]").tells("--queue-anyway");
    assert_eq!(ran.out, "");
    bench.run(&["submit", "nodata.toml", "--queue-anyway"]).expect(0);
}

#[test]
fn submit_can_watch_at_once() {
    let bench = Bench::new();
    bench.run(&["submit", "grid.toml", "--watch"]).expect(0).says("completed").tells("next: sweepctl report");
}

#[test]
fn list_shows_sweeps() {
    let bench = Bench::new();
    let ran = bench.run(&["list"]).expect(0).says("imagenette-first").says("2/4").says("91.25").says("older");
    assert!(ran.out.contains(&sweeps::sweep_id().short()) && ran.err.is_empty(), "{ran:#?}");
    let json = bench.run(&["list", "--json", "--limit", "1"]).expect(0).json();
    assert_eq!(json["sweeps"].as_array().unwrap().len(), 1);
    assert_eq!(json["sweeps"][0]["sweep"], sweeps::sweep_id().to_string());
    assert_eq!(json["sweeps"][0]["submitted"], "2025-10-09T08:53:20Z");
    assert!(json["sweeps"][0]["ended"].is_null());
    let csv = bench.run(&["ls", "--csv"]).expect(0);
    assert!(csv.out.starts_with("name,sweep,user,status,"), "{csv:#?}");
}

#[test]
fn show_gives_a_sweep_with_its_trials() {
    let bench = Bench::new();
    let ran = bench.run(&["show", sweeps::NAME]).expect(0).says("gpu-7/1").says("flip-crop").says("2/5");
    let ran = ran.tells("bad_image").tells("agent gpu-7 was lost");
    assert!(!ran.err.contains('\x1b') && ran.err.contains("\\u{1b}[2J"), "{ran:#?}");
    ran.says("imagenette, fingerprint f1-aa").tells("warning: gpu-8 gets no trials of it: f1-bb is not f1-aa");
    let json = bench.run(&["show", sweeps::NAME, "--json"]).expect(0).json();
    assert_eq!(json["datasets"][0]["fingerprint"], "f1-aa");
    assert_eq!(json["trials"][2]["failure"]["reason"], "bad_image");
    let ran = bench.run(&["show", sweeps::NAME, "--phase", "running", "--csv"]).expect(0);
    assert_eq!(ran.out.lines().count(), 2, "{ran:#?}");
    bench.run(&["show", sweeps::NAME, "--phase", "sleeping"]).expect(2);
}

#[test]
fn show_reads_as_many_pages_as_are_wanted() {
    let bench = Bench::new();
    let trials = |args: &[&str]| {
        let json = bench.run(&[&["show", "large", "--json"], args].concat()).expect(0).json();
        json["trials"].as_array().unwrap().len()
    };
    assert_eq!(trials(&[]), 2_500);
    assert_eq!(trials(&["--trials"]), 2_500);
    assert_eq!(trials(&["--limit", "1500"]), 1_500);
    assert_eq!(trials(&["--limit", "0"]), 0);
    let table = bench.run(&["show", "large"]).expect(0).tells("2480 more trials");
    assert!(table.out.lines().count() < 40, "{table:#?}");
}

#[test]
fn show_gives_a_trial_with_its_curve() {
    let bench = Bench::new();
    let short = sweeps::trial_id(0).short();
    bench.run(&["show", &short]).expect(0).says("lr=1e-3, augmentation=flip-crop, seed=0").says("NaN").says("812");
    let json = bench.run(&["show", &short, "--json"]).expect(0).json();
    assert_eq!(json["trial"]["trial"], sweeps::trial_id(0).to_string());
    assert_eq!((&json["curve"][2]["val_loss"], &json["recipe"]["lr"]), (&"nan".into(), &0.001.into()));
    let csv = bench.run(&["show", &short, "--csv"]).expect(0);
    assert_eq!(csv.out.lines().count(), 4);
    assert!(csv.out.contains(",data_wait,peak_memory,cpu_joules,gpu_joules,idle_joules\n"), "{csv:#?}");
    assert!(csv.out.contains(",0.7125,,,,,,\n"), "{csv:#?}");
    assert!(csv.out.contains(",,,48.7612,0.0375,641728512,1800,,600\n"), "{csv:#?}");
    bench
        .run(&["show", &short])
        .expect(0)
        .says("val top-5 %")
        .says("71.25")
        .says("step ms")
        .says("48.76")
        .says("642 MB")
        .says("0.0005000 kWh (processors 0.0005000; 0.0001667 of it would have been drawn anyway)")
        .says("precision fp32, layout contiguous");
    assert_eq!(
        (&json["curve"][0]["step_ms"], &json["curve"][1]["data_wait"]),
        (&serde_json::Value::Null, &0.0375.into())
    );
    // A full id may be written with hyphens.
    let hyphens = sweeps::trial_id(0).0.hyphenated().to_string();
    bench.run(&["show", &hyphens]).expect(0).says(&sweeps::trial_id(0).to_string());
    bench.run(&["show", &sweeps::trial_id(3).short()]).expect(0).tells("no epoch");
}

#[test]
fn show_tells_which_class_is_taken_for_which() {
    let bench = Bench::new();
    let short = sweeps::trial_id(0).short();
    let ran = bench.run(&["show", "--confusion", &short]).expect(0).tells("a row for each class");
    assert!(
        ran.out.starts_with("400 validation images, weights of epoch 7: accuracy 88.25 %, top-5 99.50 %, loss 0.5"),
        "{ran:#?}"
    );
    assert!(ran.out.contains("church (17)") && !ran.out.contains('\x1b'), "{ran:#?}");
    let json = bench.run(&["show", &short, "--confusion=test", "--json"]).expect(0).json();
    assert_eq!((&json["which"], &json["epoch"], &json["images"]), (&"test".into(), &9.into(), &400.into()));
    assert_eq!(
        json["classes"][0],
        serde_json::json!({
            "class": "tench", "images": 134, "right": 117, "accuracy": 117.0 / 134.0, "taken_for": "church", "taken_for_images": 17,
        })
    );
    assert_eq!(json["confusion"], serde_json::json!([[117, 0, 17], [0, 116, 17], [0, 0, 133]]));
    // A sweep stands for its best trial.
    let csv = bench.run(&["show", sweeps::NAME, "--confusion", "--csv"]).expect(0);
    assert!(csv.out.starts_with("class,taken_for,images\ntench,tench,117\ntench,church,17\n"), "{csv:#?}");
    bench.run(&["show", &short, "--confusion=last"]).expect(3).tells("no evaluation `last`").tells("earlier release");
    bench.run(&["show", &sweeps::trial_id(1).short(), "--confusion"]).expect(3).tells("no best checkpoint");
}

/// As in a report: whoever looks at a trial, or filters all of them, does not see what the test images say of it unawares.
#[test]
fn show_keeps_the_test_accuracy_back_until_it_is_asked_for() {
    let bench = Bench::new();
    let short = sweeps::trial_id(0).short();
    for what in [&short, sweeps::NAME] {
        for form in ["table", "json", "csv"] {
            let ran = bench.run(&["show", what, "-o", form]).expect(0);
            assert!(!ran.out.contains("88.25") && !ran.out.contains("0.8825"), "{what} {form}: {}", ran.out);
        }
    }
    bench.run(&["show", &short]).expect(0).says("kept back: --test shows it, once everything is decided");
    let json = bench.run(&["show", sweeps::NAME, "--json"]).expect(0).json();
    let told = |json: &serde_json::Value| (json["test"].is_null(), json["test_kept_back"].as_bool().unwrap());
    assert_eq!((told(&json["trials"][0]), told(&json["trials"][1])), ((true, true), (true, false)));
    let json = bench.run(&["show", &short, "--json", "--test"]).expect(0).json();
    assert_eq!((told(&json["trial"]), &json["trial"]["test"]["accuracy"]), ((false, false), &0.8825.into()));
    let csv = bench.run(&["show", sweeps::NAME, "--csv", "--test"]).expect(0);
    assert!(csv.out.lines().nth(1).unwrap().ends_with(",0.8825"), "{csv:#?}");
    let shown = bench.run(&["show", &short, "--test"]).expect(0);
    shown.says("88.25 % of 400 images, loss 0.5000, weights of epoch 1");
}

#[test]
fn what_does_not_exist_is_3_and_a_refusal_is_7() {
    let bench = Bench::new();
    for verb in ["show", "watch", "cancel", "retry", "report", "audit"] {
        let ran = bench.run(&[verb, "missing"]).expect(3).tells("no sweep `missing` [sweep_unknown]");
        assert_eq!(ran.out, "", "{verb}");
    }
    bench.run(&["logs", "missing"]).expect(3);
    bench.run(&["fetch", "missing", "-o", "."]).expect(3);
    bench.run(&["cancel", "refused"]).expect(7).tells("[unschedulable]");
    bench.run(&["report", "damaged"]).expect(1).tells("report cannot be understood");
}

#[test]
fn watch_follows_to_the_end() {
    let bench = Bench::new();
    let ran = bench.run(&["watch", "good"]).expect(0).says("completed").tells("good: 0/4 over, 2 running");
    assert!(ran.out.contains("4/4") && ran.err.contains("4/4 over"), "{ran:#?}");
    let ran = bench.run(&["watch", "good", "--json"]).expect(0);
    let lines: Vec<serde_json::Value> = ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    assert!(lines.iter().all(|line| line["schema_version"] == 1) && lines[2]["completed"] == 4);
    bench.run(&["watch", "failing"]).expect(6).tells("1 trial failed");
    bench.run(&["watch", "endless", "--timeout", "300ms"]).expect(124).tells("--timeout");
}

#[test]
fn watch_survives_a_restart_of_the_coordinator() {
    let bench = Bench::new();
    let ran = bench.run(&["watch", "flaky"]).expect(0).tells("does not answer").tells("is back");
    assert!(ran.out.contains("4/4"), "{ran:#?}");
}

#[test]
fn a_question_is_asked_again_when_the_coordinator_restarts() {
    let bench = Bench::new();
    bench.run(&["report", "flaky"]).expect(0).says("best point");
}

#[test]
fn ctrl_c_ends_with_130() {
    let bench = Bench::new();
    let args = ["watch", "endless", "--server", &bench.fake.server];
    let mut child = command(bench.home.path(), &args).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().contains("0/4 over"));
    let pid = Pid::from_raw(child.id().try_into().unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn logs_print_attempts_in_order_and_go_on_after_a_break() {
    let bench = Bench::new();
    let all = "epoch 1\nepoch 2\nepoch 2 again\n";
    let ran = bench.run(&["logs", "abcd", "--follow"]).expect(0).tells("attempt 2");
    assert_eq!(ran.out, all, "nothing twice, nothing missing");
    assert_eq!(bench.run(&["logs", "abcd"]).expect(0).out, all);
    assert_eq!(bench.run(&["logs", "abcd", "--attempt", "2"]).expect(0).out, "epoch 2 again\n");
    bench.run(&["logs", "abcd", "--attempt", "9"]).expect(0).tells("empty");
}

#[test]
fn an_extension_says_what_is_new() {
    let bench = Bench::new();
    let ran = bench.run(&["extend", sweeps::NAME, "--seeds", "11,22", "--epochs", "40", "--dry-run"]).expect(0);
    ran.says("imagenette-first 8 new trials to run: 0 points and 2 seeds more")
        .tells("3 of 8 new trials go on from the last checkpoint")
        .tells("5 trials begin at the beginning: 4 because the rate follows the number of epochs")
        .tells("dry run");
    bench.run(&["extend", sweeps::NAME, "grid.toml"]).expect(0).says("0 new trials").tells("the sweep has all of this");
    assert_eq!(bench.run(&["extend", sweeps::NAME, "--seeds", "2", "--json"]).expect(0).json()["seeds"], 2);
    bench.run(&["extend", sweeps::NAME]).expect(2).tells("<FILE>");
    bench.run(&["extend", sweeps::NAME, "--seeds", "0"]).expect(2).tells("a number of seeds");
    let expected = ["extend imagenette-first [11, 22] 40 ada", "extend imagenette-first with a file [] 0 ada"];
    assert_eq!(bench.asked()[..2], expected);
}

#[test]
fn cancel_and_retry_say_what_they_touched() {
    let bench = Bench::new();
    bench.run(&["cancel", sweeps::NAME]).expect(0).says("imagenette-first cancelled 2 trials");
    bench.run(&["cancel", sweeps::NAME, "--trial", "abcd", "--json"]).expect(0).json();
    bench.run(&["retry", sweeps::NAME]).expect(0).tells("--cancelled");
    bench.run(&["retry", sweeps::NAME, "--cancelled"]).expect(0).says("1 trial");
    let asked = bench.asked();
    let expected = ["cancel imagenette-first  ada", "cancel imagenette-first abcd ada", "retry imagenette-first false"];
    assert_eq!(asked[..3], expected);
}

#[test]
fn report_ranks_points_and_names_the_best_checkpoint() {
    let bench = Bench::new();
    let ran = bench.run(&["report", sweeps::NAME, "--test", "best"]).expect(0);
    let trial = sweeps::trial_id(2).short();
    for text in [
        "92.00 ± 1.41",
        "baseline",
        "single run: no spread known",
        "best point: lr=1e-3, augmentation=flip-crop: 92.00 ± 1.41 % over 2 seeds",
        &format!("sweepctl fetch {trial} --best -o DIR"),
        "diverged, nan_loss: the loss is not a number since epoch 2",
        "early stopping by asha: 1 configuration stopped, 14 of 20 epochs trained (70.0 %)",
        "stop audit: 2 of 3 that would have been stopped were drawn to run on, 1 ran to the end; 1 beat the best that was kept, by up to 1.25 points",
        "3 of 4 trials completed, 1 failed",
        "5 attempts, 12 min 34 s of slot time, 34.2 s of it after the checkpoint that the next attempt began with, or in trials that failed for good, 6 min 40 s from submission to end",
        "1/2",
        "89.00 ± 2.12",
        "points are not ranked by it",
        ", 0.1000 kWh (processors 0.1000; 0.02500 of it would have been drawn anyway), known of 2 trials only",
        "6 min 17 s  0.1000",
        "careful: trials of this sweep computed differently: 1 trial with precision bf16, layout contiguous, 3 trials with",
    ] {
        assert!(ran.out.contains(text), "no {text:?} in\n{}", ran.out);
    }
    let json = bench.run(&["report", sweeps::NAME, "--json"]).expect(0).json();
    assert_eq!(json["best"]["trial"], sweeps::trial_id(2).to_string());
    assert_eq!(json["points"][1]["accuracy"]["std"], serde_json::Value::Null);
    assert_eq!(json["points"][0]["rank"], 1);
    let csv = bench.run(&["report", sweeps::NAME, "--csv"]).expect(0);
    let mut lines = csv.out.lines();
    assert!(lines.next().unwrap().starts_with("rank,point,baseline,lr,augmentation,seeds,n,accuracy_mean"));
    let first = lines.next().unwrap();
    assert!(first.starts_with("1,1,false,1e-3,flip-crop,2,2,0.92,"), "{csv:#?}");
    assert!(first.contains(",377.1,360000,,90000,641728512,0.07999999999999996,"), "{csv:#?}");
    let trials = bench.run(&["report", sweeps::NAME, "--csv", "--rows", "trials"]).expect(0);
    assert_eq!(trials.out.lines().count(), 1 + 4);
}

#[test]
fn agents_show_what_runs_where() {
    let bench = Bench::new();
    let ran = bench.run(&["agents"]).expect(0).says("gpu-7").says("busy (alice").says(&sweeps::trial_id(1).short());
    assert!(ran.out.contains("data sets on gpu-7: imagenette"), "{ran:#?}");
    let json = bench.run(&["agents", "--json"]).expect(0).json();
    assert_eq!(json["agents"][0]["slots"][0]["trial"], sweeps::trial_id(1).to_string());
    assert_eq!(bench.run(&["agents", "--csv"]).expect(0).out.lines().count(), 3);
    assert_eq!(json["agents"][0]["data"][0]["fingerprint"], "f1-aa");
    bench.run(&["agents"]).expect(0).tells("warning: gpu-7 gets no trials of x: f1-aa is not f1-cc");
}

#[test]
fn audit_explains_itself() {
    let bench = Bench::new();
    let text = "24 planned, 24 completed exactly once, no lease overlapped, nothing missing\n";
    bench.run(&["audit", "good"]).expect(0).says(text);
    let json = bench.run(&["audit", "good", "--json"]).expect(0).json();
    assert_eq!((&json["exactly_once"], &json["planned"]), (&true.into(), &24.into()));
    let ran = bench.run(&["audit", "illegal"]).expect(1).says("BROKEN at event 17: lease_overlap");
    assert!(!ran.out.contains("no lease overlapped"), "{ran:#?}");
    bench.run(&["audit", "open"]).expect(6).says("4 not over yet").tells("4 trials not over");
    assert_eq!(bench.run(&["audit", "illegal", "--json"]).expect(1).json()["legal"], false);
}

#[test]
fn version_names_both_ends() {
    let bench = Bench::new();
    bench.run(&["version"]).expect(0).says("sweepctl 0.").says("sweep-coordinator 9.9.9");
    let json = bench.run(&["version", "--json"]).expect(0).json();
    assert_eq!(json["coordinator"]["info"]["protocol"], 1);
}

#[test]
fn an_estimate_says_what_is_known_and_what_is_not() {
    let bench = Bench::new();
    let ran = bench.run(&["plan", "grid.toml", "--estimate"]).expect(0);
    let ran = ran.says("batch_size=32").says("6.000").says("4.000 to 20.000").says("0.500").says("612 MB");
    let ran = ran.says("12.5").says("800.0").says("6 min 00 s").says("2 at a time, of 4 slots");
    ran.tells("1 shape was never trained here").tells("failed: out_of_memory, oom: 90 GB of 80 GB");
    let json = bench.run(&["plan", "grid.toml", "--estimate", "--json"]).expect(0).json();
    assert_eq!(json["shapes"][0]["seen"]["trials"], 3);
}

#[test]
fn a_probe_does_not_disturb_and_has_nothing_to_do_twice() {
    let bench = Bench::new();
    let ran = bench.run(&["plan", "grid.toml", "--estimate", "--probe"]).expect(0);
    ran.tells("every shape was trained before: nothing to probe").says("batch_size=32");
    std::fs::write(bench.home.path().join("taken.toml"), GRID.replace("imagenette-first", "taken")).unwrap();
    let ran = bench.run(&["plan", "taken.toml", "--estimate", "--probe"]).expect(7);
    ran.tells("3 of late (ann)").tells("[probe_disturbs]");
    bench.run(&["plan", "grid.toml", "--probe"]).expect(2);
}
