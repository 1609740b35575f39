//! A full disk under the coordinator: refused with a clear word, nothing lost, work goes on by itself
//! when there is room. Uses a small tmpfs, so it needs the right to mount; without it the test says so.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use sweep_tests::process::{Lab, wait_for};

/// A tmpfs that is unmounted when dropped.
struct Small(PathBuf);

impl Small {
    fn mount(at: &Path) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let mut mount = Command::new("mount");
        let mounted = mount.args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"]).arg(at).output().ok()?.status.success();
        mounted.then(|| Self(at.to_owned()))
    }

    /// Writes until nothing more fits.
    fn fill(&self) -> PathBuf {
        let path = self.0.join("filler");
        let mut file = File::create(&path).unwrap();
        for size in [1 << 16, 1 << 12, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
        path
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

#[test]
fn a_full_disk_is_said_survived_and_healed() {
    let dir = tempfile::tempdir().unwrap();
    let Some(small) = Small::mount(&dir.path().join("coordinator")) else {
        {
            eprintln!("skipped: no right to mount a tmpfs");
        }
        return;
    };
    let mut setup = super::recovery::setup(dir.path());
    setup.env.push(("SWEEP_NOOP_EPOCH_MS".into(), "300".into()));
    let lab = Lab::start(setup).unwrap();
    lab.wait_for_agent().unwrap();
    let spec = dir.path().join("noop.toml");
    std::fs::write(&spec, super::recovery::SPEC).unwrap();
    lab.text(&["submit", spec.to_str().unwrap()]).unwrap();
    wait_for("a trainer", || lab.trainers().first().copied()).unwrap();

    let filler = small.fill();
    let words = wait_for("the refusal", || {
        let output = lab.ctl(&["cancel", "noop", "--trial", "00000000"]).unwrap();
        let other = lab.ctl(&["list"]).unwrap();
        let words = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&other.stderr);
        (words.contains("disk_full") || words.contains("no room") || words.contains("full")).then_some(words)
    })
    .unwrap();
    assert!(words.contains("coordinator"), "the place is named: {words}");

    std::fs::remove_file(filler).unwrap();
    lab.text(&["watch", "noop", "--quiet"]).unwrap();
    let audit = lab.text(&["audit", "noop", "--json"]).unwrap();
    assert!(audit.contains("\"completed\":32") || audit.contains("\"completed\": 32"), "{audit}");
    drop(lab);
    drop(small);
}
