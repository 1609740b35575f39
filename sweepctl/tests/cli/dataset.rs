//! `dataset`: finding the folder, what is said about a trainer's answer, exit codes; what is known and what
//! agents have. Fetching itself is tested in `src/command/dataset/add_tests.rs`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::ran::{Ran, command, copy_sweepctl, finish, program};

const CHECKED: &str = r#"{"path":"p","name":"d","layout":"folder","images":[40,9,1],"gray":2,
"balance":[{"class":"a","train":10,"val":3},{"class":"b","train":30,"val":6}],
"bad":[{"file":"train/a/cut.jpg","reason":"truncated","message":"is a JPEG that ends too early"},
{"file":"train/a/pipe","reason":"path_not_regular","message":"\"/x/d/train/a/pipe\" is not a regular file"}],
"odd":[{"file":"train/b/x.jpg","what":"png_named_jpeg","message":"is a PNG, its name says JPEG"}],
"copies":[{"same":"bytes","leak":true,"labels_differ":false,"files":[{"side":"train","class":"a","file":"train/a/1.jpg"},
{"side":"val","class":"a","file":"val/a/9.jpg"}]},{"same":"pixels","leak":false,"labels_differ":false,"files":[
{"side":"train","class":"b","file":"train/b/1.jpg"},{"side":"train","class":"b","file":"train/b/2.png"}]}],
"problems":3,"warnings":2,"a_later_field":1}"#;

/// `sweepctl` beside a trainer that prints `answer` and says how it was called.
struct Machine(tempfile::TempDir);

impl Machine {
    fn new(answer: &str) -> Self {
        let machine = Self(tempfile::tempdir().unwrap());
        copy_sweepctl(&machine.path("sweepctl"));
        fs::write(machine.path("answer"), answer).unwrap();
        let called = machine.path("called");
        let text = format!(
            "#!/bin/sh\necho \"$*\" > {}\necho looking >&2\nexec cat {}\n",
            called.display(),
            machine.path("answer").display()
        );
        program(&machine.path("sweep-trainer"), &text);
        fs::create_dir_all(machine.path("data/d")).unwrap();
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, args: &[&str]) -> Ran {
        let mut command = Command::new(self.path("sweepctl"));
        command.args(args).env_clear().env("HOME", self.0.path()).env("PATH", "/usr/bin:/bin");
        command.current_dir(self.0.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        finish(&mut command)
    }

    fn called(&self) -> String {
        fs::read_to_string(self.path("called")).unwrap()
    }
}

#[test]
fn a_check_names_every_problem_and_the_exit_code_tells() {
    let machine = Machine::new(CHECKED);
    let ran = machine.run(&["dataset", "check", "d", "--data", "data"]).expect(1);
    let ran = ran.tells("3 problems with the data set d").tells("looking");
    assert_eq!(machine.called(), "check data/d\n");
    let ran = ran.says("d (folder): 50 images in 2 classes, 40 train, 9 val, 1 test; 2 gray\n");
    let ran = ran.says("b         30    75.00    6\n").says("largest class / smallest class: 3.00\n");
    let ran = ran.says("bad: train/a/cut.jpg is a JPEG that ends too early [truncated]\n");
    let ran = ran.says("bad: train/a/pipe is not a regular file [path_not_regular]\n");
    let ran = ran.says("leaked: train/a/1.jpg = val/a/9.jpg (same bytes)\n");
    let ran = ran.says("copies: train/b/1.jpg = train/b/2.png (same pixels)\n");
    ran.says("unusual: train/b/x.jpg is a PNG, its name says JPEG\n").says("3 problems, 2 warnings\n");

    let quiet = machine.run(&["-q", "dataset", "check", "data/d", "--json"]).expect(1);
    assert!(!quiet.err.contains("looking"), "{quiet:#?}");
    assert_eq!(quiet.json()["copies"][0]["files"][1]["side"], "val");
    let csv = machine.run(&["dataset", "check", "data/d", "--csv"]).expect(1);
    csv.says("leaked,0,val,a,val/a/9.jpg,bytes\n").says("bad,,,,train/a/cut.jpg,is a JPEG that ends too early\n");

    let sound = CHECKED.replace("\"problems\":3", "\"problems\":0");
    Machine::new(&sound).run(&["dataset", "check", "data/d"]).expect(0).says("0 problems, 2 warnings\n");
}

#[test]
fn folders_and_trainers_that_are_not_there_are_told_apart() {
    let machine = Machine::new("not JSON");
    machine.run(&["dataset", "check", "x", "--data", "data"]).expect(3).tells("no data set \"x\" here or in data");
    machine.run(&["dataset", "check", "x"]).expect(3).tells("--data");
    machine.run(&["dataset", "check", "data/d"]).expect(1).tells("of another release");
    let broken = r#"{"path":"p","name":"d","train_images":0,"val_images":0,"bytes":0,"balance":[],"cached":false,
        "images":[0,0,0],"gray":0,"bad":[],"odd":[],"copies":[],"problems":1,"warnings":0,
        "error":{"reason":"dataset_empty","message":"\"p\" has no class folders"}}"#;
    let machine = Machine::new(broken);
    for task in ["check", "stats"] {
        machine.run(&["dataset", task, "data/d"]).expect(1).tells("has no class folders [dataset_empty]");
    }
    program(&machine.path("sweep-trainer"), "#!/bin/sh\nexit 7\n");
    machine.run(&["dataset", "check", "data/d"]).expect(1).tells("ended early");
}

