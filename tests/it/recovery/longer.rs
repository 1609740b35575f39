//! More epochs with real processes: longer trials go on from the checkpoints of shorter ones, and curves, audit and report see whole trials.

use sweep_tests::process::Lab;

use super::{SPEC, setup};

#[test]
fn more_epochs_go_on_from_the_checkpoints_there_are() {
    let dir = tempfile::tempdir().unwrap();
    let mut setup = setup(&dir.path().join("lab"));
    setup.env.push(("SWEEP_NOOP_EPOCHS".into(), "recipe".into()));
    setup.env.push(("SWEEP_NOOP_EPOCH_MS".into(), "5".into()));
    let lab = Lab::start(setup).unwrap();
    lab.wait_for_agent().unwrap();
    let file = |name: &str, epochs: u32| {
        let path = dir.path().join(name);
        let text =
            SPEC.replace("epochs = 6", &format!("epochs = {epochs}")).replace("[0.0, 0.1, 0.2, 0.3]", "[0.0, 0.3]");
        std::fs::write(&path, text.replace("\"noop\"", &format!("\"{name}\""))).unwrap();
        path.to_str().unwrap().to_owned()
    };
    lab.text(&["submit", &file("short", 3), "--watch"]).unwrap();
    lab.text(&["submit", &file("straight", 5), "--watch"]).unwrap();
    let told = |args: &[&str]| {
        let ran = lab.ctl(args).unwrap();
        assert!(ran.status.success(), "{args:?}: {}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stderr).unwrap()
    };
    for more in [&["--dry-run"][..], &[]] {
        let words = told(&[&["extend", "short", "--epochs", "5"], more].concat());
        assert!(words.contains("16 of 16 new trials go on from the last checkpoint"), "{words}");
        assert!(!words.contains("at the beginning"), "{words}");
    }
    told(&["watch", "short", "--quiet"]);
    let audit = lab.json(&["audit", "short"]).unwrap();
    assert_eq!((&audit["exactly_once"], &audit["legal"]), (&true.into(), &true.into()), "{audit}");
    assert_eq!(
        (&audit["planned"], &audit["epochs"]),
        (&32.into(), &(16 * 5).into()),
        "no epoch is trained twice: {audit}"
    );
    // Whoever looks at a longer trial sees all of it, as if it had been trained at once.
    let numbers = |sweep: &str| {
        let report = lab.json(&["report", sweep]).unwrap();
        let settings = |curve: &serde_json::Value| {
            let points = report["points"].as_array().unwrap();
            let row = points.iter().find(|row| row["point"] == curve["point"]).unwrap();
            let parts = row["settings"].as_array().unwrap().iter().filter(|part| part[0] != "epochs");
            format!("{:?} {}", parts.collect::<Vec<_>>(), curve["seed"])
        };
        let long =
            report["curves"].as_array().unwrap().iter().filter(|curve| curve["epochs"].as_array().unwrap().len() == 5);
        let mut curves: Vec<_> = long.map(|curve| (settings(curve), curve["epochs"].clone())).collect();
        curves.sort_by(|a, b| a.0.cmp(&b.0));
        curves
    };
    let straight = numbers("straight");
    assert_eq!(straight.len(), 16);
    assert_eq!(numbers("short"), straight);
    let shown = lab.json(&["show", "short", "--trials"]).unwrap();
    let trial = shown["trials"][31]["trial"].as_str().unwrap();
    let page = lab.json(&["show", trial]).unwrap();
    let epochs: Vec<u64> = page["curve"].as_array().unwrap().iter().map(|row| row["epoch"].as_u64().unwrap()).collect();
    assert_eq!(epochs, [1, 2, 3, 4, 5]);
    // A schedule that follows the number of epochs gives other first epochs: it is said that nothing is gone on from.
    let cosine = file("cosine", 3);
    let text = std::fs::read_to_string(&cosine).unwrap().replace("epochs =", "schedule = \"cosine\"\nepochs =");
    std::fs::write(&cosine, text).unwrap();
    told(&["submit", &cosine, "--watch"]);
    let words = told(&["extend", "cosine", "--epochs", "5", "--dry-run"]);
    assert!(words.contains("16 trials begin at the beginning: the rate follows the number of epochs"), "{words}");
}
