//! What is brought from Python and what is taken there, by the scripts and the words of the project: a `.pth` becomes initial weights,
//! and the lines of docs/operations.md load what was fetched.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use sweep_tests::chaos::{Plan, find, run};
use sweep_tests::process::Lab;
use sweep_tests::skipped;

use crate::{python, python_has, setup};

/// A checkpoint as a script of the user's own leaves it.
const MAKE: &str = r#"
import sys, torch, torchvision
torch.manual_seed(5)
net = torchvision.models.resnet18(num_classes=4)
state = {"module." + name: tensor for name, tensor in net.state_dict().items()}
torch.save({"state_dict": state, "epoch": 3}, sys.argv[1])
"#;

/// Everything but the class layer is as it was brought; that one was trained.
const SAME: &str = r#"
import sys, torch
began = torch.load(sys.argv[1], weights_only=True)["state_dict"]
same = [name for name, tensor in model.state_dict().items() if torch.equal(began["module." + name], tensor)]
assert len(began) - len(same) == 2 and not {"fc.weight", "fc.bias"} & set(same), set(began) - set(same)
print(len(same), "tensors")
"#;

/// The words of a Python program, or the end of the test.
fn says(args: &[&str]) -> String {
    let ran = Command::new(python()).args(args).output().unwrap();
    let words = String::from_utf8_lossy(&ran.stdout) + String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{args:?}: {words}");
    words.into_owned()
}

/// The lines under "Weights in Python", for `classes` and the file at `path`.
fn documented(classes: u32, path: &str) -> String {
    let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operations.md");
    let text = fs::read_to_string(docs).unwrap();
    let section = text.split("## Weights in Python").nth(1).unwrap();
    let lines = section.split("```python\n").nth(1).unwrap().split("```").next().unwrap();
    let file = lines.split('"').find(|part| part.ends_with(".torchvision.safetensors")).unwrap();
    assert!(lines.contains("num_classes=10"), "{lines}");
    lines.replace(file, path).replace("num_classes=10", &format!("num_classes={classes}"))
}

#[test]
fn weights_come_from_python_and_go_back() {
    if !python_has("torch, torchvision, safetensors") {
        return skipped("python3 lacks one of torch, torchvision, safetensors");
    }
    let dir = tempfile::tempdir().unwrap();
    let mut lab = Lab::start(setup(dir.path(), "lab")).unwrap();
    let [brought, spec, out] = ["brought.pth", "one.toml", "out"].map(|name| dir.path().join(name));
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    says(&["-c", MAKE, &text(&brought)]);
    let weights = dir.path().join("data/pretrained/resnet18.safetensors");
    fs::create_dir_all(weights.parent().unwrap()).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/pth_to_safetensors.py");
    assert!(says(&[script, &text(&brought), &text(&weights)]).starts_with("122 tensors in "));
    let sweep = "name = \"one\"\ndataset = \"demo\"\nmodel = \"resnet18\"\nimage_size = 32\nepochs = 1\nlr = 1e-2\n\
        init.weights = \"pretrained/resnet18.safetensors\"\nfreeze.all_but_last = 1\n";
    fs::write(&spec, sweep).unwrap();
    let outcome = run(&mut lab, &spec, Plan::quiet(Duration::from_secs(600))).unwrap();
    let trial = find(&outcome.result["best"], "trial").or_else(|| find(&outcome.result, "trial")).unwrap();
    let said = lab.text(&["fetch", &trial, "--best", "-o", &text(&out), "--format", "torchvision"]).unwrap();
    let fetched = said.lines().find(|line| line.trim().ends_with(".torchvision.safetensors")).unwrap();
    let program = documented(4, fetched.trim()) + SAME;
    assert_eq!(says(&["-c", &program, &text(&brought)]), "120 tensors\n");
}
