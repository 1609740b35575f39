//! What is installed: units as closed as they can be, a package that comes and goes without touching data.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sweep_tests::skipped;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every file below a folder.
fn files(folder: &Path) -> BTreeSet<PathBuf> {
    let (mut open, mut found) = (vec![folder.to_owned()], BTreeSet::new());
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).unwrap().flatten() {
            match entry.file_type().unwrap().is_dir() {
                true => open.push(entry.path()),
                false => drop(found.insert(entry.path().strip_prefix(folder).unwrap().to_owned())),
            }
        }
    }
    found
}

#[test]
fn units_are_closed() {
    // Tenths of systemd's exposure, 0 to 100; both are lower by the tenth that another release of systemd may count.
    for (unit, most) in [("sweep-coordinator", "13"), ("sweep-agent", "27")] {
        let path = root().join(format!("deploy/systemd/{unit}.service"));
        let mut command = Command::new("systemd-analyze");
        command.args(["security", "--offline=true", "--threshold", most]).arg(&path).env("SYSTEMD_COLORS", "0");
        let Ok(output) = command.output() else {
            return skipped("systemd-analyze is not installed");
        };
        let words = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        if words.contains("unrecognized option") {
            return skipped("this systemd-analyze cannot look at a file (systemd 250 can)");
        }
        assert!(output.status.success(), "{unit} is more open than {most} tenths:\n{words}");
    }
}

#[test]
fn a_package_comes_and_goes_and_leaves_data_alone() {
    let work = tempfile::tempdir().unwrap();
    let (bin, out, dest) = (work.path().join("bin"), work.path().join("out"), work.path().join("dest"));
    fs::create_dir_all(&bin).unwrap();
    let run = |program: &Path, args: &[&str]| {
        let mut command = Command::new(program);
        command.args(args).env("DESTDIR", &dest).current_dir(work.path());
        let output = command.output().unwrap();
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr),
        )
    };
    let package = root().join("deploy/package.sh");
    let arguments = [bin.to_str().unwrap(), out.to_str().unwrap()];
    let (packed, words) = run(&package, &arguments);
    assert!(!packed && words.contains("make release"), "{words}");
    for program in
        ["sweepctl", "sweep-coordinator", "sweep-agent", "sweep-trainer", "sweep-bench", "sweep-noop-trainer"]
    {
        let mut made = Command::new("/bin/sh");
        made.args(["-c", "printf '#!/bin/sh\\n' > \"$1\" && chmod 755 \"$1\"", "sh"]).arg(bin.join(program));
        assert!(made.status().unwrap().success());
    }
    let (packed, words) = run(&package, &arguments);
    assert!(packed, "{words}");
    let archive = PathBuf::from(words.trim());
    let first = fs::read(&archive).unwrap();
    assert!(run(&package, &arguments).0);
    assert!(first == fs::read(&archive).unwrap(), "the same files give the same bytes");
    let (good, words) = run(Path::new("tar"), &["xzf", archive.to_str().unwrap()]);
    assert!(good, "{words}");
    let name = archive.file_name().unwrap().to_str().unwrap().trim_end_matches(".tar.gz").to_owned();
    let install = work.path().join(name).join("install.sh");

    let data = dest.join("var/lib/sweep-coordinator/sweep.db");
    let drop_in = dest.join("usr/lib/systemd/system/other.service");
    for file in [&data, &drop_in] {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "somebody else's").unwrap();
    }
    let before = files(&dest);
    for _again in 0..2 {
        let (good, words) = run(&install, &[]);
        assert!(good, "{words}");
    }
    let installed = files(&dest);
    for file in [
        "bin/sweepctl",
        "bin/sweep-bench",
        "lib/systemd/system/sweep-agent.service",
        "lib/sysusers.d/sweep.conf",
        "share/doc/sweep/operations.md",
        "share/sweep/libtorch.sh",
    ] {
        assert!(installed.contains(&Path::new("usr").join(file)), "{file} in {installed:#?}");
    }
    assert!(installed.iter().all(|file| file.extension().is_none_or(|ending| ending != "new")), "{installed:#?}");
    let unit = fs::read(dest.join("usr/lib/systemd/system/sweep-agent.service")).unwrap();
    assert!(unit == fs::read(root().join("deploy/systemd/sweep-agent.service")).unwrap());
    let (good, words) = run(&install, &["--uninstall"]);
    assert!(good, "{words}");
    assert_eq!(files(&dest), before);
    assert_eq!(fs::read_to_string(&data).unwrap(), "somebody else's");
    assert!(!run(&install, &["--uninstall"]).0, "there is nothing left to remove");

    let (good, words) = run(&install, &["--prefix", "/opt/sweep"]);
    assert!(good, "{words}");
    let unit = fs::read_to_string(dest.join("opt/sweep/lib/systemd/system/sweep-agent.service")).unwrap();
    assert!(unit.contains("ExecStart=/opt/sweep/bin/sweep-agent ") && !unit.contains("/usr/"), "{unit}");
}