#[test]
fn statistics_are_shown_with_what_was_measured() {
    let spread = r#"{"min":30,"median":32,"max":64}"#;
    let answer = format!(
        r#"{{"path":"p","name":"d","layout":"folder","train_images":4,"val_images":1,"bytes":12345678,"cached":true,
        "balance":[{{"class":"a","train":2,"val":1}},{{"class":"b","train":2,"val":0}}],
        "measured":{{"images":3,"unreadable":1,"pixels":9,"mean":[0.5,0.25,0.125],"std":[0.1,0.2,0.3],
        "width":{spread},"height":{spread},"short_side":{spread},"common":[[32,30,2],[64,64,1]]}}}}"#
    );
    let machine = Machine::new(&answer);
    let ran = machine.run(&["dataset", "stats", "data/d"]).expect(0);
    assert_eq!(machine.called(), format!("stats data/d {}\n", machine.path(".cache/sweep/datasets").display()));
    let ran = ran.says("d (folder): 4 images to train on, 1 to validate, 12.3 MB\n");
    let ran = ran.says("of 3 training images, 1 unreadable left out").says("(measured before)");
    ran.says("  width   30 to 64, median 32\n").says("  mean    0.5000 0.2500 0.1250\n").says("32x30 (2), 64x64 (1)\n");
    machine.run(&["dataset", "stats", "data/d", "--csv"]).expect(0).says("class,train,val\na,2,1\n");
    assert_eq!(machine.run(&["dataset", "stats", "data/d", "--json"]).expect(0).json()["measured"]["std"][2], 0.3);
}

#[test]
fn known_sets_are_listed_and_what_is_wrong_is_told_before_anything_is_fetched() {
    let home = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| finish(&mut command(home.path(), args));
    let listed = run(&["dataset", "add"]).expect(0).says("imagenette2-160").says("tiny-imagenet-200");
    assert_eq!(listed.out.lines().count(), 10, "{listed:#?}");
    let json = run(&["dataset", "add", "--json"]).expect(0).json();
    assert_eq!(json["known"][6]["name"], "cifar-10");
    assert_eq!(json["known"][6]["bytes"], 170_052_171);
    run(&["dataset", "add", "imagenete2", "--data", "d"]).expect(3).tells("did you mean imagenette2?");
    run(&["dataset", "add", "imagenette2"]).expect(2).tells("--data DIR");

    // There already: nobody is called, whatever the URL.
    fs::create_dir_all(home.path().join("d/imagenette2")).unwrap();
    let nowhere = ["dataset", "add", "imagenette2", "--data", "d", "--url", "http://127.0.0.1:1/x"];
    run(&nowhere).expect(0).says("d/imagenette2\n").tells("there already");
}

#[test]
fn another_file_than_the_known_one_is_refused() {
    use std::io::{BufRead, Write};
    let home = tempfile::tempdir().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/x.tgz", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        for line in std::io::BufReader::new(stream.try_clone().unwrap()).lines() {
            if line.unwrap().is_empty() {
                break;
            }
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello").unwrap();
    });
    let ran = finish(&mut command(home.path(), &["dataset", "add", "cifar-10", "--data", "d", "--url", &url]));
    ran.expect(1).tells("is 5 bytes long, expected 170052171");
    server.join().unwrap();
    assert!(!home.path().join("d/cifar-10").exists());
}

#[test]
fn the_data_sets_of_agents_are_listed_and_copies_that_differ_stand_apart() {
    let home = tempfile::tempdir().unwrap();
    let fake = crate::fake::Fake::start();
    let run = |args: &[&str]| finish(&mut command(home.path(), &[&["--server", &fake.server], args].concat()));
    let ran = run(&["dataset", "list"]).expect(0).says("f1-aa        gpu-7").says("f1-bb        gpu-8");
    let ran = ran.tells("the copies of imagenette differ");
    ran.tells("imagenette on gpu-8 cannot be used: dataset_empty: no images");
    let json = run(&["dataset", "list", "--json"]).expect(0).json();
    assert_eq!(json["datasets"].as_array().unwrap().len(), 3);
    assert_eq!(json["datasets"][1]["agents"][0], "gpu-7");
    assert_eq!(json["datasets"][1]["classes"], 10);
    assert_eq!(run(&["dataset", "list", "--csv"]).expect(0).out.lines().count(), 4);
}

#[test]
fn the_real_trainer_looks_at_real_files() {
    let beside = |name: &str| Path::new(env!("CARGO_BIN_EXE_sweepctl")).with_file_name(name);
    if !beside("sweep-trainer").is_file() || !beside("sweep-demo-images").is_file() {
        println!("skipped: sweep-trainer and sweep-demo-images are not built");
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data/demo");
    let made = Command::new(beside("sweep-demo-images")).arg(&data).stdout(Stdio::null()).status();
    assert!(made.unwrap().success());
    let run = |args: &[&str]| finish(&mut command(home.path(), args));
    run(&["dataset", "check", "demo", "--data", "data"]).expect(0).says("0 problems, 0 warnings");
    run(&["dataset", "stats", "demo", "--data", "data"]).expect(0).says("  mean    0.");
    run(&["dataset", "stats", "demo", "--data", "data"]).expect(0).says("(measured before)");

    let mut classes: Vec<_> = fs::read_dir(data.join("train")).unwrap().map(|entry| entry.unwrap().path()).collect();
    classes.sort();
    let image = fs::read_dir(&classes[0]).unwrap().next().unwrap().unwrap().path();
    fs::copy(&image, classes[1].join("copy.jpg")).unwrap();
    fs::write(classes[0].join("empty.jpg"), b"").unwrap();
    let ran = run(&["dataset", "check", "data/demo"]).expect(1).tells("2 problems with the data set demo");
    ran.says("empty.jpg is empty (0 bytes) [empty]").says("in several classes: train/");
}
