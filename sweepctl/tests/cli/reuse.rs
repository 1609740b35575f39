//! Results of earlier sweeps: what `submit` and `plan` say of them.

use crate::offline::GRID;
use crate::online::Bench;
use crate::ran::run;

#[test]
fn results_of_earlier_sweeps_are_offered_and_taken_when_asked_for() {
    let bench = Bench::new();
    std::fs::write(bench.home.path().join("seen.toml"), GRID.replace("imagenette-first", "seen")).unwrap();
    let offered =
        "6 of 72 trials were already trained in sweep older (same recipe, code and data): --reuse takes their";
    bench.run(&["submit", "seen.toml"]).expect(0).tells(offered);
    let ran = bench.run(&["submit", "seen.toml", "--reuse", "--run", "2"]).expect(0);
    ran.tells("6 of 72 trials have the results of sweep older");
    // Whoever asked for it is told that there is nothing.
    bench.run(&["submit", "grid.toml", "--reuse"]).expect(0).tells("no result is taken over");
    assert!(!bench.run(&["submit", "grid.toml", "--run", "2"]).expect(0).err.contains("taken over"));
    let json = bench.run(&["submit", "seen.toml", "--reuse", "--run", "3", "--json"]).expect(0).json();
    assert_eq!((&json["reused"], &json["reusable"][0]["sweep"]), (&6.into(), &"older".into()));
    bench
        .run(&["plan", "seen.toml", "--estimate"])
        .expect(0)
        .tells("3 of 12 trials were already trained in sweep older");
}

#[test]
fn a_plan_says_what_reuse_would_take() {
    let bench = Bench::new();
    let offered =
        "3 of 72 trials were already trained in sweep older (same recipe, code and data): submit --reuse takes";
    bench.run(&["plan", "grid.toml", "--reuse"]).expect(0).tells(offered);
    let json = bench.run(&["plan", "grid.toml", "--reuse", "--json"]).expect(0).json();
    assert_eq!((&json["reusable"][0]["sweep"], &json["reusable"][0]["trials"]), (&"older".into(), &3.into()));
    // A coordinator that is known is asked by the way; scripts get the plan alone.
    let by_the_way = bench.run(&["plan", "grid.toml"]).expect(0).tells(offered);
    let alone = run(bench.home.path(), &["plan", "grid.toml"]).expect(0);
    assert!(by_the_way.out == alone.out && !alone.err.contains("--reuse"), "{alone:#?}");
    let ran = bench.run(&["plan", "grid.toml", "--json"]).expect(0);
    assert!(ran.json().get("reusable").is_none() && ran.err.is_empty(), "{ran:#?}");
    // Whoever asks for it must not take silence for "nothing".
    let nobody = ["--server", "127.0.0.1:1"];
    run(bench.home.path(), &[&["plan", "grid.toml"], &nobody[..]].concat()).expect(0);
    run(bench.home.path(), &[&["plan", "grid.toml", "--reuse"], &nobody[..]].concat())
        .expect(5)
        .tells("does not answer");
    std::fs::write(bench.home.path().join("stops.toml"), GRID.replace("epochs =", "stop = \"asha\"\nepochs ="))
        .unwrap();
    let refused = run(bench.home.path(), &["plan", "stops.toml", "--reuse"]).expect(0);
    refused.tells("`submit --reuse` refuses this file: it stops early");
    bench.run(&["plan", "grid.toml", "--reuse", "--estimate"]).expect(2);
}