/// A program with this run path, packed as the trainer; what the package has. Nothing without a compiler.
fn packed_run_path(work: &Path, run_path: &str) -> Option<(bool, String, Vec<u8>)> {
    let (bin, out) = (work.join("bin"), work.join("out"));
    fs::create_dir_all(&bin).unwrap();
    fs::write(work.join("main.c"), "int main(void) { return 0; }\n").unwrap();
    for program in
        ["sweepctl", "sweep-coordinator", "sweep-agent", "sweep-bench", "sweep-noop-trainer", "sweep-trainer"]
    {
        let mut compiler = Command::new("cc");
        compiler.arg("main.c").arg("-o").arg(bin.join(program)).arg(format!("-Wl,-rpath,{run_path}"));
        if !compiler.current_dir(work).status().is_ok_and(|status| status.success()) {
            return None;
        }
    }
    let package = Command::new(root().join("deploy/package.sh")).arg(&bin).arg(&out).output().unwrap();
    let words = String::from_utf8_lossy(&package.stderr).into_owned();
    let archive = String::from_utf8_lossy(&package.stdout).trim().to_owned();
    let mut packed = Vec::new();
    if package.status.success() {
        let mut tar = Command::new("tar");
        tar.args(["xzf", &archive, "-C"]).arg(work).args([
            "--wildcards",
            "*/bin/sweep-trainer",
            "--strip-components=2",
        ]);
        assert!(tar.status().unwrap().success());
        packed = fs::read(work.join("sweep-trainer")).unwrap();
        let ran = Command::new(work.join("sweep-trainer")).status().unwrap();
        assert!(ran.success(), "it is a program still");
    }
    Some((package.status.success(), words, packed))
}

#[test]
fn the_packed_trainer_knows_no_folder_of_whoever_built_it() {
    let work = tempfile::tempdir().unwrap();
    let has = |program: &[u8], text: &str| program.windows(text.len()).any(|window| window == text.as_bytes());
    let beside = "$ORIGIN/../lib/libtorch/lib";
    let Some((good, words, packed)) = packed_run_path(work.path(), &format!("{beside}:/home/builder/torch/lib")) else {
        return skipped("there is no C compiler");
    };
    assert!(good, "{words}");
    assert!(has(&packed, beside) && !has(&packed, "/home/builder"));
    let (good, words, _) = packed_run_path(work.path(), &format!("/home/builder/torch/lib:{beside}")).unwrap();
    assert!(!good && words.contains("does not begin with $ORIGIN"), "{words}");
}

#[test]
fn a_trainer_is_built_to_look_beside_itself_first() {
    let build = fs::read_to_string(root().join("trainer/build.rs")).unwrap();
    let at = |text: &str| build.find(text).unwrap_or_else(|| panic!("{text} in trainer/build.rs"));
    assert!(at("-rpath,$ORIGIN/../lib/libtorch/lib") < at("-rpath,{}"), "the linker keeps the order");
}
