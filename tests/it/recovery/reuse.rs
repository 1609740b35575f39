//! Results of earlier sweeps with real processes: offered with where they are, taken only when asked for, told everywhere, legal for
//! the oracle.

use sweep_tests::process::Lab;

use super::{SPEC, setup};

#[test]
fn results_are_offered_and_taken_only_when_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let mut setup = setup(&dir.path().join("lab"));
    // A host with a data folder: its pretend trainer says what it is and which copy it has.
    setup.agent_args = Vec::new();
    setup.data = vec![dir.path().join("data")];
    std::fs::create_dir_all(dir.path().join("data/none")).unwrap();
    setup.env.push(("SWEEP_NOOP_EPOCH_MS".into(), "5".into()));
    let lab = Lab::start(setup).unwrap();
    lab.wait_for_agent().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let base = file("base.toml", &SPEC.replace("\"noop\"", "\"base\"").replace("[0.0, 0.1, 0.2, 0.3]", "[0.0]"));
    let more = file("more.toml", &SPEC.replace("\"noop\"", "\"more\"").replace("[0.0, 0.1, 0.2, 0.3]", "[0.0, 0.5]"));
    lab.text(&["submit", &base, "--queue-anyway", "--watch"]).unwrap();
    let words = |args: &[&str]| {
        let ran = lab.ctl(args).unwrap();
        assert!(ran.status.success(), "{args:?}: {}", String::from_utf8_lossy(&ran.stderr));
        (String::from_utf8(ran.stdout).unwrap(), String::from_utf8(ran.stderr).unwrap())
    };
    let offered = "8 of 16 trials were already trained in sweep base (same recipe, code and data)";
    let (_, told) = words(&["plan", &more, "--estimate"]);
    assert!(told.contains(offered), "{told}");
    let (_, told) = words(&["submit", &more, "--run", "again", "--watch"]);
    assert!(told.contains(offered), "{told}");
    let audit = lab.json(&["audit", "more"]).unwrap();
    assert_eq!((&audit["completed"], &audit["reused"]), (&16.into(), &0.into()), "{audit}");

    let (_, told) = words(&["submit", &more, "--reuse", "--watch"]);
    assert!(told.contains("16 of 16 trials have the results of sweep"), "both sweeps have some: {told}");
    let audit = lab.json(&["audit", "more-2"]).unwrap();
    assert_eq!(
        (&audit["reused"], &audit["attempts"], &audit["legal"]),
        (&16.into(), &0.into(), &true.into()),
        "{audit}"
    );
    assert_eq!(audit["exactly_once"], true, "{audit}");

    // The curve, the numbers and the place where they come from are shown.
    let shown = lab.json(&["show", "more-2", "--trials"]).unwrap();
    assert_eq!(shown["summary"]["reused"], 16);
    let trial = shown["trials"][0]["trial"].as_str().unwrap();
    let origin = shown["trials"][0]["origin"]["trial"].as_str().unwrap();
    let (here, there) = (lab.json(&["show", trial]).unwrap(), lab.json(&["show", origin]).unwrap());
    assert_eq!(here["curve"].as_array().unwrap().len(), 6);
    assert_eq!((&here["curve"], &here["trial"]["best"]), (&there["curve"], &there["trial"]["best"]));
    let (text, _) = words(&["show", trial]);
    assert!(text.contains("result of") && text.contains("not trained again"), "{text}");
    let report = |name: &str| lab.json(&["report", name]).unwrap();
    let (mine, theirs) = (report("more-2"), report("more"));
    assert_eq!(mine["analysis"]["points"], theirs["analysis"]["points"], "the same numbers");
    assert_eq!((&mine["cost"]["attempts"], &mine["cost"]["slot_seconds"]), (&0.into(), &0.0.into()));
    assert_eq!(mine["curves"], theirs["curves"]);
    let (text, _) = words(&["report", "more-2", "-o", "md"]);
    assert!(text.contains("16 of 16 completed trials have the results of identical trials"), "{text}");
}
